"""Both phases on one axis: what the deployment did, and when workers read and called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.evidence import UNFINISHED, RuntimeFetch
from flash_otel.diagnosis.findings import count
from flash_otel.diagnosis.steps import what_failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Call, Fact, Origin, Step

DEPLOYMENT: Final = "deployment"
RUNTIME: Final = "runtime"

MOST: Final = 40
_SHOWN: Final = (
    sc.BUILD,
    sc.ARTIFACT_UPLOAD,
    sc.ACTIVATE,
    sc.PROVISION,
    sc.MANIFEST_UPLOAD,
)


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline.

    Attributes:
        phase: deployment or runtime.
        seconds: Since the deployment's start, on the clock of whoever did it; None if unknown.
        duration_s: How long it took, in seconds; None if unknown.
        text: What happened.
        origin: Where it was read.
        same_clock: Its clock is the deployment's.
    """

    phase: str
    seconds: float | None
    duration_s: float | None
    text: str
    origin: Origin
    same_clock: bool = True


def window_s(case: Case) -> float | None:
    """Measure the activation window: seconds from activation to the manifest upload's end.

    It is open in every deployment, and hurts only a worker that reads in it.
    """
    activation, upload = case.deployment.activation, case.deployment.upload
    ends = (activation.end_ns if activation else None, upload.end_ns if upload else None)
    if ends[0] is None or ends[1] is None:
        return None
    return (ends[1] - ends[0]) / 1e9


def timeline(case: Case) -> tuple[Moment, ...]:
    """Return what happened in the order of time; of very many reads and calls, the first ones."""
    deployed = [_moment(case, DEPLOYMENT, one, _step(case, one)) for one in _steps(case)]
    facts: list[RuntimeFetch | Call] = [*case.reads, *case.calls]
    ran = [_moment(case, RUNTIME, one, _said(one)) for one in facts[: MOST * 4]]
    ordered = sorted((*deployed, *ran), key=_order)
    return tuple(ordered[:MOST])


def _steps(case: Case) -> Iterator[Step]:
    cause = case.culprit
    for step in case.deployment.steps:
        if step.name in _SHOWN or (cause is not None and step.origin == cause.origin):
            yield step


def _order(moment: Moment) -> tuple[float, str, Origin]:
    # Without a clock: the deployment first, then what was read, each in the order of its file.
    unknown = float("-inf") if moment.phase == DEPLOYMENT else float("inf")
    seconds = unknown if moment.seconds is None else moment.seconds
    return (seconds, moment.phase, moment.origin)


def _moment(case: Case, phase: str, fact: Fact, text: str) -> Moment:
    begun = case.deployment.start_ns
    known = fact.start_ns is not None and begun is not None
    seconds = ((fact.start_ns or 0) - (begun or 0)) / 1e9 if known else None
    ended = fact.end_ns is not None and fact.start_ns is not None
    duration = ((fact.end_ns or 0) - (fact.start_ns or 0)) / 1e9 if ended else None
    same = phase == DEPLOYMENT or case.offset(fact).exact
    return Moment(phase, seconds, duration, text, fact.origin, same)


def _step(case: Case, step: Step) -> str:
    name = sc.STEPS.get(step.name, step.name)
    if not step.returned:
        return what_failed(step) if step.outcome != UNFINISHED else f"{name} did not end"
    if step.name == sc.ACTIVATE:
        return f"{name} of build {case.deployment.build_id}"
    if step.name == sc.MANIFEST_UPLOAD:
        return f"{name}, {count(case.expected.count, 'endpoint')}"
    return name


def _said(fact: RuntimeFetch | Call) -> str:
    return _read(fact) if isinstance(fact, RuntimeFetch) else _call(fact)


def _read(read: RuntimeFetch) -> str:
    if read.environment_id is None and read.build_id is None and read.held is None:
        return "a worker asked nothing"
    if read.build_id is None and read.failure is not None:
        return f"a worker's read failed ({read.failure})"
    active = f"active build {read.build_id}" if read.build_id else "no active build"
    return f"a worker read {active}, {count(read.held, 'endpoint')}"


def _call(call: Call) -> str:
    name = call.function_name or call.resource_name or "a function"
    ending = "" if call.returned else f", which failed ({call.failure})"
    return f"a call of {name} ({call.route or 'route unknown'}){ending}"
