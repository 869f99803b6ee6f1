"""Faults of the read path: what workers asked the State Manager, and what it answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel import semconv as sc
from flash_otel.diagnosis import failures
from flash_otel.diagnosis.case import CACHE_S
from flash_otel.diagnosis.faults.judged import findings, proofs
from flash_otel.diagnosis.findings import MOST_EXHIBITS, Exhibit, Finding, count, exhibits
from flash_otel.diagnosis.order import follows
from flash_otel.diagnosis.steps import what_failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Call, Fact, RuntimeFetch


def unauthorized(case: Case) -> Iterator[Finding]:
    """Find a step, a read or a call that failed for want of a valid API key."""
    step = case.culprit
    if step is not None and case.is_unauthorized(step):
        name = sc.STEPS.get(step.name, step.name)
        sentence = f"The API key was missing or rejected in {name}: {step.failure}."
        yield Finding(sc.UNAUTHORIZED, sentence, exhibits((step, what_failed(step))))
        return
    failed: list[Fact] = [*_unanswered(case, failures.UNAUTHORIZED), *_refused_calls(case)]
    if failed:
        sentence = f"A worker's API key was missing or rejected: {failed[0].failure}."
        yield Finding(sc.UNAUTHORIZED, sentence, _failed(failed))


def state_manager_unavailable(case: Case) -> Iterator[Finding]:
    """Find a State Manager that did not answer an activation, or a worker to the last."""
    step = case.culprit
    steps = (sc.ACTIVATE, sc.DEPLOY)
    cause = step.failure.kind if step is not None and step.failure else ""
    if step is not None and step.name in steps and cause == failures.UNAVAILABLE:
        sentence = f"Runpod's API did not answer {sc.STEPS[step.name]}: {step.failure}."
        said = exhibits((step, what_failed(step)))
        yield Finding(sc.STATE_MANAGER_UNAVAILABLE, sentence, said)
        return
    failed: list[Fact] = [
        *_unanswered(case, failures.UNAVAILABLE),
        *_unanswered(case, failures.REJECTED),
    ]
    if failed:
        sentence = f"The State Manager did not answer a worker: {failed[0].failure}."
        yield Finding(sc.STATE_MANAGER_UNAVAILABLE, sentence, _failed(failed))


def stale_build(case: Case) -> Iterator[Finding]:
    """Find an environment that stands on another build than the deployed one."""
    deployment = case.deployment
    deployed = f"Build {deployment.build_id} was deployed"
    activation = deployment.activation
    if activation is not None and activation.returned and not case.own_answers:
        sent, active = activation.object_key, activation.active_object_key
        if sent and active and sent != active:
            sentence = f"{deployed}, but the activation put another artifact in place: {active}."
            yield Finding(
                sc.STALE_BUILD, sentence, exhibits((activation, f"uploaded {sent}, got {active}"))
            )
            return
    found = proofs(case, sc.STALE_BUILD)
    if found:
        other = next((read.build_id for read, _ in found if read.build_id), None)
        stands = f"build {other} is active" if other else "no build is active"
        environment = found[0][0].environment_id
        sentence = f"{deployed}, but {stands} on environment {environment}."
        said = exhibits((activation, f"activation of build {deployment.build_id} returned"))
        yield from findings(case, sc.STALE_BUILD, sentence, *said)


def read_before_write(case: Case) -> Iterator[Finding]:
    """Find a read that fell between the activation and the manifest's write."""
    found = proofs(case, sc.READ_BEFORE_WRITE)
    if not found:
        return
    passed = " Later reads hold the write." if case.is_write_seen else ""
    sentence = (
        f"{count(len(found), 'read')} of build {case.deployment.build_id} came after its "
        "activation and before its manifest with the endpoints was written; a worker keeps such "
        f"an answer for {CACHE_S:.0f} s.{passed}"
    )
    said = exhibits(
        (case.deployment.activation, "the build became active"),
        (case.deployment.upload, "the manifest with the endpoints was written only here"),
    )
    yield from findings(case, sc.READ_BEFORE_WRITE, sentence, *said)


def read_incomplete(case: Case) -> Iterator[Finding]:
    """Find an answer that lacked endpoints which the active write holds."""
    found = proofs(case, sc.READ_INCOMPLETE)
    if not found:
        return
    read = found[0][0]
    sentence = (
        f"The write of build {case.deployment.build_id} is active, but a worker was answered "
        f"with {count(read.held or 0, 'endpoint')}."
    )
    said = exhibits((case.deployment.upload, "the manifest was written"))
    yield from findings(case, sc.READ_INCOMPLETE, sentence, *said)


def _unanswered(case: Case, kind: str) -> list[RuntimeFetch]:
    """Return the reads that failed for a kind of reason and that no later one made up for."""
    failed = [
        read
        for read in case.reads
        if read.failure is not None and read.failure.kind == kind and read.manifest_state is None
    ]
    silent = [read for read in failed if read.environment_state in (None, sc.ENVIRONMENT_ACTIVE)]
    # An attempt whose refresh was lost may have been made up for within it.
    lost = [read for read in silent if read.bare and read.parent_id]
    return [read for read in silent if read not in lost and not _recovered(case, read)]


def _recovered(case: Case, read: RuntimeFetch) -> bool:
    own = case.known.reads_by(read.process.instance)
    return any(one.returned and follows(one, read) for one in own)


def _refused_calls(case: Case) -> list[Call]:
    return [
        call for call in case.calls if call.failure and call.failure.kind == failures.UNAUTHORIZED
    ]


def _failed(found: list[Fact]) -> tuple[Exhibit, ...]:
    return exhibits(*((one, str(one.failure)) for one in found[:MOST_EXHIBITS]))
