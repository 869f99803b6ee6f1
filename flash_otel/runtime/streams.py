"""The standard streams of a host: one warning, whole lines, and what is known of its terminal.

A stream may be missing, closed, full, stopped or replaced by the host. Nothing here raises.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from flash_otel.runtime.process import ProcessVar, guarded

_NARROWEST: Final = 40  # cells
_SIZE: Final = (80, 24)  # of a terminal that does not know its own

_has_warned = ProcessVar(bool, reset_in_child=True)
_held: ProcessVar[list[str]] = ProcessVar(list, reset_in_child=True)


def write(stream: Any, text: str) -> None:
    """Write text to a stream of the host in a single call; errors of the stream are ignored.

    Characters that the stream cannot encode are escaped.

    Args:
        stream: A text stream, or any stand-in with `write`; None if the process has none.
        text: Complete lines.
    """
    is_own: bool = stream is not None and stream is sys.__stderr__
    try:
        if is_own and os.name == "posix":
            # Past the stream's buffer: data that a full disk rejects would stay there, and
            # Python's flush at exit would fail on it and change the exit status to 120.
            stream.flush()
            data = text.encode(stream.encoding, "backslashreplace")
            while data:
                data = data[os.write(stream.fileno(), data) :]
        elif stream is not None:
            _write_buffered(stream, text)
    except (OSError, ValueError, LookupError, AttributeError):
        return  # a broken pipe, a full disk, a closed stream, an unknown encoding


def _write_buffered(stream: Any, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError as error:
        stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
    # The platform may kill a worker at any time, and a buffer dies with it.
    if hasattr(stream, "flush"):
        stream.flush()


def warn_once(line: str) -> None:
    """Write a line to standard error, at most once per process.

    On a terminal on which the `flash` command shows its progress, the line waits for the end.
    """
    if not _has_warned.value:
        from flash_otel.runtime.suggestions import pasteable

        _has_warned.value = True
        with guarded("a line to standard error"):
            line = pasteable(line)
            if is_terminal() and Path(sys.argv[0]).stem == "flash":
                _held.value.append(line)
            else:
                to_stderr(line)


def write_held() -> None:
    """Write the lines that waited for the end."""
    held, _held.value = _held.value, []
    for line in held:
        with guarded("a line to standard error"):
            to_stderr(line)


def is_terminal(stream: Any = None) -> bool:
    """Return whether a stream, by default standard error, is a terminal."""
    try:
        return bool((sys.stderr if stream is None else stream).isatty())
    except (AttributeError, ValueError):  # no stream, a stand-in for one, or a closed one
        return False


def is_blocked() -> bool:
    """Return whether writing to the terminal would wait: a user may have stopped it (Ctrl-S)."""
    try:
        can_tell = os.name == "posix" and is_terminal()
        return can_tell and not select.select([], [sys.stderr], [], 0)[1]
    except (OSError, ValueError):  # closed, or not a file
        return True


def terminal_width() -> int | None:
    """Return the cells of a line on the terminal; None if standard error is none."""
    return max(_NARROWEST, shutil.get_terminal_size(_SIZE).columns) if is_terminal() else None


def to_stderr(message: str) -> None:
    """Write a line to standard error in a single call, if the process has a standard error."""
    write(sys.stderr, f"{message}\n")
