"""A trace on the terminal: a tree of spans with bars on a common time axis.

Failures are always open; repeats and long healthy branches are folded (`flash_otel.report.tree`).
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from flash_otel import semconv
from flash_otel.report import layout, words
from flash_otel.report.tree import KEYS, Node, Row, build_forest, rows, split, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from flash_otel.records import SpanRecord

# The attribute that distinguishes spans of the same name.
_LABELS: Final[dict[str, str]] = {
    semconv.PROVISION_ENDPOINT: semconv.RESOURCE_NAME,
    semconv.CALL: semconv.FUNCTION_NAME,
    semconv.GRAPHQL: semconv.GRAPHQL_OPERATION_NAME,
}
# Spans that always show their ids, because people compare those; others only where they differ
# from their parent's.
_KEYED: Final = frozenset(
    {
        semconv.DEPLOY,
        semconv.ACTIVATE,
        semconv.MANIFEST_UPLOAD,
        semconv.RUNTIME_FETCH,
        semconv.MANIFEST_FETCH,
    },
)
_DURATION_CELLS: Final = 11
_OUTCOME_CELLS: Final = 12
_LEAST_LABEL: Final = 16
_LONGEST_LABEL: Final = 120
_LONGEST_NOTE: Final = 2000
_LEAST_NOTE: Final = 20


def render_trace(records: Sequence[SpanRecord], console: Console) -> None:
    """Print a trace, and below it the traces that are linked to it.

    Args:
        records: The spans of the trace, followed by those of linked traces.
        console: Where to print; plain text unless it is a terminal.
    """
    layout.print_lines(trace_lines(records, layout.page_for(console)), console)


def trace_lines(records: Sequence[SpanRecord], page: layout.Page) -> list[layout.Line]:
    """Return the lines of a trace and of the traces linked to it."""
    if not records:
        return [(layout.Part("No spans."),)]
    own, linked = split(build_forest(records), records[0].trace_id)
    lines = [*_heading(own[0].record), (), *tree_lines(own, page)]
    if linked:
        title = f"Traces linked to this one: {len({root.record.trace_id for root in linked})}"
        lines += [(), (layout.Part(title, "bold"),), *tree_lines(linked, page, is_linked=True)]
    return lines


def _heading(record: SpanRecord) -> Iterator[layout.Line]:
    outcome = words.outcome(record)
    note = " (still running, or killed)" if record.end_ns is None else ""
    trace = layout.Part(f"trace {words.clean(record.trace_id)}  ", "bold")
    yield (trace, layout.Part(f"{outcome}{note}", layout.STYLES[outcome]))
    yield (layout.Part("  ".join([words.moment(record.start_ns), *_identity(record)])),)


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


def tree_lines(
    forest: Sequence[Node], page: layout.Page, *, is_linked: bool = False
) -> Iterator[layout.Line]:
    """Yield the lines of a forest.

    Args:
        forest: The roots, as `build_forest` returns them.
        page: The layout.
        is_linked: The roots are linked traces, each with a time axis of its own.
    """
    shown = list(rows(forest))
    column = _label_cells(shown, page)
    axis = _axis(forest, page)
    for row in shown:
        if is_linked and len(row.lasts) == 1:
            axis = _axis(row.nodes, page)
        yield _row_line(row, column, axis, page)
        yield from _note_lines(row, page, is_linked=is_linked)


def _axis(roots: Sequence[Node], page: layout.Page) -> layout.Axis:
    return layout.axis_for(roots[0].record, (node.record for node in walk(roots)), page.cells)


def _row_line(row: Row, column: int, axis: layout.Axis, page: layout.Page) -> layout.Line:
    """Return the line of a row: label (of `column` cells), duration, bar, outcome, folds."""
    record = row.node.record
    outcome = words.outcome(record)
    longest = None if record.end_ns is None else max(_durations(row))
    return (
        layout.Part(layout.fitted(label(row, page.glyphs), column, page.glyphs)),
        layout.Part(f"{words.duration(longest):>{_DURATION_CELLS}}  "),
        layout.Part(_bar(row, axis, page.glyphs), layout.STYLES[outcome]),
        layout.Part("" if outcome == semconv.RETURNED else f"  {outcome}", layout.STYLES[outcome]),
        layout.Part(_folded(row), "dim"),
    )


def _label_cells(shown: Sequence[Row], page: layout.Page) -> int:
    widest = max((cell_len(label(row, page.glyphs)) for row in shown), default=0)
    if page.width is None:
        return widest
    room = page.width - page.cells - _DURATION_CELLS - _OUTCOME_CELLS - 2
    return max(_LEAST_LABEL, min(widest, room))


def label(row: Row, glyphs: layout.Glyphs) -> str:
    """Return the guide lines and the name of a row, with what distinguishes it from siblings."""
    record = row.node.record
    name = words.clean(record.name)
    special = record.attributes.get(_LABELS.get(record.name, ""))
    if len(row.nodes) > 1 or row.is_rest:
        name += f" {glyphs.times}{len(row.nodes)}{' more' if row.is_rest else ''}"
    elif special is not None:
        name += f" {words.clean(special)}"
    if len(name) > _LONGEST_LABEL:
        name = name[:_LONGEST_LABEL] + glyphs.cut
    return _guide(row.lasts[:-1], glyphs) + _elbow(row, glyphs) + name


def _guide(lasts: Sequence[bool], glyphs: layout.Glyphs) -> str:
    """Return the lines that lead past a row to the siblings of its ancestors."""
    return "".join(glyphs.gap if is_last else glyphs.through for is_last in lasts[1:])


def _elbow(row: Row, glyphs: layout.Glyphs) -> str:
    if len(row.lasts) == 1:
        return ""
    return glyphs.last if row.lasts[-1] else glyphs.branch


def _bar(row: Row, axis: layout.Axis, glyphs: layout.Glyphs) -> str:
    """Return a row's bar over the whole axis; a mark at the edge if it lies outside."""
    if not axis.cells:
        return ""
    bars = [axis.bar(node.record) for node in row.nodes]
    inside = [bar for bar in bars if not bar.outside]
    if not inside:
        is_after = bars[0].outside > 0
        return glyphs.after.rjust(axis.cells) if is_after else glyphs.before.ljust(axis.cells)
    first = min(bar.offset for bar in inside)
    last = max(bar.offset + bar.length for bar in inside)
    drawn = glyphs.open_bar if row.node.record.end_ns is None else glyphs.bar
    return (" " * first + drawn * (last - first)).ljust(axis.cells)


def _folded(row: Row) -> str:
    """Describe the hidden rows of a row, in brackets."""
    hidden = []
    if len(row.nodes) > 1:
        durations = _durations(row)
        shortest, longest = (words.duration(limit(durations)) for limit in (min, max))
        hidden.append(f"each {shortest} to {longest}")
    if row.hidden:
        hidden.append(f"{row.hidden} more span{'s' if row.hidden > 1 else ''} inside")
    return f"  ({', '.join(hidden)})" if hidden else ""


def _durations(row: Row) -> list[int]:
    return [node.record.duration_ns or 0 for node in row.nodes]


def _note_lines(row: Row, page: layout.Page, *, is_linked: bool) -> Iterator[layout.Line]:
    below = page.glyphs.through if row.is_open else page.glyphs.gap
    lead = _guide(row.lasts, page.glyphs) + below
    for note in notes(row, page, is_linked=is_linked):
        for text in _wrapped(note.text, len(lead), page):
            yield (layout.Part(lead), layout.Part(text, note.style))


def notes(row: Row, page: layout.Page, *, is_linked: bool) -> Iterator[layout.Part]:
    """Yield the notes below a span's line; for folded siblings, only those that they share.

    Args:
        row: The row.
        page: The layout.
        is_linked: The row belongs to a linked trace.
    """
    if len(row.nodes) > 1 or row.is_rest:
        yield from _id_note(row.node)
        return
    node, record = row.node, row.node.record
    if is_linked and node.parent is None:
        yield layout.Part(f"trace {words.clean(record.trace_id)}  {words.moment(record.start_ns)}")
    if node.is_orphan:
        yield layout.Part("its parent span is not in this recording", "dim")
    yield from _id_note(node)
    if _has_own_cause(node):
        yield layout.Part(words.cause(record), layout.STYLES[words.outcome(record)])
    yield from (layout.Part(text, "yellow") for text in words.retries(record))
    yield from (layout.Part(f"{page.glyphs.arrow} {text}", "dim") for text in words.links(record))
    answer = record.attributes.get(semconv.GRAPHQL_ANSWER)
    if answer is not None:
        yield layout.Part(f"answer {words.clean(answer)}", "dim")


def _id_note(node: Node) -> Iterator[layout.Part]:
    inherited = {} if node.parent is None else node.parent.record.attributes
    is_keyed = node.record.name in _KEYED
    values = ((key, node.record.attributes.get(key)) for key in KEYS)
    ids = [
        f"{key.removeprefix('flash.')}={words.clean(value)}"
        for key, value in values
        if value is not None and (is_keyed or value != inherited.get(key))
    ]
    if ids:
        yield layout.Part(" ".join(ids), "cyan")


def _has_own_cause(node: Node) -> bool:
    """Return True if a span has a cause of failure that no child of it shows already."""
    if words.outcome(node.record) in {semconv.RETURNED, words.UNFINISHED}:
        return False
    own = words.cause(node.record)
    below = {words.cause(child.record) for child in node.children if not child.is_healthy}
    return own not in below and not (below and own == words.NO_CAUSE)


def _wrapped(text: str, taken: int, page: layout.Page) -> list[str]:
    if len(text) > _LONGEST_NOTE:
        cut = f"{text[:_LONGEST_NOTE]}{page.glyphs.cut}"
        text = f"{cut} ({len(text):,} characters; --json has all)"
    if page.width is None:
        return [text]
    return textwrap.wrap(text, max(_LEAST_NOTE, page.width - taken)) or [""]
