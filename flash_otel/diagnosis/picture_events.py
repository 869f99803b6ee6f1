"""The events of a picture, in order: by causality first, by clocks last.

Where nothing shows the place of a read or call in that order, it comes after all others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.case import persisted_count
from flash_otel.diagnosis.evidence import HOLDS, UNFINISHED, RuntimeFetch
from flash_otel.diagnosis.findings import count, environment, what_failed
from flash_otel.diagnosis.matching import asks_for_deployed
from flash_otel.diagnosis.order import CERTAIN, Offset, is_same_host
from flash_otel.diagnosis.tables import DEPLOYMENT, RUNTIME, runtime_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import (
        Activation,
        Deployment,
        ManifestUpload,
        Origin,
        SpanFact,
        Step,
    )

START: Final = "start"
ACTIVATION: Final = "activation"
WRITE: Final = "write"
STEP: Final = "step"
READ: Final = "read"
CALL: Final = "call"

MOST_OTHERS: Final = 4
"""Other deployments whose activation and write are marked."""

# What a verdict on a read shows about its place in the order.
_FOLLOWS: Final = {
    sc.STALE_BUILD: ACTIVATION,
    sc.MANIFEST_NOT_PERSISTED: WRITE,
    sc.ENDPOINTS_MISSING: WRITE,
    sc.ENDPOINTS_DIFFER: WRITE,
    sc.READ_INCOMPLETE: WRITE,
}
_PRECEDES: Final = {sc.READ_BEFORE_WRITE: WRITE}


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureEvent:
    """Something that a deployment or a worker did.

    Attributes:
        lane: deployment or runtime.
        kind: start, activation, write, step, read or call.
        text: What happened.
        fact: The span behind it; of several similar reads or calls, the first.
        at_ns: When, by the clock of its own process; None if unknown.
        slot: Number of the deployments' events that precede it, itself included.
        same_clock: Its clock is the deployment's.
        is_timed: Its clock agrees with its place in the order.
        is_ordered: Its place in the order is known.
        count: Number of similar reads or calls.
        last_ns: Of several, the time of the last one; None if unknown.
        build_id: Of an activation or a write, the build.
        endpoint_count: Of a write, the number of endpoints that were stored; None if unknown.
    """

    lane: str
    kind: str
    text: str
    fact: SpanFact
    at_ns: int | None = None
    slot: int = 0
    same_clock: bool = True
    is_timed: bool = True
    is_ordered: bool = True
    count: int = 1
    last_ns: int | None = None
    build_id: str | None = None
    endpoint_count: int | None = None


_Similar = tuple[tuple[object, ...], PictureEvent]
"""An event, with what similar ones share."""


def events_of(case: Case, marked: frozenset[Origin]) -> list[PictureEvent]:
    """Return the events of the deployment and of its workers, in order.

    Args:
        case: The deployment with its reads and calls.
        marked: Evidence that must be among them.
    """
    done = _done(case, marked)
    events = [*done, *_grouped(_with_clocks(list(_ran(case, done, marked))))]
    return sorted(events, key=_position)


def _position(event: PictureEvent) -> tuple[bool, int, bool, int, Origin]:
    # What the deployment did has a slot of its own, so that only reads and calls are timed here.
    is_ran = event.lane == RUNTIME
    return (not event.is_ordered, event.slot, is_ran, event.at_ns or 0, event.fact.origin)


# --- the deployment -------------------------------------------------------------------------------


def _done(case: Case, marked: frozenset[Origin]) -> list[PictureEvent]:
    """Return the events of the deployment, and of others to its environment, in order."""
    own = list(_own(case, marked))
    events = sorted((*own, *_of_others(case, own, marked)), key=_when_done)
    return [replace(event, slot=slot) for slot, event in enumerate(events, 1)]


def _when_done(event: PictureEvent) -> float:
    # Sorting is stable: events without times keep the order of their causes.
    return (
        math.inf if event.fact.outcome == UNFINISHED and event.kind != START else event.at_ns or 0
    )


def _own(case: Case, marked: frozenset[Origin]) -> Iterator[PictureEvent]:
    deployment = case.deployment
    if deployment.root is not None:
        yield _event(START, "started", deployment.root, deployment.start_ns)
    changes = list(_changes(deployment, persisted_count(case), case.expected.count))
    yield from changes
    shown = {change.fact.origin for change in changes}
    for step in deployment.steps:
        is_cause = case.failed_step is not None and step.origin == case.failed_step.origin
        if step.origin not in shown and (is_cause or step.origin in marked):
            at_ns = None if step.outcome == UNFINISHED else step.end_ns
            yield _event(STEP, _step_text(step), step, at_ns)


def _step_text(step: Step) -> str:
    return sc.STEPS.get(step.name, step.name) if step.returned else what_failed(step)


def _event(kind: str, text: str, fact: SpanFact, at_ns: int | None) -> PictureEvent:
    return PictureEvent(lane=DEPLOYMENT, kind=kind, text=text, fact=fact, at_ns=at_ns)


def _changes(
    deployment: Deployment, persisted: int | None, sent: int | None
) -> Iterator[PictureEvent]:
    """Yield what changes the State Manager's state: the activation, and the end of the write."""
    activation, upload = deployment.activation, deployment.upload
    if activation is not None:
        at_ns = activation.end_ns or activation.start_ns
        event = _event(ACTIVATION, _activation_text(deployment, activation), activation, at_ns)
        yield replace(event, build_id=deployment.build_id)
    if upload is not None:
        stored = sent if persisted is None else persisted
        event = _event(WRITE, _write_text(upload, sent, stored), upload, upload.end_ns)
        yield replace(
            event, build_id=deployment.build_id, endpoint_count=stored, at_ns=upload.end_ns
        )


def _activation_text(deployment: Deployment, activation: Activation) -> str:
    if activation.outcome == UNFINISHED:
        return "the activation did not end"
    if not activation.returned:
        return f"the activation ended without success ({activation.failure or activation.outcome})"
    build = f"build {deployment.build_id}" if deployment.build_id else "a build"
    if activation.is_repeated:
        return f"activated {build}, which was active already"
    other = "; the answer names another artifact" if is_ignored(activation) else ""
    return f"activated {build}{other}"


def is_ignored(activation: Activation) -> bool:
    """Return True if the answer to an activation names another artifact than the uploaded one."""
    asked, answered = activation.object_key, activation.active_object_key
    return None not in (asked, answered) and asked != answered


def _write_text(upload: ManifestUpload, sent: int | None, stored: int | None) -> str:
    if upload.outcome == UNFINISHED:
        return "the manifest upload did not end"
    if not upload.returned:
        return "the manifest upload ended without success"
    answered = "" if stored == sent else f", of which {stored} are stored"
    return f"wrote the manifest, {count(sent, 'endpoint')}{answered}"


def _of_others(
    case: Case, own: list[PictureEvent], marked: frozenset[Origin]
) -> Iterator[PictureEvent]:
    """Yield the changes by other deployments, in the meantime or among the evidence.

    Only those that one clock orders: what other deployments did is no step of this one.
    """
    start_ns, last_ns, found = case.deployment.start_ns, _last_ns(case, own), 0
    for other in case.evidence.deployments:
        if start_ns is None or found == MOST_OTHERS:
            return
        if other.id == case.deployment.id or not is_same_host(other.process, own[0].fact.process):
            continue
        changes = [
            change
            for change in _changes_of_other(case, other)
            if change.fact.origin in marked
            or (change.kind != STEP and start_ns <= (change.at_ns or 0) <= last_ns)
        ]
        found += bool(changes)
        yield from changes


def _changes_of_other(case: Case, other: Deployment) -> Iterator[PictureEvent]:
    is_here = other.environment_id == case.deployment.environment_id
    place = "" if is_here else f", of {environment(case, other.environment_id, is_short=False)}"
    sent = other.upload.endpoints.count if other.upload else None
    for change in _changes(other, None, sent):
        if change.fact.returned and change.at_ns:
            text = f"another deployment {change.text}{place}"
            # In another environment, it changes nothing here.
            yield replace(change, text=text, kind=change.kind if is_here else STEP)


def _last_ns(case: Case, own: list[PictureEvent]) -> int:
    read = max((read.end_ns or 0 for read in case.reads if case.offset(read).exact), default=0)
    return max(read, *(event.at_ns or 0 for event in own), case.deployment.end_ns or 0)


# --- its workers ----------------------------------------------------------------------------------


def _ran(case: Case, done: list[PictureEvent], marked: frozenset[Origin]) -> Iterator[_Similar]:
    """Yield reads, and the calls among the evidence, each with what similar ones share."""
    slots = _Slots(case, done)
    verdicts = {read.origin: verdict.codes for read, verdict in case.read_verdicts}
    missing = marked - {read.origin for read in case.reads}
    strangers = (read for read in case.evidence.reads if read.origin in missing)
    for read in (*case.reads, *strangers):
        codes = verdicts.get(read.origin, ())
        event = slots.placed(READ, read, _read_text(case, read), read.asked_ns, codes)
        answer = (event.text, read.environment_id, read.failure)
        # The evidence names only the first of many reads that prove the same.
        proved = codes or read.origin in marked
        yield (event.slot, event.is_ordered, proved, *answer), event
    for kind, fact, text in _ran_besides(case):
        if fact.origin in marked:
            event = slots.placed(kind, fact, text, fact.start_ns, ())
            yield (event.slot, event.is_ordered, event.text), event


def _ran_besides(case: Case) -> Iterator[tuple[str, SpanFact, str]]:
    """Yield what workers did besides reading: kind, fact and text."""
    for call in case.evidence.calls:
        yield CALL, call, runtime_text(call)
    for endpoint in case.evidence.worker_endpoints:
        yield STEP, endpoint, f"a worker deployed endpoint {endpoint.resource_name}"


def _read_text(case: Case, read: RuntimeFetch) -> str:
    asked = read.environment_id
    if read.environment_state == sc.ENVIRONMENT_NULL:
        return f"asked for {environment(case, asked, is_short=False)}, which does not exist"
    if asked is None or asks_for_deployed(case.deployment, read):
        return _answer_text(read)
    return f"{_answer_text(read)}, of {environment(case, asked, is_short=False)}"


def _answer_text(read: RuntimeFetch) -> str:
    if read.environment_state == sc.ENVIRONMENT_NO_ACTIVE_BUILD:
        return "read that no build is active"
    if read.build_id is None:
        return runtime_text(read).removeprefix("a worker").removeprefix("'s").strip()
    return f"read build {read.build_id}" + (
        "" if read.held is None else f", {count(read.held, 'endpoint')}"
    )


class _Slots:
    """Places reads and calls among the events of the deployment."""

    def __init__(self, case: Case, done: list[PictureEvent]) -> None:
        self._case = case
        self._last = len(done)
        self._times = [event.at_ns for event in done]
        own = {fact.origin for fact in (case.deployment.activation, case.deployment.upload) if fact}
        self._of_kind = {event.kind: event.slot for event in done if event.fact.origin in own}

    def placed(
        self, kind: str, fact: SpanFact, text: str, at_ns: int | None, codes: tuple[str, ...]
    ) -> PictureEvent:
        """Return the event of a read or call.

        Args:
            kind: Its kind.
            fact: The read or call.
            text: What happened.
            at_ns: When, by the clock of its own process.
            codes: What the read proves.
        """
        offset = self._case.offsets.get(fact.process.instance, Offset())
        first, last = self._bounds(fact, at_ns, offset, codes)
        slot = self._slot(at_ns, offset, codes)
        is_timed = slot is not None and first <= slot <= last
        return PictureEvent(
            lane=RUNTIME,
            kind=kind,
            text=text,
            fact=fact,
            at_ns=at_ns,
            slot=slot if slot is not None and is_timed else last,
            same_clock=offset.exact,
            is_timed=is_timed,
            is_ordered=is_timed or first == last,
        )

    def _slot(self, at_ns: int | None, offset: Offset, codes: tuple[str, ...]) -> int | None:
        """Return the slot by the clock, or None if clocks cannot decide."""
        is_comparable = offset.exact or (not math.isinf(offset.assumed) and len(codes) <= 1)
        if at_ns is None or self._case.deployment.start_ns is None or not is_comparable:
            return None
        return sum(1 for time_ns in self._times if time_ns is not None and time_ns <= at_ns)

    def _bounds(
        self, fact: SpanFact, at_ns: int | None, offset: Offset, codes: tuple[str, ...]
    ) -> tuple[int, int]:
        """Return the first and the last slot that causality leaves for a read or call."""
        certain = (time_ns for time_ns in self._times if offset.after(at_ns, time_ns) == CERTAIN)
        first, last = 0 if offset.exact else sum(1 for _ in certain), self._last
        if isinstance(fact, RuntimeFetch):
            kinds = [kind for kind in self._before(fact, codes) if kind in self._of_kind]
            first = max(first, *(self._of_kind[kind] for kind in kinds), 0)
        if len(codes) == 1 and _PRECEDES.get(codes[0]) in self._of_kind:
            last = self._of_kind[_PRECEDES[codes[0]]] - 1
        return min(first, last), last

    def _before(self, read: RuntimeFetch, codes: tuple[str, ...]) -> Iterator[str]:
        """Yield the kinds of the deployment's events that preceded a read."""
        case = self._case
        activation = case.deployment.activation
        is_own = read.build_id is not None and read.build_id == case.deployment.build_id
        if is_own and activation is not None and not activation.is_repeated:
            yield ACTIVATION
            if read.held and case.comparison(read) == HOLDS:
                yield WRITE
        if len(codes) == 1 and codes[0] in _FOLLOWS:
            yield _FOLLOWS[codes[0]]


def _with_clocks(events: list[_Similar]) -> Iterator[_Similar]:
    """Distrust the clock of a process that some event of it refutes."""
    off = {event.fact.process.instance for _, event in events if not event.is_timed}
    for key, event in events:
        is_timed = event.fact.process.instance not in off
        yield key, event if event.is_timed == is_timed else replace(event, is_timed=False)


def _grouped(events: Iterable[_Similar]) -> list[PictureEvent]:
    """Join similar events of a slot, of which the first one remains."""
    groups: dict[tuple[object, ...], PictureEvent] = {}
    for key, event in events:
        first = groups.setdefault(key, event)
        if first is not event:
            groups[key] = replace(first, count=first.count + 1, last_ns=event.at_ns)
    return list(groups.values())
