"""The one guard around everything that flash_otel does inside its host.

Tracing must never break the call it traces: an internal error is swallowed and logged once per
place; with `FLASH_OTEL_RAISE` set (as in flash_otel's own tests) it is raised instead.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flash_otel.runtime.state import ProcessVar

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("flash_otel")
logger.addHandler(logging.NullHandler())

_reported: ProcessVar[set[str]] = ProcessVar(set)


def swallowed(place: str) -> None:
    """Report the exception that is being handled, once per `place`; raise it in our own tests."""
    if os.environ.get("FLASH_OTEL_RAISE"):
        raise  # noqa: PLE0704 - called from an except block, by contract
    if place not in _reported.value:
        _reported.value.add(place)
        error = sys.exc_info()
        logger.debug("flash_otel: internal error in %s (ignored)", place, exc_info=error)


@contextmanager
def guarded(place: str) -> Iterator[None]:
    """Swallow and report whatever our own code raises inside the block.

    Not for hot paths: an explicit try with `swallowed` costs a third of this.
    """
    try:
        yield
    except Exception:
        swallowed(place)
