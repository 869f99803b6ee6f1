"""`flash-otel traces --follow`, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from support.commands import TIMEOUT, environment, flash_otel, forking, keep
from support.samples import OTHER, TRACE, healthy_deployment, span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STAGING: Final = {"flash.environment_id": "env-staging", "flash.deployment_id": "d9"}
STARTED: Final = span(99, None, "flash.deploy", 90_000, None, trace_id=OTHER, attributes=STAGING)
ENDED: Final = replace(
    STARTED,
    end_ns=STARTED.start_ns + 5_000_000_000,
    attributes={**STAGING, "flash.outcome": "cancelled"},
)


@contextmanager
def following(folder: Path, *options: str, output: int) -> Iterator[subprocess.Popen[bytes]]:
    """Follow the list in a process, which is killed at the end if it still runs."""
    process = subprocess.Popen(
        [forking(), "-m", "flash_otel", "traces", "--follow", *options],
        cwd=folder,
        env=environment(folder, TERM="xterm"),
        stdout=output,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT)


def interrupted(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Press Ctrl-C; return the exit status and standard error."""
    process.send_signal(signal.SIGINT)
    status = process.wait(TIMEOUT)
    assert process.stderr is not None
    return status, process.stderr.read()


def test_a_pipe_gets_a_line_for_each_new_or_changed_trace(tmp_path: Path) -> None:
    """First those that are there, then a start, then the end of the same trace; Ctrl-C is clean."""
    keep(tmp_path, healthy_deployment())
    with following(tmp_path, output=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, b"")
        assert next(lines).split()[0] == b"TRACE"
        assert next(lines).split()[0].decode() == TRACE
        keep(tmp_path, [STARTED])
        started = next(lines).decode().split()
        assert (started[0], started[-1]) == (OTHER, "unfinished")
        keep(tmp_path, [ENDED])
        ended = next(lines).decode().split()
        assert (ended[0], ended[-1]) == (OTHER, "cancelled")
        assert interrupted(process) == (0, b"")
        assert list(lines) == []


def test_json_lines_begin_before_anything_is_recorded(tmp_path: Path) -> None:
    """Without a store it waits, and each line is an object as `--json` lists it."""
    with following(tmp_path, "--json", "--env", "prod", output=subprocess.PIPE) as process:
        assert process.stdout is not None
        keep(tmp_path, [STARTED, *healthy_deployment()])
        entry = json.loads(process.stdout.readline())
        assert interrupted(process) == (0, b"")
    assert [entry] == json.loads(flash_otel(tmp_path, "traces", "--json", "--env", "prod").stdout)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_a_terminal_shows_the_current_list(tmp_path: Path) -> None:
    """The table is drawn again in its place, and Ctrl-C leaves the last one and the cursor."""
    main_end, terminal = os.openpty()
    with following(tmp_path, output=terminal) as process:
        os.close(terminal)
        seen = read_until(main_end, b"Waiting for one")
        keep(tmp_path, healthy_deployment())
        seen += read_until(main_end, b"no read yet")
        keep(tmp_path, [STARTED, ENDED])
        seen += read_until(main_end, b"cancelled")
        assert interrupted(process) == (0, b"")
        seen += read_until(main_end, None)
    assert OTHER[:8].encode() in seen
    assert seen.count(b"\x1b[?25l") == seen.count(b"\x1b[?25h") == 1
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"cancelled")


def read_until(source: int, expected: bytes | None) -> bytes:
    """Read until the text has come, or to the end if there is none."""
    seen = b""
    deadline = time.monotonic() + TIMEOUT
    while expected is None or expected not in seen:
        assert time.monotonic() < deadline, seen
        try:
            part = os.read(source, 65_536)
        except OSError:  # Linux's end of a pseudo-terminal
            part = b""
        if not part:
            assert expected is None, seen
            break
        seen += part
    return seen


def test_only_a_store_can_be_followed(tmp_path: Path) -> None:
    """A file does not change; the next step is named."""
    (tmp_path / "deploy.log").write_text("", encoding="utf-8")
    found = flash_otel(tmp_path, "traces", "--follow", "deploy.log")
    assert (found.returncode, found.stdout) == (2, "")
    assert "--follow watches a store" in found.stderr
