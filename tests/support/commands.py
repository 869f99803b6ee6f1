"""Runs `python -m flash_otel` as a user would, with a store of its own."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from support.shared import current
from support.warm import start_server

from flash_otel.cli.app import status_of
from flash_otel.runtime import process
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flash_otel.records import SpanRecord

TIMEOUT = 60
_LEFT_OUT = (
    "CI",
    "COLUMNS",
    "FORCE_COLOR",
    "LINES",
    "NO_COLOR",
    "PYTHONIOENCODING",
    "TERM",
    "TRACEPARENT",
)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment in which everything of the user's lies in `folder`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _LEFT_OUT and not name.startswith(("FLASH_", "OTEL_", "RUNPOD_"))
    }
    own = {
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "FLASH_OTEL_STORE": str(folder / "spans.db"),
        "FLASH_OTEL_RAISE": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    return {**kept, **own, **more}


def forking() -> str:
    """Return a program like this interpreter, whose processes have flash_otel's commands loaded.

    They are forked from one process of the test run, and begin in 30 ms instead of 300. Tests of
    what is imported, and of how a process starts or ends, take `sys.executable`.
    """
    if not hasattr(os, "pidfd_open"):  # of Linux
        return sys.executable

    def start(folder: Path) -> str:
        given = environment(folder)
        variables = {name: text for name, text in given.items() if name[:6] != "PYTHON"}
        python = Path(sys.executable)
        start_server(current(), folder, python, "commands", variables, {"python": []})
        return str(folder / "python")

    return current().once("commands", start)


def flash_otel(
    folder: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    interpreter: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `flash-otel` with these arguments to its end.

    Args:
        folder: The working folder, with the user's files.
        arguments: What follows the program's name.
        env: More variables.
        interpreter: A Python; None for `forking()`.
    """
    return subprocess.run(
        [interpreter or forking(), "-m", "flash_otel", *arguments],
        cwd=folder,
        env=environment(folder, **(env or {})),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )


def python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run a piece of Python in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )


def in_process(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `flash-otel` in this process, where a process of its own is not the point."""
    process.reset()
    out, errors = io.StringIO(), io.StringIO()
    with ExitStack() as stack:
        variables = environment(folder, **(env or {}))
        stack.enter_context(patch.dict(os.environ, variables, clear=True))
        stack.enter_context(chdir(folder))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(errors))
        status = status_of(list(arguments))
    process.reset()
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), errors.getvalue())


@contextmanager
def chdir(folder: Path) -> Iterator[None]:
    """Work in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def keep(folder: Path, records: Iterable[SpanRecord]) -> None:
    """Write records into the store that `flash_otel` reads in this folder."""
    with SpanStore(folder / "spans.db") as store:
        store.write(records)


def keep_demo(folder: Path, records: Iterable[SpanRecord]) -> Path:
    """Write records as the last demo of this folder's user, and return the store's path."""
    path = folder / "state" / "flash-otel" / "demo.db"
    with SpanStore(path) as store:
        store.replace(records)
    return path


def suggested(printed: str) -> list[str]:
    """Return the commands that an output suggests for pasting, with their continued lines."""
    return re.findall(r"^ *(?:Next|Try|More):\s+((?:.*\\\n)*.*)$", printed, re.MULTILINE)
