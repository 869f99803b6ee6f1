"""The rows of a trace: label, duration, and a bar on a time axis that all rows share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from flash_otel import semconv
from flash_otel.records import LINES_SCOPE, text
from flash_otel.report import row_text, words
from flash_otel.report.axis import Axis, axis_for, has_time
from flash_otel.report.layout import FAULT_STYLE, STYLES, Line, Part, fitted
from flash_otel.report.tree import Node, Row, rows, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flash_otel.records import SpanRecord
    from flash_otel.report.layout import Glyphs
    from flash_otel.report.view import View

# The attribute that distinguishes spans of the same name.
_LABELS: Final[dict[str, str]] = {
    semconv.PROVISION_ENDPOINT: semconv.RESOURCE_NAME,
    semconv.CALL: semconv.FUNCTION_NAME,
    semconv.GRAPHQL: semconv.GRAPHQL_OPERATION_NAME,
}
_PREFIX: Final = "flash."
_GAP: Final = "  "
_LONGEST_LABEL: Final = 120
_LEAST_LABEL: Final = 12
_MOST_CELLS: Final = 60
_LEAST_CELLS: Final = 8


@dataclass(frozen=True, slots=True)
class RowLayout:
    """The columns of the rows.

    Attributes:
        label: Cells of the labels.
        duration: Cells of the durations; 0 if nothing has a time.
        axis: The time axis of the bars.
        is_short: Labels leave out the prefix that all names of Flash's spans share.
    """

    label: int
    duration: int
    axis: Axis
    is_short: bool = False


def waterfall_lines(own: Sequence[Node], linked: Sequence[Node], view: View) -> Iterator[Line]:
    """Yield the rows of a trace and of those linked to it, on one time axis.

    Args:
        own: The roots of the trace; at least one.
        linked: The roots of the linked traces.
        view: How they are shown.
    """
    main, above, below = own[0].record, list(rows(own)), list(rows(linked))
    columns = _layout(main, [*own, *linked], [*above, *below], view)
    yield from _axis_line(columns, view)
    tree = _Tree(main, columns, view)
    yield from tree.lines(above)
    if below:
        yield ()
        yield (Part(_linked_title(linked, view), "bold"),)
        yield from tree.lines(below)


def _linked_title(linked: Sequence[Node], view: View) -> str:
    if any(root.record.scope_name == LINES_SCOPE for root in linked):
        return "From other logs and traces"
    shown = len({root.record.trace_id for root in linked})
    known = view.overview.trace_count - 1 if view.overview else 0
    return f"Linked traces: {shown:,}{f' of {known:,}' if known > shown else ''}"


def _layout(
    main: SpanRecord, forest: Sequence[Node], shown: Sequence[Row], view: View
) -> RowLayout:
    records = [node.record for node in walk(forest)]
    duration = max(cell_len(row_text.duration(row, view)) for row in shown)
    label, is_short, cells = _sizes(shown, duration, view)
    return RowLayout(label, duration, axis_for(main, records, cells, view.now_ns), is_short)


def _sizes(shown: Sequence[Row], duration: int, view: View) -> tuple[int, bool, int]:
    """Return the cells of labels, whether they are shortened, and the cells of bars."""
    widths = {short: _label_cells(shown, view, is_short=short) for short in (False, True)}
    if view.page.width is None:
        return widths[False], False, view.page.cells if duration else 0
    ending = max(cell_len(row_text.ending(row, view)) for row in shown)
    taken = sum(cells + len(_GAP) for cells in (duration, ending) if cells)
    room = max(_LEAST_LABEL, view.page.width - taken)
    bars = _LEAST_CELLS + len(_GAP) if duration else 0
    is_short = widths[False] + bars > room
    label = min(widths[is_short], room)
    cells = min(_MOST_CELLS, room - label - len(_GAP))
    return label, is_short, cells if bars and cells >= _LEAST_CELLS else 0


def _label_cells(shown: Sequence[Row], view: View, *, is_short: bool) -> int:
    return max(cell_len(_label(row, view, is_short=is_short)) for row in shown)


def _label(row: Row, view: View, *, is_short: bool) -> str:
    """Return the guide lines and the name of a row, with what distinguishes it from siblings."""
    record, glyphs = row.node.record, view.page.glyphs
    name = record.name.removeprefix(_PREFIX) if is_short else record.name
    key = _LABELS.get(record.name)
    special = None if key is None else record.attributes.get(key)
    if len(row.nodes) > 1 or row.is_rest:
        name += f" {glyphs.times}{len(row.nodes)}{' more' if row.is_rest else ''}"
    elif special is not None:
        name += f" {special}"
    name = view.clean(name)
    if len(name) > _LONGEST_LABEL:
        name = name[:_LONGEST_LABEL] + glyphs.cut
    return _guide(row.lasts[:-1], glyphs) + _elbow(row, glyphs) + name


def _guide(lasts: Sequence[bool], glyphs: Glyphs) -> str:
    """Return the lines that lead past a row to the siblings of its ancestors."""
    return "".join(glyphs.gap if is_last else glyphs.through for is_last in lasts[1:])


def _elbow(row: Row, glyphs: Glyphs) -> str:
    if len(row.lasts) == 1:
        return ""
    return glyphs.last if row.lasts[-1] else glyphs.branch


def _style(row: Row, view: View) -> str:
    outcome = words.outcome(row.node.record)
    is_fault = outcome in (semconv.RETURNED, words.UNFINISHED) and row_text.shows_fault(row, view)
    return FAULT_STYLE if is_fault else STYLES[outcome]


def _axis_line(columns: RowLayout, view: View) -> Iterator[Line]:
    """Yield the durations that the parts of the axis stand for, if there are several."""
    axis, cells = columns.axis, ""
    if not axis.marks:
        return
    for stretch in axis.stretches:
        took = words.duration(stretch.busy_ns)
        shown = took if cell_len(took) < stretch.cells else ""
        cells = cells.ljust(stretch.offset) + shown.rjust(stretch.cells)
    if cells.strip():
        lead = " " * (columns.label + len(_GAP) + columns.duration + len(_GAP))
        yield (Part(lead), *_bar_parts(cells, axis, "dim", view))


def _bar_parts(cells: str, axis: Axis, style: str, view: View) -> Iterator[Part]:
    """Yield a bar with the marks of folded waiting, which no span covers."""
    for is_mark, group in groupby(range(axis.cells), axis.marks.__contains__):
        text = "".join(view.page.glyphs.fold if is_mark else cells[at] for at in group)
        yield Part(text, "dim" if is_mark else style)


class _Tree:
    """Prints rows, and between them how long was waited."""

    def __init__(self, main: SpanRecord, columns: RowLayout, view: View) -> None:
        self._main = main
        self._columns = columns
        self._view = view
        self._range = columns.axis.main

    def lines(self, shown: Sequence[Row]) -> Iterator[Line]:
        """Yield the lines of rows in their order."""
        for row in shown:
            yield from self._wait_lines(row)
            yield from self._row_lines(row)
            yield from self._note_lines(row)

    def _wait_lines(self, row: Row) -> Iterator[Line]:
        """Yield a line if the waiting before a row is folded."""
        record, axis = row.node.record, self._columns.axis
        if not has_time(record) or axis.range_of(record) == self._range:
            return
        self._range = axis.range_of(record)
        waits = [axis.wait_ns(node.record) for node in row.nodes if has_time(node.record)]
        if not axis.wait_ns(record):
            return
        glyphs = self._view.page.glyphs
        lead = _guide(row.lasts[:-1], glyphs) + (glyphs.through if len(row.lasts) > 1 else "")
        text = f"{glyphs.wait} {row_text.waited(row, waits)}{self._whose_clock(record)}"
        yield from self._view.note(lead, [Part(text, "dim", len(glyphs.wait) + 1)])

    def _whose_clock(self, record: SpanRecord) -> str:
        own, main = (text(known.resource, semconv.HOST_NAME) for known in (record, self._main))
        return "" if own == main else f", {words.BY_OWN_CLOCK}"

    def _row_lines(self, row: Row) -> Iterator[Line]:
        """Yield the line of a row: label, duration, bar, ending, and what is folded into it."""
        columns, view = self._columns, self._view
        label = _label(row, view, is_short=columns.is_short)
        parts = [Part(fitted(label, columns.label, view.page.glyphs))]
        if columns.duration:
            parts.append(Part(f"{_GAP}{row_text.duration(row, view):>{columns.duration}}"))
        if columns.axis.cells:
            cells = self._bar(row)
            parts += [Part(_GAP), *_bar_parts(cells, columns.axis, _style(row, view), view)]
        ending = row_text.ending(row, view)
        if ending:
            parts.append(Part(_GAP + ending, _style(row, view)))
        yield from self._with_folded(row, parts)

    def _with_folded(self, row: Row, parts: list[Part]) -> Iterator[Line]:
        """Yield a row with what is folded into it: behind the bar, or else below."""
        folded, width = row_text.folded(row), self._view.page.width
        taken = sum(cell_len(part.text) for part in parts)
        fits = width is None or taken + len(_GAP) + cell_len(folded) <= width
        if folded and fits:
            parts.append(Part(_GAP + folded, "dim"))
        yield tuple(parts)
        if folded and not fits:
            yield from self._view.note(self._lead(row), [Part(folded, "dim")])

    def _bar(self, row: Row) -> str:
        """Return the bar of a row over the whole axis."""
        axis, glyphs = self._columns.axis, self._view.page.glyphs
        drawn: set[int] = set()
        for node in row.nodes:
            bar = axis.bar(node.record)
            drawn.update(range(bar.offset, bar.offset + bar.length))
        glyph = glyphs.open_bar if row.node.record.end_ns is None else glyphs.bar
        return "".join(glyph if cell in drawn else " " for cell in range(axis.cells))

    def _lead(self, row: Row) -> str:
        glyphs = self._view.page.glyphs
        return _guide(row.lasts, glyphs) + (glyphs.through if row.is_open else glyphs.gap)

    def _note_lines(self, row: Row) -> Iterator[Line]:
        for note in row_text.notes(row, self._view, self._main.trace_id):
            yield from self._view.note(self._lead(row), note)
