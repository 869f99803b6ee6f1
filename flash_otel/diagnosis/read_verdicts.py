"""What each read proves about the deployment: a fault, or the faults that it allows.

A lost write and a read in the open window leave the same answer: the manifest that the finalize
call stored, without endpoints. They are distinguished by, in this order, the server's own answer to
the upload, the phase of the manifest's carrier, another read that holds the write, and clocks. A
null manifest is never a race, because the finalize call stores one before the activation.

Candidates in the same place with the same remedy make one verdict: the likeliest code, with the
others beside it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.build_verdicts import judge_build
from flash_otel.diagnosis.case import (
    FINE,
    LOST,
    NEVER,
    NOT_DUE,
    OPEN,
    RETURNED,
    UNSEEN,
    ReadVerdict,
    delay_s,
    persisted_count,
    upload_state,
)
from flash_otel.diagnosis.evidence import LACKS_ALL, LACKS_SOME, OTHER_URLS, UNKNOWN
from flash_otel.diagnosis.findings import count, renaming, several
from flash_otel.diagnosis.order import CERTAIN, LIKELY, NO, follows

if TYPE_CHECKING:
    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import RuntimeFetch

    Judged = list[tuple[RuntimeFetch, ReadVerdict]]


def read_verdicts(case: Case) -> tuple[tuple[RuntimeFetch, ReadVerdict], ...]:
    """Judge each read of a case, in their order."""
    own = frozenset(read.origin for read in case.own_answers)
    judged = [
        (read, _judge_manifest(case, read) if read.origin in own else judge_build(case, read))
        for read in case.reads
    ]
    lacking: dict[str, list[int]] = defaultdict(list)
    for position, (read, verdict) in enumerate(judged):
        if verdict.codes and read.origin in own and case.comparison(read) == LACKS_ALL:
            lacking[read.process.instance].append(position)
    for positions in lacking.values():
        _agree(judged, positions)
    return tuple(judged)


def _agree(judged: Judged, positions: list[int]) -> None:
    """Narrow the verdicts on one worker's reads, which lack the same, to what all of them allow."""
    verdicts = [judged[position][1] for position in positions]
    allowed = set.intersection(*({*verdict.codes, *verdict.others} for verdict in verdicts))
    if not allowed:
        return
    for position in positions:
        read, verdict = judged[position]
        judged[position] = (read, _narrowed(verdict, allowed, verdicts))


def _narrowed(verdict: ReadVerdict, allowed: set[str], verdicts: list[ReadVerdict]) -> ReadVerdict:
    codes = tuple(code for code in (*verdict.codes, *verdict.others) if code in allowed)
    named = [other.codes[0] for other in verdicts if len(other.codes) == 1]
    likeliest = next((code for code in named if code in allowed), codes[0])
    if len(codes) > 1 and likeliest not in named:
        return replace(verdict, codes=codes)
    others = tuple(code for code in codes if code != likeliest)
    is_proved = verdict.codes == (likeliest,)
    confidence = verdict.confidence if is_proved else LIKELY
    return replace(verdict, codes=(likeliest,), others=others, confidence=confidence)


# --- answers with the deployment's own build: the manifest ----------------------------------------


def _judge_manifest(case: Case, read: RuntimeFetch) -> ReadVerdict:
    compared = case.comparison(read)
    if compared == UNKNOWN and read.held:
        return _judge_beside_others(case, read)
    if compared == LACKS_ALL:
        return _judge_without(case, read)
    if compared == LACKS_SOME:
        return _judge_partial(case, read)
    if compared == OTHER_URLS and not case.is_whole_proven and not case.is_rewritten:
        return ReadVerdict((sc.ENDPOINTS_DIFFER,), "the names are those of the write, the URLs not")
    return FINE


def _judge_beside_others(case: Case, read: RuntimeFetch) -> ReadVerdict:
    """Judge a response with endpoints by other responses, if the written endpoints are unknown."""
    most = max(other.held or 0 for other in case.own_answers)
    names = {name for other in case.own_answers for name in other.endpoints.all_names or ()}
    lost = sorted(names - (read.endpoints.all_names or names))
    if case.is_rewritten or (read.held == most and not lost):
        return FINE
    missing = f", without {several(lost)}" if lost else ""
    reason = f"{count(read.held, 'endpoint')}{missing}, while another read holds {most}"
    return ReadVerdict((sc.READ_INCOMPLETE,), reason, LIKELY, (sc.ENDPOINTS_MISSING,))


def _judge_partial(case: Case, read: RuntimeFetch) -> ReadVerdict:
    expected = case.expected_of(read)
    lost = expected.missing_in(read.endpoints)
    names = f"; {', '.join(lost[:5])} missing" if lost else ""
    renamed = renaming(expected, read)
    reason = renamed or f"{read.held} of {expected.count} endpoints{names}"
    if case.is_whole_proven:
        return ReadVerdict((sc.READ_INCOMPLETE,), f"{reason}, while another read holds them all")
    if case.is_rewritten:
        return FINE
    upload = case.deployment.upload
    if renamed and (read.by_lines or (upload is not None and upload.by_lines)):
        # Masking may have replaced a name in the log.
        return ReadVerdict((sc.ENDPOINTS_MISSING, sc.INCONCLUSIVE), renamed)
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
    codes = (sc.READ_INCOMPLETE, sc.MANIFEST_NOT_PERSISTED)
    if persisted_count(case) != case.expected.count:
        return ReadVerdict(codes, reason)
    # The server's answer to the upload may merely echo the request, so that endpoints that it held
    # may never have been stored. But the carrier of the same write was stored, and read.
    return ReadVerdict(codes[:1], reason, LIKELY, codes[1:])


def _judge_null(case: Case) -> ReadVerdict:
    reason = "the active build has no manifest at all"
    if case.is_write_seen:
        return ReadVerdict((sc.READ_INCOMPLETE,), f"{reason}, though it was stored", LIKELY)
    state = upload_state(case)
    if state == NEVER:
        return ReadVerdict((sc.MANIFEST_NEVER_WRITTEN,), reason)
    if state == RETURNED:
        # Even the manifest of the finalize call is gone, in each of the worker's attempts. Another
        # deployment cures a lost manifest, and the worker's next read cures a lost answer.
        others = (sc.READ_INCOMPLETE,)
        return ReadVerdict((sc.MANIFEST_NOT_PERSISTED,), reason, LIKELY, others)
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
    if after:
        # No carrier shows which manifest this is: the finalize call's, or a part of the write.
        reason = "no endpoints after the upload had returned"
        others = (sc.READ_INCOMPLETE,)
        return ReadVerdict((sc.MANIFEST_NOT_PERSISTED,), reason, LIKELY, others)
    stripped = () if carried else (sc.READ_INCOMPLETE,)
    reason = "no endpoints, either before or after the upload"
    return ReadVerdict((sc.MANIFEST_NOT_PERSISTED, sc.READ_BEFORE_WRITE, *stripped), reason)


def _judge_beside_write(case: Case, read: RuntimeFetch) -> ReadVerdict:
    """Judge an empty answer when another answer shows that the write took effect."""
    before, after = _sides(case, read)
    if upload_state(case) != RETURNED:
        after = NO  # a write whose answer was lost may have taken effect after its end
    if after == CERTAIN:
        reason = f"read {_delay(case, read)}, without the endpoints that other answers hold"
        return ReadVerdict((sc.READ_INCOMPLETE,), reason)
    if case.phase(read) == sc.PHASE_BUILD:
        reason = "the manifest as it was before the write, which other answers show"
        # Clocks that differ by no more than assumed would make this the answer of a stale replica.
        doubt = (LIKELY, (sc.READ_INCOMPLETE,)) if after else (CERTAIN, ())
        return ReadVerdict((sc.READ_BEFORE_WRITE,), reason, *doubt)
    if before:
        return ReadVerdict((sc.READ_BEFORE_WRITE,), "read before the manifest was written", before)
    if after:
        reason = "no endpoints, though other answers show the write"
        return ReadVerdict((sc.READ_INCOMPLETE,), reason, after)
    codes = (sc.READ_BEFORE_WRITE, sc.READ_INCOMPLETE)
    if _is_in_window(case, read):
        reason = "read between activation and write; other answers show the write"
        return ReadVerdict(codes[:1], reason, LIKELY, codes[1:])
    return ReadVerdict(codes, "no endpoints, while other answers show the write")


def _delay(case: Case, read: RuntimeFetch) -> str:
    """Return how long after the upload's end a read began, in words."""
    seconds = delay_s(case, read)
    return "after the upload had ended" if seconds is None else f"{seconds:.1f} s after the upload"


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
    NOT_DUE: _judge_unseen,
}


def _sides(case: Case, read: RuntimeFetch) -> tuple[str, str]:
    """Return the confidence that a read was before, and that it was after, the upload's end."""
    upload = case.deployment.upload
    if upload is None:
        return "", ""
    offset = case.offset(read)
    after = offset.after(read.asked_ns, upload.end_ns)
    return ("" if after else offset.before(read.end_ns, upload.end_ns)), after


def _is_in_window(case: Case, read: RuntimeFetch) -> bool:
    """Return True if a read lies between activation and write, by times that may be compared."""
    activation, upload = case.deployment.activation, case.deployment.upload
    begin_ns = activation.end_ns if activation else None
    end_ns = upload.end_ns if upload else None
    times = (begin_ns, read.start_ns, read.end_ns, end_ns)
    known = [moment for moment in times if moment is not None]
    are_comparable = len(known) == len(times) and not case.offset(read).is_unknown
    return are_comparable and known == sorted(known)


def _is_in_own_log(case: Case, read: RuntimeFetch) -> bool:
    """Return True if the deployment's own log holds the answer, below the lines of the upload."""
    upload = case.deployment.upload
    return bool(upload and read.bare and read.by_lines and follows(read, upload))
