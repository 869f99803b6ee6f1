"""A diagnosis as JSON, by the schema in docs/diagnose-schema.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from flash_otel.diagnosis.checks import Check, Match
    from flash_otel.diagnosis.evidence import Origin
    from flash_otel.diagnosis.findings import Finding
    from flash_otel.diagnosis.judge import Diagnosis, Judged
    from flash_otel.diagnosis.timeline import Moment

SCHEMA_VERSION: Final = 1
"""Grows when a field changes its meaning or goes away; a new field leaves it as it is."""


def diagnosis_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as values that JSON knows."""
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": diagnosis.verdict,
        "findings": [_finding(one) for one in diagnosis.findings],
        "deployments": [_judged(one) for one in diagnosis.judged if one.deployment.id],
        "missing": list(diagnosis.missing),
        "next_command": diagnosis.command or None,
        "other_environments": diagnosis.others,
        "left_out": [{"verdict": code, "count": number} for code, number in diagnosis.left_out],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "sentence": finding.sentence,
        "confidence": finding.confidence,
        "is_fault": finding.is_fault,
        "deployment_id": finding.deployment_id or None,
        "candidates": list(finding.candidates),
        "evidence": [{**_origin(one.origin), "says": one.says} for one in finding.evidence],
        "remedy": {
            "deployer": finding.remedy_deployer,
            "maintainer": finding.remedy_maintainer,
        },
        "missing": list(finding.missing),
        "command": finding.command or None,
    }


def _origin(origin: Origin) -> dict[str, Any]:
    """Return where a fact stands; the ids of what was rebuilt from lines name nothing."""
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
        "flash_version": ".".join(map(str, deployment.process.flash_version)) or None,
        "outcome": deployment.outcome,
        "verdict": judged.verdict,
        "activation_window_seconds": judged.window_s,
        "ids": [_match(one) for one in judged.matches],
        "checks": [_check(one) for one in judged.checks],
        "timeline": [_moment(one) for one in judged.timeline],
    }


def _match(match: Match) -> dict[str, Any]:
    return {
        "name": match.name,
        "deployed": match.deployed,
        "read": match.read,
        "result": match.result,
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "phase": check.phase,
        "text": check.text,
        "result": check.result,
        "found": check.says or None,
    }


def _moment(moment: Moment) -> dict[str, Any]:
    return {
        "phase": moment.phase,
        "seconds": moment.seconds,
        "duration_seconds": moment.duration_s,
        "same_clock": moment.same_clock,
        "text": moment.text,
        **_origin(moment.origin),
    }
