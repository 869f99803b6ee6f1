"""Two deployments side by side: their steps, the endpoints that they wrote, their environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv
from flash_otel.redaction import scrub
from flash_otel.report.overview import verdict_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flash_otel.diagnosis.evidence import Deployment, Step
    from flash_otel.diagnosis.judge import Judged
    from flash_otel.records import SpanRecord

_NO_FACTS: Final = frozenset({"service.instance.id", "process.pid", "process.parent_pid"})
"""Attributes of a resource that differ between any two processes."""

_STEPS: Final = (
    semconv.DEPLOY,
    semconv.BUILD,
    semconv.ARTIFACT_UPLOAD,
    semconv.ACTIVATE,
    semconv.PROVISION,
    semconv.PROVISION_ENDPOINT,
    semconv.MANIFEST_UPLOAD,
)


def comparison_json(first: Judged, second: Judged, roots: Sequence[SpanRecord]) -> dict[str, Any]:
    """Return a comparison of two deployments as JSON values.

    Each row has the values of both, null where nothing is recorded, and whether they are the same.

    Args:
        first: The result for one of them.
        second: The result for the other one.
        roots: A span of each, whose resource describes its process.
    """
    both = (first, second)
    return {
        "deployments": [
            _deployment(judged, root) for judged, root in zip(both, roots, strict=True)
        ],
        "steps": list(_steps(first.deployment, second.deployment)),
        "endpoints": _rows(*(_endpoints(judged.deployment) for judged in both)),
        "facts": _rows(*(_facts(judged, root) for judged, root in zip(both, roots, strict=True))),
    }


def _deployment(judged: Judged, root: SpanRecord) -> dict[str, Any]:
    deployment = judged.deployment
    return {
        "trace_id": root.trace_id,
        "deployment_id": deployment.id or None,
        "app_name": deployment.app_name,
        "environment_id": deployment.environment_id,
        "environment_name": deployment.environment_name,
        "build_id": deployment.build_id,
        "start_ns": deployment.start_ns,
        "outcome": deployment.outcome,
        "verdict": judged.verdict,
        "label": verdict_label(judged),
    }


def _steps(first: Deployment, second: Deployment) -> Iterator[dict[str, Any]]:
    """Yield the steps that one of them has; of a repeated step, all together."""
    for name in _STEPS:
        rows = [_step(name, deployment) for deployment in (first, second)]
        if any(rows):
            yield {"name": name, "step": semconv.STEPS.get(name, name), "values": rows}


def _step(name: str, deployment: Deployment) -> dict[str, Any] | None:
    steps = [step for step in deployment.steps if step.name == name]
    if not steps:
        return None
    outcomes = dict.fromkeys(step.outcome for step in steps)
    return {
        "count": len(steps),
        "outcome": next(
            (known for known in outcomes if known != semconv.RETURNED), steps[0].outcome
        ),
        "duration_ns": _duration_ns(steps),
    }


def _duration_ns(steps: Sequence[Step]) -> int | None:
    """Return the time from the first start to the last end; None if one of them is unknown."""
    starts, ends = [step.start_ns for step in steps], [step.end_ns for step in steps]
    known = [time_ns for time_ns in (*starts, *ends) if time_ns is not None]
    return max(known) - min(known) if len(known) == len(starts) + len(ends) else None


def _endpoints(deployment: Deployment) -> dict[str, str]:
    written = deployment.upload or deployment.provisioning
    if written is None:
        return {}
    by_name = written.endpoints.by_name
    return {name: scrub(by_name.get(name, "")) for name in written.endpoints.names or ()}


def _facts(judged: Judged, root: SpanRecord) -> dict[str, str]:
    deployment = judged.deployment
    upload = deployment.upload
    known = {
        "app": deployment.app_name,
        "environment": deployment.environment_name,
        "environment id": deployment.environment_id,
        "build": deployment.build_id,
        "source fingerprint": upload.source_fingerprint if upload else None,
        "artifact size": deployment.artifact_size,
    }
    resource = {name: value for name, value in root.resource.items() if name not in _NO_FACTS}
    return {name: str(value) for name, value in {**known, **resource}.items() if value is not None}


def _rows(first: dict[str, str], second: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "values": [first.get(name), second.get(name)],
            "is_same": first.get(name) == second.get(name),
        }
        for name in dict.fromkeys((*first, *second))
    ]
