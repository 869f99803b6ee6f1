"""The entries of a list of traces: what was deployed where, how it ended, and its verdict.

The verdict of an entry is what `flash-otel diagnose --trace ID` finds: each trace is judged by the
same function, on the same evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.deployments import failed_step
from flash_otel.report import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis import Diagnosis
    from flash_otel.diagnosis.evidence import Deployment, Step
    from flash_otel.diagnosis.recorded import RecordedSpans
    from flash_otel.store.queries import TraceSummary
    from flash_otel.store.store import SpanStore

DEFAULT_LIMIT: Final = 20

NO_FAULT: Final = "no fault"
RUNNING: Final = "running"
CANCELLED: Final = "cancelled"

_KINDS: Final = {
    semconv.DEPLOY: "deploy",
    semconv.BUILD: "build",
    semconv.RUNTIME_FETCH: "read",
    semconv.MANIFEST_FETCH: "read",
    semconv.CALL: "call",
}
OTHER_KIND: Final = "other"

_STEPS: Final = {
    semconv.DEPLOY: "deploy",
    semconv.BUILD: "build",
    semconv.ARTIFACT_UPLOAD: "artifact upload",
    semconv.ACTIVATE: "activation",
    semconv.PROVISION: "provisioning",
    semconv.PROVISION_ENDPOINT: "provisioning",
    semconv.MANIFEST_UPLOAD: "manifest upload",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The traces to list.

    Attributes:
        limit: Maximum number of traces.
        environment: Id or name of an environment that a span of the trace names.
        since_ns: Only traces with a span that started at or after this time, in nanoseconds
            since the epoch.
    """

    limit: int = DEFAULT_LIMIT
    environment: str | None = None
    since_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEntry:
    """A trace in a list.

    Attributes:
        trace_id: 32 lower-case hex digits.
        short_id: The first digits of the trace id that no other trace of the store begins with.
        kind: deploy, build, read, call or, for other traces, other.
        root_name: Name of the root: the earliest span whose parent is not in the store.
        start_ns: Start of the earliest span, in nanoseconds since the epoch.
        end_ns: End of the latest span; None while a span is unfinished.
        deployment_duration_ns: Duration of the root `flash.deploy`; None without one, or if it
            has not ended.
        app_name: Name of the Flash app.
        environment_id: Id of the environment.
        environment_name: Name of the environment.
        build_id: Id of the build.
        deployment_id: Id of the deployment that the trace holds, or None.
        result: returned, failed, cancelled, unknown, unfinished or running.
        failed_step: Name of the span of the step at which the deployment failed, or None.
        verdict: The verdict of `flash-otel diagnose`: a key of `flash_otel.semconv.FAULTS`; None
            if nothing of Flash is recorded.
        confidence: Confidence in the verdict: certain, likely or possible; None without one.
        sentence: The verdict in words; empty without one.
        span_count: Number of spans in the store.
        error_count: Number of failed spans among them.
        status: The root's status: unset, ok or error.
        outcome: The root's outcome; unfinished if the trace is.
        unfinished: Whether the store holds a span that has started but not ended.
    """

    trace_id: str
    short_id: str
    kind: str
    root_name: str
    start_ns: int
    end_ns: int | None
    deployment_duration_ns: int | None
    app_name: str | None
    environment_id: str | None
    environment_name: str | None
    build_id: str | None
    deployment_id: str | None
    result: str
    failed_step: str | None
    verdict: str | None
    confidence: str | None
    sentence: str
    span_count: int
    error_count: int
    status: str
    outcome: str
    unfinished: bool

    @property
    def is_fault(self) -> bool:
        """Whether the verdict names a fault."""
        return self.verdict not in (None, semconv.NONE, semconv.INCONCLUSIVE)

    @property
    def label(self) -> str:
        """The verdict in one or two words, or else how the trace ended."""
        if self.verdict is None:
            return self.result
        if self.is_fault:
            return self.verdict
        if self.verdict == semconv.NONE:
            return NO_FAULT
        if self.deployment_id is None or self.result == semconv.RETURNED:
            return self.verdict
        step = _STEPS.get(self.failed_step or "")
        return f"{self.result}: {step}" if self.result == semconv.FAILED and step else self.result


def entry_json(entry: TraceEntry) -> dict[str, Any]:
    """Return an entry as JSON values; times are in nanoseconds, `started` is in ISO 8601."""
    values = {field.name: getattr(entry, field.name) for field in fields(entry)}
    return {**values, "label": entry.label, "started": _started(entry.start_ns)}


def _started(start_ns: int) -> str | None:
    try:
        return datetime.fromtimestamp(start_ns / 1e9, timezone.utc).astimezone().isoformat()
    except (OverflowError, OSError, ValueError):
        return None


def entries(
    store: SpanStore,
    spans: RecordedSpans,
    wanted: Wanted | None = None,
    limits: Limits | None = None,
) -> Iterator[TraceEntry]:
    """Yield the traces of a store with their verdicts, the newest first.

    Args:
        store: The store.
        spans: Its spans, as a diagnosis looks them up; of other sources, the same records with
            their places.
        wanted: The traces to list; by default, the newest ones.
        limits: Assumptions of the diagnosis, such as whether a deployment still runs.

    Raises:
        StoreError: The store cannot be read.
    """
    wanted, limits = wanted or Wanted(), limits or Limits()
    for summary in store.traces(wanted.limit, wanted.environment, wanted.since_ns):
        diagnosis = diagnose(spans, trace_id=summary.trace_id, limits=limits)
        entry = _judged(_entry(summary), diagnosis, limits)
        yield replace(entry, short_id=store.short_trace_id(summary.trace_id))


def _entry(summary: TraceSummary) -> TraceEntry:
    """Return the entry of a trace of which no deployment is known."""
    return TraceEntry(
        trace_id=summary.trace_id,
        short_id=summary.trace_id,
        kind=_KINDS.get(summary.root_name, OTHER_KIND),
        root_name=summary.root_name,
        start_ns=summary.start_ns,
        end_ns=summary.end_ns,
        deployment_duration_ns=None,
        app_name=summary.app_name,
        environment_id=summary.environment_id,
        environment_name=summary.environment_name,
        build_id=summary.build_id,
        deployment_id=None,
        result=_result(summary),
        failed_step=None,
        verdict=None,
        confidence=None,
        sentence="",
        span_count=summary.span_count,
        error_count=summary.error_count,
        status=summary.status,
        outcome=summary.outcome,
        unfinished=summary.unfinished,
    )


def _result(summary: TraceSummary) -> str:
    if summary.unfinished:
        return words.UNFINISHED
    if summary.outcome == semconv.RETURNED and summary.status == "error":
        return semconv.FAILED
    return summary.outcome


def _judged(entry: TraceEntry, diagnosis: Diagnosis, limits: Limits) -> TraceEntry:
    if diagnosis.is_unmatched:
        return entry
    decisive = (finding for finding in diagnosis.findings if finding.code == diagnosis.verdict)
    finding = next(decisive, None)
    entry = replace(
        entry,
        verdict=diagnosis.verdict,
        confidence=finding.confidence if finding else None,
        sentence=finding.sentence if finding else "",
    )
    deployment = diagnosis.judged[0].deployment
    if entry.trace_id in deployment.trace_ids:
        return _of_deployment(entry, deployment, limits)
    # A worker's read knows the id of its environment, but rarely the names.
    if deployment.environment_id and deployment.environment_id == entry.environment_id:
        return _with_names(entry, deployment)
    return entry


def _with_names(entry: TraceEntry, deployment: Deployment) -> TraceEntry:
    return replace(
        entry,
        app_name=entry.app_name or deployment.app_name,
        environment_name=entry.environment_name or deployment.environment_name,
    )


def _of_deployment(entry: TraceEntry, deployment: Deployment, limits: Limits) -> TraceEntry:
    root, step = deployment.root, failed_step(deployment)
    result = deployment.outcome
    if result == words.UNFINISHED and limits.is_running(deployment):
        result = RUNNING
    return replace(
        entry,
        kind=_KINDS[semconv.DEPLOY],
        deployment_duration_ns=_duration_ns(root) if root else None,
        app_name=deployment.app_name or entry.app_name,
        environment_id=deployment.environment_id or entry.environment_id,
        environment_name=deployment.environment_name or entry.environment_name,
        build_id=deployment.build_id or entry.build_id,
        deployment_id=deployment.id,
        result=result,
        failed_step=step.name if step else None,
    )


def _duration_ns(step: Step) -> int | None:
    if step.start_ns is None or step.end_ns is None:
        return None
    return step.end_ns - step.start_ns
