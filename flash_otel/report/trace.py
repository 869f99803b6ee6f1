"""A trace on the terminal: a tree of spans with bars on one time axis.

Failures and evidence of faults are always open; repeats and long healthy branches are folded
(`flash_otel.report.tree`). Traces that are linked to the trace lie on the same axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from flash_otel import semconv
from flash_otel.records import text
from flash_otel.report import words
from flash_otel.report.heading import overview_lines, trace_heading
from flash_otel.report.layout import WHOLE, Line, Page, Part, page_for, print_lines
from flash_otel.report.tree import build_forest, split, walk
from flash_otel.report.view import View, view_of
from flash_otel.report.waterfall import waterfall_lines
from flash_otel.report.wrapping import wrapped_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from flash_otel.records import SpanRecord
    from flash_otel.report.overview import Overview
    from flash_otel.report.tree import Node

_MOST_IDS: Final = 20
_ID_KINDS: Final = (("environment", semconv.ENVIRONMENT_ID), ("build", semconv.BUILD_ID))


def render_trace(
    records: Sequence[SpanRecord], console: Console, overview: Overview | None = None
) -> None:
    """Print a trace, and below it the traces that are linked to it.

    Args:
        records: The spans of the trace, followed by those of linked traces.
        console: Where to print; plain text unless it is a terminal.
        overview: What is known of the deployment.
    """
    view = view_of(page_for(console), records, overview)
    print_lines(trace_lines(records, view), console)


def trace_lines(records: Sequence[SpanRecord], view: View, command: str = "") -> list[Line]:
    """Return the lines of a trace and of the traces linked to it.

    Args:
        records: The spans of the trace, followed by those of linked traces.
        view: How they are shown.
        command: A command that shows more of a fault.
    """
    if not records:
        return [(Part("No spans."),)]
    main = records[0].trace_id
    own, linked = split(build_forest(records, _marked(records, view)), main)
    heading = list(_heading(own[0].record, view, command))
    body = [
        *heading,
        *([()] if heading and heading[-1] else []),
        *waterfall_lines(own, linked, view),
        *_folded_answers(records, view),
    ]
    return list(wrapped_lines([*body, *_whole_ids(records, view)], view.page.width))


def tree_lines(forest: Sequence[Node], page: Page) -> Iterator[Line]:
    """Yield the lines of a forest of spans, without anything around them."""
    records = [node.record for node in walk(forest)]
    yield from waterfall_lines(forest, (), view_of(page, records))


def _marked(records: Iterable[SpanRecord], view: View) -> set[tuple[str, str]]:
    """Return the spans that are never folded: evidence, and responses that are to be shown."""
    answers = {
        record.key
        for record in records
        if view.has_answers and semconv.GRAPHQL_ANSWER in record.attributes
    }
    return {*view.marks, *answers}


def _heading(record: SpanRecord, view: View, command: str) -> Iterator[Line]:
    if view.overview is None:
        return trace_heading(record, view)
    return overview_lines(view.overview, record, view, command)


def _folded_answers(records: Iterable[SpanRecord], view: View) -> Iterator[Line]:
    answers = sum(1 for record in records if semconv.GRAPHQL_ANSWER in record.attributes)
    if answers and not view.has_answers:
        number = "1 GraphQL response was" if answers == 1 else f"{answers} GraphQL responses were"
        yield ()
        yield (Part(f"{number} captured; --answers shows them.", "dim"),)


def _whole_ids(records: Iterable[SpanRecord], view: View) -> Iterator[Line]:
    """Yield the whole ids of those that are shown shortened."""
    shortened = view.ids.used
    if not shortened:
        return
    kinds = {text(record.attributes, name): kind for record in records for kind, name in _ID_KINDS}
    yield ()
    yield (Part("Ids in full", "bold"),)
    for identifier in list(shortened)[:_MOST_IDS]:
        lead = f"  {kinds.get(identifier, ''):<11}  "
        whole = words.encodable(words.clean(identifier), view.page.encoding)
        yield (Part(lead, "dim", cell_len(lead)), Part(whole, breaks=WHOLE))
    if len(shortened) > _MOST_IDS:
        yield (Part(f"  {len(shortened) - _MOST_IDS} more; --json has all", "dim"),)
