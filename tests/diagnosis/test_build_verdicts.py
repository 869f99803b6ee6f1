"""Answers with another build than the deployed one: stale, of a later deployment, or in doubt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.cases import CLI, LIMITS, S, case_in

from flash_otel import semconv as sc
from flash_otel.diagnosis.build_verdicts import (
    is_later,
    is_replaced,
    is_same_source,
    judge_build,
    owner,
)
from flash_otel.diagnosis.case import ReadVerdict
from flash_otel.diagnosis.evidence import (
    Activation,
    ActiveManifest,
    Deployment,
    EndpointSet,
    Evidence,
    ManifestUpload,
    Origin,
    ProcessIdentity,
    RuntimeFetch,
    Step,
)
from flash_otel.diagnosis.order import LIKELY

if TYPE_CHECKING:
    from flash_otel.diagnosis.case import Case

ONE_CLOCK: Final = ProcessIdentity("w-1", host="laptop", worker=True)
OTHER_CLOCK: Final = ProcessIdentity("w-1", host="pod", worker=True)
ACTIVATION: Final = Activation(process=CLI, build_id="b-1", start_ns=1000 * S, end_ns=1001 * S)
UPLOAD: Final = ManifestUpload(process=CLI, end_ns=1003 * S, generated_at_ns=990 * S)
DEPLOYED: Final = Deployment(
    id="d-1",
    aliases=frozenset({"d-1"}),
    build_id="b-1",
    environment_id="e-1",
    environment_name="production",
    activation=ACTIVATION,
    upload=UPLOAD,
    process=CLI,
    start_ns=990 * S,
    end_ns=1004 * S,
    outcome=sc.RETURNED,
)
OLDER: Final = replace(
    DEPLOYED,
    id="d-0",
    aliases=frozenset({"d-0"}),
    build_id="b-0",
    activation=Activation(start_ns=500 * S, end_ns=501 * S),
    start_ns=490 * S,
)
LATER: Final = replace(
    OLDER,
    id="d-2",
    aliases=frozenset({"d-2"}),
    build_id="b-2",
    activation=Activation(start_ns=5000 * S, end_ns=5001 * S),
    start_ns=4990 * S,
)
FINE: Final = ReadVerdict()
STALE: Final = sc.STALE_BUILD
DOUBT: Final = (STALE, sc.INCONCLUSIVE)


def answer(after_s: float = 10.0, **more: Any) -> RuntimeFetch:
    """Return an answer with build b-0, so many seconds after the activation, on one clock."""
    begin_ns = 1001 * S + round(after_s * S)
    known = {
        "origin": Origin(file="w.log", line=7),
        "process": ONE_CLOCK,
        "environment_id": "e-1",
        "build_id": "b-0",
        "endpoints": EndpointSet(2),
        "start_ns": begin_ns,
        "asked_ns": begin_ns,
        "end_ns": begin_ns + S // 10,
        **more,
    }
    return RuntimeFetch(**known)


def case(
    read: RuntimeFetch, *others: Deployment, reads: tuple[RuntimeFetch, ...] = (), **known: Any
) -> Case:
    """Return the case of a deployment with these fields, beside other deployments."""
    deployment = replace(DEPLOYED, **known)
    made = case_in(Evidence((*others, deployment), (*reads, read)), deployment, LIMITS)
    return replace(made, reads=(read,))


def judged(read: RuntimeFetch, *others: Deployment, **known: Any) -> ReadVerdict:
    """Return the verdict on a read."""
    return judge_build(case(read, *others, **known), read)


def activation(**known: Any) -> dict[str, Any]:
    """Return the deployment's activation, with other fields."""
    return {"activation": replace(ACTIVATION, **known)}


REPLACED: Final = activation(previous_build_id="b-0")


@pytest.mark.parametrize(
    ("known", "read"),
    [
        (activation(outcome=sc.FAILED), {}),
        ({"activation": None}, {}),
        ({}, {"environment_id": "e-2"}),
        ({}, {"environment_state": sc.ENVIRONMENT_NULL}),
        ({}, {"environment_state": sc.ENVIRONMENT_NULL, "build_id": None}),
        ({"build_id": None}, {}),
        ({}, {"build_id": "b-1"}),
        ({}, {"build_id": None}),
    ],
)
def test_what_shows_no_other_build(known: dict[str, Any], read: dict[str, Any]) -> None:
    """An answer about another environment, about none, or of no known build accuses nobody."""
    assert judged(answer(**read), **known) == FINE


def test_any_answer_with_the_deployed_build_shows_the_activation() -> None:
    """It took effect, so that another build has another reason."""
    made = replace(case(answer(), **REPLACED), own_answers=(answer(build_id="b-1"),))
    assert judge_build(made, answer()) == FINE
    assert judge_build(replace(made, own_answers=()), answer()).codes == (STALE,)


NONE_ACTIVE: Final = {"build_id": None, "environment_state": sc.ENVIRONMENT_NO_ACTIVE_BUILD}
NO_BUILD: Final = "the environment has no active build"
IN_LINES: Final[dict[str, Any]] = {
    "origin": Origin(file="w.log", line=7, rebuilt=True),
    "in_log": True,
}


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ({}, ReadVerdict((STALE,), NO_BUILD)),
        ({"process": OTHER_CLOCK}, ReadVerdict((STALE,), NO_BUILD, LIKELY)),
        (
            {"process": OTHER_CLOCK, "asked_ns": 1002 * S},
            ReadVerdict(DOUBT, f"{NO_BUILD}, perhaps not yet"),
        ),
        (
            {"process": OTHER_CLOCK, "asked_ns": 1002 * S, "code_deployment_id": "d-1"},
            ReadVerdict((STALE,), NO_BUILD),
        ),
        (IN_LINES, ReadVerdict((sc.ENVIRONMENT_UNKNOWN, STALE), "no active build is named")),
    ],
)
def test_an_environment_without_an_active_build(
    read: dict[str, Any], expected: ReadVerdict
) -> None:
    """After the activation there is one; the lines of an unknown environment look alike."""
    assert judged(answer(**{**NONE_ACTIVE, **read})) == expected


@pytest.mark.parametrize(
    ("read", "is_asked"),
    [
        ({}, True),
        ({"origin": Origin(file="w.log", line=7)}, False),
        ({"endpoints": EndpointSet(0)}, False),
        ({"environment_id": None}, False),
    ],
)
def test_a_question_in_a_log_without_an_answer(read: dict[str, Any], *, is_asked: bool) -> None:
    """Lines that ask and name no answer leave open why there was none."""
    made = answer(**{**IN_LINES, "build_id": None, "endpoints": EndpointSet(), **read})
    codes = (sc.STATE_MANAGER_UNAVAILABLE, sc.UNAUTHORIZED, sc.ENVIRONMENT_UNKNOWN)
    reason = "the State Manager was asked, and no answer was logged"
    found = judge_build(case(made), made)
    assert found == (ReadVerdict(codes, reason) if is_asked else FINE)


IS_ACTIVE: Final = "the active build is b-0"
AS_BEFORE: Final = f"{IS_ACTIVE}, as before the activation"
OF_OLDER: Final = f"{IS_ACTIVE}, of an older deployment"
OF_ANOTHER: Final = f"{IS_ACTIVE}, of another deployment, and no time shows which was the last"
GENERATED: Final = f"{IS_ACTIVE}, generated before the deployed one"
ROLLED_BACK: Final = ", less likely put back by a later deployment that is not recorded"
OF_NOBODY: Final = f"{IS_ACTIVE}, which no recorded deployment made, perhaps a later one"


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (answer(0), ReadVerdict((STALE,), AS_BEFORE)),
        (answer(300), ReadVerdict((STALE,), AS_BEFORE)),
        (
            answer(300, asked_ns=1301 * S + 1),
            ReadVerdict((STALE,), AS_BEFORE + ROLLED_BACK, LIKELY),
        ),
        (answer(-1), FINE),
        (answer(5.1, process=OTHER_CLOCK), ReadVerdict(DOUBT, AS_BEFORE)),
        (
            answer(5.1, process=OTHER_CLOCK, in_log=True),
            ReadVerdict((STALE,), AS_BEFORE, LIKELY),
        ),
        (answer(5, process=OTHER_CLOCK), FINE),
        (answer(5, process=OTHER_CLOCK, in_log=True), FINE),
        (
            answer(asked_ns=None, process=OTHER_CLOCK, in_log=True),
            ReadVerdict((STALE,), AS_BEFORE, LIKELY),
        ),
        (answer(asked_ns=None, process=OTHER_CLOCK), FINE),
        # The deployed code itself got the answer.
        (
            answer(1, process=OTHER_CLOCK, code_deployment_id="d-1"),
            ReadVerdict((STALE,), AS_BEFORE),
        ),
        (
            answer(295, process=OTHER_CLOCK, code_deployment_id="d-1"),
            ReadVerdict((STALE,), AS_BEFORE),
        ),
        (
            answer(295, asked_ns=1296 * S + 1, process=OTHER_CLOCK, code_deployment_id="d-1"),
            ReadVerdict((STALE,), AS_BEFORE + ROLLED_BACK, LIKELY),
        ),
        (
            answer(asked_ns=None, process=OTHER_CLOCK, code_deployment_id="d-1"),
            ReadVerdict((STALE,), AS_BEFORE + ROLLED_BACK, LIKELY),
        ),
    ],
)
def test_the_build_that_was_to_be_replaced(read: RuntimeFetch, expected: ReadVerdict) -> None:
    """After the activation it is stale; minutes later it may have been put back on purpose."""
    assert judged(read, **REPLACED) == expected


@pytest.mark.parametrize(
    ("read", "others", "known", "expected"),
    [
        (answer(), (OLDER,), {}, ReadVerdict((STALE,), OF_OLDER)),
        (answer(5.1, process=OTHER_CLOCK), (OLDER,), {}, ReadVerdict(DOUBT, OF_OLDER)),
        (answer(5, process=OTHER_CLOCK), (OLDER,), {}, FINE),
        (
            answer(5.1, process=OTHER_CLOCK, in_log=True),
            (OLDER,),
            {},
            ReadVerdict(DOUBT, OF_OLDER),
        ),
        (
            answer(5.1, process=OTHER_CLOCK, in_log=True),
            (replace(OLDER, in_log=True),),
            {},
            ReadVerdict(DOUBT, OF_OLDER),
        ),
        (
            answer(5.1, process=OTHER_CLOCK, in_log=True),
            (OLDER,),
            {"in_log": True},
            ReadVerdict(DOUBT, OF_OLDER),
        ),
        (
            answer(5.1, process=OTHER_CLOCK, in_log=True),
            (replace(OLDER, in_log=True),),
            {"in_log": True},
            ReadVerdict((STALE,), OF_OLDER, LIKELY),
        ),
        (
            answer(5.1, process=OTHER_CLOCK),
            (replace(OLDER, in_log=True),),
            {"in_log": True},
            ReadVerdict(DOUBT, OF_OLDER),
        ),
        (
            answer(asked_ns=None, process=OTHER_CLOCK, in_log=True),
            (replace(OLDER, in_log=True),),
            {"in_log": True},
            ReadVerdict(DOUBT, OF_OLDER),
        ),
        # The answer's own carrier names the deployment that built it.
        (
            answer(build_id="b-7", active=ActiveManifest("d-0")),
            (OLDER,),
            {},
            ReadVerdict((STALE,), "the active build is b-7, of an older deployment"),
        ),
        (answer(build_id="b-2"), (LATER,), {}, FINE),
        (answer(build_id="b-7", active=ActiveManifest("d-2")), (LATER,), {}, FINE),
        # A build that belongs to an older and to a later deployment.
        (answer(), (OLDER, replace(LATER, build_id="b-0")), {}, ReadVerdict((STALE,), OF_OLDER)),
    ],
)
def test_the_build_of_a_recorded_deployment(
    read: RuntimeFetch, others: tuple[Deployment, ...], known: dict[str, Any], expected: ReadVerdict
) -> None:
    """The build of an older deployment is stale after the activation, that of a later one fine."""
    assert judged(read, *others, **known) == expected


def in_lines(file: str, **known: Any) -> dict[str, Any]:
    """Return the fields of a deployment in the lines of a log, without times."""
    step = Step(name=sc.ACTIVATE, origin=Origin(file=file, line=1, rebuilt=True))
    return {"by_lines": True, "in_log": True, "start_ns": None, "steps": (step,), **known}


def test_two_deployments_in_logs_without_times_have_no_order() -> None:
    """Which of them was the last stays open, and so does what is stale."""
    other = replace(OLDER, **in_lines("a.log", activation=None))
    untimed = Activation(build_id="b-1", origin=Origin(file="b.log", line=1, rebuilt=True))
    known = in_lines("b.log", activation=untimed)
    read = answer(asked_ns=None, process=OTHER_CLOCK, **IN_LINES)
    assert judged(read, other, **known) == ReadVerdict(DOUBT, OF_ANOTHER)
    assert judged(answer(**IN_LINES), other, **known) == ReadVerdict(DOUBT, OF_ANOTHER)


@pytest.mark.parametrize(
    ("generated", "mine", "expected"),
    [
        (984 * S, 990 * S, ReadVerdict((STALE,), GENERATED)),
        (985 * S, 990 * S, ReadVerdict(DOUBT, OF_NOBODY)),
        (985 * S - 1, 990 * S, ReadVerdict((STALE,), GENERATED)),
        (995 * S, 990 * S, ReadVerdict(DOUBT, OF_NOBODY)),
        (995 * S + 1, 990 * S, FINE),
        (None, 990 * S, ReadVerdict(DOUBT, OF_NOBODY)),
        (984 * S, None, ReadVerdict(DOUBT, OF_NOBODY)),
    ],
)
def test_the_build_of_nobody_by_its_generation(
    generated: int | None, mine: int | None, expected: ReadVerdict
) -> None:
    """A build that was made earlier, beyond the skew, is older; one made later is fine."""
    upload = replace(UPLOAD, generated_at_ns=mine)
    assert judged(answer(generated_at_ns=generated), upload=upload) == expected
    unknown = judged(answer(generated_at_ns=generated), upload=None)
    assert unknown == ReadVerdict(DOUBT, OF_NOBODY)


def test_a_replaced_build_is_not_later_though_it_was_made_later() -> None:
    """An earlier build may have been deployed again, and is what the activation replaced."""
    made = answer(generated_at_ns=2000 * S)
    assert judged(made) == FINE
    assert judged(made, **REPLACED) == ReadVerdict((STALE,), AS_BEFORE)


NOT_DEPLOYED: Final = f"{IS_ACTIVE}, not the deployed one"


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (answer(), ReadVerdict(DOUBT, OF_NOBODY)),
        (answer(in_log=True), ReadVerdict((STALE,), NOT_DEPLOYED, LIKELY)),
        (
            answer(5.1, process=OTHER_CLOCK, in_log=True),
            ReadVerdict((STALE,), NOT_DEPLOYED, LIKELY),
        ),
        (answer(5, process=OTHER_CLOCK, in_log=True), ReadVerdict(DOUBT, OF_NOBODY)),
        (
            answer(asked_ns=None, process=OTHER_CLOCK, in_log=True),
            ReadVerdict((STALE,), NOT_DEPLOYED, LIKELY),
        ),
        (
            answer(5, process=replace(OTHER_CLOCK, naive=True), in_log=True),
            ReadVerdict((STALE,), NOT_DEPLOYED, LIKELY),
        ),
        (
            answer(**IN_LINES, environment_id=None),
            ReadVerdict(
                (STALE, sc.ENVIRONMENT_MISMATCH),
                f"{IS_ACTIVE}, of an environment that no line names",
            ),
        ),
        (
            answer(in_log=True, environment_id=None),
            ReadVerdict((STALE,), NOT_DEPLOYED, LIKELY),
        ),
    ],
)
def test_the_build_of_nobody(read: RuntimeFetch, expected: ReadVerdict) -> None:
    """Logs that were given together are read as the guide reads them; spans prove nothing."""
    assert judged(read) == expected


EARLIER: Final = answer(-100, origin=Origin(file="w.log", line=6))


@pytest.mark.parametrize(
    ("read", "earlier", "is_stale"),
    [
        (answer(), EARLIER, True),
        (answer(-0.5), EARLIER, False),
        (answer(10, process=OTHER_CLOCK), replace(EARLIER, process=OTHER_CLOCK), False),
        (
            answer(10, process=OTHER_CLOCK, code_deployment_id="d-1"),
            replace(EARLIER, process=OTHER_CLOCK),
            True,
        ),
        (answer(), replace(EARLIER, build_id="b-7"), False),
        (answer(), replace(EARLIER, environment_id="e-2"), False),
        (answer(), replace(EARLIER, end_ns=1000 * S), True),
        (answer(), replace(EARLIER, end_ns=1000 * S + 1), False),
    ],
)
def test_a_build_that_was_active_before_the_deployment(
    read: RuntimeFetch, earlier: RuntimeFetch, *, is_stale: bool
) -> None:
    """Another answer, that ended before the activation began, had it already."""
    found = judged(read, reads=(earlier,))
    expected = ReadVerdict((STALE,), f"{IS_ACTIVE}, as before the deployment", LIKELY)
    assert found == (expected if is_stale else ReadVerdict(DOUBT, OF_NOBODY))


def test_nothing_is_before_an_activation_without_a_time() -> None:
    """If the beginning of the activation is not known, no answer preceded it."""
    read = answer(code_deployment_id="d-1")
    found = judged(read, reads=(EARLIER,), **activation(start_ns=None))
    assert found == ReadVerdict(DOUBT, OF_NOBODY)
    assert judged(read, reads=(EARLIER,)).confidence == LIKELY


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (REPLACED, True),
        (activation(previous_build_id="b-7"), False),
        (activation(previous_build_id=None), False),
        (activation(previous_build_id="b-0", build_id="b-0"), False),
        ({"activation": None}, False),
    ],
)
def test_which_build_an_activation_replaces(known: dict[str, Any], *, expected: bool) -> None:
    """An activation of the build that was active already replaces none."""
    assert is_replaced(case(answer(), **known), answer()) is expected


def test_no_build_is_never_the_replaced_one() -> None:
    """Neither the answer nor the activation names a build: they are not the same."""
    read = answer(build_id=None)
    assert is_replaced(case(read, **activation(previous_build_id=None)), read) is False


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [("same", "same", True), ("same", "other", False), ("same", None, False), (None, None, False)],
)
def test_builds_of_the_same_source(mine: str | None, theirs: str | None, *, expected: bool) -> None:
    """Only equal fingerprints show that two builds were made from the same files."""
    upload = replace(UPLOAD, source_fingerprint=mine)
    read = answer(source_fingerprint=theirs)
    assert is_same_source(case(read, upload=upload), read) is expected
    assert is_same_source(case(read, upload=None), read) is False


def test_the_owner_of_a_build() -> None:
    """It is named by the build or by the carrier, and is never the judged deployment."""
    read = answer(active=ActiveManifest("d-2"))
    assert owner(case(read, OLDER, LATER), read) == OLDER
    assert owner(case(read, LATER), read) == LATER
    own = answer(build_id="b-1", active=ActiveManifest("d-1"))
    assert owner(case(own, OLDER, LATER), own) is None
    assert (is_later(case(read, LATER), read), is_later(case(read, OLDER), read)) == (True, False)
    assert is_later(case(read), read) is False
