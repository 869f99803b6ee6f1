"""Logs in columns, as Rich prints them: time, level, message, and the source location.

`rich.logging.RichHandler` and `rich.console.Console.log` break a message at words within its
column, and fill the other columns only in its first row. Without a terminal the width is 80, which
is too narrow for most bracketed lines. Rich leaves out a time that equals the previous one.

What a container runtime or an export puts around each row is taken off first.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from flash_otel.diagnosis.readers.log_entry import Unwrapped, joined, time_of
from flash_otel.diagnosis.readers.log_layout import Layout, layout_of, would_fit
from flash_otel.diagnosis.readers.log_prefixes import LEVELS, Prefixes, prefixes_of, writer_in
from flash_otel.diagnosis.readers.log_scan import (
    text_lines,
    unwrap,
    with_prefix,
    without_colours,
)
from flash_otel.lines.table import LINES, MARK
from flash_otel.lines.values import UUID

if TYPE_CHECKING:
    from collections.abc import Mapping

Entries = Callable[[Iterable[bytes]], Iterator[tuple[int, Unwrapped]]]
"""Yields the entries of a log, each behind the number of its first line in the file."""

_MOST_ROWS: Final = 2000  # of one message
_MOST_WAITING: Final = 200  # entries behind a message of a writer that prints no more
# What such logs hold, unless journald wrote their rows as lists of bytes.
_HINT: Final = re.compile(rf'{LEVELS}|\.pyx?:\d|"MESSAGE" ?: ?\[').search
# The beginnings of rows that Rich did not break off: a bracketed line, an entry or the end of a
# mapping, the frame around a traceback.
_OWN_ROW: Final = re.compile(rf"\[?{MARK.pattern}|\s{{2}}|\}}|[\u2500-\u257f]").match
_WORDS: Final = frozenset(
    word for line in LINES for word in line.template.split() if "{" not in word
)
_ENDS_WITH_UUID: Final = re.compile(rf"(?:{UUID.pattern})\Z").search


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """A row of a log in columns.

    Attributes:
        number: The number of its line in the file.
        entry: The line as its container knows it, with the row's prefix.
        text: What the program wrote, without colours.
        writer: Which of several programs wrote it.
        stream: The same, as other readers name it.
        time: The time that its container or its prefix names, and whether it has an offset.
    """

    number: int
    entry: Unwrapped
    text: str
    writer: str = ""
    stream: str = ""
    time: tuple[int | None, bool] = (None, False)

    def without(self, prefixes: Prefixes) -> ColumnRow:
        """Return the row without its prefix."""
        prefix, text = prefixes.split(self.text)
        known = with_prefix(self.entry, prefix)
        writer = joined(self.entry.stream, writer_in(prefix))
        return ColumnRow(
            self.number, self.entry, text, writer, known.stream, (known.time_ns, known.zoned)
        )


def rows_in(chunks: Iterable[bytes], inner: Entries | None) -> Iterator[ColumnRow]:
    """Yield the rows that a log's lines or a container's entries hold."""
    lines = ((at, Unwrapped(line)) for at, line in enumerate(text_lines(chunks), 1))
    for number, entry in lines if inner is None else inner(chunks):
        for part in entry.text.split("\n"):
            line = unwrap(part.rstrip("\r"), entry)
            for text in line.text.split("\n"):
                plain = without_colours(text).lstrip("\ufeff").rstrip("\r")
                yield ColumnRow(number, replace(line, text=text), plain)


class Columns:
    """The container of a log in columns.

    Args:
        layouts: The layout of each writer's rows, the most common one first.
        prefixes: What precedes the rows.
        inner: Yields the entries in which the rows are; None for plain lines.
        description: What to call it in a message.
    """

    def __init__(
        self,
        layouts: Mapping[str, Layout],
        prefixes: Prefixes,
        inner: Entries | None,
        description: str,
    ) -> None:
        self.description = description
        self._layouts = layouts
        self._any_layout = next(iter(layouts.values()))
        self._prefixes = prefixes
        self._inner = inner
        self._is_ended = True

    def entries(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, Unwrapped]]:
        """Yield the messages in one piece, each with its time, and other lines unchanged."""
        queue = _Queue()
        for bare in rows_in(self._noted(chunks), self._inner):
            row = bare.without(self._prefixes)
            layout = self._layouts.get(row.writer, self._any_layout)
            if not queue.takes(layout, row):
                queue.add(layout, row)
            yield from queue.finished()
        yield from queue.rest(is_ended=self._is_ended)

    def _noted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._is_ended = chunk.endswith(b"\n") if chunk else self._is_ended
            yield chunk


class _Queue:
    """Yields messages and other lines in the order of their beginnings.

    Several writers may print at the same time, so that the rows of their messages mix.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Message | tuple[int, Unwrapped]] = deque()
        self._open: dict[str, _Message] = {}  # by writer
        self._times: dict[str, tuple[int | None, bool]] = {}

    def takes(self, layout: Layout, row: ColumnRow) -> bool:
        """Add a row to its writer's open message; return False if it does not belong there."""
        message = self._open.get(row.writer)
        return message is not None and message.takes(layout, row.text)

    def add(self, layout: Layout, row: ColumnRow) -> None:
        """Add a row that begins a message, or another line."""
        self._open.pop(row.writer, None)
        if not layout.begins(row.text):
            self._waiting.append((row.number, row.entry))
            return
        message = _Message.of(layout, row, self._time_of(layout, row))
        self._open[row.writer] = message
        self._waiting.append(message)

    def _time_of(self, layout: Layout, row: ColumnRow) -> tuple[int | None, bool]:
        if row.time[0] is not None:
            return row.time
        given = time_of(row.text[: layout.message])
        if given[0] is not None:
            self._times[row.writer] = given
        return self._times.get(row.writer, given)

    def finished(self) -> Iterator[tuple[int, Unwrapped]]:
        """Yield what precedes the first message that may get further rows."""
        while self._waiting:
            first = self._waiting[0]
            if self._is_open(first) and len(self._waiting) <= _MOST_WAITING:
                return
            yield from self._next()

    def rest(self, *, is_ended: bool) -> Iterator[tuple[int, Unwrapped]]:
        """Yield all remaining entries; the log's end may have cut the messages that are open."""
        while self._waiting:
            yield from self._next(is_last=True, is_ended=is_ended)

    def _next(self, **end: bool) -> Iterator[tuple[int, Unwrapped]]:
        item = self._waiting.popleft()
        if not isinstance(item, _Message):
            yield item
        elif self._is_open(item):
            del self._open[item.writer]
            yield item.number, item.entry(**end)
        else:
            yield item.number, item.entry()

    def _is_open(self, item: _Message | tuple[int, Unwrapped]) -> bool:
        return isinstance(item, _Message) and self._open.get(item.writer) is item


@dataclass(slots=True)
class _Message:
    """The rows of a message.

    Attributes:
        number: The number of its first line.
        rows: The contents of the message's column in its rows.
        room: The width of that column, which depends on the source location.
        writer: The writer of its rows.
        stream: The same, as other readers name it.
        time: Its time, and whether the time has an offset from UTC.
    """

    number: int
    rows: list[str]
    room: int
    writer: str
    stream: str
    time: tuple[int | None, bool]

    @classmethod
    def of(cls, layout: Layout, row: ColumnRow, time: tuple[int | None, bool]) -> _Message:
        place = layout.place_in(row.text)
        room = layout.width - layout.message - (len(place) + 1 if place else 0)
        first = layout.message_in(row.text, place)
        return cls(row.number, [first], room, row.writer, row.stream, time)

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
        return Unwrapped(text, self.stream, *self.time, None, is_open)


def _between(text: str, before: str, row: str, room: int) -> str:
    """Return the text between two rows: a line end, a space, or nothing within a long word."""
    if not row and len(before) >= room:
        return ""  # a space after a word that fills whole rows gets its own row
    if not row or _OWN_ROW(row) or would_fit(before, row, room):
        return "\n"
    # A word that is longer than the column begins a row, so such a row has no other word.
    if len(before) < room or " " in before.strip() or row.startswith(" "):
        return " "
    word, following = re.split(r"\s", text)[-1], row.split(maxsplit=1)[0]
    is_id = _ENDS_WITH_UUID(word) and not following.startswith(",")
    is_whole = word in _WORDS or following in _WORDS or is_id
    return " " if is_whole else ""


# --- recognition ----------------------------------------------------------------------------------


def columns_of(
    text: str, inner: Entries | None = None, description: str = "text"
) -> Columns | None:
    """Return the container of a log that begins in columns, or None.

    Args:
        text: The beginning of the log.
        inner: Yields the entries in which the rows are; None for plain lines.
        description: What to call it in a message.
    """
    if inner is None and _HINT(text) is None:
        return None
    bare = list(rows_in([text.encode()], inner))
    for prefixes in (prefixes_of([row.text for row in bare]), Prefixes()):
        rows: dict[str, list[str]] = defaultdict(list)
        for row in (row.without(prefixes) for row in bare):
            rows[row.writer].append(row.text)
        by_length = sorted(rows, key=lambda writer: -len(rows[writer]))
        layouts = {known: layout for known in by_length if (layout := layout_of(rows[known]))}
        if layouts:
            return Columns(layouts, prefixes, inner, description)
    return None
