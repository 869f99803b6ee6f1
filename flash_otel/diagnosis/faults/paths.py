"""Faults of the write path and of the read path.

The write path is `flash deploy`, up to the manifest that the State Manager stored. The read path is
the activation, the State Manager, and its responses to workers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import failures
from flash_otel import semconv as sc
from flash_otel.diagnosis.build_verdicts import is_replaced, is_same_source
from flash_otel.diagnosis.case import CACHE_S, NEVER, delay_s, persisted_count, upload_state
from flash_otel.diagnosis.deployments import is_of_provisioning, is_unauthorized, recency_key
from flash_otel.diagnosis.findings import (
    MOST_EXHIBITS,
    Exhibit,
    Finding,
    count,
    environment,
    exhibits,
    highest_confidence,
    proofs,
    proved,
    read_exhibits,
    renaming,
    several,
    what_failed,
)
from flash_otel.diagnosis.order import CERTAIN, LIKELY, POSSIBLE, follows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import (
        Deployment,
        RemoteCall,
        RuntimeFetch,
        SpanFact,
        Step,
    )


def upload_failed(case: Case) -> Iterator[Finding]:
    """Find an artifact upload that failed."""
    step = _failed(case, sc.ARTIFACT_UPLOAD)
    if step is not None:
        sentence = f"The artifact could not be uploaded: {step.failure}. Nothing was activated."
        yield Finding(sc.UPLOAD_FAILED, sentence, exhibits((step, what_failed(step))))


def provisioning_failed(case: Case) -> Iterator[Finding]:
    """Find an endpoint that could not be provisioned, which prevented the manifest's write."""
    step = _failed(case, sc.PROVISION_ENDPOINT) or _failed(case, sc.PROVISION)
    if step is None or (step.name == sc.PROVISION and not is_of_provisioning(step)):
        return
    found = (endpoint for endpoint in case.deployment.endpoints if endpoint.origin == step.origin)
    name = next((endpoint.resource_name for endpoint in found), None)
    what = f"The endpoint {name!r}" if name else "An endpoint"
    sentence = f"{what} could not be provisioned: {step.failure}."
    remedy = ""
    if case.deployment.activated:
        sentence += f" Build {case.deployment.build_id} is active already"
        if case.writes_manifest:
            sentence += ", so its manifest was never written."
        else:
            sentence += f". {_half_rolled(case)}"
            remedy = _DEPLOY_THE_REST
    evidence = exhibits(
        (step, what_failed(step)), (case.deployment.activation, "the build is active")
    )
    yield Finding(sc.PROVISIONING_FAILED, sentence, evidence, remedy_deployer=remedy)


_DEPLOY_THE_REST: Final = (
    "Endpoints are saved one after another, in the order of their names: those before the failed "
    "one run the new build, it and those after it run what they ran before, if they exist. Fix the "
    "cause in the error (capacity, quota, configuration) and deploy again."
)


def _half_rolled(case: Case) -> str:
    """Describe which endpoints a deployment had saved before one failed (runpod 2)."""
    saved = [fact.resource_name or "unnamed" for fact in case.deployment.endpoints if fact.returned]
    if not saved:
        return "No endpoint was saved with it."
    return f"Only {several(sorted(saved))} {'was' if len(saved) == 1 else 'were'} saved with it."


def nothing_deployed(case: Case) -> Iterator[Finding]:
    """Find a deployment that succeeded with no endpoint."""
    deployment = case.deployment
    if deployment.outcome != sc.RETURNED or case.expected.count != 0:
        return
    sentence = f"The deployment of {deployment.name} succeeded without a single endpoint."
    steps = (deployment.upload, deployment.provisioning)
    evidence = exhibits(*((step, "the manifest holds no endpoints") for step in steps))
    yield Finding(sc.NOTHING_DEPLOYED, sentence, evidence)


def manifest_never_written(case: Case) -> Iterator[Finding]:
    """Find a deployment that ended between its activation and its manifest upload."""
    deployment, step = case.deployment, case.failed_step
    if case.is_write_seen or not deployment.activation:
        return
    if step is not None and is_unauthorized(step):
        return
    found = proofs(case, sc.MANIFEST_NEVER_WRITTEN)
    died = deployment.activated and upload_state(case) == NEVER
    if not (died or found):
        return
    place = environment(case, deployment.environment_id)
    if step or found:
        cause = what_failed(step) if step else "it was killed, or its end is not recorded"
        lack = f"its manifest with the endpoints was never written: {cause}."
    else:
        # A step that had begun is not recorded before it ends, so the request may have been sent.
        lack = (
            "no write of its manifest with the endpoints is recorded: the deployment was killed, "
            "or its end is not recorded. A write that had begun may have taken effect."
        )
    sentence = f"Build {deployment.build_id} was activated on {place}, but {lack}"
    last = step or deployment.root
    evidence = exhibits(
        (deployment.activation, f"build {deployment.build_id} was activated"),
        (last, what_failed(last) if last else ""),
    )
    unseen = POSSIBLE if step and step.name == sc.DEPLOY else CERTAIN if step else LIKELY
    confidence = highest_confidence(found) if found else unseen
    yield Finding(
        sc.MANIFEST_NEVER_WRITTEN, sentence, (*evidence, *read_exhibits(found)), confidence
    )


def manifest_not_persisted(case: Case) -> Iterator[Finding]:
    """Find an acknowledged upload whose endpoints were not stored."""
    upload = case.deployment.upload
    sent = case.expected.count
    sentence = (
        f"The upload of the manifest of build {case.deployment.build_id} with "
        f"{count(sent, 'endpoint')} was acknowledged, but its endpoints were not stored."
    )
    if upload is not None and upload.returned and persisted_count(case) == 0:
        evidence = exhibits((upload, f"sent {sent}, and the server answered with no endpoints"))
        reads = read_exhibits(proofs(case, sc.MANIFEST_NOT_PERSISTED))
        yield Finding(sc.MANIFEST_NOT_PERSISTED, sentence, (*evidence, *reads))
        return
    evidence = exhibits((upload, f"{count(sent, 'endpoint')} uploaded, acknowledged"))
    yield from proved(case, sc.MANIFEST_NOT_PERSISTED, sentence, *evidence)


def endpoints_missing(case: Case) -> Iterator[Finding]:
    """Find a stored manifest that holds only some of the written endpoints."""
    upload, sent = case.deployment.upload, case.expected.count
    stored = persisted_count(case)
    if upload is not None and sent is not None and stored is not None and 0 < stored < sent:
        sentence = f"The State Manager stored {stored} of {count(sent, 'endpoint')} that were sent."
        evidence = exhibits((upload, f"sent {sent}, the server answered with {stored}"))
        yield Finding(sc.ENDPOINTS_MISSING, sentence, evidence)
    elif found := proofs(case, sc.ENDPOINTS_MISSING):
        yield from _missing_in_read(case, found[-1][0])


def _missing_in_read(case: Case, read: RuntimeFetch) -> Iterator[Finding]:
    expected = case.expected_of(read)
    lost = expected.missing_in(read.endpoints)
    names = f": {several(lost)} missing" if lost else ""
    held = renaming(expected, read) or f"{read.held} of {expected.count} endpoints{names}"
    evidence = exhibits((case.deployment.upload, f"{expected.count} written"))
    yield from proved(case, sc.ENDPOINTS_MISSING, f"The State Manager holds {held}.", *evidence)


def endpoints_differ(case: Case) -> Iterator[Finding]:
    """Find a stored manifest that holds the right names with other URLs."""
    upload = case.deployment.upload
    sentence = (
        f"The State Manager holds the endpoints of build {case.deployment.build_id} with other "
        "URLs than were written."
    )
    stored_count = persisted_count(case)
    if upload is not None and stored_count and stored_count == case.expected.count:
        sent, stored = case.expected.digest, upload.persisted_digest
        if sent and stored and sent != stored:
            evidence = exhibits((upload, f"digest {sent} sent, the server answered with {stored}"))
            yield Finding(sc.ENDPOINTS_DIFFER, sentence, evidence)
            return
    evidence = exhibits((upload, f"digest {case.expected.digest} written"))
    yield from proved(case, sc.ENDPOINTS_DIFFER, sentence, *evidence)


def _failed(case: Case, name: str) -> Step | None:
    """Return the cause of the deployment's failure, if it is a step of this name."""
    step = case.failed_step
    if step is None or step.name != name or step.failure is None or step.is_interrupted:
        return None
    return None if is_unauthorized(step) else step


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
    """Find a State Manager that did not respond to any attempt of an activation or a worker."""
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
    found_call = _other_code(case)
    if found_call is not None:
        call, older = found_call
        sentence = (
            f"{deployed}, and endpoint {call.process.resource_name!r} was saved with it, but its "
            f"worker runs the code of {older.name}: the environment's active build is not the "
            "deployed one."
        )
        evidence = exhibits(
            (activation, f"activation of build {deployment.build_id} returned"),
            (call, f"a worker of build {deployment.build_id} with the code of {older.name}"),
        )
        yield Finding(sc.STALE_BUILD, sentence, evidence)
        return
    found = proofs(case, sc.STALE_BUILD)
    if found:
        other = next((read.build_id for read, _ in found if read.build_id), None)
        was_before = any(is_replaced(case, read) for read, _ in found)
        still = "is still active, as before the activation," if was_before else "is active"
        stands = f"build {other} {still}" if other else "no build is active"
        where = environment(case, found[0][0].environment_id)
        same = any(is_same_source(case, read) for read, _ in found)
        source = " Both were built from the same source files." if same else ""
        sentence = f"{deployed}, but {stands} on {where}.{source}"
        replaces = activation.previous_build_id if activation and was_before else None
        instead = f", which was to replace build {replaces}" if replaces else ""
        returned = f"activation of build {deployment.build_id} returned{instead}"
        more = exhibits((activation, returned))
        yield from proved(case, sc.STALE_BUILD, sentence, *more)


def _other_code(case: Case) -> tuple[RemoteCall, Deployment] | None:
    """Return a worker's call that proves another active build, and the deployment of its code.

    The build id in a worker's environment comes from its endpoint, its code from the active build:
    no read is needed (runpod 2).
    """
    mine = recency_key(case.deployment)
    for call in case.calls:
        if call.own_build_id is None or call.own_build_id != case.deployment.build_id:
            continue
        for known in case.index.of_code(call.code_deployment_id):
            if recency_key(known) < mine:
                return call, known
    return None


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
    """Find a response that lacks the endpoints of the active write."""
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
    """Return the reads that failed in this way, without a later success of the same process."""
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
