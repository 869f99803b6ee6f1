"""Faults of the read path: workers' requests to the State Manager, and its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel import failures
from flash_otel import semconv as sc
from flash_otel.diagnosis.build_verdicts import is_replaced
from flash_otel.diagnosis.case import CACHE_S, delay_s
from flash_otel.diagnosis.deployments import is_unauthorized
from flash_otel.diagnosis.findings import (
    MOST_EXHIBITS,
    Exhibit,
    Finding,
    count,
    environment,
    exhibits,
    proofs,
    proved,
    what_failed,
)
from flash_otel.diagnosis.order import follows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import RemoteCall, RuntimeFetch, SpanFact


def unauthorized(case: Case) -> Iterator[Finding]:
    """Find a step, a read or a call that failed because of the API key."""
    step = case.failed_step
    if step is not None and is_unauthorized(step):
        name = sc.STEPS.get(step.name, step.name)
        sentence = f"The API key was missing or rejected in {name}: {step.failure}."
        yield Finding(sc.UNAUTHORIZED, sentence, exhibits((step, what_failed(step))))
        return
    failed: list[SpanFact] = [*_unanswered(case, failures.UNAUTHORIZED), *_refused_calls(case)]
    if failed:
        sentence = f"A worker's API key was missing or rejected: {failed[0].failure}."
        yield Finding(sc.UNAUTHORIZED, sentence, _failure_exhibits(failed))


def state_manager_unavailable(case: Case) -> Iterator[Finding]:
    """Find a State Manager that answered no attempt of an activation or of a worker."""
    step = case.failed_step
    kind = step.failure.kind if step is not None and step.failure else ""
    is_request = step is not None and step.name in (sc.ACTIVATE, sc.DEPLOY)
    if step is not None and is_request and kind == failures.UNAVAILABLE:
        sentence = f"Runpod's API did not answer {sc.STEPS[step.name]}: {step.failure}."
        evidence = exhibits((step, what_failed(step)))
        yield Finding(sc.STATE_MANAGER_UNAVAILABLE, sentence, evidence)
        return
    failed: list[SpanFact] = [
        *_unanswered(case, failures.UNAVAILABLE),
        *_unanswered(case, failures.REJECTED),
    ]
    if failed:
        sentence = f"The State Manager did not answer a worker: {failed[0].failure}."
        yield Finding(sc.STATE_MANAGER_UNAVAILABLE, sentence, _failure_exhibits(failed))


def stale_build(case: Case) -> Iterator[Finding]:
    """Find an environment whose active build is not the deployed one."""
    deployment = case.deployment
    deployed = f"Build {deployment.build_id} was deployed"
    activation = deployment.activation
    if activation is not None and activation.returned and not case.own_answers:
        sent, active = activation.object_key, activation.active_object_key
        if sent and active and sent != active:
            sentence = f"{deployed}, but the activation put another artifact in place: {active}."
            evidence = exhibits((activation, f"uploaded {sent}, got {active}"))
            yield Finding(sc.STALE_BUILD, sentence, evidence)
            return
    found = proofs(case, sc.STALE_BUILD)
    if found:
        other = next((read.build_id for read, _ in found if read.build_id), None)
        was_before = any(is_replaced(case, read) for read, _ in found)
        still = "is still active, as before the activation," if was_before else "is active"
        stands = f"build {other} {still}" if other else "no build is active"
        where = environment(case, found[0][0].environment_id)
        sentence = f"{deployed}, but {stands} on {where}."
        replaces = activation.previous_build_id if activation and was_before else None
        instead = f", which was to replace build {replaces}" if replaces else ""
        returned = f"activation of build {deployment.build_id} returned{instead}"
        more = exhibits((activation, returned))
        yield from proved(case, sc.STALE_BUILD, sentence, *more)


def read_before_write(case: Case) -> Iterator[Finding]:
    """Find a read between the activation and the write of the manifest."""
    found = proofs(case, sc.READ_BEFORE_WRITE)
    if not found:
        return
    passed = " Later reads hold the write." if case.is_write_seen else ""
    sentence = (
        f"{count(len(found), 'read')} of build {case.deployment.build_id} came after its "
        "activation and before its manifest with the endpoints was written; a worker keeps such "
        f"an answer for {CACHE_S:.0f} s.{passed}"
    )
    more = exhibits(
        (case.deployment.activation, "the build became active"),
        (case.deployment.upload, "the manifest with the endpoints was written only here"),
    )
    yield from proved(case, sc.READ_BEFORE_WRITE, sentence, *more)


def read_incomplete(case: Case) -> Iterator[Finding]:
    """Find an answer without endpoints that the active write holds."""
    found = proofs(case, sc.READ_INCOMPLETE)
    if not found:
        return
    read = found[0][0]
    seconds = delay_s(case, read)
    late = "" if seconds is None or seconds < 0 else f" {seconds:.1f} s after the upload had ended"
    sentence = (
        f"The write of build {case.deployment.build_id} is active, but a worker was answered "
        f"with {count(read.held or 0, 'endpoint')}{late}."
    )
    more = exhibits((case.deployment.upload, "the manifest was written"))
    yield from proved(case, sc.READ_INCOMPLETE, sentence, *more)


def _unanswered(case: Case, kind: str) -> list[RuntimeFetch]:
    """Return the reads that failed in a way, without a later success of the same process."""
    failed = [
        read
        for read in case.reads
        if read.failure is not None and read.failure.kind == kind and read.manifest_state is None
    ]
    silent = [read for read in failed if read.environment_state in (None, sc.ENVIRONMENT_ACTIVE)]
    # The refresh around an attempt may have retried it: if its span was lost, nothing is proved.
    whole = [read for read in silent if not (read.bare and read.parent_id)]
    return [read for read in whole if not _has_recovered(case, read)]


def _has_recovered(case: Case, read: RuntimeFetch) -> bool:
    own = case.index.reads_by(read.process.instance)
    return any(later.returned and follows(later, read) for later in own)


def _refused_calls(case: Case) -> list[RemoteCall]:
    return [
        call for call in case.calls if call.failure and call.failure.kind == failures.UNAUTHORIZED
    ]


def _failure_exhibits(facts: list[SpanFact]) -> tuple[Exhibit, ...]:
    return exhibits(*((fact, str(fact.failure)) for fact in facts[:MOST_EXHIBITS]))
