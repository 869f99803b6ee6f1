"""`flash-otel show --follow`, of a deployment that really runs in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from support.commands import TIMEOUT, environment, flash_otel, forking, keep
from support.samples import TRACE, failed_deployment, healthy_deployment
from support.terminal import flash_otel_on_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Deploys until it gets a line.
DEPLOYMENT: Final = """
import sys
import flash_otel

flash_otel.instrument()

@flash_otel.trace_build()
def build():
    pass

@flash_otel.trace_deploy()
def deploy(app_name, env_name):
    build()
    flash_otel.flush()
    print("built", flush=True)
    sys.stdin.readline()

deploy("shop", "production")
"""
SHOWN_CURSOR: Final = "\x1b[?25h"


@contextmanager
def deploying(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Deploy in another process, which waits in the middle of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", DEPLOYMENT],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert stream(process.stdout).readline() == "built\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT)


def stream(pipe: IO[str] | None) -> IO[str]:
    """Return a pipe of a process."""
    assert pipe is not None
    return pipe


def end(process: subprocess.Popen[str]) -> None:
    """Let a deployment end."""
    stream(process.stdin).write("\n")
    stream(process.stdin).flush()
    assert process.wait(TIMEOUT) == 0


def test_a_terminal_shows_a_deployment_until_it_has_ended(tmp_path: Path) -> None:
    """Each drawing replaces the one before; the last one stays, with the verdict."""
    with deploying(tmp_path) as process, flash_otel_on_terminal(tmp_path, "show", "-f") as screen:
        screen.expect("⋯ the deployment is running".encode())
        screen.expect(b"flash.build")
        screen.expect("⋯ the deployment is running".encode())  # drawn again
        end(process)
        status, rest = screen.finish()
    assert status == 0
    last = re.split(r"\x1b\[[0-9]*[AK]", rest)[-1]
    assert "inconclusive: " in last
    assert re.search(r"trace [0-9a-f]{32}.*returned in ", last)
    assert rest.count(SHOWN_CURSOR) == 1


def test_ctrl_c_leaves_a_clean_terminal(tmp_path: Path) -> None:
    """The cursor is back, the picture stays, there is no traceback, and the status is 130."""
    with deploying(tmp_path), flash_otel_on_terminal(tmp_path, "show", "--follow") as screen:
        screen.expect("⋯ the deployment is running".encode())
        screen.expect(b"flash.build")
        screen.send(b"\x03")
        status, rest = screen.finish()
    assert status == 130
    assert SHOWN_CURSOR in rest
    assert "Traceback" not in rest


def test_a_killed_deployment_ends_it(tmp_path: Path) -> None:
    """A process that has gone will not end its deployment; following it would never stop."""
    with deploying(tmp_path) as process, flash_otel_on_terminal(tmp_path, "show", "-f") as screen:
        screen.expect("⋯ the deployment is running".encode())
        process.kill()
        process.wait(TIMEOUT)
        status, rest = screen.finish()
    assert status == 0
    assert "unfinished (killed?)" in rest


def test_a_pipe_gets_the_end_alone(tmp_path: Path) -> None:
    """Without a terminal, nothing is drawn twice: the deployment is printed when it has ended."""
    with deploying(tmp_path) as process:
        follower = subprocess.Popen(
            [forking(), "-m", "flash_otel", "show", "--follow"],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            text=True,
        )
        end(process)
        output, _ = follower.communicate(timeout=TIMEOUT)
    assert follower.returncode == 0
    assert output.count("flash.deploy") == 1
    assert "running" not in output
    assert "\x1b" not in output


def test_it_waits_for_the_first_deployment(tmp_path: Path) -> None:
    """Started before anything is recorded, it says so, and then shows what comes."""
    with flash_otel_on_terminal(tmp_path, "show", "--follow") as screen:
        screen.expect(b"nothing is recorded yet; waiting for a deployment")
        keep(tmp_path, failed_deployment())
        status, rest = screen.finish()
    assert status == 0
    assert TRACE in rest


def test_a_deployment_that_has_ended_is_shown_once(tmp_path: Path) -> None:
    """There is nothing to wait for."""
    keep(tmp_path, healthy_deployment())
    found = flash_otel(tmp_path, "show", "--follow")
    assert found.returncode == 0
    assert found.stdout == flash_otel(tmp_path, "show").stdout


def test_what_cannot_be_followed_is_refused(tmp_path: Path) -> None:
    """Files do not change, and documents are written once; an unknown trace never comes."""
    keep(tmp_path, healthy_deployment())
    for options, message in (
        (["--json"], "--json and --follow exclude each other."),
        (["--html"], "--html and --follow exclude each other."),
        (["--from", "deploy.log"], "--follow needs the store."),
        (["ffff"], "no recorded trace begins with 'ffff'."),
    ):
        found = flash_otel(tmp_path, "show", "--follow", *options)
        assert found.returncode == 2
        assert message in found.stderr
