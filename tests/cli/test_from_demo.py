"""Commands that read the recording of the last demo."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest
from support.commands import in_process, keep, keep_demo
from support.samples import IDS, OTHER, TRACE, failed_deployment, healthy_deployment, span

from flash_otel.cli.app import COULD_NOT_TELL
from flash_otel.demo.scenarios import SCENARIOS

if TYPE_CHECKING:
    from pathlib import Path

READERS = ("traces", "show", "diagnose")


@pytest.mark.parametrize("command", READERS)
def test_a_command_reads_the_demo_alone(command: str, tmp_path: Path) -> None:
    """With `--from demo`, the user's own store is not read, and without it, the demo is not."""
    other = {**IDS, "flash.build_id": "other789"}
    keep(tmp_path, [span(1, None, "flash.deploy", 0, 9, trace_id=OTHER, attributes=other)])
    keep_demo(tmp_path, healthy_deployment())
    demo = in_process(tmp_path, command, "--from", "demo", "--json").stdout
    own = in_process(tmp_path, command, "--json").stdout
    assert ("abc123" in demo, "other789" in demo) == (True, False)
    assert ("abc123" in own, "other789" in own) == (False, True)


@pytest.mark.parametrize("command", READERS)
def test_without_a_demo_the_error_names_the_command_that_records_one(
    command: str, tmp_path: Path
) -> None:
    """No result, the path that was looked at, and what to run."""
    done = in_process(tmp_path, command, "--from", "demo")
    assert (done.returncode, done.stdout) == (COULD_NOT_TELL, "")
    assert "no demo is recorded" in done.stderr
    assert str(tmp_path / "state" / "flash-otel" / "demo.db") in done.stderr
    assert done.stderr.splitlines()[-1] == "Run one: flash-otel demo"


def test_a_damaged_recording_is_none(tmp_path: Path) -> None:
    """A file that cannot be read counts as no demo: the next one replaces it."""
    path = keep_demo(tmp_path, healthy_deployment())
    path.write_bytes(b"damaged" * 1_000)
    assert "no demo is recorded" in in_process(tmp_path, "traces", "--from", "demo").stderr


def test_the_demo_is_a_source_beside_others(tmp_path: Path) -> None:
    """It can be combined with the store and with files."""
    keep(tmp_path, [span(1, None, "flash.deploy", 0, 9, trace_id=OTHER)])
    keep_demo(tmp_path, healthy_deployment())
    done = in_process(tmp_path, "traces", "--from", "demo", "--from", "store", "--json")
    assert {trace["trace_id"] for trace in json.loads(done.stdout)} == {TRACE, OTHER}


def test_an_error_suggests_a_list_of_the_demo(tmp_path: Path) -> None:
    """A trace that the demo does not hold is looked for in the demo, not in the user's store."""
    keep_demo(tmp_path, healthy_deployment())
    done = in_process(tmp_path, "show", "ffff", "--from", "demo")
    assert done.stderr.splitlines()[-2].endswith("flash-otel traces --from demo")


def test_the_next_command_reads_the_demo_too(tmp_path: Path) -> None:
    """The command that a diagnosis of the demo ends with works when it is pasted."""
    keep_demo(tmp_path, failed_deployment())
    printed = in_process(tmp_path, "diagnose", "--from", "demo").stdout
    (command,) = (
        line.removeprefix("Next: ") for line in printed.splitlines() if line.startswith("Next: ")
    )
    program, *words = shlex.split(command)
    assert (program, words[0], words[-2:]) == ("flash-otel", "show", ["--from", "demo"])
    shown = in_process(tmp_path, *words)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"trace {TRACE}" in shown.stdout


def test_the_list_of_scenarios_names_verdicts_as_reports_do(tmp_path: Path) -> None:
    """The scenario without a fault reads `no fault found`, and `none` only in JSON."""
    lines = in_process(tmp_path, "demo", "--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(SCENARIOS)
    assert lines[0].endswith("  verdict: no fault found")
    described = json.loads(in_process(tmp_path, "demo", "--list", "--json").stdout)
    assert described[0]["verdict"] == "none"
