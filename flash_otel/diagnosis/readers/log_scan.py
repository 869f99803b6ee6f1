"""Finds the few lines of a log that matter, at the speed at which bytes can be searched.

Whole chunks are searched for the marks; only lines that hold one are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel.lines.table import STEMS
from flash_otel.otlp.encode import LOG_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Each bracketed line holds one of the stems, and each of the worker's spans the last needle.
NEEDLES: Final = (*(stem.encode() for stem in STEMS), f"{LOG_MARK}{{".encode())
# Bytes that ordinary logs rarely hold, the rarest first. memchr finds a single byte ten times as
# fast as a needle, so the two rarest of each needle are searched for first.
_RARE_BYTES: Final = b"{_YUGPM"
_SOUGHT: Final = tuple(
    (needle, [bytes([byte]) for byte in _RARE_BYTES if byte in needle][:2]) for needle in NEEDLES
)
_NEAR: Final = 4096

MAX_LINE: Final = 16 * 1024 * 1024


class Scanner:
    """Yields the lines that hold a mark.

    Attributes:
        follow: Set by the caller between two lines: the next line is wanted whatever it holds.
    """

    def __init__(self) -> None:
        self.follow = False
        self._number = 0

    def lines(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes, bool]]:
        """Yield (number, line without its end, whether it was ended) in their order.

        A line longer than `MAX_LINE` is looked at in parts.
        """
        pending = b""
        for chunk in chunks:
            block = pending + chunk if pending else chunk
            end = block.rfind(b"\n") + 1
            if not end and len(block) > MAX_LINE:
                end = len(block)
            pending = block[end:]
            yield from self._wanted(block, end)
        if pending:
            yield from self._wanted(pending, len(pending))

    def _wanted(self, block: bytes, end: int) -> Iterator[tuple[int, bytes, bool]]:
        at = counted = 0
        found = dict.fromkeys(NEEDLES, -1)
        while at < end:
            begin = at if self.follow else self._next(block, at, end, found)
            if begin < 0:
                break
            stop = block.find(b"\n", begin, end)
            ended = stop >= 0
            stop = stop if ended else end
            self._number += block.count(b"\n", counted, begin)
            counted = begin
            yield self._number + 1, block[begin:stop].rstrip(b"\r"), ended
            at = stop + 1
        self._number += block.count(b"\n", counted, end)

    @staticmethod
    def _next(block: bytes, at: int, end: int, found: dict[bytes, int]) -> int:
        """Return where the next line with a mark begins, or -1."""
        for (needle, rare), position in zip(_SOUGHT, tuple(found.values()), strict=True):
            if position < at:
                found[needle] = _find(block, needle, rare, at, end)
        first = min(found.values())
        return -1 if first >= end else max(block.rfind(b"\n", at, first) + 1, at)


def _find(block: bytes, needle: bytes, rare: list[bytes], at: int, end: int) -> int:
    """Return where the needle is in block[at:end]; `end` if it is not there."""
    while at < end:
        first, second = block.find(rare[0], at, end), block.find(rare[1], at, end)
        if first < 0 or second < 0:
            break
        at = max(first - len(needle), second - len(needle), at)
        stop = min(at + _NEAR, end)
        found = block.find(needle, at, stop)
        if found >= 0:
            return found
        # The next stretch begins where a needle could still lie across its border.
        at = end if stop == end else stop - len(needle) + 1
    return end
