"""The end of a process that `multiprocessing` started: it leaves without its exit handlers.

Such a child, forked or spawned, ends by `os._exit` after its finalizers (`Process._bootstrap`,
3.10-3.14): an ending has to be one of these. They are cleared when the child begins, and after
that whoever has asked for it (`register_after_fork`) is called.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from flash_otel.runtime import forks

if TYPE_CHECKING:
    from collections.abc import Callable

# Below every finalizer of the host: those may still end spans.
_PRIORITY: Final = -1_000


class ChildEnding:
    """Has an ending called when a child of multiprocessing ends.

    Args:
        ending: What to call; harmless where there is nothing to end.
    """

    def __init__(self, ending: Callable[[], None]) -> None:
        self._ending = ending
        self._known = False
        forks.before(self.arrange)

    def arrange(self) -> None:
        """See to this process, if it is a child, and to those that it forks from now on.

        Nothing is imported: who has not loaded multiprocessing is not its child.
        """
        util = sys.modules.get("multiprocessing.util")
        if util is None or self._known:
            return
        self._known = True
        util.register_after_fork(self, ChildEnding._finalize)
        self._finalize()

    def _finalize(self) -> None:
        from multiprocessing import parent_process, util

        if parent_process() is not None:
            util.Finalize(None, self._ending, exitpriority=_PRIORITY)
