"""Reader of logs: spans that workers wrote, and records rebuilt from bracketed lines.

A record from lines has the attributes that a span would have, so that diagnosis treats evidence
from every place alike. If a log holds a fetch both as a span and as lines, the lines are left out.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flash_otel import manifest
from flash_otel import semconv as sc
from flash_otel.diagnosis.readers.containers import container_of
from flash_otel.diagnosis.readers.input import NothingFoundError
from flash_otel.diagnosis.readers.log_edges import Edges, encoded
from flash_otel.diagnosis.readers.log_groups import Draft, Grouper
from flash_otel.diagnosis.readers.log_order import Backwards, direction_of, ordered
from flash_otel.diagnosis.readers.log_scan import JOURNAL_NEEDLES, Scanner
from flash_otel.diagnosis.readers.log_text import LoggedLine, LogLines
from flash_otel.lines.table import ROWS
from flash_otel.records import (
    LINES_CLOCK,
    LINES_LOOSE_COUNT,
    LINES_PARTIAL,
    LINES_SCOPE,
    LINES_STREAM,
    LINES_TORN,
    LOGGED,
    SpanRecord,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flash_otel.diagnosis.readers.containers import Container
    from flash_otel.diagnosis.readers.input import Input, Progress

    _Gists = dict[tuple[Any, ...], SpanRecord]

# A worker writes a fetch's lines shortly before its span: so many records wait for the span.
WINDOW: Final = 2_000
_MAX_KNOWN: Final = 64
_JOURNAL: Final = b'"__REALTIME_TIMESTAMP"'
_SHOWN: Final = 80  # characters of the first line in a message

_CLIENTS: Final = frozenset({sc.ACTIVATE, sc.MANIFEST_UPLOAD, sc.MANIFEST_FETCH})
# The attributes that distinguish fetches and that lines hold.
_GIST: Final = (
    sc.ENVIRONMENT_ID,
    sc.BUILD_ID,
    sc.WORKER_ENVIRONMENT_ID,
    sc.WORKER_ENDPOINT_ID,
    sc.ENDPOINT_COUNT,
    sc.ENDPOINT_NAMES,
    sc.MANIFEST_KEYS,
)


class LogReader:
    """Reads a log of any size: of a deployment, of workers, of containers, in any mix."""

    def __init__(self, given: Input) -> None:
        self.name = given.name
        self._input = given

    def records(self, progress: Progress | None = None) -> Iterator[SpanRecord]:
        """Yield the log's spans, and records rebuilt from its bracketed lines.

        Raises:
            ReaderError: The log cannot be read.
            NothingFoundError: It holds neither.
        """
        head = self._input.head
        container = container_of(head)
        direction = direction_of(container, head)
        name = self.name
        if direction.is_backwards:
            container = Backwards(container, is_timed=direction.is_timed)
            name = name if direction.is_timed else f"{name} from its end"
        scanner = Scanner(JOURNAL_NEEDLES if _JOURNAL in head else ())
        longest = max(map(len, head.split(b"\n")))
        joins = not direction.is_backwards
        lines = LogLines(container, scanner, joins=joins, longest=longest)
        grouper, edges, found = Grouper(), Edges(), False
        queue = _RecordQueue(name, edges)
        for logged in ordered(lines.read(self._input.chunks(progress)), WINDOW):
            found = True
            if isinstance(logged, LoggedLine):
                edges.note(logged)
                draft = grouper.add(logged)
                if draft is not None:
                    yield from queue.add(draft)
            else:
                number, record = logged
                # The bracketed lines of the span's read stand in the same log.
                resource = {**record.resource, LOGGED: True}
                origin = f"{name}:{number}"
                yield from queue.add(replace(record, origin=origin, resource=resource))
        yield from queue.rest()
        if not found:
            raise NothingFoundError(self._nothing(container, lines.entries))

    def _nothing(self, container: Container | None, entries: int) -> str:
        """Return why nothing was found, with the first line and what can be read."""
        kind = "text" if container is None else container.description
        first = self._input.head.decode("utf-8", "replace").lstrip("\ufeff\0\r\n \t")
        begins = f"it begins with {first.splitlines()[0][:_SHOWN]!r}" if first else "it is blank"
        if container is not None and not entries:
            return (
                f"{self.name} is {kind} in which no log entries were recognised ({begins}); an "
                "entry's text is read from a field such as message, log, line or textPayload: "
                "export the log as text, JSON lines or CSV with such a field"
            )
        return (
            f"{self.name} is {kind} without a bracketed line or a span of flash_otel ({begins}); "
            "name the log of `flash deploy` or of a worker"
        )


class _RecordQueue:
    """Yields records in the order of their first lines, without drafts that a span covers."""

    def __init__(self, origin: str, edges: Edges) -> None:
        self._origin = origin
        self._edges = edges
        self._waiting: deque[Draft | SpanRecord] = deque()
        # The latest spans by name and environment, those of any environment under None.
        self._known: defaultdict[tuple[str, Any], _Gists] = defaultdict(dict)

    def add(self, item: Draft | SpanRecord) -> Iterator[SpanRecord]:
        """Add a draft or a span; yield the records that have waited long enough."""
        if isinstance(item, SpanRecord):
            self._remember(item)
        self._waiting.append(item)
        while len(self._waiting) > WINDOW:
            yield from self._next()

    def rest(self) -> Iterator[SpanRecord]:
        """Yield all remaining records."""
        while self._waiting:
            yield from self._next()

    def _remember(self, record: SpanRecord) -> None:
        for environment_id in (record.attributes.get(sc.ENVIRONMENT_ID), None):
            known = self._known[record.name, environment_id]
            gist = tuple(map(record.attributes.get, _GIST))
            known.pop(gist, None)
            known[gist] = record
            if len(known) > _MAX_KNOWN:
                del known[next(iter(known))]

    def _next(self) -> Iterator[SpanRecord]:
        item = self._waiting.popleft()
        if isinstance(item, SpanRecord):
            yield item
            return
        item.closed = True
        known = self._known.get((item.name, item.values.get(sc.ENVIRONMENT_ID)), {})
        if any(_covers(record, item) for record in known.values()):
            return
        record = record_of(item, self._origin)
        lines = tuple(map(encoded, self._edges.lines_around(item.stream, item.line)))
        torn = {LINES_TORN: lines} if lines else {}
        yield replace(record, attributes={**record.attributes, **torn})


def _covers(record: SpanRecord, draft: Draft) -> bool:
    """Return True if a span holds every value of the lines that distinguishes fetches."""
    values, held = _whole_values(draft), record.attributes
    # A span lists the keys of a manifest only if it lacks endpoints (`otlp.from_sdk`).
    are_left_out = held.get(sc.MANIFEST_STATE) == sc.MANIFEST_COMPLETE
    compared = [name for name in _GIST if not (are_left_out and name == sc.MANIFEST_KEYS)]
    return all(held.get(name) == values[name] for name in compared if name in values)


def record_of(draft: Draft, origin: str) -> SpanRecord:
    """Make a record of a draft.

    Times are 0 if the log has none. `end_ns` is None without a line that is written at the span's
    end.
    """
    clock = {LINES_CLOCK: "zoned" if draft.zoned else "naive"} if draft.start_ns else {}
    stream = {LINES_STREAM: draft.stream} if draft.stream else {}
    return SpanRecord(
        trace_id=_trace_id(draft, origin),
        span_id=_span_id(draft, origin),
        parent_span_id=None if draft.parent is None else _span_id(draft.parent, origin),
        name=draft.name,
        kind="client" if draft.name in _CLIENTS else "internal",
        start_ns=draft.start_ns or 0,
        end_ns=(draft.end_ns or 0) if draft.has_ended else None,
        attributes=_attributes(draft),
        resource={**stream, **clock},
        scope_name=LINES_SCOPE,
        origin=f"{origin}:{draft.line}",
    )


# --- attributes --------------------------------------------------------------------------------


def _whole_values(draft: Draft) -> dict[str, Any]:
    """Return the values that are set and that the log holds in full."""
    values = {
        name: value
        for name, value in draft.values.items()
        if value is not None and name not in draft.cut
    }
    if _is_of_any(draft) and values.get(sc.ENDPOINT_COUNT):
        values[LINES_LOOSE_COUNT] = values[sc.ENDPOINT_COUNT]
        for name in (sc.ENDPOINT_COUNT, sc.ENDPOINT_NAMES, sc.MANIFEST_KEYS):
            values.pop(name, None)
    if _is_without_endpoints(draft, values):
        values.pop(sc.ENDPOINT_COUNT, None)
        values.pop(sc.ENDPOINT_NAMES, None)
    return values


def _is_without_endpoints(draft: Draft, values: Mapping[str, Any]) -> bool:
    """Return True for a missing key: a read prints `EMPTY` for it, as for an empty mapping."""
    if draft.name == sc.MANIFEST_UPLOAD or values.get(sc.ENDPOINT_COUNT):
        return False
    keys = values.get(sc.MANIFEST_KEYS)
    return keys is not None and manifest.ENDPOINTS_KEY not in keys


def _is_of_any(draft: Draft) -> bool:
    """Return True if what a read holds may be of any deployment: it must not seem healthy.

    No line names the build that was read or, if only a worker's own lines are known, what it
    asked for.
    """
    if draft.name == sc.MANIFEST_FETCH:
        return sc.BUILD_ID not in draft.values
    if draft.name != sc.RUNTIME_FETCH:
        return False
    if draft.is_among_attempts:
        return not any(sc.BUILD_ID in attempt.values for attempt in draft.attempts)
    return not {sc.ENVIRONMENT_ID, sc.BUILD_ID} & draft.values.keys()


def _attributes(draft: Draft) -> dict[str, Any]:
    whole = _whole_values(draft)
    cut = {name: draft.values[name] for name in draft.cut if draft.values.get(name) is not None}
    if sc.ENDPOINT_COUNT not in whole:
        cut.pop(sc.ENDPOINT_NAMES, None)  # without their number, they would seem to be all
    attributes = {**whole, **cut, **_derived(draft, whole)}
    partial = tuple(sorted(name for name, value in cut.items() if isinstance(value, str)))
    truncated = tuple(sorted(cut.keys() - set(partial)))
    names, urls = attributes.get(sc.ENDPOINT_NAMES), attributes.get(sc.ENDPOINT_URLS)
    if urls is not None and (names is None or len(names) != len(urls)):
        del attributes[sc.ENDPOINT_URLS]
    if truncated:
        attributes[sc.TRUNCATED] = truncated
    if partial:
        attributes[LINES_PARTIAL] = partial
    return attributes


def _derived(draft: Draft, whole: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes that follow from the lines, as a span would have them."""
    derived: dict[str, Any] = {}
    if any(ROWS[key].proves_return for key in draft.keys):
        derived[sc.OUTCOME] = sc.RETURNED
    if draft.name == sc.MANIFEST_UPLOAD and {sc.ENDPOINT_NAMES, sc.ENDPOINT_URLS} <= whole.keys():
        mapping = dict(zip(whole[sc.ENDPOINT_NAMES], whole[sc.ENDPOINT_URLS], strict=False))
        derived[sc.ENDPOINTS_DIGEST] = manifest.digest(mapping)
    if draft.name == sc.MANIFEST_FETCH:
        derived |= _environment_state(draft)
    if draft.name in (sc.MANIFEST_FETCH, sc.RUNTIME_FETCH):
        derived |= _manifest_state(draft)
    if draft.name == sc.RUNTIME_FETCH:
        derived |= _fetch_result(draft)
    return derived


def _environment_state(draft: Draft) -> dict[str, Any]:
    if "active_build" not in draft.keys or sc.BUILD_ID not in draft.values:
        return {}
    no_build = draft.values[sc.BUILD_ID] is None
    state = sc.ENVIRONMENT_NO_ACTIVE_BUILD if no_build else sc.ENVIRONMENT_ACTIVE
    return {sc.ENVIRONMENT_STATE: state}


def _manifest_state(draft: Draft) -> dict[str, Any]:
    count = draft.values.get(sc.ENDPOINT_COUNT)
    if sc.MANIFEST_KEYS in draft.values and draft.values[sc.MANIFEST_KEYS] is None:
        return {sc.MANIFEST_STATE: sc.MANIFEST_NULL}
    if (count or draft.values.get(sc.ENDPOINT_NAMES)) and not _is_of_any(draft):
        return {sc.MANIFEST_STATE: sc.MANIFEST_COMPLETE}
    if count == 0 or "missing_endpoints" in draft.keys:
        return {sc.MANIFEST_STATE: sc.MANIFEST_INCOMPLETE}
    return {}


def _fetch_result(draft: Draft) -> dict[str, Any]:
    result: dict[str, Any] = {}
    builds = {
        attempt.values.get(sc.BUILD_ID)
        for attempt in draft.attempts
        if sc.BUILD_ID not in attempt.cut
    }
    if len(builds) == 1 and None not in builds:
        result[sc.BUILD_ID] = builds.pop()
    unset = (sc.ENVIRONMENT_ID, sc.WORKER_ENVIRONMENT_ID)
    if all(name in draft.values and draft.values[name] is None for name in unset):
        result[sc.FAULT] = sc.ENVIRONMENT_UNSET
    return result


# --- ids ---------------------------------------------------------------------------------------


def _trace_id(draft: Draft, origin: str) -> str:
    build_id = draft.values.get(sc.BUILD_ID)
    is_step = draft.name in (sc.ACTIVATE, sc.MANIFEST_UPLOAD)
    if is_step and build_id and sc.BUILD_ID not in draft.cut:
        # The two steps of a deployment share a trace, because they share a build id.
        return _hash(origin, "build", build_id)[:32]
    return _hash(origin, "trace", (draft.parent or draft).ordinal)[:32]


def _span_id(draft: Draft, origin: str) -> str:
    return _hash(origin, "span", draft.ordinal)[:16]


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr((LINES_SCOPE, *parts)).encode()).hexdigest()
