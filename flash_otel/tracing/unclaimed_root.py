"""The root span of a deployment that was already running when tracing began.

With `instrument()` in a user's module, Flash's build imports that line in the middle of
`flash deploy`. The root opens when the manifest is built, and the deployment that follows claims
it. A root that is never claimed ends at exit, with an unknown outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel.pipeline import pipeline
from flash_otel.runtime.state import ProcessVar

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from flash_otel.tracing.scope import Scope

# A forked child leaves the root to the process that opened it.
_root: Final[ProcessVar[tuple[Scope, Context] | None]] = ProcessVar(
    lambda: None, reset_in_child=True
)


def hold(scope: Scope, context: Context) -> None:
    """Keep an open root until it is claimed."""
    abandon()
    _root.value = (scope, context)


def claim(name: str) -> tuple[Scope, Context] | None:
    """Return the root of this name, if one is unclaimed; the caller must end it."""
    root = _root.value
    if root is None or root[0].spec.name != name:
        return None
    _root.reset()
    return root


def abandon() -> None:
    """End the root that was never claimed, if there is one."""
    root = _root.value
    if root is not None:
        _root.reset()
        root[0].abandon()


pipeline.before_exit(abandon)
