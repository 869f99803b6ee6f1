"""The formats of exported logs: which one a file is, and JSON documents.

Each is recognised by its shape, also behind a few other lines, such as a warning of the program
that printed it. A log of independent lines needs no container, even if they are JSON: it is
searched for marks before anything is parsed. Tables, journals, logs in columns and broken lines
have their own modules.
"""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol

from flash_otel.diagnosis.readers import log_fields
from flash_otel.diagnosis.readers.broken_lines import BrokenLines, width_of
from flash_otel.diagnosis.readers.journal import journal_of
from flash_otel.diagnosis.readers.json_values import JsonSplitter
from flash_otel.diagnosis.readers.log_columns import columns_of
from flash_otel.diagnosis.readers.log_entry import Unwrapped
from flash_otel.diagnosis.readers.log_tables import table_of, table_with_names
from flash_otel.lines.table import MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


Entry = tuple[int, Unwrapped]
"""A log entry, of one or several lines, behind the number of its first line in the file."""

_DOCUMENT: Final = re.compile(r'\[\s*[\[{"]|\{\s*"')
# How a line of a document begins that holds a mark.
_IN_DOCUMENT: Final = re.compile(r'\s*(?:\[\s*)?(?:\{\s*)?"')
_MOST_BEFORE: Final = 8
"""Lines that may stand before a container."""
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"


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
    is_document = _DOCUMENT.match(text) is not None
    known: Container | None
    if is_document:
        known = _document_of(text)
    else:
        known = journal_of(text) or table_of(text) or _behind(text)
    columns = (
        columns_of(text) if known is None else columns_of(text, known.entries, known.description)
    )
    if columns is not None:
        return columns
    width = None if is_document or known is not None else width_of(text)
    return known if width is None else BrokenLines(width)


def _document_of(text: str) -> _Document | None:
    return None if _is_entry(text.partition("\n")[0]) else _Document(text)


def _behind(text: str) -> _Behind | None:
    """Return the container that begins behind lines without a mark, or None."""
    mark = MARK.search(text)
    if mark is None:
        return None
    at = 0
    for skipped in range(1, _MOST_BEFORE + 1):
        at = text.find("\n", at, mark.start()) + 1
        if not at:
            return None
        known = _later_of(text, at, mark.start())
        if known is not None:
            return _Behind(known, skipped)
    return None


def _later_of(text: str, at: int, mark: int) -> Container | None:
    """Return the container of which the first mark is a part, if it begins at a position."""
    rest = text[at:]
    if _DOCUMENT.match(rest):
        # A log may print a list or an object of its own, before a mark on another line.
        is_within = _IN_DOCUMENT.match(text, text.rfind("\n", 0, mark) + 1)
        return _document_of(rest) if is_within and _is_open(rest[: mark - at]) else None
    return journal_of(rest) or table_with_names(rest, mark - at)


class _Behind:
    """A container that begins behind other lines.

    Args:
        inner: The container.
        skipped: The number of lines before it, in which there is no mark.
    """

    def __init__(self, inner: Container, skipped: int) -> None:
        self.description = inner.description
        self._inner = inner
        self._skipped = skipped

    def entries(self, chunks: Iterable[bytes]) -> Iterator[Entry]:
        """Yield the entries."""
        given = iter(chunks)
        begun = text = b""
        for chunk in given:
            begun += chunk
            text = begun.lstrip(_BLANK)
            if text.count(b"\n") >= self._skipped:
                break
        *_, rest = text.split(b"\n", self._skipped)
        is_by_line = not (isinstance(self._inner, _Document) and self._inner.is_one_line)
        before = begun[: len(begun) - len(rest)].count(b"\n") if is_by_line else 0
        for number, entry in self._inner.entries(chain([rest], given)):
            yield number + before, entry


def _is_open(text: str) -> bool:
    """Return False if a text begins with a whole value of JSON."""
    try:
        json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return True
    return False


def _is_entry(line: str) -> bool:
    """Return True if a line is a JSON object that is a log entry by itself."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and log_fields.entry_of(value, Unwrapped("")) is not None


class _Document:
    """JSON in one document, or in several: objects and arrays on one line or on many.

    Args:
        head: Its first characters.
    """

    description = "a JSON document"

    def __init__(self, head: str) -> None:
        # In a document on one line, the number of an entry is worth more than that of its line.
        self.is_one_line = "\n" not in head.rstrip()

    def entries(self, chunks: Iterable[bytes]) -> Iterator[Entry]:
        """Yield the entries within all objects and arrays, and lines that are not JSON."""
        count, outer = 0, Unwrapped("")
        known: tuple[tuple[int, int], ...] = ()
        for found in JsonSplitter(chunks, log_fields.holds_entries).values():
            # Fields are only ever added, so their number shows whether there are more.
            if known != (known := tuple((id(fields), len(fields)) for fields in found.around)):
                outer = Unwrapped("")
                for fields in found.around:
                    outer = log_fields.surroundings(fields, outer)
            # What is not JSON here is a part of a damaged document: its end is not proven.
            texts = (
                log_fields.entries_in(found.value, outer)
                if found.is_json
                else (_damaged(found.value),)
            )
            for entry in texts:
                count += 1
                yield (count if self.is_one_line else found.number), entry


def _damaged(line: str) -> Unwrapped:
    return Unwrapped(line, cut='"' in line)
