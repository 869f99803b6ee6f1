"""The guard around all code that flash_otel runs inside its host.

Tracing must never break the traced call. Internal errors are swallowed and logged once per place;
`FLASH_OTEL_RAISE`, which flash_otel's own tests set, raises them instead.
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
    """Log the exception being handled, once per `place`; re-raise it under FLASH_OTEL_RAISE."""
    if os.environ.get("FLASH_OTEL_RAISE"):
        raise  # noqa: PLE0704 - called from an except block, by contract
    if place not in _reported.value:
        _reported.value.add(place)
        error = sys.exc_info()
        # Debug level: a host's log must not show noise about its telemetry.
        logger.debug("flash_otel: internal error in %s (ignored)", place, exc_info=error)


@contextmanager
def guarded(place: str) -> Iterator[None]:
    """Swallow and log any exception of the block.

    Not for hot paths: an explicit try with `swallowed` costs a third of this.
    """
    try:
        yield
    except Exception:
        swallowed(place)
