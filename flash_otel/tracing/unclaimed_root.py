"""The root of a deployment that was already running when tracing began.

With `instrument()` in a user's module, Flash's build imports that line in the middle of
`flash deploy`: the root opens when the manifest is built, waits here, and is claimed by the
deployment that follows. One that nobody claims ends at exit, with an unknown outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel.pipeline import pipeline
from flash_otel.runtime import forks

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from flash_otel.tracing.scope import Scope

_held: tuple[Scope, Context] | None = None


def hold(scope: Scope, context: Context) -> None:
    """Keep an open root until it is claimed."""
    global _held
    abandon()
    _held = (scope, context)


def claim(name: str) -> tuple[Scope, Context] | None:
    """Hand over the root of this name, if one waits; the caller ends it."""
    global _held
    if _held is None or _held[0].spec.name != name:
        return None
    claimed, _held = _held, None
    return claimed


def abandon() -> None:
    """End the root that nobody claimed."""
    global _held
    if _held is not None:
        (scope, _), _held = _held, None
        scope.abandon()


def _forget() -> None:
    """Leave the root to the process that opened it."""
    global _held
    _held = None


pipeline.before_exit(abandon)
forks.in_child(_forget)
