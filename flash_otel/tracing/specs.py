"""The ten kinds of span, as a table: which facts each carries, and what it shares with its trace.

The names and moments are the contract on spans; the default sources are what a function of one's
own is likely to call its parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import SpanKind

from flash_otel import semconv
from flash_otel.tracing import attributes
from flash_otel.tracing.attributes import Fact, fact

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL: Final = "local"
"""The parent is whatever span is current."""

READ: Final = "read"
"""A worker's read: it may continue the deployment's trace (see `relation`)."""

LINKED: Final = "linked"
"""A trace of its own, with a link to the deployment whose code runs."""


@dataclass(frozen=True, slots=True)
class SpanSpec:
    """One kind of span.

    Attributes:
        name: The span's name.
        kind: The span's kind.
        start: Facts that are read when the span starts; when it ends, if they were not there yet.
        end: Facts that are read when the span ends.
        joins: Within an open span of the same name, no second one is made: the call's facts go
            to the open one.
        writes: The call changes something on the server, so an interrupted call may have taken
            effect.
        learns: Attributes taken at the start from what the trace knows, unless the call says.
        recalls: The same, at the end.
        teaches: Attributes that the trace knows from this span on.
        relation: How the span relates to the deployment (`LOCAL`, `READ` or `LINKED`).
        carries: Whether the manifest that the call returned or read may hold a carrier.
    """

    name: str
    kind: SpanKind = SpanKind.INTERNAL
    start: Mapping[str, Fact] = field(default_factory=dict)
    end: Mapping[str, Fact] = field(default_factory=dict)
    joins: bool = False
    writes: bool = False
    learns: tuple[str, ...] = ()
    recalls: tuple[str, ...] = ()
    teaches: tuple[str, ...] = ()
    relation: str = LOCAL
    carries: bool = False

    @property
    def facts(self) -> dict[str, Fact]:
        """Every fact that a decorator of this kind takes a source for."""
        return {**self.start, **self.end}


_IDS: Final = (semconv.DEPLOYMENT_ID, semconv.BUILD_ID, semconv.ENVIRONMENT_ID)
_ENVIRONMENT: Final = (semconv.ENVIRONMENT_NAME, semconv.DEPLOYMENT_ENVIRONMENT_NAME)
_TARGET: Final = (*_IDS, *_ENVIRONMENT)

_APP_NAME: Final = attributes.Text(semconv.APP_NAME)
_BUILD_ID: Final = attributes.Text(semconv.BUILD_ID)
_ENVIRONMENT_ID: Final = attributes.Text(semconv.ENVIRONMENT_ID)
_ENVIRONMENT_NAME: Final = attributes.Text(*_ENVIRONMENT)
_RESOURCE_NAME: Final = attributes.Text(semconv.RESOURCE_NAME)

DEPLOY: Final = SpanSpec(
    semconv.DEPLOY,
    start={
        "app_name": fact(_APP_NAME, "app_name", "app.name"),
        "environment_name": fact(_ENVIRONMENT_NAME, "environment_name", "env_name"),
    },
    end={
        "build_id": fact(_BUILD_ID, "build_id", "return.build_id"),
        "environment_id": fact(_ENVIRONMENT_ID, "environment_id", "return.environment_id"),
        "environment_created": fact(attributes.created_environment, "answer"),
        "endpoints": fact(
            attributes.endpoint_total, "return.resources_endpoints", "return.endpoints"
        ),
    },
    joins=True,
    recalls=(*_TARGET, semconv.APP_NAME, semconv.ENDPOINT_COUNT),
    teaches=(semconv.APP_NAME, *_ENVIRONMENT, semconv.BUILD_ID, semconv.ENVIRONMENT_ID),
)

BUILD: Final = SpanSpec(
    semconv.BUILD,
    end={"artifact_size": fact(attributes.number(semconv.ARTIFACT_SIZE), "artifact_size")},
    joins=True,
    learns=(semconv.DEPLOYMENT_ID,),
)

ARTIFACT_UPLOAD: Final = SpanSpec(
    semconv.ARTIFACT_UPLOAD,
    SpanKind.CLIENT,
    start={"artifact_size": fact(attributes.number(semconv.ARTIFACT_SIZE), "artifact_size")},
    end={
        "build_id": fact(_BUILD_ID, "return.id", "return.build_id"),
        "object_key": fact(attributes.Text(semconv.ARTIFACT_OBJECT_KEY), "object_key"),
    },
    writes=True,
    learns=(semconv.DEPLOYMENT_ID, *_ENVIRONMENT),
    teaches=(semconv.BUILD_ID, semconv.ARTIFACT_OBJECT_KEY),
)

ACTIVATE: Final = SpanSpec(
    semconv.ACTIVATE,
    SpanKind.CLIENT,
    start={
        "build_id": fact(_BUILD_ID, "build_id"),
        "environment_id": fact(_ENVIRONMENT_ID, "environment_id"),
        "environment_name": fact(_ENVIRONMENT_NAME, "environment_name", "env_name"),
    },
    end={
        "active_object_key": fact(
            attributes.Text(semconv.ACTIVE_OBJECT_KEY), "return.activeArtifact.objectKey"
        )
    },
    writes=True,
    learns=(*_TARGET, semconv.ARTIFACT_OBJECT_KEY),
    teaches=(semconv.BUILD_ID, semconv.ENVIRONMENT_ID),
)

PROVISION: Final = SpanSpec(
    semconv.PROVISION,
    start={
        "build_id": fact(_BUILD_ID, "build_id"),
        "environment_id": fact(_ENVIRONMENT_ID, "environment_id"),
        "environment_name": fact(_ENVIRONMENT_NAME, "environment_name", "env_name"),
    },
    end={"endpoints": fact(attributes.endpoints_deployed, "return")},
    learns=_TARGET,
    teaches=(semconv.BUILD_ID, semconv.ENVIRONMENT_ID, semconv.ENDPOINT_COUNT),
)

PROVISION_ENDPOINT: Final = SpanSpec(
    semconv.PROVISION_ENDPOINT,
    SpanKind.CLIENT,
    start={"resource_name": fact(_RESOURCE_NAME, "resource_name", "config.name", "name")},
    end={
        "environment_id": fact(_ENVIRONMENT_ID, "environment_id"),
        "endpoint_id": fact(attributes.Text(semconv.ENDPOINT_ID), "return.id", "endpoint_id"),
        "action": fact(attributes.Text(semconv.PROVISION_ACTION), "action"),
    },
    writes=True,
    learns=_TARGET,
)

MANIFEST_UPLOAD: Final = SpanSpec(
    semconv.MANIFEST_UPLOAD,
    SpanKind.CLIENT,
    start={
        "build_id": fact(_BUILD_ID, "build_id"),
        "environment_id": fact(_ENVIRONMENT_ID, "environment_id", "flash_environment_id"),
        "manifest": fact(attributes.manifest_written, "manifest"),
        "endpoints": fact(attributes.endpoints_written, "endpoints", "resources_endpoints"),
    },
    end={"persisted": fact(attributes.persisted, "answer.updateFlashBuildManifest.manifest")},
    writes=True,
    learns=_TARGET,
    teaches=(semconv.ENDPOINT_COUNT,),
)

RUNTIME_FETCH: Final = SpanSpec(
    semconv.RUNTIME_FETCH,
    start={
        "environment_id": fact(
            _ENVIRONMENT_ID, "environment_id", "flash_environment_id", "mothership_id"
        ),
        "worker_endpoint_id": fact(
            attributes.Text(semconv.WORKER_ENDPOINT_ID), "worker_endpoint_id"
        ),
        "worker_environment_id": fact(
            attributes.Text(semconv.WORKER_ENVIRONMENT_ID), "worker_environment_id"
        ),
    },
    end={
        "build_id": fact(_BUILD_ID, "return.build_id"),
        "manifest": fact(attributes.manifest_read, "return"),
        "endpoints": fact(attributes.endpoints_read, "endpoints"),
    },
    recalls=(
        semconv.BUILD_ID,
        *_ENVIRONMENT,
        semconv.ENVIRONMENT_STATE,
        semconv.MANIFEST_STATE,
    ),
    teaches=(semconv.ENVIRONMENT_ID,),
    relation=READ,
    carries=True,
)

MANIFEST_FETCH: Final = SpanSpec(
    semconv.MANIFEST_FETCH,
    SpanKind.CLIENT,
    start={
        "environment_id": fact(
            _ENVIRONMENT_ID, "environment_id", "flash_environment_id", "mothership_id"
        )
    },
    end={
        "environment": fact(attributes.environment_answer, "answer.flashEnvironment"),
        "build_id": fact(_BUILD_ID, "return.0", "return.build_id"),
        "manifest": fact(
            attributes.manifest_read, "answer.flashBuild.manifest", "return.1", "return"
        ),
        "endpoints": fact(attributes.endpoints_read, "endpoints"),
    },
    learns=(semconv.ENVIRONMENT_ID,),
    teaches=(
        semconv.BUILD_ID,
        *_ENVIRONMENT,
        semconv.ENVIRONMENT_STATE,
        semconv.MANIFEST_STATE,
    ),
    carries=True,
)

CALL: Final = SpanSpec(
    semconv.CALL,
    SpanKind.CLIENT,
    start={
        "function_name": fact(
            attributes.Text(semconv.FUNCTION_NAME), "function_name", "func.__name__"
        ),
        "app_name": fact(_APP_NAME, "app_name"),
        "environment_name": fact(_ENVIRONMENT_NAME, "environment_name"),
    },
    end={
        "resource_name": fact(_RESOURCE_NAME, "resource_name"),
        "route": fact(attributes.Text(semconv.CALL_ROUTE), "route"),
        "endpoint_url": fact(attributes.endpoint_url, "endpoint_url"),
    },
    recalls=(
        semconv.RESOURCE_NAME,
        semconv.CALL_ROUTE,
        semconv.ENDPOINT_URL,
        semconv.SERVER_ADDRESS,
        semconv.ENVIRONMENT_ID,
        semconv.BUILD_ID,
    ),
    relation=LINKED,
)

GRAPHQL: Final = SpanSpec(semconv.GRAPHQL, SpanKind.CLIENT, learns=_IDS)
