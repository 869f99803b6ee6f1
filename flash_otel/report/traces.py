"""The list of traces as a table that fits its terminal.

A narrow terminal gets short values in the most important columns, a wide one further columns and
full values, and a pipe everything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from flash_otel import semconv
from flash_otel.report import words
from flash_otel.report.entry import CANCELLED, NO_FAULT, OTHER_KIND, RUNNING
from flash_otel.report.layout import FAULT_STYLE, Line, Page, Part, fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flash_otel.report.entry import TraceEntry

    Read = Callable[[TraceEntry, int], str]
    Forms = dict["Column", int]

_GAP: Final = "  "
_SHORT: Final = 8  # characters of an id
_LEAST: Final = 12  # cells of a name that is cut to make room for another column
# Ids as Runpod makes them (UUIDs), and as OpenTelemetry does: their beginnings are unique enough.
_RANDOM: Final = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}|[0-9a-f]{16}")

STYLES: Final = {
    NO_FAULT: "green",
    semconv.RETURNED: "green",
    semconv.INCONCLUSIVE: "yellow",
    words.NO_READ: "yellow",
    RUNNING: "cyan",
    CANCELLED: "yellow",
    semconv.UNKNOWN: "yellow",
    words.UNFINISHED: "yellow",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table.

    Attributes:
        head: Its title.
        forms: Read the cell from an entry and the present (nanoseconds since the epoch), from the
            shortest form to the fullest.
        is_cut: Whether a long value may be cut, as in a name that a person has chosen.
        usual: The value that, if all entries have it, makes the column needless.
    """

    head: str
    forms: tuple[Read, ...]
    is_cut: bool = False
    usual: str = ""


def _short_id(text: str | None) -> str:
    text = text or ""
    return text[:_SHORT] if _RANDOM.fullmatch(text) else text


def _kind(entry: TraceEntry, _: int) -> str:
    return entry.root_name if entry.kind == OTHER_KIND else entry.kind


def _age(entry: TraceEntry, now_ns: int) -> str:
    return words.age(entry.start_ns, now_ns)


def _short_age(entry: TraceEntry, now_ns: int) -> str:
    return _age(entry, now_ns).removesuffix(" ago")


def _started(entry: TraceEntry, _: int) -> str:
    return words.zoned_moment(entry.start_ns) if entry.start_ns else "?"


def _took(entry: TraceEntry, now_ns: int) -> str:
    if entry.deployment_duration_ns is not None:
        return words.duration(entry.deployment_duration_ns)
    if entry.result == RUNNING:
        return f"{words.duration(max(0, now_ns - entry.start_ns))}+"
    # A deployment without a duration has not ended; its worker's reads have nothing to do with it.
    if entry.deployment_id is not None or entry.end_ns is None or not entry.start_ns:
        return "?"
    return words.duration(entry.end_ns - entry.start_ns)


def _place(entry: TraceEntry, _: int) -> str:
    return entry.environment_name or _short_id(entry.environment_id)


def _full_place(entry: TraceEntry, _: int) -> str:
    name, known = entry.environment_name, entry.environment_id
    return f"{name} ({known})" if name and known and name != known else name or known or ""


def _sure_label(entry: TraceEntry, _: int) -> str:
    is_sure = not entry.is_fault or entry.confidence == "certain"
    return entry.label if is_sure else f"{entry.label} ({entry.confidence})"


TRACE: Final = Column("TRACE", (lambda entry, _: entry.short_id, lambda entry, _: entry.trace_id))
KIND: Final = Column("KIND", (_kind, lambda entry, _: entry.root_name), is_cut=True, usual="deploy")
AGE: Final = Column("AGE", (_short_age, _age))
STARTED: Final = Column("STARTED", (_started,))
TOOK: Final = Column("TOOK", (_took,))
APP: Final = Column("APP", (lambda entry, _: entry.app_name or "",), is_cut=True)
ENVIRONMENT: Final = Column("ENV", (_place, _full_place), is_cut=True)
BUILD: Final = Column(
    "BUILD",
    (lambda entry, _: _short_id(entry.build_id), lambda entry, _: entry.build_id or ""),
    is_cut=True,
)
SPANS: Final = Column("SPANS", (lambda entry, _: str(entry.span_count),))
VERDICT: Final = Column("VERDICT", (lambda entry, _: entry.label, _sure_label))

COLUMNS: Final = (TRACE, KIND, AGE, STARTED, TOOK, APP, ENVIRONMENT, BUILD, SPANS, VERDICT)
_ALWAYS: Final = (TRACE, VERDICT)
# What is added in this order as far as it fits: columns, ...
_USUAL: Final = (AGE, ENVIRONMENT, TOOK, KIND, APP, BUILD)
# ... and, if all of them do, fuller forms and further columns.
_MORE: Final = (
    (AGE, 1),
    (VERDICT, 1),
    (STARTED, 0),
    (TRACE, 1),
    (SPANS, 0),
    (BUILD, 1),
    (ENVIRONMENT, 1),
)


def table_lines(entries: Sequence[TraceEntry], page: Page, now_ns: int) -> list[Line]:
    """Return the lines of the table, its head first.

    Args:
        entries: The entries, in the order of the lines.
        page: The layout.
        now_ns: The present, in nanoseconds since the epoch, from which ages count.
    """
    table = _Table(entries, now_ns)
    forms = _chosen(table, page.width)
    widths = _widths(table, forms, page.width)
    styles = ["bold", *(style_of(entry.label) for entry in entries)]
    rows = zip(*(table.cells(*each) for each in forms.items()), strict=True)
    return [_line(cells, widths, style, page) for cells, style in zip(rows, styles, strict=True)]


def style_of(label: str) -> str:
    """Return the style of a verdict's label."""
    return STYLES.get(label, FAULT_STYLE)


class _Table:
    """The cells of every column, in every form."""

    def __init__(self, entries: Sequence[TraceEntry], now_ns: int) -> None:
        self._cells = {
            (column, form): [column.head, *(words.clean(read(entry, now_ns)) for entry in entries)]
            for column in COLUMNS
            for form, read in enumerate(column.forms)
        }

    def cells(self, column: Column, form: int) -> list[str]:
        """Return the cells of a column, its head first."""
        return self._cells[column, form]

    def width(self, column: Column, form: int) -> int:
        """Return the cells of a column's longest value."""
        return max(map(cell_len, self.cells(column, form)))

    def least(self, column: Column, form: int) -> int:
        """Return the least width of a column."""
        width = self.width(column, form)
        return min(width, _LEAST) if column.is_cut and not form else width

    def fitting(self, chosen: Forms, more: Forms, width: int) -> Forms:
        """Return the larger choice if it fits a width, or else the smaller one."""
        needed = sum(self.least(*each) + len(_GAP) for each in more.items()) - len(_GAP)
        return more if needed <= width else chosen

    def is_needless(self, column: Column) -> bool:
        """Return whether all entries have the usual value, or none."""
        return {*self.cells(column, 0)[1:]} <= {column.usual}


def _chosen(table: _Table, width: int | None) -> Forms:
    """Choose the columns, in their order, and their forms."""
    if width is None:
        return {column: len(column.forms) - 1 for column in COLUMNS}
    chosen = dict.fromkeys(_ALWAYS, 0)
    usual = [column for column in _USUAL if not table.is_needless(column)]
    more = [(column, form) for column, form in _MORE if not table.is_needless(column)]
    for column in usual:
        chosen = table.fitting(chosen, {**chosen, column: 0}, width)
    if chosen.keys() >= {*usual}:
        for column, form in more:
            chosen = table.fitting(chosen, {**chosen, column: form}, width)
    return {column: chosen[column] for column in COLUMNS if column in chosen}


def _widths(table: _Table, forms: Forms, width: int | None) -> list[int]:
    """Return the width of each column: names get what the others leave."""
    widths = {column: table.least(column, form) for column, form in forms.items()}
    if width is None:
        return [table.width(column, form) for column, form in forms.items()]
    room = width - sum(widths.values()) - len(_GAP) * (len(forms) - 1)
    for column, form in forms.items():
        wanted = table.width(column, form) - widths[column]
        widths[column] += max(0, min(room, wanted))
        room -= max(0, min(room, wanted))
    return list(widths.values())


def _line(cells: Sequence[str], widths: list[int], style: str, page: Page) -> Line:
    *fields, last = (
        fitted(cell, width, page.glyphs) for cell, width in zip(cells, widths, strict=True)
    )
    first = Part(fields[0] + _GAP, style)
    return (first, *(Part(field + _GAP) for field in fields[1:]), Part(last.rstrip(), style))
