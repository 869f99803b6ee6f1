"""Evidence as plain facts: deployments, their steps, workers' reads and remote calls.

Every source yields the same facts, each with the place where it was read. A fact holds only what
its own span holds; conclusions from several facts are drawn elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flash_otel import failures, semconv

UNFINISHED: Final = "unfinished"
"""Outcome of a span that was still open when it was recorded."""

# The results of comparing a response with the write.
HOLDS: Final = "holds"
LACKS_ALL: Final = "lacks all"
LACKS_SOME: Final = "lacks some"
OTHER_URLS: Final = "other urls"
UNKNOWN: Final = "unknown"


# --- what every fact is made of -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a fact was read.

    Attributes:
        file: File that the record came from; empty for the local store.
        line: Line in that file; 0 if unknown.
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        rebuilt: The span was rebuilt from bracketed lines, so its ids are made up.
    """

    file: str = ""
    line: int = 0
    trace_id: str = ""
    span_id: str = ""
    rebuilt: bool = False

    @property
    def place(self) -> str:
        """File and line, or an empty string."""
        return f"{self.file}:{self.line}" if self.file and self.line else self.file

    def __str__(self) -> str:
        span = f"span {self.span_id}" if self.span_id and not self.rebuilt else ""
        return " ".join(part for part in (self.place, span) if part) or "unknown place"


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """The process that made a span.

    Attributes:
        instance: Its `service.instance.id`, or a substitute (`facts.instance_of`).
        host: Name of its machine; empty if unknown.
        worker: It is known to be a deployed worker.
        resource_name: In a worker, the name of its resource.
        rebuilt: It is known from the lines of a log, which several processes may have written.
        naive: Its times come from a log without time zone and cannot be compared with others.
        flash_version: Version of its runpod-flash; empty if unknown.
        pid: Its process id on its machine, or None.
    """

    instance: str = ""
    host: str = ""
    worker: bool = False
    resource_name: str = ""
    rebuilt: bool = False
    naive: bool = False
    flash_version: tuple[int, ...] = ()
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step failed: the kind of cause, the exception's class and its scrubbed message."""

    kind: str
    type: str = ""
    message: str = ""

    @property
    def class_name(self) -> str:
        """The exception's class without its module."""
        return self.type.rpartition(".")[2]

    def __str__(self) -> str:
        """Return the class and what the message says first, to stand in a sentence.

        Flash's messages go on with advice: `RunpodAPIKeyError` (1.0.0-1.21.0) has 20 lines of it.
        """
        lines = [line.strip() for line in self.message.splitlines() if line.strip()] or [""]
        told = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
        told = told if told.endswith("..") else told.removesuffix(".")
        if told.startswith(self.class_name):
            return told or "no cause was recorded"
        return f"{self.class_name}: {told}" if told else self.class_name


@dataclass(frozen=True, slots=True)
class EndpointSet:
    """The endpoints of a manifest that a span lists; None for unknown parts.

    Attributes:
        count: Number of endpoints.
        names: Their names.
        urls: Their URLs, in the order of the names.
        digest: Digest of names and URLs.
        are_urls_whole: Whether the URLs are proven whole: a limit on the length of attributes may
            cut those of different endpoints to the same text.
    """

    count: int | None = None
    names: tuple[str, ...] | None = None
    urls: tuple[str, ...] | None = None
    digest: str | None = None
    are_urls_whole: bool = True

    @property
    def all_names(self) -> frozenset[str] | None:
        """The names, or None unless all of them are known."""
        if self.names is None or (self.count is not None and len(self.names) != self.count):
            return None
        return frozenset(self.names)

    @property
    def by_name(self) -> dict[str, str]:
        """URL of each name, as far as both are known."""
        return dict(zip(self.names or (), self.urls or (), strict=False))

    def missing_in(self, held: EndpointSet) -> tuple[str, ...]:
        """Return the names that `held` lacks, as far as all names of both are known."""
        if self.all_names is None or held.all_names is None:
            return ()
        return tuple(sorted(self.all_names - held.all_names))

    def compared_with(self, held: EndpointSet, held_count: int | None) -> str:
        """Compare the written endpoints with a response that held `held_count` endpoints.

        Returns:
            `HOLDS`, `LACKS_ALL`, `LACKS_SOME`, `OTHER_URLS`, or `UNKNOWN` if either is unknown.
        """
        if held_count is None:
            return UNKNOWN
        if held_count == 0:
            return HOLDS if self.count == 0 else LACKS_ALL
        if self.count is None and self.digest is None:
            return UNKNOWN
        if self.count is not None and (held_count < self.count or self.missing_in(held)):
            return LACKS_SOME
        if self.digest and held.digest and self.digest != held.digest:
            return OTHER_URLS
        return HOLDS


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanFact:
    """One span as a fact.

    Attributes:
        origin: Where it was read.
        process: The process that made it.
        parent_id: Span id of its parent, or None.
        start_ns: Nanoseconds since the epoch; None without a clock.
        end_ns: Nanoseconds since the epoch; None while unfinished or without a clock.
        outcome: returned, failed, cancelled, unknown or `UNFINISHED`.
        failure: Why it failed, or None.
        fault: Code of the fault that the span itself shows.
    """

    origin: Origin = Origin()
    process: ProcessIdentity = ProcessIdentity()
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


# --- the deployment side --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(SpanFact):
    """Any step of a deployment, by the name of its span."""

    name: str

    @property
    def is_interrupted(self) -> bool:
        """It was cancelled from outside instead of failing by itself."""
        name = self.failure.class_name if self.failure else ""
        return self.outcome == semconv.CANCELLED or name in failures.CANCELLATIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation(SpanFact):
    """A build becomes the active one of an environment."""

    build_id: str | None = None
    environment_id: str | None = None
    environment_name: str | None = None
    object_key: str | None = None
    active_object_key: str | None = None
    previous_build_id: str | None = None

    @property
    def is_repeated(self) -> bool:
        """The environment's active build was this one before the activation already."""
        return self.build_id is not None and self.previous_build_id == self.build_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestUpload(SpanFact):
    """The manifest is written to the State Manager, with the server's answer."""

    build_id: str | None = None
    environment_id: str | None = None
    endpoints: EndpointSet = EndpointSet()
    persisted_count: int | None = None
    persisted_digest: str | None = None
    generated_at_ns: int | None = None
    source_fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFact(SpanFact):
    """One endpoint is created, updated or reused."""

    resource_name: str | None = None
    endpoint_id: str | None = None
    environment_id: str | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioning(SpanFact):
    """Reconciliation and provisioning of a deployment's endpoints."""

    endpoints: EndpointSet = EndpointSet()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One `flash deploy` with everything that is recorded of it.

    Attributes:
        id: Its deployment id; without one, an id that its spans have in common.
        aliases: Ids that carriers may call it by: its own and that of its separate build span.
        root: Its root span, or None.
        steps: All of its steps, the root among them, in order.
        created_environment: Spans that show that it created its environment.
        by_lines: All of it was rebuilt from bracketed lines.
        in_log: Some of it stands in a given log.
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
    endpoints: tuple[EndpointFact, ...] = ()
    steps: tuple[Step, ...] = ()
    created_environment: tuple[Origin, ...] = ()
    process: ProcessIdentity = ProcessIdentity()
    start_ns: int | None = None
    end_ns: int | None = None
    outcome: str = semconv.UNKNOWN
    by_lines: bool = False
    in_log: bool = False

    @property
    def activated(self) -> bool:
        """Its activation returned."""
        return self.activation is not None and self.activation.returned

    @property
    def name(self) -> str:
        """Its name in a sentence."""
        return f"build {self.build_id}" if self.build_id else f"deployment {self.id}"


# --- the worker side ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ActiveManifest:
    """The `_flash_otel` carrier of the active manifest: the deployment that wrote it, and when."""

    deployment_id: str | None = None
    phase: str | None = None
    endpoint_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFetch(SpanFact):
    """A response of the State Manager: one attempt, or the result of several.

    Attributes:
        environment_id: The requested environment.
        environment_name: Its name in the response.
        environment_state: null, no_active_build or active; None if unknown.
        build_id: The environment's active build.
        manifest_state: null, incomplete or complete; None if unknown.
        endpoints: The endpoints in the manifest.
        active: The manifest's carrier.
        generated_at_ns: When the manifest was built, in nanoseconds since the epoch, by the clock
            of the machine that built it.
        source_fingerprint: SHA-256 of the project's files that it was built from.
        in_log: Whether a given log holds it, as bracketed lines or as a span.
        loose_count: The number of endpoints in lines that may belong to any build.
    """

    environment_id: str | None = None
    environment_name: str | None = None
    environment_state: str | None = None
    build_id: str | None = None
    manifest_state: str | None = None
    endpoints: EndpointSet = EndpointSet()
    active: ActiveManifest = ActiveManifest()
    generated_at_ns: int | None = None
    source_fingerprint: str | None = None
    in_log: bool = False
    loose_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFetch(ManifestFetch):
    """A worker's refresh: its attempts and their final result.

    Attributes:
        worker_environment_id: FLASH_ENVIRONMENT_ID as set in the worker.
        worker_endpoint_id: RUNPOD_ENDPOINT_ID as set in the worker.
        code_deployment_id: Deployment whose code the worker runs.
        asked_ns: Start of the last attempt, in nanoseconds since the epoch.
        attempts: The single attempts, in order.
        bare: Only the State Manager's answer is recorded, not the worker's refresh around it.
    """

    worker_environment_id: str | None = None
    worker_endpoint_id: str | None = None
    code_deployment_id: str | None = None
    asked_ns: int | None = None
    attempts: tuple[ManifestFetch, ...] = ()
    bare: bool = False

    @property
    def held(self) -> int | None:
        """Number of endpoints in the answer; None if its manifest is unknown."""
        if self.endpoints.count is not None:
            return self.endpoints.count
        lacking = (semconv.MANIFEST_NULL, semconv.MANIFEST_INCOMPLETE)
        return 0 if self.manifest_state in lacking else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCall(SpanFact):
    """A remote call and its route.

    Attributes:
        own_build_id: The build that the calling worker's endpoint was saved with (runpod 2).
        job_id: The job that a queue-based endpoint made of it.
    """

    function_name: str | None = None
    resource_name: str | None = None
    route: str | None = None
    endpoint_url: str | None = None
    app_name: str | None = None
    environment_name: str | None = None
    environment_id: str | None = None
    code_deployment_id: str | None = None
    own_build_id: str | None = None
    job_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served(SpanFact):
    """A job or a request that a worker served."""

    code_deployment_id: str | None = None
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was recorded; each tuple is ordered by time, oldest first.

    Attributes:
        deployments: Deployments by the time they took effect.
        reads: Workers' reads.
        calls: Remote calls.
        served: Jobs and requests of workers.
        worker_endpoints: Endpoints that workers provisioned.
        worker_uploads: Manifests that workers wrote (load balancers of Flash 1.0 to 1.2 do).
    """

    deployments: tuple[Deployment, ...] = ()
    reads: tuple[RuntimeFetch, ...] = ()
    calls: tuple[RemoteCall, ...] = ()
    served: tuple[Served, ...] = ()
    worker_endpoints: tuple[EndpointFact, ...] = ()
    worker_uploads: tuple[ManifestUpload, ...] = ()

    @property
    def empty(self) -> bool:
        """No span of Flash was recorded."""
        return not (self.deployments or self.reads or self.calls or self.worker_endpoints)
