"""Tables of a diagnosis: the guide's comparisons of ids, its PASS/FAIL list, and the timeline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.evidence import UNFINISHED, RuntimeFetch
from flash_otel.diagnosis.findings import count, what_failed
from flash_otel.diagnosis.matching import asks_for_deployed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Origin, RemoteCall, SpanFact, Step

MATCH: Final = "match"
MISMATCH: Final = "mismatch"
PASS: Final = "pass"  # noqa: S105 - the guide's word, no secret
FAIL: Final = "fail"
UNKNOWN: Final = "unknown"

DEPLOYMENT: Final = "deployment"
RUNTIME: Final = "runtime"

MOST: Final = 40
"""Lines of a timeline."""

_SHOWN: Final = (
    sc.BUILD,
    sc.ARTIFACT_UPLOAD,
    sc.ACTIVATE,
    sc.PROVISION,
    sc.MANIFEST_UPLOAD,
)


@dataclass(frozen=True, slots=True)
class Match:
    """One row of the id matching table; None for values that are not recorded."""

    name: str
    deployed: str | None
    read: str | None
    result: str


@dataclass(frozen=True, slots=True)
class PhaseCheck:
    """One row of the PASS/FAIL list.

    Attributes:
        phase: deployment or runtime.
        text: The guide's expectation.
        result: pass, fail or unknown.
        found: The value that was found; empty if none was.
    """

    phase: str
    text: str
    result: str
    found: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline.

    Attributes:
        phase: deployment or runtime.
        seconds: Since the deployment's start, by the clock of its own process; None if unknown.
        duration_s: In seconds; None if unknown.
        text: What happened.
        origin: Where it was read.
        same_clock: Its clock is the deployment's.
        before_write: A read of the deployed build, before its manifest with the endpoints was
            written.
    """

    phase: str
    seconds: float | None
    duration_s: float | None
    text: str
    origin: Origin
    same_clock: bool = True
    before_write: bool = False


def representative(case: Case, named: frozenset[Origin]) -> RuntimeFetch | None:
    """Return the read to show in tables: the last one that a finding names, else the last one."""
    accused = [read for read in case.reads if read.origin in named]
    relevant = [read for read in case.reads if read.build_id or read.environment_id]
    return next(reversed(accused or relevant), None)


# --- the id matching table ------------------------------------------------------------------------


def matches(case: Case, read: RuntimeFetch | None) -> tuple[Match, ...]:
    """Compare the deployment with a worker's read."""
    deployment = case.deployment
    read = read or RuntimeFetch()
    own_id = None if deployment.by_lines else deployment.id or None
    rows = (
        ("environment_id", deployment.environment_id, read.environment_id),
        ("build_id", deployment.build_id, read.build_id),
        ("endpoint_count", _digits(case.expected.count), _digits(read.held)),
        ("endpoints_digest", case.expected.digest, read.endpoints.digest),
        ("code_deployment", own_id, read.code_deployment_id),
        ("active_deployment", own_id, read.active.deployment_id),
    )
    return tuple(
        Match(name, deployed, found, _compared(case, name, deployed, found))
        for name, deployed, found in rows
        if deployed or found
    )


def _compared(case: Case, name: str, deployed: str | None, found: str | None) -> str:
    if deployed is None or found is None:
        return UNKNOWN
    if name.endswith("_deployment"):
        return MATCH if found in case.deployment.aliases else MISMATCH
    return MATCH if deployed == found else MISMATCH


def _digits(value: int | None) -> str | None:
    return None if value is None else str(value)


# --- the PASS/FAIL list ---------------------------------------------------------------------------


def phase_checks(case: Case, read: RuntimeFetch | None) -> tuple[PhaseCheck, ...]:
    """Check the guide's list of signs that everything works."""
    reads = _read_checks(case, read) if case.writes_manifest else ()
    return (*_deploy_checks(case), *reads)


def _deploy_checks(case: Case) -> Iterator[PhaseCheck]:
    deployment = case.deployment
    activation, upload = deployment.activation, deployment.upload
    sent = case.expected.count
    mapping = "resources_endpoints mapping contains entries"
    yield PhaseCheck(DEPLOYMENT, mapping, _positive(sent), _digits(sent) or "")
    stored = upload.persisted_count if upload else None
    uploaded = None if upload is None else stored if stored is not None else sent
    result = _positive(uploaded) if upload and upload.returned else _failed(upload)
    if case.writes_manifest:
        yield PhaseCheck(DEPLOYMENT, "uploaded N endpoints, N > 0", result, _digits(uploaded) or "")
    activated = PASS if activation and activation.returned else _failed(activation)
    build = deployment.build_id or ""
    yield PhaseCheck(DEPLOYMENT, "environment activated with build_id", activated, build)


def _read_checks(case: Case, read: RuntimeFetch | None) -> Iterator[PhaseCheck]:
    asked = read.environment_id if read else None
    is_asked = read is not None and asked is not None and asks_for_deployed(case.deployment, read)
    result = _of(read, is_asked)
    yield PhaseCheck(RUNTIME, "queries the State Manager with environment_id", result, asked or "")
    build = read.build_id if read else None
    active = UNKNOWN if build is None else _of(read, build == case.deployment.build_id)
    yield PhaseCheck(RUNTIME, "activeBuildId matches the deployment", active, build or "")
    held = read.held if read else None
    found = _digits(held) or ""
    yield PhaseCheck(RUNTIME, "the manifest has N endpoints, N > 0", _positive(held), found)
    kept = held if read is not None and not read.bare and read.returned else None
    yield PhaseCheck(RUNTIME, "the registry holds N entries, N > 0", _positive(kept), found)


def _positive(number: int | None) -> str:
    return UNKNOWN if number is None else PASS if number > 0 else FAIL


def _failed(step: object) -> str:
    return UNKNOWN if step is None else FAIL


def _of(read: RuntimeFetch | None, holds: bool) -> str:
    return UNKNOWN if read is None else PASS if holds else FAIL


# --- the timeline ---------------------------------------------------------------------------------


def window_s(case: Case) -> float | None:
    """Return the seconds from the activation to the end of the manifest upload, or None.

    The window is open in every deployment and hurts only a worker that reads in it.
    """
    activation, upload = case.deployment.activation, case.deployment.upload
    if activation is None or upload is None:
        return None
    if activation.end_ns is None or upload.end_ns is None:
        return None
    return (upload.end_ns - activation.end_ns) / 1e9


def timeline(case: Case) -> tuple[Moment, ...]:
    """Return both phases in the order of time; of very many reads and calls, the first ones."""
    deployed = [_moment(case, DEPLOYMENT, step, _step_text(case, step)) for step in _steps(case)]
    facts: list[RuntimeFetch | RemoteCall] = [*case.reads, *case.calls]
    early = _early_reads(case)
    # Sorting a hundred thousand reads for forty lines would take longer than judging them.
    ran = [
        replace(_moment(case, RUNTIME, fact, runtime_text(fact)), before_write=fact.origin in early)
        for fact in facts[: MOST * 4]
    ]
    return tuple(sorted((*deployed, *_write(case), *ran), key=_when)[:MOST])


def _write(case: Case) -> Iterator[Moment]:
    """Yield the end of the manifest upload: until then, reads find no endpoints."""
    upload = case.deployment.upload
    if upload is None or upload.outcome == UNFINISHED:
        return
    written = f"the manifest is written, {count(case.expected.count, 'endpoint')}"
    text = written if upload.returned else "the manifest upload ended without success"
    seconds = _seconds(case.deployment.start_ns, upload.end_ns)
    yield Moment(DEPLOYMENT, seconds, None, text, upload.origin)


def _early_reads(case: Case) -> frozenset[Origin]:
    """Return the reads of the deployed build that fell before the end of the manifest upload."""
    upload = case.deployment.upload
    early = {
        read.origin
        for read, verdict in case.read_verdicts
        if verdict.codes == (sc.READ_BEFORE_WRITE,)
    }
    if upload is not None:
        early |= {
            read.origin
            for read in case.own_answers
            if not read.held and case.offset(read).before(read.end_ns, upload.end_ns)
        }
    return frozenset(early)


def _steps(case: Case) -> Iterator[Step]:
    cause = case.failed_step
    for step in case.deployment.steps:
        if step.name in _SHOWN or (cause is not None and step.origin == cause.origin):
            yield step


def _when(moment: Moment) -> tuple[float, str, Origin]:
    # Without clocks, the deployment precedes the reads, and each keeps the order of its file.
    unknown = float("-inf") if moment.phase == DEPLOYMENT else float("inf")
    seconds = unknown if moment.seconds is None else moment.seconds
    return (seconds, moment.phase, moment.origin)


def _moment(case: Case, phase: str, fact: SpanFact, text: str) -> Moment:
    start_ns = fact.start_ns
    same_clock = phase == DEPLOYMENT or case.offset(fact).exact
    return Moment(
        phase,
        _seconds(case.deployment.start_ns, start_ns),
        _seconds(start_ns, fact.end_ns),
        text,
        fact.origin,
        same_clock,
    )


def _seconds(since_ns: int | None, until_ns: int | None) -> float | None:
    return None if since_ns is None or until_ns is None else (until_ns - since_ns) / 1e9


def _step_text(case: Case, step: Step) -> str:
    name = sc.STEPS.get(step.name, step.name)
    if not step.returned:
        return what_failed(step)
    if step.name == sc.ACTIVATE:
        return f"{name} of build {case.deployment.build_id}"
    if step.name == sc.MANIFEST_UPLOAD:
        return f"{name}, {count(case.expected.count, 'endpoint')}"
    return name


def runtime_text(fact: RuntimeFetch | RemoteCall) -> str:
    """Describe a read or a call."""
    return _read_text(fact) if isinstance(fact, RuntimeFetch) else _call_text(fact)


def _read_text(read: RuntimeFetch) -> str:
    if read.environment_id is None and read.build_id is None and read.held is None:
        return "a worker asked nothing"
    if read.build_id is None and read.failure is not None:
        return f"a worker's read failed ({read.failure})"
    active = f"active build {read.build_id}" if read.build_id else "no active build"
    return f"a worker read {active}, {count(read.held, 'endpoint')}"


def _call_text(call: RemoteCall) -> str:
    name = call.function_name or call.resource_name or "a function"
    ending = "" if call.returned else f", which failed ({call.failure})"
    return f"a call of {name} ({call.route or 'route unknown'}){ending}"
