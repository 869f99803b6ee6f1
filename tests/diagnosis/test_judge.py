"""How the results for several deployments become one diagnosis, and which traces are named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.cases import LIMITS
from diagnosis.recordings import TWO, call, changed, deployment, linked, read, records

from flash_otel import semconv as sc
from flash_otel.diagnosis import diagnose, judge
from flash_otel.diagnosis.evidence import Deployment, Origin
from flash_otel.diagnosis.faults import FAULTS
from flash_otel.diagnosis.findings import Exhibit, Finding
from flash_otel.diagnosis.judge import Judge, Judged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flash_otel.diagnosis.case import Case

PLACE: Final = Origin(file="a.log", line=1)


def result(number: int, *codes: str, **more: Any) -> Judged:
    """Return the result for a deployment, which starts at this number of nanoseconds."""
    findings = tuple(
        Finding(code, f"{code} {number}", missing=(f"m{number}",), command=f"c{number}")
        for code in codes
    )
    known = Deployment(id=f"d-{number}", start_ns=number)
    return replace(Judged(known, (), (), (), None, findings), **more)


def summed_up(results: Iterable[Judged]) -> Judge:
    """Return a judge that has these results."""
    made = Judge(LIMITS)
    made.add(results)
    return made


def test_the_gravest_result_comes_first() -> None:
    """Faults precede doubt, doubt precedes soundness, and the newest of equals is the first."""
    results = [
        result(9, sc.NONE),
        result(8, sc.INCONCLUSIVE),
        result(2, sc.STALE_BUILD),
        result(3, sc.STALE_BUILD),
        result(1, sc.UNAUTHORIZED),
        result(7, sc.ENVIRONMENT_CREATED, sc.NONE),
        result(6),
    ]
    found = summed_up(results).diagnosis(5)
    assert [each.deployment.id for each in found.judged] == [
        *("d-1", "d-3", "d-2", "d-8", "d-6", "d-9", "d-7"),
    ]
    assert (found.verdict, found.missing, found.command) == (sc.UNAUTHORIZED, ("m1",), "c1")
    assert (found.others, found.left_out) == (5, ())
    assert summed_up(results[::-1]).diagnosis(5) == found


def test_beside_a_fault_verdicts_without_one_are_left_out() -> None:
    """The findings are those of all deployments, in the order of the table, with the notes."""
    results = [
        result(1, sc.ENVIRONMENT_CREATED, sc.NONE),
        result(2, sc.STALE_BUILD, sc.UNAUTHORIZED),
        result(3, sc.INCONCLUSIVE),
    ]
    found = summed_up(results).diagnosis()
    assert [finding.sentence for finding in found.findings] == [
        "unauthorized 2",
        "stale_build 2",
        "environment_created 1",
    ]
    assert found.others == 0


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (("none", "inconclusive"), ["inconclusive 2"]),
        (("none", "none"), ["none 2", "none 1"]),
        (("inconclusive", "inconclusive"), ["inconclusive 2", "inconclusive 1"]),
    ],
)
def test_doubt_about_one_deployment_hides_the_soundness_of_others(
    codes: tuple[str, str], expected: list[str]
) -> None:
    """Without a fault, the findings are those of the verdict."""
    found = summed_up(result(number, code) for number, code in enumerate(codes, 1)).diagnosis()
    assert [finding.sentence for finding in found.findings] == expected


def test_a_finding_that_several_deployments_share_is_told_once() -> None:
    """The same finding of two environments is one."""
    shared = Finding(sc.ENVIRONMENT_TAKEOVER, "Taken over.")
    results = [result(number, findings=(shared,)) for number in (1, 2)]
    found = summed_up(results).diagnosis()
    assert found.findings == (shared,)
    assert len(found.judged) == 2


def test_a_result_without_findings_is_inconclusive() -> None:
    """Where nothing at all was found, nothing is missing and no command is named."""
    found = summed_up([result(1)]).diagnosis()
    assert (found.verdict, found.findings) == (sc.INCONCLUSIVE, ())
    assert (found.missing, found.command) == ((), "")


@pytest.mark.parametrize("number", [3, 6, 7, 20])
def test_of_very_many_results_the_gravest_are_kept(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """However they come, the others are counted by their verdicts, in the order of the table."""
    monkeypatch.setattr(judge, "MOST_JUDGED", 3)
    codes = (sc.NONE, sc.STALE_BUILD, sc.UPLOAD_FAILED, sc.INCONCLUSIVE)
    results = [result(at, codes[at % 4]) for at in range(number)]
    at_once, one_by_one = summed_up(results), Judge(LIMITS)
    kept = []
    for each in results:
        one_by_one.add([each])
        kept.append(len(one_by_one._judged))
    assert max(kept) == min(number, 6)
    found = at_once.diagnosis()
    assert one_by_one.diagnosis() == found
    gravest = (sc.UPLOAD_FAILED, sc.STALE_BUILD, sc.INCONCLUSIVE, sc.NONE)
    newest_first = results[::-1]
    expected = sorted(newest_first, key=lambda each: gravest.index(each.verdict))
    assert list(found.judged) == expected[:3]
    left = [each.verdict for each in expected[3:]]
    table = (sc.UPLOAD_FAILED, sc.STALE_BUILD, sc.NONE, sc.INCONCLUSIVE)
    assert found.left_out == tuple((code, left.count(code)) for code in table if code in left)


def _finding(*codes: str) -> Any:
    def find(_: Case) -> Iterator[Finding]:
        for code in codes:
            yield Finding(code, f"{code}.", (Exhibit(PLACE, "shown"),), candidates=("x",))

    return find


def found_with(**find: Any) -> list[Finding]:
    """Return the findings on a recording if the table's rows find these."""
    table = {code: replace(FAULTS[code], find=found) for code, found in find.items()}
    made = records(deployment(), read(10, held=TWO))
    return list(diagnose(made, limits=LIMITS, faults=table).findings)


def test_consequences_are_hidden_by_their_cause() -> None:
    """What a row hides is not told beside it, but without it."""
    cause, consequence = _finding("environment_takeover"), _finding("endpoints_differ")
    both = found_with(endpoints_differ=consequence, environment_takeover=cause)
    assert [finding.code for finding in both] == ["environment_takeover"]
    alone = found_with(endpoints_differ=consequence, environment_takeover=_finding())
    assert [finding.code for finding in alone] == ["endpoints_differ"]


def test_only_without_a_fault_is_soundness_or_doubt_told() -> None:
    """Beside a note, the verdict without a fault is told; beside a fault, it is not."""
    sound, open_ = _finding("none"), _finding("inconclusive")
    note = found_with(environment_created=_finding("environment_created"), none=sound)
    assert [finding.code for finding in note] == ["environment_created", "none"]
    fault = found_with(stale_build=_finding("stale_build"), none=sound, inconclusive=open_)
    assert [finding.code for finding in fault] == ["stale_build"]
    doubt = found_with(inconclusive=open_)
    assert [finding.code for finding in doubt] == ["inconclusive"]


def test_an_open_fault_names_what_would_decide() -> None:
    """A fault with other candidates lacks what the State Manager holds; every finding advises."""
    (fault,) = found_with(stale_build=_finding("stale_build"))
    place = "environment production (env-prod) in app shop"
    assert fault.missing == (f"what the State Manager holds now of {place}",)
    assert fault.command == "flash-otel verify --app shop --env production"
    assert fault.deployment_id == "000000000000d100"
    assert fault.remedy_deployer == FAULTS["stale_build"].deployer
    assert fault.remedy_maintainer == FAULTS["stale_build"].maintainer
    (doubt,) = found_with(inconclusive=_finding("inconclusive"))
    assert (doubt.missing, doubt.command) == ((), "")


def test_a_findings_own_advice_is_kept() -> None:
    """The advice of the table stands only where a finding has none of its own."""

    def find(_: Case) -> Iterator[Finding]:
        yield Finding(sc.STALE_BUILD, "Stale.", remedy_deployer="Wait.", missing=("m",))

    (found,) = found_with(stale_build=find)
    assert (found.remedy_deployer, found.missing, found.command) == ("Wait.", ("m",), "")


@pytest.mark.parametrize("number", [38, 39, 40, 50])
def test_at_most_forty_traces_of_a_deployment_are_named(number: int) -> None:
    """The deployment's own trace comes first, and all are counted."""
    reads = [read(10.0 + at, number=f"{at:02}", held=TWO) for at in range(number)]
    (found,) = diagnose(records(deployment(), *reads), limits=LIMITS).judged
    own = ["d1".rjust(32, "0"), *(f"a{at:02}".rjust(32, "0") for at in range(number))]
    assert found.trace_ids == tuple(own[:40])
    assert found.trace_count == len(own) == number + 1


def test_traces_are_those_of_the_deployment_its_reads_and_its_calls() -> None:
    """The trace of the root precedes that of a build of its own, then those of workers follow."""
    steps = deployment()
    build = replace(steps.pop("build"), trace_id="1b".rjust(32, "0"), parent_span_id=None)
    root = linked(steps.pop("deploy"), "1b", "d101")
    made = records(steps, build, root, call(5, number="9"), read(10, number="2", held=TWO))
    (found,) = diagnose(made, limits=LIMITS).judged
    assert [trace.lstrip("0") for trace in found.trace_ids] == ["d1", "1b", "a2", "c9"]
    own = [changed(step, deployment_id=None) for step in records(steps, build)]
    (alone,) = diagnose(own, limits=LIMITS, build_id="build-1").judged
    assert [trace.lstrip("0") for trace in alone.trace_ids] == ["d1"]
