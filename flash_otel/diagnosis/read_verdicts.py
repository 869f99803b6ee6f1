"""What each read proves about the deployment: a fault, or the faults that it allows.

A lost write and a read in the open window leave the same answer: the manifest that the finalize
call stored, without endpoints. They are told apart by, in this order, the server's own answer to
the upload, the phase of the manifest's carrier, another read that holds the write, and clocks. A
null manifest is never a race, because the finalize call stores one before the activation.

An active build other than the deployed one is stale only if the read came after the activation and
the build does not belong to a later deployment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import failures
from flash_otel import semconv as sc
from flash_otel.diagnosis.case import ReadVerdict
from flash_otel.diagnosis.deployments import is_of_provisioning, recency_key
from flash_otel.diagnosis.evidence import LACKS_ALL, LACKS_SOME, OTHER_URLS
from flash_otel.diagnosis.matching import asks_for_deployed
from flash_otel.diagnosis.order import CERTAIN, LIKELY, follows

if TYPE_CHECKING:
    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Deployment, RuntimeFetch

# What became of the upload.
RETURNED: Final = "returned"
LOST: Final = "lost"  # its answer, or its end: it may have taken effect
NEVER: Final = "never"
OPEN: Final = "open"  # the deployment still runs
UNSEEN: Final = "unseen"

FINE: Final = ReadVerdict()
_NO_BUILD: Final = "the environment has no active build"


def read_verdicts(case: Case) -> tuple[tuple[RuntimeFetch, ReadVerdict], ...]:
    """Judge each read of a case, in their order."""
    own = frozenset(read.origin for read in case.own_answers)
    return tuple(
        (read, _judge_manifest(case, read) if read.origin in own else _judge_build(case, read))
        for read in case.reads
    )


# --- answers with the deployment's own build: the manifest ----------------------------------------


def upload_state(case: Case) -> str:
    """Return what became of the deployment's manifest upload."""
    upload = case.deployment.upload
    if upload is not None and upload.returned:
        return RETURNED
    if upload is not None and upload.outcome == sc.FAILED:
        return NEVER
    if upload is not None and (case.has_ended or case.deployment.by_lines):
        return LOST
    if case.deployment.root is None:  # an upload may have happened without being recorded
        return UNSEEN
    if not case.has_ended:
        return OPEN
    # A deployment cannot return without an upload: if none is recorded, it was not traced.
    untraced = case.deployment.outcome == sc.RETURNED or _may_be_of_upload(case)
    return UNSEEN if untraced else NEVER


def _may_be_of_upload(case: Case) -> bool:
    """Return True if the deployment may have failed in an upload whose span was lost."""
    step = case.failed_step
    if step is None or step.failure is None or step.name not in (sc.PROVISION, sc.DEPLOY):
        return False
    is_own = step.failure.kind == failures.OTHER or step.is_interrupted
    return not is_own and not is_of_provisioning(step)


def persisted_count(case: Case) -> int | None:
    """Return how many of the sent endpoints the server reported as stored.

    None if it reported nothing, if nothing was sent, and if a read holds the whole write.
    """
    upload = case.deployment.upload
    if upload is None or not upload.endpoints.count or case.is_whole_proven:
        return None
    return upload.persisted_count


def _judge_manifest(case: Case, read: RuntimeFetch) -> ReadVerdict:
    compared = case.comparison(read)
    if compared == LACKS_ALL:
        return _judge_without(case, read)
    if compared == LACKS_SOME:
        return _judge_partial(case, read)
    if compared == OTHER_URLS and not case.is_whole_proven and not case.is_rewritten:
        return ReadVerdict((sc.ENDPOINTS_DIFFER,), "the names are those of the write, the URLs not")
    return FINE


def _judge_partial(case: Case, read: RuntimeFetch) -> ReadVerdict:
    expected = case.expected_of(read)
    lost = expected.missing_in(read.endpoints)
    names = f"; {', '.join(lost[:5])} missing" if lost else ""
    reason = f"{read.held} of {expected.count} endpoints{names}"
    if case.is_whole_proven:
        return ReadVerdict((sc.READ_INCOMPLETE,), f"{reason}, while another read holds them all")
    if case.is_rewritten:
        return FINE
    return ReadVerdict((sc.ENDPOINTS_MISSING,), reason)


def _judge_without(case: Case, read: RuntimeFetch) -> ReadVerdict:
    if persisted_count(case) == 0:
        reason = "no endpoints, as the server had answered"
        return ReadVerdict((sc.MANIFEST_NOT_PERSISTED,), reason)
    if case.phase(read) == sc.PHASE_WRITE:
        return _judge_stripped(case, read)
    if read.manifest_state == sc.MANIFEST_NULL:
        return _judge_null(case)
    return _BY_UPLOAD[upload_state(case)](case, read)


def _judge_stripped(case: Case, read: RuntimeFetch) -> ReadVerdict:
    written = read.active.endpoint_count
    if written is None:
        written = case.expected.count
    number = "unknown" if written is None else written
    reason = f"the manifest of the write ({number} endpoints) without any endpoint"
    if case.is_whole_proven:
        return ReadVerdict((sc.READ_INCOMPLETE,), f"{reason}, while another read holds them all")
    # The server's answer to the upload may merely echo the request, so that even an answer with
    # all endpoints cannot rule out that they were never stored.
    return ReadVerdict((sc.READ_INCOMPLETE, sc.MANIFEST_NOT_PERSISTED), reason)


def _judge_null(case: Case) -> ReadVerdict:
    reason = "the active build has no manifest at all"
    if case.is_write_seen:
        return ReadVerdict((sc.READ_INCOMPLETE,), f"{reason}, though it was stored", LIKELY)
    if upload_state(case) == NEVER:
        return ReadVerdict((sc.MANIFEST_NEVER_WRITTEN,), reason)
    return ReadVerdict((sc.MANIFEST_NOT_PERSISTED, sc.READ_INCOMPLETE), reason)


def _judge_returned(case: Case, read: RuntimeFetch) -> ReadVerdict:
    if case.is_write_seen:
        return _judge_beside_write(case, read)
    before, after = _sides(case, read)
    if before:
        return ReadVerdict((sc.READ_BEFORE_WRITE,), "read before the manifest was written", before)
    carried = case.phase(read) == sc.PHASE_BUILD
    if after and carried:
        reason = "read after the upload had returned, and still the manifest of the build"
        return ReadVerdict((sc.MANIFEST_NOT_PERSISTED,), reason, after)
    if _is_in_own_log(case, read):
        reason = "missing in the deployment's own log, after the upload had succeeded"
        return ReadVerdict((sc.MANIFEST_NOT_PERSISTED,), reason, LIKELY)
    stripped = () if carried else (sc.READ_INCOMPLETE,)
    if after:
        reason = "no endpoints after the upload had returned"
        return ReadVerdict((sc.MANIFEST_NOT_PERSISTED, *stripped), reason)
    reason = "no endpoints, either before or after the upload"
    return ReadVerdict((sc.MANIFEST_NOT_PERSISTED, sc.READ_BEFORE_WRITE, *stripped), reason)


def _judge_beside_write(case: Case, read: RuntimeFetch) -> ReadVerdict:
    """Judge an empty answer when another answer shows that the write took effect."""
    if case.phase(read) == sc.PHASE_BUILD:
        reason = "the manifest as it was before the write, which other answers show"
        return ReadVerdict((sc.READ_BEFORE_WRITE,), reason)
    before, after = _sides(case, read)
    if before:
        return ReadVerdict((sc.READ_BEFORE_WRITE,), "read before the manifest was written", before)
    if after:
        reason = "no endpoints, though other answers show the write"
        return ReadVerdict((sc.READ_INCOMPLETE,), reason, after)
    reason = "no endpoints, while other answers show the write"
    return ReadVerdict((sc.READ_BEFORE_WRITE, sc.READ_INCOMPLETE), reason)


def _judge_lost(case: Case, read: RuntimeFetch) -> ReadVerdict:
    if case.is_write_seen:
        return _judge_beside_write(case, read)
    before, after = _sides(case, read)
    if after and case.phase(read) == sc.PHASE_BUILD:
        reason = "read after the upload had ended without an answer: it took no effect"
        return ReadVerdict((sc.MANIFEST_NEVER_WRITTEN,), reason, after)
    reason = "no endpoints, and the upload's own answer is unknown"
    if after:
        return ReadVerdict((sc.MANIFEST_NEVER_WRITTEN, sc.READ_INCOMPLETE), reason)
    codes = (sc.READ_BEFORE_WRITE, sc.MANIFEST_NEVER_WRITTEN)
    return ReadVerdict(codes if before else codes[::-1], reason)


def _judge_never(case: Case, read: RuntimeFetch) -> ReadVerdict:
    if case.is_write_seen:
        return _judge_beside_write(case, read)
    return ReadVerdict((sc.MANIFEST_NEVER_WRITTEN,), "no endpoints: the manifest was never written")


def _judge_open(case: Case, read: RuntimeFetch) -> ReadVerdict:
    if case.is_write_seen:
        return _judge_beside_write(case, read)
    reason = "no endpoints, and the deployment has not ended"
    return ReadVerdict((sc.READ_BEFORE_WRITE, sc.MANIFEST_NEVER_WRITTEN), reason)


def _judge_unseen(case: Case, read: RuntimeFetch) -> ReadVerdict:
    if case.is_write_seen:
        return _judge_beside_write(case, read)
    reason = "no endpoints, and no record of the manifest upload"
    codes = (sc.MANIFEST_NEVER_WRITTEN, sc.MANIFEST_NOT_PERSISTED, sc.READ_BEFORE_WRITE)
    return ReadVerdict((*codes, sc.READ_INCOMPLETE), reason)


_BY_UPLOAD: Final = {
    RETURNED: _judge_returned,
    LOST: _judge_lost,
    NEVER: _judge_never,
    OPEN: _judge_open,
    UNSEEN: _judge_unseen,
}


def _sides(case: Case, read: RuntimeFetch) -> tuple[str, str]:
    """Return the confidence that a read was before, and that it was after, the upload's end."""
    upload = case.deployment.upload
    if upload is None:
        return "", ""
    offset = case.offset(read)
    after = offset.after(read.asked_ns, upload.end_ns)
    return ("" if after else offset.before(read.end_ns, upload.end_ns)), after


def _is_in_own_log(case: Case, read: RuntimeFetch) -> bool:
    """Return True if the deployment's own log holds the answer, below the lines of the upload."""
    upload = case.deployment.upload
    return bool(upload and read.bare and read.by_lines and follows(read, upload))


# --- other answers: the active build --------------------------------------------------------------


def _judge_build(case: Case, read: RuntimeFetch) -> ReadVerdict:
    if not case.deployment.activated or not asks_for_deployed(case.deployment, read):
        return FINE
    if case.own_answers or read.environment_state == sc.ENVIRONMENT_NULL:
        return FINE  # some answer shows the build, so the activation took effect
    if read.environment_state == sc.ENVIRONMENT_NO_ACTIVE_BUILD:
        return _judge_inactive(case, read)
    if read.build_id is None:
        return _judge_unanswered(read)
    return FINE if read.build_id == case.deployment.build_id else _judge_other(case, read)


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
    reason = f"the active build is {read.build_id}"
    after = _after_activation(case, read)
    known = owner(case, read)
    if known is not None:
        is_older = recency_key(known) < recency_key(case.deployment)
        return _judge_older(read, f"{reason}, of an older deployment", after) if is_older else FINE
    if read.by_lines and (after or read.start_ns is None):
        # Lines name no deployment. Logs that are given together are read as the guide reads them.
        return ReadVerdict((sc.STALE_BUILD,), f"{reason}, not the deployed one", LIKELY)
    if after == CERTAIN and _was_active_before(case, read.build_id):
        return ReadVerdict((sc.STALE_BUILD,), f"{reason}, as before the deployment", LIKELY)
    unknown = f"{reason}, which no recorded deployment made, perhaps a later one"
    return ReadVerdict((sc.STALE_BUILD, sc.INCONCLUSIVE), unknown)


def _was_active_before(case: Case, build_id: str | None) -> bool:
    """Return True if a read that ended before the activation already saw this build."""
    activation = case.deployment.activation
    started_ns = activation.start_ns if activation else None
    return any(
        case.offset(read).before(read.end_ns, started_ns)
        for read in case.evidence.reads
        if read.build_id == build_id and read.environment_id == case.deployment.environment_id
    )


def _judge_older(read: RuntimeFetch, reason: str, after: str) -> ReadVerdict:
    """Judge an answer with an older deployment's build: it may precede the activation."""
    if after == LIKELY or (read.by_lines and read.start_ns is None):
        # Workers keep running while a build is deployed, so that an assumed skew proves nothing.
        return ReadVerdict((sc.STALE_BUILD, sc.INCONCLUSIVE), reason)
    return ReadVerdict((sc.STALE_BUILD,), reason, after) if after else FINE


def owner(case: Case, read: RuntimeFetch) -> Deployment | None:
    """Return the recorded deployment whose build an answer names, unless it is the judged one."""
    named = [*case.index.of_build(read.build_id), *case.index.of_code(read.active.deployment_id)]
    return next((known for known in named if known.id != case.deployment.id), None)


def _after_activation(case: Case, read: RuntimeFetch) -> str:
    """Return the confidence that a read came after the activation: by its code, or by clocks."""
    if read.code_deployment_id in case.deployment.aliases:
        return CERTAIN
    activation = case.deployment.activation
    return case.offset(read).after(read.asked_ns, activation.end_ns if activation else None)
