"""What happens when the process forks: one registry for all that owns a thread, a lock or a file.

Python calls nothing of this for `subprocess`, and before a fork only in the thread that forks:
whatever another thread holds at that moment stays held in the child for ever.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from flash_otel.runtime.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A fork that something of ours keeps waiting goes on after this.
PATIENCE_S: Final = 1.0
# Longer for an import, which ends, though perhaps late on a busy machine: without it the child
# would hang.
IMPORT_S: Final = 10.0


class ForkAware:
    """Something that has to act when its process forks; by default it does nothing."""

    def before_fork(self) -> None:
        """Let go of what a child must not inherit."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Begin anew: what is queued is the parent's to see to."""


_members: weakref.WeakSet[ForkAware] = weakref.WeakSet()
_in_child: list[Callable[[], None]] = []
_before: list[Callable[[], None]] = []
# Reentrant: who is inside may fork, and a signal handler may come in again.
_gate = threading.RLock()
# The threads that fork now, and whether each holds the gate.
_forking: dict[int, bool] = {}


@contextmanager
def held_off() -> Iterator[None]:
    """Let no other thread fork, or be in here, while the block runs.

    For whatever imports: a module that is half imported when the process forks can never be
    imported in the child, which waits for the parent's thread to go on.
    """
    with _gate:
        yield


def register(member: ForkAware) -> None:
    """Tell someone of every fork from now on, as long as they live."""
    _members.add(member)


def in_child(action: Callable[[], None]) -> None:
    """Call `action` in every forked child, before the members begin anew."""
    _in_child.append(action)


def before(action: Callable[[], None]) -> None:
    """Call `action` before every fork."""
    _before.append(action)


def _each(step: str, actions: list[Callable[[], None]]) -> None:
    for action in actions:
        with guarded(step):
            action()


def _prepare() -> None:
    is_held = _gate.acquire(timeout=IMPORT_S)
    if _forking and not is_held:
        return  # another thread forks, too: what it has prepared holds for this fork
    _forking[threading.get_ident()] = is_held
    _each("before a fork", [*_before, *(one.before_fork for one in list(_members))])


def _go_on() -> None:
    me = threading.get_ident()
    if me not in _forking:
        return
    _each("after a fork", [one.after_fork_in_parent for one in list(_members)])
    if _forking.pop(me):
        _gate.release()


def _begin_anew() -> None:
    global _gate
    _gate = threading.RLock()
    _forking.clear()
    actions = [*_in_child, *(one.after_fork_in_child for one in list(_members))]
    _each("after a fork in the child", actions)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_prepare, after_in_parent=_go_on, after_in_child=_begin_anew)
