"""The order of a log: newest first, sorted by another key, or mixed.

Viewers and command line tools of log services print the newest line first. Such a log is read from
its end. Lines that are not in the order of their times are sorted by them, but only where that
makes more of them fit together: the clocks of several writers in one log need not agree.
"""

from __future__ import annotations

import json
import tempfile
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from flash_otel.diagnosis.readers.log_entry import Unwrapped
from flash_otel.diagnosis.readers.log_groups import Grouper
from flash_otel.diagnosis.readers.log_scan import text_lines, unwrap, with_prefix
from flash_otel.diagnosis.readers.log_text import LoggedLine
from flash_otel.lines.format import parse
from flash_otel.lines.table import FIRST, LAST, MARK, RANKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flash_otel.diagnosis.readers.containers import Container, Entry
    from flash_otel.diagnosis.readers.log_text import Logged

_IN_MEMORY: Final = 1 << 24
_BLOCK: Final = 1 << 18
_LONGEST_PREFIX: Final = 80  # characters that may hold the time of a line without a mark
_MOST_AGAINST: Final = 0.1  # share of neighbours against the order: several writers in one log
_QUERYING, _ASKING = "querying", "worker"  # the lines of a request, in this order


# --- newest first ------------------------------------------------------------------------------


class Direction(NamedTuple):
    """Whether a log is newest first, and whether times show it."""

    is_backwards: bool
    is_timed: bool


def _key_and_time(text: str, entry: Unwrapped) -> tuple[str | None, int | None]:
    """Return the key of a line of an entry, and its time; None for what it lacks."""
    line = unwrap(text, entry)
    mark = MARK.search(line.text)
    line = with_prefix(line, line.text[: mark.start() if mark else _LONGEST_PREFIX])
    parsed = None if mark is None else parse(line.text)
    return None if parsed is None else parsed.key, line.time_ns


def direction_of(container: Container | None, head: bytes) -> Direction:
    """Return the direction of a log by its first bytes: by times or else by the lines' places."""
    keys: list[str] = []
    times: list[int] = []
    for _, entry in (container or _Plain()).entries([head]):
        for text in entry.text.split("\n"):
            key, time_ns = _key_and_time(text, entry)
            keys += [] if key is None else [key]
            # The lines of one event have its time.
            times += [] if time_ns is None else [time_ns]
    changes = [later - earlier for earlier, later in pairwise(times) if later != earlier]
    against = sum(change > 0 for change in changes)
    if changes:
        return Direction(against <= _MOST_AGAINST * len(changes), is_timed=True)
    return Direction(_is_backwards(keys), is_timed=bool(times))


def _is_backwards(keys: list[str]) -> bool:
    """Return True if the lines of operations stand in the opposite order throughout."""
    are_forwards = {
        RANKS[later] > RANKS[earlier]
        for earlier, later in pairwise(keys)
        if not (earlier == later or _is_border(earlier, later) or _is_border(later, earlier))
    }
    if not are_forwards:
        # Only requests without a response, and their two lines alternate: the ends show the order.
        return keys[:1] == [_ASKING] and keys[-1:] == [_QUERYING]
    return are_forwards == {False}


def _is_border(earlier: str, later: str) -> bool:
    """Return True if a line may be the first of its operation, behind the last of another."""
    return later == _QUERYING or (later in FIRST and earlier in LAST)


class _Plain:
    """The lines of a log, each an entry."""

    description = "text"

    def entries(self, chunks: Iterable[bytes]) -> Iterator[Entry]:
        """Yield all lines."""
        for number, line in enumerate(text_lines(chunks), 1):
            yield number, Unwrapped(line)


class Backwards:
    """A container whose entries are read from its end.

    Args:
        container: The container, or None for lines of a log.
        is_timed: Whether times show the order. Where they do not, the numbers of lines must, so
            they are counted from the end.
    """

    def __init__(self, container: Container | None, *, is_timed: bool) -> None:
        self._inner = container or _Plain()
        self._is_timed = is_timed
        self.description = self._inner.description

    def entries(self, chunks: Iterable[bytes]) -> Iterator[Entry]:
        """Yield the entries, the last first, in flat memory."""
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
            for number, entry in self._inner.entries(chunks):
                fields = [getattr(entry, name) for name in entry.__slots__]
                spool.write(json.dumps([number, *fields]).encode() + b"\n")
            for count, raw in enumerate(_from_end(spool), 1):
                number, *fields = json.loads(raw)
                yield number if self._is_timed else count, Unwrapped(*fields)


def _from_end(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file, the last first."""
    at = file.seek(0, 2)
    rest = b""
    while at > 0:
        size = min(_BLOCK, at)
        at -= size
        file.seek(at)
        first, *lines = (file.read(size) + rest).split(b"\n")
        yield from (line for line in reversed(lines) if line)
        rest = first
    if rest:
        yield rest


# --- any other order ---------------------------------------------------------------------------


def ordered(items: Iterable[Logged], window: int) -> Iterator[Logged]:
    """Yield bracketed lines and spans in the order in which they fit together.

    Args:
        items: In the log's own order.
        window: How many of them are looked at together.
    """
    held: list[Logged] = []
    for item in items:
        held.append(item)
        if len(held) >= window:
            yield from _best(held)
            held = []
    yield from _best(held)


def _best(items: list[Logged]) -> list[Logged]:
    kept = list(_unrepeated(items))
    lines = [item for item in kept if isinstance(item, LoggedLine)]
    misfits = _misfits(lines)
    if misfits == 0:
        return kept
    if len(kept) < len(items):  # what is repeated may be of several writers at the same time
        repeated = [item for item in items if isinstance(item, LoggedLine)]
        if _misfits(repeated) < misfits:
            kept, lines = items, repeated
    candidates = [lines]
    if all(line.time_ns is not None and line.zoned == lines[0].zoned for line in lines):
        candidates.append(sorted(lines, key=_time))
        candidates.append(sorted(lines, key=lambda line: (_time(line), RANKS[line.parsed.key])))
    best = min(candidates, key=_misfits)
    spans = [item for item in kept if not isinstance(item, LoggedLine)]
    return kept if best is lines else [*spans, *best]


def _unrepeated(items: Iterable[Logged]) -> Iterator[Logged]:
    """Leave out lines that the log holds twice, with the same time."""
    seen: dict[tuple[str, int, str], list[LoggedLine]] = {}
    for item in items:
        if isinstance(item, LoggedLine) and item.time_ns is not None:
            same = seen.setdefault((item.stream, item.time_ns, item.parsed.key), [])
            if any(item.parsed == other.parsed for other in same):
                continue
            same.append(item)
        yield item


def _time(line: LoggedLine) -> int:
    return line.time_ns or 0


def _misfits(lines: Sequence[LoggedLine]) -> int:
    """Count the lines that continue no operation, and those that are older than one before."""
    grouper = Grouper()
    begun = [draft for line in lines if (draft := grouper.add(line)) is not None]
    return sum((draft.keys[0] not in FIRST) + draft.inversions for draft in begun)
