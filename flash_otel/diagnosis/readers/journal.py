"""Journals of systemd, as `journalctl` prints them with `-o export` and `-o verbose`.

Formats: systemd's "Journal Export Formats", and `output_verbose` of its logs-show.c.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any, Final

from flash_otel.diagnosis.readers.log_entry import Unwrapped
from flash_otel.diagnosis.readers.log_fields import from_fields
from flash_otel.diagnosis.readers.log_scan import MAX_LINE, text_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
_EXPORT: Final = re.compile(r"__(?:CURSOR|REALTIME_TIMESTAMP|MONOTONIC_TIMESTAMP|SEQNUM)=")
_NAME: Final = re.compile(rb"[A-Z_][A-Z0-9_]{0,63}")
_LENGTH: Final = struct.Struct("<Q")
_VERBOSE: Final = re.compile(
    r"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?) (\S{1,6}) \[s=[^\]\s]+\]"
)
_FIELD: Final = re.compile(r"    ([A-Z_][A-Z0-9_]{0,63})=(.*)", re.DOTALL)


def journal_of(text: str) -> _Export | _Verbose | None:
    """Return the journal that a text begins with, or None."""
    if _EXPORT.match(text):
        return _Export()
    return _Verbose() if _VERBOSE.match(text) else None


class _Export:
    """`journalctl -o export`: a field per line, a length before binary data, then a blank line."""

    description = "a journal in systemd's export format"

    def entries(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, Unwrapped]]:
        """Yield the entries; a field that is damaged costs only its own line."""
        lines = _Bytes(chunks)
        fields: dict[str, Any] = {}
        number = 1
        while (line := lines.line()) is not None:
            name, equals, value = line.partition(b"=")
            if line and _NAME.fullmatch(name):
                found = value if equals else lines.block()
                fields.setdefault(name.decode(), found.decode("utf-8", "replace"))
            elif not line:
                yield from _entry(number, fields)
                fields, number = {}, lines.number + 1
        yield from _entry(number, fields)


class _Bytes:
    """Reads bytes by line and by length."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""
        self.number = 0

    def line(self) -> bytes | None:
        """Return the next line without its line end; None at the end."""
        is_long = False
        while b"\n" not in self._rest and self._fill():
            # A compressed journal may hold gigabytes without a line end.
            if len(self._rest) > MAX_LINE and b"\n" not in self._rest:
                self._rest, is_long = b"=", True
        if not self._rest:
            return None
        line, _, self._rest = self._rest.partition(b"\n")
        self.number += 1
        return b"=" if is_long or len(line) > MAX_LINE else line.rstrip(b"\r")

    def block(self) -> bytes:
        """Return the bytes after a length, and skip the line end after them."""
        header = self._take(_LENGTH.size)
        if len(header) < _LENGTH.size:
            return b""
        (length,) = _LENGTH.unpack(header)
        # An impossible length is part of the text: the field is damaged.
        block = self._take(length) if length <= MAX_LINE else b""
        self.number += block.count(b"\n") + 1
        self._take(1)
        return block

    def _take(self, size: int) -> bytes:
        while len(self._rest) < size and self._fill():
            pass
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def _fill(self) -> bool:
        chunk = next(self._chunks, None)
        self._rest += chunk or b""
        return chunk is not None


class _Verbose:
    """`journalctl -o verbose`: a line with the time, then the fields with an indent."""

    description = "a journal in systemd's verbose format"

    def entries(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, Unwrapped]]:
        """Yield the entries; any other line continues the previous field."""
        fields: dict[str, Any] = {}
        name, begun = "", 1
        for number, line in enumerate(text_lines(chunks), 1):
            head, field = _VERBOSE.match(line), _FIELD.fullmatch(line)
            if head is not None:
                yield from _entry(begun, fields)
                fields, name, begun = {"time": f"{head[1]} {head[2]}"}, "", number
            elif field is not None:
                name = field[1]
                fields[name] = field[2]
            elif name:
                indent = len(f"    {name}=")
                text = line[indent:] if not line[:indent].strip() else line.strip()
                fields[name] = f"{fields[name]}\n{text}"
        yield from _entry(begun, fields)


def _entry(number: int, fields: dict[str, Any]) -> Iterator[tuple[int, Unwrapped]]:
    entry = from_fields({name: fields[name] for name in fields if name in _USED}, Unwrapped(""))
    if entry is not None:
        yield number, entry


_USED: Final = frozenset(
    {"MESSAGE", "__REALTIME_TIMESTAMP", "_HOSTNAME", "SYSLOG_IDENTIFIER", "_PID", "time"}
)
