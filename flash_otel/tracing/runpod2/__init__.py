"""The targets of runpod 2 (`runpod.apps`): the functions to wrap, and their wrappers.

A deployment is `deploy_app`, one per app, in a task of its own. It builds, uploads, activates, and
then saves the endpoints, one after another. Nothing is written afterwards, and workers read
nothing: a call names its target in headers (2.0.0rc2).
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.tracing import builds, calls, decorators
from flash_otel.tracing.flash import graphql
from flash_otel.tracing.runpod2 import late_root
from flash_otel.tracing.stages import staged
from flash_otel.tracing.targets import Target, in_turn, spanned, tapped

if TYPE_CHECKING:
    from flash_otel.tracing.extractors import Call

_DEPLOY: Final = "runpod.apps.deploy"
_API: Final = "runpod.apps.api"
_TARGETS: Final = "runpod.apps.targets"


def _artifact_built(call: Call) -> int:
    return Path(call.result).stat().st_size


def _endpoint_urls(call: Call) -> dict[str, str]:
    """Return the URLs of the endpoints that `reconcile_endpoints` returns the ids of.

    The client computes a URL when it calls (`QueueClient.base_url`, `QueueClient.http`).
    """
    base = sys.modules["runpod"].endpoint_url_base.rstrip("/")
    scheme, _, rest = base.partition("://")
    host = rest.partition("/")[0]
    resources = call.argument("app").resources
    return {
        name: f"{scheme}://{endpoint_id}.{host}"
        if resources[name].spec.kind.value == "api"
        else f"{base}/{endpoint_id}"
        for name, endpoint_id in call.result.items()
    }


def _action(call: Call) -> str:
    """Return the action on an endpoint: it is updated if its input has an id, else created."""
    has_id = call.argument("endpoint_input").get("id")
    return semconv.ACTION_UPDATE if has_id else semconv.ACTION_CREATE


def _own_build(_call: Call) -> str | None:
    """Return the build of a worker's endpoint, which `saveEndpoint` put into its environment."""
    return os.environ.get("RUNPOD_BUILD_ID")


def _remote(_call: Call) -> str:
    return semconv.ROUTE_REMOTE


_CALLED: Final = partial(
    spanned,
    decorators.trace_call,
    app_name="self.app_name",
    environment_name="self.env_name",
    resource_name="self.resource_name",
    build_id=_own_build,
    route=_remote,
)
_JOB: Final = _CALLED()
_REQUEST: Final = _CALLED(method="method")

TARGETS: Final = (
    Target(
        _DEPLOY,
        "deploy_app",
        spanned(decorators.trace_deploy, environment_name=("env_name", "app.env")),
    ),
    # `rp flash deploy --build-only`: the build is not a part of a deployment.
    Target(
        _DEPLOY, "build_artifact", spanned(decorators.trace_build, artifact_size=_artifact_built)
    ),
    Target(
        _DEPLOY,
        "build_environment",
        in_turn(staged(decorators.trace_build), tapped(late_root.opening)),
    ),
    Target(
        _DEPLOY,
        "build_manifest",
        in_turn(tapped(builds.carrying("deploy_app", _DEPLOY)), staged(decorators.trace_build)),
    ),
    Target(
        _DEPLOY,
        "package_project",
        staged(decorators.trace_build, is_last=True, artifact_size=_artifact_built),
    ),
    Target(
        _API,
        "AppsApiClient.prepare_artifact_upload",
        staged(
            decorators.trace_artifact_upload,
            artifact_size="tarball_size",
            object_key="return.objectKey",
        ),
    ),
    Target(
        _API,
        "AppsApiClient.upload_tarball",
        staged(decorators.trace_artifact_upload),
    ),
    Target(
        _API,
        "AppsApiClient.finalize_artifact_upload",
        staged(
            decorators.trace_artifact_upload,
            is_last=True,
            persisted="return.manifest",
        ),
    ),
    Target(
        _API,
        "AppsApiClient.deploy_build",
        spanned(
            decorators.trace_activate,
            previous_build_id=graphql.previous_build("environment_id"),
        ),
    ),
    Target(
        _DEPLOY,
        "reconcile_endpoints",
        spanned(
            decorators.trace_provision,
            environment_id="environment.id",
            environment_name="environment.name",
            endpoints=_endpoint_urls,
        ),
    ),
    Target(
        _API,
        "AppsApiClient.save_endpoint",
        spanned(
            decorators.trace_provision_endpoint,
            resource_name="endpoint_input.name",
            environment_id="endpoint_input.flashEnvironmentId",
            action=_action,
        ),
    ),
    Target(_API, "AppsApiClient._execute", tapped(graphql.note_answer)),
    Target(_API, "run_graphql_query_async", tapped(graphql.note_attempt)),
    Target(_API, "AppsApiClient._put_tarball", tapped(graphql.note_attempt)),
    Target(_TARGETS, "SentinelTarget.invoke", _JOB),
    Target(_TARGETS, "SentinelTarget.submit", _JOB),
    Target(_TARGETS, "SentinelTarget.request", _REQUEST),
    Target(_TARGETS, "_request_json", tapped(calls.noting)),
    Target(_TARGETS, "SentinelTarget._sentinel_headers", tapped(calls.propagating)),
)
