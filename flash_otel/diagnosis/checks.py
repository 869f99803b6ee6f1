"""The guide's own comparisons: the id matching table and the PASS/FAIL list of both phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel.diagnosis.active_build import asks_for_deployed
from flash_otel.diagnosis.evidence import RuntimeFetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Origin

MATCH: Final = "match"
MISMATCH: Final = "mismatch"
PASS: Final = "pass"  # noqa: S105 - the guide's word, no secret
FAIL: Final = "fail"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Match:
    """One row of the id matching table; None for what is not recorded."""

    name: str
    deployed: str | None
    read: str | None
    result: str


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the PASS/FAIL list.

    Attributes:
        phase: deployment or runtime.
        text: What the guide expects.
        result: pass, fail or unknown.
        says: What was found instead of the expectation's placeholder.
    """

    phase: str
    text: str
    result: str
    says: str = ""


def representative(case: Case, named: frozenset[Origin]) -> RuntimeFetch | None:
    """Return the read that tables show: the last one that a finding names, else the last one."""
    accused = [read for read in case.reads if read.origin in named]
    relevant = [read for read in case.reads if read.build_id or read.environment_id]
    return next(reversed(accused or relevant), None)


def matches(case: Case, read: RuntimeFetch | None) -> tuple[Match, ...]:
    """Compare what was deployed with what a worker read."""
    deployment = case.deployment
    endpoints = case.expected
    read = read or RuntimeFetch()
    rows = (
        ("environment_id", deployment.environment_id, read.environment_id),
        ("build_id", deployment.build_id, read.build_id),
        ("endpoint_count", _number(endpoints.count), _number(read.held)),
        ("endpoints_digest", endpoints.digest, read.endpoints.digest),
        ("code_deployment", _own(case), read.code_deployment_id),
        ("active_deployment", _own(case), read.active.deployment_id),
    )
    return tuple(
        Match(name, deployed, found, _compared(case, name, deployed, found))
        for name, deployed, found in rows
        if deployed or found
    )


def _own(case: Case) -> str | None:
    deployment = case.deployment
    return None if deployment.by_lines else deployment.id or None


def _compared(case: Case, name: str, deployed: str | None, found: str | None) -> str:
    if deployed is None or found is None:
        return UNKNOWN
    if name.endswith("_deployment"):
        return MATCH if found in case.deployment.aliases else MISMATCH
    return MATCH if deployed == found else MISMATCH


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)


def checks(case: Case, read: RuntimeFetch | None) -> tuple[Check, ...]:
    """Go through the guide's list of what is seen when everything works."""
    return (*_deploy_checks(case), *_read_checks(case, read))


def _deploy_checks(case: Case) -> Iterator[Check]:
    deployment = case.deployment
    activation, upload = deployment.activation, deployment.upload
    sent = case.expected.count
    mapping = "resources_endpoints mapping contains entries"
    yield Check("deployment", mapping, _positive(sent), _number(sent) or "")
    stored = upload.persisted_count if upload else None
    uploaded = None if upload is None else stored if stored is not None else sent
    result = _positive(uploaded) if upload and upload.returned else _failed(upload)
    yield Check("deployment", "uploaded N endpoints, N > 0", result, _number(uploaded) or "")
    activated = PASS if activation and activation.returned else _failed(activation)
    build = deployment.build_id or ""
    yield Check("deployment", "environment activated with build_id", activated, build)


def _read_checks(case: Case, read: RuntimeFetch | None) -> Iterator[Check]:
    asked = read.environment_id if read else None
    asks = _of(read, asked is not None and asks_for_deployed(case, read) if read else False)
    yield Check("runtime", "queries the State Manager with environment_id", asks, asked or "")
    build = read.build_id if read else None
    active = UNKNOWN if build is None else _of(read, build == case.deployment.build_id)
    yield Check("runtime", "activeBuildId matches the deployment", active, build or "")
    held = read.held if read else None
    answered = f"{_number(held) or ''}"
    yield Check("runtime", "the manifest has N endpoints, N > 0", _positive(held), answered)
    kept = held if read is not None and not read.bare and read.returned else None
    yield Check("runtime", "the registry holds N entries, N > 0", _positive(kept), answered)


def _positive(number: int | None) -> str:
    return UNKNOWN if number is None else PASS if number > 0 else FAIL


def _failed(step: object) -> str:
    return UNKNOWN if step is None else FAIL


def _of(read: RuntimeFetch | None, holds: bool) -> str:
    return UNKNOWN if read is None else PASS if holds else FAIL
