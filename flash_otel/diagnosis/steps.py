"""Which step of a deployment is the cause of its failure, and what a step is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis.evidence import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flash_otel.diagnosis.evidence import Deployment, Step

# A GraphQL request speaks for the step around it, not for itself.
_AROUND: Final[dict[str, tuple[str, ...]]] = {
    semconv.BUILD: (semconv.DEPLOY,),
    semconv.ARTIFACT_UPLOAD: (semconv.DEPLOY,),
    semconv.ACTIVATE: (semconv.DEPLOY,),
    semconv.PROVISION: (semconv.DEPLOY,),
    semconv.PROVISION_ENDPOINT: (semconv.DEPLOY, semconv.PROVISION),
    semconv.MANIFEST_UPLOAD: (semconv.DEPLOY, semconv.PROVISION),
}
_UNSOUND: Final = (semconv.FAILED, semconv.UNKNOWN, semconv.CANCELLED)
_INTERRUPTIONS: Final = ("CancelledError", "KeyboardInterrupt", "GeneratorExit")


def culprit(deployment: Deployment) -> Step | None:
    """Return the innermost unsound step, one that failed before one that was interrupted.

    Neither its parents nor its cancelled siblings are the cause; and a deployment that returned
    has recovered from whatever failed inside it.
    """
    if deployment.outcome == semconv.RETURNED:
        return None
    steps = [step for step in deployment.steps if step.name != semconv.GRAPHQL]
    unsound = [step for step in steps if step.outcome in _UNSOUND]
    failed = [step for step in unsound if not is_interrupted(step)]
    found = _innermost(failed or unsound)
    return min(found, key=_ended, default=None)


def is_interrupted(step: Step) -> bool:
    """Tell whether a step ended because it was told to end, not by a failure of its own."""
    name = step.failure.type.rpartition(".")[2] if step.failure else ""
    return step.outcome == semconv.CANCELLED or name in _INTERRUPTIONS


def is_of_provisioning(step: Step) -> bool:
    """Tell whether Flash itself says so: the function contains the manifest upload, too.

    `reconcile_and_provision_resources` (1.0.0-1.21.0) says "provision" in each of its own errors.
    """
    return step.failure is not None and "provision" in step.failure.message.lower()


def _innermost(found: Sequence[Step]) -> list[Step]:
    """Leave out what surrounds another one, even where a span between them was lost."""
    parents = {step.parent_id for step in found}
    inner = {outer for step in found for outer in _AROUND.get(step.name, ())}
    left = [step for step in found if step.origin.span_id not in parents and step.name not in inner]
    return left or list(found)


def _ended(step: Step) -> tuple[bool, int, int, str]:
    unknown = step.outcome == semconv.UNKNOWN
    return (unknown, step.end_ns or 0, step.start_ns or 0, step.origin.span_id)


def what_failed(step: Step) -> str:
    """Say that a step failed, and why."""
    name = semconv.STEPS.get(step.name, step.name)
    if step.outcome == UNFINISHED:
        return f"{name} did not end"
    if is_interrupted(step):
        return f"{name} was interrupted"
    cause = str(step.failure) if step.failure else "no cause was recorded"
    if step.outcome == semconv.UNKNOWN:
        return f"the outcome of {name} is unknown ({cause})"
    return f"{name} failed ({cause})"
