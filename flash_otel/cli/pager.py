"""Long output on a terminal goes through the pager of `PAGER`, or `less`.

Output that fits the screen is written as it is, and so is all output where there is no terminal or
no such program. A pager that is left early swallows the rest: the command still ends by itself,
with its own status. While the pager runs, Ctrl-C is for the pager alone.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import signal
import sys
from typing import IO, TYPE_CHECKING, Any, Final, TextIO

from flash_otel.cli import streams
from flash_otel.runtime.process import ProcessVar

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

is_off: Final = ProcessVar(bool)

_DEFAULT: Final = "less"
# Used where `LESS` is unset, as git does: exit if it all fits, keep colours, leave it on screen.
_LESS: Final = "FRX"
_NO_PAGERS: Final = ("", "cat")
_NO_SCREENS: Final = ("dumb", "emacs")


def paged(run: Callable[[], int | None]) -> int | None:
    """Run a command whose output goes through a pager if it is longer than the screen."""
    command = _command()
    if command is None:
        return run()
    screen = sys.stdout
    output = PagedOutput(screen, command)
    sys.stdout = output
    streams.postpone_notes()
    try:
        return run()
    finally:
        sys.stdout = screen
        try:
            output.finish()
        finally:
            streams.release_notes()


def _command() -> list[str] | None:
    """Return the pager's command line; None if there is no terminal or no such program."""
    if is_off.value or os.environ.get("TERM", "dumb") in _NO_SCREENS or not sys.stdout.isatty():
        return None
    named = os.environ.get("PAGER", _DEFAULT).strip()
    try:
        words = shlex.split(named)
    except ValueError:  # an open quote
        return None
    if named in _NO_PAGERS or shutil.which(words[0]) is None:
        return None
    return words


class PagedOutput(io.TextIOBase):
    """Standard output that starts a pager as soon as it holds more than a screen.

    Args:
        screen: The terminal.
        command: The pager's command line.
    """

    def __init__(self, screen: TextIO, command: list[str]) -> None:
        self._screen = screen
        self._command = command
        self._held: list[str] = []
        self._rows = 0
        self._pager: subprocess.Popen[bytes] | None = None
        self._handler: Any = signal.SIG_DFL
        self._is_read = True
        self._size = shutil.get_terminal_size()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the terminal."""
        return self._screen.encoding or "utf-8"

    def isatty(self) -> bool:
        """Return True: the reader is at a terminal."""
        return True

    def fileno(self) -> int:
        """Return the terminal's descriptor."""
        return self._screen.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Hold the text, or send it to the pager if there is one by now."""
        if self._pager is not None:
            self._send(text)
            return len(text)
        self._held.append(text)
        self._rows += sum(1 + len(line) // self._size.columns for line in text.split("\n")) - 1
        if self._rows >= self._size.lines:
            self._start()
        return len(text)

    def _start(self) -> None:
        import subprocess

        environ = {"LESS": _LESS, **os.environ}
        try:
            # Without a buffer, which `close` would have to flush into a pager that does not read.
            self._pager = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, env=environ, bufsize=0
            )
        except OSError:
            self._rows = -sys.maxsize  # not executable: hold it all, and write it at the end
            return
        # Not before: the pager would inherit it.
        self._handler = signal.signal(signal.SIGINT, signal.SIG_IGN) or signal.SIG_DFL
        self._send("".join(self._held))

    def _send(self, text: str) -> None:
        data = text.encode(self.encoding, "backslashreplace")
        while data and self._is_read:
            try:
                data = data[os.write(self._pipe.fileno(), data) :]
            except OSError:  # EPIPE; on Windows, EINVAL
                self._is_read = False

    @property
    def _pipe(self) -> IO[bytes]:
        assert self._pager is not None  # noqa: S101 - for the type checker
        assert self._pager.stdin is not None  # noqa: S101
        return self._pager.stdin

    def finish(self) -> None:
        """Write what is held, or wait until the user leaves the pager."""
        if self._pager is None:
            self._screen.write("".join(self._held))
            self._screen.flush()
            return
        self._pipe.close()
        self._pager.wait()
        signal.signal(signal.SIGINT, self._handler)
