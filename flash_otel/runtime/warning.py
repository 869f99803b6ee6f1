"""The one line that a process may write to standard error about its own spans."""

from __future__ import annotations

import sys

from flash_otel.runtime import forks
from flash_otel.runtime.guard import guarded

_told = False


def tell(line: str) -> None:
    """Write a line, unless this process has written one already."""
    global _told
    if not _told:
        _told = True
        with guarded("a line to standard error"):
            to_stderr(line)


def forget() -> None:
    """Begin anew, as a forked child does."""
    global _told
    _told = False


forks.in_child(forget)


def to_stderr(message: str) -> None:
    """Write a line to standard error in one piece, if there is one."""
    stream = sys.stderr
    if stream is not None:
        line = f"{message}\n".encode(stream.encoding or "ascii", "backslashreplace")
        stream.write(line.decode(stream.encoding or "ascii"))
        stream.flush()
