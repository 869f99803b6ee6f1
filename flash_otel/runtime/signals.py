"""What ends a command-line process without its exit handlers: SIGTERM and SIGHUP.

Where the host has left them at their default, what has ended is stored first, and the process then
dies of the very same signal, as its parent expects. A handler of the host's is never touched. Like
every handler in Python, ours runs in the main thread, once a call into C that is under way there
has returned.
"""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flash_otel.runtime.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES: Final = ("SIGTERM", "SIGHUP")

_installed: dict[int, Any] = {}


def install(ending: Callable[[], None]) -> bool:
    """Call `ending` before a signal ends the process.

    Returns:
        Whether this has been seen to: only the main thread can.
    """
    if os.name != "posix":
        return True
    if threading.current_thread() is not threading.main_thread():
        return False
    with guarded("signal handlers"):
        for name in _NAMES:
            number = getattr(signal, name)
            if signal.getsignal(number) is signal.SIG_DFL:
                handler = partial(_die, ending)
                signal.signal(number, handler)
                _installed[number] = handler
    return True


def remove() -> None:
    """Put the defaults back, where nobody has set anything else since."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in _installed.items():
        if signal.getsignal(number) is handler:
            signal.signal(number, signal.SIG_DFL)
    _installed.clear()


def _die(ending: Callable[[], None], number: int, frame: object) -> None:
    del frame
    # A second signal, while this one is handled, ends the process at once.
    signal.signal(number, signal.SIG_DFL)
    try:
        ending()
    finally:
        os.kill(os.getpid(), number)
