"""The state of one environment: what was read back, and the manifest in the working folder.

A snapshot also has the form of the span that a worker's read would have recorded, so that it can be
diagnosed together with a recorded deployment.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from flash_otel import manifest as manifests
from flash_otel import redaction, semconv
from flash_otel.pipeline import resource
from flash_otel.records import SpanRecord
from flash_otel.tracing import attributes, carriers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.tracing.carriers import Carrier

ORIGIN: Final = "read back"
"""How evidence names the snapshot."""

LOCAL_PATH: Final = Path(".flash", "flash_manifest.json")
"""Where `flash build` writes the manifest, and `flash deploy` the endpoints (1.0.0-1.21.0)."""

MAX_LOCAL_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ref:
    """Id and name of an app, an environment or an endpoint."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class FetchedBuild:
    """A build of the app; `created` is the server's timestamp, unparsed."""

    id: str
    created: str


@dataclass(frozen=True, slots=True)
class FetchedEnvironment:
    """The State Manager's answer to the query for an environment.

    Attributes:
        id: Its id.
        name: Its name.
        is_known: Whether the query by id had an answer.
        active_build_id: Its active build.
        endpoints: Its actual endpoints; None if the answer does not list them.
    """

    id: str
    name: str
    is_known: bool = True
    active_build_id: str | None = None
    endpoints: tuple[Ref, ...] | None = None


@dataclass(frozen=True, slots=True)
class EndpointCall:
    """A health request to an endpoint, and its outcome.

    Attributes:
        name: The endpoint.
        by: How it was addressed: `health` (by id) or `sentinel` (by app, environment and name).
        status: The HTTP status; None without a response.
        problem: Why there was no response.
    """

    name: str
    by: str
    status: int | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that was read back.

    Attributes:
        app: The app.
        environments: All its environments.
        builds: Its builds.
        environment: The environment to verify.
        manifest: The manifest of its active build, or None.
        record: The snapshot as a span.
        elsewhere: Names of the app's other environments by the ids of their endpoints.
        calls: The health requests of `--call`.
        has_mapping: Whether Flash writes the endpoints into the manifest; runpod 2 does not.
    """

    app: Ref
    environments: tuple[Ref, ...]
    builds: tuple[FetchedBuild, ...]
    environment: FetchedEnvironment
    manifest: Mapping[str, Any] | None
    record: SpanRecord
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    calls: tuple[EndpointCall, ...] = ()
    has_mapping: bool = True

    @property
    def endpoints(self) -> dict[str, str]:
        """The manifest's endpoint mapping: resource name to URL."""
        return manifests.endpoints(self.manifest) or {}

    @property
    def resources(self) -> tuple[str, ...]:
        """Names of the resources that the manifest describes."""
        return resource_names(self.manifest)

    @property
    def carrier(self) -> Carrier | None:
        """The carrier of the deployment that wrote the manifest."""
        return carriers.read(self.manifest)


# --- the server's answers -------------------------------------------------------------------------


def environment_of(ref: Ref, answer: object) -> FetchedEnvironment:
    """Parse an environment from a response of the State Manager, which may have any shape."""
    if not isinstance(answer, Mapping):
        return FetchedEnvironment(ref.id, ref.name, is_known=False)
    listed = answer.get("endpoints")
    return FetchedEnvironment(
        ref.id,
        ref.name,
        active_build_id=known_text(answer.get("activeBuildId")),
        endpoints=tuple(refs(listed)) if isinstance(listed, list) else None,
    )


def refs(listed: object) -> Iterator[Ref]:
    """Yield id and name of the well-formed items of a list; the id stands for a missing name."""
    for known, item in with_id(listed):
        yield Ref(known, known_text(item.get("name")) or known)


def with_id(listed: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the well-formed items of a list in a response of any shape."""
    for item in listed if isinstance(listed, list) else ():
        known = known_text(item.get("id")) if isinstance(item, Mapping) else None
        if known:
            yield known, item


def known_text(value: object) -> str | None:
    """Return a text of a response; None if it is empty or of another type."""
    return value if isinstance(value, str) and value else None


# --- the working folder ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LocalManifest:
    """The manifest in the working folder.

    Attributes:
        app: Name of the app that it was built for.
        resources: Names of its resources.
        endpoints: URLs by resource name, as written by the last deployment from this folder.
        carrier: The carrier of the deployment that built it, if that was traced.
        problem: Why it cannot be read; empty if it can.
    """

    app: str | None = None
    resources: tuple[str, ...] = ()
    endpoints: Mapping[str, str] = field(default_factory=dict)
    carrier: Carrier | None = None
    problem: str = ""


def read_local(folder: Path) -> LocalManifest | None:
    """Read the manifest of a project's folder; None if there is none."""
    path = folder / LOCAL_PATH
    try:
        if not path.is_file():
            return None
        # Any file may lie in a working folder; JSON takes many times its size in memory.
        if path.stat().st_size > MAX_LOCAL_BYTES:
            return LocalManifest(problem=f"it is larger than {MAX_LOCAL_BYTES} bytes")
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return LocalManifest(problem=str(error) or type(error).__name__)
    if not isinstance(manifest, Mapping):
        return LocalManifest(problem="it is not a JSON object")
    redaction.remember_manifest(manifest)
    app = manifest.get("project_name")
    return LocalManifest(
        app=app if isinstance(app, str) else None,
        resources=resource_names(manifest),
        endpoints=manifests.endpoints(manifest) or {},
        carrier=carriers.read(manifest),
    )


def resource_names(manifest: object) -> tuple[str, ...]:
    """Return the names of the resources that a manifest describes."""
    found = manifest.get(manifests.RESOURCES_KEY) if isinstance(manifest, Mapping) else None
    return tuple(str(name) for name in found) if isinstance(found, Mapping) else ()


def is_of_successor(manifest: object) -> bool:
    """Return whether a manifest is runpod 2's, which lists its resources and names no endpoint."""
    found = manifest.get(manifests.RESOURCES_KEY) if isinstance(manifest, Mapping) else None
    return isinstance(found, list)


def owner_of(url: str, endpoints: tuple[Ref, ...]) -> Ref | None:
    """Return the endpoint that a URL addresses: `https://api/v2/ID`, or `https://ID.api`."""
    # Whole labels: one id may be the prefix of another.
    labels = _labels(url)
    return next((endpoint for endpoint in endpoints if endpoint.id in labels), None)


def _labels(url: str) -> frozenset[str]:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return frozenset()
    return frozenset({host.partition(".")[0], *parts.path.split("/")})


def record(
    environment_id: str,
    environment: object,
    manifest: object,
    start_ns: int,
    end_ns: int,
    *,
    has_manifest: bool = True,
) -> SpanRecord:
    """Return the snapshot as the span of a worker's read.

    Args:
        environment_id: The queried environment.
        environment: The State Manager's answer.
        manifest: The active build's manifest.
        start_ns: Time of the query, nanoseconds since the epoch.
        end_ns: Time of the last answer, nanoseconds since the epoch.
        has_manifest: Whether a worker would read a manifest.
    """
    has_build = isinstance(environment, Mapping) and bool(environment.get("activeBuildId"))
    carrier = carriers.read(manifest)
    values: dict[str, Any] = {
        semconv.ENVIRONMENT_ID: environment_id,
        **attributes.environment_answer(environment),
        # Without an active build no manifest was queried: none is not the same as null.
        **(attributes.manifest_read(manifest) if has_build and has_manifest else {}),
        **(carriers.active_attributes(carrier, manifest) if carrier else {}),
        semconv.OUTCOME: semconv.RETURNED,
    }
    scrubbed: dict[str, Any] = {
        name: redaction.scrub_value(value) for name, value in values.items()
    }
    return SpanRecord(
        trace_id=secrets.token_hex(16),
        span_id=secrets.token_hex(8),
        parent_span_id=None,
        name=semconv.MANIFEST_FETCH,
        kind="client",
        start_ns=start_ns,
        end_ns=end_ns,
        attributes={name: value for name, value in scrubbed.items() if value is not None},
        resource=dict(resource.detected()),
        scope_name=semconv.SCOPE_NAME,
        origin=ORIGIN,
    )
