"""One sender per destination and store at a time; its lock ends with the process.

Without it, two processes that run at once would send the same spans twice.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MODE: Final = 0o600

# POSIX locks are the process's, not the descriptor's: within it, this says who holds which.
_held: set[Path] = set()


@contextmanager
def sole(path: Path) -> Iterator[bool]:
    """Hold a lock on a file, which is made where it is missing; tell whether it was free.

    Args:
        path: The lock's own file, of which nothing is read or written.
    """
    if path in _held:
        yield False
        return
    _held.add(path)
    try:
        # A planted symbolic link must not make us create files elsewhere.
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), _MODE)
        try:
            yield _lock(descriptor)
        finally:
            os.close(descriptor)
    finally:
        _held.discard(path)


def forget() -> None:
    """Begin anew in a forked child, which inherits no lock."""
    _held.clear()


if sys.platform == "win32":

    def _lock(descriptor: int) -> bool:
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:

    def _lock(descriptor: int) -> bool:
        import fcntl

        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
