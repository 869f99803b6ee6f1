"""`flash-otel demo --serve`: deployments of a user's own project, without an account."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from support.commands import environment
from support.versions import MAIN_VERSIONS

from flash_otel.demo.project import write_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.flash import FlashEnvironments

SERVE = (sys.executable, "-m", "flash_otel", "demo", "--serve")
LAST = "RUNPOD_API_KEY"
TIMEOUT = 120


@contextmanager
def served(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command; end it with the block, unless the block has."""
    with subprocess.Popen(
        [*SERVE, *options],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def exports(process: subprocess.Popen[str]) -> str:
    """Return the lines that set the variables."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or LAST not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr and process.stderr.read()
    return "".join(lines)


@pytest.mark.flash
@pytest.mark.parametrize("version", MAIN_VERSIONS)
def test_a_project_is_deployed_with_the_printed_variables(
    version: str, flash_env: FlashEnvironments, tmp_path: Path
) -> None:
    """Pasted into a shell, they let the real flash deploy, and `verify` read it back."""
    flash = flash_env(version)
    project = write_project(tmp_path / "my_shop", version)
    with served(tmp_path) as process:
        (tmp_path / "variables.sh").write_text(exports(process))

        def pasted(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["sh", "-c", '. ../variables.sh; "$@"', "sh", *words],
                cwd=project,
                env=environment(tmp_path, PYTHONPATH=str(flash.source)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )

        own = (str(flash.python), "-m", "flash_otel")
        deployed = pasted(*own, "run", "--", "flash", "deploy", "--no-deps", "--env", "staging")
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        verified = pasted(*own, "verify", "--app", "my_shop", "--env", "staging")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert " verify --app APP " in errors
    assert "has stopped" in errors.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM end it with 0, no traceback, and a closed port; it leaves no file."""
    with served(tmp_path, "--json") as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or lines[-1].rstrip() != "}":
            lines.append(process.stdout.readline())
            assert lines[-1]
        variables = json.loads("".join(lines))
        assert len(set(variables) & {"RUNPOD_API_BASE_URL", LAST}) == 2
        place = urlsplit(variables["RUNPOD_API_BASE_URL"])
        assert (place.hostname, bool(place.port)) == ("127.0.0.1", True)
        socket.create_connection((place.hostname, place.port)).close()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, rest) == (0, "")
    assert "Traceback" not in errors
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((place.hostname, place.port))
    assert list(tmp_path.iterdir()) == []


def test_its_help_fits_a_terminal(tmp_path: Path) -> None:
    """No line of the explanation is wider than 80 columns."""
    with served(tmp_path) as process:
        exports(process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT)
    shown = errors.replace(f"{sys.executable} -m flash_otel", "flash-otel").splitlines()
    assert len(shown) > 5
    assert [line for line in shown if len(line) > 80] == []


@pytest.mark.parametrize("given", [("stale_build",), ("--version", "1.21.0"), ("--keep",)])
def test_what_a_scenario_takes_is_refused(tmp_path: Path, given: tuple[str, ...]) -> None:
    """The stand-in runs alone: what chooses or keeps a run is an error, and nothing is served."""
    ended = subprocess.run(
        [*SERVE, *given],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--serve runs no scenario" in ended.stderr
