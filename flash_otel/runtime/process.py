"""Support for a library in a host's process: an error guard, state, and fork handlers.

Tracing must never break the traced call. Internal errors are swallowed and logged once per place;
`FLASH_OTEL_RAISE`, which flash_otel's own tests set, raises them instead.

Module-level state is held in `ProcessVar` objects, which a test can reset and a forked child can
replace. Reading `value` is a plain attribute access: hot paths may do it on every call.

Everything that owns a thread, a lock or an open file registers its fork handlers here. Python runs
them for neither `subprocess` nor spawned processes, and runs the handler before the fork only in
the forking thread: a lock that another thread holds then stays locked in the child forever.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # not in the stubs
import logging
import os
import signal
import sys
import threading
import weakref
from contextlib import contextmanager
from functools import partial
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

logger = logging.getLogger("flash_otel")
logger.addHandler(logging.NullHandler())

# How long a fork waits for each lock of flash_otel: a host must not hang because of tracing.
PATIENCE_S: Final = 1.0
# How long a fork waits for an import in another thread. Imports end, even if late on a busy
# machine, and a child that is forked during an import would hang.
IMPORT_S: Final = 10.0

_variables: list[ProcessVar[object]] = []
_on_reset: list[Callable[[], None]] = []


class ProcessVar(Generic[T]):
    """A module-level variable that knows its initial value. Created once, at import.

    Args:
        initial: Makes the initial value.
        reset_in_child: Whether a forked child starts with the initial value; by default it
            inherits the parent's, as it inherits all memory.

    Attributes:
        value: The current value.
    """

    __slots__ = ("_initial", "reset_in_child", "value")

    def __init__(self, initial: Callable[[], T], *, reset_in_child: bool = False) -> None:
        self._initial = initial
        self.reset_in_child = reset_in_child
        self.value = initial()
        _variables.append(self)  # type: ignore[arg-type]  # only ever reset, never written

    def reset(self) -> None:
        """Go back to the initial value."""
        self.value = self._initial()


def on_reset(action: Callable[[], None]) -> None:
    """Call `action` on every `reset`, for state that is not a `ProcessVar`."""
    _on_reset.append(action)


def reset() -> None:
    """Go back to the state of a fresh process (for tests; tracing must be off)."""
    for variable in _variables:
        variable.reset()
    for action in _on_reset:
        action()


_reported: ProcessVar[set[str]] = ProcessVar(set)


def is_hosts(error: BaseException) -> bool:
    """Return whether an exception belongs to the host, even if flash_otel's code was interrupted.

    A signal handler of Python runs between any two instructions: an alarm, or a `sys.exit()` at
    SIGTERM, that it raises would be lost if it was swallowed here.
    """
    if isinstance(error, KeyboardInterrupt):
        return True
    # The original of `signal.getsignal`, which looks up an enum's members, is 30 times as fast.
    handlers = map(_signal.getsignal, range(1, signal.NSIG))
    codes = {_code_of(handler) for handler in handlers if callable(handler)}
    return any(frame.f_code in codes for frame, _ in walk_tb(error.__traceback__))


def _code_of(handler: Any) -> Any:
    """Return the code that a call of a signal handler runs; None if it is not of Python."""
    while isinstance(handler, partial):
        handler = handler.func
    runs = handler if hasattr(handler, "__code__") else type(handler).__call__
    return getattr(runs, "__code__", None)


def swallowed(place: str) -> None:
    """Log the exception being handled, once per `place`.

    One that belongs to the host is re-raised; under FLASH_OTEL_RAISE, every one is.
    """
    error = sys.exc_info()
    if os.environ.get("FLASH_OTEL_RAISE") or (error[1] is not None and is_hosts(error[1])):
        raise  # noqa: PLE0704 - called from an except block, by contract
    if place not in _reported.value:
        _reported.value.add(place)
        # Debug level: a host's log must not show noise about its telemetry.
        logger.debug("flash_otel: internal error in %s (ignored)", place, exc_info=error)


@contextmanager
def guarded(place: str) -> Iterator[None]:
    """Swallow and log any exception of the block, but those of the host.

    Not for hot paths: an explicit try with `swallowed` costs a third of this.
    """
    try:
        yield
    except BaseException:
        swallowed(place)


class ForkAware:
    """An object with fork handlers. Each handler does nothing by default."""

    def before_fork(self) -> None:
        """Release what the child must not inherit."""

    def after_fork_in_parent(self) -> None:
        """Resume in the parent."""

    def after_fork_in_child(self) -> None:
        """Reset in the child; queued spans belong to the parent."""


_members: weakref.WeakSet[ForkAware] = weakref.WeakSet()
_before: list[Callable[[], None]] = []
# Reentrant, because code that holds it may fork, and a signal handler may enter it again.
_gate = ProcessVar(threading.RLock, reset_in_child=True)
# The forking threads (by ident), and whether each holds the gate.
_forking: ProcessVar[dict[int, bool]] = ProcessVar(dict, reset_in_child=True)


@contextmanager
def forks_held_off() -> Iterator[None]:
    """Delay forks in other threads while the block runs.

    For blocks that import: if the process forks in the middle of an import, the child inherits
    the module's import lock and waits for a thread that it does not have.
    """
    with _gate.value:
        yield


def register_for_forks(member: ForkAware) -> None:
    """Call the member's handlers at every fork, as long as it is alive."""
    _members.add(member)


def before_forks(action: Callable[[], None]) -> None:
    """Call `action` before every fork."""
    _before.append(action)


def _call_each(step: str, actions: list[Callable[[], None]]) -> None:
    for action in actions:
        with guarded(step):
            action()


def _prepare() -> None:
    is_held = _gate.value.acquire(timeout=IMPORT_S)
    if _forking.value and not is_held:
        return  # another thread is forking: its preparation covers this fork too
    _forking.value[threading.get_ident()] = is_held
    _call_each("before a fork", [*_before, *(member.before_fork for member in list(_members))])


def _resume_parent() -> None:
    thread = threading.get_ident()
    if thread not in _forking.value:
        return
    _call_each("after a fork", [member.after_fork_in_parent for member in list(_members)])
    if _forking.value.pop(thread):
        _gate.value.release()


def _reset_child() -> None:
    # The variables first: the handlers use them.
    for variable in _variables:
        if variable.reset_in_child:
            variable.reset()
    _call_each(
        "after a fork in the child", [member.after_fork_in_child for member in list(_members)]
    )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_prepare, after_in_parent=_resume_parent, after_in_child=_reset_child
    )
