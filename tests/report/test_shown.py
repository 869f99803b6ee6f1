"""Traces with an overview, on terminals and pipes: what stands where, and that all of it fits."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.recordings import (
    NOW_NS,
    TWO,
    call,
    changed,
    deployment,
    failed_read,
    moved,
    read,
    records,
)
from diagnosis.scenes import NO_KEY, SCENES
from report.terminals import LONG, WIDTHS, assert_styles, printed, with_long_ids
from rich.cells import cell_len
from support.samples import EPOCH_NS, OTHER, TRACE, span

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.records import LINES_SCOPE, SpanRecord
from flash_otel.report.layout import UNICODE, Page, page_for, print_lines
from flash_otel.report.overview import RUNNING, Overview, overview_of
from flash_otel.report.trace import trace_lines
from flash_otel.report.view import view_of
from flash_otel.report.words import moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")


def shown(
    recording: Sequence[SpanRecord],
    width: int = 100,
    *,
    terminal: bool = True,
    color: bool = False,
    is_running: bool = False,
    part: Sequence[SpanRecord] | None = None,
    **options: Any,
) -> str:
    """Return what `show` prints of a recording, or of some of its records."""
    some = recording if part is None else part
    runs = lambda _: is_running  # noqa: E731 - two users
    [judged, *_] = diagnose(recording, limits=Limits(now_ns=NOW_NS, is_running=runs)).judged

    def render(console: Console) -> None:
        overview = overview_of(judged, some, runs)
        view = view_of(page_for(console), some, overview, **options)
        lines = trace_lines(some, view, "flash-otel diagnose --trace d1")
        assert_styles(lines)
        print_lines(lines, console)

    return printed(render, width, terminal=terminal, color=color)


def assert_fits(text: str, width: int, ids: Sequence[str]) -> None:
    """Check that no line is longer than the terminal is wide, and that no id is broken."""
    lines = ESCAPE.sub("", text).splitlines()
    assert [line for line in lines if cell_len(line) > width] == []
    words = set(re.findall(r"[\w-]+", "\n".join(lines)))
    for identifier in ids:
        pieces = [word for word in words if len(word) > 8 and word in identifier]
        # A piece would be the end of an id, or a beginning that breaks off at the edge.
        assert {piece for piece in pieces if not identifier.startswith(piece)} == set()
        assert all(len(piece) in (len(identifier), 12) for piece in pieces), pieces


@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_fits_a_terminal(scene: str) -> None:
    """At any width, no line is too long, no id is broken, and colours change no character."""
    recording = with_long_ids(SCENES[scene].make())
    if not recording:
        return
    for width in WIDTHS:
        plain = shown(recording, width)
        assert_fits(plain, width, list(LONG.values()))
        assert ESCAPE.sub("", shown(recording, width, color=True)) == plain, width
        for identifier in LONG.values():
            if identifier[:8] in plain:
                assert identifier in plain, width


@pytest.mark.parametrize("scene", SCENES)
def test_a_pipe_gets_whole_lines(scene: str) -> None:
    """The output of a pipe is the same at any width of the terminal, with whole ids."""
    recording = with_long_ids(SCENES[scene].make())
    if not recording:
        return
    piped = shown(recording, 80, terminal=False)
    assert "\x1b" not in piped
    assert "Ids in full" not in piped
    for line in piped.splitlines():
        assert not re.search(r"=[0-9a-f]{8}( |$)", line)


@pytest.mark.parametrize("scene", [name for name, scene in SCENES.items() if scene.make()])
def test_the_verdict_comes_first(scene: str) -> None:
    """The first line has the verdict in words and, for a fault, its code."""
    recording = SCENES[scene].make()
    first = shown(recording, 140).splitlines()[0]
    [judged, *_] = diagnose(recording, limits=Limits(now_ns=NOW_NS)).judged
    verdict, has_failed = judged.verdict, judged.deployment.outcome == sc.FAILED
    unclear = "✗ the deployment failed (inconclusive): " if has_failed else "? inconclusive: "
    if judged.is_unread:
        unclear = "? no read yet: "
    marks = {sc.NONE: "✓ no fault found: ", sc.INCONCLUSIVE: unclear}
    assert first.startswith(marks.get(verdict, f"✗ {verdict}"))
    if verdict not in marks:
        assert sc.FAULTS[verdict][:40] in first


def test_a_fault_is_marked_at_its_span() -> None:
    """The read that asked elsewhere says so in red; the ids that differ stand out."""
    text = shown(SCENES["a worker asks for an environment that exists"].make(), color=True)
    assert "\x1b[1;31m✗ environment_mismatch: \x1b[0m" in text
    plain = ESCAPE.sub("", text)
    [row] = [line for line in plain.splitlines() if line.endswith("  fault")]
    assert row.startswith("flash.runtime.fetch")
    [colored] = [line for line in text.splitlines() if ESCAPE.sub("", line) == row]
    assert colored.endswith("\x1b[1;31m  fault\x1b[0m")
    assert "environment_id=env-stag (deployed: env-prod)" in plain
    assert re.search(r"\x1b\[1;33menvironment_id=env-stag \(deployed: env-prod\)\x1b\[0m", text)
    assert "build_id=build-2 (deployed: build-1)" in plain


def test_the_deployments_own_ids_do_not_stand_out() -> None:
    """Ids that match have no remark, and a child does not repeat those of its parent."""
    text = shown(records(deployment(), read(9, held=TWO)))
    assert "(deployed: " not in text
    assert text.count("environment_id=env-prod build_id=build-1 endpoint_count=2") == 2


def test_the_cause_of_a_failed_step_is_not_repeated() -> None:
    """A step whose failure is the fault has one line for it."""
    text = shown(SCENES["one endpoint fails half-way"].make(), 140)
    assert text.count("✗ provisioning_failed: ") == 2  # the verdict, and the step
    assert "What to do: The new build is active without its endpoints" in text


def test_a_failed_deployment_without_a_fault_has_failed() -> None:
    """A build that failed is no fault of Flash; its cause is shown, once below its span."""
    text = shown(SCENES["a build that failed"].make(), 140)
    assert text.startswith("✗ the deployment failed (inconclusive): ")
    assert text.partition("\n\n")[2].count("SyntaxError: bad") == 1


def test_waiting_is_folded_and_labelled() -> None:
    """A worker's read, and the call of another clock, have the time since the deployment."""
    host = {"host.name": "laptop"}
    near = [replace(span, resource={**span.resource, **host}) for span in read(198.2, held=TWO)]
    text = shown(records(deployment(), near, [call(498.2, host="pod")]))
    assert "⋯ worker read 3 min 12 s later\n" in text
    assert "⋯ call 8 min 12 s later, by its own clock\n" in text
    [row] = [line for line in text.splitlines() if line.startswith("flash.runtime.fetch")]
    assert row.count("┊") == 2


def test_a_read_by_a_clock_that_is_behind_is_earlier() -> None:
    """A worker's span before the deployment is not placed after it."""
    late = [moved(span, -700) for span in read(9, held=TWO)]
    assert "⋯ worker read 11 min 30 s earlier, by its own clock\n" in shown(
        records(deployment(), late)
    )


def test_what_happened_to_the_readers_is_one_line() -> None:
    """Workers are counted by what they got."""
    fine = [read(9 + n, number=f"{n}", instance=f"worker-{n}", held=TWO) for n in range(11)]
    empty = read(30, number="30", instance="late", phase=sc.PHASE_BUILD)
    text = shown(records(deployment(), *fine, empty))
    assert "\n12 workers read it: 11 fine, 1 got no endpoints\n" in text


def test_many_reads_fold_to_one_row_with_their_durations() -> None:
    """Of twelve reads, the eleven that are fine are one row; the one at fault is open."""
    fine = [
        read(9 + n, number=f"{n}", instance=f"worker-{n}", held=TWO, lasting=0.3 + n / 10)
        for n in range(11)
    ]
    empty = read(30, number="30", instance="late", phase=sc.PHASE_BUILD)
    text = shown(records(deployment(), *fine, empty), 140)
    assert "flash.runtime.fetch \N{MULTIPLICATION SIGN}11" in text
    assert "(min 300 ms, median 800 ms, max 1.30 s, 11 more spans inside)" in text
    assert text.count("  fault\n") == 1


def test_traces_that_are_not_shown_are_counted() -> None:
    """If some traces of its workers are left out, their number is known."""
    reads = [read(9 + n, number=f"{n}", held=TWO) for n in range(5)]
    recording = records(deployment(), *reads)
    assert "\nLinked traces: 5\n" in shown(recording)
    left = [span for span in recording if span.trace_id[-2:] in ("d1", "a1", "a2")]
    assert "\nLinked traces: 2 of 5\n" in shown(recording, part=left)


def test_a_running_deployment() -> None:
    """While it runs there is no verdict yet; open steps show how long they have been running."""
    begun = deployment()
    del begun["provision"], begun["upload"], begun["gpu"], begun["web"]
    begun["deploy"] = replace(begun["deploy"], end_ns=None)
    recording = records(begun)
    now_ns = recording[0].start_ns + 4_000_000_000
    text = shown(recording, is_running=True, now_ns=now_ns)
    assert text.startswith("⋯ the deployment is running\n")
    assert re.search(r"\ntrace 0+d1  running\n", text)
    [row] = [line for line in text.splitlines() if line.startswith("flash.deploy")]
    assert "4.00 s" in row
    assert row.endswith("  running")
    assert "What to do" not in text


def test_lines_without_times_have_no_times_durations_or_ids() -> None:
    """Nothing is invented for a log without clocks: no year, no duration, no bar, no trace id."""
    lines = [
        replace(span, scope_name=LINES_SCOPE, start_ns=0, end_ns=0, origin=f"deploy.log:{line}")
        for line, span in enumerate(records(deployment(), read(9, held=TWO)), 1)
        if span.name in (sc.ACTIVATE, sc.MANIFEST_UPLOAD, sc.RUNTIME_FETCH)
    ]
    for terminal in (True, False):
        text = shown(lines, terminal=terminal)
        assert not re.search(r"1970|[0-9] ms|━|[0-9a-f]{32}| later", text)
        assert "read from deploy.log:" in text


def test_a_log_without_times_beside_spans_with_times() -> None:
    """Only the rows that have times have durations and bars."""
    made = deployment()
    lines = [
        replace(span, scope_name=LINES_SCOPE, start_ns=0, end_ns=0, origin="deploy.log:1")
        for name, span in made.items()
        if name == "activate"
    ]
    text = shown([*lines, *read(9, held=TWO)])
    rows = text.splitlines()
    [step] = [line for line in rows if line.startswith("flash.activate")]
    [fetch] = [line for line in rows if line.startswith("flash.runtime.fetch")]
    assert step.strip() == "flash.activate"
    assert "300 ms" in fetch
    assert "1970" not in text


@pytest.mark.parametrize("is_log", [False, True])
def test_what_belongs_to_a_deployment_beside_its_trace(*, is_log: bool) -> None:
    """Other traces are counted; what a log has of them is no trace."""
    reads = read(9, held=TWO)
    if is_log:
        reads = [replace(span, scope_name=LINES_SCOPE, origin="worker.log:1") for span in reads]
    rows = shown(records(deployment(), reads)).splitlines()
    assert ("From other logs and traces" in rows) is is_log
    assert ("Linked traces: 1" in rows) is not is_log


def test_ids_that_begin_alike_are_shown_so_that_they_differ() -> None:
    """Short ids are as long as they must be."""
    first, second = f"build-{'0' * 20}-one", f"build-{'0' * 20}-two"
    made = {name: _renamed(span, first) for name, span in deployment().items()}
    stale = [_renamed(span, second) for span in read(9, held=TWO)]
    text = shown(records(made, stale))
    assert f"build_id={second[:28]} (deployed: {first[:28]})" in text
    assert text.partition("\n\nIds in full\n")[2].splitlines() == [
        f"  build        {second}",
        f"  build        {first}",
    ]


def test_an_id_of_neither_an_environment_nor_a_build_is_listed_without_its_kind() -> None:
    """A sentence may shorten the id of the build before."""
    previous = "2a5c26b1-e8c0-4dca-99df-0f25256d47c1"
    record = span(1, None, sc.DEPLOY, 0, 1, attributes={sc.PREVIOUS_BUILD_ID: previous})
    overview = replace(SOUND, sentence="It replaces 2a5c26b1….")
    lines = trace_lines([record], view_of(Page(100, 40, UNICODE), [record], overview))
    texts = ["".join(part.text for part in line) for line in lines]
    assert texts[0] == "✓ no fault found: It replaces 2a5c26b1."
    assert texts[-2:] == ["Ids in full", f"  {'':<11}  {previous}"]


def _renamed(span: SpanRecord, build: str) -> SpanRecord:
    return changed(span, build_id=build) if sc.BUILD_ID in span.attributes else span


def test_the_shown_trace_may_be_that_of_a_worker() -> None:
    """A worker's trace is named beside that of its deployment, and lies on the same axis."""
    recording = records(read(198.2, held=TWO), deployment())
    text = shown(recording)
    assert re.search(r"\ntrace 0+a1  returned\ndeployment trace 0+d1  returned in 6.20 s\n", text)
    assert "Linked traces: 1\n⋯ deployment 3 min 12 s earlier" in text


def test_a_verdict_that_is_not_certain_says_so() -> None:
    """The confidence, and the evidence that would decide, stand beside the verdict."""
    text = shown(SCENES["a null manifest"].make(), 140)
    assert text.startswith("✗ manifest_not_persisted (likely): ")
    assert "  Missing: what the State Manager holds now" in text
    assert "  Next: flash-otel verify --app shop --env production\n" in text


def test_a_missing_key_is_named_at_the_read() -> None:
    """Several findings on one recording have their marks, each with its code."""
    text = shown(records(deployment(), failed_read(9, *NO_KEY)), 140)
    assert "✗ unauthorized: RunpodAPIKeyError: RUNPOD_API_KEY environment variable" in text


def test_a_note_that_is_broken_keeps_the_lines_of_the_tree() -> None:
    """On a narrow terminal, each line of a note stands behind the same guides."""
    recording = with_long_ids(SCENES["the first build stays active, with endpoints"].make())
    rows = shown(recording, 60).splitlines()
    [first] = [number for number, row in enumerate(rows) if row.endswith("  fault")]
    last = next(number for number, row in enumerate(rows) if "manifest.fetch" in row)
    assert last - first > 4
    assert all(row.startswith("│  ") for row in rows[first + 1 : last])


@pytest.mark.parametrize("command", ["", "flash deploy"])
def test_the_next_command_of_a_fault(command: str) -> None:
    """It is that of the verdict, else the one that shows more of the fault."""
    recording = SCENES["a worker asks for an environment that exists"].make()
    [judged, *_] = diagnose(recording, limits=Limits(now_ns=NOW_NS)).judged
    overview = replace(overview_of(judged, recording), command=command)
    page = Page(100, 40, UNICODE)

    def following(overview: Overview, recording: Sequence[SpanRecord]) -> list[str]:
        lines = trace_lines(recording, view_of(page, recording, overview), "flash-otel diagnose")
        texts = ["".join(part.text for part in line) for line in lines]
        return [text.strip() for text in texts if text.startswith("  Next: ")]

    assert following(overview, recording) == [f"Next: {command or 'flash-otel diagnose'}"]
    sound = SCENES["a first deployment and a read"].make()
    [judged, *_] = diagnose(sound, limits=Limits(now_ns=NOW_NS)).judged
    assert following(replace(overview_of(judged, sound), command=""), sound) == []


def test_a_note_stands_beside_the_verdict() -> None:
    """That an environment was created is no fault, and is not hidden by the verdict."""
    text = shown(SCENES["an environment that was created beside others"].make(), 140)
    assert text.startswith("✓ no fault found: ")
    assert "\n  Note: The deployment created environment 'production'" in text


def test_very_many_ids_are_counted() -> None:
    """Of the whole ids below a trace, the first ones are listed, and the others counted."""
    reads = [
        _renamed(span, f"{n:08}-build-of-someone-else")
        for n in range(30)
        for span in read(9 + n, number=f"{n}", held=TWO)
    ]
    text = shown(records(deployment(), reads))
    assert text.count("-build-of-someone-else\n") == 20
    assert text.endswith("  10 more; --json has all\n")
    assert shown(records(deployment(), reads[:-20])).count("-build-of-someone-else\n") == 20
    assert "--json has all" not in shown(records(deployment(), reads[:-20]))


DEPLOYED: Final = span(1, None, sc.DEPLOY, 0, 4000)
FROM_LINES: Final = replace(DEPLOYED, scope_name=LINES_SCOPE)
SOUND: Final = Overview(sc.NONE, "no fault found", "All agree.", deployment_id="d")
STALE: Final = replace(
    SOUND, verdict=sc.STALE_BUILD, title="The build is old", sentence="It is old.", is_fault=True
)
RUNS: Final = replace(
    SOUND, verdict=sc.INCONCLUSIVE, title=RUNNING, is_running=True, outcome="unfinished"
)
IDENTITY: Final[dict[str, Any]] = {
    "app_name": "shop",
    "environment_name": "prod",
    "environment_id": "env-1",
    "build_id": "build-1",
    "started_ns": EPOCH_NS,
    "flash_version": "1.14.0",
}
NEXT_STEPS: Final[dict[str, Any]] = {
    "notes": ("A note.", "Another."),
    "remedy": "Deploy again.",
    "missing": ("a read", "a log"),
}
NO_READ: Final = "No worker's read is recorded"
OF_TRACE: Final = f"trace {TRACE}  returned"
STARTED: Final = moment(EPOCH_NS, has_zone=True)


@pytest.mark.parametrize(
    ("overview", "record", "lines"),
    [
        (SOUND, DEPLOYED, ["✓ no fault found: All agree.", "", NO_READ, OF_TRACE]),
        (
            replace(SOUND, confidence="likely"),
            FROM_LINES,
            ["✓ no fault found (likely): All agree.", "", NO_READ],
        ),
        (replace(SOUND, deployment_id=""), FROM_LINES, ["✓ no fault found: All agree.", ""]),
        (
            replace(SOUND, trace_id=TRACE, outcome="returned", duration_ns=4_000_000_000),
            DEPLOYED,
            ["✓ no fault found: All agree.", "", NO_READ, f"{OF_TRACE} in 4.00 s"],
        ),
        (
            replace(SOUND, trace_id=OTHER, outcome="unfinished", **IDENTITY),
            replace(DEPLOYED, end_ns=None),
            [
                *("✓ no fault found: All agree.", ""),
                f"app shop  environment prod  build build-1  {STARTED}  Flash 1.14.0",
                *(NO_READ, f"trace {TRACE}  unfinished (still running, or killed)"),
                f"deployment trace {OTHER}  unfinished (killed?)",
            ],
        ),
        (
            replace(SOUND, trace_id=TRACE, environment_id="env-1", outcome=None),
            DEPLOYED,
            ["✓ no fault found: All agree.", "", "environment env-1", NO_READ],
        ),
        (
            replace(SOUND, outcome="returned", duration_ns=5),
            FROM_LINES,
            ["✓ no fault found: All agree.", "", NO_READ],
        ),
        (
            replace(STALE, confidence="possible", **NEXT_STEPS),
            FROM_LINES,
            [
                *("✗ stale_build (possible): The build is old.", "  It is old."),
                *("  Note: A note.", "  Note: Another.", "  What to do: Deploy again."),
                *("  Missing: a read", "  Missing: a log", "  Next: look further", "", NO_READ),
            ],
        ),
        (
            replace(STALE, sentence="The build is old.", command="verify", is_running=True),
            FROM_LINES,
            ["✗ stale_build: The build is old.", "  Next: verify", "", NO_READ],
        ),
        (
            replace(RUNS, trace_id=TRACE, duration_ns=5, **{**NEXT_STEPS, "remedy": ""}),
            DEPLOYED,
            [
                *(f"⋯ {RUNNING}", "  Note: A note.", "  Note: Another.", "", NO_READ),
                f"trace {TRACE}  running",
            ],
        ),
        (
            replace(RUNS, title="no read yet", is_running=False, command="verify", missing=("a",)),
            FROM_LINES,
            ["? no read yet: All agree.", "  Missing: a", "  Next: verify", "", NO_READ],
        ),
        (
            Overview(sc.INCONCLUSIVE, "the deployment was cancelled", "Why?", outcome="cancelled"),
            FROM_LINES,
            ["✗ the deployment was cancelled (inconclusive): Why?", ""],
        ),
    ],
    ids=[
        *("sound", "likely", "of no deployment", "in its own trace", "in another trace"),
        *("without an end", "of lines", "a fault", "a short fault", "running", "unread"),
        "cancelled",
    ],
)
def test_what_stands_above_a_trace(
    overview: Overview, record: SpanRecord, lines: list[str]
) -> None:
    """The verdict, what to do, what was deployed, what its workers got, and how it ended.

    One empty line separates them from the spans, and each style is one of Rich's.
    """
    view = view_of(Page(None, 20, UNICODE), [record], overview)
    found = trace_lines([record], view, "look further")
    texts = ["".join(part.text for part in line) for line in found]
    body = next(number for number, text in enumerate(texts) if text.startswith(sc.DEPLOY))
    assert texts[:body] == [*lines, *([""] if lines[-1] else [])]
    assert_styles(found)
