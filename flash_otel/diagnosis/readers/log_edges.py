"""The edges of a log: operations that its beginning or its end cuts in two.

A log may be split anywhere: one file may end with a request, and another begin with its response.
The records of such lines keep the lines, and diagnosis makes whole records from them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers.log_text import LoggedLine
from flash_otel.lines.format import ParsedLine
from flash_otel.lines.table import FIRST, LAST, ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping

# An attempt is a part of the refresh around it.
_WHOLE: Final = frozenset({sc.ACTIVATE, sc.MANIFEST_UPLOAD, sc.RUNTIME_FETCH})
OPENING: Final = frozenset(key for key in FIRST if ROWS[key].span in _WHOLE)
_CLOSING: Final = frozenset(key for key in LAST if ROWS[key].span in _WHOLE)
_MOST: Final = 40
"""Most lines of an operation, with a margin for retries; longer pieces are left alone."""


@dataclass
class _WriterEdges:
    """A writer's lines before its first whole operation, and those of its latest operation."""

    head: list[LoggedLine] = field(default_factory=list)
    latest: list[LoggedLine] = field(default_factory=list)
    is_in_head: bool = True
    is_closed: bool = False


class Edges:
    """Collects each writer's lines at the edges of a log."""

    def __init__(self) -> None:
        self._streams: dict[str, _WriterEdges] = {}

    def note(self, logged: LoggedLine) -> None:
        """Add the log's next line."""
        stream = self._streams.setdefault(logged.stream, _WriterEdges())
        key = logged.parsed.key
        if key in OPENING:
            stream.is_in_head = stream.is_closed = False
            stream.latest = []
        lines = stream.head if stream.is_in_head else stream.latest
        if not stream.is_closed and len(lines) <= _MOST:
            lines.append(logged)
        if key in _CLOSING:
            stream.is_closed = True
            stream.latest = []

    def lines_around(self, stream: str, number: int) -> list[LoggedLine]:
        """Return the lines of the piece that contains a line number; empty if no piece does."""
        known = self._streams.get(stream)
        pieces = (known.head, known.latest) if known is not None else ()
        for piece in pieces:
            if len(piece) <= _MOST and any(line.number == number for line in piece):
                return piece
        return []


# --- lines in an attribute ------------------------------------------------------------------------


def encoded(line: LoggedLine) -> str:
    """Encode a line as the value of an attribute."""
    parsed = line.parsed
    place = (line.stream, line.time_ns, line.zoned, line.is_longest, line.begun, line.before)
    content = (parsed.key, parsed.fields, sorted(parsed.cut), parsed.last)
    return json.dumps([line.number, content, place])


def decoded(text: str) -> LoggedLine:
    """Decode a line that `encoded` has encoded."""
    number, (key, fields, cut, last), place = json.loads(text)
    return LoggedLine(number, ParsedLine(key, _with_tuples(fields), frozenset(cut), last), *place)


def _with_tuples(fields: Mapping[str, object]) -> dict[str, object]:
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
