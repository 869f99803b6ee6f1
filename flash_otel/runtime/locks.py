"""Locks between processes: a file that a process holds locked until it releases it or dies."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from flash_otel.runtime.process import ProcessVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MODE: Final = 0o600
_POLL_S: Final = 0.1

# The locks that this process holds. The operating system cannot know: POSIX record locks belong
# to the process, so a second one on the same file succeeds and closing either ends both (fcntl(2)).
# For the same reason a forked child holds none.
_held: ProcessVar[dict[Path, object]] = ProcessVar(dict, reset_in_child=True)


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold the lock at `path` inside the block, if it is free; yield whether it was.

    Args:
        path: A file for the lock alone, created if it is missing.

    Raises:
        OSError: The file cannot be created, or is a symbolic link.
    """
    holder, key = object(), path.parent.resolve() / path.name
    # `setdefault` is atomic: of two threads, only one finds its own object.
    if _held.value.setdefault(key, holder) is not holder:
        yield False
        return
    try:
        # Following a planted symbolic link would create a file elsewhere.
        flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, _MODE)
        try:
            yield _acquire(descriptor)
        finally:
            os.close(descriptor)
    finally:
        _held.value.pop(key, None)


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock at `path` inside the block; wait for it as long as it takes.

    Args:
        path: A file for the lock alone, created with its folder if it is missing.

    Raises:
        OSError: The file cannot be created, or is a symbolic link.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with try_lock(path) as is_free:
            if is_free:
                yield
                return
        # Polling, because a blocking call knows nothing of the other threads of this process, and
        # `LK_LOCK` of Windows gives up after ten seconds.
        time.sleep(_POLL_S)


if sys.platform == "win32":

    def _acquire(descriptor: int) -> bool:
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:

    def _acquire(descriptor: int) -> bool:
        import fcntl

        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
