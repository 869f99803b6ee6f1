"""The prefixes that a container runtime or a service puts before each row of a log in columns.

`worker-1  | `, `[pod/worker-7f/main] ` or `job<TAB>step<TAB>time `: the text in front of Rich's
time and level in the first row of a message precedes its other rows, too. Prefixes are compared by
their shape, since they may hold a time or the name of one of several writers.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LEVELS: Final = r"(?:CRITICAL |(?=.{9})(?:WARNING|NOTSET|DEBUG|ERROR|INFO) {2,5})"
BRACKETED_TIME: Final = r"\[[^\[\]]*\d\d:\d\d[^\[\]]*\] "

_UP_TO_TIME: Final = re.compile(rf"(.{{1,300}}?){BRACKETED_TIME}")
_UP_TO_LEVEL: Final = re.compile(rf"(.{{1,300}}?)(?<!\S){LEVELS}")
_UP_TO_REST: Final = re.compile(r"(.{1,300}?\S\s)\s{9}\s*\S")
_LEVEL: Final = re.compile(rf"(?<!\S){LEVELS}").search
_PARTS: Final = re.compile(r"\w+|\s+|[^\w\s]")
_ENDING: Final = re.compile(r"(.*\S)(\s{0,4})", re.DOTALL).fullmatch
_TIMES: Final = re.compile(
    r"\d{4}[-/]\d\d[-/]\d\d[T ]?|[A-Z][a-z]{2} [ \d]\d |\d{10,19}"
    r"|\d\d:\d\d:\d\d[.,\d]*\s?(?:Z|UTC|[+-]\d\d:?\d\d)?"
)
_BLANK: Final = " " * 9  # a level's column in other rows than the first
_MOST_SHAPES: Final = 16
_SHARE: Final = 0.8  # of the rows that must have a prefix: a program may print past the runtime


class Prefixes:
    """Splits rows into their prefix and what the program wrote.

    Args:
        shapes: Regular expressions, each for the prefixes of one shape.
    """

    def __init__(self, shapes: Sequence[str] = ()) -> None:
        self._match = re.compile("|".join(shapes)).match

    def split(self, row: str) -> tuple[str, str]:
        """Return the prefix of a row, empty if it has none, and the rest."""
        match = self._match(row)
        end = 0 if match is None else match.end()
        return row[:end], row[end:]


def writer_in(prefix: str) -> str:
    """Return a prefix without its times: the rows of one writer have the same."""
    return _TIMES.sub("", prefix)


def prefixes_of(rows: Sequence[str]) -> Prefixes:
    """Return the prefixes of the rows at the beginning of a log."""
    written = [row for row in rows if row.strip()]
    by_time = _learned(written, _UP_TO_TIME)
    if by_time is not None:
        return by_time
    for first_row in (_UP_TO_LEVEL, _UP_TO_REST):
        found = _learned(written, first_row)
        if found is not None and _precedes_rests(found, written):
            return found
    return Prefixes()


def _learned(rows: Sequence[str], first_row: re.Pattern[str]) -> Prefixes | None:
    shapes = Counter(_shapes(rows, first_row)).most_common(_MOST_SHAPES)
    found = Prefixes(sorted((shape for shape, _ in shapes), key=len, reverse=True))
    count = sum(found.split(row)[0] != "" for row in rows)
    return found if shapes and count >= _SHARE * len(rows) else None


def _precedes_rests(prefixes: Prefixes, rows: Sequence[str]) -> bool:
    """Return True if the other rows of messages have the prefix: it is not Rich's own time."""
    split = [prefixes.split(row) for row in rows]
    rests = [prefix != "" for prefix, text in split if text.startswith(_BLANK)]
    return sum(rests) > len(rests) / 2 and any(_LEVEL(text) for _, text in split)


def _shapes(rows: Sequence[str], first_row: re.Pattern[str]) -> Iterator[str]:
    for row in rows:
        match = first_row.match(row)
        ending = None if match is None else _ENDING(match[1])
        if ending is not None and not _LEVEL(ending[0]):
            yield "".join(map(_shape, _PARTS.findall(ending[1]))) + re.escape(ending[2])


def _shape(part: str) -> str:
    if part.isspace():
        return r"\s+"
    return r"\w+" if re.match(r"\w", part) else re.escape(part)
