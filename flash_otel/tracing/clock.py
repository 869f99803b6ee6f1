"""The one clock of every span, so that a test can hold it still."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_source: Callable[[], int] = time.time_ns


def now() -> int:
    """Return nanoseconds since the epoch."""
    return _source()


def use(source: Callable[[], int] | None) -> None:
    """Take the time from `source`, or (None) from the system's clock again."""
    global _source
    _source = time.time_ns if source is None else source
