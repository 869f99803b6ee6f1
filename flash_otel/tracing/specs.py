"""The kinds of span, as a table: the fields of each, and what it shares with its trace.

Span and attribute names are part of the public contract; default sources are the parameter names
that a function is likely to use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import SpanKind

from flash_otel import semconv
from flash_otel.tracing import attributes
from flash_otel.tracing.attributes import AttributeSpec, Fields, Text, attribute

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL: Final = "local"
"""The parent is the current span."""

READ: Final = "read"
"""A worker's read, which may continue the deployment's trace (see `links.relate`)."""

LINKED: Final = "linked"
"""A trace of its own, linked to the deployment whose code runs."""

SERVED: Final = "served"
"""A request or a job: a child of its caller, linked to the deployment whose code runs."""


@dataclass(frozen=True, slots=True)
class SpanSpec:
    """One kind of span.

    Attributes:
        name: The span's name.
        kind: The span's kind.
        start: Fields that are read when the span starts (see `Fields`).
        end: Fields that are read when the span ends.
        joins: Inside an open span of the same name, a call opens no span of its own and adds its
            fields to the open span.
        peer: Value of `peer.service`; empty if it depends on the call, or there is none.
        writes: The call changes state on the server, so an interrupted call may have taken effect.
        inherits: Attributes copied from the trace at the start, unless the call has its own.
        inherits_at_end: Attributes copied from the trace at the end.
        publishes: Attributes that later spans of the trace may inherit.
        relation: How the span relates to the deployment (`LOCAL`, `READ`, `LINKED` or `SERVED`).
        hides_message: The messages of exceptions are not recorded: they may quote the input.
        hides_http: Other libraries' HTTP instrumentation is suppressed during the call.
        writes_manifest: The call uploads the field `manifest`.
        reads_manifest: The call fetches the field `manifest`, which may hold a carrier.
    """

    name: str
    kind: SpanKind = SpanKind.INTERNAL
    start: Mapping[str, AttributeSpec] = field(default_factory=dict)
    end: Mapping[str, AttributeSpec] = field(default_factory=dict)
    joins: bool = False
    peer: str = ""
    writes: bool = False
    inherits: tuple[str, ...] = ()
    inherits_at_end: tuple[str, ...] = ()
    publishes: tuple[str, ...] = ()
    relation: str = LOCAL
    hides_message: bool = False
    hides_http: bool = False
    writes_manifest: bool = False
    reads_manifest: bool = False

    @property
    def fields(self) -> Fields:
        """The fields with their default sources."""
        return Fields(self.start, self.end)

    @property
    def field_names(self) -> list[str]:
        """The fields that a decorator of this kind accepts a source for, sorted."""
        return sorted({*self.start, *self.end})


_IDS: Final = (semconv.DEPLOYMENT_ID, semconv.BUILD_ID, semconv.ENVIRONMENT_ID)
_TARGET: Final = (*_IDS, semconv.ENVIRONMENT_NAME)
_ANSWER: Final = (
    semconv.BUILD_ID,
    semconv.ENVIRONMENT_NAME,
    semconv.ENVIRONMENT_STATE,
    semconv.MANIFEST_STATE,
    semconv.ENDPOINT_COUNT,
)

_APP_NAME: Final = Text(semconv.APP_NAME)
_BUILD_ID: Final = Text(semconv.BUILD_ID)
_ENVIRONMENT_ID: Final = Text(semconv.ENVIRONMENT_ID)
_ENVIRONMENT_NAME: Final = Text(semconv.ENVIRONMENT_NAME)
# Two endpoints are told apart in the rows of a backend, too, which shows the peer.
_RESOURCE_NAME: Final = Text(semconv.RESOURCE_NAME, semconv.PEER_SERVICE)

_ARTIFACT_SIZE: Final = attribute(attributes.number(semconv.ARTIFACT_SIZE), "artifact_size")
_NAMED_ENVIRONMENT: Final = attribute(_ENVIRONMENT_NAME, "environment_name", "env_name")
# The parameter's name changed between versions of `get_persisted_manifest` (1.0.0-1.21.0).
_READ_ENVIRONMENT: Final = attribute(
    _ENVIRONMENT_ID, "environment_id", "flash_environment_id", "mothership_id"
)
_DEPLOYED_BUILD: Final = {
    "build_id": attribute(_BUILD_ID, "build_id"),
    "environment_id": attribute(_ENVIRONMENT_ID, "environment_id"),
    "environment_name": _NAMED_ENVIRONMENT,
}

DEPLOY: Final = SpanSpec(
    semconv.DEPLOY,
    start={
        "app_name": attribute(_APP_NAME, "app_name", "app.name"),
        "environment_name": _NAMED_ENVIRONMENT,
    },
    end={
        "build_id": attribute(_BUILD_ID, "build_id", "return.build_id"),
        "environment_id": attribute(_ENVIRONMENT_ID, "environment_id", "return.environment_id"),
        "environment_created": attribute(attributes.created_environment, "answer"),
        "endpoints": attribute(
            attributes.endpoint_total, "return.resources_endpoints", "return.endpoints"
        ),
    },
    # `deploy_command` calls other functions that are traced as deployments.
    joins=True,
    inherits_at_end=(
        *_TARGET,
        semconv.APP_NAME,
        semconv.ENDPOINT_COUNT,
        semconv.PREVIOUS_BUILD_ID,
    ),
    publishes=(
        semconv.APP_NAME,
        semconv.ENVIRONMENT_NAME,
        semconv.BUILD_ID,
        semconv.ENVIRONMENT_ID,
    ),
)

BUILD: Final = SpanSpec(
    semconv.BUILD,
    end={"artifact_size": _ARTIFACT_SIZE},
    joins=True,
    inherits=(semconv.DEPLOYMENT_ID,),
)

ARTIFACT_UPLOAD: Final = SpanSpec(
    semconv.ARTIFACT_UPLOAD,
    SpanKind.CLIENT,
    peer=semconv.PEER_STORAGE,
    start={"artifact_size": _ARTIFACT_SIZE},
    end={
        "build_id": attribute(_BUILD_ID, "return.id", "return.build_id"),
        "object_key": attribute(Text(semconv.ARTIFACT_OBJECT_KEY), "object_key"),
        "upload_url": attribute(attributes.server_address, "upload_url"),
        "persisted": attribute(attributes.persisted_resources),
    },
    writes=True,
    inherits=(semconv.DEPLOYMENT_ID, semconv.ENVIRONMENT_NAME),
    publishes=(semconv.BUILD_ID, semconv.ARTIFACT_OBJECT_KEY),
    # The presigned URL of the upload is a credential.
    hides_http=True,
)

ACTIVATE: Final = SpanSpec(
    semconv.ACTIVATE,
    SpanKind.CLIENT,
    peer=semconv.PEER_API,
    start={
        **_DEPLOYED_BUILD,
        "previous_build_id": attribute(Text(semconv.PREVIOUS_BUILD_ID), "previous_build_id"),
    },
    end={
        "active_object_key": attribute(
            Text(semconv.ACTIVE_OBJECT_KEY), "return.activeArtifact.objectKey"
        )
    },
    writes=True,
    inherits=(*_TARGET, semconv.ARTIFACT_OBJECT_KEY),
    publishes=(semconv.BUILD_ID, semconv.ENVIRONMENT_ID, semconv.PREVIOUS_BUILD_ID),
)

PROVISION: Final = SpanSpec(
    semconv.PROVISION,
    start=_DEPLOYED_BUILD,
    end={"endpoints": attribute(attributes.endpoints_deployed, "return")},
    inherits=_TARGET,
    publishes=(semconv.BUILD_ID, semconv.ENVIRONMENT_ID, semconv.ENDPOINT_COUNT),
)

PROVISION_ENDPOINT: Final = SpanSpec(
    semconv.PROVISION_ENDPOINT,
    SpanKind.CLIENT,
    start={"resource_name": attribute(_RESOURCE_NAME, "resource_name", "config.name", "name")},
    end={
        "environment_id": attribute(_ENVIRONMENT_ID, "environment_id"),
        "endpoint_id": attribute(Text(semconv.ENDPOINT_ID), "return.id", "endpoint_id"),
        "action": attribute(Text(semconv.PROVISION_ACTION), "action"),
    },
    writes=True,
    inherits=_TARGET,
)

MANIFEST_UPLOAD: Final = SpanSpec(
    semconv.MANIFEST_UPLOAD,
    SpanKind.CLIENT,
    peer=semconv.PEER_STATE_MANAGER,
    start={
        "build_id": attribute(_BUILD_ID, "build_id"),
        "environment_id": attribute(_ENVIRONMENT_ID, "environment_id", "flash_environment_id"),
        "manifest": attribute(attributes.manifest_written, "manifest"),
        "endpoints": attribute(attributes.endpoints_written, "endpoints", "resources_endpoints"),
    },
    end={"persisted": attribute(attributes.persisted, "answer.updateFlashBuildManifest.manifest")},
    writes=True,
    inherits=_TARGET,
    publishes=(semconv.ENDPOINT_COUNT,),
    writes_manifest=True,
)

RUNTIME_FETCH: Final = SpanSpec(
    semconv.RUNTIME_FETCH,
    start={
        "environment_id": _READ_ENVIRONMENT,
        "worker_endpoint_id": attribute(Text(semconv.WORKER_ENDPOINT_ID), "worker_endpoint_id"),
        "worker_environment_id": attribute(
            Text(semconv.WORKER_ENVIRONMENT_ID), "worker_environment_id"
        ),
    },
    end={
        "build_id": attribute(_BUILD_ID, "return.build_id"),
        "manifest": attribute(attributes.manifest_read, "return"),
        "endpoints": attribute(attributes.endpoints_read, "endpoints"),
    },
    # Flash returns the manifest alone; its attempts received the rest.
    inherits_at_end=_ANSWER,
    publishes=(semconv.ENVIRONMENT_ID,),
    relation=READ,
    reads_manifest=True,
)

MANIFEST_FETCH: Final = SpanSpec(
    semconv.MANIFEST_FETCH,
    SpanKind.CLIENT,
    peer=semconv.PEER_STATE_MANAGER,
    start={"environment_id": _READ_ENVIRONMENT},
    end={
        "environment": attribute(attributes.environment_answer, "answer.flashEnvironment"),
        "build_id": attribute(_BUILD_ID, "return.0", "return.build_id"),
        "manifest": attribute(
            attributes.manifest_read, "answer.flashBuild.manifest", "return.1", "return"
        ),
        "endpoints": attribute(attributes.endpoints_read, "endpoints"),
    },
    inherits=(semconv.ENVIRONMENT_ID,),
    publishes=_ANSWER,
    reads_manifest=True,
)

CALL: Final = SpanSpec(
    semconv.CALL,
    SpanKind.CLIENT,
    start={
        "function_name": attribute(Text(semconv.FUNCTION_NAME), "function_name", "func.__name__"),
        "app_name": attribute(_APP_NAME, "app_name"),
        "environment_name": attribute(_ENVIRONMENT_NAME, "environment_name"),
        "build_id": attribute(_BUILD_ID),
        "method": attribute(Text(semconv.HTTP_REQUEST_METHOD)),
    },
    end={
        "resource_name": attribute(_RESOURCE_NAME, "resource_name"),
        "route": attribute(Text(semconv.CALL_ROUTE), "route"),
        "endpoint_url": attribute(attributes.endpoint_url, "endpoint_url"),
        "job_id": attribute(attributes.job_id, "job_id"),
    },
    inherits_at_end=(
        semconv.RESOURCE_NAME,
        semconv.PEER_SERVICE,
        semconv.CALL_ROUTE,
        semconv.ENDPOINT_URL,
        semconv.SERVER_ADDRESS,
        semconv.ENVIRONMENT_ID,
        semconv.BUILD_ID,
    ),
    relation=LINKED,
)

JOB: Final = SpanSpec(semconv.JOB, SpanKind.CONSUMER, relation=SERVED, hides_message=True)

REQUEST: Final = SpanSpec(semconv.REQUEST, SpanKind.SERVER, relation=SERVED, hides_message=True)

GRAPHQL: Final = SpanSpec(semconv.GRAPHQL, SpanKind.CLIENT, peer=semconv.PEER_API, inherits=_IDS)
