from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from docs.commands import DOCUMENTS, ROOT, commands
from support.flash import CACHE

from flash_otel import trace_activate, trace_deploy
from flash_otel.pipeline.store import SpanStore
from flash_otel.testing import recording

if TYPE_CHECKING:
    from pathlib import Path

PRINTED = list(dict.fromkeys(command for one in DOCUMENTS for command in commands(one)))

# A real `flash` is needed for these: they are run, word for word, by the module named here.
ELSEWHERE = {
    "flash-otel run -- flash deploy --env production": "tests/flash/test_launchers.py",
    "opentelemetry-instrument flash deploy": "tests/flash/test_launchers.py",
}
PLACEHOLDERS = {"...", "PYTHON=/path/to/python"}
DEMOS = [command for command in PRINTED if command.startswith("flash-otel demo")]
MAKES = [command for command in PRINTED if command.startswith("make ")]
STORED = [
    command
    for command in PRINTED
    if command not in {*ELSEWHERE, *DEMOS, *MAKES} and command.startswith("flash-otel ")
]


@trace_deploy
def _deploy(app_name: str, env_name: str) -> None:
    _activate(f"build of {app_name}", f"environment {env_name}")


@trace_activate
def _activate(build_id: str, environment_id: str) -> None:
    assert build_id != environment_id


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store that holds one deployment."""
    path = tmp_path / "spans.db"
    with recording() as spans:
        _deploy("shop", "production")
    with SpanStore(path) as written:
        written.write(spans.records)
    return path


def _run(command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    _, *arguments = shlex.split(command)
    return subprocess.run(
        [sys.executable, "-m", "flash_otel", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environ},
        cwd=ROOT,
    )


@pytest.mark.parametrize("command", STORED)
def test_a_printed_command_on_recordings_runs(command: str, store: Path) -> None:
    """Every command that a document prints works on a store that holds a deployment."""
    done = _run(command, FLASH_OTEL_STORE=str(store), HOME=str(store.parent))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.flash
@pytest.mark.parametrize("command", DEMOS)
def test_a_printed_demo_runs(command: str, tmp_path: Path) -> None:
    """Every demo that a document names shows the joined trace."""
    done = _run(command, FLASH_OTEL_CACHE=str(CACHE), HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "flash.runtime.fetch" in done.stdout


@pytest.mark.parametrize("command", MAKES)
def test_a_printed_make_target_exists(command: str) -> None:
    """Every make command names targets that the Makefile has (`.ci/run` runs them for real)."""
    words = [word for word in shlex.split(command)[1:] if word not in PLACEHOLDERS]
    done = subprocess.run(
        ["make", "--dry-run", *words], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("command", "module"), ELSEWHERE.items())
def test_a_command_that_is_run_elsewhere_is_run_there(command: str, module: str) -> None:
    """A command that needs a real Flash stands word for word in the module that runs it."""
    assert command in (ROOT / module).read_text(encoding="utf-8")


def test_every_printed_command_is_run() -> None:
    """No document prints a command that none of these tests run."""
    assert set(PRINTED) == {*ELSEWHERE, *DEMOS, *MAKES, *STORED}
