"""The files that logs are exported in: JSON documents and tables, recognised by their own shape.

A log in which each line stands for itself needs no container, even if its lines are JSON: it is
searched for marks before any of it is parsed.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from flash_otel.diagnosis.readers.broken_lines import BrokenLines, width_of
from flash_otel.diagnosis.readers.json_values import JsonSplitter
from flash_otel.diagnosis.readers.log_entry import Unwrapped, has_needle
from flash_otel.diagnosis.readers.log_fields import (
    entries_in,
    entry_of,
    from_fields,
    holds_entries,
    is_text_name,
    surroundings,
)
from flash_otel.diagnosis.readers.log_scan import MAX_LINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Entry = tuple[int, Unwrapped]
"""A log entry, of one or several lines, behind the number of its first line in the file."""

_DOCUMENT: Final = re.compile(r'\[\s*[\[{"]|\{\s*"')
_DELIMITERS: Final = ",\t;|"
_LONGEST_HEADER: Final = 4096
_MAX_NAME: Final = 64
_EXCEL: Final = re.compile(r"sep=(.)\Z")


class Container(Protocol):
    """A file that holds log entries.

    Attributes:
        description: What to call it in a message.
    """

    description: str

    def entries(self, chunks: Iterable[bytes]) -> Iterator[Entry]:
        """Yield the entries in their order; no content raises."""


def container_of(head: bytes) -> Container | None:
    """Return the container that a file is by its first bytes, or None for lines of a log."""
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if _DOCUMENT.match(text):
        return None if _is_entry(text.partition("\n")[0]) else _Document(text)
    table = _table_of(text)
    width = width_of(text) if table is None else None
    return table if width is None else BrokenLines(width)


def _is_entry(line: str) -> bool:
    """Return True if a line is a JSON object that is a log entry by itself."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and entry_of(value, Unwrapped("")) is not None


class _Document:
    """JSON in one document, or in several: objects and arrays on one line or on many.

    Args:
        head: Its first characters.
    """

    description = "a JSON document"

    def __init__(self, head: str) -> None:
        # In a document on one line, the number of an entry is worth more than that of its line.
        self._is_one_line = "\n" not in head.rstrip()

    def entries(self, chunks: Iterable[bytes]) -> Iterator[Entry]:
        """Yield the entries within all objects and arrays, and lines that are not JSON."""
        count, outer = 0, Unwrapped("")
        known: tuple[tuple[int, int], ...] = ()
        for found in JsonSplitter(chunks, holds_entries).values():
            # Fields are only ever added, so their number shows whether there are more.
            if known != (known := tuple((id(fields), len(fields)) for fields in found.around)):
                outer = Unwrapped("")
                for fields in found.around:
                    outer = surroundings(fields, outer)
            # What is not JSON here is a part of a damaged document: its end is not proven.
            texts = entries_in(found.value, outer) if found.is_json else (_damaged(found.value),)
            for entry in texts:
                count += 1
                yield (count if self._is_one_line else found.number), entry


def _damaged(line: str) -> Unwrapped:
    return Unwrapped(line, cut='"' in line)


class _Table:
    """A table with a header: CSV, or with another character between its columns."""

    def __init__(self, names: list[str], delimiter: str) -> None:
        self._names = names
        self._delimiter = delimiter
        self.description = f"a table with the columns {', '.join(names)}"

    def entries(self, chunks: Iterable[bytes]) -> Iterator[Entry]:
        """Yield the rows' texts."""
        # The limit is one of the whole process, so it is only ever raised.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
        lines = _TextLines(chunks)
        rows = csv.reader(lines, delimiter=self._delimiter)
        number = 1
        while True:
            try:
                row = next(rows, None)
            except csv.Error:  # a quote that nothing closes
                row = []
            if row is None:
                return
            is_cut = lines.take_is_cut()
            entry = None if _is_header(row, self._names) else self._entry(row)
            if entry is not None:
                yield number, replace(entry, cut=entry.cut or is_cut)
            number = rows.line_num + 1

    def _entry(self, row: list[str]) -> Unwrapped | None:
        is_long = len(row) > len(self._names)
        if is_long and is_text_name(self._names[-1]):
            # An exporter that quotes nothing: the last column goes on behind its first comma.
            last = len(self._names) - 1
            row = [*row[:last], self._delimiter.join(row[last:])]
            is_long = False
        fields = dict(zip(self._names, row, strict=False))
        return from_fields(fields, Unwrapped("", cut=is_long))


def _table_of(text: str) -> _Table | None:
    for line in text.split("\n", 2)[:2]:  # Excel's files may have a line before the header
        header = line.rstrip("\r")
        if not header or len(header) > _LONGEST_HEADER or has_needle(header):
            return None
        if _EXCEL.match(header):
            continue
        for delimiter in _DELIMITERS:
            names = _cells(header, delimiter)
            if _are_names(names, is_quoted=header.startswith('"')):
                return _Table(names, delimiter)
        return None
    return None


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _are_names(names: list[str], *, is_quoted: bool) -> bool:
    if len(names) == 1 and not is_quoted:
        return False
    is_short = all(len(name) <= _MAX_NAME for name in names)
    return is_short and any(map(is_text_name, names))


def _is_header(row: list[str], names: list[str]) -> bool:
    is_excel = len(row) > 0 and row[0].lstrip("\ufeff").startswith("sep=")
    return not row or is_excel or [name.lstrip("\ufeff") for name in row] == names


class _TextLines:
    """The lines of a table's bytes, and whether its latest row was cut off."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._lines = self._read(chunks)
        self._quotes = 0
        self._ended = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._quotes += line.count('"')
        self._ended = line.endswith("\n")
        return line

    def take_is_cut(self) -> bool:
        """Return True if the lines since the last call open a quote, or lack a line end."""
        is_cut = self._quotes % 2 == 1 or not self._ended
        self._quotes = 0
        return is_cut

    @staticmethod
    def _read(chunks: Iterable[bytes]) -> Iterator[str]:
        decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
        pending = ""
        for chunk in chunks:
            *lines, pending = (pending + decode(chunk)).replace("\0", "").split("\n")
            yield from (f"{line}\n" for line in lines)
        pending += decode(b"", final=True)
        if pending:
            yield pending
