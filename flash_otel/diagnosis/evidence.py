"""What happened, as plain facts: deployments, their steps, workers' reads and calls.

Every source yields the same facts, each with the place that it was read from. A fact says only
what its span says; what follows from several facts is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from flash_otel import semconv
from flash_otel.diagnosis.provenance import (
    NOBODY,
    NOWHERE,
    UNTOLD,
    Endpoints,
    Failure,
    Origin,
    Process,
)

UNFINISHED: Final = "unfinished"
"""Outcome of a span that was still open when it was recorded."""

__all__ = [
    "UNFINISHED",
    "Activation",
    "Active",
    "Call",
    "Deployment",
    "Endpoint",
    "Endpoints",
    "Evidence",
    "Fact",
    "Failure",
    "ManifestFetch",
    "ManifestUpload",
    "Origin",
    "Process",
    "Provisioning",
    "Readback",
    "RuntimeFetch",
    "Step",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One span as a fact.

    Attributes:
        origin: Where it was read.
        process: Who made it.
        parent_id: Span id of its parent, or None.
        start_ns: Nanoseconds since the epoch; None where no clock is known.
        end_ns: Nanoseconds since the epoch; None while unfinished or where no clock is known.
        outcome: returned, failed, cancelled, unknown or `UNFINISHED`.
        failure: Why it failed, or None.
        fault: Code of the fault that is visible on it by itself.
    """

    origin: Origin = NOWHERE
    process: Process = NOBODY
    parent_id: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    outcome: str = semconv.RETURNED
    failure: Failure | None = None
    fault: str | None = None

    @property
    def returned(self) -> bool:
        """Flash's call returned."""
        return self.outcome == semconv.RETURNED

    @property
    def by_lines(self) -> bool:
        """It was rebuilt from bracketed lines and holds only what they hold."""
        return self.origin.rebuilt


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Fact):
    """Any step of a deployment, by the name of its span."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation(Fact):
    """A build is put onto an environment."""

    build_id: str | None = None
    environment_id: str | None = None
    environment_name: str | None = None
    object_key: str | None = None
    active_object_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestUpload(Fact):
    """The manifest is written to the State Manager, and what the server answered."""

    build_id: str | None = None
    environment_id: str | None = None
    endpoints: Endpoints = UNTOLD
    persisted_count: int | None = None
    persisted_digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Fact):
    """One endpoint is created, updated or reused."""

    resource_name: str | None = None
    endpoint_id: str | None = None
    environment_id: str | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioning(Fact):
    """Reconciliation and provisioning of a deployment's endpoints."""

    endpoints: Endpoints = UNTOLD


@dataclass(frozen=True, slots=True)
class Active:
    """What the active manifest's own carrier says of who wrote it."""

    deployment_id: str | None = None
    phase: str | None = None
    endpoint_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFetch(Fact):
    """What the State Manager answered, in one attempt or in the end.

    Attributes:
        environment_id: The environment that was asked for.
        environment_state: What is said of it: null, no_active_build, active; None if nothing.
        build_id: Its active build.
        manifest_state: null, incomplete, complete; None if nothing is said of the manifest.
        endpoints: The endpoints that the manifest holds.
        active: What the manifest's carrier says.
    """

    environment_id: str | None = None
    environment_state: str | None = None
    build_id: str | None = None
    manifest_state: str | None = None
    endpoints: Endpoints = UNTOLD
    active: Active = Active()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFetch(ManifestFetch):
    """A worker's refresh: its attempts, and what it knew in the end.

    Attributes:
        worker_environment_id: FLASH_ENVIRONMENT_ID as set in the worker.
        worker_endpoint_id: RUNPOD_ENDPOINT_ID as set in the worker.
        code_deployment_id: Deployment whose code the worker runs.
        asked_ns: Start of the last attempt, in nanoseconds since the epoch.
        attempts: The single attempts, in order.
        bare: Only the State Manager's own words are recorded, no worker around them.
    """

    worker_environment_id: str | None = None
    worker_endpoint_id: str | None = None
    code_deployment_id: str | None = None
    asked_ns: int | None = None
    attempts: tuple[ManifestFetch, ...] = ()
    bare: bool = False

    @property
    def held(self) -> int | None:
        """Number of endpoints that the answer held; None if nothing is said of its manifest."""
        if self.endpoints.count is not None:
            return self.endpoints.count
        lacking = (semconv.MANIFEST_NULL, semconv.MANIFEST_INCOMPLETE)
        return 0 if self.manifest_state in lacking else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Fact):
    """A remote call and where it was routed to."""

    function_name: str | None = None
    resource_name: str | None = None
    route: str | None = None
    endpoint_url: str | None = None
    app_name: str | None = None
    environment_name: str | None = None
    environment_id: str | None = None
    code_deployment_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readback(ManifestFetch):
    """What somebody else than a worker read back, such as `flash-otel verify`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One `flash deploy`, and everything that is recorded of it.

    Attributes:
        id: Its deployment id; without one, what its spans have in common.
        aliases: Ids that carriers know it by; that of its build, where that is a span of its own.
        root: Its root span, or None.
        steps: All of its steps, the root among them, in order.
        created_environment: Places that tell that it created its environment.
    """

    id: str
    aliases: frozenset[str] = frozenset()
    trace_ids: frozenset[str] = frozenset()
    app_name: str | None = None
    environment_id: str | None = None
    environment_name: str | None = None
    build_id: str | None = None
    artifact_size: int | None = None
    root: Step | None = None
    activation: Activation | None = None
    upload: ManifestUpload | None = None
    provisioning: Provisioning | None = None
    endpoints: tuple[Endpoint, ...] = ()
    steps: tuple[Step, ...] = ()
    created_environment: tuple[Origin, ...] = ()
    process: Process = NOBODY
    start_ns: int | None = None
    end_ns: int | None = None
    outcome: str = semconv.UNKNOWN
    by_lines: bool = False

    @property
    def activated(self) -> bool:
        """Its activation returned."""
        return self.activation is not None and self.activation.returned

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        return f"build {self.build_id}" if self.build_id else f"deployment {self.id}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was recorded, without any order but that of time and place.

    Attributes:
        deployments: Oldest first.
        reads: Workers' reads, oldest first.
        calls: Remote calls, oldest first.
        worker_endpoints: Endpoints that workers provisioned.
        worker_uploads: Manifests that workers wrote (load balancers of Flash 1.0 to 1.2 do).
        readbacks: What was read back by somebody else.
    """

    deployments: tuple[Deployment, ...] = ()
    reads: tuple[RuntimeFetch, ...] = ()
    calls: tuple[Call, ...] = ()
    worker_endpoints: tuple[Endpoint, ...] = ()
    worker_uploads: tuple[ManifestUpload, ...] = ()
    readbacks: tuple[Readback, ...] = field(default=())

    @property
    def empty(self) -> bool:
        """Nothing of Flash was recorded."""
        return not (self.deployments or self.reads or self.calls or self.worker_endpoints)
