"""What a single read proves about the deployment's write, or between which faults it cannot tell.

A drop of the write and a read in the open window leave the same answer: the manifest that the
finalize call stored, without endpoints. What tells them apart is, in this order: the server's own
answer to the upload, the phase of the manifest's carrier, another read that holds the write, and
clocks. A null manifest is no race: the finalize call has stored one before the activation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis import failures, manifest_diff
from flash_otel.diagnosis.order import CERTAIN, LIKELY, follows
from flash_otel.diagnosis.steps import is_interrupted, is_of_provisioning

if TYPE_CHECKING:
    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import RuntimeFetch

# What became of the upload.
RETURNED: Final = "returned"
LOST: Final = "lost"  # its answer, or its end: it may have taken effect
NEVER: Final = "never"
OPEN: Final = "open"  # the deployment still runs
UNSEEN: Final = "unseen"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The codes that a read allows: one proves it, several cannot be told apart, none is fine.

    Attributes:
        codes: Codes of faults.
        reason: What the read says, in words.
        confidence: How sure a single code is.
    """

    codes: tuple[str, ...] = ()
    reason: str = ""
    confidence: str = CERTAIN


FINE: Final = Judgement()


def upload_state(case: Case) -> str:
    """Tell what became of the deployment's manifest upload."""
    upload = case.deployment.upload
    if upload is not None and upload.returned:
        return RETURNED
    if upload is not None and upload.outcome == sc.FAILED:
        return NEVER
    if upload is not None and (case.ended or case.deployment.by_lines):
        return LOST
    if case.deployment.root is None:  # what is not recorded may have happened all the same
        return UNSEEN
    if not case.ended:
        return OPEN
    # A deployment that returned without an upload is one whose upload was not traced.
    lost = case.deployment.outcome == sc.RETURNED or _may_be_of_upload(case)
    return UNSEEN if lost else NEVER


def _may_be_of_upload(case: Case) -> bool:
    """Tell whether the cause of the failure may have been an upload whose span was lost."""
    step = case.culprit
    if step is None or step.failure is None or step.name not in (sc.PROVISION, sc.DEPLOY):
        return False
    is_own = step.failure.kind == failures.OTHER or is_interrupted(step)
    return not is_own and not is_of_provisioning(step)


def judge(case: Case, read: RuntimeFetch) -> Judgement:
    """Judge an answer with the deployment's own build."""
    lack = case.lack(read)
    if lack == manifest_diff.LACKS_ALL:
        return _judge_without(case, read)
    if lack == manifest_diff.LACKS_SOME:
        return _judge_partial(case, read)
    if lack == manifest_diff.OTHER_URLS and not case.is_whole_proven and not case.is_rewritten:
        return Judgement((sc.ENDPOINTS_DIFFER,), "the names are those of the write, the URLs not")
    return FINE


def _judge_partial(case: Case, read: RuntimeFetch) -> Judgement:
    expected = case.expected_of(read)
    lost = manifest_diff.lost_names(expected, read.endpoints)
    names = f"; {', '.join(lost[:5])} missing" if lost else ""
    reason = f"{read.held} of {expected.count} endpoints{names}"
    if case.is_whole_proven:
        return Judgement((sc.READ_INCOMPLETE,), f"{reason}, while another read holds them all")
    if case.is_rewritten:
        return FINE
    return Judgement((sc.ENDPOINTS_MISSING,), reason)


def _judge_without(case: Case, read: RuntimeFetch) -> Judgement:
    if told_persisted(case) == 0:
        return Judgement((sc.MANIFEST_NOT_PERSISTED,), "no endpoints, as the server had answered")
    if case.phase(read) == sc.PHASE_WRITE:
        return _judge_stripped(case, read)
    if read.manifest_state == sc.MANIFEST_NULL:
        return _judge_null(case)
    return _JUDGES[upload_state(case)](case, read)


def _judge_stripped(case: Case, read: RuntimeFetch) -> Judgement:
    reason = f"the manifest of the write ({_written(case, read)} endpoints) without any endpoint"
    if case.is_whole_proven:
        return Judgement((sc.READ_INCOMPLETE,), f"{reason}, while another read holds them all")
    # An answer that holds them all may be an echo: it does not tell a drop from a stripped read.
    return Judgement((sc.READ_INCOMPLETE, sc.MANIFEST_NOT_PERSISTED), reason)


def _judge_null(case: Case) -> Judgement:
    reason = "the active build has no manifest at all"
    if case.is_write_seen:
        return Judgement((sc.READ_INCOMPLETE,), f"{reason}, though it was stored", LIKELY)
    if upload_state(case) == NEVER:
        return Judgement((sc.MANIFEST_NEVER_WRITTEN,), reason)
    return Judgement((sc.MANIFEST_NOT_PERSISTED, sc.READ_INCOMPLETE), reason)


def _judge_returned(case: Case, read: RuntimeFetch) -> Judgement:
    if case.is_write_seen:
        return _judge_beside_write(case, read)
    before, after = _sides(case, read)
    if before:
        return Judgement((sc.READ_BEFORE_WRITE,), "read before the manifest was written", before)
    carried = case.phase(read) == sc.PHASE_BUILD
    if after and carried:
        reason = "read after the upload had returned, and still the manifest of the build"
        return Judgement((sc.MANIFEST_NOT_PERSISTED,), reason, after)
    if _in_own_log(case, read):
        reason = "missing in the deployment's own log, after the upload had succeeded"
        return Judgement((sc.MANIFEST_NOT_PERSISTED,), reason, LIKELY)
    stripped = () if carried else (sc.READ_INCOMPLETE,)
    if after:
        reason = "no endpoints after the upload had returned"
        return Judgement((sc.MANIFEST_NOT_PERSISTED, *stripped), reason)
    reason = "no endpoints, and nothing tells whether before or after the upload"
    return Judgement((sc.MANIFEST_NOT_PERSISTED, sc.READ_BEFORE_WRITE, *stripped), reason)


def _judge_beside_write(case: Case, read: RuntimeFetch) -> Judgement:
    """Judge an empty answer where another one shows that the write took effect."""
    if case.phase(read) == sc.PHASE_BUILD:
        reason = "the manifest as it was before the write, which other answers show"
        return Judgement((sc.READ_BEFORE_WRITE,), reason)
    before, after = _sides(case, read)
    if before:
        return Judgement((sc.READ_BEFORE_WRITE,), "read before the manifest was written", before)
    if after:
        reason = "no endpoints, though other answers show the write"
        return Judgement((sc.READ_INCOMPLETE,), reason, after)
    reason = "no endpoints, while other answers show the write"
    return Judgement((sc.READ_BEFORE_WRITE, sc.READ_INCOMPLETE), reason)


def _judge_lost(case: Case, read: RuntimeFetch) -> Judgement:
    if case.is_write_seen:
        return _judge_beside_write(case, read)
    before, after = _sides(case, read)
    if after and case.phase(read) == sc.PHASE_BUILD:
        reason = "read after the upload had ended without an answer: it took no effect"
        return Judgement((sc.MANIFEST_NEVER_WRITTEN,), reason, after)
    reason = "no endpoints, and the upload's own answer is not known"
    if after:
        return Judgement((sc.MANIFEST_NEVER_WRITTEN, sc.READ_INCOMPLETE), reason)
    codes = (sc.READ_BEFORE_WRITE, sc.MANIFEST_NEVER_WRITTEN)
    return Judgement(codes if before else codes[::-1], reason)


def _judge_never(case: Case, read: RuntimeFetch) -> Judgement:
    if case.is_write_seen:
        return _judge_beside_write(case, read)
    return Judgement((sc.MANIFEST_NEVER_WRITTEN,), "no endpoints: the manifest was never written")


def _judge_open(case: Case, read: RuntimeFetch) -> Judgement:
    if case.is_write_seen:
        return _judge_beside_write(case, read)
    reason = "no endpoints, and the deployment has not ended"
    return Judgement((sc.READ_BEFORE_WRITE, sc.MANIFEST_NEVER_WRITTEN), reason)


def _judge_unseen(case: Case, read: RuntimeFetch) -> Judgement:
    if case.is_write_seen:
        return _judge_beside_write(case, read)
    reason = "no endpoints, and no record of the manifest upload"
    codes = (sc.MANIFEST_NEVER_WRITTEN, sc.MANIFEST_NOT_PERSISTED, sc.READ_BEFORE_WRITE)
    return Judgement((*codes, sc.READ_INCOMPLETE), reason)


_JUDGES: Final = {
    RETURNED: _judge_returned,
    LOST: _judge_lost,
    NEVER: _judge_never,
    OPEN: _judge_open,
    UNSEEN: _judge_unseen,
}


def told_persisted(case: Case) -> int | None:
    """Return how many endpoints the server said it stored of those that were sent.

    None where nothing was said or sent, and where somebody has read the whole write back.
    """
    upload = case.deployment.upload
    if upload is None or not upload.endpoints.count or case.is_whole_proven:
        return None
    return upload.persisted_count


def _written(case: Case, read: RuntimeFetch) -> str:
    count = read.active.endpoint_count
    if count is None:
        count = case.expected.count
    return "unknown" if count is None else str(count)


def _sides(case: Case, read: RuntimeFetch) -> tuple[str, str]:
    """Tell whether a read was surely before, or surely after, the end of the upload."""
    upload = case.deployment.upload
    if upload is None:
        return "", ""
    offset = case.offset(read)
    after = offset.after(read.asked_ns, upload.end_ns)
    return ("" if after else offset.before(read.end_ns, upload.end_ns)), after


def _in_own_log(case: Case, read: RuntimeFetch) -> bool:
    """Tell whether the deployment's own log says it: no worker around, after the upload's lines."""
    upload = case.deployment.upload
    return bool(upload and read.bare and read.by_lines and follows(read, upload))
