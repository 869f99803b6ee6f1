"""Flash's build: puts the deployment's context into the manifest of the artifact.

`ManifestBuilder.build` (1.0.0-1.21.0) makes the manifest that goes into the artifact and into the
finalize call. The deployment's root is open by then, unless tracing began during `flash deploy`,
in a user's module: then it opens here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv
from flash_otel.pipeline import pipeline
from flash_otel.runtime.guard import swallowed
from flash_otel.tracing import carriers, unclaimed_root
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.specs import DEPLOY
from flash_otel.tracing.wrapper import open_scope

if TYPE_CHECKING:
    from types import FrameType

    from flash_otel.tracing.scope import Scope

DEPLOY_MODULE: Final = "runpod_flash.cli.commands.deploy"
DEPLOY_FUNCTION: Final = "deploy_command"


def carry_build(
    wrapped: Callable[..., Any], _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Build the manifest, and put the deployment's context into a copy of it."""
    manifest = wrapped(*args, **kwargs)
    if pipeline.is_off() or not isinstance(manifest, Mapping):
        return manifest
    try:
        return _with_carrier(manifest)
    except Exception:
        swallowed("the build's carrier")
        return manifest


def _with_carrier(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    scope = scopes.current() or _late_root()
    if scope is None:
        return manifest
    context = scope.root.span.get_span_context()
    if not context.is_valid:
        return manifest
    # `flash build` alone (1.0.0) has no deployment: its own span stands for it.
    deployment_id = scope.attributes.shared.get(semconv.DEPLOYMENT_ID, f"{context.span_id:016x}")
    now_ns = pipeline.clock.value()
    return carriers.write(manifest, semconv.PHASE_BUILD, context, deployment_id, now_ns)


def _late_root() -> Scope | None:
    """Open the root of a deployment that was running before tracing began."""
    opened = open_scope(DEPLOY) if _deploy_is_running() else None
    if opened is None:
        return None
    unclaimed_root.hold(*opened)
    return opened[0]


def _deploy_is_running() -> bool:
    """Look for Flash's deploy command among the callers: `flash build` alone deploys nothing."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the documented way to see callers
    while frame is not None:
        if (
            frame.f_code.co_name == DEPLOY_FUNCTION
            and frame.f_globals.get("__name__") == DEPLOY_MODULE
        ):
            return True
        frame = frame.f_back
    return False
