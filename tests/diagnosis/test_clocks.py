"""Which of two events was first: by one clock, by what a worker knew, and within the skew."""

from __future__ import annotations

import math
from typing import Any, Final

import pytest

from flash_otel import semconv as sc
from flash_otel.diagnosis.evidence import (
    Activation,
    ActiveManifest,
    Deployment,
    ManifestUpload,
    Origin,
    ProcessIdentity,
    RuntimeFetch,
    Step,
)
from flash_otel.diagnosis.order import (
    CERTAIN,
    LIKELY,
    NO,
    Offset,
    follows,
    is_same_host,
    offset,
)

SECOND: Final = 10**9
INF: Final = math.inf
WORKER: Final = ProcessIdentity("worker-1", "pod")
CLI: Final = ProcessIdentity("cli-1", "laptop")


# --- two times ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clocks", "gap", "after", "before"),
    [
        (Offset(exact=True), 0, CERTAIN, CERTAIN),
        (Offset(exact=True), 1, CERTAIN, NO),
        (Offset(exact=True), -1, NO, CERTAIN),
        (Offset(measured=10, assumed=20), 10, NO, NO),
        (Offset(measured=10, assumed=20), 11, CERTAIN, NO),
        (Offset(measured=30, assumed=20), 20, NO, NO),
        (Offset(measured=30, assumed=20), 21, LIKELY, NO),
        (Offset(measured=30, assumed=20), -20, NO, NO),
        (Offset(measured=30, assumed=20), -21, NO, LIKELY),
        (Offset(measured=10), -(10**18), NO, NO),
        (Offset(), 10**18, NO, NO),
    ],
    ids=str,
)
def test_a_gap_between_two_clocks_may_order_their_times(
    clocks: Offset, gap: int, after: str, before: str
) -> None:
    """To the nanosecond on one clock; else if it is larger than any difference of the clocks."""
    assert clocks.after(1_000 + gap, 1_000) == after
    assert clocks.before(1_000 + gap, 1_000) == before


@pytest.mark.parametrize(("mine", "other"), [(None, 1), (1, None), (None, None)])
def test_an_unknown_time_is_in_no_order(mine: int | None, other: int | None) -> None:
    """Whatever is known of the clocks."""
    for clocks in (Offset(exact=True), Offset(measured=-1, assumed=-1)):
        assert clocks.after(mine, other) == NO
        assert clocks.before(mine, other) == NO


@pytest.mark.parametrize(
    ("clocks", "is_unknown"),
    [
        (Offset(), True),
        (Offset(exact=True), False),
        (Offset(measured=1), False),
        (Offset(assumed=1), False),
    ],
    ids=str,
)
def test_clocks_are_unrelated_if_nothing_relates_them(clocks: Offset, is_unknown: bool) -> None:
    """Neither one clock, nor a measurement, nor an assumption."""
    assert clocks.is_unknown is is_unknown


# --- what reads measure ---------------------------------------------------------------------------


def deployed(**more: Any) -> Deployment:
    """Make a deployment that began at 100 s, was activated at 103 s and uploaded at 105 s."""
    known: dict[str, Any] = {
        "id": "d1",
        "aliases": frozenset({"d1", "b1"}),
        "build_id": "build-1",
        "process": CLI,
        "start_ns": 100 * SECOND,
        "activation": Activation(start_ns=103 * SECOND, end_ns=104 * SECOND),
        "upload": ManifestUpload(start_ns=105 * SECOND, end_ns=106 * SECOND),
    }
    return Deployment(**{**known, **more})


def read(**known: Any) -> RuntimeFetch:
    """Make a read from 110 to 111 s by the worker's clock."""
    times: dict[str, Any] = {"start_ns": 110 * SECOND, "end_ns": 111 * SECOND, "process": WORKER}
    return RuntimeFetch(**{**times, **known})


WROTE: Final = ActiveManifest("d1", sc.PHASE_WRITE)


@pytest.mark.parametrize(
    ("known", "seconds"),
    [
        ({}, INF),
        ({"code_deployment_id": "d1"}, 10),
        ({"code_deployment_id": "b1"}, INF),
        ({"code_deployment_id": "d1", "start_ns": None}, INF),
        ({"build_id": "build-1"}, 8),
        ({"build_id": "build-1", "end_ns": None}, INF),
        ({"build_id": "build-2"}, INF),
        ({"active": WROTE}, 6),
        ({"active": ActiveManifest("b1", sc.PHASE_WRITE)}, 6),
        ({"active": ActiveManifest("d1", sc.PHASE_BUILD)}, INF),
        ({"active": ActiveManifest("d2", sc.PHASE_WRITE)}, INF),
        ({"code_deployment_id": "d1", "build_id": "build-1", "active": WROTE}, 6),
        ({"code_deployment_id": "d1", "build_id": "build-1", "end_ns": 117 * SECOND}, 10),
    ],
    ids=str,
)
def test_what_a_read_knew_had_happened_before_it(known: dict[str, Any], seconds: float) -> None:
    """A worker's clock is at most so far ahead of that of the deployment."""
    found = offset(WORKER, deployed(), [read(), read(**known)], 5.0)
    assert found == Offset(measured=seconds * SECOND, assumed=5 * SECOND)


@pytest.mark.parametrize(
    ("lost", "known"),
    [
        ({"activation": None}, {"build_id": "build-1"}),
        ({"activation": Activation()}, {"build_id": "build-1"}),
        ({"build_id": None}, {"build_id": None}),
        ({"upload": None}, {"active": WROTE}),
        ({"upload": ManifestUpload()}, {"active": WROTE}),
        ({"start_ns": None}, {"code_deployment_id": "d1"}),
    ],
    ids=str,
)
def test_steps_that_nobody_recorded_measure_nothing(
    lost: dict[str, Any], known: dict[str, Any]
) -> None:
    """Nor do those without a time."""
    found = offset(WORKER, deployed(**lost), [read(**known)], 5.0)
    assert found == Offset(assumed=5 * SECOND)


@pytest.mark.parametrize(
    ("ends_s", "expected"),
    [
        (103, Offset(measured=0, assumed=5 * SECOND)),
        (98, Offset(measured=-5 * SECOND, assumed=5 * SECOND)),
        (97, Offset(measured=-6 * SECOND)),
    ],
    ids=["at once", "as far as assumed", "further than assumed"],
)
def test_a_measurement_may_contradict_the_assumption(ends_s: int, expected: Offset) -> None:
    """Then it is given up."""
    found = offset(WORKER, deployed(), [read(build_id="build-1", end_ns=ends_s * SECOND)], 5.0)
    assert found == expected


HERE: Final = ProcessIdentity("worker-1", "laptop")


@pytest.mark.parametrize(
    ("process", "ends_s", "expected"),
    [
        (HERE, 111, Offset(exact=True)),
        (HERE, 103, Offset(exact=True)),
        (HERE, 102, Offset(measured=-SECOND, assumed=5 * SECOND)),
        (ProcessIdentity("cli-1"), 111, Offset(exact=True)),
        (ProcessIdentity("worker-1"), 111, Offset(measured=8 * SECOND, assumed=5 * SECOND)),
        (
            ProcessIdentity("worker-1", "laptop", rebuilt=True),
            111,
            Offset(measured=8 * SECOND, assumed=5 * SECOND),
        ),
    ],
    ids=["one host", "at once", "before", "one process", "no host", "lines"],
)
def test_processes_of_one_host_have_one_clock(
    process: ProcessIdentity, ends_s: int, expected: Offset
) -> None:
    """Unless a read contradicts it, or only lines tell the host."""
    known = read(build_id="build-1", end_ns=ends_s * SECOND)
    assert offset(process, deployed(), [known], 5.0) == expected


def test_processes_without_a_host_share_none() -> None:
    """An unknown host is not the same as another unknown one."""
    assert is_same_host(ProcessIdentity("a"), ProcessIdentity("a"))
    assert is_same_host(ProcessIdentity("a", "h"), ProcessIdentity("b", "h"))
    assert not is_same_host(ProcessIdentity("a"), ProcessIdentity("b"))
    assert not is_same_host(ProcessIdentity("a", "h"), ProcessIdentity("b", "g"))


# --- times without a zone -------------------------------------------------------------------------

NAIVE: Final = ProcessIdentity("file run.log ", rebuilt=True, naive=True)
ZONED: Final = ProcessIdentity("file run.log ", rebuilt=True)


def logged(
    file: str = "run.log", process: ProcessIdentity = NAIVE, *, by_lines: bool = True
) -> Any:
    """Make a read in a log."""
    return read(process=process, origin=Origin(file, 9, rebuilt=by_lines))


IN_LOG: Final = Activation(origin=Origin("run.log", 1))
IN_NO_LOG: Final = Activation()


@pytest.mark.parametrize(
    ("writer", "activation", "reads", "is_assumed"),
    [
        (NAIVE, IN_LOG, [logged()], True),
        (NAIVE, IN_LOG, [logged(), logged()], True),
        (NAIVE, IN_LOG, [logged("other.log")], False),
        (NAIVE, IN_LOG, [logged(), logged("other.log")], False),
        (NAIVE, IN_LOG, [logged(process=ZONED)], False),
        (NAIVE, IN_LOG, [logged(), logged(process=ZONED)], False),
        (NAIVE, IN_LOG, [logged(by_lines=False)], False),
        (NAIVE, IN_LOG, [], False),
        (NAIVE, IN_NO_LOG, [logged("")], False),
        (NAIVE, None, [logged()], False),
        (ZONED, IN_LOG, [logged()], False),
    ],
    ids=[
        "one log",
        "two reads",
        "another log",
        "one read in another log",
        "a read with a zone",
        "one read with a zone",
        "a read as a span",
        "no read",
        "no file",
        "no activation",
        "a deployment with a zone",
    ],
)
def test_times_without_a_zone_are_compared_within_one_log(
    writer: ProcessIdentity,
    activation: Activation | None,
    reads: list[RuntimeFetch],
    is_assumed: bool,
) -> None:
    """Elsewhere they may be hours apart."""
    made = deployed(process=writer, activation=activation)
    expected = Offset(assumed=5 * SECOND) if is_assumed else Offset()
    worker = ProcessIdentity("another", rebuilt=True, naive=True)
    assert offset(worker, made, reads, 5.0) == expected


def test_a_zone_that_one_side_lacks_leaves_the_clocks_unknown() -> None:
    """Those of a deployment in a log without zones, and those of such a worker."""
    assert offset(WORKER, deployed(process=NAIVE), [read()], 5.0) == Offset()
    assert offset(NAIVE, deployed(), [read()], 5.0) == Offset()
    assert offset(WORKER, deployed(process=ZONED), [read()], 5.0) == Offset(assumed=5 * SECOND)


# --- two facts ------------------------------------------------------------------------------------


def fact(
    file: str = "a.log",
    number: int = 1,
    *,
    start: int | None = None,
    end: int | None = None,
    instance: str = "one",
    by_lines: bool = True,
) -> Step:
    """Make a step."""
    place = Origin(file, number, rebuilt=by_lines)
    process = ProcessIdentity(instance)
    return Step(name=sc.BUILD, origin=place, process=process, start_ns=start, end_ns=end)


@pytest.mark.parametrize(
    ("later", "earlier", "is_after"),
    [
        (fact(start=10), fact(start=5, end=10), True),
        (fact(start=9), fact(start=5, end=10), False),
        (fact(number=9, start=9), fact(start=5, end=10), False),
        (fact(start=10, by_lines=False), fact(start=5, end=10, by_lines=False), True),
        (fact(start=10, instance="two"), fact(start=5, end=10), False),
        (fact(number=2, start=10, instance="two"), fact(start=5, end=10), False),
        (fact(number=2), fact(), True),
        (fact(number=2, instance="two"), fact(), True),
        (fact(number=1), fact(), False),
        (fact(number=1), fact(number=2), False),
        (fact("b.log", 2), fact(), False),
        (fact("", 2), fact("", 1), False),
        (fact(number=2, start=10), fact(), True),
        (fact(number=2), fact(start=5, end=10), True),
        (fact(number=2, start=10), fact(start=5), False),
        (fact(number=2, by_lines=False), fact(), False),
        (fact(number=2), fact(by_lines=False), False),
    ],
    ids=[
        "at once",
        "before",
        "before, though its line is later",
        "spans",
        "two clocks",
        "two clocks in one log",
        "a later line",
        "a later line of another process",
        "the same line",
        "an earlier line",
        "another log",
        "no log",
        "one without a time",
        "the other without a time",
        "an open one",
        "a span in a log",
        "after a span in a log",
    ],
)
def test_a_fact_follows_by_one_clock_or_by_its_line(
    later: Step, earlier: Step, is_after: bool
) -> None:
    """Lines are in order within a log that has no times."""
    assert follows(later, earlier) is is_after
