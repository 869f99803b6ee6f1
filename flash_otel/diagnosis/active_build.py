"""What a read proves about the activation: whether the environment stands on the deployed build.

An active build that is not the deployed one is stale only if the read came after the activation
and the build is not that of a later deployment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.deployments import order as age
from flash_otel.diagnosis.order import CERTAIN, LIKELY
from flash_otel.diagnosis.read_verdicts import FINE, Judgement

if TYPE_CHECKING:
    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Deployment, RuntimeFetch

_NO_BUILD: Final = "the environment has no active build"


def asks_for_deployed(case: Case, read: RuntimeFetch) -> bool:
    """Tell whether a read asked for the environment that was deployed to, as far as is known."""
    deployment = case.deployment
    asked = read.environment_id
    if asked is None:
        return read.build_id is not None
    if deployment.environment_id is None:
        return asked == deployment.environment_name or read.build_id == deployment.build_id
    return asked == deployment.environment_id


def judge_build(case: Case, read: RuntimeFetch) -> Judgement:
    """Judge an answer of the deployed environment that names another build, or none."""
    if not case.deployment.activated or not asks_for_deployed(case, read):
        return FINE
    if case.own_answers or read.environment_state == sc.ENVIRONMENT_NULL:
        return FINE  # the activation has taken effect: some answer shows the build
    if read.environment_state == sc.ENVIRONMENT_NO_ACTIVE_BUILD:
        return _judge_inactive(case, read)
    if read.build_id is None:
        return _judge_silent(read)
    return FINE if read.build_id == case.deployment.build_id else _judge_other(case, read)


def _judge_inactive(case: Case, read: RuntimeFetch) -> Judgement:
    if read.by_lines:  # the line is the same for an environment that is not known
        return Judgement((sc.ENVIRONMENT_UNKNOWN, sc.STALE_BUILD), "no active build is named")
    shown = _shown_after(case, read)
    if shown:
        return Judgement((sc.STALE_BUILD,), _NO_BUILD, shown)
    return Judgement((sc.STALE_BUILD, sc.INCONCLUSIVE), f"{_NO_BUILD}, perhaps not yet")


def _judge_silent(read: RuntimeFetch) -> Judgement:
    """Judge a question in a log that no answer follows: its error is not among the lines."""
    if read.by_lines and read.held is None and read.environment_id:
        codes = (sc.STATE_MANAGER_UNAVAILABLE, sc.UNAUTHORIZED, sc.ENVIRONMENT_UNKNOWN)
        return Judgement(codes, "the State Manager was asked, and no answer was logged")
    return FINE


def _judge_other(case: Case, read: RuntimeFetch) -> Judgement:
    reason = f"the active build is {read.build_id}"
    shown = _shown_after(case, read)
    known = owner(case, read)
    if known is not None:
        is_older = age(known) < age(case.deployment)
        return _judge_older(read, f"{reason}, of an older deployment", shown) if is_older else FINE
    if read.by_lines and (shown or read.start_ns is None):
        # Lines name no deployment: of logs that were given together, the guide's reading holds.
        return Judgement((sc.STALE_BUILD,), f"{reason}, not the deployed one", LIKELY)
    if shown == CERTAIN and _was_active_before(case, read.build_id):
        return Judgement((sc.STALE_BUILD,), f"{reason}, as before the deployment", LIKELY)
    unknown = f"{reason}, which no recorded deployment made, perhaps a later one"
    return Judgement((sc.STALE_BUILD, sc.INCONCLUSIVE), unknown)


def _was_active_before(case: Case, build_id: str | None) -> bool:
    """Tell whether a read that was over before the activation already saw this build."""
    activation = case.deployment.activation
    started_ns = activation.start_ns if activation else None
    return any(
        case.offset(read).before(read.end_ns, started_ns)
        for read in case.evidence.reads
        if read.build_id == build_id and read.environment_id == case.deployment.environment_id
    )


def _judge_older(read: RuntimeFetch, reason: str, shown: str) -> Judgement:
    """Judge an answer with an older deployment's build: it may have come before the activation."""
    if shown == LIKELY or (read.by_lines and read.start_ns is None):
        # An assumption about clocks is not enough: workers run on while another build is deployed.
        return Judgement((sc.STALE_BUILD, sc.INCONCLUSIVE), reason)
    return Judgement((sc.STALE_BUILD,), reason, shown) if shown else FINE


def owner(case: Case, read: RuntimeFetch) -> Deployment | None:
    """Return the recorded deployment whose build an answer names, other than the judged one."""
    named = [*case.known.of_build(read.build_id), *case.known.of_code(read.active.deployment_id)]
    return next((one for one in named if one.id != case.deployment.id), None)


def _shown_after(case: Case, read: RuntimeFetch) -> str:
    """Tell whether a read surely came after the activation: by its code, or by clocks."""
    if read.code_deployment_id in case.deployment.aliases:
        return CERTAIN
    activation = case.deployment.activation
    return case.offset(read).after(read.asked_ns, activation.end_ns if activation else None)
