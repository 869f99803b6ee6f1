"""The words of a diagnosis: environments by name, the end of the write, real names in commands."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.recordings import (
    NOW_NS,
    TWO,
    call,
    changed,
    deployment,
    read,
    records,
    stopped,
    unsound,
)
from diagnosis.scenes import SCENES, killed
from rich.console import Console

from flash_otel import semconv as sc
from flash_otel.cli.app import status_of as run
from flash_otel.diagnosis import Diagnosis, Limits, diagnose
from flash_otel.report.diagnosis import render_diagnosis
from flash_otel.report.json import diagnosis_json

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.records import SpanRecord

LIMITS: Final = Limits(now_ns=NOW_NS)
PRODUCTION: Final = "224c5f0a-8f0b-4a6e-9f57-2f0c1f7f8c11"
STAGING: Final = "cc9471fe-1b7c-4d7b-a3a5-0c9d8e5f6a22"
ELSEWHERE: Final = {"s": "https://api.runpod.ai/v2/stag000001"}


def judge(made: list[SpanRecord], **asked: Any) -> Diagnosis:
    """Diagnose in memory and on disk, which must agree."""
    found = diagnose(made, limits=LIMITS, **asked)
    assert diagnose(made[::-1], limits=LIMITS, in_memory=0, **asked) == found
    return found


def report(found: Diagnosis) -> str:
    """Return a report as it is piped."""
    stream = io.StringIO()
    render_diagnosis(found, Console(file=stream, width=80))
    return stream.getvalue()


def astray(**more: Any) -> list[SpanRecord]:
    """Record a worker of production that asks for staging."""
    return read(10, env_id=STAGING, code=1, build=2, held=ELSEWHERE, **more)


def test_environments_are_named_with_their_ids() -> None:
    """A sentence names both environments; the evidence and the table hold their full ids."""
    made = records(
        deployment(2, at=-300, env="staging", env_id=STAGING, held=ELSEWHERE),
        deployment(env_id=PRODUCTION),
        astray(),
    )
    (finding,) = judge(made).findings
    assert finding.code == sc.ENVIRONMENT_MISMATCH
    assert finding.sentence == (
        "The worker asked for staging (cc9471fe…), but build build-1 was deployed to "
        "production (224c5f0a…)."
    )
    assert [exhibit.says for exhibit in finding.evidence] == [
        f"deployed to production ({PRODUCTION})",
        f"asked for staging ({STAGING})",
    ]
    text = report(judge(made))
    assert re.search(rf"environment_id +{PRODUCTION} +{STAGING} +MISMATCH", text)


def test_a_read_names_an_environment_that_nothing_deployed_to() -> None:
    """The answer to a read holds the name of the environment that was asked for."""
    reads = [changed(span, environment_name="staging") for span in astray()]
    (finding,) = judge(records(deployment(env_id=PRODUCTION), reads)).findings
    assert "asked for staging (cc9471fe…)" in finding.sentence


def test_an_environment_without_a_name_keeps_its_whole_id() -> None:
    """An id that is not known by a name is not shortened."""
    (finding,) = judge(records(deployment(env_id=PRODUCTION), astray())).findings
    assert f"asked for environment {STAGING}, but" in finding.sentence


def test_a_worker_that_may_be_of_another_deployment_accuses_nobody() -> None:
    """Code of an unrecorded deployment may own the endpoint; both environments are named."""
    strange = read(10, env_id=STAGING, code=9, build=2, held=ELSEWHERE)
    found = judge(records(deployment(env_id=PRODUCTION), strange))
    assert found.verdict == sc.INCONCLUSIVE
    assert (
        f"A worker asked for environment {STAGING}, not for production (224c5f0a…), and nothing "
        "shows that it is a worker of build build-1."
    ) in [finding.sentence for finding in found.findings]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (
            lambda: records(
                deployment(env_id=PRODUCTION),
                read(10, env_id=PRODUCTION, build=None, environment=sc.ENVIRONMENT_NULL),
            ),
            "does not know production (224c5f0a…).",
        ),
        (
            lambda: [
                changed(span, environment_id=PRODUCTION)
                if span.attributes.get(sc.ENVIRONMENT_ID)
                else span
                for span in records(killed("activate"))
            ],
            "was activated on production (224c5f0a…), but no write of its manifest",
        ),
        (SCENES["two deployments at the same time"].make, "written to production (env-prod) at"),
        (
            SCENES["staging takes over production's endpoints"].make,
            "The deployment to staging (env-stag) took over",
        ),
    ],
)
def test_each_sentence_names_the_environment(made: Any, words: str) -> None:
    """Faults of environments and builds call an environment by its name."""
    assert any(words in finding.sentence for finding in judge(made()).findings)


def test_the_end_of_the_write_is_a_line_of_the_timeline() -> None:
    """The read in the open window stands before the write, and is marked."""
    found = judge(SCENES["a read in the open window, on one clock"].make())
    moments = found.judged[0].timeline
    texts = [moment.text for moment in moments]
    written = texts.index("the manifest is written, 2 endpoints")
    assert moments[written].seconds == pytest.approx(5.8)
    marked = [number for number, moment in enumerate(moments) if moment.before_write]
    assert marked
    assert all(number < written for number in marked)
    lines = report(found).splitlines()
    (line,) = [line for line in lines if "BEFORE THE WRITE" in line]
    assert "a worker read active build build-1" in line
    value = diagnosis_json(found)["deployments"][0]["timeline"]
    assert [entry["before_write"] for entry in value] == [moment.before_write for moment in moments]


@pytest.mark.parametrize(
    "scene", ["a first deployment and a read", "a drop or a race, within the skew"]
)
def test_only_reads_that_fell_before_the_write_are_marked(scene: str) -> None:
    """A read that holds the write, or that clocks do not place, has no mark."""
    found = judge(SCENES[scene].make())
    assert "BEFORE THE WRITE" not in report(found)


def test_an_upload_that_failed_ends_without_success() -> None:
    """The end of a refused upload is not called a write."""
    steps = stopped(deployment(), "upload", "provision", error=("RuntimeError", "no"))
    texts = [moment.text for moment in judge(records(steps)).judged[0].timeline]
    assert "the manifest upload ended without success" in texts
    assert not any("is written" in text for text in texts)


def without_app(made: list[SpanRecord]) -> list[SpanRecord]:
    """Return records that do not know their app."""
    return [changed(span, app_name=None) for span in made]


@pytest.mark.parametrize(
    ("made", "command"),
    [
        (lambda: records(deployment()), "--app shop --env production"),
        (
            lambda: records(deployment(app="my shop", env="it's", env_id="e")),
            "--app 'my shop' --env 'it'\"'\"'s'",
        ),
        (
            # Another deployment to the same environment knows its name and app.
            lambda: records(
                deployment(),
                read(10, held=TWO),
                [
                    changed(span, app_name=None, environment_name=None)
                    for span in deployment(2, at=400).values()
                ],
            ),
            "--app shop --env production",
        ),
        (lambda: without_app(records(deployment())), "--app APP --env production"),
        (lambda: records(read(10, held=TWO)), "--app APP --env env-prod"),
        (
            lambda: [changed(span, environment_name="production") for span in read(10, held=TWO)],
            "--app APP --env production",
        ),
        (
            lambda: records(
                read(10, held=TWO), unsound(call(11, app="shop"), "RuntimeError", "no")
            ),
            "--app shop --env env-prod",
        ),
    ],
)
def test_the_next_command_holds_real_names(made: Any, command: str) -> None:
    """A placeholder stands only for what no record knows, and names are quoted for a shell."""
    found = judge(made())
    assert found.verdict == sc.INCONCLUSIVE
    assert found.command == f"flash-otel verify {command}"
    assert f"Next: flash-otel verify {command}\n" in report(found)


def test_the_missing_evidence_is_about_a_place() -> None:
    """What is missing names the environment and the app."""
    found = judge(records(deployment(env_id=PRODUCTION)))
    place = f"environment production ({PRODUCTION}) in app shop"
    assert found.missing == (f"a worker's read of {place}: its container log, or its spans",)
    (missing,) = judge(records(read(10, held=TWO))).missing
    assert missing == "the record of the deployment to environment env-prod: its spans, or its log"
    (missing,) = judge([]).missing
    assert missing == "the record of the deployment: its spans, or its log"


def test_a_question_fills_the_command_if_nothing_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app and the environment of the question are known even without any recording."""
    found = judge(records(deployment()), app="blog", environment="my env")
    assert found.command == "flash-otel verify --app blog --env 'my env'"
    monkeypatch.setenv("FLASH_OTEL_STORE", str(tmp_path / "no.db"))
    assert run(["diagnose", "--app", "blog", "--env", "my env"]) == 3
    assert "flash-otel verify --app blog --env 'my env'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("is_terminal", "expected"), [(True, "Verdict: no fault found"), (False, "Verdict: none")]
)
def test_the_verdict_is_words_on_a_terminal_and_the_code_in_a_pipe(
    *, is_terminal: bool, expected: str
) -> None:
    """People read `no fault found`; scripts that read a pipe find the code on the first line."""
    found = judge(records(deployment(), read(10, held=TWO)))
    assert found.verdict == sc.NONE
    stream = io.StringIO()
    console = Console(
        file=stream, width=80, force_terminal=is_terminal, color_system=None, legacy_windows=False
    )
    render_diagnosis(found, console)
    assert stream.getvalue().splitlines()[0] == expected
    assert "no fault found: " in stream.getvalue()
