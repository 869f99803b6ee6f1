"""What each read of a deployment's own build proves: codes, reason, confidence, and less likely."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from diagnosis.cases import CLI, LIMITS, TWO, S, case_in, place
from diagnosis.cases import DEPLOYED as RETURNING
from diagnosis.cases import UPLOAD as RETURNED

from flash_otel import semconv as sc
from flash_otel.diagnosis.case import ReadVerdict
from flash_otel.diagnosis.evidence import (
    UNFINISHED,
    Activation,
    ActiveManifest,
    EndpointSet,
    Evidence,
    Failure,
    ManifestUpload,
    Origin,
    ProcessIdentity,
    RuntimeFetch,
    Step,
)
from flash_otel.diagnosis.order import CERTAIN, LIKELY
from flash_otel.diagnosis.read_verdicts import _agree

ONE_CLOCK: Final = ProcessIdentity("w-1", host="laptop", worker=True)
OTHER_CLOCK: Final = ProcessIdentity("w-1", host="pod", worker=True)
OTHER_WORKER: Final = ProcessIdentity("w-2", host="rack", worker=True)


LOST: Final = replace(RETURNED, outcome=sc.UNKNOWN)
NEVER: Final = replace(RETURNED, outcome=sc.FAILED)
DEPLOYED: Final = replace(
    RETURNING,
    app_name=None,
    root=Step(name=sc.DEPLOY, process=CLI),
    activation=Activation(process=CLI, start_ns=3 * S, end_ns=3 * S + S // 5),
)
OPEN: Final[dict[str, Any]] = {"upload": None, "outcome": UNFINISHED}
UNSEEN: Final[dict[str, Any]] = {"upload": None, "root": None}
NOT_DUE: Final[dict[str, Any]] = {"upload": None, "process": replace(CLI, flash_version=(2, 0))}

OF_BUILD: Final = ActiveManifest("d-1", sc.PHASE_BUILD)
OF_WRITE: Final = ActiveManifest("d-1", sc.PHASE_WRITE)
OF_ANOTHER: Final = ActiveManifest("d-9", sc.PHASE_BUILD)


def read(begin: float = 8.0, *, process: ProcessIdentity = OTHER_CLOCK, **more: Any) -> Any:
    """Return a read that lasts 0.3 seconds, without endpoints unless they are given."""
    begin_ns = round(begin * S)
    known = {
        "origin": place(7),
        "process": process,
        "environment_id": "e-1",
        "build_id": "b-1",
        "endpoints": EndpointSet(0),
        "start_ns": begin_ns,
        "asked_ns": begin_ns,
        "end_ns": begin_ns + 3 * S // 10,
        **more,
    }
    return RuntimeFetch(**known)


WHOLE: Final = read(70, process=OTHER_WORKER, origin=place(8), endpoints=TWO)
REWRITTEN: Final = ManifestUpload(origin=place(9), build_id="b-1")


def verdicts(
    *reads: RuntimeFetch, uploads: tuple[ManifestUpload, ...] = (), **known: Any
) -> list[ReadVerdict]:
    """Return the verdicts on reads of a deployment with these fields, which still runs."""
    deployment = replace(DEPLOYED, **known)
    limits = replace(LIMITS, is_running=lambda _: True)
    case = case_in(Evidence((deployment,), reads, worker_uploads=uploads), deployment, limits)
    found = [verdict for _, verdict in case.read_verdicts]
    assert len(found) == len(reads)
    return found


FINE: Final = ReadVerdict()
NOT_PERSISTED: Final = sc.MANIFEST_NOT_PERSISTED
NEVER_WRITTEN: Final = sc.MANIFEST_NEVER_WRITTEN
BEFORE_WRITE: Final = sc.READ_BEFORE_WRITE
INCOMPLETE: Final = sc.READ_INCOMPLETE
EITHER: Final = "no endpoints, either before or after the upload"
TOO_EARLY: Final = "read before the manifest was written"
LATE: Final = "no endpoints after the upload had returned"
OF_THE_BUILD: Final = "read after the upload had returned, and still the manifest of the build"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (read(5.6, process=ONE_CLOCK), ReadVerdict((BEFORE_WRITE,), TOO_EARLY)),
        (read(0.6), ReadVerdict((BEFORE_WRITE,), TOO_EARLY, LIKELY)),
        (
            read(6, process=ONE_CLOCK, active=OF_BUILD),
            ReadVerdict((NOT_PERSISTED,), OF_THE_BUILD),
        ),
        (read(12, active=OF_BUILD), ReadVerdict((NOT_PERSISTED,), OF_THE_BUILD, LIKELY)),
        (
            read(6, process=ONE_CLOCK),
            ReadVerdict((NOT_PERSISTED,), LATE, LIKELY, (INCOMPLETE,)),
        ),
        (
            read(12, active=OF_ANOTHER),
            ReadVerdict((NOT_PERSISTED,), LATE, LIKELY, (INCOMPLETE,)),
        ),
        (read(8, active=OF_BUILD), ReadVerdict((NOT_PERSISTED, BEFORE_WRITE), EITHER)),
        (read(8), ReadVerdict((NOT_PERSISTED, BEFORE_WRITE, INCOMPLETE), EITHER)),
    ],
    ids=[
        "before, on one clock",
        "before, beyond the skew",
        "after, on one clock, of the build",
        "after, beyond the skew, of the build",
        "after, on one clock, of nobody",
        "after, beyond the skew, of another deployment",
        "within the skew, of the build",
        "within the skew, of nobody",
    ],
)
def test_an_empty_answer_after_an_upload_that_returned(
    answer: RuntimeFetch, expected: ReadVerdict
) -> None:
    """The carrier shows whose manifest it is, and clocks on which side of the write it was read."""
    assert verdicts(answer) == [expected]


OWN_LOG: Final[dict[str, Any]] = {"start_ns": None, "asked_ns": None, "end_ns": None}


@pytest.mark.parametrize(
    ("origin", "bare", "is_own"),
    [
        (place(3, rebuilt=True), True, True),
        (place(2, rebuilt=True), True, False),
        (place(1, rebuilt=True), True, False),
        (place(3, "b.log", rebuilt=True), True, False),
        (place(3), True, False),
        (place(3, rebuilt=True), False, False),
    ],
)
def test_an_empty_answer_in_the_deployments_own_log(
    origin: Origin, *, bare: bool, is_own: bool
) -> None:
    """Lines without times below those of the upload came after it."""
    upload = replace(RETURNED, origin=place(2, rebuilt=True), start_ns=None, end_ns=None)
    (found,) = verdicts(read(origin=origin, bare=bare, **OWN_LOG), upload=upload)
    reason = "missing in the deployment's own log, after the upload had succeeded"
    own = ReadVerdict((NOT_PERSISTED,), reason, LIKELY)
    open_ = ReadVerdict((NOT_PERSISTED, BEFORE_WRITE, INCOMPLETE), EITHER)
    assert found == (own if is_own else open_)


AS_BEFORE: Final = "the manifest as it was before the write, which other answers show"
THOUGH: Final = "no endpoints, though other answers show the write"
WHILE: Final = "no endpoints, while other answers show the write"
BETWEEN: Final = "read between activation and write; other answers show the write"


@pytest.mark.parametrize(
    ("answer", "known", "expected"),
    [
        (
            read(8, process=ONE_CLOCK),
            {},
            ReadVerdict(
                (INCOMPLETE,),
                "read 2.0 s after the upload, without the endpoints that other answers hold",
            ),
        ),
        (read(8, active=OF_BUILD), {}, ReadVerdict((BEFORE_WRITE,), AS_BEFORE)),
        (
            read(12, active=OF_BUILD),
            {},
            ReadVerdict((BEFORE_WRITE,), AS_BEFORE, LIKELY, (INCOMPLETE,)),
        ),
        (read(5.6, process=ONE_CLOCK), {}, ReadVerdict((BEFORE_WRITE,), TOO_EARLY)),
        (read(0.6), {}, ReadVerdict((BEFORE_WRITE,), TOO_EARLY, LIKELY)),
        (read(12), {}, ReadVerdict((INCOMPLETE,), THOUGH, LIKELY)),
        (read(3.2), {}, ReadVerdict((BEFORE_WRITE,), BETWEEN, LIKELY, (INCOMPLETE,))),
        (read(5.7), {}, ReadVerdict((BEFORE_WRITE,), BETWEEN, LIKELY, (INCOMPLETE,))),
        (read(3.1), {}, ReadVerdict((BEFORE_WRITE, INCOMPLETE), WHILE)),
        (read(5.8), {}, ReadVerdict((BEFORE_WRITE, INCOMPLETE), WHILE)),
        (read(4, end_ns=None), {}, ReadVerdict((BEFORE_WRITE, INCOMPLETE), WHILE)),
        (read(4), {"activation": None}, ReadVerdict((BEFORE_WRITE, INCOMPLETE), WHILE)),
        (read(8), {"upload": LOST}, ReadVerdict((BEFORE_WRITE, INCOMPLETE), WHILE)),
        (
            read(8, process=ONE_CLOCK),
            {"upload": LOST},
            ReadVerdict((BEFORE_WRITE, INCOMPLETE), WHILE),
        ),
        (
            read(12, active=OF_BUILD),
            {"upload": LOST},
            ReadVerdict((BEFORE_WRITE,), AS_BEFORE),
        ),
        (
            read(5.6, process=ONE_CLOCK),
            {"upload": NEVER},
            ReadVerdict((BEFORE_WRITE,), TOO_EARLY),
        ),
        (read(8), {"upload": NEVER}, ReadVerdict((BEFORE_WRITE, INCOMPLETE), WHILE)),
        (read(8), OPEN, ReadVerdict((BEFORE_WRITE, INCOMPLETE), WHILE)),
        (read(8), UNSEEN, ReadVerdict((BEFORE_WRITE, INCOMPLETE), WHILE)),
        (read(8), NOT_DUE, ReadVerdict((BEFORE_WRITE, INCOMPLETE), WHILE)),
    ],
)
def test_an_empty_answer_beside_one_that_shows_the_write(
    answer: RuntimeFetch, known: dict[str, Any], expected: ReadVerdict
) -> None:
    """It was read before the write, or it lacks what is stored; a lost answer has no end."""
    assert verdicts(answer, WHOLE, **known) == [expected, FINE]


def test_a_window_is_known_only_by_clocks_that_may_be_compared() -> None:
    """Times of a log without a zone lie in no window, even if their numbers do."""
    activation = Activation(process=CLI, end_ns=3 * S)
    naive = replace(OTHER_CLOCK, naive=True)
    (found, _) = verdicts(read(4, process=naive), WHOLE, activation=activation)
    assert found == ReadVerdict((BEFORE_WRITE, INCOMPLETE), WHILE)
    (found, _) = verdicts(read(4), WHOLE, activation=activation)
    assert found == ReadVerdict((BEFORE_WRITE,), BETWEEN, LIKELY, (INCOMPLETE,))


def test_what_a_worker_knew_before_measures_its_clock() -> None:
    """By a clock that is measured, a read is certainly late, though not by how much."""
    known = read(2.8, origin=place(6), endpoints=TWO)
    found = verdicts(known, read(6.2))
    reason = "read after the upload had ended, without the endpoints that other answers hold"
    assert found == [FINE, ReadVerdict((INCOMPLETE,), reason)]


UNKNOWN: Final = "no endpoints, and the upload's own answer is unknown"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            read(8, process=ONE_CLOCK, active=OF_BUILD),
            ReadVerdict(
                (NEVER_WRITTEN,),
                "read after the upload had ended without an answer: it took no effect",
            ),
        ),
        (
            read(12, active=OF_BUILD),
            ReadVerdict(
                (NEVER_WRITTEN,),
                "read after the upload had ended without an answer: it took no effect",
                LIKELY,
            ),
        ),
        (read(12), ReadVerdict((NEVER_WRITTEN, INCOMPLETE), UNKNOWN)),
        (read(5.6, process=ONE_CLOCK), ReadVerdict((BEFORE_WRITE, NEVER_WRITTEN), UNKNOWN)),
        (read(8, active=OF_BUILD), ReadVerdict((NEVER_WRITTEN, BEFORE_WRITE), UNKNOWN)),
    ],
)
def test_an_empty_answer_after_an_upload_without_an_answer(
    answer: RuntimeFetch, expected: ReadVerdict
) -> None:
    """The write may have taken effect even after its end."""
    assert verdicts(answer, upload=LOST, outcome=sc.FAILED) == [expected]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (
            {"upload": NEVER},
            ReadVerdict((NEVER_WRITTEN,), "no endpoints: the manifest was never written"),
        ),
        (
            OPEN,
            ReadVerdict(
                (BEFORE_WRITE, NEVER_WRITTEN), "no endpoints, and the deployment has not ended"
            ),
        ),
        (
            UNSEEN,
            ReadVerdict(
                (NEVER_WRITTEN, NOT_PERSISTED, BEFORE_WRITE, INCOMPLETE),
                "no endpoints, and no record of the manifest upload",
            ),
        ),
        (
            NOT_DUE,
            ReadVerdict(
                (NEVER_WRITTEN, NOT_PERSISTED, BEFORE_WRITE, INCOMPLETE),
                "no endpoints, and no record of the manifest upload",
            ),
        ),
    ],
    ids=["never sent", "still running", "not recorded", "not due"],
)
def test_an_empty_answer_without_an_upload(known: dict[str, Any], expected: ReadVerdict) -> None:
    """What is left open depends on what is recorded of the deployment."""
    assert verdicts(read(8, active=OF_BUILD), **known) == [expected]


STRIPPED: Final = "the manifest of the write ({}) without any endpoint"


@pytest.mark.parametrize(
    ("active", "persisted", "expected"),
    [
        (
            OF_WRITE,
            None,
            ReadVerdict((INCOMPLETE, NOT_PERSISTED), STRIPPED.format("2 endpoints")),
        ),
        (
            replace(OF_WRITE, endpoint_count=3),
            None,
            ReadVerdict((INCOMPLETE, NOT_PERSISTED), STRIPPED.format("3 endpoints")),
        ),
        (
            OF_WRITE,
            2,
            ReadVerdict((INCOMPLETE,), STRIPPED.format("2 endpoints"), LIKELY, (NOT_PERSISTED,)),
        ),
        (
            OF_WRITE,
            1,
            ReadVerdict((INCOMPLETE, NOT_PERSISTED), STRIPPED.format("2 endpoints")),
        ),
        (
            OF_WRITE,
            0,
            ReadVerdict((NOT_PERSISTED,), "no endpoints, as the server had answered"),
        ),
        (
            OF_BUILD,
            0,
            ReadVerdict((NOT_PERSISTED,), "no endpoints, as the server had answered"),
        ),
    ],
)
def test_the_written_manifest_without_its_endpoints(
    active: ActiveManifest, persisted: int | None, expected: ReadVerdict
) -> None:
    """The carrier of the write was stored; the server's own answer says whether more was."""
    upload = replace(RETURNED, persisted_count=persisted)
    assert verdicts(read(8, active=active), upload=upload) == [expected]


def test_a_stripped_answer_beside_a_whole_one_or_of_an_unknown_write() -> None:
    """A whole answer shows that the endpoints are stored; an unknown number is called so."""
    reason = f"{STRIPPED.format('2 endpoints')}, while another read holds them all"
    found = verdicts(read(8, active=OF_WRITE), WHOLE)
    assert found == [ReadVerdict((INCOMPLETE,), reason), FINE]
    reason = STRIPPED.format("unknown endpoints")
    (unknown,) = verdicts(read(8, active=OF_WRITE), **UNSEEN)
    # Neither number is known: the server did not contradict the write.
    assert unknown == ReadVerdict((INCOMPLETE,), reason, LIKELY, (NOT_PERSISTED,))


NULL: Final = read(8, endpoints=EndpointSet(), manifest_state=sc.MANIFEST_NULL)
NO_MANIFEST: Final = "the active build has no manifest at all"


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, ReadVerdict((NOT_PERSISTED,), NO_MANIFEST, LIKELY, (INCOMPLETE,))),
        ({"upload": NEVER}, ReadVerdict((NEVER_WRITTEN,), NO_MANIFEST)),
        (
            {"upload": LOST, "outcome": sc.FAILED},
            ReadVerdict((NOT_PERSISTED, INCOMPLETE), NO_MANIFEST),
        ),
        (OPEN, ReadVerdict((NOT_PERSISTED, INCOMPLETE), NO_MANIFEST)),
        (UNSEEN, ReadVerdict((NOT_PERSISTED, INCOMPLETE), NO_MANIFEST)),
    ],
)
def test_a_build_without_a_manifest(known: dict[str, Any], expected: ReadVerdict) -> None:
    """It is never a read before the write: the build stores a manifest before its activation."""
    assert verdicts(NULL, **known) == [expected]
    reason = f"{NO_MANIFEST}, though it was stored"
    assert verdicts(NULL, WHOLE, **known)[0] == ReadVerdict((INCOMPLETE,), reason, LIKELY)


# --- answers that hold some endpoints -------------------------------------------------------------

MISSING: Final = sc.ENDPOINTS_MISSING
MANY: Final = EndpointSet(8, tuple("abcdefgh"))


@pytest.mark.parametrize(
    ("written", "held", "reason"),
    [
        (TWO, EndpointSet(1, ("gpu",)), "1 of 2 endpoints; web missing"),
        (TWO, EndpointSet(1), "1 of 2 endpoints"),
        (TWO, EndpointSet(2, ("cpu", "gpu")), "2 endpoints, but 'cpu' instead of 'web'"),
        (MANY, EndpointSet(2, ("b", "d")), "2 of 8 endpoints; a, c, e, f, g missing"),
        (MANY, EndpointSet(3, ("b", "d", "h")), "3 of 8 endpoints; a, c, e, f, g missing"),
    ],
)
def test_an_answer_without_some_of_the_endpoints(
    written: EndpointSet, held: EndpointSet, reason: str
) -> None:
    """Five of the missing names are told; a whole answer beside it shows that all are stored."""
    answer, upload = read(8, endpoints=held), replace(RETURNED, endpoints=written)
    assert verdicts(answer, upload=upload) == [ReadVerdict((MISSING,), reason)]
    assert verdicts(answer, upload=upload, uploads=(REWRITTEN,)) == [FINE]
    whole = replace(WHOLE, endpoints=written)
    expected = ReadVerdict((INCOMPLETE,), f"{reason}, while another read holds them all")
    assert verdicts(answer, whole, upload=upload) == [expected, FINE]
    found = verdicts(answer, whole, upload=upload, uploads=(REWRITTEN,))
    assert found == [expected, FINE]


@pytest.mark.parametrize(
    ("held", "is_read_in_lines", "is_write_in_lines", "is_open"),
    [
        (EndpointSet(2, ("cpu", "gpu")), False, False, False),
        (EndpointSet(2, ("cpu", "gpu")), True, False, True),
        (EndpointSet(2, ("cpu", "gpu")), False, True, True),
        (EndpointSet(1, ("gpu",)), True, True, False),
    ],
)
def test_another_name_in_a_log_may_be_a_mask(
    held: EndpointSet, *, is_read_in_lines: bool, is_write_in_lines: bool, is_open: bool
) -> None:
    """Lines may have had a name replaced, but not left out."""
    answer = read(8, endpoints=held, origin=place(7, rebuilt=is_read_in_lines))
    upload = replace(RETURNED, origin=place(2, rebuilt=is_write_in_lines))
    (found,) = verdicts(answer, upload=upload)
    assert found.codes == ((MISSING, sc.INCONCLUSIVE) if is_open else (MISSING,))


def test_another_name_of_a_deployment_without_an_upload() -> None:
    """What was provisioned stands for the write; a lone read of spans is no mask."""
    upload = replace(RETURNED, origin=place(2, rebuilt=True))
    answer = read(8, endpoints=EndpointSet(2, ("cpu", "gpu")))
    provisioning: Any = replace(upload, origin=place(1))
    (found,) = verdicts(answer, upload=None, provisioning=provisioning)
    assert found == ReadVerdict((MISSING,), "2 endpoints, but 'cpu' instead of 'web'")


@pytest.mark.parametrize("is_rewritten", [True, False])
@pytest.mark.parametrize("is_beside_whole", [True, False])
def test_an_answer_with_other_urls(*, is_rewritten: bool, is_beside_whole: bool) -> None:
    """It is a fault unless a worker wrote, too, or another answer holds the written URLs."""
    answer = read(8, endpoints=replace(TWO, digest="other"))
    others = (WHOLE,) if is_beside_whole else ()
    found = verdicts(answer, *others, uploads=(REWRITTEN,) if is_rewritten else ())
    reason = "the names are those of the write, the URLs not"
    is_fine = is_rewritten or is_beside_whole
    assert found[0] == (FINE if is_fine else ReadVerdict((sc.ENDPOINTS_DIFFER,), reason))


@pytest.mark.parametrize(
    ("held", "others", "reason"),
    [
        (EndpointSet(1, ("gpu",)), (), None),
        (EndpointSet(1, ("gpu",)), (TWO,), "1 endpoint, without 'web', while another read holds 2"),
        (EndpointSet(1), (TWO,), "1 endpoint, while another read holds 2"),
        (EndpointSet(1), (EndpointSet(2),), "1 endpoint, while another read holds 2"),
        (EndpointSet(1, ("gpu",)), (EndpointSet(2),), "1 endpoint, while another read holds 2"),
        (
            EndpointSet(2, ("gpu", "cpu")),
            (TWO,),
            "2 endpoints, without 'web', while another read holds 2",
        ),
        (TWO, (EndpointSet(1, ("gpu",)),), None),
        (TWO, (TWO,), None),
        (
            EndpointSet(1, ("a",)),
            (MANY,),
            "1 endpoint, without 'b', 'c', 'd', 'e', 'f' and 2 more, while another read holds 8",
        ),
    ],
)
def test_an_answer_beside_others_if_the_write_is_unknown(
    held: EndpointSet, others: tuple[EndpointSet, ...], reason: str | None
) -> None:
    """It is compared with the answers of other workers, and lacks what they hold."""
    reads = [
        replace(WHOLE, origin=place(20 + line), endpoints=endpoints)
        for line, endpoints in enumerate(others)
    ]
    expected = FINE if reason is None else ReadVerdict((INCOMPLETE,), reason, LIKELY, (MISSING,))
    assert verdicts(read(8, endpoints=held), *reads, **UNSEEN)[0] == expected
    found = verdicts(read(8, endpoints=held), *reads, uploads=(REWRITTEN,), **UNSEEN)
    assert found[0] == FINE


def test_an_answer_without_a_manifest_is_not_compared() -> None:
    """Of an answer whose manifest is unknown nothing can be lacking."""
    unknown = read(8, endpoints=EndpointSet())
    assert verdicts(unknown) == [FINE]
    other = replace(WHOLE, endpoints=EndpointSet(1))
    assert verdicts(other, unknown, **UNSEEN) == [FINE, FINE]


def test_answers_with_another_build_are_judged_by_it() -> None:
    """A read that was answered with another build lacks no endpoints of this one."""
    other = read(8, process=OTHER_WORKER, build_id="b-0", origin=place(9))
    assert [verdict.codes[0] for verdict in verdicts(other)] == [sc.STALE_BUILD]


# --- several reads of one worker ------------------------------------------------------------------

A, B, C = sc.MANIFEST_NOT_PERSISTED, sc.READ_BEFORE_WRITE, sc.READ_INCOMPLETE


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # One read leaves one code, of those that another read allows.
        (
            [ReadVerdict((A, B)), ReadVerdict((A,))],
            [ReadVerdict((A,), confidence=LIKELY), ReadVerdict((A,))],
        ),
        (
            [ReadVerdict((A, B)), ReadVerdict((B,), confidence=LIKELY)],
            [ReadVerdict((B,), confidence=LIKELY), ReadVerdict((B,), confidence=LIKELY)],
        ),
        # Less likely codes are allowed, and stay less likely.
        (
            [ReadVerdict((A, C)), ReadVerdict((A,), confidence=LIKELY, others=(C,))],
            [ReadVerdict((A,), confidence=LIKELY, others=(C,))] * 2,
        ),
        (
            [ReadVerdict((A, B, C)), ReadVerdict((B, C))],
            [ReadVerdict((B, C)), ReadVerdict((B, C))],
        ),
        # The only code that both allow is less likely for each of them.
        (
            [
                ReadVerdict((A,), confidence=LIKELY, others=(C,)),
                ReadVerdict((B,), confidence=LIKELY, others=(C,)),
            ],
            [ReadVerdict((C,), confidence=LIKELY)] * 2,
        ),
        # What a read names itself is likelier than what it only allows.
        (
            [
                ReadVerdict((A,), confidence=LIKELY, others=(C,)),
                ReadVerdict((C,), confidence=CERTAIN, others=(A,)),
            ],
            [
                ReadVerdict((A,), confidence=LIKELY, others=(C,)),
                ReadVerdict((A,), confidence=LIKELY, others=(C,)),
            ],
        ),
        # They contradict each other.
        ([ReadVerdict((A,)), ReadVerdict((B,))], [ReadVerdict((A,)), ReadVerdict((B,))]),
        ([ReadVerdict((A, B))], [ReadVerdict((A, B))]),
    ],
)
def test_reads_of_one_worker_agree(given: list[ReadVerdict], expected: list[ReadVerdict]) -> None:
    """Each keeps the codes that all of them allow, unless there is none."""
    others = ReadVerdict((A, B, C))
    judged: Any = [(None, verdict) for verdict in (others, *given)]
    _agree(judged, list(range(1, len(judged))))
    assert [verdict for _, verdict in judged] == [others, *expected]


def test_only_empty_answers_of_the_same_worker_are_compared() -> None:
    """Another worker's answers, and those that hold endpoints, leave a read as it is."""
    open_ = read(8, active=OF_BUILD)
    late = read(12, active=OF_BUILD, origin=place(8))
    sure = ReadVerdict((NOT_PERSISTED,), OF_THE_BUILD)
    either = ReadVerdict((NOT_PERSISTED, BEFORE_WRITE), EITHER)
    assert verdicts(open_, late) == [ReadVerdict((NOT_PERSISTED,), EITHER, LIKELY), sure]
    other = replace(late, process=OTHER_WORKER)
    assert verdicts(open_, other) == [either, replace(sure, confidence=LIKELY)]
    part = read(12, endpoints=EndpointSet(1), origin=place(8))
    found = verdicts(open_, part)
    assert found[1] == ReadVerdict((MISSING,), "1 of 2 endpoints")
    assert found[0].codes == (BEFORE_WRITE,)
    failed = read(12, origin=place(8), build_id=None, failure=Failure("other"))
    assert verdicts(open_, replace(failed, endpoints=EndpointSet()))[0] == either
