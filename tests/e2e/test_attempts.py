"""An environment deployed twice with the real Flash, of which one attempt failed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from e2e.matrix import write_inputs
from e2e.matrix_cases import CASES, FILE, LINES, STORE
from support.faults import FAULTS

from flash_otel import semconv as sc
from flash_otel.cli.app import status_of
from flash_otel.demo.scenarios import DeployStep, Scenario, WorkerStep

if TYPE_CHECKING:
    from pathlib import Path

    from support.runs import ScenarioRuns

    from flash_otel.demo.runner import RunArtifacts

pytestmark = pytest.mark.flash

RETRIED: Final = CASES["an environment deployed twice, of which the first failed"].scenario
UPLOAD_REFUSED: Final = Scenario(
    "deployed again, and the artifact is refused",
    sc.UPLOAD_FAILED,
    (DeployStep(), WorkerStep(), DeployStep(rules=FAULTS["upload refused"], fails=True)),
)


class Source:
    """One source of a run, and the command line that diagnoses it."""

    def __init__(
        self,
        artifacts: RunArtifacts,
        name: str,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("FLASH_OTEL_STORE", str(artifacts.store))
        self._inputs = write_inputs(artifacts, folder)[name]
        self._capsys = capsys

    def diagnose(self, *options: str) -> dict[str, Any]:
        """Return the JSON of a diagnosis."""
        status_of(["diagnose", "--json", *self._inputs, *options])
        value: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return value

    def report(self, *options: str) -> str:
        """Return the report of a diagnosis."""
        status_of(["diagnose", *self._inputs, *options])
        return self._capsys.readouterr().out


@pytest.mark.parametrize("name", [STORE, FILE])
@pytest.mark.parametrize("asks_by_id", [False, True])
def test_the_latest_deployment_is_judged(
    name: str,
    asks_by_id: bool,
    shared_run: ScenarioRuns,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After a failed attempt, the deployment that succeeded counts, and names the attempt."""
    artifacts = shared_run(RETRIED)
    source = Source(artifacts, name, tmp_path, monkeypatch, capsys)
    environment = artifacts.environment_id if asks_by_id else "production"
    value = source.diagnose("--env", environment)
    assert (value["verdict"], value["unmatched"]) == (sc.NONE, [])
    (judged,) = value["deployments"]
    assert judged["build_id"] == artifacts.build_id
    (attempt,) = judged["failed_before"]
    assert attempt["build_id"] not in (None, artifacts.build_id)
    text = source.report("--env", environment)
    assert f"  1 earlier attempt failed: build {attempt['build_id']}, " in text
    assert source.diagnose()["other_environments"] == 0


def test_lines_without_times_show_no_latest_attempt(
    shared_run: ScenarioRuns,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Which attempt was the last is unknown: both are judged, and neither failed before another."""
    artifacts = shared_run(RETRIED)
    value = Source(artifacts, LINES, tmp_path, monkeypatch, capsys).diagnose("--env", "production")
    assert value["verdict"] == sc.INCONCLUSIVE
    assert len(value["deployments"]) == 2
    assert artifacts.build_id in [judged["build_id"] for judged in value["deployments"]]
    assert value["other_environments"] == 0


@pytest.mark.parametrize("name", [STORE, FILE])
def test_an_attempt_that_never_learned_the_id(
    name: str,
    shared_run: ScenarioRuns,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An attempt that fails early is judged beside the deployment in force, by name and by id."""
    artifacts = shared_run(UPLOAD_REFUSED)
    source = Source(artifacts, name, tmp_path, monkeypatch, capsys)
    for options in ([], ["--env", "production"], ["--env", artifacts.environment_id]):
        value = source.diagnose(*options)
        verdicts = [judged["verdict"] for judged in value["deployments"]]
        assert verdicts == [sc.UPLOAD_FAILED, sc.NONE]
        assert value["other_environments"] == 0


def test_lines_of_an_attempt_that_failed_early_are_none(
    shared_run: ScenarioRuns,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Bracketed lines begin with the activation, so that the deployment in force is judged."""
    source = Source(shared_run(UPLOAD_REFUSED), LINES, tmp_path, monkeypatch, capsys)
    (judged,) = source.diagnose("--env", "production")["deployments"]
    assert (judged["verdict"], judged["failed_before"]) == (sc.NONE, [])
