"""The build's manifest: where the deployment's context enters the artifact.

`ManifestBuilder.build` (1.0.0-1.21.0) makes the manifest that goes into the artifact and into the
finalize call. The root is open by then, unless tracing began inside `flash deploy`, in a user's
module: then it opens here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv
from flash_otel.pipeline import pipeline
from flash_otel.runtime.guard import swallowed
from flash_otel.tracing import carriers, clock, links, unclaimed_root
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.extractors import ENDED
from flash_otel.tracing.scope import Scope
from flash_otel.tracing.specs import DEPLOY

if TYPE_CHECKING:
    from types import FrameType

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
        return _carried(manifest)
    except Exception:
        swallowed("the build's carrier")
        return manifest


def _carried(manifest: Mapping[str, Any]) -> Any:
    scope = scopes.current() or _late_root()
    if scope is None:
        return manifest
    context = scope.root.span.get_span_context()
    if not context.is_valid:
        return manifest
    deployment_id = scope.known.get(semconv.DEPLOYMENT_ID, f"{context.span_id:016x}")
    return carriers.write(manifest, semconv.PHASE_BUILD, context, deployment_id, clock.now())


def _late_root() -> Scope | None:
    """Open the root of a deployment that was running before tracing began."""
    tracer = pipeline.tracer() if _deploy_is_running() else None
    if tracer is None:
        return None
    root = Scope(DEPLOY, tracer, ENDED, ({}, {}), None)
    related = links.relate(DEPLOY.relation, pipeline.propagation(), is_root=True)
    unclaimed_root.hold(root, root.open(related.context, related.links, related.attributes))
    return root


def _deploy_is_running() -> bool:
    """Look for Flash's command among the callers: `flash build` alone is no deployment."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the documented way to see callers
    while frame is not None:
        if (
            frame.f_code.co_name == DEPLOY_FUNCTION
            and frame.f_globals.get("__name__") == DEPLOY_MODULE
        ):
            return True
        frame = frame.f_back
    return False
