"""Logs in columns, as Rich prints them: time, level, message, and the source location.

`rich.logging.RichHandler` and `rich.console.Console.log` break a message at words within its
column, and fill the other columns only in its first row. Without a terminal the width is 80, which
is too narrow for most bracketed lines. The columns are detected in the log: all levels begin, or
all source locations end, at the same position. Rich leaves out a time that equals the previous one.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from flash_otel.diagnosis.readers.log_entry import Unwrapped, time_of
from flash_otel.diagnosis.readers.log_scan import text_lines, without_colours
from flash_otel.lines.table import LINES, MARK
from flash_otel.lines.values import UUID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LEVEL_WIDTH: Final = 8
_LEVEL: Final = re.compile(
    r".{0,60}?(?<!\S)(?:(CRITICAL) |(?=.{9})((?:WARNING|NOTSET|DEBUG|ERROR|INFO) {2,5}))"
).match
_CELL: Final = re.compile(r"[A-Z][A-Z0-9_]{2,7} +").fullmatch
_TIME: Final = re.compile(r"\[[^\[\]]*\d\d:\d\d[^\[\]]*\] ").match
_PLACE: Final = re.compile(r"(?:\A|\s)([^\s\[\]='\",]+\.pyx?:\d+|<\w+>:\d+)\s*\Z").search
_LEAST: Final = 2  # rows with a source location: a single row may be the end of a sentence
_MOST_ROWS: Final = 2000  # of one message
# The beginnings of rows that Rich did not break off: a bracketed line, an entry or the end of a
# mapping, the frame around a traceback.
_OWN_ROW: Final = re.compile(rf"\[?{MARK.pattern}|\s{{2}}|\}}|[\u2500-\u257f]").match
_WORDS: Final = frozenset(
    word for line in LINES for word in line.template.split() if "{" not in word
)
_ENDS_WITH_UUID: Final = re.compile(rf"(?:{UUID.pattern})\Z").search


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
        return self.message > 0 or len(row) == self.width or not _would_fit(before, row, room)


class Columns:
    """The container of a log in columns."""

    description = "text"

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._is_ended = True

    def entries(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, Unwrapped]]:
        """Yield the messages in one piece, each with its time, and other lines unchanged."""
        layout, open_ = self._layout, None
        time: tuple[int | None, bool] = (None, False)
        for number, line in enumerate(text_lines(self._noted(chunks)), 1):
            row = without_colours(line)
            if open_ is not None and open_.takes(layout, row):
                continue
            if open_ is not None:
                yield open_.number, open_.entry()
            open_ = None
            if not layout.begins(row):
                yield number, Unwrapped(line)
                continue
            given = time_of(row[: layout.message])
            time = time if given[0] is None else given
            open_ = _Message.of(layout, number, row, time)
        if open_ is not None:
            yield open_.number, open_.entry(is_last=True, is_ended=self._is_ended)

    def _noted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._is_ended = chunk.endswith(b"\n") if chunk else self._is_ended
            yield chunk


@dataclass(slots=True)
class _Message:
    """The rows of a message.

    Attributes:
        number: The number of its first line.
        rows: The contents of the message's column in its rows.
        room: The width of that column, which depends on the source location.
        time: Its time, and whether the time has an offset from UTC.
    """

    number: int
    rows: list[str]
    room: int
    time: tuple[int | None, bool]

    @classmethod
    def of(cls, layout: Layout, number: int, row: str, time: tuple[int | None, bool]) -> _Message:
        place = layout.place_in(row)
        room = layout.width - layout.message - (len(place) + 1 if place else 0)
        return cls(number, [layout.message_in(row, place)], room, time)

    def takes(self, layout: Layout, row: str) -> bool:
        """Add a row; return False if it does not belong here."""
        if layout.begins(row) or len(self.rows) >= _MOST_ROWS:
            return False
        if not layout.continues(row, self.rows[-1], self.room):
            return False
        self.rows.append(layout.message_in(row))
        return True

    def entry(self, *, is_last: bool = False, is_ended: bool = True) -> Unwrapped:
        """Return the message as one text."""
        text = self.rows[0]
        for before, row in pairwise(self.rows):
            text += _between(text, before, row, self.room) + row.lstrip(" " * (row[:2] != "  "))
        # A full row may continue in another row, which the log has lost.
        is_open = is_last and (not is_ended or len(self.rows[-1]) >= self.room)
        return Unwrapped(text, "", *self.time, None, is_open)


def _would_fit(before: str, row: str, room: int) -> bool:
    """Return True if the first word of a row would have fitted into the previous row."""
    first = (row.split(maxsplit=1) or [""])[0]
    return len(before) + 1 + len(first) <= room


def _between(text: str, before: str, row: str, room: int) -> str:
    """Return the text between two rows: a line end, a space, or nothing within a long word."""
    if not row and len(before) >= room:
        return ""  # a space after a word that fills whole rows gets its own row
    if not row or _OWN_ROW(row) or _would_fit(before, row, room):
        return "\n"
    # A word that is longer than the column begins a row, so such a row has no other word.
    if len(before) < room or " " in before.strip() or row.startswith(" "):
        return " "
    word, following = re.split(r"\s", text)[-1], row.split(maxsplit=1)[0]
    is_id = _ENDS_WITH_UUID(word) and not following.startswith(",")
    is_whole = word in _WORDS or following in _WORDS or is_id
    return " " if is_whole else ""


# --- recognition ----------------------------------------------------------------------------------


def columns_of(text: str) -> Columns | None:
    """Return the container of a log that begins in columns, or None."""
    rows = [without_colours(line.rstrip("\r")) for line in text.split("\n")]
    # A list of files with line numbers ends like a column, but other rows are longer than it.
    longest = max((len(row.rstrip()) for row in rows), default=0)
    placed = [row.rstrip() for row in rows if _PLACE(row)]
    own = {len(row) for row in placed if _TIME(row) or _level_at(row) is not None}
    ends = Counter(len(row) for row in placed if len(row) in own or len(row) == longest)
    width, count = max(ends.items(), key=lambda item: item[1], default=(0, 0))
    levels = Counter(at for row in rows if (at := _level_at(row)) is not None)
    level = max(levels, key=lambda at: levels[at], default=None)
    if count >= _LEAST:
        return Columns(Layout(level, _message_at(rows, level), width))
    if level is None:
        return None
    return _without_places(rows, level)


def _message_at(rows: list[str], level: int | None) -> int:
    if level is not None:
        return level + _LEVEL_WIDTH + 1
    times = Counter(match.end() for row in rows if (match := _TIME(row)))
    return max(times, key=lambda at: times[at], default=0)


def _without_places(rows: list[str], level: int) -> Columns | None:
    """Return the container of a log in which only broken messages show columns, or None."""
    message = level + _LEVEL_WIDTH + 1
    own = [row for row in rows if _level_at(row) == level or not row[:message].strip()]
    layout = Layout(level, message, max(map(len, own)))
    room = layout.width - message
    for before, row in pairwise(rows):
        is_first = layout.begins(before) and not layout.begins(row)
        begun = layout.message_in(before)
        is_rest = is_first and row[:message].isspace() and not row[message : message + 1].isspace()
        if is_rest and row.strip() and not _would_fit(begun, row, room):
            return Columns(layout)
    return None


def _level_at(row: str) -> int | None:
    """Return the position of the padded level in a row, or None."""
    found = _LEVEL(row)
    at = -1 if found is None else found.start(found.lastindex or 0)
    return at if at >= 0 and _CELL(row[at : at + _LEVEL_WIDTH + 1]) else None
