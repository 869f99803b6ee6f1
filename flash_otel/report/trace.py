"""A trace on the terminal: a tree of spans with bars on one time axis.

`render_trace` prints, `trace_lines` returns the same lines as plain data. Failures are always
open; repeats and long healthy branches are folded (see `flash_otel.report.tree`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel import semconv
from flash_otel.report import words
from flash_otel.report.axis import Axis, axis_for
from flash_otel.report.layout import STYLES, Line, Page, Part, page_for, print_lines
from flash_otel.report.notes import note_lines
from flash_otel.report.rowline import label_cells, row_line
from flash_otel.report.tree import Node, build_forest, rows, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from flash_otel.records import SpanRecord


def render_trace(records: Sequence[SpanRecord], console: Console) -> None:
    """Print a trace, and below it the traces that are linked to it.

    Args:
        records: The spans of the trace, with those of linked traces after them.
        console: Where to print; not being a terminal, it gets plain text.
    """
    print_lines(trace_lines(records, page_for(console)), console)


def trace_lines(records: Sequence[SpanRecord], page: Page) -> list[Line]:
    """Return the lines of a trace and of the traces linked to it."""
    if not records:
        return [(Part("No spans."),)]
    main = records[0].trace_id
    forest = build_forest(records)
    own = [root for root in forest if root.record.trace_id == main]
    linked = [root for root in forest if root.record.trace_id != main]
    lines = [*_heading(own[0].record), (), *tree_lines(own, page)]
    if linked:
        title = f"Traces linked to this one: {len({root.record.trace_id for root in linked})}"
        lines += [(), (Part(title, "bold"),), *tree_lines(linked, page, foreign=True)]
    return lines


def _heading(record: SpanRecord) -> Iterator[Line]:
    outcome = words.outcome(record)
    said = f"{outcome} (still running, or killed)" if record.end_ns is None else outcome
    trace = Part(f"trace {words.clean(record.trace_id)}  ", "bold")
    yield (trace, Part(said, STYLES[outcome]))
    yield (Part("  ".join([words.moment(record.start_ns), *_identity(record)])),)


def _identity(record: SpanRecord) -> Iterator[str]:
    names = (
        ("app", semconv.APP_NAME),
        ("environment", semconv.ENVIRONMENT_NAME),
        ("flash", semconv.FLASH_VERSION),
    )
    for word, name in names:
        value = record.attributes.get(name, record.resource.get(name))
        if value is not None:
            yield f"{word} {words.clean(value)}"


def tree_lines(forest: Sequence[Node], page: Page, *, foreign: bool = False) -> Iterator[Line]:
    """Yield the lines of a forest.

    Args:
        forest: The roots, as `build_forest` returns them.
        page: What to lay out for.
        foreign: The roots are linked traces, each with a time axis of its own.
    """
    shown = list(rows(forest))
    column = label_cells(shown, page)
    axis = _axis(forest, page)
    for row in shown:
        if foreign and len(row.lasts) == 1:
            axis = _axis(row.nodes, page)
        yield row_line(row, column, axis, page)
        yield from note_lines(row, page, foreign=foreign)


def _axis(roots: Sequence[Node], page: Page) -> Axis:
    return axis_for(roots[0].record, (node.record for node in walk(roots)), page.cells)
