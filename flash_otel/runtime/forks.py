"""Fork handlers: one registry for everything that owns a thread, a lock or an open file.

Python runs fork handlers for neither `subprocess` nor spawned processes, and runs the one before
the fork in the forking thread only: a lock that another thread holds at that moment stays locked
in the child forever.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from flash_otel.runtime.guard import guarded
from flash_otel.runtime.state import ProcessVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# How long a fork waits for each lock of flash_otel: a host must not hang because of tracing.
PATIENCE_S: Final = 1.0
# How long it waits for an import in another thread. Imports end, if late on a busy machine, and a
# child that was forked in the middle of one would hang.
IMPORT_S: Final = 10.0


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
def held_off() -> Iterator[None]:
    """Delay forks in other threads while the block runs.

    For blocks that import: if the process forks in the middle of an import, the child inherits
    the module's import lock and waits for a thread that it does not have.
    """
    with _gate.value:
        yield


def register(member: ForkAware) -> None:
    """Call the member's handlers at every fork, as long as it is alive."""
    _members.add(member)


def before(action: Callable[[], None]) -> None:
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
    _call_each(
        "after a fork in the child", [member.after_fork_in_child for member in list(_members)]
    )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_prepare, after_in_parent=_resume_parent, after_in_child=_reset_child
    )
