"""Faults of calls: functions and endpoints that nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel import semconv as sc
from flash_otel.diagnosis import failures
from flash_otel.diagnosis.findings import MOST_EXHIBITS, Exhibit, Finding, exhibits, several
from flash_otel.diagnosis.order import CERTAIN, LIKELY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Call


def function_unknown(case: Case) -> Iterator[Finding]:
    """Find a call of a function that the worker's own manifest does not know."""
    found = [call for call in case.calls if call.route == sc.ROUTE_MISSING]
    if found:
        names = sorted({call.function_name or "unnamed" for call in found})
        sentence = (
            f"The worker's manifest does not know {several(names)}: Flash ran it in place, "
            "without its endpoint."
        )
        failed = any(not call.returned for call in found)
        said = _calls_say(found, "not in the manifest")
        yield Finding(sc.FUNCTION_UNKNOWN, sentence, said, CERTAIN if failed else LIKELY)


def call_target_mismatch(case: Case) -> Iterator[Finding]:
    """Find a call to another app or environment than the deployed one."""
    found = [call for call in case.calls if _goes_elsewhere(case, call)]
    if found:
        call, deployment = found[0], case.deployment
        sentence = (
            f"A call of {call.resource_name!r} went to app {call.app_name!r}, environment "
            f"{call.environment_name!r}; deployed was app {deployment.app_name!r}, environment "
            f"{deployment.environment_name!r}."
        )
        said = _calls_say(found, f"called {call.app_name}/{call.environment_name}")
        confidence = CERTAIN if _is_of_code(case, call) else LIKELY
        yield Finding(sc.CALL_TARGET_MISMATCH, sentence, said, confidence)


def call_target_unknown(case: Case) -> Iterator[Finding]:
    """Find a call to an endpoint that Runpod does not know."""
    found = [call for call in case.calls if _is_not_found(call)]
    if found:
        call = found[0]
        where = (
            f" in app {call.app_name!r}, environment {call.environment_name!r}"
            if call.environment_name
            else f" at {call.endpoint_url}"
        )
        sentence = f"Runpod knows no endpoint {call.resource_name!r}{where}."
        said = _calls_say(found, "no such endpoint")
        yield Finding(sc.CALL_TARGET_UNKNOWN, sentence, said)


def _goes_elsewhere(case: Case, call: Call) -> bool:
    """Tell whether a call names another target than its deployment; a good answer may be meant.

    A worker's own call is told by the code that it runs. Any other call is only suspicious if it
    found nothing there, while the deployment has an endpoint of that name.
    """
    deployment = case.deployment
    if not (case.recorded and call.environment_name and deployment.environment_name):
        return False
    app = deployment.app_name or call.app_name
    if (call.app_name, call.environment_name) == (app, deployment.environment_name):
        return False
    return _is_of_code(case, call) or _is_not_found(call)


def _is_of_code(case: Case, call: Call) -> bool:
    return call.code_deployment_id in case.deployment.aliases


def _is_not_found(call: Call) -> bool:
    return call.failure is not None and call.failure.kind == failures.NOT_FOUND


def _calls_say(found: Sequence[Call], says: str) -> tuple[Exhibit, ...]:
    return exhibits(
        *((call, f"{call.failure}" if call.failure else says) for call in found[:MOST_EXHIBITS])
    )
