"""Tables of log entries: CSV, or with another delimiter.

A table is recognised by the names in its header or, if none of them is known, by its rows: one
column holds times, and another holds bracketed lines.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from flash_otel.diagnosis.readers import log_fields
from flash_otel.diagnosis.readers.log_entry import Unwrapped, has_needle, time_in, time_of
from flash_otel.diagnosis.readers.log_scan import MAX_LINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DELIMITERS: Final = ",\t;|"
_LONGEST_HEADER: Final = 4096
_MAX_NAME: Final = 64
_LEAST: Final = 2  # rows, and columns
_EXCEL: Final = re.compile(r"sep=(.)\Z")
_UTC: Final = re.compile(r"[\[(]UTC[\])]")


class Table:
    """A table with a header: CSV, or with another delimiter."""

    def __init__(self, names: list[str], delimiter: str) -> None:
        self._names = names
        self.delimiter = delimiter
        self._is_utc = any(map(_UTC.search, names))
        self.description = f"a table with the columns {', '.join(names)}"

    def entries(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, Unwrapped]]:
        """Yield the rows' texts."""
        # The limit applies to the whole process, so it is never lowered.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
        lines = _TextLines(chunks)
        rows = csv.reader(lines, delimiter=self.delimiter)
        number = 1
        while True:
            try:
                row = next(rows, None)
            except csv.Error:  # an unclosed quote
                row = []
            if row is None:
                return
            is_cut = lines.take_is_cut()
            entry = None if _is_header(row, self._names) else self._entry(row, lines.latest)
            if entry is not None:
                yield number, replace(entry, cut=entry.cut or is_cut)
            number = rows.line_num + 1

    def _entry(self, row: list[str], line: str) -> Unwrapped | None:
        is_long = len(row) > len(self._names)
        if is_long and log_fields.is_text_name(self._names[-1]):
            # An exporter that quotes nothing: commas and quotes are part of the last column.
            last = len(self._names) - 1
            row = line.split(self.delimiter, last)
            is_long = False
        fields = dict(zip(self._names, row, strict=False))
        entry = log_fields.from_fields(fields, Unwrapped("", cut=is_long))
        if entry is None:
            return None
        time_ns, zoned = entry.time_ns, entry.zoned
        if time_ns is None:
            # Date and time may have separate columns.
            others = (cell for name, cell in fields.items() if not log_fields.is_text_name(name))
            time_ns, zoned = time_of(" ".join(others))
        return replace(entry, time_ns=time_ns, zoned=zoned or (self._is_utc and bool(time_ns)))


def table_of(text: str) -> Table | None:
    """Return the table that a text begins with, or None."""
    return _by_names(text) or _by_rows(text)


def table_with_names(text: str, mark: int) -> Table | None:
    """Return the table that a text begins with if it is known by the names in its header.

    A line of any text may look like a header: the row below it has as many cells, and none has
    fewer up to the row of the first mark.

    Args:
        text: The text.
        mark: The position of the first mark in it.
    """
    table = _by_names(text)
    if table is None:
        return None
    try:
        rows = [*islice(csv.reader(io.StringIO(text), delimiter=table.delimiter), _LEAST)]
        before = [*csv.reader(io.StringIO(text[:mark] + "x"), delimiter=table.delimiter)][:-1]
    except csv.Error:
        return None
    width = len(rows[0])
    is_table = {*map(len, rows)} == {width} and all(len(row) >= width for row in before if row)
    return table if is_table else None


def _by_names(text: str) -> Table | None:
    for line in text.split("\n", 2)[:2]:  # Excel's files may have a line before the header
        header = line.rstrip("\r")
        if not header or len(header) > _LONGEST_HEADER or has_needle(header):
            return None
        if _EXCEL.match(header):
            continue
        for delimiter in _DELIMITERS:
            names = _cells(header, delimiter)
            if _are_names(names, is_quoted=header.startswith('"')):
                return Table(names, delimiter)
        return None
    return None


def _by_rows(text: str) -> Table | None:
    """Return the table that the contents of the first rows show, whatever its header."""
    if not has_needle(text):
        return None
    whole = text.rpartition("\n")[0]
    for delimiter in _DELIMITERS:
        try:
            rows = [row for row in csv.reader(io.StringIO(whole), delimiter=delimiter) if row]
        except csv.Error:
            continue
        names = _names_by_rows(rows, delimiter)
        if names is not None:
            return Table(names, delimiter)
    return None


def _names_by_rows(rows: list[list[str]], delimiter: str) -> list[str] | None:
    if len(rows) < _LEAST or len(rows[0]) < _LEAST or len({*map(len, rows)}) > 1:
        return None
    columns = list(enumerate(zip(*rows, strict=True)))
    texts = [at for at, cells in columns if any(map(has_needle, cells))]
    times = [at for at, cells in columns if all(map(_is_time, cells[1:])) and at not in texts]
    # The lines of a plain log may have equal numbers of commas, but no quoted cells.
    is_quoted = any(delimiter in row[at] or '"' in row[at] for at in texts for row in rows)
    if len(texts) != 1 or not times or not is_quoted:
        return None
    text, time = texts[0], times[0]
    is_named = not _is_time(rows[0][time]) and not has_needle(rows[0][text])
    names = rows[0] if is_named else [f"column {at}" for at, _ in columns]
    return [{text: "message", time: "time"}.get(at, name) for at, name in enumerate(names)]


def _is_time(cell: str) -> bool:
    return time_in(cell)[0] is not None


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _are_names(names: list[str], *, is_quoted: bool) -> bool:
    if len(names) == 1 and not is_quoted:
        return False
    # A line with a time, such as one of a logger that writes tabs, is no header.
    are_short = all(len(name) <= _MAX_NAME and not _is_time(name) for name in names)
    return are_short and any(map(log_fields.is_text_name, names))


def _is_header(row: list[str], names: list[str]) -> bool:
    is_excel = len(row) > 0 and row[0].lstrip("\ufeff").startswith("sep=")
    return is_excel or [name.lstrip("\ufeff") for name in row] == names


class _TextLines:
    """The lines of a table's bytes, and whether its latest row was cut off."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._lines = self._read(chunks)
        self._quotes = 0
        self._latest = ""

    @property
    def latest(self) -> str:
        """The latest line, without its end."""
        return self._latest.rstrip("\r\n")

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self._latest = next(self._lines)
        self._quotes += self._latest.count('"')
        return self._latest

    def take_is_cut(self) -> bool:
        """Return True if the lines since the last call open a quote, or lack a line end."""
        is_cut = self._quotes % 2 == 1 or not self._latest.endswith("\n")
        self._quotes = 0
        return is_cut

    @staticmethod
    def _read(chunks: Iterable[bytes]) -> Iterator[str]:
        decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
        pending = ""
        for chunk in chunks:
            *lines, pending = (pending + decode(chunk)).replace("\0", "").split("\n")
            yield from (f"{line}\n" for line in lines)
            if len(pending) > MAX_LINE:
                # Longer than any field may be: a compressed table may hold gigabytes.
                yield pending
                pending = ""
        pending += decode(b"", final=True)
        if pending:
            yield pending
