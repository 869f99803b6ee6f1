"""What copying does to a whole log: no mark of a bracketed line is found until it is undone.

Web pages hold no-break spaces and invisible places where a line may break, editors of rich text
escape brackets and print dashes for hyphens, and a search colours what it found, also within a
mark.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flash_otel.lines.table import MARKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SPACES: Final = rb"(?:\xc2\xa0|\xe2\x80\xaf)"
# The soft hyphen, zero-width spaces and joiners. No value in a line has them: `write_id` escapes
# them, and so do `write_name` and `write_list`, like `repr`.
_INVISIBLE: Final = rb"(?:\xc2\xad|\xe2\x80[\x8b-\x8d]|\xe2\x81\xa0)"
_DASH: Final = rb"(?:\xe2\x80[\x90-\x95]|\xe2\x88\x92)"
_COLOUR: Final = rb"\x1b\[[\d;]*[mK]"
_WORDS: Final = tuple(mark.encode() for mark in MARKS)
_PAIRS: Final = tuple(tuple(mark.split(b" ")) for mark in _WORDS if b" " in mark)


def _between(between: bytes) -> re.Pattern[bytes]:
    return re.compile(b"|".join(between.join(pair) for pair in _PAIRS))


# How a mark shows what was done, what to replace then, and with what.
_KINDS: Final = (
    (re.compile(rb"[!-~]%b|%b[!-~]" % (_INVISIBLE, _INVISIBLE)), re.compile(_INVISIBLE), b""),
    (_between(_SPACES), re.compile(_SPACES), b" "),
    (
        re.compile(rb"\b[0-9a-f]{8}(?:%b[0-9a-f]{4}){3}%b" % (_DASH, _DASH)),
        re.compile(rb"(?<=[\w ])%b(?=[\w ])" % _DASH),
        b"-",
    ),
    (
        _between(rb"(?:%b){0,4} ?(?:%b){1,4} ?(?:%b){0,4}" % (_COLOUR, _COLOUR, _COLOUR)),
        re.compile(_COLOUR),
        b"",
    ),
    (
        re.compile(rb"(?<!\\)\\\[(?:%b)\\\]|(?:build|environment)\\_id" % b"|".join(_WORDS)),
        re.compile(rb"\\(?=[\[\]{}()_*#.!|<>~+-])"),
        b"",
    ),
)
_LONGEST: Final = 1 << 24


class Copied:
    """Undoes what copying did to a log, as far as its first bytes show it.

    Args:
        head: The first bytes.
    """

    def __init__(self, head: bytes) -> None:
        self._kinds: list[tuple[re.Pattern[bytes], bytes]] = []
        for sign, pattern, text in _KINDS:
            if sign.search(head):
                self._kinds.append((pattern, text))
                head = pattern.sub(text, head)

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def undone(self, data: bytes) -> bytes:
        """Return whole lines as they were."""
        for pattern, text in self._kinds:
            data = pattern.sub(text, data)
        return data

    def chunks(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes of a log as they were, in whole lines."""
        pending = b""
        for chunk in chunks:
            block = pending + chunk
            end = block.rfind(b"\n") + 1
            end = len(block) if not end and len(block) > _LONGEST else end
            pending = block[end:]
            if end:
                yield self.undone(block[:end])
        if pending:
            yield self.undone(pending)
