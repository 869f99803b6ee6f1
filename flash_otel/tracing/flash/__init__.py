"""The targets of runpod-flash 1.0.0 to 1.21.0: the functions to wrap, and their wrappers.

One table for all versions: a function that a version does not have is skipped. Methods of classes
are preferred, because from-imports do not copy them.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.tracing import builds, calls, decorators
from flash_otel.tracing.flash import graphql, worker
from flash_otel.tracing.serving import jobs, requests, threads
from flash_otel.tracing.targets import CommandTarget, Target, in_turn, spanned, tapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_otel.tracing.extractors import Call

_DEPLOY: Final = "runpod_flash.cli.commands.deploy"
_BUILD: Final = "runpod_flash.cli.commands.build"
_DEPLOYMENT: Final = "runpod_flash.cli.utils.deployment"
_API: Final = "runpod_flash.core.api.runpod"
_STATE_MANAGER: Final = "runpod_flash.runtime.state_manager_client"
_REGISTRY: Final = "runpod_flash.runtime.service_registry"
_WRAPPER: Final = "runpod_flash.runtime.production_wrapper"
_SERVERLESS: Final = "runpod_flash.core.resources.serverless"
_SENTINEL: Final = "runpod_flash.flash_sentinel"


def _artifact_built(call: Call) -> int:
    return Path(call.result).stat().st_size


def _artifact_uploaded(call: Call) -> int:
    return Path(call.argument("tar_path")).stat().st_size


def _action(call: Call) -> str | None:
    """Return the action on an endpoint: `saveEndpoint` updates it if given an id, else creates it.

    A resource whose configuration did not change is returned without a request
    (`ResourceManager.get_or_deploy_resource`).
    """
    if not call.returned and "saveEndpoint" not in call.requests:
        return None
    if "saveEndpoint" not in call.requests:
        return semconv.ACTION_REUSE
    variables = call.requests["saveEndpoint"]
    return semconv.ACTION_UPDATE if variables["input"].get("id") else semconv.ACTION_CREATE


def _variable(name: str) -> Callable[[Call], str | None]:
    def read(_call: Call) -> str | None:
        return os.environ.get(name)

    return read


def _remote(_call: Call) -> str:
    return semconv.ROUTE_REMOTE


# Flash 1.15 and later route a call on the server; the client only names its target.
_CALLED: Final = partial(
    spanned,
    decorators.trace_call,
    app_name="app",
    environment_name="env",
    resource_name="endpoint_name",
    route=_remote,
)
_JOB: Final = _CALLED()
_REQUEST: Final = _CALLED(method="method")

TARGETS: Final = (
    Target(_DEPLOY, "deploy_command", spanned(decorators.trace_deploy)),
    Target(_DEPLOY, "_resolve_and_deploy", spanned(decorators.trace_deploy)),
    Target(
        _DEPLOYMENT, "deploy_to_environment", spanned(decorators.trace_deploy), aliases=(_DEPLOY,)
    ),
    Target(
        _DEPLOYMENT,
        "deploy_from_uploaded_build",
        spanned(decorators.trace_deploy),
        aliases=(_DEPLOY,),
    ),
    Target(
        _BUILD,
        "run_build",
        spanned(decorators.trace_build, artifact_size=_artifact_built),
        aliases=(_DEPLOY,),
    ),
    Target(_BUILD, "build_command", spanned(decorators.trace_build)),
    Target(
        "runpod_flash.cli.commands.build_utils.manifest",
        "ManifestBuilder.build",
        tapped(builds.carrying("deploy_command", _DEPLOY)),
    ),
    Target(
        "runpod_flash.core.resources.app",
        "FlashApp.upload_build",
        spanned(
            decorators.trace_artifact_upload,
            artifact_size=_artifact_uploaded,
            object_key="answer.prepareFlashArtifactUpload.objectKey",
            upload_url="answer.prepareFlashArtifactUpload.uploadUrl",
        ),
    ),
    Target(
        _API,
        "RunpodGraphQLClient.deploy_build_to_environment",
        spanned(
            decorators.trace_activate,
            build_id="input_data.flashBuildId",
            environment_id="input_data.flashEnvironmentId",
            previous_build_id=graphql.previous_build("input_data.flashEnvironmentId"),
        ),
    ),
    Target(_DEPLOYMENT, "reconcile_and_provision_resources", spanned(decorators.trace_provision)),
    Target(
        "runpod_flash.core.resources.resource_manager",
        "ResourceManager.get_or_deploy_resource",
        spanned(
            decorators.trace_provision_endpoint,
            environment_id="config.flashEnvironmentId",
            action=_action,
        ),
    ),
    Target(
        _API,
        "RunpodGraphQLClient.update_build_manifest",
        spanned(decorators.trace_upload, carrier=True),
    ),
    Target(_API, "RunpodGraphQLClient._execute_graphql", tapped(graphql.note_answer)),
    Target(_API, "RunpodGraphQLClient._execute_graphql_once", tapped(graphql.note_attempt)),
    Target(
        _STATE_MANAGER,
        "StateManagerClient.get_persisted_manifest",
        spanned(
            decorators.trace_runtime_fetch,
            worker_endpoint_id=_variable(worker.ENDPOINT_VARIABLE),
            worker_environment_id=_variable(worker.ENVIRONMENT_VARIABLE),
        ),
    ),
    Target(
        _STATE_MANAGER,
        "StateManagerClient._fetch_build_and_manifest",
        spanned(decorators.trace_manifest_fetch),
    ),
    Target(_REGISTRY, "ServiceRegistry._ensure_manifest_loaded", tapped(worker.note_unset)),
    Target(_REGISTRY, "ServiceRegistry.get_routing_info", tapped(worker.note_route)),
    Target(_REGISTRY, "ServiceRegistry.get_resource_for_function", tapped(worker.note_route)),
    Target(_WRAPPER, "ProductionWrapper.wrap_function_execution", spanned(decorators.trace_call)),
    Target(
        _WRAPPER,
        "ProductionWrapper.wrap_class_method_execution",
        spanned(decorators.trace_call, function_name="request.class_name"),
    ),
    Target(_SENTINEL, "_sentinel_qb_post", in_turn(tapped(calls.noting), _JOB)),
    Target(_SENTINEL, "sentinel_lb_request", _REQUEST),
    Target(_SERVERLESS, "ServerlessResource.runsync", tapped(calls.noting)),
    Target(_SERVERLESS, "ServerlessResource.run_sync", tapped(calls.noting)),
    Target(
        "runpod_flash.core.utils.http",
        "get_authenticated_httpx_client",
        tapped(calls.with_context),
        aliases=(
            _WRAPPER,
            "runpod_flash.stubs.load_balancer_sls",
            "runpod_flash.core.resources.load_balancer_sls_resource",
            "runpod_flash.core.resources.request_logs",
        ),
    ),
    # Every version of Flash serves a worker's requests with these packages.
    Target("runpod.serverless", "start", tapped(jobs.serve_queue)),
    Target("starlette.applications", "Starlette.__call__", tapped(requests.serve_http)),
    Target("concurrent.futures.thread", "ThreadPoolExecutor.submit", threads.in_workers),
)

COMMANDS: Final = (CommandTarget("runpod_flash.cli.main", "app"),)
