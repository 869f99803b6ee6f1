"""Faults of environments: which one a worker asked for, and which ones deployments share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel import semconv as sc
from flash_otel.diagnosis.deployments import order as age
from flash_otel.diagnosis.findings import MOST_EXHIBITS, Exhibit, Finding, exhibits, several
from flash_otel.diagnosis.matching import endpoint_ids, looks_like_id
from flash_otel.diagnosis.order import CERTAIN, LIKELY, NO, POSSIBLE, is_same_host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Deployment, RuntimeFetch


def environment_mismatch(case: Case) -> Iterator[Finding]:
    """Find a worker that asked for another environment than the one deployed to."""
    shown = [(read, _is_astray(case, read)) for read in case.reads]
    found = [(read, sure) for read, sure in shown if sure]
    if not found:
        return
    read, sure = found[0]
    deployed = case.deployment.environment_id or case.deployment.environment_name
    by_endpoint = read.environment_id == read.worker_endpoint_id
    cause = " That is its own endpoint id, as Flash before 1.4 asks." if by_endpoint else ""
    sentence = (
        f"The worker asked for environment {read.environment_id}, but {case.deployment.name} was "
        f"deployed to {deployed}.{cause}"
    )
    said = exhibits(
        (case.deployment.activation or case.deployment.upload, f"deployed to {deployed}"),
        *((one, f"asked for {one.environment_id}") for one, _ in found[:MOST_EXHIBITS]),
    )
    yield Finding(sc.ENVIRONMENT_MISMATCH, sentence, said, sure)


def environment_unknown(case: Case) -> Iterator[Finding]:
    """Find an environment that the State Manager does not know."""
    found = [read for read in case.reads if read.environment_state == sc.ENVIRONMENT_NULL]
    if found:
        sentence = f"The State Manager does not know environment {found[0].environment_id}."
        said = exhibits(*((read, "the answer is null") for read in found[:MOST_EXHIBITS]))
        yield Finding(sc.ENVIRONMENT_UNKNOWN, sentence, said)


def environment_unset(case: Case) -> Iterator[Finding]:
    """Find a worker that asked nothing because FLASH_ENVIRONMENT_ID is not set."""
    found = [read for read in case.reads if _asked_nothing(read)]
    if found:
        name = found[0].process.resource_name
        worker = f"the worker of {name!r}" if name else "the worker"
        sentence = f"FLASH_ENVIRONMENT_ID is not set in {worker}: it asked for no endpoints."
        said = exhibits(*((read, "asked nothing") for read in found[:MOST_EXHIBITS]))
        yield Finding(sc.ENVIRONMENT_UNSET, sentence, said)


def environment_created(case: Case) -> Iterator[Finding]:
    """Note that the deployment made a new environment in an app that has others."""
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
    said = tuple(
        Exhibit(origin, "created the environment") for origin in deployment.created_environment
    )
    yield Finding(sc.ENVIRONMENT_CREATED, sentence, said)


def environment_takeover(case: Case) -> Iterator[Finding]:
    """Find endpoints that two environments' latest deployments share: the later one took them."""
    mine = endpoint_ids(case.deployment)
    for other in _latest_elsewhere(case):
        shared = sorted(mine & endpoint_ids(other))
        if not shared:
            continue
        first, last = sorted((case.deployment, other), key=age)
        sentence = (
            f"The deployment to {_place(last)} took over {several(shared)} of {_place(first)}: "
            "both environments now stand on the same endpoints."
        )
        said = exhibits(
            *((one.upload or one.root, f"{_place(one)} holds {shared[0]}") for one in (first, last))
        )
        yield Finding(sc.ENVIRONMENT_TAKEOVER, sentence, said)
        return


def overlapping_deploys(case: Case) -> Iterator[Finding]:
    """Find another deployment that wrote to the same environment at the same time."""
    deployment = case.deployment
    for other in case.evidence.deployments:
        same = other.environment_id is not None
        same = same and other.environment_id == deployment.environment_id
        sure = _overlap(case, other) if same and other.id != deployment.id else NO
        if sure:
            sentence = (
                f"{deployment.name.capitalize()} and {other.name} were written to environment "
                f"{deployment.environment_id} at the same time."
            )
            said = exhibits(
                (deployment.activation, f"{deployment.name} became active"),
                (other.activation, f"{other.name} became active before the other was written"),
            )
            yield Finding(sc.OVERLAPPING_DEPLOYS, sentence, said, sure)
            return


def _is_astray(case: Case, read: RuntimeFetch) -> str:
    """Tell how sure it is that a read of this deployment's worker asked elsewhere."""
    deployment, asked = case.deployment, read.environment_id
    if asked is None or not case.recorded:
        return NO
    if deployment.environment_id is None:
        label = deployment.environment_name
        bare = label is not None and label != asked and read.held is None
        return POSSIBLE if bare and looks_like_id(label or "", asked) else NO
    if asked == deployment.environment_id:
        return NO
    if read.code_deployment_id in deployment.aliases:
        return NO if _is_shared(case, read) else CERTAIN
    if read.worker_endpoint_id in endpoint_ids(deployment):
        # Code of a deployment that nobody recorded: that one may have taken the endpoint over.
        stranger = read.code_deployment_id is not None and not _is_of_environment(case, read)
        return NO if stranger or _is_taken_over(case, read) else CERTAIN
    return LIKELY if _belongs_by_log(case, read) else NO


def _is_shared(case: Case, read: RuntimeFetch) -> bool:
    """Tell whether the same build was also deployed to the environment that was asked for."""
    named = case.known.of_code(read.code_deployment_id)
    return any(other.environment_id == read.environment_id for other in named)


def _is_of_environment(case: Case, read: RuntimeFetch) -> bool:
    """Tell whether a worker runs the code of some deployment to the judged environment."""
    named = case.known.of_code(read.code_deployment_id)
    return any(other.environment_id == case.deployment.environment_id for other in named)


def _is_taken_over(case: Case, read: RuntimeFetch) -> bool:
    return any(read.worker_endpoint_id in endpoint_ids(other) for other in _latest_elsewhere(case))


def _belongs_by_log(case: Case, read: RuntimeFetch) -> bool:
    """Tell whether logs that were given together show only reads that ask elsewhere."""
    by_lines = read.by_lines and case.deployment.by_lines
    mine = case.deployment.environment_id
    return by_lines and all(one.environment_id != mine for one in case.reads)


def _asked_nothing(read: RuntimeFetch) -> bool:
    if read.environment_id or read.worker_environment_id or read.bare or read.attempts:
        return False
    if read.build_id or read.held is not None or read.failure is not None:
        return False
    # Of lines, only the source can tell an id that is not set from one that was cut off.
    return read.fault == sc.ENVIRONMENT_UNSET if read.by_lines else read.process.worker


def _latest_elsewhere(case: Case) -> list[Deployment]:
    """Return the latest provisioned deployment of each other environment."""
    latest: dict[str, Deployment] = {}
    for one in case.evidence.deployments:
        environment_id = one.environment_id
        if environment_id in (None, case.deployment.environment_id) or not endpoint_ids(one):
            continue
        latest[str(environment_id)] = one
    return list(latest.values()) if case.deployment.environment_id else []


def _place(deployment: Deployment) -> str:
    return f"environment {deployment.environment_name or deployment.environment_id}"


def _overlap(case: Case, other: Deployment) -> str:
    """Tell whether two deployments' writes, from activation to upload, fell into each other."""
    one, two = _window(case.deployment), _window(other)
    if one is None or two is None:
        return NO
    mine, theirs = case.deployment.process, other.process
    same_clock = is_same_host(mine, theirs)
    if not same_clock and mine.host and theirs.host:
        return NO
    margin = 0 if same_clock else int(case.limits.skew_s * 1e9)
    overlap = min(one[1], two[1]) - max(one[0], two[0])
    if overlap <= margin:
        return NO
    return CERTAIN if same_clock else LIKELY


def _window(deployment: Deployment) -> tuple[int, int] | None:
    activation, upload = deployment.activation, deployment.upload
    if activation is None or upload is None:
        return None
    if activation.start_ns is None or upload.end_ns is None:
        return None
    return activation.start_ns, upload.end_ns
