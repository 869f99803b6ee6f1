"""A diagnosis and a verification as JSON, by the schemas of docs/diagnose-schema.md and verify.md.

A schema version grows when a field changes its meaning or is removed; new fields leave it as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flash_otel import manifest, semconv
from flash_otel.diagnosis.environments import failure_of
from flash_otel.diagnosis.picture import state_texts
from flash_otel.flash_versions import dotted
from flash_otel.redaction import scrub

if TYPE_CHECKING:
    from flash_otel.diagnosis.choose import Unmatched
    from flash_otel.diagnosis.evidence import Deployment, Origin
    from flash_otel.diagnosis.findings import Finding
    from flash_otel.diagnosis.judge import Diagnosis, Judged
    from flash_otel.diagnosis.picture import ManifestState, Picture, PictureMark
    from flash_otel.diagnosis.tables import Match, Moment, PhaseCheck
    from flash_otel.diagnosis.worker_reads import WorkerReads
    from flash_otel.verify.snapshot import Snapshot
    from flash_otel.verify.verdict import Verification

DIAGNOSIS_VERSION: Final = 1
VERIFICATION_VERSION: Final = 1


def diagnosis_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as JSON values."""
    return {
        "schema_version": DIAGNOSIS_VERSION,
        "verdict": diagnosis.verdict,
        "findings": [_finding(finding) for finding in diagnosis.findings],
        "deployments": [_judged(judged) for judged in diagnosis.judged if judged.deployment.id],
        "missing": list(diagnosis.missing),
        "next_command": diagnosis.command or None,
        "other_environments": diagnosis.others,
        "left_out": [{"verdict": code, "count": number} for code, number in diagnosis.left_out],
        "unmatched": [_unmatched(part) for part in diagnosis.unmatched],
    }


def _unmatched(part: Unmatched) -> dict[str, Any]:
    return {
        "field": part.field,
        "value": part.value,
        "similar": list(part.similar),
        "recorded": list(part.recorded),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "sentence": finding.sentence,
        "confidence": finding.confidence,
        "is_fault": finding.is_fault,
        "deployment_id": finding.deployment_id or None,
        "candidates": list(finding.candidates),
        "evidence": [
            {**_origin(exhibit.origin), "says": exhibit.says} for exhibit in finding.evidence
        ],
        "remedy": _remedy(finding),
        "missing": list(finding.missing),
        "command": finding.command or None,
    }


def _remedy(finding: Finding) -> dict[str, str]:
    return {"deployer": finding.remedy_deployer, "maintainer": finding.remedy_maintainer}


def _origin(origin: Origin) -> dict[str, Any]:
    """Return the origin of a fact; spans rebuilt from lines have made-up ids, which stay out."""
    return {
        "place": origin.place or None,
        "trace_id": None if origin.rebuilt else origin.trace_id or None,
        "span_id": None if origin.rebuilt else origin.span_id or None,
    }


def _judged(judged: Judged) -> dict[str, Any]:
    deployment = judged.deployment
    return {
        "deployment_id": deployment.id,
        "app_name": deployment.app_name,
        "environment_id": deployment.environment_id,
        "environment_name": deployment.environment_name,
        "build_id": deployment.build_id,
        "flash_version": dotted(deployment.process.flash_version) or None,
        "outcome": deployment.outcome,
        "verdict": judged.verdict,
        "activation_window_seconds": judged.window_s,
        "ids": [_match(match) for match in judged.matches],
        "checks": [_check(check) for check in judged.checks],
        "timeline": [_moment(moment) for moment in judged.timeline],
        "failed_before": [_attempt(known) for known in judged.failed_before],
        "worker_reads": _worker_reads(judged.worker_reads),
        "trace_ids": [] if deployment.by_lines else list(judged.trace_ids),
        "picture": judged.picture and _picture(judged.picture),
    }


def _worker_reads(reads: WorkerReads) -> dict[str, Any]:
    return {
        "count": reads.count,
        "is_by_worker": reads.is_by_worker,
        "results": [
            {"says": result.says, "count": result.count, "is_fine": result.is_fine}
            for result in reads.results
        ],
        "calls": reads.calls,
        "failed_calls": reads.failed_calls,
        "reads_manifests": reads.reads_manifests,
    }


def _picture(picture: Picture) -> dict[str, Any]:
    return {
        "build_id": picture.build_id,
        "environment_id": picture.environment_id,
        "endpoint_count": picture.endpoint_count,
        "before": _state(picture.before),
        "marks": [_mark(mark) for mark in picture.marks],
        "left_out": picture.left_out,
    }


def _mark(mark: PictureMark) -> dict[str, Any]:
    return {
        "lane": mark.lane,
        "kind": mark.kind,
        "text": mark.text,
        "seconds": mark.seconds,
        "last_seconds": mark.last_seconds,
        "same_clock": mark.same_clock,
        "is_timed": mark.is_timed,
        "is_ordered": mark.is_ordered,
        "wait_seconds": mark.wait_s,
        "count": mark.count,
        "is_marked": mark.is_marked,
        "differs": list(mark.differs),
        "environment_id": mark.environment_id,
        "build_id": mark.build_id,
        "endpoint_count": mark.endpoint_count,
        "state": mark.state and _state(mark.state),
        **_origin(mark.origin),
    }


def _state(state: ManifestState) -> dict[str, Any]:
    return {
        "build_id": state.build_id,
        "endpoint_count": state.endpoint_count,
        "has_build": state.has_build,
        "is_deployed": state.is_deployed,
        "as_read": state.as_read,
        "says": list(state_texts(state)),
    }


def _attempt(deployment: Deployment) -> dict[str, Any]:
    return {
        "deployment_id": deployment.id,
        "build_id": deployment.build_id,
        "says": failure_of(deployment) or "",
    }


def _match(match: Match) -> dict[str, Any]:
    return {
        "name": match.name,
        "deployed": match.deployed,
        "read": match.read,
        "result": match.result,
    }


def _check(check: PhaseCheck) -> dict[str, Any]:
    return {
        "phase": check.phase,
        "text": check.text,
        "result": check.result,
        "found": check.found or None,
    }


def _moment(moment: Moment) -> dict[str, Any]:
    return {
        "phase": moment.phase,
        "seconds": moment.seconds,
        "duration_seconds": moment.duration_s,
        "same_clock": moment.same_clock,
        "before_write": moment.before_write,
        "text": moment.text,
        **_origin(moment.origin),
    }


def verification_json(verification: Verification, status: int) -> dict[str, Any]:
    """Return a verification as JSON values.

    Args:
        verification: The verification.
        status: The exit status of the command.
    """
    snapshot = verification.subject.snapshot
    return {
        "schema_version": VERIFICATION_VERSION,
        "verdict": verification.verdict,
        "status": status,
        "app": {"id": snapshot.app.id, "name": snapshot.app.name},
        "environment": _environment(snapshot),
        "manifest": _manifest(snapshot),
        "flash_version": verification.flash_version,
        "recorded": verification.was_recorded,
        "checks": [
            {"name": check.name, "result": check.result, "says": check.text}
            for check in verification.checks
        ],
        "findings": [_verify_finding(finding) for finding in verification.findings],
        "notes": list(verification.notes),
        "calls": [
            {
                "endpoint": call.name,
                "by": call.by,
                "status": call.status,
                "problem": call.problem,
            }
            for call in snapshot.calls
        ],
    }


def failure_json(message: str, next_step: str, code: str | None, status: int) -> dict[str, Any]:
    """Return the JSON values of a verification that could not read anything back."""
    return {
        "schema_version": VERIFICATION_VERSION,
        "verdict": code or semconv.INCONCLUSIVE,
        "status": status,
        "error": {"message": message, "next_step": next_step},
    }


def _verify_finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "sentence": finding.sentence,
        "confidence": finding.confidence,
        "evidence": [
            {"at": str(exhibit.origin), "says": exhibit.says} for exhibit in finding.evidence
        ],
        "remedy": _remedy(finding),
        "candidates": list(finding.candidates),
        "missing": list(finding.missing),
        "command": finding.command,
    }


def _environment(snapshot: Snapshot) -> dict[str, Any]:
    environment = snapshot.environment
    listed = environment.endpoints
    return {
        "id": environment.id,
        "name": environment.name,
        "active_build_id": environment.active_build_id,
        "endpoints": listed and [{"id": endpoint.id, "name": endpoint.name} for endpoint in listed],
    }


def _manifest(snapshot: Snapshot) -> dict[str, Any]:
    carrier = snapshot.carrier
    return {
        "state": manifest.state(snapshot.manifest),
        "keys": manifest.keys(snapshot.manifest),
        "endpoint_count": len(snapshot.endpoints),
        "endpoints": {name: scrub(url) for name, url in snapshot.endpoints.items()},
        "deployment_id": carrier.deployment_id if carrier else None,
        "phase": carrier.phase if carrier else None,
    }
