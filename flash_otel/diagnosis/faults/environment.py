"""Faults of environments: wrong ones in workers, and ones that several deployments share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from flash_otel import semconv as sc
from flash_otel.diagnosis.deployments import recency_key
from flash_otel.diagnosis.findings import (
    MOST_EXHIBITS,
    Exhibit,
    Finding,
    environment,
    exhibits,
    several,
)
from flash_otel.diagnosis.matching import endpoint_ids, is_given_with, looks_like_id
from flash_otel.diagnosis.order import CERTAIN, LIKELY, NO, POSSIBLE, is_same_host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Deployment, RuntimeFetch


def environment_mismatch(case: Case) -> Iterator[Finding]:
    """Find a worker that asked for another environment than the deployed one."""
    judged = [(read, _confidence_astray(case, read)) for read in case.reads]
    found = [(read, confidence) for read, confidence in judged if confidence]
    if not found:
        return
    read, confidence = found[0]
    mine = case.deployment.environment_id
    deployed = environment(case, mine, is_short=False)
    by_endpoint = read.environment_id == read.worker_endpoint_id
    cause = " That is its own endpoint id, as Flash before 1.4 asks." if by_endpoint else ""
    sentence = (
        f"The worker asked for {environment(case, read.environment_id)}, but "
        f"{case.deployment.name} was deployed to {environment(case, mine)}.{cause}"
    )
    evidence = exhibits(
        (case.deployment.activation or case.deployment.upload, f"deployed to {deployed}"),
        *(
            (astray, f"asked for {environment(case, astray.environment_id, is_short=False)}")
            for astray, _ in found[:MOST_EXHIBITS]
        ),
    )
    yield Finding(sc.ENVIRONMENT_MISMATCH, sentence, evidence, confidence)


def environment_unknown(case: Case) -> Iterator[Finding]:
    """Find an environment that the State Manager does not know."""
    found = [read for read in case.reads if read.environment_state == sc.ENVIRONMENT_NULL]
    if found:
        asked = environment(case, found[0].environment_id)
        sentence = f"The State Manager does not know {asked}."
        evidence = exhibits(*((read, "the answer is null") for read in found[:MOST_EXHIBITS]))
        yield Finding(sc.ENVIRONMENT_UNKNOWN, sentence, evidence)


def environment_unset(case: Case) -> Iterator[Finding]:
    """Find a worker that asked nothing because FLASH_ENVIRONMENT_ID is not set."""
    found = [read for read in case.reads if _asked_nothing(read)]
    if found:
        name = found[0].process.resource_name
        worker = f"the worker of {name!r}" if name else "the worker"
        sentence = f"FLASH_ENVIRONMENT_ID is not set in {worker}: it asked for no endpoints."
        evidence = exhibits(*((read, "asked nothing") for read in found[:MOST_EXHIBITS]))
        yield Finding(sc.ENVIRONMENT_UNSET, sentence, evidence)


def environment_created(case: Case) -> Iterator[Finding]:
    """Note that the deployment created an environment in an app that has others."""
    deployment = case.deployment
    if not deployment.created_environment:
        return
    names = {
        other.environment_name
        for other in case.evidence.deployments
        if other.app_name == deployment.app_name
    }
    others = sorted(str(name) for name in names - {None, deployment.environment_name})
    beside = f" beside {several(others)}" if others else ""
    sentence = (
        f"The deployment created environment {deployment.environment_name!r}{beside}: is its name "
        "what was meant?"
    )
    evidence = tuple(
        Exhibit(origin, "created the environment") for origin in deployment.created_environment
    )
    yield Finding(sc.ENVIRONMENT_CREATED, sentence, evidence)


def environment_takeover(case: Case) -> Iterator[Finding]:
    """Find endpoints that the latest deployments to two environments share."""
    mine = endpoint_ids(case.deployment, are_proven=True)
    for other in _latest_elsewhere(case):
        shared = sorted(mine & endpoint_ids(other, are_proven=True))
        if not shared:
            continue
        first, last = sorted((case.deployment, other), key=recency_key)
        place = partial(_place, case)
        sentence = (
            f"The deployment to {place(last)} took over {several(shared)} of {place(first)}: "
            "both environments now stand on the same endpoints."
        )
        evidence = exhibits(
            *(
                (known.upload or known.root, f"{place(known, is_short=False)} holds {shared[0]}")
                for known in (first, last)
            )
        )
        yield Finding(sc.ENVIRONMENT_TAKEOVER, sentence, evidence)
        return


def overlapping_deploys(case: Case) -> Iterator[Finding]:
    """Find another deployment that wrote to the same environment at the same time."""
    deployment = case.deployment
    for other in case.evidence.deployments:
        if other.id == deployment.id or other.environment_id is None:
            continue
        if other.environment_id != deployment.environment_id:
            continue
        confidence = _confidence_overlap(case, other)
        if confidence:
            sentence = (
                f"{deployment.name.capitalize()} and {other.name} were written to "
                f"{environment(case, deployment.environment_id)} at the same time."
            )
            evidence = exhibits(
                (deployment.activation, f"{deployment.name} became active"),
                (other.activation, f"{other.name} became active before the other was written"),
            )
            yield Finding(sc.OVERLAPPING_DEPLOYS, sentence, evidence, confidence)
            return


def _confidence_astray(case: Case, read: RuntimeFetch) -> str:
    """Return the confidence that a read of this deployment's worker asked elsewhere."""
    deployment, asked = case.deployment, read.environment_id
    if asked is None or not case.is_recorded:
        return NO
    if deployment.environment_id is None:
        label = deployment.environment_name
        bare = label is not None and label != asked and read.held is None
        return POSSIBLE if bare and looks_like_id(label or "", asked) else NO
    if asked == deployment.environment_id:
        return NO
    if read.code_deployment_id in deployment.aliases:
        return NO if _is_code_deployed_to(case, read, asked) else CERTAIN
    if read.worker_endpoint_id in endpoint_ids(deployment):
        # Code of an unrecorded deployment: that deployment may have taken the endpoint over.
        mine = deployment.environment_id
        # Lines name no deployment: of a deployment in lines, the code may be its own.
        is_stranger = read.code_deployment_id is not None and not deployment.by_lines
        is_stranger = is_stranger and not _is_code_deployed_to(case, read, mine)
        return NO if is_stranger or _may_be_taken_over(case, read) else CERTAIN
    return LIKELY if _belongs_by_log(case, read) else NO


def _is_code_deployed_to(case: Case, read: RuntimeFetch, environment_id: str) -> bool:
    """Return True if the code of a worker was also deployed to an environment."""
    named = case.index.of_code(read.code_deployment_id)
    return any(known.environment_id == environment_id for known in named)


def _may_be_taken_over(case: Case, read: RuntimeFetch) -> bool:
    """Return True if the worker's endpoint is, or may be, one of another environment's as well."""
    if any(read.worker_endpoint_id in endpoint_ids(other) for other in _latest_elsewhere(case)):
        return True
    # A log may have lost the mapping, which alone holds the endpoints of a deployment in lines.
    return any(
        other.by_lines and other.environment_id == read.environment_id and not endpoint_ids(other)
        for other in case.evidence.deployments
    )


def _belongs_by_log(case: Case, read: RuntimeFetch) -> bool:
    """Return True if all reads in the logs that were given together ask elsewhere."""
    mine = case.deployment.environment_id
    is_given = is_given_with(case.deployment, read)
    return is_given and all(other.environment_id != mine for other in case.reads)


def _asked_nothing(read: RuntimeFetch) -> bool:
    if read.environment_id or read.worker_environment_id or read.bare or read.attempts:
        return False
    if read.build_id or read.held is not None or read.failure is not None:
        return False
    # In lines, an unset id looks like an id that was cut off: only the reader of the log knows.
    return read.fault == sc.ENVIRONMENT_UNSET if read.by_lines else read.process.worker


def _latest_elsewhere(case: Case) -> list[Deployment]:
    """Return the latest provisioned deployment of each other environment."""
    mine = case.deployment.environment_id
    latest = {
        other.environment_id: other
        for other in case.evidence.deployments
        if other.environment_id not in (None, mine) and endpoint_ids(other)
    }
    return list(latest.values()) if mine else []


def _place(case: Case, deployment: Deployment, *, is_short: bool = True) -> str:
    return environment(case, deployment.environment_id, is_short=is_short)


def _confidence_overlap(case: Case, other: Deployment) -> str:
    """Return the confidence that the writes of two deployments overlap."""
    window, other_window = _window(case.deployment), _window(other)
    if window is None or other_window is None:
        return NO
    process, other_process = case.deployment.process, other.process
    same_clock = is_same_host(process, other_process)
    if not same_clock and process.host and other_process.host:
        return NO
    margin = 0 if same_clock else int(case.limits.skew_s * 1e9)
    overlap = min(window[1], other_window[1]) - max(window[0], other_window[0])
    if overlap <= margin:
        return NO
    return CERTAIN if same_clock else LIKELY


def _window(deployment: Deployment) -> tuple[int, int] | None:
    """Return the time from the start of the activation to the end of the manifest upload."""
    activation, upload = deployment.activation, deployment.upload
    if activation is None or upload is None:
        return None
    if activation.start_ns is None or upload.end_ns is None:
        return None
    return activation.start_ns, upload.end_ns
