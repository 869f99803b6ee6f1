from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from diagnosis.recordings import NOW_NS, TWO, deployment, read, records
from diagnosis.scenes import SCENES

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.worker_reads import FINE, ReadResult
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
