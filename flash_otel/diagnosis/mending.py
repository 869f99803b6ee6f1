"""Join operations that are split between two logs.

The lines at the end of one log and those at the beginning of another are grouped as in a single
log. They belong together if every later line continues an operation that the earlier lines began,
and if no other log fits equally well.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers.log_edges import OPENING, decoded
from flash_otel.diagnosis.readers.log_groups import LONGEST_NS, Draft, Grouper
from flash_otel.diagnosis.readers.log_spans import record_of
from flash_otel.lines.format import ParsedLine, parse_body
from flash_otel.lines.table import FIRST, RANKS
from flash_otel.records import LINES_TORN, texts
from flash_otel.store.references import instance_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flash_otel.diagnosis.readers.log_text import LoggedLine
    from flash_otel.records import SpanRecord

_RECEIVED: Final = frozenset({sc.MANIFEST_KEYS, sc.ENDPOINT_COUNT, sc.ENDPOINT_NAMES})
_MOST_PIECES: Final = 400  # all pairs are compared; that many files are not parts of a split log


@dataclass(eq=False, slots=True)
class _Fragment:
    """Lines at an edge of a log, and the records made of them.

    Attributes:
        lines: The lines, in order.
        places: The origin of each line, and so its file.
        instance: The process that wrote them.
        records: The records to replace.
    """

    lines: list[LoggedLine]
    places: list[str]
    instance: str
    records: list[SpanRecord]

    @property
    def is_begun(self) -> bool:
        """Whether its first line is the first of an operation."""
        return self.lines[0].parsed.key in OPENING

    @property
    def gist(self) -> tuple[object, ...]:
        """The contents of the lines, without places and times."""
        return tuple((line.parsed.key, repr(line.parsed.fields)) for line in self.lines)


def mended(records: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Return the records, with one whole record for each operation that is split between logs."""
    given = list(records)
    pieces = _pieces(record for record in given if LINES_TORN in record.attributes)
    kept = [without_lines(record) for record in given]
    if not any(piece.is_begun for piece in pieces) or len(pieces) > _MOST_PIECES:
        return kept
    replaced: set[tuple[str, str]] = set()
    made: list[SpanRecord] = []
    moved: dict[str, str] = {}
    for piece in _joined(pieces):
        if len({place.rpartition(":")[0] for place in piece.places}) > 1:
            replaced |= {record.key for record in piece.records}
            made += _records_of(piece)
            moved |= {instance_of(record): piece.instance for record in piece.records}
    rest = [record for record in kept if record.key not in replaced]
    return [_of_process(record, moved) for record in (*rest, *made)]


def without_lines(record: SpanRecord) -> SpanRecord:
    """Return a record without the lines that only joining needs."""
    if LINES_TORN not in record.attributes:
        return record
    attributes = {name: value for name, value in record.attributes.items() if name != LINES_TORN}
    return replace(record, attributes=attributes)


def _of_process(record: SpanRecord, moved: dict[str, str]) -> SpanRecord:
    """Return a record as one of the process that wrote the first part of its log."""
    instance = moved.get(instance_of(record))
    if instance is None:
        return record
    return replace(record, resource={**record.resource, sc.SERVICE_INSTANCE_ID: instance})


def _pieces(records: Iterable[SpanRecord]) -> list[_Fragment]:
    by_lines: dict[tuple[str, tuple[str, ...]], list[SpanRecord]] = defaultdict(list)
    for record in records:
        file = record.origin.rpartition(":")[0]
        by_lines[file, texts(record.attributes, LINES_TORN) or ()].append(record)
    pieces = []
    for (file, encoded), own in by_lines.items():
        lines = [decoded(text) for text in encoded]
        places = [f"{file}:{line.number}" for line in lines]
        pieces.append(_Fragment(lines, places, instance_of(own[0]), own))
    return sorted(pieces, key=lambda piece: (piece.lines[0].time_ns or 0, piece.places[0]))


# --- which pieces belong together -----------------------------------------------------------------


def _joined(pieces: list[_Fragment]) -> list[_Fragment]:
    """Join each beginning with its continuation, and that with the next one."""
    heads = [piece for piece in pieces if piece.is_begun]
    rests = [piece for piece in pieces if not piece.is_begun]
    does_fit = functools.cache(_fits)  # each round asks again about the pairs that are left
    while pair := _surest(heads, rests, does_fit):
        head, rest = pair
        rests.remove(rest)
        heads[heads.index(head)] = _Fragment(
            _lines_of(head, rest),
            [*head.places, *rest.places],
            head.instance,
            [*head.records, *rest.records],
        )
    return heads


def _surest(
    heads: Sequence[_Fragment],
    rests: Sequence[_Fragment],
    does_fit: Callable[[_Fragment, _Fragment], bool],
) -> tuple[_Fragment, _Fragment] | None:
    """Return two pieces that belong together; None if several pairs fit equally well."""
    pairs = [(head, rest) for head in heads for rest in rests if does_fit(head, rest)]
    # If an operation is split between three logs, its parts are joined without skipping lines.
    least = min((_skipped(*pair) for pair in pairs), default=0)
    fitting = [pair for pair in pairs if _skipped(*pair) == least]
    fitting.sort(key=lambda pair: _gap_ns(*pair) or 0)
    for head, rest in fitting:
        rivals = [pair for pair in fitting if (pair[0] is head) != (pair[1] is rest)]
        # Equal pieces are interchangeable: copies of a log, or equal workers.
        if all(other.gist == head.gist and tail.gist == rest.gist for other, tail in rivals):
            return head, rest
    gaps = [gap_ns for pair in fitting if (gap_ns := _gap_ns(*pair)) is not None]
    is_nearest = len(gaps) == len(fitting) > 1 and gaps[0] < gaps[1]
    return fitting[0] if is_nearest else None


def _skipped(head: _Fragment, rest: _Fragment) -> int:
    """Return how many lines of an operation may be missing between two pieces.

    A line that is repeated begins another attempt, and so lacks all the others.
    """
    ranks = [RANKS[line.parsed.key] for line in (head.lines[-1], rest.lines[0])]
    return (ranks[1] - ranks[0] - 1) % len(RANKS)


def _gap_ns(head: _Fragment, rest: _Fragment) -> int | None:
    """Return the time between two pieces; None unless both have times of one kind."""
    last, first = head.lines[-1], rest.lines[0]
    if last.time_ns is None or first.time_ns is None or last.zoned != first.zoned:
        return None
    return first.time_ns - last.time_ns


def _fits(head: _Fragment, rest: _Fragment) -> bool:
    """Return True if each line of a piece continues an operation of another piece."""
    last, first = head.lines[-1], rest.lines[0]
    if head.places[-1].rpartition(":")[0] == rest.places[0].rpartition(":")[0]:
        return False
    if last.stream != first.stream or (last.time_ns is None) != (first.time_ns is None):
        return False
    gap_ns = _gap_ns(head, rest)
    if last.time_ns is not None and (gap_ns is None or not 0 <= gap_ns <= LONGEST_NS):
        return False
    if first.before and not last.begun:
        return False
    drafts = _drafts(_lines_of(head, rest))
    return all(map(_is_whole, drafts))


def _lines_of(head: _Fragment, rest: _Fragment) -> list[LoggedLine]:
    """Return the lines of two pieces; a mapping that is split between them is put together."""
    *lines, last = head.lines
    before = rest.lines[0].before
    whole = parse_body(f"{last.begun}\n{before}") if before else None
    # A third log may hold entries between the two, so another line has to confirm the count.
    if whole is not None and _count(whole) in map(_count, (*_parsed(lines), *_parsed(rest.lines))):
        last = replace(last, parsed=whole, begun="")
    return [*lines, last, *rest.lines]


def _parsed(lines: Iterable[LoggedLine]) -> Iterator[ParsedLine]:
    return (line.parsed for line in lines)


def _count(parsed: ParsedLine) -> int:
    """Return the number of endpoints in a line; -1 if it is not known."""
    mapping = parsed.fields.get("endpoints")
    if isinstance(mapping, dict) and "endpoints" not in parsed.cut:
        return len(mapping)
    number = parsed.fields.get("endpoint_count")
    return number if isinstance(number, int) and "endpoint_count" not in parsed.cut else -1


def _drafts(lines: Sequence[LoggedLine]) -> list[Draft]:
    grouper = Grouper()
    # Lines of different files have the same numbers.
    numbered = (replace(line, number=number) for number, line in enumerate(lines))
    return [draft for line in numbered if (draft := grouper.add(line)) is not None]


def _is_whole(draft: Draft) -> bool:
    """Return True if a span has its first line, and agrees with the known values of its parts."""
    if draft.keys[0] not in FIRST or (draft.name == sc.MANIFEST_FETCH and draft.parent is None):
        return False
    return not any(_differs(draft, attempt) for attempt in draft.attempts[-1:])


def _differs(fetch: Draft, attempt: Draft) -> bool:
    """Return True if a fetch received another manifest than its last attempt retrieved."""
    known = (fetch.values.keys() & attempt.values.keys() & _RECEIVED) - fetch.cut - attempt.cut
    return any(fetch.values[name] != attempt.values[name] for name in known)


def _records_of(piece: _Fragment) -> list[SpanRecord]:
    """Return the records of joined lines, at the places of their first lines."""
    name = " and ".join(dict.fromkeys(piece.places))
    return [
        replace(record_of(draft, name), origin=piece.places[draft.line])
        for draft in _drafts(piece.lines)
    ]
