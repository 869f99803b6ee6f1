"""Groups bracketed lines into the spans that they were written from.

Lines belong together by their ids, by the stream that they came from and by the order in which a
span writes them. Where that leaves a choice between different spans none is guessed: the line
becomes a record of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv as sc
from flash_otel.lines.table import ATTRIBUTES, FIRST, LAST, RANKS, ROWS, START

if TYPE_CHECKING:
    from flash_otel.diagnosis.readers.log_text import Found
    from flash_otel.lines.format import ParsedLine

# Beyond these nothing is expected to go on: a read takes half a minute at most.
MAX_OPEN: Final = 256
MAX_STREAMS: Final = 4096
LONGEST_LINES: Final = 20_000
LONGEST_NS: Final = 15 * 60 * 1_000_000_000


@dataclass(eq=False, slots=True)
class Draft:
    """The lines of one span, as far as they have been read.

    Attributes:
        name: The span's name.
        line: Number of its first line.
        stream: Which of several writers it came from.
        ordinal: Its number among the file's drafts.
        said: What its lines say, by attribute; None where they say that it is unset.
        keys: Keys of its lines.
        cut: Attributes of which the log holds only a part.
        parent: The fetch that this is an attempt of.
        attempts: The attempts of this fetch.
        start_ns: Time of its first line, as far as the log tells.
        end_ns: Time of its latest line, as far as the log tells.
        zoned: Whether those times name their offset from UTC.
        closed: Whether no further line can belong to it.
    """

    name: str
    line: int
    stream: str
    ordinal: int
    said: dict[str, Any] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)
    parent: Draft | None = None
    attempts: list[Draft] = field(default_factory=list)
    start_ns: int | None = None
    end_ns: int | None = None
    zoned: bool = False
    closed: bool = False

    @property
    def rank(self) -> int:
        """The place of its latest line."""
        return max(RANKS[key] for key in self.keys)

    @property
    def has_ended(self) -> bool:
        """Whether a line was read that is written at the span's end."""
        return any(ROWS[key].moment != START for key in self.keys)

    def fits(self, said: Said) -> bool:
        """Tell whether nothing known so far says otherwise."""
        doubtful = self.cut | said.cut
        return all(
            self.said.get(name, value) == value or name in doubtful
            for name, value in said.values.items()
        )

    def add(self, found: Found, said: Said) -> None:
        """Take a line in; what an earlier one says in full stays."""
        self.keys.append(found.parsed.key)
        for name, value in said.values.items():
            if name not in self.said or name in self.cut:
                self.said[name] = value
                (self.cut.add if name in said.cut else self.cut.discard)(name)
        if found.time_ns is not None:
            self.start_ns = found.time_ns if self.start_ns is None else self.start_ns
            self.end_ns, self.zoned = found.time_ns, found.zoned
        self.closed = self.closed or found.parsed.key in LAST


@dataclass(frozen=True, slots=True)
class Said:
    """What a line says, by attribute, and of which attributes it holds only a part."""

    values: dict[str, Any]
    cut: frozenset[str]

    @classmethod
    def of(cls, parsed: ParsedLine) -> Said:
        """Read a parsed line."""
        fields = dict(parsed.fields)
        mapping = fields.pop("endpoints", None)
        values = {ATTRIBUTES[name]: value for name, value in fields.items()}
        cut = {ATTRIBUTES[name] for name in parsed.cut}
        if mapping is not None:
            urls = tuple(url or "" for url in mapping.values())
            values |= {sc.ENDPOINT_NAMES: tuple(mapping), sc.ENDPOINT_URLS: urls}
            if sc.ENDPOINT_URLS in cut:
                cut.add(sc.ENDPOINT_NAMES)
            else:
                values[sc.ENDPOINT_COUNT] = len(mapping)
        return cls(values, frozenset(cut))


class Grouper:
    """Puts each line to the span that it belongs to."""

    def __init__(self) -> None:
        self._open: dict[str, list[Draft]] = {}
        self._made = 0

    def add(self, found: Found) -> Draft | None:
        """Take a line in; return the draft that it began, None if it belongs to an earlier one."""
        drafts = self._open_in(found)
        said = Said.of(found.parsed)
        draft = self._earlier(found.parsed.key, said, drafts)
        begun = None
        if draft is None:
            draft = begun = self._begin(found, said, drafts)
        draft.add(found, said)
        return begun

    def _begin(self, found: Found, said: Said, drafts: list[Draft]) -> Draft:
        self._made += 1
        draft = Draft(ROWS[found.parsed.key].span, found.number, found.stream, self._made)
        if draft.name == sc.MANIFEST_FETCH:
            draft.parent = _the_one(_asking(said, drafts))
            if draft.parent is not None:
                draft.parent.attempts.append(draft)
        drafts.append(draft)
        return draft

    def _earlier(self, key: str, said: Said, drafts: list[Draft]) -> Draft | None:
        if key in FIRST:
            return None
        name, rank = ROWS[key].span, RANKS[key]
        found = [one for one in drafts if one.name == name and one.rank < rank and one.fits(said)]
        if key == "worker":
            found = _asking_as(said, found)
        latest = max((one.rank for one in found), default=0)
        return _the_one([one for one in found if one.rank == latest])

    def _open_in(self, found: Found) -> list[Draft]:
        """Return the drafts of a stream that may go on, the streams used last kept."""
        known = self._open.pop(found.stream, [])
        drafts = [one for one in known[-MAX_OPEN:] if not _is_over(one, found)]
        self._open[found.stream] = drafts
        if len(self._open) > MAX_STREAMS:
            del self._open[next(iter(self._open))]
        return drafts


def _is_over(draft: Draft, found: Found) -> bool:
    if draft.closed or found.number - draft.line > LONGEST_LINES:
        return True
    if found.time_ns is None or draft.start_ns is None:
        return False
    return abs(found.time_ns - draft.start_ns) > LONGEST_NS


def _the_one(found: list[Draft]) -> Draft | None:
    """Return the latest of drafts between which no line could tell; None where one could."""
    if not found or any(one.said != found[0].said for one in found):
        return None
    return found[-1]


def _asking(said: Said, drafts: list[Draft]) -> list[Draft]:
    """Find the fetches that an attempt may belong to."""
    environment_id = said.values.get(sc.ENVIRONMENT_ID)
    if environment_id is None or sc.ENVIRONMENT_ID in said.cut:
        return []
    return [
        one
        for one in drafts
        if one.name == sc.RUNTIME_FETCH
        and not one.has_ended
        and one.said.get(sc.ENVIRONMENT_ID) == environment_id
    ]


def _asking_as(said: Said, drafts: list[Draft]) -> list[Draft]:
    """Prefer the fetches that ask with one of the worker's own ids (to 1.3 its endpoint's)."""
    own = {said.values.get(sc.WORKER_ENVIRONMENT_ID), said.values.get(sc.WORKER_ENDPOINT_ID)}
    return [one for one in drafts if one.said.get(sc.ENVIRONMENT_ID) in own] or drafts
