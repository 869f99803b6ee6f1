"""When a process prints a summary by itself: at its end, on a terminal, unless it is unwanted."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from support.commands import TIMEOUT, environment

from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEPLOY = """
    import os, sys
    import flash_otel

    flash_otel.instrument({options})

    @flash_otel.trace_deploy(app_name="app", environment_name="environment")
    def deploy(app, environment):
        upload()
        print("flash speaks", file=sys.stderr)

    @flash_otel.trace_artifact_upload
    def upload():
        pass

    {action}
"""


@contextmanager
def terminal() -> Iterator[tuple[int, list[bytes]]]:
    """Yield a pseudo-terminal and what is read from it, which is complete at the end."""
    ours, theirs = os.openpty()
    seen: list[bytes] = []
    reader = threading.Thread(target=_read, args=(ours, seen))
    reader.start()
    try:
        yield theirs, seen
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)


def _read(descriptor: int, seen: list[bytes]) -> None:
    while True:
        try:
            block = os.read(descriptor, 65_536)
        except OSError:  # the last writer is gone
            return
        if not block:
            return
        seen.append(block)


def printed(
    folder: Path,
    action: str = 'deploy("shop", "prod")',
    *,
    options: str = "",
    piped: bool = False,
    width: int = 100,
    variables: dict[str, str] | None = None,
) -> str:
    """Return what a process that deploys writes to standard error."""
    code = dedent(DEPLOY.format(options=options, action=action))
    environ = environment(folder, TERM="xterm", COLUMNS=str(width), **(variables or {}))
    with terminal() as (theirs, seen):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if piped else theirs,
            timeout=TIMEOUT,
            check=False,
        )
    assert done.stdout == b""
    assert done.returncode == 0
    output = done.stderr if piped else b"".join(seen)
    return output.decode().replace("\r\n", "\n")


def test_a_deployment_on_a_terminal_ends_with_its_summary(tmp_path: Path) -> None:
    """It follows everything that Flash prints, after an empty line; its command works."""
    before, _, summary = printed(tmp_path).partition("\n\n")
    assert before == "flash speaks"
    first, steps, *command = summary.splitlines()
    assert first.startswith("flash-otel: shop was deployed to prod in ")
    assert first.endswith(", and no fault is visible so far")
    assert steps.startswith("  artifact upload ")
    pasted = "\n".join(command).removeprefix("  More: ")
    shown = subprocess.run(
        ["sh", "-c", pasted],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    with SpanStore(tmp_path / "spans.db") as store:
        assert f"trace {store.latest_trace_id()}" in shown.stdout
    assert shlex.split(pasted.replace("\\\n", ""))[-2:] == ["--store", str(tmp_path / "spans.db")]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_the_summary_fits_the_terminal(tmp_path: Path, width: int) -> None:
    """No line is longer than the terminal, except for a word that is longer itself."""
    lines = printed(tmp_path, width=width).splitlines()
    assert all(len(line) <= width or len(line.split()) <= 2 for line in lines)


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        ("summary=False", {}),
        ("", {"FLASH_OTEL_SUMMARY": "0"}),
        ("", {"FLASH_OTEL_DISABLED": "1"}),
    ],
)
def test_an_unwanted_summary_is_not_printed(
    tmp_path: Path, options: str, variables: dict[str, str]
) -> None:
    """An argument, a variable, or no tracing at all omits it."""
    assert printed(tmp_path, options=options, variables=variables) == "flash speaks\n"


def test_an_argument_overrides_the_variable(tmp_path: Path) -> None:
    """As for every other setting."""
    assert "was deployed" in printed(
        tmp_path, options="summary=True", variables={"FLASH_OTEL_SUMMARY": "0"}
    )


@pytest.mark.parametrize(
    "variables", [{"RUNPOD_ENDPOINT_ID": "endpoint1"}, {"FLASH_OTEL_LEGACY_LOGS": "0"}]
)
def test_a_pipe_and_a_worker_get_none(tmp_path: Path, variables: dict[str, str]) -> None:
    """Nobody sits at a pipe, and a worker deploys nothing."""
    is_piped = "RUNPOD_ENDPOINT_ID" not in variables
    found = printed(tmp_path, piped=is_piped, variables=variables)
    assert "was deployed" not in found


def test_without_a_deployment_there_is_none(tmp_path: Path) -> None:
    """A step alone, or a deployment of a forked child that never returns, prints nothing."""
    assert printed(tmp_path, "upload()") == ""
    forked = "os.fork() or os._exit(0)"
    assert printed(tmp_path, forked) == ""


def test_a_forked_child_does_not_repeat_the_summary(tmp_path: Path) -> None:
    """The deployment of the parent is summarized by the parent alone."""
    action = 'deploy("shop", "prod"); pid = os.fork(); os.waitpid(pid, 0) if pid else None'
    assert printed(tmp_path, action).count("was deployed") == 1


def test_only_the_last_of_several_deployments_is_summarized(tmp_path: Path) -> None:
    """A program that deploys often ends with one summary."""
    found = printed(tmp_path, 'deploy("first", "a"); deploy("second", "b")')
    assert "second was deployed to b in " in found
    assert "first was deployed" not in found


def test_without_a_store_there_is_no_command(tmp_path: Path) -> None:
    """The steps are shown anyway."""
    found = printed(tmp_path, variables={"FLASH_OTEL_STORE": "off"})
    assert "shop was deployed to prod" in found
    assert "More:" not in found


def test_a_stopped_terminal_does_not_delay_the_exit(tmp_path: Path) -> None:
    """If the user has stopped the output (Ctrl-S), the summary is left out."""
    code = dedent(DEPLOY.format(options="", action='deploy("shop", "prod")'))
    code = code.replace('print("flash speaks", file=sys.stderr)', "os.read(0, 1)")
    with (
        terminal() as (theirs, seen),
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdin=subprocess.PIPE,
            stderr=theirs,
        ) as process,
    ):
        termios.tcflow(theirs, termios.TCOOFF)
        try:
            process.communicate(b"x", timeout=TIMEOUT)
        finally:
            process.kill()
            termios.tcflow(theirs, termios.TCOON)
    assert process.returncode == 0
    assert seen == []


WARNED = """
    import sys, time
    import flash_otel
    import flash_otel.pipeline  # which alone warns; without it, instrument() starts nothing yet
    from flash_otel.runtime.streams import warn_once

    sys.argv[0] = {name!r}
    flash_otel.instrument()
    warn_once("flash_otel: spans are not stored")
    print("flash shows its progress", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("name", "piped", "lines"),
    [
        ("/usr/bin/flash", False, ["progress", "not stored"]),
        ("/usr/bin/flash", True, ["not stored", "progress"]),
        ("app.py", False, ["not stored", "progress"]),
    ],
)
def test_a_warning_does_not_disturb_the_progress(
    tmp_path: Path, name: str, lines: list[str], *, piped: bool
) -> None:
    """On a terminal, the warning waits until Flash has finished; elsewhere it comes at once."""
    code = dedent(WARNED.format(name=name))
    with terminal() as (theirs, seen):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE if piped else theirs,
            timeout=TIMEOUT,
            check=True,
        )
    output = done.stderr if piped else b"".join(seen)
    shown = output.decode().splitlines()
    assert [line.endswith(end) for line, end in zip(shown, lines, strict=True)] == [True, True]
