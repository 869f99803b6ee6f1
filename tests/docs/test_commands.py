"""Run every command that a document prints if possible, and check the options of all."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest
from docs.commands import DOCUMENTS, ROOT, commands
from support.commands import forking

from flash_otel import trace_activate, trace_deploy
from flash_otel.demo.scenarios import DEFAULT_VERSION
from flash_otel.store.store import SpanStore
from flash_otel.testing import recording

if TYPE_CHECKING:
    from pathlib import Path

    from support.warm import WarmEnvironments

PRINTED = list(dict.fromkeys(command for document in DOCUMENTS for command in commands(document)))

# These need a real `flash` (and a control plane), the real Collector or an agent, or run until
# Ctrl-C: the folder named here runs them for real.
REAL_FLASH = {
    "flash-otel collector": "tests/collector",
    "flash-otel demo --serve": "tests/demo",
    "flash-otel diagnose --publish": "tests/cli",
    "flash-otel mcp": "tests/cli",
    "flash-otel run": "tests/e2e",
    "flash-otel ui": "tests/ui",
    "flash-otel verify": "tests/verify",
    "opentelemetry-instrument": "tests/e2e",
}
# A command with a placeholder cannot run: only its options are checked.
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b|\.\.\.|[|<>\[]|\bFILE\b")

DEMOS = [
    command
    for command in PRINTED
    if command.startswith("flash-otel demo")
    and not command.endswith(("--list", "--serve"))
    and not PLACEHOLDER.search(command)
]
MAKES = [command for command in PRINTED if command.startswith("make ")]
OURS = [command for command in PRINTED if command.startswith("flash-otel ")]
STORED = [
    command
    for command in OURS
    if command not in DEMOS
    and not command.startswith(tuple(REAL_FLASH))
    and not PLACEHOLDER.search(command)
]
MAKE_PLACEHOLDERS = {"...", "PYTHON=/path/to/python"}

# Clean, fault found, no result: valid outcomes. 2 is a mistake in the command.
ANSWERS = (0, 1, 3)


# The log files that documents name, next to the store.
LOGS = {
    "deploy.log": "[DEPLOY] Environment production activated with build_id=b-1\n",
    "worker.log": "[RUNTIME SYNC] Querying State Manager with environment_id=e-1\n",
}


@trace_deploy
def _deploy(app_name: str, env_name: str) -> None:
    _activate(f"build of {app_name}", f"environment {env_name}")


@trace_activate
def _activate(build_id: str, environment_id: str) -> None:
    assert build_id != environment_id


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store that holds a deployment; the documents' logs are in its folder."""
    path = tmp_path / "spans.db"
    with recording() as spans:
        _deploy("shop", "production")
    for kept in (path, tmp_path / ".local/state/flash-otel/demo.db"):
        with SpanStore(kept) as written:
            written.write(spans.records)
    for name, lines in LOGS.items():
        (tmp_path / name).write_text(lines, encoding="utf-8")
    return path


def _run(command: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    _, *arguments = shlex.split(command)
    return subprocess.run(
        [forking(), "-m", "flash_otel", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "COLUMNS": "200",
            **environ,
        },
        stdin=subprocess.DEVNULL,
        cwd=folder,
    )


@pytest.mark.parametrize("command", STORED)
def test_a_printed_command_on_recordings_runs(command: str, store: Path) -> None:
    """Every command that needs only recordings succeeds on a store with a deployment."""
    done = _run(command, store.parent, FLASH_OTEL_STORE=str(store))
    assert done.returncode in ANSWERS, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout


@pytest.mark.flash
@pytest.mark.parametrize("command", DEMOS)
def test_a_printed_demo_runs(command: str, warm_env: WarmEnvironments, tmp_path: Path) -> None:
    """Every demo that a document prints shows the joined trace."""
    done = _run(command, tmp_path, FLASH_OTEL_CACHE=str(warm_env.cache(DEFAULT_VERSION)))
    assert done.returncode == 0, done.stderr
    assert "flash.runtime.fetch" in done.stdout


@pytest.mark.parametrize("name", sorted({shlex.split(command)[1] for command in OURS}))
def test_printed_options_exist(name: str, tmp_path: Path) -> None:
    """Every option of flash-otel that a document prints is in the command's help."""
    known = set(re.findall(r"--[\w-]+", _run(f"flash-otel {name} --help", tmp_path).stdout))
    mine = [command.split(" -- ")[0] for command in OURS if command.split()[1] == name]
    printed = {
        option for command in mine for option in re.findall(r"(?<=\s)--[a-z][\w-]+", command)
    }
    assert printed <= known


@pytest.mark.parametrize("command", MAKES)
def test_a_printed_make_target_exists(command: str) -> None:
    """The Makefile has every printed target (`.ci/run` runs them)."""
    words = [word for word in shlex.split(command)[1:] if word not in MAKE_PLACEHOLDERS]
    done = subprocess.run(
        ["make", "--dry-run", *words], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("command", "folder"), REAL_FLASH.items())
def test_a_command_that_needs_flash_is_run_with_it(command: str, folder: str) -> None:
    """Tests with the real Flash run each command that needs it."""
    words = command.rsplit(maxsplit=1)[-1]
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / folder).glob("*.py")]
    assert any(f'"{words}"' in text or words in text for text in texts)


def test_every_printed_command_is_accounted_for() -> None:
    """Each printed command belongs to a tool that these tests cover."""
    known = {
        *OURS,
        *MAKES,
        *(command for command in PRINTED if command.startswith(tuple(REAL_FLASH))),
    }
    assert set(PRINTED) == known
