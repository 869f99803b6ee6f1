"""Ids on a terminal: as short as they can be told apart, with the whole ones in a list below.

A trace shows them so among its spans. The table of a diagnosis has what the deployment wrote beside
what a worker read, and whether they match; it shortens only what does not fit.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from flash_otel.diagnosis import tables
from flash_otel.report import words
from flash_otel.report.layout import Line, Page, Part, fitted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from flash_otel.diagnosis.tables import Match

_STYLES: Final = {
    tables.MATCH: "green",
    tables.MISMATCH: "bold red",
    tables.PASS: "green",
    tables.FAIL: "bold red",
    tables.UNKNOWN: "yellow",
}
RESULTS: Final = {code: (words.RESULTS[code].upper(), style) for code, style in _STYLES.items()}
_NOT_RECORDED: Final = "-"
_GAP: Final = "  "
SHORT: Final = 8  # characters of an id, as in the sentences of a diagnosis
# Ids that are hardly longer than their beginning are not shortened; if there is room, a few more.
_WHOLE: Final = 12
_KEPT: Final = (16, _WHOLE)
# An id, or the beginning of one that a sentence has shortened already.
_TOKEN: Final = re.compile(rf"[0-9A-Za-z][0-9A-Za-z_-]{{{SHORT - 1},}}…?")

_Row = tuple[str, str, str]


class ShortIds:
    """The ids of a report, each with the shortest beginning that no other one has.

    Args:
        ids: The ids; short ones stay whole.
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        ordered = sorted({known for known in ids if len(known) > _WHOLE})
        shared = [_shared(*pair) for pair in pairwise(ordered)]
        lengths = (max(pair) + 1 for pair in pairwise([0, *shared, 0]))
        self._short = {
            known: known[: max(SHORT, length)]
            for known, length in zip(ordered, lengths, strict=False)
        }
        self._whole = {f"{known[:SHORT]}…": known for known in ordered}
        self.used: dict[str, None] = {}

    def of(self, identifier: str) -> str:
        """Return the short form of an id; an unknown id stays whole."""
        short = self._short.get(identifier, identifier)
        if short != identifier:
            self.used.setdefault(identifier)
        return short

    def within(self, text: str) -> str:
        """Return a text with the short forms of all ids in it."""
        if not self._short:
            return text
        return _TOKEN.sub(lambda found: self.of(self._whole.get(found[0], found[0])), text)


def _shared(first: str, second: str) -> int:
    """Return how many characters two texts begin with alike."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(first), len(second)))


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
        page.clean(value or _NOT_RECORDED) for value in (match.name, match.deployed, match.read)
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
        for length in range(SHORT, max(map(len, ids))):
            yield beginnings(ids, length, mark, kept)
    yield {name: name if len(name) <= _WHOLE else mark + name[-SHORT:] for name in ids}


def beginnings(ids: Iterable[str], length: int, mark: str, kept: int = 0) -> dict[str, str]:
    """Return the beginnings of ids, with a mark; those of at most `kept` characters stay whole."""
    return {name: name if len(name) <= max(kept, length) else name[:length] + mark for name in ids}


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
