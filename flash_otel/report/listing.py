"""List traces with their verdicts.

The verdict is what `flash-otel diagnose --trace ID` finds: each trace is judged by the same
function, on the same evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.choose import Question
from flash_otel.diagnosis.deployments import failed_step
from flash_otel.diagnosis.diagnose import diagnose_each
from flash_otel.report import words
from flash_otel.report.entry import KINDS, OTHER_KIND, RUNNING, TraceEntry
from flash_otel.store.queries import ALL, TraceFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.diagnosis import Diagnosis
    from flash_otel.diagnosis.evidence import Deployment, Step
    from flash_otel.diagnosis.recorded import RecordedSpans
    from flash_otel.store.queries import TraceSummary
    from flash_otel.store.store import SpanStore

DEFAULT_LIMIT: Final = 20
MOST_JUDGED: Final = 1_000
_MOST_AT_ONCE: Final = 50  # traces that are judged together


@dataclass(frozen=True, slots=True)
class Wanted:
    """The traces to list.

    Attributes:
        limit: Maximum number of traces.
        filter: Conditions on their spans.
        is_failed: Only traces that failed, or whose verdict is a fault.
        fault: Only traces with this verdict, a key of `flash_otel.semconv.FAULTS`.
        most_judged: Traces that are judged in search of those with a verdict.
    """

    limit: int = DEFAULT_LIMIT
    filter: TraceFilter = ALL
    is_failed: bool = False
    fault: str | None = None
    most_judged: int = MOST_JUDGED

    @property
    def is_narrow(self) -> bool:
        """Whether there are conditions other than the time."""
        asked = self.filter
        return bool(asked.environment or asked.app or asked.where) or self.asks_for_verdict

    @property
    def asks_for_verdict(self) -> bool:
        """Whether traces must be judged to know which are wanted."""
        return self.is_failed or self.fault is not None

    def has_verdict(self, entry: TraceEntry) -> bool:
        """Return whether an entry's verdict is a wanted one."""
        if self.is_failed and not entry.is_failed:
            return False
        return self.fault in (None, entry.verdict)


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of traces.

    Attributes:
        entries: The traces, the newest first.
        judged: Number of traces that were judged.
        is_cut: Whether the search for a verdict ended at `Wanted.most_judged`, so that older
            traces may have it as well.
    """

    entries: tuple[TraceEntry, ...] = ()
    judged: int = 0
    is_cut: bool = False


def list_traces(
    store: SpanStore,
    spans: RecordedSpans,
    wanted: Wanted | None = None,
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Listing:
    """List the traces of a store with their verdicts, the newest first.

    Args:
        store: The store.
        spans: Its spans, as a diagnosis looks them up (`diagnosis.recorded.local_spans`); of other
            sources, the same records with their places.
        wanted: The traces to list; by default, the newest ones.
        limits: Assumptions of the diagnosis, such as whether a deployment still runs.
        progress: Called with the number of listed traces and their maximum, now and then.

    Raises:
        StoreError: The store cannot be read.
    """
    wanted, limits = wanted or Wanted(), limits or Limits()
    found: list[TraceEntry] = []
    judged = 0
    summaries = store.matching_traces(wanted.filter)
    at_once = _MOST_AT_ONCE if wanted.asks_for_verdict else min(wanted.limit, _MOST_AT_ONCE)
    while batch := list(islice(summaries, at_once)):
        for entry in entries_of(store, spans, batch, limits):
            if judged == wanted.most_judged:
                return Listing(tuple(found), judged, is_cut=True)
            judged += 1
            found += [entry] if wanted.has_verdict(entry) else []
            if len(found) == wanted.limit:
                return Listing(tuple(found), judged)
        if progress is not None:
            progress(len(found), wanted.limit)
    return Listing(tuple(found), judged)


def entries_of(
    store: SpanStore, spans: RecordedSpans, summaries: list[TraceSummary], limits: Limits
) -> Iterator[TraceEntry]:
    """Yield the entries of traces, which are judged on their common evidence.

    Args:
        store: The store.
        spans: Its spans, as for `list_traces`.
        summaries: The traces.
        limits: Assumptions of the diagnosis.
    """
    questions = [Question(**_question(summary)) for summary in summaries]
    diagnoses = diagnose_each(spans, questions, limits)
    for summary, diagnosis in zip(summaries, diagnoses, strict=True):
        yield entry_of(store, spans, summary, limits, diagnosis)


def entry_of(
    store: SpanStore,
    spans: RecordedSpans,
    summary: TraceSummary,
    limits: Limits,
    diagnosis: Diagnosis | None = None,
) -> TraceEntry:
    """Return the entry of a trace.

    Args:
        store: The store.
        spans: Its spans, as for `list_traces`.
        summary: The trace.
        limits: Assumptions of the diagnosis.
        diagnosis: The trace's diagnosis, if it is known already.
    """
    diagnosis = diagnosis or diagnosis_of(spans, summary, limits)
    entry = _judged(_entry(summary), diagnosis, is_rebuilt=summary.rebuilt, limits=limits)
    if entry.environment_id and not (entry.environment_name and entry.app_name):
        # A worker's read knows the id of its environment, but rarely the names.
        name, app = spans.names_of(entry.environment_id)
        entry = replace(
            entry,
            environment_name=entry.environment_name or name,
            app_name=entry.app_name or app,
        )
    return replace(entry, short_id=store.short_trace_id(summary.trace_id))


def diagnosis_of(spans: RecordedSpans, summary: TraceSummary, limits: Limits) -> Diagnosis:
    """Return the diagnosis of a trace, whose verdict is that of its entry.

    Args:
        spans: The spans, as for `list_traces`.
        summary: The trace.
        limits: Assumptions of the diagnosis.
    """
    return diagnose(spans, **_question(summary), limits=limits)


def _question(summary: TraceSummary) -> dict[str, Any]:
    """Return what to ask about a trace: lines know no trace, but their build or environment."""
    if summary.rebuilt and summary.build_id:
        return {"build_id": summary.build_id}
    if summary.rebuilt and (environment := summary.environment_id or summary.environment_name):
        return {"environment": environment}
    return {"trace_id": summary.trace_id}


def _entry(summary: TraceSummary) -> TraceEntry:
    """Return the entry of a trace of which no deployment is known."""
    return TraceEntry(
        trace_id=summary.trace_id,
        short_id=summary.trace_id,
        kind=KINDS.get(summary.root_name, OTHER_KIND),
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
        is_unread=False,
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


def _judged(
    entry: TraceEntry, diagnosis: Diagnosis, *, is_rebuilt: bool, limits: Limits
) -> TraceEntry:
    if diagnosis.is_unmatched:
        return entry
    judged = diagnosis.judged[0]
    finding = judged.decisive
    entry = replace(
        entry,
        verdict=diagnosis.verdict,
        confidence=finding.confidence if finding else None,
        sentence=finding.sentence if finding else "",
    )
    deployment = judged.deployment
    is_own = is_rebuilt and entry.root_name in semconv.DEPLOY_SIDE
    if not is_own and entry.trace_id not in deployment.trace_ids:
        return entry
    return _of_deployment(replace(entry, is_unread=judged.is_unread), deployment, limits)


def _of_deployment(entry: TraceEntry, deployment: Deployment, limits: Limits) -> TraceEntry:
    root, step = deployment.root, failed_step(deployment)
    result = deployment.outcome
    if result == words.UNFINISHED and limits.is_running(deployment):
        result = RUNNING
    return replace(
        entry,
        kind=KINDS[semconv.DEPLOY],
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
