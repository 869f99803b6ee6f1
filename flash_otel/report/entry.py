"""An entry of a list of traces: what was deployed where, how it ended, and its verdict."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Any, Final

from flash_otel import semconv
from flash_otel.report import words

NO_FAULT: Final = "no fault"
RUNNING: Final = "running"
CANCELLED: Final = "cancelled"

KINDS: Final = {
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
        is_unread: Nothing but a worker's read is missing for a verdict on the deployment.
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
    is_unread: bool
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
    def is_failed(self) -> bool:
        """Whether the trace failed, or its verdict is a fault."""
        return self.is_fault or self.result == semconv.FAILED

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
            return words.NO_READ if self.is_unread else self.verdict
        step = _STEPS.get(self.failed_step or "")
        return f"{self.result}: {step}" if self.result == semconv.FAILED and step else self.result


def entry_json(entry: TraceEntry) -> dict[str, Any]:
    """Return an entry as JSON values; times are in nanoseconds, `started` is in ISO 8601."""
    values = {field.name: getattr(entry, field.name) for field in fields(entry)}
    return {**values, "label": entry.label, "started": _started(entry.start_ns)}


def _started(start_ns: int) -> str | None:
    if not start_ns:  # lines of a log without times
        return None
    try:
        return datetime.fromtimestamp(start_ns / 1e9, timezone.utc).astimezone().isoformat()
    except (OverflowError, OSError, ValueError):
        return None
