"""The standard streams of a command, which may be closed, full, or have no reader.

A command writes its result to standard output and everything else to standard error. Only a result
that cannot be written is an error.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Final

from flash_otel.runtime.process import ProcessVar
from flash_otel.runtime.streams import terminal_width, to_stderr
from flash_otel.runtime.suggestions import pasteable
from flash_otel.wording import fitted_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DISK_ERRORS: Final = {errno.ENOSPC, errno.EFBIG, errno.EIO}
_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))

_postponed: ProcessVar[list[str] | None] = ProcessVar(lambda: None)


def prepare() -> None:
    """Replace closed streams by the null device; escape characters that a stream cannot encode.

    Python sets a closed stream to None (cron, services, `>&-`). A file that is opened later would
    get its descriptor, and everything that is written to the stream.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < len(_STREAMS):
        pass
    os.close(descriptor)
    for descriptor, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            # `closefd=False`, because Python warns if it closes a standard stream at exit.
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", "") == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def note(text: str) -> None:
    """Write lines to standard error; a failure must not cost the command its result.

    Suggested commands can be pasted. On a terminal, lines are broken between words.
    """
    note_lines(_fitted(text, terminal_width()))


def note_lines(lines: Iterable[str]) -> None:
    """Write lines to standard error as they are."""
    text = "\n".join(lines)
    if _postponed.value is None:
        to_stderr(text)
    else:
        _postponed.value.append(text)


def print_text(text: str) -> None:
    """Print lines, laid out as those of `note`."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n".join(_fitted(text, width)))


def _fitted(text: str, width: int | None) -> Iterator[str]:
    for line in pasteable(text).split("\n"):
        yield from fitted_line(line, width)


def postpone_notes() -> None:
    """Hold the lines for a terminal that is a pager's, so that they follow the report."""
    if sys.stderr.isatty():
        _postponed.value = []


def release_notes() -> None:
    """Write the held lines."""
    held, _postponed.value = _postponed.value, None
    for text in held or ():
        to_stderr(text)


def is_output_lost(error: OSError) -> bool:
    """Return True if an error means that standard output or the disk accepts no more data."""
    # After a failed write, an unbuffered stream has nothing left to flush.
    return error.errno in DISK_ERRORS or _is_lost(sys.stdout)


def settle() -> None:
    """Drop unwritable output: Python would fail on it again, and exit with status 120."""
    for stream in (sys.stdout, sys.stderr):
        if _is_lost(stream):
            drop(stream)


def drop(stream: Any) -> None:
    """Redirect a stream to the null device."""
    with open(os.devnull, "w", encoding="utf-8") as null:  # noqa: PTH123 - a device, no path
        os.dup2(null.fileno(), stream.fileno())


def _is_lost(stream: Any) -> bool:
    try:
        stream.flush()
    except OSError:
        return True
    except ValueError:  # closed by the command that `run` ran
        return False
    return False
