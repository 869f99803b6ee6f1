"""Judge the active build in a response, if it is not the deployed one.

It is stale only if the read came after the activation and the build does not belong to a later
deployment. Which build is older is decided by what the activation replaced, by the recorded
deployments, and by the times at which the manifests were generated. No worker's clock has a say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.case import FINE, ReadVerdict
from flash_otel.diagnosis.deployments import is_newer, is_order_open
from flash_otel.diagnosis.matching import asks_for_deployed
from flash_otel.diagnosis.order import CERTAIN, LIKELY

if TYPE_CHECKING:
    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Deployment, RuntimeFetch

# When the active build was generated, compared with the deployed one.
_OLDER: Final = "older"
_NEWER: Final = "newer"
_UNKNOWN: Final = "unknown"

_OF_OLDER: Final = "of an older deployment"
_OF_ANOTHER: Final = "of another deployment, and no time shows which was the last"
_NO_BUILD: Final = "the environment has no active build"


def judge_build(case: Case, read: RuntimeFetch) -> ReadVerdict:
    """Judge a read that was not answered with the deployment's own build."""
    if not case.deployment.activated or not asks_for_deployed(case.deployment, read):
        return FINE
    if case.own_answers or read.environment_state == sc.ENVIRONMENT_NULL:
        return FINE  # some answer shows the build, so the activation took effect
    if read.environment_state == sc.ENVIRONMENT_NO_ACTIVE_BUILD:
        return _judge_inactive(case, read)
    if read.build_id is None:
        return _judge_unanswered(read)
    # An unknown build, such as a masked one, differs from none.
    is_other = case.deployment.build_id not in (None, read.build_id)
    return _judge_other(case, read) if is_other else FINE


def owner(case: Case, read: RuntimeFetch) -> Deployment | None:
    """Return the recorded deployment whose build an answer names, unless it is the judged one."""
    named = [*case.index.of_build(read.build_id), *case.index.of_code(read.active.deployment_id)]
    return next((known for known in named if known.id != case.deployment.id), None)


def is_replaced(case: Case, read: RuntimeFetch) -> bool:
    """Return True if the active build is the one that the activation was to replace."""
    activation = case.deployment.activation
    if activation is None or activation.is_repeated or activation.previous_build_id is None:
        return False
    return read.build_id == activation.previous_build_id


def is_same_source(case: Case, read: RuntimeFetch) -> bool:
    """Return True if the active build and the deployed one were made from the same files."""
    upload = case.deployment.upload
    fingerprint = upload.source_fingerprint if upload else None
    return fingerprint is not None and fingerprint == read.source_fingerprint


def is_later(case: Case, read: RuntimeFetch) -> bool:
    """Return True if the active build is that of a later deployment.

    An earlier build that was deployed again on purpose belongs to a later deployment, too.
    """
    known = owner(case, read)
    if known is not None:
        return is_newer(known, case.deployment)
    return not is_replaced(case, read) and _generated(case, read) == _NEWER


def _generated(case: Case, read: RuntimeFetch) -> str:
    """Compare when two builds were made: the active one of a read, and the deployed one.

    Only the clocks of the machines that build have a say. An active build of an unrecorded
    deployment may come from another machine, so that the assumed skew is a margin.
    """
    upload = case.deployment.upload
    if upload is None or upload.generated_at_ns is None or read.generated_at_ns is None:
        return _UNKNOWN
    gap_ns = read.generated_at_ns - upload.generated_at_ns
    margin_ns = case.limits.skew_s * 1e9
    if gap_ns > margin_ns:
        return _NEWER
    return _OLDER if gap_ns < -margin_ns else _UNKNOWN


def _judge_inactive(case: Case, read: RuntimeFetch) -> ReadVerdict:
    if read.by_lines:  # an unknown environment has the same line
        return ReadVerdict((sc.ENVIRONMENT_UNKNOWN, sc.STALE_BUILD), "no active build is named")
    after = _after_activation(case, read)
    if after:
        return ReadVerdict((sc.STALE_BUILD,), _NO_BUILD, after)
    return ReadVerdict((sc.STALE_BUILD, sc.INCONCLUSIVE), f"{_NO_BUILD}, perhaps not yet")


def _judge_unanswered(read: RuntimeFetch) -> ReadVerdict:
    """Judge a request in a log without an answer, whose error has no bracketed line."""
    if read.by_lines and read.held is None and read.environment_id:
        codes = (sc.STATE_MANAGER_UNAVAILABLE, sc.UNAUTHORIZED, sc.ENVIRONMENT_UNKNOWN)
        return ReadVerdict(codes, "the State Manager was asked, and no answer was logged")
    return FINE


def _judge_other(case: Case, read: RuntimeFetch) -> ReadVerdict:
    if is_later(case, read):
        return FINE
    reason = f"the active build is {read.build_id}"
    if read.by_lines and read.environment_id is None:
        codes = (sc.STALE_BUILD, sc.ENVIRONMENT_MISMATCH)
        return ReadVerdict(codes, f"{reason}, of an environment that no line names")
    after = _after_activation(case, read)
    older = _why_older(case, read)
    if older:
        return _judge_older(case, read, f"{reason}, {older}", after)
    if read.in_log and (after or _is_order_open(case, read)):
        # Lines name no deployment. Logs that are given together are read as the guide reads them.
        return ReadVerdict((sc.STALE_BUILD,), f"{reason}, not the deployed one", LIKELY)
    if after == CERTAIN and _was_active_before(case, read.build_id):
        return ReadVerdict((sc.STALE_BUILD,), f"{reason}, as before the deployment", LIKELY)
    reason += ", which no recorded deployment made, perhaps a later one"
    return ReadVerdict((sc.STALE_BUILD, sc.INCONCLUSIVE), reason)


def _why_older(case: Case, read: RuntimeFetch) -> str:
    """Return what shows that the active build is an older one, in words."""
    if is_replaced(case, read):
        return "as before the activation"
    known = owner(case, read)
    if known is not None:
        is_open = is_order_open(known, case.deployment)
        return _OF_ANOTHER if is_open else _OF_OLDER
    is_older = _generated(case, read) == _OLDER
    return "generated before the deployed one" if is_older else ""


def _judge_older(case: Case, read: RuntimeFetch, reason: str, after: str) -> ReadVerdict:
    """Judge an answer with an older build: it may precede the activation."""
    known = owner(case, read)
    if known is not None and is_order_open(known, case.deployment):
        return ReadVerdict((sc.STALE_BUILD, sc.INCONCLUSIVE), reason)
    if after == CERTAIN and _precedes_rollbacks(case, read):
        return ReadVerdict((sc.STALE_BUILD,), reason)
    if after == CERTAIN:
        rollback = "less likely put back by a later deployment that is not recorded"
        return ReadVerdict((sc.STALE_BUILD,), f"{reason}, {rollback}", LIKELY)
    is_open = _is_order_open(case, read)
    if known is None:
        is_stale = read.in_log and bool(after or is_open)
    else:
        is_stale = after == LIKELY and read.in_log and case.deployment.in_log and known.in_log
    if is_stale:
        return ReadVerdict((sc.STALE_BUILD,), reason, LIKELY)
    # Workers keep running while a build is deployed, so that an assumed skew proves nothing of
    # spans, because their times come from different machines.
    is_doubtful = after == LIKELY or is_open
    return ReadVerdict((sc.STALE_BUILD, sc.INCONCLUSIVE), reason) if is_doubtful else FINE


def _precedes_rollbacks(case: Case, read: RuntimeFetch) -> bool:
    """Return True if a read came too soon for an older build to have been put back on purpose."""
    activation, offset = case.deployment.activation, case.offset(read)
    if activation is None or activation.end_ns is None or read.asked_ns is None:
        return False
    margin_ns = 0 if offset.exact else offset.assumed
    return read.asked_ns - activation.end_ns + margin_ns <= case.limits.rollback_s * 1e9


def _is_order_open(case: Case, read: RuntimeFetch) -> bool:
    """Return True for a read in a log that no clock puts before or after the activation."""
    activation = case.deployment.activation
    if not read.in_log or activation is None:
        return False
    is_timed = read.asked_ns is not None and activation.end_ns is not None
    return not is_timed or case.offset(read).is_unknown


def _was_active_before(case: Case, build_id: str | None) -> bool:
    """Return True if a read that ended before the activation already saw this build."""
    activation = case.deployment.activation
    started_ns = activation.start_ns if activation else None
    return any(
        case.offset(read).before(read.end_ns, started_ns)
        for read in case.evidence.reads
        if read.build_id == build_id and read.environment_id == case.deployment.environment_id
    )


def _after_activation(case: Case, read: RuntimeFetch) -> str:
    """Return the confidence that a read came after the activation: by its code, or by clocks."""
    if read.code_deployment_id in case.deployment.aliases:
        return CERTAIN
    activation = case.deployment.activation
    return case.offset(read).after(read.asked_ns, activation.end_ns if activation else None)
