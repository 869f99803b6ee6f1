"""Faults of the write path: what `flash deploy` did, and what the State Manager kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel import semconv as sc
from flash_otel.diagnosis import manifest_diff, read_verdicts
from flash_otel.diagnosis.faults.judged import findings, proofs, reads_say, surest
from flash_otel.diagnosis.findings import Finding, count, exhibits, several
from flash_otel.diagnosis.order import CERTAIN, LIKELY, POSSIBLE
from flash_otel.diagnosis.steps import is_interrupted, is_of_provisioning, what_failed

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
    """Find an endpoint that could not be provisioned, so that the manifest was not written."""
    step = _failed(case, sc.PROVISION_ENDPOINT) or _failed(case, sc.PROVISION)
    if step is None or (step.name == sc.PROVISION and not is_of_provisioning(step)):
        return
    found = (one for one in case.deployment.endpoints if one.origin == step.origin)
    name = next((one.resource_name for one in found), None)
    what = f"The endpoint {name!r}" if name else "An endpoint"
    sentence = f"{what} could not be provisioned: {step.failure}."
    if case.deployment.activated:
        sentence += (
            f" Build {case.deployment.build_id} is active already, so its manifest was never "
            "written."
        )
    said = exhibits((step, what_failed(step)), (case.deployment.activation, "the build is active"))
    yield Finding(sc.PROVISIONING_FAILED, sentence, said)


def nothing_deployed(case: Case) -> Iterator[Finding]:
    """Find a deployment that succeeded with no endpoint."""
    deployment = case.deployment
    if deployment.outcome != sc.RETURNED or case.expected.count != 0:
        return
    sentence = f"The deployment of {deployment.name} succeeded without a single endpoint."
    facts = (deployment.upload, deployment.provisioning)
    said = exhibits(*((fact, "the manifest holds no endpoints") for fact in facts))
    yield Finding(sc.NOTHING_DEPLOYED, sentence, said)


def manifest_never_written(case: Case) -> Iterator[Finding]:
    """Find a deployment that was over between its activation and its manifest upload."""
    deployment, step = case.deployment, case.culprit
    if case.is_write_seen or not deployment.activation:
        return
    if step is not None and case.is_unauthorized(step):
        return
    found = proofs(case, sc.MANIFEST_NEVER_WRITTEN)
    died = deployment.activated and read_verdicts.upload_state(case) == read_verdicts.NEVER
    if not (died or found):
        return
    cause = f": {what_failed(step)}" if step else ": it was killed, or its end is not recorded"
    sentence = (
        f"Build {deployment.build_id} was activated on environment "
        f"{deployment.environment_id or deployment.environment_name}, but its manifest with the "
        f"endpoints was never written{cause}."
    )
    last = step or deployment.root
    said = exhibits(
        (deployment.activation, f"build {deployment.build_id} was activated"),
        (last, what_failed(last) if last else ""),
    )
    unseen = POSSIBLE if step and step.name == sc.DEPLOY else CERTAIN if step else LIKELY
    confidence = surest(found) if found else unseen
    yield Finding(sc.MANIFEST_NEVER_WRITTEN, sentence, (*said, *reads_say(found)), confidence)


def manifest_not_persisted(case: Case) -> Iterator[Finding]:
    """Find an upload that was acknowledged while its endpoints were not stored."""
    upload = case.deployment.upload
    sent = case.expected.count
    sentence = (
        f"The upload of the manifest of build {case.deployment.build_id} with "
        f"{count(sent, 'endpoint')} was acknowledged, but its endpoints were not stored."
    )
    if upload is not None and upload.returned and read_verdicts.told_persisted(case) == 0:
        said = exhibits((upload, f"sent {sent}, and the server answered with no endpoints"))
        found = proofs(case, sc.MANIFEST_NOT_PERSISTED)
        yield Finding(sc.MANIFEST_NOT_PERSISTED, sentence, (*said, *reads_say(found)))
        return
    said = exhibits((upload, f"{count(sent, 'endpoint')} uploaded, acknowledged"))
    yield from findings(case, sc.MANIFEST_NOT_PERSISTED, sentence, *said)


def endpoints_missing(case: Case) -> Iterator[Finding]:
    """Find a stored manifest that holds some of the written endpoints, not all."""
    upload, sent = case.deployment.upload, case.expected.count
    told = read_verdicts.told_persisted(case)
    if upload is not None and sent is not None and told is not None and 0 < told < sent:
        sentence = f"The State Manager stored {told} of {count(sent, 'endpoint')} that were sent."
        said = exhibits((upload, f"sent {sent}, the server answered with {told}"))
        yield Finding(sc.ENDPOINTS_MISSING, sentence, said)
        return
    found = proofs(case, sc.ENDPOINTS_MISSING)
    if not found:
        return
    read = found[-1][0]
    expected = case.expected_of(read)
    lost = manifest_diff.lost_names(expected, read.endpoints)
    names = f": {several(lost)} missing" if lost else ""
    sentence = f"The State Manager holds {read.held} of {expected.count} endpoints{names}."
    yield from findings(
        case, sc.ENDPOINTS_MISSING, sentence, *exhibits((upload, f"{expected.count} written"))
    )


def endpoints_differ(case: Case) -> Iterator[Finding]:
    """Find a stored manifest that holds the right names with other URLs."""
    upload = case.deployment.upload
    sentence = (
        f"The State Manager holds the endpoints of build {case.deployment.build_id} with other "
        "URLs than were written."
    )
    told = read_verdicts.told_persisted(case)
    if upload is not None and told and told == case.expected.count:
        sent, stored = case.expected.digest, upload.persisted_digest
        if sent and stored and sent != stored:
            said = exhibits((upload, f"digest {sent} sent, the server answered with {stored}"))
            yield Finding(sc.ENDPOINTS_DIFFER, sentence, said)
            return
    said = exhibits((upload, f"digest {case.expected.digest} written"))
    yield from findings(case, sc.ENDPOINTS_DIFFER, sentence, *said)


def _failed(case: Case, name: str) -> Step | None:
    """Return the cause of the deployment's failure, if it is a step of this name."""
    step = case.culprit
    if step is None or step.name != name or step.failure is None or is_interrupted(step):
        return None
    return None if case.is_unauthorized(step) else step
