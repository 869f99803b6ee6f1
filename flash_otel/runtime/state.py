"""Module state of a process, in variables that a test can reset and a forked child can replace.

    _warned = ProcessVar(bool, reset_in_child=True)  # at module level
    _warned.value = True

Reading `value` is a plain attribute access: hot paths may do it on every call.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

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


def _reset_in_child() -> None:
    for variable in _variables:
        if variable.reset_in_child:
            variable.reset()


# Handlers in the child run in the order of registration: `runtime.forks` imports this module, so
# that every variable is reset before its handlers run.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_in_child)
