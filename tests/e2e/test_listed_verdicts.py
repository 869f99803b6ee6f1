"""The list of traces gives the verdicts of the diagnosis: for each demo, and the whole matrix."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from e2e.matrix import recording
from e2e.matrix_cases import CASES, FILE, STORE

from flash_otel.cli.app import status_of
from flash_otel.demo.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.runs import ScenarioRuns

    Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call it with a store and the words of a command to get what the command prints as JSON."""

    def printed(store: Path, *words: str) -> Any:
        monkeypatch.setenv("FLASH_OTEL_STORE", str(store))
        capsys.readouterr()
        status_of([words[0], "--json", *words[1:]])
        return json.loads(capsys.readouterr().out)

    return printed


def compare(run: Run, store: Path, sources: list[str]) -> None:
    """Check the verdict of each listed trace against a diagnosis of that trace."""
    listed = run(store, "traces", *sources)
    assert listed
    for entry in listed:
        found = run(store, "diagnose", "--trace", entry["trace_id"], *sources)
        assert entry["verdict"] == (None if found["unmatched"] else found["verdict"])
        if entry["verdict"] is not None:
            confidences = [
                finding["confidence"]
                for finding in found["findings"]
                if finding["code"] == found["verdict"]
            ]
            assert entry["confidence"] == confidences[0]


@pytest.mark.flash
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_demo_is_listed_with_its_verdicts(name: str, shared_run: ScenarioRuns, run: Run) -> None:
    """The store alone, and together with the logs of its workers."""
    artifacts = shared_run(SCENARIOS[name])
    compare(run, artifacts.store, [])
    logs = [word for log in artifacts.worker_logs for word in ("--from", str(log))]
    compare(run, artifacts.store, ["--from", "store", *logs])


@pytest.mark.flash
@pytest.mark.parametrize("name", CASES)
def test_a_row_of_the_matrix_is_listed_with_its_verdicts(
    name: str, shared_run: ScenarioRuns, run: Run, tmp_path: Path
) -> None:
    """The store with the workers' logs, and one OTLP file."""
    case = CASES[name]
    recorded = recording(case, shared_run(case.scenario), tmp_path)
    for source in (STORE, FILE):
        words = recorded.inputs[source]
        if words and "--skew" not in words:
            compare(run, recorded.store, words)
