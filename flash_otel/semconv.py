"""Every span, attribute, event and fault name that flash_otel emits, each with its meaning.

Names taken over from OpenTelemetry's conventions are literals here, because their modules move
between versions; a test compares them with the newest package. This module imports nothing.
"""

from typing import Final

SCOPE_NAME: Final = "flash_otel"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.37.0"

# --- spans -------------------------------------------------------------------------------------

DEPLOY: Final = "flash.deploy"
BUILD: Final = "flash.build"
ARTIFACT_UPLOAD: Final = "flash.artifact.upload"
ACTIVATE: Final = "flash.activate"
PROVISION: Final = "flash.provision"
PROVISION_ENDPOINT: Final = "flash.provision.endpoint"
MANIFEST_UPLOAD: Final = "flash.manifest.upload"
RUNTIME_FETCH: Final = "flash.runtime.fetch"
MANIFEST_FETCH: Final = "flash.manifest.fetch"
CALL: Final = "flash.call"
GRAPHQL: Final = "flash.graphql"

SPANS: Final[dict[str, str]] = {
    DEPLOY: "The whole deployment: the root of the write path.",
    BUILD: "Packaging of the project into an artifact.",
    ARTIFACT_UPLOAD: "Upload of the artifact and its finalization, which gives the build id.",
    ACTIVATE: "The build is put onto the environment.",
    PROVISION: "Reconciliation and provisioning; Flash's function contains the manifest upload.",
    PROVISION_ENDPOINT: "One endpoint is created, updated or reused.",
    MANIFEST_UPLOAD: "The manifest is written to the State Manager.",
    RUNTIME_FETCH: "A worker refreshes its endpoint registry: the root of the read path.",
    MANIFEST_FETCH: "One attempt to read environment and manifest from the State Manager.",
    CALL: "Routing of a function call and the remote call itself.",
    GRAPHQL: "One GraphQL request (only with capture_graphql).",
}

STEPS: Final[dict[str, str]] = {
    DEPLOY: "the deployment",
    BUILD: "the build",
    ARTIFACT_UPLOAD: "the artifact upload",
    ACTIVATE: "the activation",
    PROVISION: "the provisioning",
    PROVISION_ENDPOINT: "the provisioning of an endpoint",
    MANIFEST_UPLOAD: "the manifest upload",
    RUNTIME_FETCH: "a worker's refresh of its endpoints",
    MANIFEST_FETCH: "a worker's read of the manifest",
    CALL: "a remote call",
    GRAPHQL: "a GraphQL request",
}
"""Each span as a step of the deployment, to be used in a sentence."""

# --- attributes --------------------------------------------------------------------------------

APP_NAME: Final = "flash.app_name"
BUILD_ID: Final = "flash.build_id"
ENVIRONMENT_ID: Final = "flash.environment_id"
ENVIRONMENT_NAME: Final = "flash.environment_name"
CREATED_ENVIRONMENT: Final = "flash.environment.created"
ENVIRONMENT_STATE: Final = "flash.environment.state"
DEPLOYMENT_ID: Final = "flash.deployment_id"
ENDPOINT_COUNT: Final = "flash.endpoint_count"
ENDPOINT_NAMES: Final = "flash.endpoint_names"
ENDPOINT_URLS: Final = "flash.endpoint_urls"
ENDPOINT_URL: Final = "flash.endpoint_url"
ENDPOINT_ID: Final = "flash.endpoint_id"
ENDPOINTS_DIGEST: Final = "flash.endpoints_digest"
MANIFEST_KEYS: Final = "flash.manifest_keys"
MANIFEST_SIZE: Final = "flash.manifest.size"
MANIFEST_STATE: Final = "flash.manifest.state"
PERSISTED_ENDPOINT_COUNT: Final = "flash.persisted_endpoint_count"
PERSISTED_DIGEST: Final = "flash.persisted_digest"
ARTIFACT_SIZE: Final = "flash.artifact.size"
ARTIFACT_OBJECT_KEY: Final = "flash.artifact.object_key"
ACTIVE_OBJECT_KEY: Final = "flash.active.object_key"
RESOURCE_NAME: Final = "flash.resource_name"
PROVISION_ACTION: Final = "flash.provision.action"
WORKER_ENDPOINT_ID: Final = "flash.worker.endpoint_id"
WORKER_ENVIRONMENT_ID: Final = "flash.worker.environment_id"
FUNCTION_NAME: Final = "flash.function_name"
CALL_ROUTE: Final = "flash.call.route"
OUTCOME: Final = "flash.outcome"
FAULT: Final = "flash.fault"
FAULT_EXPLANATION: Final = "flash.fault.explanation"
CODE_DEPLOYMENT_ID: Final = "flash.code.deployment_id"
ACTIVE_DEPLOYMENT_ID: Final = "flash.active.deployment_id"
ACTIVE_PHASE: Final = "flash.active.phase"
ACTIVE_ENDPOINT_COUNT: Final = "flash.active.endpoint_count"
DEPLOY_TRACE_ID: Final = "flash.deploy.trace_id"
DEPLOY_SPAN_ID: Final = "flash.deploy.span_id"
FLASH_VERSION: Final = "flash.version"
DROPPED_SPANS: Final = "flash.dropped_spans"
TRUNCATED: Final = "flash.truncated"

RETRY_REASON: Final = "flash.retry.reason"
GRAPHQL_ANSWER: Final = "flash.graphql.answer"

ATTRIBUTES: Final[dict[str, str]] = {
    APP_NAME: "Name of the Flash app.",
    BUILD_ID: "Id of the build; on a read, the environment's active build.",
    ENVIRONMENT_ID: "Id of the environment that was written to or asked for.",
    ENVIRONMENT_NAME: "Name of the environment.",
    ENVIRONMENT_STATE: "What the State Manager said of the environment: null, no_active_build, "
    "active.",
    CREATED_ENVIRONMENT: "True where the deployment made its environment beside existing ones.",
    DEPLOYMENT_ID: "Id of this deployment (the span id of its root, 16 hex digits).",
    ENDPOINT_COUNT: "Number of entries in the manifest's resources_endpoints.",
    ENDPOINT_NAMES: "Names in resources_endpoints, in the manifest's order; at most 1,000.",
    ENDPOINT_URLS: "URLs of resources_endpoints, in the order of the names; at most 1,000.",
    ENDPOINT_URL: "URL of the endpoint that is called.",
    ENDPOINT_ID: "Runpod's id of the endpoint.",
    ENDPOINTS_DIGEST: "First 16 hex digits of the SHA-256 of the canonical resources_endpoints.",
    MANIFEST_KEYS: "Top-level keys of the manifest, without flash_otel's own.",
    MANIFEST_SIZE: "Size of the manifest as JSON, in bytes.",
    MANIFEST_STATE: "null, incomplete (no resources_endpoints yet) or complete.",
    PERSISTED_ENDPOINT_COUNT: "Endpoints that the State Manager answered with after the upload.",
    PERSISTED_DIGEST: "Digest of the endpoints that the State Manager answered with.",
    ARTIFACT_SIZE: "Size of the artifact, in bytes.",
    ARTIFACT_OBJECT_KEY: "Object key that the artifact was uploaded to.",
    ACTIVE_OBJECT_KEY: "Object key that the activation answered with.",
    RESOURCE_NAME: "Name of the resource in the manifest.",
    PROVISION_ACTION: "create, update or reuse.",
    WORKER_ENDPOINT_ID: "RUNPOD_ENDPOINT_ID as set in the worker.",
    WORKER_ENVIRONMENT_ID: "FLASH_ENVIRONMENT_ID as set in the worker.",
    FUNCTION_NAME: "Name of the function that is called.",
    CALL_ROUTE: "local, remote or missing.",
    OUTCOME: "returned, failed, cancelled or unknown (it may have taken effect).",
    FAULT_EXPLANATION: "What the fault means and how to look further (on the event).",
    FAULT: "Code of the fault that is visible on this span by itself.",
    CODE_DEPLOYMENT_ID: "Deployment whose code this worker runs, from the artifact's manifest.",
    ACTIVE_DEPLOYMENT_ID: "Deployment whose manifest the State Manager calls active.",
    ACTIVE_PHASE: "Phase of the active manifest's carrier: build (not written yet) or write.",
    ACTIVE_ENDPOINT_COUNT: "Endpoint count that the active manifest's carrier was written with.",
    DEPLOY_TRACE_ID: "Trace id of the linked deployment (mirrors the link).",
    DEPLOY_SPAN_ID: "Span id of the linked deployment (mirrors the link).",
    FLASH_VERSION: "Version of the instrumented runpod-flash.",
    DROPPED_SPANS: "Spans dropped by a bounded queue before this one.",
    TRUNCATED: "Names of the list attributes that were cut at 1,000 entries.",
    RETRY_REASON: "Why an attempt was repeated (exception type, scrubbed).",
    GRAPHQL_ANSWER: "The answer's shape as JSON, with the values of an allow-list of fields.",
}

# --- names taken over from OpenTelemetry's conventions -----------------------------------------

ERROR_TYPE: Final = "error.type"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
HTTP_RESEND_COUNT: Final = "http.request.resend_count"
HTTP_STATUS_CODE: Final = "http.response.status_code"
HTTP_REQUEST_BODY_SIZE: Final = "http.request.body.size"
HTTP_RESPONSE_BODY_SIZE: Final = "http.response.body.size"
GRAPHQL_OPERATION_NAME: Final = "graphql.operation.name"
GRAPHQL_OPERATION_TYPE: Final = "graphql.operation.type"
DEPLOYMENT_ENVIRONMENT_NAME: Final = "deployment.environment.name"
OTEL_DEPLOYMENT_ID: Final = "deployment.id"
DEPLOYMENT_STATUS: Final = "deployment.status"
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
HOST_NAME: Final = "host.name"
PROCESS_PID: Final = "process.pid"
FAAS_NAME: Final = "faas.name"
FAAS_VERSION: Final = "faas.version"
FAAS_INSTANCE: Final = "faas.instance"
FAAS_COLDSTART: Final = "faas.coldstart"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
EXCEPTION_ESCAPED: Final = "exception.escaped"

STANDARD_ATTRIBUTES: Final[dict[str, str]] = {
    ERROR_TYPE: "Qualified class name of the exception, or the fault's code.",
    SERVER_ADDRESS: "Host of the called endpoint or API.",
    SERVER_PORT: "Port of the called endpoint or API.",
    HTTP_RESEND_COUNT: "How often the request had been sent before.",
    HTTP_STATUS_CODE: "HTTP status of the answer.",
    HTTP_REQUEST_BODY_SIZE: "Size of the request body, in bytes.",
    HTTP_RESPONSE_BODY_SIZE: "Size of the response body, in bytes.",
    GRAPHQL_OPERATION_NAME: "Name of the GraphQL operation.",
    GRAPHQL_OPERATION_TYPE: "query or mutation.",
    DEPLOYMENT_ENVIRONMENT_NAME: "Name of the environment (mirrors flash.environment_name).",
    OTEL_DEPLOYMENT_ID: "Id of this deployment (mirrors flash.deployment_id).",
    DEPLOYMENT_STATUS: "succeeded or failed.",
    SERVICE_NAME: "flash-cli; in a worker, the name of its resource.",
    SERVICE_VERSION: "Version of the instrumented runpod-flash.",
    SERVICE_INSTANCE_ID: "Random id of this process.",
    HOST_NAME: "Name of the machine: what tells one clock from two.",
    PROCESS_PID: "Process id, so that a killed deployment is known as such on its machine.",
    FAAS_NAME: "Name of the worker's resource.",
    FAAS_VERSION: "Source fingerprint of the worker's code.",
    FAAS_INSTANCE: "Id of the worker's pod.",
    FAAS_COLDSTART: "True on the first fetch of a worker process.",
    EXCEPTION_TYPE: "Qualified class name of a recorded exception.",
    EXCEPTION_MESSAGE: "Scrubbed message of a recorded exception.",
    EXCEPTION_STACKTRACE: "Scrubbed stack trace of a recorded exception.",
    EXCEPTION_ESCAPED: "Whether the exception left the span.",
}

# --- events ------------------------------------------------------------------------------------

RETRY: Final = "flash.retry"
EXCEPTION: Final = "exception"
FAULT_EVENT: Final = "flash.fault"

EVENTS: Final[dict[str, str]] = {
    RETRY: "An attempt failed inside the call and was repeated.",
    EXCEPTION: "A recorded exception, as the SDK writes it.",
    FAULT_EVENT: "What the fault means and what to do (once per process and fault).",
}

# --- values ------------------------------------------------------------------------------------

RETURNED: Final = "returned"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
UNKNOWN: Final = "unknown"

MANIFEST_NULL: Final = "null"
MANIFEST_INCOMPLETE: Final = "incomplete"
MANIFEST_COMPLETE: Final = "complete"

ENVIRONMENT_NULL: Final = "null"
ENVIRONMENT_NO_ACTIVE_BUILD: Final = "no_active_build"
ENVIRONMENT_ACTIVE: Final = "active"

ROUTE_LOCAL: Final = "local"
ROUTE_REMOTE: Final = "remote"
ROUTE_MISSING: Final = "missing"

ACTION_CREATE: Final = "create"
ACTION_UPDATE: Final = "update"
ACTION_REUSE: Final = "reuse"

PHASE_BUILD: Final = "build"
PHASE_WRITE: Final = "write"

CARRIER_KEY: Final = "_flash_otel"

# --- faults ------------------------------------------------------------------------------------

ENVIRONMENT_MISMATCH: Final = "environment_mismatch"
STALE_BUILD: Final = "stale_build"
MANIFEST_NOT_PERSISTED: Final = "manifest_not_persisted"
READ_BEFORE_WRITE: Final = "read_before_write"
MANIFEST_NEVER_WRITTEN: Final = "manifest_never_written"
ENDPOINTS_MISSING: Final = "endpoints_missing"
ENDPOINTS_DIFFER: Final = "endpoints_differ"
READ_INCOMPLETE: Final = "read_incomplete"
STATE_MANAGER_UNAVAILABLE: Final = "state_manager_unavailable"
UNAUTHORIZED: Final = "unauthorized"
ENVIRONMENT_UNKNOWN: Final = "environment_unknown"
ENVIRONMENT_UNSET: Final = "environment_unset"
STALE_CACHE: Final = "stale_cache"
CODE_NOT_ROLLED: Final = "code_not_rolled"
FUNCTION_UNKNOWN: Final = "function_unknown"
REMOTE_CALLS_UNDETECTED: Final = "remote_calls_undetected"
CALL_TARGET_UNKNOWN: Final = "call_target_unknown"
CALL_TARGET_MISMATCH: Final = "call_target_mismatch"
WORKER_PROVISIONS: Final = "worker_provisions"
UPLOAD_FAILED: Final = "upload_failed"
PROVISIONING_FAILED: Final = "provisioning_failed"
NOTHING_DEPLOYED: Final = "nothing_deployed"
ENVIRONMENT_CREATED: Final = "environment_created"
OVERLAPPING_DEPLOYS: Final = "overlapping_deploys"
ENVIRONMENT_TAKEOVER: Final = "environment_takeover"
NONE: Final = "none"
INCONCLUSIVE: Final = "inconclusive"

FAULTS: Final[dict[str, str]] = {
    ENVIRONMENT_MISMATCH: "The worker asked for another environment than the one deployed to.",
    STALE_BUILD: "The environment's active build is not the one that was deployed.",
    MANIFEST_NOT_PERSISTED: "The manifest upload was acknowledged, but its endpoints were not "
    "stored.",
    READ_BEFORE_WRITE: "A worker read after activation and before the manifest was written.",
    MANIFEST_NEVER_WRITTEN: "The deployment ended between activation and manifest upload.",
    ENDPOINTS_MISSING: "The State Manager holds fewer endpoints than were written.",
    ENDPOINTS_DIFFER: "The State Manager holds the right names with other URLs.",
    READ_INCOMPLETE: "The write is active, but the worker's answer lacked endpoints.",
    STATE_MANAGER_UNAVAILABLE: "The State Manager did not answer.",
    UNAUTHORIZED: "The State Manager rejected the API key, or there was none.",
    ENVIRONMENT_UNKNOWN: "The State Manager does not know the environment that was asked for.",
    ENVIRONMENT_UNSET: "FLASH_ENVIRONMENT_ID is not set in the worker.",
    STALE_CACHE: "The worker still lives on a registry that it read before the deployment.",
    CODE_NOT_ROLLED: "The worker still runs the code of an older deployment.",
    FUNCTION_UNKNOWN: "The called function is not in the worker's manifest.",
    REMOTE_CALLS_UNDETECTED: "The build found no remote calls in a resource that makes them.",
    CALL_TARGET_UNKNOWN: "Runpod knows no endpoint for the call's app, environment and name.",
    CALL_TARGET_MISMATCH: "The call names another app or environment than the deployed one.",
    WORKER_PROVISIONS: "A worker that missed an endpoint deployed one itself.",
    UPLOAD_FAILED: "The artifact could not be uploaded.",
    PROVISIONING_FAILED: "An endpoint could not be provisioned.",
    NOTHING_DEPLOYED: "The deployment succeeded without a single endpoint.",
    ENVIRONMENT_CREATED: "The deployment created a new environment beside existing ones.",
    OVERLAPPING_DEPLOYS: "Two deployments wrote to one environment at the same time.",
    ENVIRONMENT_TAKEOVER: "A deployment took over the endpoints of another environment.",
    NONE: "The deployment and every read of it agree.",
    INCONCLUSIVE: "The evidence cannot tell; what is missing is named.",
}
