"""`flash-otel show` of every scenario of the demo, as the real Flash recorded it."""

from __future__ import annotations

import io
import os
import re
import shlex
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from report.terminals import WIDTHS
from rich.cells import cell_len
from support.commands import environment, keep, suggested

from flash_otel import semconv
from flash_otel.cli.app import status_of
from flash_otel.cli.demo_output import print_text
from flash_otel.cli.demo_recording import DemoResult
from flash_otel.cli.sources import DEMO
from flash_otel.demo.processes import worker_spans
from flash_otel.demo.scenarios import SCENARIOS
from flash_otel.diagnosis import diagnose
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.runs import ScenarioRuns

    from flash_otel.demo.runner import RunArtifacts

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
WHOLE_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MOST = "[0-9a-f]{8}-[0-9a-f-]+"

SHOWN = {
    "healthy": ("✓ no fault found: ", "1 worker read it: fine; 1 remote call"),
    "environment_mismatch": (
        "✗ environment_mismatch: ",
        "1 worker read it: asked for staging; 1 remote call, 1 failed",
    ),
    "stale_build": (
        "✗ stale_build: ",
        "1 worker read it: got another build; 1 remote call, 1 failed",
    ),
    "manifest_not_persisted": (
        "✗ manifest_not_persisted: ",
        "1 worker read it: got no endpoints; 1 remote call, 1 failed",
    ),
    "read_before_write": (
        "✗ read_before_write: ",
        "1 worker read it: got no endpoints; 1 remote call, 1 failed",
    ),
}


class Terminal(io.StringIO):
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def record(folder: Path, result: RunArtifacts) -> None:
    """Write the deployments, and what the workers wrote to their logs, into a folder's store."""
    folder.mkdir(exist_ok=True)
    with SpanStore(result.store, is_read_only=True) as made:
        keep(folder, made.spans())
    for log in result.worker_logs:
        keep(folder, worker_spans(log))


@contextmanager
def printing(folder: Path, stream: io.StringIO, **variables: str) -> Iterator[None]:
    """Print to a stream, in an environment with the user's files in a folder."""
    named = environment(folder, TERM="xterm-256color", PAGER="cat", **variables)
    with patch.dict(os.environ, named, clear=True), redirect_stdout(stream):
        yield


def show(folder: Path, stream: io.StringIO, *arguments: str, **variables: str) -> str:
    """Return what `flash-otel show` prints to a stream."""
    with printing(folder, stream, **variables):
        assert status_of(["show", *arguments]) == 0
    return stream.getvalue()


def demonstrate(folder: Path, result: DemoResult, stream: io.StringIO, **variables: str) -> str:
    """Return what `flash-otel demo` prints to a stream."""
    with printing(folder, stream, **variables):
        print_text(result)
    return stream.getvalue()


@pytest.mark.flash
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_shown_at_any_width(
    name: str, shared_run: ScenarioRuns, tmp_path: Path
) -> None:
    """Coloured or not, no line is longer than the terminal, and no id is broken."""
    result = shared_run(SCENARIOS[name])
    record(tmp_path, result)
    verdict, readers = SHOWN[name]
    for width in map(str, WIDTHS):
        plain = show(tmp_path, Terminal(), COLUMNS=width, NO_COLOR="1")
        coloured = show(tmp_path, Terminal(), COLUMNS=width)
        assert ESCAPE.sub("", coloured) == ESCAPE.sub("", plain)
        assert "\x1b[1;3" in coloured
        text = ESCAPE.sub("", plain)
        assert [line for line in text.splitlines() if cell_len(line) > int(width)] == []
        assert all(WHOLE_ID.fullmatch(found) for found in re.findall(MOST, text))
        assert text.startswith(verdict)
        assert readers in " ".join(text.split())
        for identifier in (result.environment_id, result.build_id):
            assert identifier in text
            assert identifier[:8] in text.partition("Ids in full")[0]


@pytest.mark.flash
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_demo_fits_a_terminal(name: str, shared_run: ScenarioRuns, tmp_path: Path) -> None:
    """What the demo prints, and the list of its traces; only a path may be longer than a line.

    Commands are continued on further lines, and a pipe gets them whole.
    """
    artifacts = shared_run(SCENARIOS[name])
    record(tmp_path, artifacts)
    with SpanStore(tmp_path / "spans.db", is_read_only=True) as store:
        spans = list(store.spans())
    result = DemoResult(SCENARIOS[name], artifacts, spans, diagnose(spans), DEMO)
    piped = demonstrate(tmp_path, result, io.StringIO(), COLUMNS="60")
    commands = [shlex.split(command) for command in suggested(piped)]
    assert len(commands) in (3, 4)  # with that of the diagnosis, if there is a fault
    assert max(map(len, piped.splitlines())) > max(WIDTHS)
    for width in map(str, WIDTHS):
        plain = demonstrate(tmp_path, result, Terminal(), COLUMNS=width, NO_COLOR="1")
        coloured = demonstrate(tmp_path, result, Terminal(), COLUMNS=width)
        assert ESCAPE.sub("", coloured) == ESCAPE.sub("", plain)
        with printing(tmp_path, listed := Terminal(), COLUMNS=width):
            assert status_of(["traces"]) == 0
        text = ESCAPE.sub("", plain + listed.getvalue())
        long = [line for line in text.splitlines() if cell_len(line) > int(width)]
        assert [line for line in long if len(line.removesuffix(" \\").split()) > 1] == []
        assert all(WHOLE_ID.fullmatch(found) for found in re.findall(MOST, text))
        pasted = [command.replace("\\\n", "") for command in suggested(text)]
        assert [shlex.split(command) for command in pasted] == commands


@pytest.mark.flash
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_piped_whole(name: str, shared_run: ScenarioRuns, tmp_path: Path) -> None:
    """A pipe gets whole ids on lines of any length, whatever the width of the terminal."""
    result = shared_run(SCENARIOS[name])
    record(tmp_path, result)
    [text] = {show(tmp_path, io.StringIO(), COLUMNS=width) for width in ("80", "85")}
    assert "\x1b" not in text
    assert f"build_id={result.build_id}" in text
    assert all(WHOLE_ID.fullmatch(found) for found in re.findall(MOST, text))
    assert f"\n{SHOWN[name][1]}\n" in text


@pytest.mark.flash
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "healthy"])
def test_the_fault_stands_at_the_read(name: str, shared_run: ScenarioRuns, tmp_path: Path) -> None:
    """The worker's read shows the fault, and ids that are not the deployment's stand out."""
    result = shared_run(SCENARIOS[name])
    record(tmp_path, result)
    text = show(tmp_path, io.StringIO())
    rows = text.splitlines()
    [read] = [number for number, row in enumerate(rows) if row.endswith("  fault")]
    assert semconv.RUNTIME_FETCH in rows[read]
    notes = "\n".join(rows[read : read + 5])
    assert f"✗ {name}: " in notes
    is_other = name in ("environment_mismatch", "stale_build")
    assert (f"(deployed: {result.build_id})" in notes) == is_other
    assert "Next: " in text.partition("\n\n")[0]


@pytest.mark.flash
def test_both_phases_lie_on_one_axis(shared_run: ScenarioRuns, tmp_path: Path) -> None:
    """The worker's read and its call, a trace of its own, lie behind the mark of the waiting."""
    result = shared_run(SCENARIOS["read_before_write"])
    record(tmp_path, result)
    text = show(tmp_path, io.StringIO())
    assert " later" not in text  # it read while the deployment ran
    healthy = shared_run(SCENARIOS["healthy"])
    record(tmp_path / "other", healthy)
    text = show(tmp_path / "other", io.StringIO())
    rows = [row for row in text.splitlines() if re.search("runtime.fetch|flash.call", row)]
    if " later" in text:  # how long a worker needs to start depends on the machine
        assert all("┊━" in row for row in rows)
    assert len(rows) == 2


@pytest.mark.flash
def test_the_logs_of_a_run_show_the_same_fault(shared_run: ScenarioRuns, tmp_path: Path) -> None:
    """Bracketed lines alone, which have no times, name the fault and invent nothing."""
    result = shared_run(SCENARIOS["environment_mismatch"])
    files = []
    for log in (result.deploy_log, result.worker_log):
        lines = log.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if not line.startswith("flash_otel ")]
        file = tmp_path / log.name
        file.write_text("\n".join(kept), encoding="utf-8")
        files += ["--from", str(file)]
    text = show(tmp_path, io.StringIO(), *files)
    assert text.startswith("✗ environment_mismatch: ")
    assert "\n1 read of it: asked for another environment\n" in text
    assert f"read from {tmp_path / result.worker_log.name}:" in text
    assert not re.search(r"1970|[0-9] ms|━|trace ", text.partition("Next: ")[2])
