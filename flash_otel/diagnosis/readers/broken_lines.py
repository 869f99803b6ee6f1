"""Lines that were broken at a width.

Consoles, terminals and Windows PowerShell break lines at a width. The width is the length of the
longest lines, if the lines after them continue in the middle of a value. A line of that length is
joined with the next line; if the result is not a whole value, the value's end is not proven.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flash_otel.diagnosis.readers.log_entry import Unwrapped
from flash_otel.diagnosis.readers.log_scan import text_lines, without_colours
from flash_otel.lines.format import ParsedLine, parse
from flash_otel.lines.table import MARK, ROWS
from flash_otel.lines.values import ID_CHARACTERS, UUID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
            parts.append(plain)
            length += len(plain)
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
    lines = [line for line in lines[:-1] if not _POSITION.match(line)] + lines[-1:]
    width = max(map(len, lines))
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
    if UUID.fullmatch(_last(whole)):
        return True
    # A word such as "ready" is a separate line; digits and short rests are parts of an id.
    is_word = rest.isalpha() and len(rest) > _SHORT_REST
    return _REST(rest) is not None and not is_word
