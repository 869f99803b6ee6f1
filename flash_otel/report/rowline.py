"""The line of one row of a trace: guide lines, label, duration, bar, outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.report import words
from flash_otel.report.layout import STYLES, Line, Page, Part, fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flash_otel.report.axis import Axis
    from flash_otel.report.glyphs import Glyphs
    from flash_otel.report.tree import Row

# What tells spans of one name apart.
LABELS: Final[dict[str, str]] = {
    semconv.PROVISION_ENDPOINT: semconv.RESOURCE_NAME,
    semconv.CALL: semconv.FUNCTION_NAME,
    semconv.GRAPHQL: semconv.GRAPHQL_OPERATION_NAME,
}
_DURATION_CELLS: Final = 11
_OUTCOME_CELLS: Final = 12
_LEAST_LABEL: Final = 16
_LONGEST_LABEL: Final = 120


def label_cells(shown: Sequence[Row], page: Page) -> int:
    """Return the width of the labels' column."""
    from rich.cells import cell_len

    widest = max((cell_len(label(row, page.glyphs)) for row in shown), default=0)
    if page.width is None:
        return widest
    room = page.width - page.cells - _DURATION_CELLS - _OUTCOME_CELLS - 2
    return max(_LEAST_LABEL, min(widest, room))


def row_line(row: Row, column: int, axis: Axis, page: Page) -> Line:
    """Return the line of a row, whose label takes `column` cells."""
    record = row.node.record
    outcome = words.outcome(record)
    longest = None if record.end_ns is None else max(_lengths(row))
    return (
        Part(fitted(label(row, page.glyphs), column, page.glyphs)),
        Part(f"{words.duration(longest):>{_DURATION_CELLS}}  "),
        Part(bar(row, axis, page.glyphs), STYLES[outcome]),
        Part("" if outcome == semconv.RETURNED else f"  {outcome}", STYLES[outcome]),
        Part(folded(row), "dim"),
    )


def label(row: Row, glyphs: Glyphs) -> str:
    """Return guide lines and name of a row, with what tells it from its siblings."""
    record = row.node.record
    name = words.clean(record.name)
    special = record.attributes.get(LABELS.get(record.name, ""))
    if len(row.nodes) > 1 or row.more:
        name += f" {glyphs.times}{len(row.nodes)}{' more' if row.more else ''}"
    elif special is not None:
        name += f" {words.clean(special)}"
    if len(name) > _LONGEST_LABEL:
        name = name[:_LONGEST_LABEL] + glyphs.cut
    return guide(row.lasts[:-1], glyphs) + _elbow(row, glyphs) + name


def guide(lasts: Sequence[bool], glyphs: Glyphs) -> str:
    """Return the lines that lead past a row to the siblings of its ancestors."""
    return "".join(glyphs.gap if last else glyphs.through for last in lasts[1:])


def _elbow(row: Row, glyphs: Glyphs) -> str:
    if len(row.lasts) == 1:
        return ""
    return glyphs.last if row.lasts[-1] else glyphs.branch


def bar(row: Row, axis: Axis, glyphs: Glyphs) -> str:
    """Return a row's bar over the whole axis; a mark at its edge for what lies outside."""
    if not axis.cells:
        return ""
    bars = [axis.bar(node.record) for node in row.nodes]
    inside = [bar for bar in bars if not bar.outside]
    if not inside:
        after = bars[0].outside > 0
        return glyphs.after.rjust(axis.cells) if after else glyphs.before.ljust(axis.cells)
    first = min(bar.offset for bar in inside)
    last = max(bar.offset + bar.length for bar in inside)
    drawn = glyphs.open_bar if row.node.record.end_ns is None else glyphs.bar
    return (" " * first + drawn * (last - first)).ljust(axis.cells)


def folded(row: Row) -> str:
    """Say what a row holds that is not shown, in brackets."""
    said = []
    if len(row.nodes) > 1:
        lengths = _lengths(row)
        said.append(f"each {words.duration(min(lengths))} to {words.duration(max(lengths))}")
    if row.hidden:
        said.append(f"{row.hidden} more span{'s' if row.hidden > 1 else ''} inside")
    return f"  ({', '.join(said)})" if said else ""


def _lengths(row: Row) -> list[int]:
    return [node.record.duration_ns or 0 for node in row.nodes]
