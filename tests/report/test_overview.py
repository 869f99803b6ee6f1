from __future__ import annotations

from dataclasses import replace

import pytest
from diagnosis.recordings import EPOCH_NS, NOW_NS, TWO, deployment, read, records
from diagnosis.scenes import SCENES

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.worker_reads import FINE, ReadResult, WorkerReads
from flash_otel.records import LINES_SCOPE, SpanRecord
from flash_otel.report.json import diagnosis_json
from flash_otel.report.overview import RUNNING, Overview, overview_of, readers_line


def overview(recording: list[SpanRecord], *, runs: bool | None = None) -> Overview:
    """Return the overview of a recording."""
    diagnosis = diagnose(recording, limits=Limits(now_ns=NOW_NS, is_running=lambda _: runs))
    return overview_of(diagnosis.judged[0], recording, lambda _: runs)


@pytest.mark.parametrize("scene", SCENES)
def test_it_has_the_verdict_of_the_diagnosis(scene: str) -> None:
    """Verdict, sentence, remedy and evidence are those of `diagnose` on the same spans."""
    made = SCENES[scene].make()
    found = overview(made)
    diagnosis = diagnose(made, limits=Limits(now_ns=NOW_NS))
    finding = next(known for known in diagnosis.findings if known.code == found.verdict)
    assert (found.verdict, found.sentence) == (diagnosis.verdict, finding.sentence)
    assert found.is_fault == (found.verdict not in (sc.NONE, sc.INCONCLUSIVE))
    if found.is_fault:
        assert found.remedy == finding.remedy_deployer
        assert any(mark.shows_fault and mark.code == found.verdict for mark in found.marks)
    else:
        assert not any(mark.shows_fault for mark in found.marks)
    keys = {record.key for record in made}
    assert {(mark.trace_id, mark.span_id) for mark in found.marks} <= keys


def test_what_is_known_of_a_deployment() -> None:
    """App, environment, build, times and version come from the deployment's own spans."""
    found = overview(records(deployment(), read(9, held=TWO)))
    assert found.title == "no fault found"
    assert found.trace_id == "d1".rjust(32, "0")
    assert (found.app_name, found.environment_name) == ("shop", "production")
    assert (found.environment_id, found.build_id) == ("env-prod", "build-1")
    assert (found.endpoint_count, found.flash_version) == (2, "1.14.0")
    assert (found.started_ns, found.duration_ns) == (EPOCH_NS, 6_200_000_000)
    assert (found.outcome, found.is_running) == (sc.RETURNED, False)
    assert readers_line(found) == "1 worker read it: fine"


def test_a_deployment_that_nobody_has_read_is_called_so() -> None:
    """Nothing speaks for a fault; what is missing is a read. A failed one is called failed."""
    unread = overview(records(deployment()))
    assert (unread.verdict, unread.title, unread.label) == (
        sc.INCONCLUSIVE,
        "no read yet",
        sc.INCONCLUSIVE,
    )
    assert not unread.has_ended_badly
    failed = overview(SCENES["a build that failed"].make())
    assert (failed.is_fault, failed.has_ended_badly) == (False, True)


def test_a_fault_of_the_read_path_is_visible_on_the_read() -> None:
    """The deployment's span is evidence to compare with; the worker's read shows the fault."""
    found = overview(SCENES["a worker asks for an environment that exists"].make())
    assert [mark.shows_fault for mark in found.marks] == [False, True]
    assert found.title == "The worker reads a different environment from the deployed one"


def test_a_fault_of_the_write_path_is_visible_on_the_step_that_failed() -> None:
    """The activation that returned before it is evidence only."""
    found = overview(SCENES["one endpoint fails half-way"].make())
    assert [mark.shows_fault for mark in found.marks] == [True, False]


def test_a_deployment_that_runs() -> None:
    """A deployment without an end is running only if its process is known to run."""
    begun = deployment()
    begun["deploy"] = replace(begun["deploy"], end_ns=None)
    made = records(begun)
    assert (overview(made, runs=True).is_running, overview(made, runs=True).title) == (
        True,
        RUNNING,
    )
    assert not overview(made).is_running
    assert overview(made).duration_ns is None


def test_notes_stand_beside_the_verdict() -> None:
    """That an environment was created is no fault, and the verdict does not hide it."""
    found = overview(SCENES["an environment that was created beside others"].make())
    assert found.verdict == sc.NONE
    assert [note for note in found.notes if "created environment 'production'" in note]


def test_bracketed_lines_name_no_trace() -> None:
    """The ids of spans that were rebuilt from lines are made up, and their times are unknown."""
    lines = [
        replace(span, scope_name=LINES_SCOPE, start_ns=0, end_ns=0, resource={})
        for name, span in deployment().items()
        if name in ("activate", "upload")
    ]
    found = overview(lines)
    assert (found.trace_id, found.started_ns, found.duration_ns) == (None, None, None)
    assert found.build_id == "build-1"


@pytest.mark.parametrize(
    ("reads", "line"),
    [
        (
            WorkerReads(12, results=(ReadResult(FINE, 11), ReadResult("got no endpoints", 1))),
            "12 workers read it: 11 fine, 1 got no endpoints",
        ),
        (WorkerReads(3, results=(ReadResult(FINE, 3),)), "3 workers read it: all fine"),
        (
            WorkerReads(2, results=(ReadResult("got refused", 2),)),
            "2 workers read it: 2 got refused",
        ),
        (
            WorkerReads(1, is_by_worker=False, results=(ReadResult("asked nothing", 1),)),
            "1 read of it: asked nothing",
        ),
        (WorkerReads(), "no worker's read is recorded"),
        (
            WorkerReads(calls=5, failed_calls=2, reads_manifests=False),
            "calls in workers of Flash 1.21.0 read no manifest; 5 remote calls, 2 failed",
        ),
    ],
)
def test_the_line_about_the_readers(reads: WorkerReads, line: str) -> None:
    """One line counts the workers by what they got, and their calls."""
    known = Overview(sc.NONE, "", deployment_id="d", flash_version="1.21.0", worker_reads=reads)
    assert readers_line(known) == line


def test_without_a_deployment_there_is_no_line_about_readers() -> None:
    """Of reads alone it is not known what they should have got."""
    assert readers_line(overview(records(read(9, held=TWO)))) == ""


@pytest.mark.parametrize("is_of_lines", [True, False])
def test_the_traces_of_lines_are_not_named(*, is_of_lines: bool) -> None:
    """The ids of traces that were rebuilt from lines are made up: no command can ask for them."""
    made = records(deployment(), read(9, held=TWO))
    if is_of_lines:
        made = [replace(record, scope_name=LINES_SCOPE) for record in made]
    (found,) = diagnosis_json(diagnose(made, limits=Limits(now_ns=NOW_NS)))["deployments"]
    assert bool(found["trace_ids"]) != is_of_lines
