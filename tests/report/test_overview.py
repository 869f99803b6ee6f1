"""What is known of a deployment, above its trace and in its page."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from diagnosis.recordings import (
    EPOCH_NS,
    NOW_NS,
    TWO,
    call,
    deployment,
    read,
    records,
    unsound,
)
from diagnosis.scenes import SCENES

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.findings import NOTES
from flash_otel.diagnosis.worker_reads import FINE, ReadResult, WorkerReads
from flash_otel.records import LINES_SCOPE, SpanRecord
from flash_otel.report.json import diagnosis_json
from flash_otel.report.overview import (
    RUNNING,
    Mark,
    Overview,
    diagnosis_label,
    overview_of,
    readers_line,
    traces_around,
    verdict_label,
)

if TYPE_CHECKING:
    from flash_otel.diagnosis.judge import Judged


def judged_of(recording: list[SpanRecord]) -> Judged:
    """Return what a diagnosis finds about the first deployment of a recording."""
    return diagnose(recording, limits=Limits(now_ns=NOW_NS)).judged[0]


def overview(recording: list[SpanRecord], *, runs: bool | None = None) -> Overview:
    """Return the overview of a recording."""
    diagnosis = diagnose(recording, limits=Limits(now_ns=NOW_NS, is_running=lambda _: runs))
    return overview_of(diagnosis.judged[0], recording, lambda _: runs)


@pytest.mark.parametrize("scene", SCENES)
def test_it_has_the_verdict_of_the_diagnosis(scene: str) -> None:
    """Verdict, sentence, remedy and next steps are those of `diagnose` on the same spans."""
    made = SCENES[scene].make()
    found = overview(made)
    diagnosis = diagnose(made, limits=Limits(now_ns=NOW_NS))
    judged = diagnosis.judged[0]
    finding = next(known for known in diagnosis.findings if known.code == found.verdict)
    is_fault = found.verdict not in (sc.NONE, sc.INCONCLUSIVE)
    assert (found.verdict, found.is_fault) == (diagnosis.verdict, is_fault)
    assert (found.sentence, found.confidence) == (finding.sentence, finding.confidence)
    assert found.remedy == (finding.remedy_deployer if is_fault else "")
    assert (found.missing, found.command) == (finding.missing, finding.command)
    assert found.notes == tuple(each.sentence for each in judged.findings if each.code in NOTES)
    assert found.deployment_id == judged.deployment.id
    assert found.outcome == (judged.deployment.outcome if judged.deployment.id else None)
    assert (found.worker_reads, found.trace_count) == (judged.worker_reads, judged.trace_count)


@pytest.mark.parametrize("scene", SCENES)
def test_the_evidence_is_marked(scene: str) -> None:
    """Each span that is evidence of more than agreement has a mark; a fault shows on one of them.

    Only the spans of a fault can show it.
    """
    made = SCENES[scene].make()
    judged = judged_of(made)
    found = overview_of(judged, made)
    assert [(mark.trace_id, mark.span_id, mark.code, mark.says) for mark in found.marks] == [
        (exhibit.origin.trace_id, exhibit.origin.span_id, finding.code, exhibit.says)
        for finding in judged.findings
        if finding.code != sc.NONE
        for exhibit in finding.evidence
    ]
    keys = {record.key for record in made}
    assert {(mark.trace_id, mark.span_id) for mark in found.marks} <= keys
    faults = {finding.code for finding in judged.findings if finding.is_fault}
    assert {mark.code for mark in found.marks if mark.shows_fault} == faults


def test_a_fault_shows_on_the_worker_else_on_what_failed_else_everywhere() -> None:
    """The spans that a fault's own spans are compared with do not show it."""
    broken = unsound(deployment()["deploy"], "builtins.OSError", "full")
    sound, asked, called = deployment()["activate"], read(9, held=TWO), call(12)
    judged = judged_of(SCENES["a worker asks for an environment that exists"].make())
    [finding] = [each for each in judged.findings if each.is_fault]
    [exhibit, *_] = finding.evidence

    def showing(*spans: SpanRecord) -> list[SpanRecord]:
        evidence = tuple(
            replace(
                exhibit,
                origin=replace(exhibit.origin, trace_id=span.trace_id, span_id=span.span_id),
            )
            for span in spans
        )
        changed = replace(judged, findings=(replace(finding, evidence=evidence),))
        marks = overview_of(changed, spans).marks
        return [span for span, mark in zip(spans, marks, strict=True) if mark.shows_fault]

    assert showing(sound, broken, *asked, called) == [*asked, called]
    assert showing(sound, broken) == [broken]
    assert showing(sound, replace(sound, span_id="2" * 16)) == [
        sound,
        replace(sound, span_id="2" * 16),
    ]


def test_evidence_of_a_span_that_is_not_shown_has_a_mark_without_the_fault() -> None:
    """Whether the fault shows on a span that was left out is not known."""
    made = SCENES["a worker asks for an environment that exists"].make()
    judged = judged_of(made)
    marks = overview_of(judged, made[:1]).marks
    assert marks == tuple(replace(mark, shows_fault=False) for mark in overview(made).marks)
    assert all(isinstance(mark, Mark) for mark in marks)


def test_without_a_finding_the_verdict_is_open() -> None:
    """If nothing was looked for, nothing is claimed, and no step is advised."""
    made = records(deployment(), read(9, held=TWO))
    found = overview_of(replace(judged_of(made), findings=()), made)
    assert (found.verdict, found.title, found.sentence) == (sc.INCONCLUSIVE, sc.INCONCLUSIVE, "")
    assert (found.confidence, found.is_fault, found.remedy) == ("certain", False, "")
    assert (found.missing, found.command, found.notes, found.marks) == ((), "", (), ())


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


def test_a_deployment_without_an_end_runs_only_if_someone_knows() -> None:
    """Unless its process is asked for, a deployment without an end is not called running."""
    begun = deployment()
    begun["deploy"] = replace(begun["deploy"], end_ns=None)
    made = records(begun)
    judged = judged_of(made)
    assert not overview_of(judged, made).is_running
    ended = records(deployment())
    assert not overview_of(judged_of(ended), ended, lambda _: True).is_running


@pytest.mark.parametrize(
    ("outcome", "title"),
    [
        (sc.FAILED, "the deployment failed"),
        (sc.CANCELLED, "the deployment was cancelled"),
        (sc.UNKNOWN, sc.INCONCLUSIVE),
    ],
)
def test_the_end_of_a_deployment_that_no_fault_explains(outcome: str, title: str) -> None:
    """The title says how it ended; without a known end, it is the verdict, which is said once."""
    made = [
        unsound(span, "builtins.OSError", "full", outcome)
        for name, span in deployment().items()
        if name in ("deploy", "build")
    ]
    found = overview(made)
    assert (found.verdict, found.title) == (sc.INCONCLUSIVE, title)
    assert found.has_ended_badly == (outcome != sc.UNKNOWN)
    assert found.label == ("" if outcome == sc.UNKNOWN else sc.INCONCLUSIVE)


def test_a_deployment_without_its_first_span_has_the_least_of_its_traces() -> None:
    """Of steps in several traces, the choice does not depend on their order."""
    made = [span for name, span in deployment().items() if name in ("activate", "upload")]
    made[1] = replace(made[1], trace_id="1" * 32)
    for recording in (made, made[::-1]):
        assert overview(recording).trace_id == "d1".rjust(32, "0")


@pytest.mark.parametrize(
    ("scene", "label"),
    [
        ("a first deployment and a read", "no fault found"),
        ("a build that failed", sc.INCONCLUSIVE),
        ("a null manifest", sc.MANIFEST_NOT_PERSISTED),
    ],
)
def test_a_diagnosis_has_the_label_of_its_gravest_deployment(scene: str, label: str) -> None:
    """The label is the verdict in words, without any doubt."""
    diagnosis = diagnose(SCENES[scene].make(), limits=Limits(now_ns=NOW_NS))
    assert diagnosis_label(diagnosis) == label
    assert verdict_label(diagnosis.judged[0]) == label


def test_a_diagnosis_that_nobody_has_read_has_a_label_of_its_own() -> None:
    """Only a deployment with the verdict itself can be called unread."""
    diagnosis = diagnose(records(deployment()), limits=Limits(now_ns=NOW_NS))
    assert diagnosis_label(diagnosis) == "no read yet"
    assert verdict_label(diagnosis.judged[0]) == "no read yet"
    assert diagnosis_label(replace(diagnosis, verdict=sc.NONE)) == "no fault found"
    assert diagnosis_label(replace(diagnosis, judged=())) == sc.INCONCLUSIVE


def test_the_traces_around_a_trace() -> None:
    """First the trace itself and those of its jobs, then evidence, its own reads, and links to it.

    Each is named once, and a fact without a trace is left out.
    """
    made = SCENES["a worker asks for an environment that exists"].make()
    judged = replace(judged_of(made), trace_ids=("own", "asked", "", "its read"))
    linking = [replace(made[0], trace_id=name) for name in ("own", "linking")]
    evidence = [
        exhibit.origin.trace_id for finding in judged.findings for exhibit in finding.evidence
    ]
    found = traces_around("asked", judged, linking, ["job"])
    assert found == ["asked", "job", *dict.fromkeys(evidence), "own", "its read", "linking"]
    assert traces_around("asked", None, linking) == ["asked", "own", "linking"]


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
        (WorkerReads(calls=1), "no worker's read is recorded; 1 remote call"),
        (
            WorkerReads(1, results=(ReadResult("got refused", 1),), calls=2, failed_calls=1),
            "1 worker read it: got refused; 2 remote calls, 1 failed",
        ),
    ],
)
def test_the_line_about_the_readers(reads: WorkerReads, line: str) -> None:
    """One line counts the workers by what they got, and their calls."""
    known = Overview(sc.NONE, "", deployment_id="d", flash_version="1.21.0", worker_reads=reads)
    assert readers_line(known) == line


def test_the_readers_of_an_unknown_version() -> None:
    """Workers whose Flash is not known read no manifest either."""
    reads = WorkerReads(reads_manifests=False)
    known = Overview(sc.NONE, "", deployment_id="d", worker_reads=reads)
    assert readers_line(known) == "calls in workers read no manifest"


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
