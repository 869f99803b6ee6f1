"""The end of a process: exit hooks, signal handlers and bounded waits.

A process can end in three ways, and each needs its own hook: `atexit` for an ordinary exit, a
finalizer for children of `multiprocessing`, and signal handlers for SIGTERM and SIGHUP. Deadlines
are times of the monotonic clock, in seconds.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flash_otel.runtime.options import exit_budget
from flash_otel.runtime.process import before_forks, guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Below the priority of the host's own finalizers, which may still end spans.
_FINALIZER_PRIORITY: Final = -1_000
_SIGNALS: Final = ("SIGTERM", "SIGHUP")
# Beyond the exit budget, which the action keeps by itself unless it waits for a lock.
_LOCKED_S: Final = 1.0

_handlers: dict[int, Any] = {}


def _nothing() -> None:
    """Stand for the action of a process that has not begun to trace."""


class ExitHook:
    """Calls an action when the process exits; in children of `multiprocessing`, too.

    Such a child, forked or spawned, ends with `os._exit` after its finalizers
    (`Process._bootstrap`, CPython 3.10-3.14) and never runs `atexit` handlers. It clears the
    finalizers that it inherits, and then calls what was passed to `register_after_fork`.

    Attributes:
        action: Called at exit; must be harmless if there is nothing to end. It may be set after
            the hook is registered, whose place among the other hooks it then takes.
    """

    def __init__(self) -> None:
        self.action: Callable[[], None] = _nothing
        self._is_registered = False
        self._knows_multiprocessing = False

    def register(self) -> None:
        """Register the hook for this process and its future children. Idempotent."""
        if not self._is_registered:
            self._is_registered = True
            atexit.register(self._run)
            before_forks(self._hook_multiprocessing)
        self._hook_multiprocessing()

    def _hook_multiprocessing(self) -> None:
        # Not imported here: a process that has not loaded multiprocessing is no child of it.
        util = sys.modules.get("multiprocessing.util")
        if util is None or self._knows_multiprocessing:
            return
        self._knows_multiprocessing = True
        util.register_after_fork(self, ExitHook._finalize)
        self._finalize()

    def _finalize(self) -> None:
        from multiprocessing import parent_process, util

        if parent_process() is not None:
            util.Finalize(None, self._run, exitpriority=_FINALIZER_PRIORITY)

    def _run(self) -> None:
        self.action()


exit_hook: Final = ExitHook()
"""The hook of this process: `pipeline` sets its action when it is imported."""


def install_signal_handlers(action: Callable[[], None]) -> bool:
    """Call `action` before SIGTERM or SIGHUP ends the process.

    Only signals with the default disposition get a handler; the host's own handlers stay. After
    the action the process kills itself with the same signal, so its parent sees the true cause.

    Returns:
        False if it is too early to tell: Python sets handlers in the main thread only.
    """
    if os.name != "posix":
        return True
    if threading.current_thread() is not threading.main_thread():
        return False
    with guarded("signal handlers"):
        for name in _SIGNALS:
            number = getattr(signal, name)
            if signal.getsignal(number) is signal.SIG_DFL:
                handler = partial(_end_by_signal, action)
                signal.signal(number, handler)
                _handlers[number] = handler
    return True


def remove_signal_handlers() -> None:
    """Restore the default disposition, unless the host has set a handler since."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in _handlers.items():
        if signal.getsignal(number) is handler:
            signal.signal(number, signal.SIG_DFL)
    _handlers.clear()


def _end_by_signal(action: Callable[[], None], number: int, frame: object) -> None:
    del frame
    # A second signal ends the process at once, even while the action runs.
    signal.signal(number, signal.SIG_DFL)
    try:
        # In another thread: the one that the handler interrupts may hold a lock that the action
        # needs, such as that of a span, and would wait for itself.
        run_bounded(action, time.monotonic() + exit_budget() + _LOCKED_S)
    finally:
        os.kill(os.getpid(), number)


def remaining_ms(deadline: float) -> int:
    """Return the milliseconds until the deadline, 0 after it."""
    return max(0, int((deadline - time.monotonic()) * 1000))


def every(results: Iterable[bool]) -> bool:
    """Return whether all results are true, like `all`, but without stopping at the first false."""
    return all(tuple(results))


def run_bounded(action: Callable[[], object], deadline: float) -> bool:
    """Run an action in a thread and wait for it until the deadline.

    A batch processor's shutdown joins its worker and ignores the timeout (SDK 1.45): the only safe
    bound is to stop waiting.

    Returns:
        Whether the action has finished.
    """
    done = threading.Event()

    def run() -> None:
        with guarded("a bounded ending"):
            action()
        done.set()

    try:
        # Not `threading.Thread`, whose start takes a lock that an interrupted thread may hold.
        _thread.start_new_thread(run, ())
    except RuntimeError:  # 3.12.0 and 3.12.1 cannot start threads while the interpreter exits
        run()
    return done.wait(max(0.0, deadline - time.monotonic()))
