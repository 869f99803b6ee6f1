"""Group bracketed lines into the spans that they were written from.

Lines belong together by their ids, by the stream that they came from and by the order in which a
span writes them. If several different spans remain, none is guessed: the line becomes a record of
its own, since a wrong group could accuse a healthy deployment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import eq
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers.log_values import LineValues
from flash_otel.lines.table import FIRST, LAST, RANKS, ROWS, START
from flash_otel.lines.values import may_be_equal
from flash_otel.manifest import ENDPOINTS_KEY
from flash_otel.records import ANY

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_otel.diagnosis.readers.log_text import LoggedLine
    from flash_otel.lines.format import ParsedLine

# A draft that is older than these gets no further line: a read takes half a minute at most.
MAX_OPEN: Final = 256
MAX_STREAMS: Final = 4096
LONGEST_LINES: Final = 20_000
LONGEST_NS: Final = 15 * 60 * 1_000_000_000
_OF_MAPPING: Final = frozenset({sc.ENDPOINT_COUNT, sc.ENDPOINT_NAMES, sc.ENDPOINT_URLS})


@dataclass(eq=False, slots=True)
class Draft:
    """The lines of one span, as far as they have been read.

    Attributes:
        name: The span's name.
        line: Number of its first line.
        stream: Which of several writers it came from.
        ordinal: Its number among the file's drafts.
        values: The values of its lines by attribute; None for one that is written as unset.
        keys: Keys of its lines.
        cut: Attributes of which the log holds only a part.
        named: Endpoints in mappings whose end is lost.
        parent: The fetch that this attempt belongs to.
        attempts: The attempts of this fetch.
        start_ns: Time of its first line with a time.
        end_ns: Time of its latest line with a time.
        zoned: Whether those times name their offset from UTC.
        closed: Whether it is complete.
        inversions: Number of its lines that are older than the line before.
        is_among_attempts: Whether it is a fetch in a stream that has attempts.
    """

    name: str
    line: int
    stream: str
    ordinal: int
    values: dict[str, Any] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    parent: Draft | None = None
    attempts: list[Draft] = field(default_factory=list)
    start_ns: int | None = None
    end_ns: int | None = None
    zoned: bool = False
    closed: bool = False
    inversions: int = 0
    is_among_attempts: bool = False

    @property
    def rank(self) -> int:
        """The place of its latest line."""
        return max(RANKS[key] for key in self.keys)

    @property
    def has_ended(self) -> bool:
        """Whether it has a line that is written at the span's end."""
        return any(ROWS[key].moment != START for key in self.keys)

    @property
    def has_returned(self) -> bool:
        """Whether it has a line that is written only if the call returned."""
        return any(ROWS[key].proves_return for key in self.keys)

    @property
    def lacks_endpoints(self) -> bool:
        """Whether there is no manifest, or none of its keys is that of the endpoints."""
        keys = self.values.get(sc.MANIFEST_KEYS, (ENDPOINTS_KEY,))
        return sc.MANIFEST_KEYS not in self.cut and ENDPOINTS_KEY not in (keys or ())

    @property
    def has_failed(self) -> bool:
        """Whether it is an attempt that found no build or no manifest: Flash tries again."""
        return None in map(self.values.get, (sc.BUILD_ID, sc.MANIFEST_KEYS), (ANY, ANY))

    def accepts(self, line: LineValues) -> bool:
        """Return True if the line contradicts none of its values; what is unknown does not."""
        doubtful = self.cut | line.cut
        return all(
            name not in self.values
            or (may_be_equal if name in doubtful else eq)(self.values[name], value)
            for name, value in line.values.items()
        )

    def add(self, logged: LoggedLine, line: LineValues) -> None:
        """Add a line; a value that an earlier line holds in full stays."""
        self.keys.append(logged.parsed.key)
        for name, value in line.values.items():
            is_better = name in self.cut and not _knows_less(value, self.values[name], name, line)
            if name not in self.values or is_better:
                self.values[name] = value
                if name in line.cut:
                    self.cut.add(name)
                else:
                    self.cut.discard(name)
        if "endpoints" in logged.parsed.fields:
            self._compare_mappings(logged.parsed)
        if logged.time_ns is not None:
            self.start_ns = logged.time_ns if self.start_ns is None else self.start_ns
            self.inversions += self.end_ns is not None and logged.time_ns < self.end_ns
            self.end_ns, self.zoned = logged.time_ns, logged.zoned
        self.closed = self.closed or logged.parsed.key in LAST

    def _compare_mappings(self, parsed: ParsedLine) -> None:
        """Forget the endpoints of a mapping that lacks some of another one: it has lost lines."""
        if "endpoints" in parsed.cut:
            self.named.update(parsed.fields["endpoints"])
        names = self.values.get(sc.ENDPOINT_NAMES, self.named)  # masked ones are unknown
        count = self.values.get(sc.ENDPOINT_COUNT, len(names))
        if count < len(self.named) or not self.named <= {*names}:
            for name in _OF_MAPPING & self.values.keys():
                del self.values[name]


def _knows_less(value: Any, known: Any, name: str, line: LineValues) -> bool:
    """Return True if a partial value has no more than a known partial value."""
    return name in line.cut and len(str(value)) <= len(str(known))


class Grouper:
    """Adds each line to the draft of its span."""

    def __init__(self) -> None:
        self._drafts: dict[str, list[Draft]] = {}  # by stream, the latest used last
        self._attempted: set[str] = set()  # streams with an attempt
        self._fetches: dict[str, list[Draft]] = {}  # by stream
        self._made = 0

    def add(self, logged: LoggedLine) -> Draft | None:
        """Add a line; return the draft that it begins, or None if it continues one."""
        drafts = self._open_drafts(logged)
        line = LineValues.of(logged.parsed, is_longest=logged.is_longest)
        draft = _continued(logged.parsed.key, line, drafts)
        begun = None
        if draft is None:
            draft = begun = self._begin(logged, line, drafts)
        draft.add(logged, line)
        return begun

    def _begin(self, logged: LoggedLine, line: LineValues, drafts: list[Draft]) -> Draft:
        self._made += 1
        draft = Draft(ROWS[logged.parsed.key].span, logged.number, logged.stream, self._made)
        if draft.name == sc.MANIFEST_FETCH:
            draft.parent = _unambiguous(_awaiting(_fetches_of(line, drafts)))
            if draft.parent is not None:
                draft.parent.attempts.append(draft)
        drafts.append(draft)
        self._note_attempts(draft)
        return draft

    def _note_attempts(self, draft: Draft) -> None:
        """Mark the fetches of a stream that has attempts, before them or behind."""
        fetches = self._fetches.setdefault(draft.stream, [])
        if draft.name == sc.RUNTIME_FETCH:
            draft.is_among_attempts = draft.stream in self._attempted
            fetches.append(draft)
            del fetches[:-MAX_OPEN]
        elif draft.name == sc.MANIFEST_FETCH and draft.stream not in self._attempted:
            self._attempted.add(draft.stream)
            for fetch in fetches:
                fetch.is_among_attempts = True

    def _open_drafts(self, logged: LoggedLine) -> list[Draft]:
        """Return the drafts of the line's stream that may continue; drop the oldest stream."""
        known = self._drafts.pop(logged.stream, [])
        drafts = [draft for draft in known[-MAX_OPEN:] if not _is_over(draft, logged)]
        self._drafts[logged.stream] = drafts
        if len(self._drafts) > MAX_STREAMS:
            oldest = next(iter(self._drafts))
            del self._drafts[oldest]
            self._fetches.pop(oldest, None)
            self._attempted.discard(oldest)
        return drafts


def _is_over(draft: Draft, logged: LoggedLine) -> bool:
    if draft.closed or logged.number - draft.line > LONGEST_LINES:
        return True
    if logged.time_ns is None or draft.start_ns is None:
        return False
    return abs(logged.time_ns - draft.start_ns) > LONGEST_NS


def _continued(key: str, line: LineValues, drafts: list[Draft]) -> Draft | None:
    """Return the draft that a line continues, or None."""
    if key in FIRST:
        return None
    name, rank = ROWS[key].span, RANKS[key]
    candidates = [
        draft
        for draft in drafts
        if draft.name == name and draft.rank < rank and draft.accepts(line)
    ]
    if key == "worker":
        candidates = _fetches_by(line, candidates)
    elif name == sc.RUNTIME_FETCH:
        candidates = _received_by(line, candidates)
    if line.values.get(sc.ENDPOINT_COUNT):
        candidates = _preferring(lambda draft: not draft.lacks_endpoints, candidates)
    # A span writes all of its lines: the draft that lacks the fewest is the likeliest.
    latest = max((draft.rank for draft in candidates), default=0)
    return _unambiguous([draft for draft in candidates if draft.rank == latest])


def _unambiguous(drafts: list[Draft]) -> Draft | None:
    """Return the latest of drafts that may be equal; None if they differ or there is none."""
    known: dict[str, Any] = {}
    for draft in drafts:
        if any(known.setdefault(name, value) != value for name, value in draft.values.items()):
            return None
    return drafts[-1] if drafts else None


def _fetches_of(line: LineValues, drafts: list[Draft]) -> list[Draft]:
    """Return the fetches that an attempt may belong to, as far as both know their environment."""
    environment_id = line.values.get(sc.ENVIRONMENT_ID, ANY)
    if environment_id is None:
        return []
    return [
        draft
        for draft in drafts
        if draft.name == sc.RUNTIME_FETCH
        and not draft.has_ended
        and not any(attempt.has_returned for attempt in draft.attempts)
        and may_be_equal(_asked(draft), environment_id)
    ]


def _awaiting(fetches: list[Draft]) -> list[Draft]:
    """Prefer the fetches without an attempt that may still be answered.

    Several workers may read at the same time, and the lines of none name their worker.
    """
    return _preferring(lambda fetch: all(known.has_failed for known in fetch.attempts), fetches)


def _received_by(line: LineValues, fetches: list[Draft]) -> list[Draft]:
    """Prefer the fetches whose last attempt retrieved what the line says was received."""

    def has_retrieved(fetch: Draft) -> bool:
        return any(last.has_returned and last.accepts(line) for last in fetch.attempts[-1:])

    return _preferring(has_retrieved, fetches)


def _asked(fetch: Draft) -> str:
    own = fetch.values.get(sc.WORKER_ENVIRONMENT_ID)
    return str(fetch.values.get(sc.ENVIRONMENT_ID, own or ANY))


def _fetches_by(line: LineValues, drafts: list[Draft]) -> list[Draft]:
    """Prefer the fetches that query one of the worker's own ids.

    Up to Flash 1.3, a worker queries with its endpoint's id instead of its environment's.
    """
    own = {line.values.get(sc.WORKER_ENVIRONMENT_ID), line.values.get(sc.WORKER_ENDPOINT_ID)}
    return _preferring(lambda draft: draft.values.get(sc.ENVIRONMENT_ID) in own, drafts)


def _preferring(is_likely: Callable[[Draft], bool], drafts: list[Draft]) -> list[Draft]:
    """Return the likely ones of drafts; all of them if none is."""
    return list(filter(is_likely, drafts)) or drafts
