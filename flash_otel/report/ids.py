"""The table of ids: what the deployment wrote beside what a worker read, and whether they match.

Where the whole ids do not fit beside their result, the table shows their beginnings, and the whole
ids follow below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from flash_otel.diagnosis import tables
from flash_otel.report import words
from flash_otel.report.layout import Line, Page, Part, fitted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from flash_otel.diagnosis.tables import Match

RESULTS: Final = {
    tables.MATCH: ("MATCH", "green"),
    tables.MISMATCH: ("MISMATCH", "bold red"),
    tables.PASS: ("PASS", "green"),
    tables.FAIL: ("FAIL", "bold red"),
    tables.UNKNOWN: ("?", "yellow"),
}
_NOT_RECORDED: Final = "-"
_GAP: Final = "  "
_SHORT: Final = 8  # characters of an id, as in the sentences of a diagnosis
_KEPT: Final = (16, 12)  # ids that are hardly longer than their beginning are not shortened

_Row = tuple[str, str, str]


def ids_lines(matches: Sequence[Match], page: Page) -> Iterator[Line]:
    """Yield the table of ids."""
    rows = [("", "deployed", "read"), *(_row(match, page) for match in matches)]
    results = [("", ""), *(RESULTS[match.result] for match in matches)]
    whole = rows
    if not _fits(rows, page):
        rows = _shortened(rows, page)
    widths = _widths(rows)
    for row, (mark, style) in zip(rows, results, strict=True):
        cells = (fitted(cell, width, page.glyphs) for cell, width in zip(row, widths, strict=True))
        yield (Part(_GAP + _GAP.join(cells) + _GAP), Part(mark, style))
    if rows is not whole:
        yield from _in_full(whole, rows)


def _row(match: Match, page: Page) -> _Row:
    name, deployed, read = (
        words.encodable(words.clean(value or _NOT_RECORDED), page.encoding)
        for value in (match.name, match.deployed, match.read)
    )
    return name, deployed, read


def _widths(rows: Sequence[_Row]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]


def _fits(rows: Sequence[_Row], page: Page) -> bool:
    longest = max(len(mark) for mark, _ in RESULTS.values())
    taken = sum(_widths(rows)) + len(_GAP) * (len(rows[0]) + 1) + longest
    return page.width is None or taken <= page.width


def _shortened(rows: Sequence[_Row], page: Page) -> list[_Row]:
    """Return the rows with ids that are as short as they must be, and still differ."""
    ids = {value for row in rows[1:] for value in row[1:]}
    for cut in _cuts(ids, page.glyphs.cut):
        found = _replaced(rows, cut)
        if len(set(cut.values())) == len(ids) and _fits(found, page):
            return found
    # They follow below the table, whole.
    return _replaced(rows, next(_cuts(ids, page.glyphs.cut)))


def _cuts(ids: Collection[str], mark: str) -> Iterator[dict[str, str]]:
    """Yield ways to shorten ids, the best first: to their beginnings, or else to their ends."""
    for kept in _KEPT:
        for length in range(_SHORT, max(map(len, ids)) + 1):
            yield {name: _beginning(name, kept, length, mark) for name in ids}
    yield {name: name if len(name) <= _KEPT[-1] else mark + name[-_SHORT:] for name in ids}


def _beginning(name: str, kept: int, length: int, mark: str) -> str:
    return name if len(name) <= max(kept, length) else name[:length] + mark


def _replaced(rows: Sequence[_Row], cut: dict[str, str]) -> list[_Row]:
    return [rows[0], *((name, cut[deployed], cut[read]) for name, deployed, read in rows[1:])]


def _in_full(whole: Sequence[_Row], shown: Sequence[_Row]) -> Iterator[Line]:
    """Yield the ids that the table shortens, each once per row."""
    width = _widths(whole)[0]
    cut = [row for row, short in zip(whole, shown, strict=True) if row != short]
    yield ()
    for name, *values in cut:
        known = dict.fromkeys(value for value in values if value != _NOT_RECORDED)
        for number, value in enumerate(known):
            lead = f"{_GAP}{'' if number else name:<{width}}{_GAP}"
            yield (Part(lead, "dim", cell_len(lead)), Part(value))
