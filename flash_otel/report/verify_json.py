"""A verification as JSON, by a schema of its own that is only ever added to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flash_otel import manifest as manifests
from flash_otel import semconv
from flash_otel.redaction import scrub

if TYPE_CHECKING:
    from flash_otel.diagnosis.findings import Finding
    from flash_otel.verify.snapshot import Reading
    from flash_otel.verify.verdict import Verification

SCHEMA_VERSION: Final = 1


def verification_json(verification: Verification, status: int) -> dict[str, Any]:
    """Return a verification as plain data (see docs/verify.md)."""
    reading = verification.subject.reading
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": verification.verdict,
        "status": status,
        "app": {"id": reading.app.id, "name": reading.app.name},
        "environment": _environment(reading),
        "manifest": _manifest(reading),
        "flash_version": verification.flash_version,
        "recorded": verification.was_recorded,
        "checks": [
            {"name": one.name, "result": one.result, "says": one.says}
            for one in verification.checks
        ],
        "findings": [finding_json(one) for one in verification.findings],
        "notes": list(verification.notes),
        "calls": [
            {"endpoint": one.name, "by": one.by, "status": one.status, "problem": one.problem}
            for one in reading.answers
        ],
    }


def failure_json(message: str, next_step: str, code: str | None, status: int) -> dict[str, Any]:
    """Return what is said where nothing could be compared."""
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": code or semconv.INCONCLUSIVE,
        "status": status,
        "error": {"message": message, "next_step": next_step},
    }


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as plain data."""
    return {
        "code": finding.code,
        "sentence": finding.sentence,
        "confidence": finding.confidence,
        "evidence": [{"at": str(one.origin), "says": one.says} for one in finding.evidence],
        "remedy": {"deployer": finding.remedy_deployer, "maintainer": finding.remedy_maintainer},
        "candidates": list(finding.candidates),
        "missing": list(finding.missing),
        "command": finding.command,
    }


def _environment(reading: Reading) -> dict[str, Any]:
    environment = reading.environment
    listed = environment.endpoints
    return {
        "id": environment.id,
        "name": environment.name,
        "active_build_id": environment.active_build_id,
        "endpoints": listed and [{"id": one.id, "name": one.name} for one in listed],
    }


def _manifest(reading: Reading) -> dict[str, Any]:
    carrier = reading.carrier
    return {
        "state": manifests.state(reading.manifest),
        "keys": manifests.keys(reading.manifest),
        "endpoint_count": len(reading.held),
        "endpoints": {name: scrub(url) for name, url in reading.held.items()},
        "deployment_id": carrier.deployment_id if carrier else None,
        "phase": carrier.phase if carrier else None,
    }
