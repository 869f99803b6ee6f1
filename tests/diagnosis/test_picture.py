"""The picture of a fault: what happened in which order, beside what the State Manager held."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from diagnosis.logs import TIMES, UNTIMED, read_logs, written_logs
from diagnosis.recordings import NOW_NS, TWO, deployment, read, records, stopped
from diagnosis.scenes import SCENES

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.findings import MOST_EXHIBITS
from flash_otel.diagnosis.picture import LONG_WAIT_S, MOST_MARKS, ManifestState, state_texts
from flash_otel.diagnosis.picture_events import ACTIVATION, READ, WRITE
from flash_otel.diagnosis.tables import RUNTIME

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flash_otel.diagnosis.judge import Judged
    from flash_otel.diagnosis.picture import Picture, PictureMark
    from flash_otel.records import SpanRecord


def judged(recording: Iterable[SpanRecord]) -> Judged:
    """Return the first result of a diagnosis."""
    return diagnose(recording, limits=Limits(now_ns=NOW_NS)).judged[0]


def picture(recording: Iterable[SpanRecord]) -> Picture:
    """Return the picture of a recording's first result."""
    found = judged(recording).picture
    assert found is not None
    return found


def marked(found: Picture) -> list[PictureMark]:
    """Return the marks that the verdict rests on."""
    return [mark for mark in found.marks if mark.is_marked]


@pytest.mark.parametrize(
    ("state", "texts"),
    [
        (ManifestState(), ["not recorded"]),
        (ManifestState("build-1", 2), ["not recorded"]),
        (ManifestState(has_build=False), ["no active build"]),
        (ManifestState(has_build=False, as_read=True), ["no active build"]),
        (ManifestState(has_build=True), ["a build"]),
        (ManifestState("build-1", has_build=True), ["build-1"]),
        (ManifestState("build-1", 0, has_build=True), ["build-1", "no endpoints"]),
        (ManifestState("build-1", 1, has_build=True), ["build-1", "1 endpoint"]),
        (ManifestState("build-1", has_build=True, as_read=True), ["build-1", "as read"]),
        (
            ManifestState("build-1", 2, has_build=True, is_deployed=True, as_read=True),
            ["build-1 (deployed)", "2 endpoints, as read"],
        ),
    ],
)
def test_a_state_in_words(state: ManifestState, texts: list[str]) -> None:
    """The active build, and below it what is known of its manifest."""
    assert list(state_texts(state)) == texts


@pytest.mark.parametrize("scene", SCENES)
def test_a_mark_that_the_verdict_rests_on_is_its_evidence(scene: str) -> None:
    """A marked read is among the evidence of the finding; without a fault, nothing is marked."""
    result = judged(SCENES[scene].make())
    if result.picture is None:
        assert not result.deployment.id
        return
    decisive = next(each for each in result.findings if each.code == result.verdict)
    evidence = {exhibit.origin for exhibit in decisive.evidence}
    named = {mark.origin for mark in marked(result.picture)}
    assert named <= evidence
    assert bool(named) == (result.verdict != sc.NONE and bool(evidence))


@pytest.mark.parametrize("scene", SCENES)
def test_times_of_one_clock_are_in_order(scene: str) -> None:
    """Among the marks by the deployment's clock, no later one comes before an earlier one."""
    found = judged(SCENES[scene].make()).picture
    marks = found.marks if found else ()
    times = [mark.seconds for mark in marks if mark.same_clock and mark.seconds is not None]
    assert times == sorted(times)


@pytest.mark.parametrize("scene", SCENES)
def test_the_order_of_the_input_changes_nothing(scene: str) -> None:
    """A picture is the same for shuffled records."""
    recording = SCENES[scene].make()
    shuffled = random.Random(scene).sample(recording, len(recording))  # noqa: S311 - no secret
    assert judged(shuffled).picture == judged(recording).picture


def test_a_read_before_the_write() -> None:
    """The read is between activation and write, where the active build holds no endpoints."""
    found = picture(SCENES["a read in the open window, on one clock"].make())
    assert [(mark.kind, mark.is_marked) for mark in found.marks] == [
        ("start", False),
        (ACTIVATION, False),
        (READ, True),
        (WRITE, False),
    ]
    (early,) = marked(found)
    assert early.state == ManifestState("build-1", 0, has_build=True, is_deployed=True)
    assert early.differs == ("endpoint_count",)
    assert found.marks[-1].state == ManifestState("build-1", 2, has_build=True, is_deployed=True)


def test_a_clock_does_not_overrule_causality() -> None:
    """A read that the write followed comes before it, even on a clock ten minutes ahead."""
    scene = "a read in the open window, ten minutes ahead, and a later one"
    found = picture(SCENES[scene].make())
    kinds = [mark.kind for mark in found.marks]
    assert kinds == ["start", ACTIVATION, READ, WRITE, READ]
    assert all(mark.wait_s is None for mark in found.marks), "waits by a clock that is off"


def test_a_stale_build() -> None:
    """The read build replaces the deployed one from the read on, as no deployment put it there."""
    scene = "the replaced build is still active for an older worker, on one clock"
    found = picture(SCENES[scene].make())
    assert found.before == ManifestState("build-7", None, has_build=True)
    (stale,) = marked(found)
    assert stale.state == ManifestState("build-7", 2, has_build=True, as_read=True)
    assert (stale.differs, stale.build_id, found.build_id) == (("build_id",), "build-7", "build-1")
    assert stale.wait_s is not None
    assert stale.wait_s >= LONG_WAIT_S


def test_another_environment_changes_nothing_here() -> None:
    """A read of another environment is marked, and the state of the deployed one stays."""
    found = picture(SCENES["a worker asks for an environment that exists"].make())
    (astray,) = marked(found)
    assert astray.environment_id == "env-stag"
    assert "environment_id" in astray.differs
    assert astray.state == found.marks[-2].state


def test_what_the_answer_to_the_upload_stored() -> None:
    """The write shows the number of endpoints that the server stored, not the sent one."""
    found = picture(SCENES["the server says that it stored one of two"].make())
    (write,) = marked(found)
    assert write.kind == WRITE
    assert write.state == ManifestState("build-1", 1, has_build=True, is_deployed=True)


def test_an_ignored_activation_leaves_the_state() -> None:
    """An answer that names another artifact makes no build active."""
    found = picture(SCENES["the activation puts another artifact in place"].make())
    (activation,) = marked(found)
    assert activation.state == found.before


def test_doubt_about_the_order_is_shown() -> None:
    """A read whose place nothing decides comes last, and shows only what it has read."""
    found = picture(SCENES["a drop or a race, within the skew"].make())
    (doubtful,) = marked(found)
    assert not doubtful.is_ordered
    assert doubtful is found.marks[-1]
    assert doubtful.state == ManifestState(
        "build-1", 0, has_build=True, is_deployed=True, as_read=True
    )


def test_a_deployment_without_an_end() -> None:
    """A killed deployment has a mark for its missing end, after all that it did, without a time."""
    found = picture(SCENES["killed between activation and write"].make())
    (end,) = marked(found)
    assert end is found.marks[-1]
    assert (end.text, end.seconds) == ("the deployment did not end", None)


@pytest.mark.parametrize("scene", SCENES)
def test_logs_without_times(tmp_path: Path, scene: str) -> None:
    """Nothing is invented for them: no seconds, no waits, no order that only clocks show."""
    logs = written_logs(SCENES[scene].make(), UNTIMED)
    found = judged(read_logs(tmp_path, logs)).picture
    for mark in found.marks if found else ():
        assert (mark.seconds, mark.wait_s, mark.last_seconds) == (None, None, None)


def test_an_order_that_lines_prove(tmp_path: Path) -> None:
    """A read that holds the write follows it, with or without times."""
    made = records(deployment(), read(10, held=TWO))
    for times in TIMES:
        folder = tmp_path / times
        folder.mkdir()
        found = picture(read_logs(folder, written_logs(made, times)))
        whole = found.marks[-1]
        assert whole.kind == READ
        assert whole.is_ordered, times


def test_many_reads_are_few_marks() -> None:
    """Similar reads are one mark with their number; of different ones, the marked ones stay."""
    same = [each for number in range(50) for each in read(10 + number, number=f"b{number}")]
    found = picture(records(deployment(), same))
    reads = [mark for mark in found.marks if mark.lane == RUNTIME]
    assert [mark.count for mark in reads] == [50]
    others = [
        each
        for number in range(60)
        for each in read(
            20 + number,
            number=f"c{number}",
            env_id=f"env-{number}",
            build=100 + number,
            instance=f"w{number}",
        )
    ]
    found = picture(records(deployment(), others))
    assert sum(mark.lane == RUNTIME for mark in found.marks) == MOST_MARKS
    assert found.left_out == 60 - MOST_MARKS
    assert len(marked(found)) == MOST_EXHIBITS


def test_there_is_no_picture_without_a_deployment() -> None:
    """Reads alone show no state that a deployment made."""
    assert judged(read(10, held=TWO)).picture is None


def test_what_another_deployment_did_not_achieve_is_left_out() -> None:
    """Of another deployment, only what returned is marked: the rest has changed no state."""
    refused = stopped(deployment(2, at=-1), "activate", error=("RuntimeError", "no"))
    for other, shown in ((deployment(2, at=-1), True), (refused, False)):
        found = picture(records(deployment(), other, read(10, held=TWO)))
        assert any("another deployment" in mark.text for mark in found.marks) is shown
