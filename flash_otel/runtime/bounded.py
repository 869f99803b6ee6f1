"""Waiting no longer than until a deadline (a time on the monotonic clock, in seconds)."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from flash_otel.runtime.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def each(done: Iterable[bool]) -> bool:
    """Tell whether all were done, after every one of them was tried."""
    return all(tuple(done))


def millis(deadline: float) -> int:
    """Return how many milliseconds are left."""
    return max(0, int((deadline - time.monotonic()) * 1000))


def bounded(action: Callable[[], object], deadline: float) -> bool:
    """Run an ending in a thread of its own, and wait for it no longer than until the deadline.

    A batch processor's shutdown joins its worker whatever timeout it is given (SDK 1.45), so the
    only sure bound is not to wait.
    """
    done = threading.Event()

    def run() -> None:
        with guarded("a bounded ending"):
            action()
        done.set()

    try:
        threading.Thread(target=run, name="flash_otel-ending", daemon=True).start()
    except RuntimeError:  # 3.12.0 and 3.12.1 start no thread while the interpreter exits
        run()
    return done.wait(max(0.0, deadline - time.monotonic()))
