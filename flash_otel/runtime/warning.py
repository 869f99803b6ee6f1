"""At most one warning per process on standard error."""

from __future__ import annotations

import sys

from flash_otel.runtime.guard import guarded
from flash_otel.runtime.state import ProcessVar

_has_warned = ProcessVar(bool, reset_in_child=True)


def warn_once(line: str) -> None:
    """Write a line to standard error, unless this process has already written one."""
    if not _has_warned.value:
        _has_warned.value = True
        with guarded("a line to standard error"):
            to_stderr(line)


def to_stderr(message: str) -> None:
    """Write a line to standard error in one call, if the process has a standard error."""
    stream = sys.stderr
    if stream is not None:
        line = f"{message}\n".encode(stream.encoding or "ascii", "backslashreplace")
        stream.write(line.decode(stream.encoding or "ascii"))
        stream.flush()
