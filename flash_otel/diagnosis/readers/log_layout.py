"""The layout of a log in columns: the positions of Rich's columns, as a log's rows show them.

All levels begin, or all source locations end, at the same position.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from flash_otel.diagnosis.readers.log_prefixes import BRACKETED_TIME, LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEVEL_WIDTH: Final = 8
_LEVEL: Final = re.compile(rf".{{0,60}}?(?<!\S)({LEVELS})").match
_CELL: Final = re.compile(r"[A-Z][A-Z0-9_]{2,7} +").fullmatch
_TIME: Final = re.compile(BRACKETED_TIME).match
_PLACE: Final = re.compile(r"(?:\A|\s)([^\s\[\]='\",]+\.pyx?:\d+|<\w+>:\d+)\s*\Z").search
_LEAST: Final = 2  # rows with a source location: a single row may be the end of a sentence


@dataclass(frozen=True, slots=True)
class Layout:
    """The positions of a log's columns.

    Attributes:
        level: The position of the level, or None if none is printed.
        message: The position of the message.
        width: The number of characters in a full row.
    """

    level: int | None
    message: int
    width: int

    def begins(self, row: str) -> bool:
        """Return True for the first row of a message."""
        if self.level is not None:
            before = row[: self.level]
            is_level = _CELL(row[self.level : self.message])
            return bool(is_level) and (not before.strip() or before[-1].isspace())
        return self.place_in(row) != "" or bool(_TIME(row))

    def place_in(self, row: str) -> str:
        """Return the source location that a row ends with, or an empty text."""
        place = _PLACE(row) if len(row.rstrip()) == self.width else None
        return "" if place is None else place[1]

    def message_in(self, row: str, place: str = "") -> str:
        """Return a row's part of the message."""
        end = self.width - len(place) if place else len(row)
        return row[self.message : end].rstrip()

    def continues(self, row: str, before: str, room: int) -> bool:
        """Return True if a row continues the message of the previous row."""
        if row[: self.message].strip():
            return False
        return self.message > 0 or len(row) == self.width or not would_fit(before, row, room)


def layout_of(rows: Sequence[str]) -> Layout | None:
    """Return the layout of the rows at the beginning of a log, or None."""
    # A list of files with line numbers ends like a column, but other rows are longer than it.
    longest = max((len(row.rstrip()) for row in rows), default=0)
    placed = [row.rstrip() for row in rows if _PLACE(row)]
    own = {len(row) for row in placed if _TIME(row) or _level_at(row) is not None}
    ends = Counter(len(row) for row in placed if len(row) in own or len(row) == longest)
    width, count = max(ends.items(), key=lambda item: item[1], default=(0, 0))
    levels = Counter(at for row in rows if (at := _level_at(row)) is not None)
    level = max(levels, key=lambda at: levels[at], default=None)
    if count >= _LEAST:
        return Layout(level, _message_at(rows, level), width)
    return None if level is None else _without_places(rows, level)


def _message_at(rows: Sequence[str], level: int | None) -> int:
    if level is not None:
        return level + _LEVEL_WIDTH + 1
    times = Counter(match.end() for row in rows if (match := _TIME(row)))
    return max(times, key=lambda at: times[at], default=0)


def _without_places(rows: Sequence[str], level: int) -> Layout | None:
    """Return the layout of a log in which only broken messages show columns, or None."""
    message = level + _LEVEL_WIDTH + 1
    own = [row for row in rows if _level_at(row) == level or not row[:message].strip()]
    layout = Layout(level, message, max(map(len, own)))
    room = layout.width - message
    for before, row in pairwise(rows):
        is_first = layout.begins(before) and not layout.begins(row)
        begun = layout.message_in(before)
        is_rest = is_first and row[:message].isspace() and not row[message : message + 1].isspace()
        if is_rest and row.strip() and not would_fit(begun, row, room):
            return layout
    return None


def _level_at(row: str) -> int | None:
    """Return the position of the padded level in a row, or None."""
    found = _LEVEL(row)
    if found is None:
        return None
    at = found.start(1)
    return at if _CELL(row[at : at + _LEVEL_WIDTH + 1]) else None


def would_fit(before: str, row: str, room: int) -> bool:
    """Return True if the first word of a row would have fitted into the previous row."""
    first = (row.split(maxsplit=1) or [""])[0]
    return len(before) + 1 + len(first) <= room
