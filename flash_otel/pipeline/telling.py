"""The one line that a process may write to standard error about its own spans."""

from __future__ import annotations

from flash_otel._guard import guarded
from flash_otel.pipeline import forks
from flash_otel.pipeline.store_sink import to_stderr

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
