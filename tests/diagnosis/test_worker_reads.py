from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.cases import beside, with_verdicts
from diagnosis.recordings import NOW_NS, TWO, call, deployment, read, records
from diagnosis.scenes import SCENES

from flash_otel import failures
from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.case import ReadVerdict
from flash_otel.diagnosis.evidence import (
    UNFINISHED,
    ActiveManifest,
    Deployment,
    EndpointSet,
    Failure,
    ManifestUpload,
    Origin,
    ProcessIdentity,
    RemoteCall,
    RuntimeFetch,
)
from flash_otel.diagnosis.worker_reads import FINE, ReadResult, WorkerReads, worker_reads
from flash_otel.records import LINES_SCOPE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flash_otel.diagnosis import Judged
    from flash_otel.records import SpanRecord


def judged(recording: Iterable[SpanRecord]) -> Judged:
    """Return the results for the deployment of a recording."""
    return diagnose(recording, limits=Limits(now_ns=NOW_NS)).judged[0]


@pytest.mark.parametrize("scene", SCENES)
def test_every_worker_is_counted_once(scene: str) -> None:
    """The numbers of all results add up, and `fine` comes first."""
    reads = judged(SCENES[scene].make()).worker_reads
    assert sum(result.count for result in reads.results) == reads.count
    assert FINE not in [result.says for result in reads.results[1:]]
    assert reads.failed_calls <= reads.calls


@pytest.mark.parametrize(
    ("scene", "says"),
    [
        ("a worker asks for an environment that exists", "asked for staging"),
        (
            "a worker asks for an environment that does not exist",
            "asked for an unknown environment",
        ),
        ("the first build stays active, with endpoints", "got another build"),
        ("no build is active after the activation", "got no build"),
        ("a null manifest", "got no endpoints"),
        ("a read holds one of two", "got 1 of 2 endpoints"),
        ("a read holds other URLs", "got other endpoints"),
        ("one of two answers lacks one endpoint", "got 1 of 2 endpoints at first"),
        ("a read fails with HTTP 503", "got no answer"),
        ("a worker has no key", "got refused"),
        ("FLASH_ENVIRONMENT_ID is not set", "asked nothing"),
        ("a first deployment and a read", FINE),
    ],
)
def test_what_a_single_worker_got(scene: str, says: str) -> None:
    """Each way in which a read can go wrong has its own words."""
    assert judged(SCENES[scene].make()).worker_reads.results == (ReadResult(says, 1),)


def test_workers_with_the_same_result_are_counted_together() -> None:
    """Of twelve workers, eleven are fine; two reads of one worker count once."""
    fine = [read(9 + n, number=f"{n}", instance=f"worker-{n}", held=TWO) for n in range(11)]
    again = read(40, number="20", instance="worker-0", held=TWO)
    empty = read(30, number="30", instance="late", phase=sc.PHASE_BUILD)
    reads = judged(records(deployment(), *fine, again, empty)).worker_reads
    assert reads.results == (ReadResult(FINE, 11), ReadResult("got no endpoints", 1))
    assert (reads.count, reads.is_by_worker) == (12, True)


def test_reads_of_a_log_are_counted_if_its_workers_are_not_known() -> None:
    """A log that mixes the lines of several workers has reads, but no number of workers."""
    lines = [replace(span, scope_name=LINES_SCOPE) for span in read(9, held=TWO)]
    assert not judged(records(deployment(), lines)).worker_reads.is_by_worker


def test_an_open_read_has_no_result_yet() -> None:
    """A read that had not ended when it was recorded is neither fine nor at fault."""
    opened = [replace(span, end_ns=None) for span in read(9, held=TWO)]
    reads = judged(records(deployment(), opened)).worker_reads
    assert reads.results == (ReadResult("did not finish", 1),)


def test_the_traces_of_a_deployment_and_its_workers_are_named() -> None:
    """The deployment's own trace comes first, then those of its reads and calls."""
    found = judged(SCENES["FLASH_ENVIRONMENT_ID is not set, and a call misses its endpoint"].make())
    assert found.trace_ids[0] == "d1".rjust(32, "0")
    assert len(set(found.trace_ids)) == len(found.trace_ids) >= 2


def test_workers_of_new_versions_read_nothing() -> None:
    """From Flash 1.15 on, there are only calls to count."""
    reads = judged(SCENES["Flash 1.21, whose workers read nothing"].make()).worker_reads
    assert (reads.count, reads.calls, reads.reads_manifests) == (0, 1, False)


# --- results by hand ------------------------------------------------------------------------------

DEPLOYED: Final = Deployment(
    id="d-1",
    build_id="b-1",
    environment_id="e-1",
    environment_name="production",
    upload=ManifestUpload(endpoints=EndpointSet(2)),
)
ANSWERED: Final = RuntimeFetch(environment_id="e-1", build_id="b-1", endpoints=EndpointSet(2))
SOUND: Final = ReadVerdict()
FAULTY: Final = ReadVerdict((sc.READ_INCOMPLETE,), "so")


def summed_up(*reads: tuple[RuntimeFetch, ReadVerdict], **known: Any) -> WorkerReads:
    """Return what workers got, by reads and the verdicts on them."""
    placed = tuple(
        replace(made, origin=Origin(file="a.log", line=line))
        for line, (made, _) in enumerate(reads, 1)
    )
    case = replace(beside(replace(DEPLOYED, **known), *placed), reads=placed)
    return worker_reads(with_verdicts(case, *(verdict for _, verdict in reads)))


def by(instance: str, **more: Any) -> RuntimeFetch:
    """Return the read of a worker."""
    return replace(ANSWERED, process=ProcessIdentity(instance), **more)


NO_BUILD: Final[dict[str, Any]] = {"build_id": None, "endpoints": EndpointSet()}


@pytest.mark.parametrize(
    ("change", "verdict", "known", "says"),
    [
        ({}, SOUND, {}, "fine"),
        ({"outcome": UNFINISHED}, FAULTY, {}, "did not finish"),
        ({"environment_state": sc.ENVIRONMENT_NULL}, SOUND, {}, "asked for an unknown environment"),
        ({"environment_id": "e-2"}, SOUND, {}, "asked for another environment"),
        (
            {"environment_id": "e-2", "environment_name": "staging"},
            SOUND,
            {},
            "asked for staging",
        ),
        ({"environment_id": "e-2"}, SOUND, {"environment_id": None}, "fine"),
        ({"environment_id": None}, SOUND, {}, "fine"),
        ({**NO_BUILD, "failure": Failure(failures.UNAUTHORIZED)}, SOUND, {}, "got refused"),
        ({**NO_BUILD, "failure": Failure(failures.OTHER)}, SOUND, {}, "got no answer"),
        ({"failure": Failure(failures.OTHER)}, SOUND, {}, "fine"),
        ({**NO_BUILD, "environment_id": None}, SOUND, {}, "asked nothing"),
        ({**NO_BUILD, "environment_id": "e-1"}, SOUND, {}, "got no answer"),
        ({"build_id": None, "environment_id": None}, SOUND, {}, "fine"),
        (
            {**NO_BUILD, "environment_state": sc.ENVIRONMENT_NO_ACTIVE_BUILD},
            SOUND,
            {},
            "got no build",
        ),
        ({"build_id": "b-2"}, FAULTY, {}, "got another build"),
        ({"build_id": "b-2"}, SOUND, {}, "got the build of another deployment"),
        ({"build_id": "b-2"}, SOUND, {"build_id": None}, "fine"),
        ({"build_id": None}, FAULTY, {}, "got other endpoints"),
        ({"endpoints": EndpointSet(0)}, FAULTY, {}, "got no endpoints"),
        ({"endpoints": EndpointSet()}, FAULTY, {}, "got no endpoints"),
        ({"endpoints": EndpointSet(1)}, FAULTY, {}, "got 1 of 2 endpoints"),
        ({"endpoints": EndpointSet(2)}, FAULTY, {}, "got other endpoints"),
        ({"endpoints": EndpointSet(3)}, FAULTY, {}, "got other endpoints"),
        ({"endpoints": EndpointSet(1)}, FAULTY, {"upload": None}, "got other endpoints"),
        (
            {"endpoints": EndpointSet(1), "active": ActiveManifest(endpoint_count=3)},
            FAULTY,
            {"upload": None},
            "got 1 of 3 endpoints",
        ),
        ({"endpoints": EndpointSet(1)}, SOUND, {}, "fine"),
    ],
)
def test_what_a_read_got(
    change: dict[str, Any], verdict: ReadVerdict, known: dict[str, Any], says: str
) -> None:
    """The first that went wrong is told: the request, the answer, then its manifest."""
    found = summed_up((by("w-1", **change), verdict), **known)
    assert found.results == (ReadResult(says, 1),)
    assert found.results[0].is_fine is (says == "fine")


def test_a_worker_that_recovered_was_at_fault_at_first() -> None:
    """The last result of a worker counts, and the last fault if it recovered from it."""
    empty, other = {"endpoints": EndpointSet(0)}, {"build_id": "b-2"}
    found = summed_up(
        (by("w-1", **empty), FAULTY),
        (by("w-1", **other), FAULTY),
        (by("w-1"), SOUND),
        (by("w-2"), SOUND),
        (by("w-2", **empty), FAULTY),
        (by("w-3"), SOUND),
    )
    assert found.results == (
        ReadResult("fine", 1),
        ReadResult("got another build at first", 1),
        ReadResult("got no endpoints", 1),
    )
    assert (found.count, found.is_by_worker) == (3, True)


def test_results_are_in_the_order_of_their_numbers() -> None:
    """`fine` comes first, then the most frequent, and equals in alphabetical order."""
    results: list[tuple[dict[str, Any], ReadVerdict]] = [
        *[({"build_id": "b-2"}, FAULTY)] * 2,
        *[({"endpoints": EndpointSet(0)}, FAULTY)] * 3,
        ({"outcome": UNFINISHED}, SOUND),
        ({}, SOUND),
        ({"environment_id": "e-2"}, SOUND),
    ]
    found = summed_up(
        *((by(f"w-{at}", **change), verdict) for at, (change, verdict) in enumerate(results))
    )
    assert [(result.says, result.count) for result in found.results] == [
        ("fine", 1),
        ("got no endpoints", 3),
        ("got another build", 2),
        ("asked for another environment", 1),
        ("did not finish", 1),
    ]


def test_reads_of_rebuilt_lines_count_one_by_one() -> None:
    """Where one log may hold several workers, none of them has recovered."""
    lines = [
        replace(made, process=ProcessIdentity("a.log", rebuilt=True))
        for made in (by("", endpoints=EndpointSet(0)), by(""))
    ]
    found = summed_up((lines[0], FAULTY), (lines[1], SOUND))
    assert found.results == (ReadResult("fine", 1), ReadResult("got no endpoints", 1))
    assert (found.count, found.is_by_worker) == (2, False)


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [
        (sc.RETURNED, 0),
        (UNFINISHED, 0),
        (sc.FAILED, 1),
        (sc.CANCELLED, 1),
        (sc.UNKNOWN, 1),
    ],
)
def test_which_calls_failed(outcome: str, failed: int) -> None:
    """A call that is still open has not failed."""
    calls = (RemoteCall(outcome=outcome), RemoteCall())
    found = worker_reads(replace(beside(DEPLOYED), calls=calls))
    assert (found.calls, found.failed_calls) == (2, failed)
    assert (found.count, found.results, found.reads_manifests) == (0, (), None)


def test_workers_of_a_known_version_read_manifests() -> None:
    """Calls and reads of a recording are counted beside what its version does."""
    reads = judged(records(deployment(), read(9, held=TWO), call(20))).worker_reads
    assert (reads.count, reads.calls, reads.failed_calls, reads.reads_manifests) == (1, 1, 0, True)
