"""The picture of a fault: a deployment and its workers beside what the State Manager held.

A mark whose place in the order is unknown shows no state but what it has read itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.evidence import RuntimeFetch
from flash_otel.diagnosis.findings import count
from flash_otel.diagnosis.matching import asks_for_deployed
from flash_otel.diagnosis.picture_events import (
    ACTIVATION,
    READ,
    START,
    WRITE,
    events_of,
    is_ignored,
)
from flash_otel.diagnosis.tables import MISMATCH, RUNTIME, matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Origin, SpanFact
    from flash_otel.diagnosis.findings import Finding
    from flash_otel.diagnosis.picture_events import PictureEvent

MOST_MARKS: Final = 24
"""Marks of reads and calls. Of more, those that the verdict rests on stay, and the first others."""

LONG_WAIT_S: Final = 10.0

_COMPARED: Final = ("environment_id", "build_id", "endpoint_count")


@dataclass(frozen=True, slots=True)
class ManifestState:
    """What the State Manager holds for the deployed environment.

    Attributes:
        build_id: The active build; None if it is unknown, or if there is none.
        endpoint_count: Endpoints in the manifest of the active build; None if unknown.
        has_build: A build is active; None if that is unknown.
        is_deployed: The active build is that of the judged deployment.
        as_read: A worker's read shows it, and nothing of the deployment does.
    """

    build_id: str | None = None
    endpoint_count: int | None = None
    has_build: bool | None = None
    is_deployed: bool = False
    as_read: bool = False


def state_texts(state: ManifestState) -> Iterator[str]:
    """Yield the active build, and what its manifest holds."""
    if not state.has_build:
        yield "not recorded" if state.has_build is None else "no active build"
        return
    build = state.build_id or "a build"
    yield f"{build}{' (deployed)' if state.is_deployed else ''}"
    number = state.endpoint_count
    held = "no endpoints" if number == 0 else count(number, "endpoint") if number else ""
    known = (held, "as read" if state.as_read else "")
    if any(known):
        yield ", ".join(filter(None, known))


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureMark:
    """Something that a deployment or a worker did; similar reads of one state are one mark.

    Attributes:
        lane: deployment or runtime.
        kind: start, activation, write, step, read or call.
        text: What happened.
        origin: Where it was read; of several reads, the first.
        seconds: Since the deployment's start, by the clock of its own process; None if unknown.
        same_clock: Its clock is the deployment's.
        is_timed: Its clock agrees with its place among the marks.
        is_ordered: Its place among the marks is known.
        wait_s: Seconds since the mark before it, if that is a long time; else None.
        count: The number of similar reads or calls.
        last_seconds: Of several, when the last one was; None if unknown.
        is_marked: The verdict rests on it.
        differs: Of a marked read, the fields that differ from the deployment: `environment_id`,
            `build_id` and `endpoint_count`.
        environment_id: Of a read, the environment that it asked for.
        build_id: Of a read, the active build in its answer.
        endpoint_count: Of a read, the number of endpoints in its answer.
        state: What the State Manager holds from then on; None if unknown.
    """

    lane: str
    kind: str
    text: str
    origin: Origin
    seconds: float | None = None
    same_clock: bool = True
    is_timed: bool = True
    is_ordered: bool = True
    wait_s: float | None = None
    count: int = 1
    last_seconds: float | None = None
    is_marked: bool = False
    differs: tuple[str, ...] = ()
    environment_id: str | None = None
    build_id: str | None = None
    endpoint_count: int | None = None
    state: ManifestState | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """Deployment, workers and the State Manager's state, in the order of events.

    Attributes:
        build_id: The deployed build, or None.
        environment_id: The environment that it was deployed to, or None.
        endpoint_count: The number of endpoints that were written; None if unknown.
        before: What the State Manager held before the deployment.
        marks: What happened, in order.
        left_out: Number of reads and calls that are not shown.
    """

    build_id: str | None
    environment_id: str | None
    endpoint_count: int | None
    before: ManifestState
    marks: tuple[PictureMark, ...]
    left_out: int = 0


def picture_of(case: Case, finding: Finding | None) -> Picture | None:
    """Return the picture of a deployment, or None without a record of one.

    Args:
        case: The deployment with its reads and calls.
        finding: The finding that the verdict comes from.
    """
    deployment = case.deployment
    if not case.is_recorded or not deployment.steps:
        return None
    marked = _marked(case, finding)
    events = events_of(case, marked)
    shown = _shortened(events, marked)
    before = _before(case)
    return Picture(
        build_id=deployment.build_id,
        environment_id=deployment.environment_id,
        endpoint_count=case.expected.count,
        before=before,
        marks=tuple(_with_waits(_marks(case, shown, before, marked))),
        left_out=sum(event.count for event in events) - sum(event.count for event in shown),
    )


def _marked(case: Case, finding: Finding | None) -> frozenset[Origin]:
    """Return the places of the evidence that shows the fault: reads and calls, or else steps."""
    if finding is None or finding.code == sc.NONE:
        return frozenset()
    named = {exhibit.origin for exhibit in finding.evidence}
    fine = {read.origin for read in case.whole_reads}
    known = case.evidence
    facts: tuple[SpanFact, ...] = (*known.reads, *known.calls, *known.worker_endpoints)
    ran = {fact.origin for fact in facts if fact.origin in named}
    if ran - fine:
        return frozenset(ran - fine)
    failed = {step.origin for step in case.deployment.steps if not step.returned}
    return frozenset(named & failed or named)


def _shortened(events: list[PictureEvent], marked: frozenset[Origin]) -> list[PictureEvent]:
    ran = [event for event in events if event.lane == RUNTIME]
    ran.sort(key=lambda event: event.fact.origin not in marked)
    kept = {id(event) for event in ran[:MOST_MARKS]}
    return [event for event in events if event.lane != RUNTIME or id(event) in kept]


# --- the State Manager's state --------------------------------------------------------------------


@dataclass
class _StateManager:
    """Follows the State Manager's state through the events of a picture."""

    case: Case
    state: ManifestState
    _held: dict[str | None, int | None] = field(default_factory=dict)

    def after(self, event: PictureEvent) -> ManifestState | None:
        """Return the state after an event."""
        if not event.is_ordered:
            return self._of_read(event)
        if event.kind == ACTIVATION:
            self.state = self._activated(event)
        elif event.kind == WRITE:
            self.state = self._written(event)
        elif event.kind == READ:
            self.state = self._of_read(event) or self.state
        return self.state

    def _of_build(self, build_id: str | None, *, as_read: bool = False) -> ManifestState:
        return ManifestState(
            build_id=build_id,
            endpoint_count=self._held.get(build_id),
            has_build=True,
            is_deployed=build_id == self.case.deployment.build_id,
            as_read=as_read,
        )

    def _activated(self, event: PictureEvent) -> ManifestState:
        activation = self.case.deployment.activation
        is_own = activation is not None and event.fact.origin == activation.origin
        if not event.fact.returned:
            # The activation may have taken effect; a rejected one has not.
            return self.state if event.fact.outcome == sc.FAILED else ManifestState()
        if is_own and activation is not None and is_ignored(activation):
            return self.state
        if not (is_own and activation is not None and activation.is_repeated):
            # Until the write, this is the manifest of the finalize call.
            self._held.setdefault(event.build_id, 0)
        return self._of_build(event.build_id)

    def _written(self, event: PictureEvent) -> ManifestState:
        if event.fact.outcome == sc.FAILED:
            return self.state
        self._held[event.build_id] = event.endpoint_count if event.fact.returned else None
        is_active = self.state.has_build and self.state.build_id == event.build_id
        return self._of_build(event.build_id) if is_active else self.state

    def _of_read(self, event: PictureEvent) -> ManifestState | None:
        """Return the state that a read shows, or None if it shows none."""
        read = event.fact
        if not isinstance(read, RuntimeFetch) or not asks_for_deployed(self.case.deployment, read):
            return None
        if read.environment_state == sc.ENVIRONMENT_NO_ACTIVE_BUILD:
            return ManifestState(has_build=False, as_read=True)
        if read.build_id is None:
            return None
        if event.is_ordered and read.held is not None:
            self._held[read.build_id] = read.held
        state = self._of_build(read.build_id, as_read=True)
        if read.held is not None:
            state = replace(state, endpoint_count=read.held)
        is_known = event.is_ordered and replace(state, as_read=self.state.as_read) == self.state
        return self.state if is_known else state


def _before(case: Case) -> ManifestState:
    """Return what was active before the deployment, as far as its activation has recorded it."""
    activation = case.deployment.activation
    build_id = activation.previous_build_id if activation else None
    if build_id is None:
        return ManifestState()
    return ManifestState(build_id, _written_count(case, build_id), has_build=True)


def _written_count(case: Case, build_id: str) -> int | None:
    """Return the number of endpoints that an earlier deployment of a build wrote."""
    for known in reversed(case.index.of_build(build_id)):
        if known.id != case.deployment.id and known.upload and known.upload.returned:
            return known.upload.endpoints.count
    return None


# --- the marks ------------------------------------------------------------------------------------


def _marks(
    case: Case, events: list[PictureEvent], before: ManifestState, marked: frozenset[Origin]
) -> Iterator[PictureMark]:
    manager = _StateManager(case, before)
    for event in events:
        mark = PictureMark(
            lane=event.lane,
            kind=event.kind,
            text=event.text,
            origin=event.fact.origin,
            seconds=_since(case, event.at_ns),
            is_timed=event.is_timed,
            same_clock=event.same_clock,
            is_ordered=event.is_ordered,
            count=event.count,
            last_seconds=_since(case, event.last_ns),
            # A deployment without an end has a mark of its own for that.
            is_marked=event.fact.origin in marked and (event.kind != START or event.fact.returned),
            state=manager.after(event),
        )
        yield _with_answer(case, mark, event.fact)


def _since(case: Case, at_ns: int | None) -> float | None:
    start_ns = case.deployment.start_ns
    return None if start_ns is None or at_ns is None else (at_ns - start_ns) / 1e9


def _with_answer(case: Case, mark: PictureMark, fact: SpanFact) -> PictureMark:
    if not isinstance(fact, RuntimeFetch):
        return mark
    compared = {match.name: match.result for match in matches(case, fact)}
    differs = tuple(name for name in _COMPARED if compared.get(name) == MISMATCH)
    return replace(
        mark,
        differs=differs if mark.is_marked else (),
        environment_id=fact.environment_id,
        build_id=fact.build_id,
        endpoint_count=fact.held,
    )


def _with_waits(marks: Iterable[PictureMark]) -> Iterator[PictureMark]:
    """Note the long waits between marks whose times are known."""
    last: float | None = None
    for mark in marks:
        if mark.seconds is None or not (mark.is_ordered and mark.is_timed):
            yield mark
            continue
        wait_s = 0 if last is None else mark.seconds - last
        yield replace(mark, wait_s=wait_s if wait_s >= LONG_WAIT_S else None)
        last = mark.seconds if mark.last_seconds is None else mark.last_seconds
