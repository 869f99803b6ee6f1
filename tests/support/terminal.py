"""Runs a program on a pseudo-terminal of its own, which it controls, as a user's shell does."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from support.commands import TIMEOUT, environment

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

# The new session has no controlling terminal yet; pagers read keys from it.
_CONTROL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(1, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A program on a terminal.

    Args:
        folder: The working folder, with the user's files.
        command: The program's path, and its arguments.
        rows: Rows of the screen.
        columns: Columns of the screen.
        env: More variables.
        stderr: Where standard error goes, if not to the terminal.
    """

    def __init__(
        self,
        folder: Path,
        *command: str,
        rows: int = 24,
        columns: int = 80,
        env: dict[str, str] | None = None,
        stderr: int | None = None,
    ) -> None:
        self.output = b""
        self._end, inner = os.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", _CONTROL, *command],
            env=environment(folder, **{"TERM": "xterm-256color", **(env or {})}),
            cwd=folder,
            stdin=inner,
            stdout=inner,
            stderr=inner if stderr is None else stderr,
            start_new_session=True,
        )
        os.close(inner)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._end)

    def send(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._end, keys)

    def expect(self, text: bytes) -> bytes:
        """Wait until the program has written a text since the last one; return all up to it."""
        deadline = time.monotonic() + TIMEOUT
        while text not in self.output:
            assert self._read(deadline), (text, self.output)
        found, _, self.output = self.output.partition(text)
        return found + text

    def finish(self) -> tuple[int, str]:
        """Wait for the end; return the status, and what was written since the last expectation."""
        deadline = time.monotonic() + TIMEOUT
        while self._read(deadline):
            pass
        status = self.process.wait(TIMEOUT)
        return status, self.output.decode(errors="replace").replace("\r\n", "\n")

    def _read(self, deadline: float) -> bool:
        """Read more; False at the end of all programs on the terminal."""
        left = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([self._end], [], [], left)
        assert ready, f"nothing came within {TIMEOUT} s of {self.output!r}"
        data = b""
        with suppress(OSError):  # Linux reports the end of a terminal as EIO
            data = os.read(self._end, 65536)
        self.output += data
        return bool(data)


def flash_otel_on_terminal(
    folder: Path,
    *arguments: str,
    rows: int = 24,
    columns: int = 80,
    env: dict[str, str] | None = None,
    stderr: int | None = None,
) -> Terminal:
    """Start `flash-otel` on a terminal."""
    command = (sys.executable, "-m", "flash_otel", *arguments)
    return Terminal(folder, *command, rows=rows, columns=columns, env=env, stderr=stderr)
