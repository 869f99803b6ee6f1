"""Every span, attribute, event and fault name that flash_otel emits, with its meaning.

The meanings are printed in docs/reference.md. Names of OpenTelemetry's semantic conventions are
literals, because their modules move between versions; a test compares them with the installed
package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

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
DIAGNOSIS: Final = "flash.diagnosis"
JOB: Final = "process"
REQUEST: Final = "HTTP"

SERVED: Final[dict[str, str]] = {
    JOB: "A job of a queue-based worker: `process`, and the name of the resource.",
    REQUEST: "A request to a load-balanced worker: its method, and the route (without a known "
    "method, `HTTP`).",
}
"""What a worker serves. These spans are named by the conventions, and known by `faas.trigger`."""

SPANS: Final[dict[str, str]] = {
    DEPLOY: "A whole deployment: the root of the write path.",
    BUILD: "Packaging of the project into an artifact.",
    ARTIFACT_UPLOAD: "Upload of the artifact, and its finalization, which returns the build id.",
    ACTIVATE: "Activation of the build on the environment.",
    PROVISION: "Reconciliation and provisioning; in Flash, the manifest upload is part of it.",
    PROVISION_ENDPOINT: "Creation, update or reuse of one endpoint.",
    MANIFEST_UPLOAD: "Upload of the manifest to the State Manager.",
    RUNTIME_FETCH: "A worker's refresh of its endpoint registry: the root of the read path.",
    MANIFEST_FETCH: "One attempt to fetch environment and manifest from the State Manager.",
    CALL: "Routing of a function call, and the remote call.",
    GRAPHQL: "One GraphQL request (only with capture_graphql).",
    DIAGNOSIS: "The verdict on a deployment, a child of its root, at the time of its start.",
}

EVIDENCE: Final = SPANS.keys() - {DIAGNOSIS}
"""Spans that a diagnosis judges: its own verdict, read back from a backend, proves nothing."""

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

DEPLOY_SIDE: Final = frozenset(
    {
        DEPLOY,
        BUILD,
        ARTIFACT_UPLOAD,
        ACTIVATE,
        PROVISION,
        PROVISION_ENDPOINT,
        MANIFEST_UPLOAD,
        GRAPHQL,
    }
)
"""Spans that a deployment makes; workers of some versions make some of them as well."""

# --- attributes --------------------------------------------------------------------------------

APP_NAME: Final = "flash.app_name"
BUILD_ID: Final = "flash.build_id"
PREVIOUS_BUILD_ID: Final = "flash.previous_build_id"
ENVIRONMENT_ID: Final = "flash.environment_id"
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
MANIFEST_GENERATED_AT: Final = "flash.manifest.generated_at"
MANIFEST_SIZE: Final = "flash.manifest.size"
MANIFEST_SOURCE_FINGERPRINT: Final = "flash.manifest.source_fingerprint"
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
FAULT_CANDIDATES: Final = "flash.fault.candidates"
FAULT_REMEDY: Final = "flash.fault.remedy"
DIAGNOSIS_VERDICT: Final = "flash.diagnosis.verdict"
DIAGNOSIS_SENTENCE: Final = "flash.diagnosis.sentence"
DIAGNOSIS_CONFIDENCE: Final = "flash.diagnosis.confidence"
DIAGNOSIS_EVIDENCE: Final = "flash.diagnosis.evidence"
DIAGNOSIS_SPANS: Final = "flash.diagnosis.spans"
CODE_DEPLOYMENT_ID: Final = "flash.code.deployment_id"
ACTIVE_DEPLOYMENT_ID: Final = "flash.active.deployment_id"
ACTIVE_PHASE: Final = "flash.active.phase"
ACTIVE_ENDPOINT_COUNT: Final = "flash.active.endpoint_count"
ACTIVE_GENERATED_AT: Final = "flash.active.generated_at"
ACTIVE_SOURCE_FINGERPRINT: Final = "flash.active.source_fingerprint"
DEPLOY_TRACE_ID: Final = "flash.deploy.trace_id"
DEPLOY_SPAN_ID: Final = "flash.deploy.span_id"
FLASH_VERSION: Final = "flash.version"
DROPPED_SPANS: Final = "flash.dropped_spans"
TRUNCATED: Final = "flash.truncated"

RETRY_REASON: Final = "flash.retry.reason"
GRAPHQL_ANSWER: Final = "flash.graphql.answer"

ATTRIBUTES: Final[dict[str, str]] = {
    APP_NAME: "Name of the Flash app.",
    BUILD_ID: "Build id; on a read, that of the environment's active build; on a call with "
    "runpod 2, that of the calling worker's endpoint.",
    PREVIOUS_BUILD_ID: "Build that was active on the environment before the activation.",
    ENVIRONMENT_ID: "Id of the environment that is deployed to or queried.",
    ENVIRONMENT_STATE: "State of the environment in the State Manager: null, no_active_build or "
    "active.",
    CREATED_ENVIRONMENT: "True if the deployment created its environment, and the app had others.",
    DEPLOYMENT_ID: "Deployment id: the span id of its root, 16 hex digits.",
    ENDPOINT_COUNT: "Number of entries in the manifest's resources_endpoints.",
    ENDPOINT_NAMES: "Names in resources_endpoints, in the manifest's order; at most 1,000.",
    ENDPOINT_URLS: "URLs in resources_endpoints, in the order of the names; at most 1,000.",
    ENDPOINT_URL: "URL of the called endpoint.",
    ENDPOINT_ID: "Runpod endpoint id.",
    ENDPOINTS_DIGEST: "First 16 hex digits of the SHA-256 of the canonical resources_endpoints.",
    MANIFEST_KEYS: "Top-level keys of the manifest, except _flash_otel; of a read, they are "
    "stored and sent only if it got no endpoints.",
    MANIFEST_GENERATED_AT: "When the manifest was built, by the clock of the building machine.",
    MANIFEST_SIZE: "Size of the manifest as JSON, in bytes.",
    MANIFEST_SOURCE_FINGERPRINT: "SHA-256 of the project's files that the manifest was built from.",
    MANIFEST_STATE: "State of the fetched manifest: null, incomplete (no resources_endpoints) or "
    "complete.",
    PERSISTED_ENDPOINT_COUNT: "Number of endpoints in the State Manager's response to the upload; "
    "with runpod 2, in the stored manifest of the artifact.",
    PERSISTED_DIGEST: "Digest of the endpoints in the State Manager's response to the upload.",
    ARTIFACT_SIZE: "Size of the artifact, in bytes.",
    ARTIFACT_OBJECT_KEY: "Object key of the uploaded artifact.",
    ACTIVE_OBJECT_KEY: "Object key of the active artifact, from the response to the activation.",
    RESOURCE_NAME: "Name of the resource in the manifest.",
    PROVISION_ACTION: "What happened to the endpoint: create, update or reuse.",
    WORKER_ENDPOINT_ID: "Value of RUNPOD_ENDPOINT_ID in the worker.",
    WORKER_ENVIRONMENT_ID: "Value of FLASH_ENVIRONMENT_ID in the worker.",
    FUNCTION_NAME: "Name of the called function.",
    CALL_ROUTE: "Where the call is routed: local, remote or missing.",
    OUTCOME: "returned, failed, cancelled, or unknown (a write that may have taken effect).",
    FAULT_EXPLANATION: "Meaning of the fault, and how to investigate it (on the event).",
    FAULT: "Code of the fault that this span proves by itself; on flash.diagnosis, of the fault "
    "that all evidence proves.",
    FAULT_CANDIDATES: "Codes of the faults that the evidence, or a surely bad read, allows.",
    FAULT_REMEDY: "Advice for the person who deploys.",
    DIAGNOSIS_VERDICT: "Verdict without a fault: none or inconclusive.",
    DIAGNOSIS_SENTENCE: "Verdict without a fault, in words.",
    DIAGNOSIS_CONFIDENCE: "Confidence of the verdict: certain, likely or possible.",
    DIAGNOSIS_SPANS: "Ids of the spans in the deployment's trace that prove the verdict, separated "
    "by spaces, as Jaeger's uiFind takes them.",
    DIAGNOSIS_EVIDENCE: "What the evidence of the verdict shows; the span links to it.",
    CODE_DEPLOYMENT_ID: "Id of the deployment whose code runs, from the artifact's manifest.",
    ACTIVE_DEPLOYMENT_ID: "Id of the deployment that wrote the active manifest.",
    ACTIVE_PHASE: "Phase of the active manifest's carrier: build (not uploaded yet) or write.",
    ACTIVE_ENDPOINT_COUNT: "Endpoint count in the active manifest's carrier.",
    ACTIVE_GENERATED_AT: "generated_at in the active manifest's carrier, if the manifest lacks it.",
    ACTIVE_SOURCE_FINGERPRINT: "source_fingerprint in the active manifest's carrier, if the "
    "manifest lacks it.",
    DEPLOY_TRACE_ID: "Trace id of the linked deployment (repeats the link).",
    DEPLOY_SPAN_ID: "Span id of the linked deployment (repeats the link).",
    FLASH_VERSION: "Version of the instrumented runpod-flash, if OTEL_RESOURCE_ATTRIBUTES sets "
    "another service.version.",
    DROPPED_SPANS: "Number of spans that a full queue dropped before this span.",
    TRUNCATED: "Names of the list attributes that were truncated to 1,000 entries.",
    RETRY_REASON: "Why the last attempt failed (exception class and scrubbed message).",
    GRAPHQL_ANSWER: "Shape of the response as JSON, with the values of allow-listed fields.",
}

# --- names of OpenTelemetry's semantic conventions -----------------------------------------

ERROR_TYPE: Final = "error.type"
ERROR_MESSAGE: Final = "error.message"
PEER_SERVICE: Final = "peer.service"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
HTTP_RESEND_COUNT: Final = "http.request.resend_count"
HTTP_STATUS_CODE: Final = "http.response.status_code"
HTTP_REQUEST_BODY_SIZE: Final = "http.request.body.size"
HTTP_RESPONSE_BODY_SIZE: Final = "http.response.body.size"
GRAPHQL_OPERATION_NAME: Final = "graphql.operation.name"
GRAPHQL_OPERATION_TYPE: Final = "graphql.operation.type"
ENVIRONMENT_NAME: Final = "deployment.environment.name"
DEPLOYMENT_STATUS: Final = "deployment.status"
SERVICE_NAMESPACE: Final = "service.namespace"
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
HOST_NAME: Final = "host.name"
PROCESS_PID: Final = "process.pid"
FAAS_NAME: Final = "faas.name"
FAAS_VERSION: Final = "faas.version"
FAAS_INSTANCE: Final = "faas.instance"
FAAS_COLDSTART: Final = "faas.coldstart"
FAAS_TRIGGER: Final = "faas.trigger"
FAAS_INVOCATION_ID: Final = "faas.invocation_id"
MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_OPERATION: Final = "messaging.operation.type"
MESSAGING_DESTINATION: Final = "messaging.destination.name"
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
URL_PATH: Final = "url.path"
URL_SCHEME: Final = "url.scheme"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
EXCEPTION_ESCAPED: Final = "exception.escaped"

STANDARD_ATTRIBUTES: Final[dict[str, str]] = {
    ERROR_TYPE: "Code of the fault, or qualified class name of the exception; of a bad read whose "
    "fault is open: manifest_incomplete or manifest_outdated.",
    ERROR_MESSAGE: "The status description of a failed span: the fault's code and meaning, then "
    "the exception.",
    PEER_SERVICE: "What a CLIENT span talks to: runpod-api, runpod-storage, runpod-state-manager, "
    "or the called or provisioned resource.",
    SERVER_ADDRESS: "Host of the called endpoint, API or storage.",
    SERVER_PORT: "Port of the called endpoint or API.",
    HTTP_RESEND_COUNT: "Number of times the request was sent before.",
    HTTP_STATUS_CODE: "HTTP status of the response.",
    HTTP_REQUEST_BODY_SIZE: "Size of the request body, in bytes.",
    HTTP_RESPONSE_BODY_SIZE: "Size of the response body, in bytes.",
    GRAPHQL_OPERATION_NAME: "Name of the GraphQL operation.",
    GRAPHQL_OPERATION_TYPE: "Type of the GraphQL operation: query or mutation.",
    ENVIRONMENT_NAME: "Name of the environment.",
    DEPLOYMENT_STATUS: "Result of the deployment: succeeded or failed.",
    SERVICE_NAMESPACE: "Name of the Flash app, where the environment gives it (FLASH_APP).",
    SERVICE_NAME: "flash-cli; in a worker, the name of its resource.",
    SERVICE_VERSION: "Version of the instrumented runpod-flash, or of runpod 2.",
    SERVICE_INSTANCE_ID: "Random id of the process.",
    HOST_NAME: "Host name: spans of one host share a clock.",
    PROCESS_PID: "Process id, which identifies a killed deployment on its host.",
    FAAS_NAME: "Name of the worker's resource.",
    FAAS_VERSION: "First 12 digits of the source fingerprint of the worker's code.",
    FAAS_INSTANCE: "Id of the worker's pod.",
    FAAS_COLDSTART: "True on the first fetch and on the first job or request of a worker process.",
    FAAS_TRIGGER: "What a worker serves: pubsub (a job) or http (a request).",
    FAAS_INVOCATION_ID: "Id of the job, on the worker's span and on its caller's.",
    MESSAGING_SYSTEM: "runpod, on a job.",
    MESSAGING_OPERATION: "process, on a job.",
    MESSAGING_DESTINATION: "Name of the worker's resource, on a job.",
    HTTP_REQUEST_METHOD: "Method of a request to a load-balanced endpoint.",
    HTTP_ROUTE: "Route of the request, with the names of its parameters.",
    URL_PATH: "Path of the request, without its query.",
    URL_SCHEME: "Scheme of the request.",
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
    RETRY: "Retry of an attempt that failed inside the call.",
    EXCEPTION: "An exception, recorded as the SDK records it.",
    FAULT_EVENT: "Meaning of a fault, and how to investigate it (once per process, fault and kind "
    "of span).",
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

TRIGGER_QUEUE: Final = "pubsub"
TRIGGER_HTTP: Final = "http"
QUEUE_SYSTEM: Final = "runpod"

PEER_API: Final = "runpod-api"
PEER_STORAGE: Final = "runpod-storage"
PEER_STATE_MANAGER: Final = "runpod-state-manager"

PHASE_BUILD: Final = "build"
PHASE_WRITE: Final = "write"

CARRIER_KEY: Final = "_flash_otel"


def is_evidence(name: str, attributes: Mapping[str, object]) -> bool:
    """Return whether a span is evidence for a diagnosis: one of Flash's, or of what it serves."""
    return name in EVIDENCE or attributes.get(FAAS_TRIGGER) in _TRIGGERS


_TRIGGERS: Final = (TRIGGER_QUEUE, TRIGGER_HTTP)

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
    ENVIRONMENT_MISMATCH: "The worker reads a different environment from the deployed one.",
    STALE_BUILD: "The environment's active build is not the one that was deployed.",
    MANIFEST_NOT_PERSISTED: "The manifest upload was acknowledged, but its endpoints were not "
    "stored.",
    READ_BEFORE_WRITE: "A worker read after the activation, but before the manifest was written.",
    MANIFEST_NEVER_WRITTEN: "The deployment ended between activation and manifest upload.",
    ENDPOINTS_MISSING: "The State Manager holds fewer endpoints than were written.",
    ENDPOINTS_DIFFER: "The State Manager holds different endpoints or URLs than were written.",
    READ_INCOMPLETE: "The written manifest is active, but a worker's response lacked endpoints.",
    STATE_MANAGER_UNAVAILABLE: "The State Manager did not answer.",
    UNAUTHORIZED: "The State Manager rejected the API key, or there was none.",
    ENVIRONMENT_UNKNOWN: "The State Manager does not know the requested environment.",
    ENVIRONMENT_UNSET: "FLASH_ENVIRONMENT_ID is not set in the worker.",
    STALE_CACHE: "The worker still uses a registry that it read before the deployment.",
    CODE_NOT_ROLLED: "The worker still runs the code of an older deployment.",
    FUNCTION_UNKNOWN: "The called function is not in the worker's manifest.",
    REMOTE_CALLS_UNDETECTED: "The build found no remote calls in a resource that makes them.",
    CALL_TARGET_UNKNOWN: "Runpod has no endpoint for the call's app, environment and name.",
    CALL_TARGET_MISMATCH: "The call names a different app or environment from the deployed one.",
    WORKER_PROVISIONS: "A worker did not find an endpoint, and deployed one itself.",
    UPLOAD_FAILED: "The artifact could not be uploaded.",
    PROVISIONING_FAILED: "An endpoint could not be provisioned.",
    NOTHING_DEPLOYED: "The deployment succeeded without deploying any endpoint.",
    ENVIRONMENT_CREATED: "The deployment created an environment in an app that already had others.",
    OVERLAPPING_DEPLOYS: "Two deployments wrote to one environment at the same time.",
    ENVIRONMENT_TAKEOVER: "A deployment took over the endpoints of another environment.",
    NONE: "The deployment and all of its recorded reads agree.",
    INCONCLUSIVE: "The evidence is not sufficient; the finding lists what is missing.",
}
