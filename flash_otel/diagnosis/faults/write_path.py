"""Faults of the write path: `flash deploy`, and what the State Manager stored of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel import semconv as sc
from flash_otel.diagnosis.case import NEVER, persisted_count, upload_state
from flash_otel.diagnosis.deployments import is_of_provisioning, is_unauthorized
from flash_otel.diagnosis.findings import (
    Finding,
    count,
    environment,
    exhibits,
    highest_confidence,
    proofs,
    proved,
    read_exhibits,
    several,
    what_failed,
)
from flash_otel.diagnosis.order import CERTAIN, LIKELY, POSSIBLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Step


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
    if case.deployment.activated:
        sentence += (
            f" Build {case.deployment.build_id} is active already, so its manifest was never "
            "written."
        )
    evidence = exhibits(
        (step, what_failed(step)), (case.deployment.activation, "the build is active")
    )
    yield Finding(sc.PROVISIONING_FAILED, sentence, evidence)


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
    cause = f": {what_failed(step)}" if step else ": it was killed, or its end is not recorded"
    sentence = (
        f"Build {deployment.build_id} was activated on "
        f"{environment(case, deployment.environment_id)}, but its manifest with the "
        f"endpoints was never written{cause}."
    )
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
        return
    found = proofs(case, sc.ENDPOINTS_MISSING)
    if not found:
        return
    read = found[-1][0]
    expected = case.expected_of(read)
    lost = expected.missing_in(read.endpoints)
    names = f": {several(lost)} missing" if lost else ""
    sentence = f"The State Manager holds {read.held} of {expected.count} endpoints{names}."
    evidence = exhibits((upload, f"{expected.count} written"))
    yield from proved(case, sc.ENDPOINTS_MISSING, sentence, *evidence)


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
