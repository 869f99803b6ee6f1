"""The deployment's context in the manifest of a build, and the root of a deployment that runs.

With `instrument()` in a user's module, tracing begins when Flash imports that module, in the middle
of a deployment. The root opens late then, when the build asks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flash_otel import pipeline, semconv
from flash_otel.runtime.process import swallowed
from flash_otel.tracing import carriers
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.specs import DEPLOY
from flash_otel.tracing.wrapper import open_scope

if TYPE_CHECKING:
    from types import FrameType


def carrying(command: str, module: str) -> Callable[..., Any]:
    """Make the wrapper of a function that returns the manifest of a build.

    The manifest goes into the artifact and into the finalize call. The deployment's root is open
    by then, unless tracing began during the deployment; in that case, it opens here.

    Args:
        command: The function that deploys: a build that it did not call deploys nothing.
        module: The module that defines it.
    """

    def carry(
        wrapped: Callable[..., Any],
        _instance: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        manifest = wrapped(*args, **kwargs)
        if pipeline.is_off() or not isinstance(manifest, Mapping):
            return manifest
        try:
            return _with_carrier(manifest, scopes.current() or _late_root(command, module))
        except Exception:
            swallowed("the build's carrier")
            return manifest

    return carry


def _with_carrier(manifest: Mapping[str, Any], scope: scopes.Scope | None) -> Mapping[str, Any]:
    if scope is None:
        return manifest
    context = scope.root.span.get_span_context()
    if not context.is_valid:
        return manifest
    # `flash build` alone (1.0.0) has no deployment, so its own span takes that place.
    deployment_id = scope.attributes.shared.get(semconv.DEPLOYMENT_ID, f"{context.span_id:016x}")
    now_ns = pipeline.clock.value()
    return carriers.write(manifest, semconv.PHASE_BUILD, context, deployment_id, now_ns)


def _late_root(command: str, module: str) -> scopes.Scope | None:
    """Open the root of a deployment that was running before tracing began."""
    opened = open_scope(DEPLOY) if caller(command, module) is not None else None
    if opened is None:
        return None
    scopes.hold_root(*opened)
    return opened[0]


def caller(function: str, module: str) -> FrameType | None:
    """Return the frame of a function among the callers, or None."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the documented way to see callers
    while frame is not None:
        if frame.f_code.co_name == function and frame.f_globals.get("__name__") == module:
            return frame
        frame = frame.f_back
    return None
