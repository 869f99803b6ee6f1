"""The progress of long steps on standard error: a live line on a terminal, lines elsewhere.

It needs only the standard library, because the Makefile uses it before anything is installed:

    python -m flash_otel.demo.progress SENTENCE COMMAND...

runs a command in silence, and shows its output only if it fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol, TextIO

if TYPE_CHECKING:
    from typing_extensions import Self

_REDRAW_SECONDS: Final = 0.1
_LINE_SECONDS: Final = 5.0  # between lines about the same step where nothing can be redrawn
_COLUMNS: Final = 80
_CLEAR: Final = "\r\x1b[K"


class Progress(Protocol):
    """Called with a sentence when a step begins, and again with details while it goes on."""

    def __call__(self, sentence: str, detail: str = "", /) -> None:
        """Show a step."""


class StepProgress:
    """Shows the current step after the seconds since the start; a context manager.

    Args:
        stream: Where to write; None for standard error.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._started = time.monotonic()
        self._sentence = ""
        self._detail = ""
        self._written_at = 0.0
        self._ended = threading.Event()
        self._lock = threading.Lock()
        is_live = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._thread = threading.Thread(target=self._redraw, daemon=True) if is_live else None

    def __enter__(self) -> Self:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._finish_step()

    def __call__(self, sentence: str, detail: str = "", /) -> None:
        """Show a step, or new details of the current one."""
        is_new = sentence != self._sentence
        if self._thread is None:
            self._write_line(sentence, detail, is_new=is_new)
            return
        with self._lock:
            if is_new:
                self._finish_step()
            self._sentence, self._detail = sentence, detail
            self._draw()

    def _write_line(self, sentence: str, detail: str, *, is_new: bool) -> None:
        now = time.monotonic()
        self._sentence, self._detail = sentence, detail
        if is_new or (detail and now - self._written_at >= _LINE_SECONDS):
            self._written_at = now
            self._write(f"{self._line()}\n")

    def _finish_step(self) -> None:
        """Leave the line of the current step on the screen, with its last detail."""
        if self._sentence:
            self._write(f"{_CLEAR}{self._line()}\n")
            self._sentence = ""

    def _redraw(self) -> None:
        while not self._ended.wait(_REDRAW_SECONDS):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        if self._sentence:
            # A line that reaches the edge would wrap, and could not be overwritten.
            self._write(_CLEAR + self._line()[: self._columns() - 1])

    def _line(self) -> str:
        text = f"{self._sentence}: {self._detail}" if self._detail else self._sentence
        return f"[{time.monotonic() - self._started:5.1f} s] {text}"

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _COLUMNS
        except (OSError, ValueError):
            return _COLUMNS

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the reader has gone: a demo does not end for that
            self._ended.set()


def main(sentence: str, *command: str) -> int:
    """Run a command, and return its exit status."""
    with StepProgress() as progress:
        progress(sentence)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
