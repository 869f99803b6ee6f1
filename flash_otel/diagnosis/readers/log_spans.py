"""Makes span records of grouped lines, so that evidence comes alike from every source.

Where a log holds the same fetch at full fidelity, that record wins and the lines are left out.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, Final

from flash_otel import manifest
from flash_otel import semconv as sc
from flash_otel.lines.table import ROWS
from flash_otel.records import LINES_CLOCK, LINES_SCOPE, LINES_STREAM, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.readers.log_groups import Draft

    _Gists = dict[tuple[Any, ...], SpanRecord]

_CLIENTS: Final = frozenset({sc.ACTIVATE, sc.MANIFEST_UPLOAD, sc.MANIFEST_FETCH})
# How many records wait for a better one of the same fetch, which a log holds right after it.
WINDOW: Final = 2_000
_MAX_KNOWN: Final = 64


class RecordQueue:
    """Yields records in the order of their first lines.

    Args:
        origin: What the records' file is called.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._waiting: deque[Draft | SpanRecord] = deque()
        self._known: defaultdict[tuple[str, Any], _Gists] = defaultdict(dict)

    def add(self, found: Draft | SpanRecord) -> Iterator[SpanRecord]:
        """Take one in; yield those that have waited long enough."""
        if isinstance(found, SpanRecord):
            self._know(found)
        self._waiting.append(found)
        while len(self._waiting) > WINDOW:
            yield from self._next()

    def rest(self) -> Iterator[SpanRecord]:
        """Yield all that are left."""
        while self._waiting:
            yield from self._next()

    def _know(self, record: SpanRecord) -> None:
        """Remember the latest records of each environment, and of all."""
        for environment_id in (record.attributes.get(sc.ENVIRONMENT_ID), None):
            known = self._known[record.name, environment_id]
            gist = tuple(map(record.attributes.get, _GIST))
            known.pop(gist, None)
            known[gist] = record
            if len(known) > _MAX_KNOWN:
                del known[next(iter(known))]

    def _next(self) -> Iterator[SpanRecord]:
        found = self._waiting.popleft()
        if isinstance(found, SpanRecord):
            yield found
            return
        found.closed = True
        known = self._known.get((found.name, found.said.get(sc.ENVIRONMENT_ID)), {})
        if not any(_covers(record, found) for record in known.values()):
            yield record_of(found, self._origin)


# What tells one fetch from another, as far as lines can.
_GIST: Final = (
    sc.ENVIRONMENT_ID,
    sc.BUILD_ID,
    sc.WORKER_ENVIRONMENT_ID,
    sc.WORKER_ENDPOINT_ID,
    sc.ENDPOINT_COUNT,
    sc.ENDPOINT_NAMES,
    sc.MANIFEST_KEYS,
)


def _covers(record: SpanRecord, draft: Draft) -> bool:
    """Tell whether a record says all that the lines say."""
    said = _attributes_said(draft)
    return all(record.attributes.get(name) == said[name] for name in _GIST if name in said)


def record_of(draft: Draft, origin: str) -> SpanRecord:
    """Make a record of a draft; times are 0 where the log has none.

    `end_ns` is None as long as no line was read that is written at the span's end.
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


def _attributes_said(draft: Draft) -> dict[str, Any]:
    """Return what the lines say and no more; an unset value is no attribute."""
    said = {
        name: value
        for name, value in draft.said.items()
        if value is not None and name not in draft.cut
    }
    keys = said.get(sc.MANIFEST_KEYS)
    is_without = keys is not None and manifest.ENDPOINTS_KEY not in keys
    if is_without and draft.name != sc.MANIFEST_UPLOAD and not said.get(sc.ENDPOINT_COUNT):
        # A read's `EMPTY` stands for an empty mapping as well as for none.
        said.pop(sc.ENDPOINT_COUNT, None)
        said.pop(sc.ENDPOINT_NAMES, None)
    return said


def _attributes(draft: Draft) -> dict[str, Any]:
    said = _attributes_said(draft)
    cut = {name: draft.said[name] for name in draft.cut if draft.said.get(name) is not None}
    made = {**said, **cut, **_derived(draft, said)}
    names, urls = made.get(sc.ENDPOINT_NAMES), made.get(sc.ENDPOINT_URLS)
    if urls is not None and (names is None or len(names) != len(urls)):
        del made[sc.ENDPOINT_URLS]
    if cut:
        made[sc.TRUNCATED] = tuple(sorted(cut))
    return made


def _derived(draft: Draft, said: dict[str, Any]) -> dict[str, Any]:
    """Add what follows from the lines, under the names that a span has for it."""
    made: dict[str, Any] = {}
    if any(ROWS[key].proves_return for key in draft.keys):
        made[sc.OUTCOME] = sc.RETURNED
    if draft.name == sc.MANIFEST_UPLOAD and {sc.ENDPOINT_NAMES, sc.ENDPOINT_URLS} <= said.keys():
        mapping = dict(zip(said[sc.ENDPOINT_NAMES], said[sc.ENDPOINT_URLS], strict=False))
        made[sc.ENDPOINTS_DIGEST] = manifest.digest(mapping)
    if draft.name == sc.MANIFEST_FETCH:
        made |= _environment_state(draft)
    if draft.name in (sc.MANIFEST_FETCH, sc.RUNTIME_FETCH):
        made |= _manifest_state(draft)
    if draft.name == sc.RUNTIME_FETCH:
        made |= _read_by(draft)
    return made


def _environment_state(draft: Draft) -> dict[str, Any]:
    if "active_build" not in draft.keys or sc.BUILD_ID not in draft.said:
        return {}
    no_build = draft.said[sc.BUILD_ID] is None
    state = sc.ENVIRONMENT_NO_ACTIVE_BUILD if no_build else sc.ENVIRONMENT_ACTIVE
    return {sc.ENVIRONMENT_STATE: state}


def _manifest_state(draft: Draft) -> dict[str, Any]:
    held = draft.said.get(sc.ENDPOINT_COUNT)
    if sc.MANIFEST_KEYS in draft.said and draft.said[sc.MANIFEST_KEYS] is None:
        return {sc.MANIFEST_STATE: sc.MANIFEST_NULL}
    if held or draft.said.get(sc.ENDPOINT_NAMES):
        return {sc.MANIFEST_STATE: sc.MANIFEST_COMPLETE}
    if held == 0 or "missing_endpoints" in draft.keys:
        return {sc.MANIFEST_STATE: sc.MANIFEST_INCOMPLETE}
    return {}


def _read_by(draft: Draft) -> dict[str, Any]:
    made: dict[str, Any] = {}
    builds = {one.said.get(sc.BUILD_ID) for one in draft.attempts if sc.BUILD_ID not in one.cut}
    if len(builds) == 1 and None not in builds:
        made[sc.BUILD_ID] = builds.pop()
    unset = (sc.ENVIRONMENT_ID, sc.WORKER_ENVIRONMENT_ID)
    if all(name in draft.said and draft.said[name] is None for name in unset):
        made[sc.FAULT] = sc.ENVIRONMENT_UNSET
    return made


def _trace_id(draft: Draft, origin: str) -> str:
    build_id = draft.said.get(sc.BUILD_ID)
    if (
        draft.name in (sc.ACTIVATE, sc.MANIFEST_UPLOAD)
        and build_id
        and sc.BUILD_ID not in draft.cut
    ):
        # The two steps of one deployment: nothing else shares its build id.
        return _hash(origin, "build", build_id)[:32]
    return _hash(origin, "trace", (draft.parent or draft).ordinal)[:32]


def _span_id(draft: Draft, origin: str) -> str:
    return _hash(origin, "span", draft.ordinal)[:16]


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr((LINES_SCOPE, *parts)).encode("utf-8", "replace")).hexdigest()
