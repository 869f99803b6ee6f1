"""What was read back, as plain data; and as the span that a worker's read would have been."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from flash_otel import manifest as manifests
from flash_otel import redaction, semconv
from flash_otel.pipeline import resource
from flash_otel.records import SpanRecord
from flash_otel.tracing import attributes, carriers, links

if TYPE_CHECKING:
    from flash_otel.tracing.carriers import Carrier

ORIGIN: Final = "read back"
"""Where a fact of this reading stands, as evidence names it."""


@dataclass(frozen=True, slots=True)
class Named:
    """An app, an environment or an endpoint."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Build:
    """A build of the app; `created` is the server's own time, as it writes it."""

    id: str
    created: str


@dataclass(frozen=True, slots=True)
class Environment:
    """What the State Manager says of the environment.

    Attributes:
        id: Its id.
        name: Its name.
        known: Whether the question by id was answered at all.
        active_build_id: The build that is active in it.
        endpoints: Its real endpoints; None if the answer does not list them.
    """

    id: str
    name: str
    known: bool = True
    active_build_id: str | None = None
    endpoints: tuple[Named, ...] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one endpoint answered.

    Attributes:
        name: The endpoint.
        by: health (asked by its id) or sentinel (by app, environment and name).
        status: The HTTP status; None without an answer.
        problem: Why there was none.
    """

    name: str
    by: str
    status: int | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that was read back.

    Attributes:
        app: The app.
        environments: All of its environments.
        builds: Its builds.
        environment: The one that was asked about.
        manifest: The manifest of its active build, or None.
        record: The reading as a span.
        elsewhere: Endpoint id -> name of the other environment that lists it.
        answers: What `--call` was answered.
    """

    app: Named
    environments: tuple[Named, ...]
    builds: tuple[Build, ...]
    environment: Environment
    manifest: Mapping[str, Any] | None
    record: SpanRecord
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()

    @property
    def held(self) -> dict[str, str]:
        """The manifest's endpoint mapping: resource name -> URL."""
        return manifests.endpoints(self.manifest) or {}

    @property
    def resources(self) -> tuple[str, ...]:
        """Names of the resources that the manifest describes."""
        return resource_names(self.manifest)

    @property
    def carrier(self) -> Carrier | None:
        """What the manifest says of the deployment that wrote it."""
        return carriers.read(self.manifest)


def resource_names(manifest: object) -> tuple[str, ...]:
    """Return the names of the resources that a manifest describes."""
    found = manifest.get(manifests.RESOURCES_KEY) if isinstance(manifest, Mapping) else None
    return tuple(str(name) for name in found) if isinstance(found, Mapping) else ()


def owner_of(url: str, endpoints: tuple[Named, ...]) -> Named | None:
    """Find the endpoint that a URL leads to: `https://api/v2/ID`, or `https://ID.api`."""
    labels = _labels(url)
    return next((one for one in endpoints if one.id in labels), None)


def _labels(url: str) -> frozenset[str]:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return frozenset()
    return frozenset({host.partition(".")[0], *parts.path.split("/")} - {""})


def record(
    environment_id: str, environment: object, manifest: object, start_ns: int, end_ns: int
) -> SpanRecord:
    """Make the span of the reading.

    Args:
        environment_id: The environment that was asked for.
        environment: What the State Manager answered of it.
        manifest: The active build's manifest.
        start_ns: When it was asked for, nanoseconds since the epoch.
        end_ns: When the last answer had come, nanoseconds since the epoch.
    """
    build_known = isinstance(environment, Mapping) and bool(environment.get("activeBuildId"))
    carrier = carriers.read(manifest)
    said: dict[str, Any] = {
        semconv.ENVIRONMENT_ID: environment_id,
        **attributes.environment_answer(environment),
        **(attributes.manifest_read(manifest) if build_known else {}),
        **(links.active_attributes(carrier) if carrier else {}),
        semconv.OUTCOME: semconv.RETURNED,
    }
    cleaned: dict[str, Any] = {name: redaction.scrub_value(value) for name, value in said.items()}
    return SpanRecord(
        trace_id=secrets.token_hex(16),
        span_id=secrets.token_hex(8),
        parent_span_id=None,
        name=semconv.MANIFEST_FETCH,
        kind="client",
        start_ns=start_ns,
        end_ns=end_ns,
        attributes={name: value for name, value in cleaned.items() if value is not None},
        resource=dict(resource.detected()),
        scope_name=semconv.SCOPE_NAME,
        origin=ORIGIN,
    )
