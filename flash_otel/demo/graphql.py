"""The GraphQL operations that Flash sends, each a small function over the state.

The answers have the fields that `runpod_flash.core.api.runpod` (versions 1.1.1 to 1.21.0) and
`runpod.apps.api` (2.0.0rc2) read; a request gets those that it selects (`selection`).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from flash_otel.demo.state import (
    CREDENTIAL_CANARY,
    SIGNATURE_CANARY,
    ControlPlaneState,
    Json,
    StoredApp,
    StoredEndpoint,
    StoredEnvironment,
    StoredTemplate,
)

Handler = Callable[[ControlPlaneState, Json], Json]

_OPERATION: Final = re.compile(r"\s*(?:query|mutation)\s+(\w+)")
_CREATED_AT: Final = "2026-01-01T00:00:00.000Z"
_EXPIRES_AT: Final = "2026-01-01T01:00:00.000Z"
_LISTED_ENVIRONMENT: Final = ("id", "name", "state", "activeBuildId", "createdAt", "endpoints")
_ENDPOINT_FIELDS: Final = (
    *("gpuIds", "idleTimeout", "locations", "name", "networkVolumeId", "networkVolumeIds"),
    *("flashEnvironmentId", "scalerType", "scalerValue", "type", "workersMax", "workersMin"),
    *("workersStandby", "workersPFBTarget", "gpuCount", "allowedCudaVersions", "minCudaVersion"),
    *("executionTimeoutMs", "instanceIds", "activeBuildid", "idePodId", "flashBootType"),
)
_TEMPLATE_FIELDS: Final = ("containerDiskInGb", "dockerArgs", "env", "imageName", "name", "readme")


class GraphQLError(Exception):
    """An answer with `errors`, which GraphQL sends with HTTP status 200."""


def operation_name(query: str) -> str:
    """Return the name of a GraphQL document's operation, or an empty string."""
    match = _OPERATION.match(query)
    return match[1] if match else ""


def execute(state: ControlPlaneState, operation: str, variables: Json) -> Json:
    """Run an operation and return the `data` of its answer.

    Raises:
        GraphQLError: The operation is unknown, or it failed.
    """
    handler = OPERATIONS.get(operation)
    if handler is None:
        raise GraphQLError(f"Cannot query operation {operation!r}: the stand-in does not know it")
    # Copies, because faults change requests and answers, and must not change the state.
    return copy.deepcopy(handler(state, copy.deepcopy(variables)))


def presigned_url(state: ControlPlaneState, object_key: str) -> str:
    """Return a presigned URL of an artifact, whose query string is a credential."""
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{CREDENTIAL_CANARY}/20260101/auto/s3/aws4_request",
        "X-Amz-Expires": "3600",
        "X-Amz-Signature": SIGNATURE_CANARY + state.ids.hexadecimal("signature", 47),
    }
    return f"{state.base_url}/artifacts/{object_key}?{urlencode(query)}"


def _app_by_name(state: ControlPlaneState, variables: Json) -> Json:
    app = state.app_named(variables["flashAppName"])
    if app is None:
        raise GraphQLError("App not found")
    return {"flashAppByName": _app(state, app)}


def _app_by_id(state: ControlPlaneState, variables: Json) -> Json:
    app = _app(state, _known_app(state, variables["input"]))
    # The only query that asks for environments without their active builds.
    environments = [_picked(found, "id", "name", "state") for found in app["flashEnvironments"]]
    return {"flashApp": {**app, "flashEnvironments": environments}}


def _environments_of_app(state: ControlPlaneState, variables: Json) -> Json:
    app = _app(state, _known_app(state, variables["flashAppId"]))
    return {"flashApp": _picked(app, "flashEnvironments")}


def _builds_of_app(state: ControlPlaneState, variables: Json) -> Json:
    app = _app(state, _known_app(state, variables["flashAppId"]))
    return {"flashApp": _picked(app, "flashBuilds")}


def _known_app(state: ControlPlaneState, app_id: str) -> StoredApp:
    try:
        return state.apps[app_id]
    except KeyError:
        raise GraphQLError("App not found") from None


def _apps(state: ControlPlaneState, _: Json) -> Json:
    apps = [_app(state, app) for app in state.apps.values()]
    for app in apps:
        app["flashBuilds"] = [_picked(build, "id", "createdAt") for build in app["flashBuilds"]]
    return {"myself": {"flashApps": apps}}


def _create_app(state: ControlPlaneState, variables: Json) -> Json:
    app = state.create_app(variables["input"]["name"])
    return {"createFlashApp": {"id": app.id, "name": app.name}}


def _delete_app(state: ControlPlaneState, variables: Json) -> Json:
    state.apps.pop(variables["flashAppId"], None)
    return {"deleteFlashApp": None}


def _create_environment(state: ControlPlaneState, variables: Json) -> Json:
    given = variables["input"]
    environment = state.create_environment(given["flashAppId"], given["name"])
    return {"createFlashEnvironment": {"id": environment.id, "name": environment.name}}


def _delete_environment(state: ControlPlaneState, variables: Json) -> Json:
    state.environments.pop(variables["flashEnvironmentId"], None)
    return {"deleteFlashEnvironment": None}


def _environment_by_id(state: ControlPlaneState, variables: Json) -> Json:
    found = state.environments.get(variables["flashEnvironmentId"])
    return {"flashEnvironment": found and _environment(state, found)}


def _environment_by_name(state: ControlPlaneState, variables: Json) -> Json:
    given = variables["input"]
    found = state.environment_named(given["flashAppId"], given["name"])
    fields = ("id", "name", "state", "activeBuildId", "createdAt", "endpoints", "networkVolumes")
    answer = found and _picked(_environment(state, found), *fields)
    return {"flashEnvironmentByName": answer}


def _prepare_upload(state: ControlPlaneState, variables: Json) -> Json:
    object_key = f"{variables['input']['flashAppId']}/{state.ids.uuid('artifact')}.tar.gz"
    return {
        "prepareFlashArtifactUpload": {
            "uploadUrl": presigned_url(state, object_key),
            "objectKey": object_key,
            "expiresAt": _EXPIRES_AT,
        }
    }


def _finalize_upload(state: ControlPlaneState, variables: Json) -> Json:
    given = variables["input"]
    if given["objectKey"] not in state.artifacts:
        raise GraphQLError("Artifact was not uploaded")
    build = state.create_build(given["flashAppId"], given["objectKey"], given.get("manifest"))
    return {"finalizeFlashArtifactUpload": {"id": build.id, "manifest": build.manifest}}


def _deploy_build(state: ControlPlaneState, variables: Json) -> Json:
    given = variables["input"]
    environment = state.environments.get(given["flashEnvironmentId"])
    build = state.builds.get(given["flashBuildId"])
    if environment is None or build is None:
        raise GraphQLError("Environment or build not found")
    environment.active_build_id = build.id
    artifact = {
        "objectKey": build.object_key,
        "downloadUrl": presigned_url(state, build.object_key),
        "expiresAt": _EXPIRES_AT,
    }
    answer = {"id": environment.id, "name": environment.name, "activeArtifact": artifact}
    return {"deployBuildToEnvironment": answer}


def _build(state: ControlPlaneState, variables: Json) -> Json:
    build = state.builds.get(variables.get("input") or variables.get("flashBuildId") or "")
    answer = build and {"id": build.id, "manifest": build.manifest}
    return {"flashBuild": answer}


def _update_manifest(state: ControlPlaneState, variables: Json) -> Json:
    given = variables["input"]
    build = state.builds.get(given["flashBuildId"])
    if build is None:
        raise GraphQLError("Build not found")
    build.manifest = given["manifest"]
    return {"updateFlashBuildManifest": {"id": build.id, "manifest": build.manifest}}


def _save_endpoint(state: ControlPlaneState, variables: Json) -> Json:
    return {"saveEndpoint": _endpoint(state.save_endpoint(variables["input"]))}


def _delete_endpoint(state: ControlPlaneState, variables: Json) -> Json:
    state.endpoints.pop(variables["id"], None)
    return {"deleteEndpoint": None}


def _endpoint_exists(state: ControlPlaneState, variables: Json) -> Json:
    known = state.endpoints.get(variables["id"])
    return {"myself": {"endpoint": known and {"id": known.id}}}


def _secrets(_: ControlPlaneState, __: Json) -> Json:
    return {"myself": {"secrets": []}}


def _get_template(state: ControlPlaneState, variables: Json) -> Json:
    known = state.templates.get(variables["id"])
    return {"podTemplate": known and _template(known)}


def _save_template(state: ControlPlaneState, variables: Json) -> Json:
    return {"saveTemplate": _template(state.save_template(variables["input"]))}


OPERATIONS: Final[dict[str, Handler]] = {
    "getFlashAppByName": _app_by_name,
    "getFlashApp": _app_by_id,
    "getFlashApps": _apps,
    "createFlashApp": _create_app,
    "deleteFlashApp": _delete_app,
    "createFlashEnvironment": _create_environment,
    "deleteFlashEnvironment": _delete_environment,
    "getFlashEnvironment": _environment_by_id,
    "getFlashEnvironmentByName": _environment_by_name,
    "listFlashEnvironments": _environments_of_app,
    "listFlashBuilds": _builds_of_app,
    "PrepareArtifactUpload": _prepare_upload,
    "FinalizeArtifactUpload": _finalize_upload,
    "deployBuildToEnvironment": _deploy_build,
    "getFlashBuild": _build,
    "updateFlashBuildManifest": _update_manifest,
    "saveEndpoint": _save_endpoint,
    "deleteEndpoint": _delete_endpoint,
    "getEndpoint": _endpoint_exists,
    "mySecrets": _secrets,
    "getTemplate": _get_template,
    "saveTemplate": _save_template,
}


def _app(state: ControlPlaneState, app: StoredApp) -> Json:
    builds = [build for build in state.builds.values() if build.app_id == app.id]
    return {
        "id": app.id,
        "name": app.name,
        "flashEnvironments": [
            _picked(_environment(state, found), *_LISTED_ENVIRONMENT)
            for found in state.environments_of(app.id)
        ],
        "flashBuilds": [
            {"id": build.id, "objectKey": build.object_key, "createdAt": _CREATED_AT}
            for build in builds
        ],
    }


def _environment(state: ControlPlaneState, environment: StoredEnvironment) -> Json:
    endpoints = state.endpoints_of(environment.id)
    return {
        "id": environment.id,
        "name": environment.name,
        "state": "HEALTHY" if environment.active_build_id else "PENDING",
        "activeBuildId": environment.active_build_id,
        "createdAt": _CREATED_AT,
        "endpoints": [{"id": endpoint.id, "name": endpoint.name} for endpoint in endpoints],
        "networkVolumes": [],
    }


def _picked(answer: Json, *fields: str) -> Json:
    return {name: answer[name] for name in fields}


def _endpoint(endpoint: StoredEndpoint) -> Json:
    answer: dict[str, Any] = {key: endpoint.fields.get(key) for key in _ENDPOINT_FIELDS}
    return answer | {
        "id": endpoint.id,
        "aiKey": endpoint.ai_key,
        "templateId": endpoint.template_id,
        "userId": "user_stand_in",
        "version": endpoint.version,
    }


def _template(template: StoredTemplate) -> Json:
    return {"id": template.id, **{key: template.fields.get(key) for key in _TEMPLATE_FIELDS}}
