"""The formats of exported logs: JSON documents, and lines that were broken at a width.

Each is recognised by its shape. A log of independent lines needs no container, even if they are
JSON: it is searched for marks before anything is parsed. Tables, journals and logs in columns have
their own modules.

Consoles, terminals and Windows PowerShell break lines at a width. The width is the length of the
longest lines, if the lines after them continue in the middle of a value. A line of that length is
joined with the next line; if the result is not a whole value, the value's end is not proven.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, Protocol

from flash_otel.diagnosis.readers import log_fields
from flash_otel.diagnosis.readers.journal import journal_of
from flash_otel.diagnosis.readers.json_values import JsonSplitter
from flash_otel.diagnosis.readers.log_columns import columns_of
from flash_otel.diagnosis.readers.log_entry import Unwrapped
from flash_otel.diagnosis.readers.log_scan import text_lines, without_colours
from flash_otel.diagnosis.readers.log_tables import table_of
from flash_otel.lines.format import ParsedLine, parse
from flash_otel.lines.table import MARK, ROWS
from flash_otel.lines.values import ID_CHARACTERS, UUID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


Entry = tuple[int, Unwrapped]
"""A log entry, of one or several lines, behind the number of its first line in the file."""

_DOCUMENT: Final = re.compile(r'\[\s*[\[{"]|\{\s*"')


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
    known: Container | None
    is_document = _DOCUMENT.match(text) is not None
    if is_document:
        known = None if _is_entry(text.partition("\n")[0]) else _Document(text)
    else:
        known = journal_of(text) or table_of(text)
    columns = (
        columns_of(text) if known is None else columns_of(text, known.entries, known.description)
    )
    if columns is not None:
        return columns
    width = None if is_document or known is not None else width_of(text)
    return known if width is None else BrokenLines(width)


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
        self._is_one_line = "\n" not in head.rstrip()

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
                yield (count if self._is_one_line else found.number), entry


def _damaged(line: str) -> Unwrapped:
    return Unwrapped(line, cut='"' in line)


# --- lines broken at a width ----------------------------------------------------------------------

_NARROWEST: Final = 20
_LONGEST: Final = 1 << 16
_SHORT_REST: Final = 3
_TIMED: Final = re.compile(
    r"\W{0,2}\d{4}[-/]\d\d[-/]\d\d[T ]|\W{0,2}\d\d:\d\d:\d\d|[A-Z][a-z]{2} [ \d]\d "
)
# Windows PowerShell 5.1 writes the first line of standard error as an error record.
_POSITION: Final = re.compile(r"At line:\d+ char:\d+|\s*\+ |\s*~+\s*\Z")
_UUID_LIKE: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")
_UUID_BEGIN: Final = re.compile(r"[0-9a-f]{1,8}|[0-9a-f]{8}-[0-9a-f-]{0,26}")
_REST: Final = re.compile(rf"{ID_CHARACTERS}+").fullmatch
_IDS: Final = frozenset({"build_id", "environment_id", "worker_endpoint_id"})


class BrokenLines:
    """The container of lines that were broken at a width.

    Args:
        width: The length of a line that continues in the next line.
    """

    description = "text"

    def __init__(self, width: int) -> None:
        self._width = width

    def entries(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, Unwrapped]]:
        """Yield the lines in one piece."""
        parts: list[str] = []
        number, length, is_full = 0, 0, False
        for at, line in enumerate(text_lines(chunks), 1):
            plain = without_colours(line)
            if _POSITION.match(plain):
                continue
            if not (is_full and _may_continue(plain) and length < _LONGEST):
                yield from ((number, entry) for entry in _joined(parts, is_full=is_full))
                parts, number, length = [], at, 0
            parts.append(line)
            length += len(line)
            is_full = len(plain) == self._width
        yield from ((number, entry) for entry in _joined(parts, is_full=is_full))


def _joined(parts: list[str], *, is_full: bool) -> Iterator[Unwrapped]:
    """Yield a line's parts joined, or separately if they do not fit together."""
    if not parts:
        return
    *before, rest = parts
    line, whole = "".join(before), "".join(parts)
    begun, parsed = parse(line), parse(whole)
    if begun is None or parsed is None or begun.last not in _IDS:
        is_open = bool(parsed and _last(parsed) and not UUID.fullmatch(_last(parsed)))
        yield Unwrapped(whole, cut=is_full and is_open)
        return
    after = str(parsed.fields.get(begun.last))
    # An id is whole if it is a UUID, or if the line's other fields follow it.
    is_followed = after != _last(begun) and len(parsed.fields) > len(begun.fields)
    if is_followed or UUID.fullmatch(after):
        yield Unwrapped(whole)
    else:
        yield Unwrapped(line, cut=True)
        yield Unwrapped(rest, cut=is_full)


def _last(parsed: ParsedLine) -> str:
    """Return the id that a line ends with, or an empty text."""
    return str(parsed.fields.get(parsed.last)) if parsed.last in _IDS else ""


def _may_continue(line: str) -> bool:
    """Return True if a line may be the rest of the previous line."""
    return bool(line) and not MARK.search(line) and not _TIMED.match(line)


def width_of(text: str) -> int | None:
    """Return the width at which the lines of a log were broken, or None."""
    lines = [without_colours(line.rstrip("\r")) for line in text.split("\n")]
    if len(lines) < 2:  # noqa: PLR2004 - a line and its rest
        return None
    lines = [line for line in lines[:-1] if not _POSITION.match(line)] + lines[-1:]
    width = max(map(len, lines), default=0)
    if width < _NARROWEST:
        return None
    longest = [at for at, line in enumerate(lines[:-1]) if len(line) == width]
    is_broken = any(_is_broken(lines[at], lines[at + 1]) for at in longest)
    is_limit = _is_limit([lines[at] for at in longest], has_uuids=bool(_UUID_LIKE.search(text)))
    return width if is_broken or is_limit else None


def _is_limit(lines: list[str], *, has_uuids: bool) -> bool:
    """Return True if lines of one length and several kinds end within a list, or within a UUID."""
    parsed = [line for line in map(parse, lines) if line is not None]
    if has_uuids and any(_UUID_BEGIN.fullmatch(_last(line)) for line in parsed):
        return True
    return len({line.key for line in parsed}) > 1 and any(line.cut for line in parsed)


def _is_broken(line: str, rest: str) -> bool:
    """Return True if a bracketed line continues in the next line."""
    parsed = parse(line) if _may_continue(rest) else None
    if parsed is None or ROWS[parsed.key].is_mapping:
        return False
    whole = parse(line + rest)
    if whole is None or whole.key != parsed.key:
        return False
    if len(whole.fields) > len(parsed.fields) or len(whole.cut) < len(parsed.cut):
        return True
    return parsed.last in _IDS and _is_rest_of_id(parsed, whole, rest.strip())


def _is_rest_of_id(parsed: ParsedLine, whole: ParsedLine, rest: str) -> bool:
    if UUID.fullmatch(_last(parsed)):
        return False
    if UUID.fullmatch(str(whole.fields.get(parsed.last or ""))):
        return True
    # A word such as "ready" is a separate line; digits and short rests are parts of an id.
    is_word = rest.isalpha() and len(rest) > _SHORT_REST
    return _REST(rest) is not None and not is_word
