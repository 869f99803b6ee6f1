"""What stands above a trace: the verdict, what was deployed where, and what its workers got.

Only values, computed from a diagnosis and the spans; terminal, page and JSON render them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis.evidence import UNFINISHED
from flash_otel.diagnosis.findings import NOTES, Finding, count
from flash_otel.diagnosis.worker_reads import FINE, WorkerReads
from flash_otel.flash_versions import dotted
from flash_otel.report import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flash_otel.diagnosis.evidence import Deployment
    from flash_otel.diagnosis.judge import Diagnosis, Judged
    from flash_otel.records import SpanRecord

RUNNING: Final = "the deployment is running"
# That a deployment failed is known, though no fault may explain it.
_ENDED: Final = {
    semconv.FAILED: "the deployment failed",
    semconv.CANCELLED: "the deployment was cancelled",
}
_OF_WORKERS: Final = frozenset({semconv.RUNTIME_FETCH, semconv.MANIFEST_FETCH, semconv.CALL})


@dataclass(frozen=True, slots=True)
class Mark:
    """A span that is evidence of a finding.

    Attributes:
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        code: The finding's code.
        says: What the span shows.
        shows_fault: The fault is visible on this span; otherwise it is evidence beside it.
    """

    trace_id: str
    span_id: str
    code: str
    says: str
    shows_fault: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """The verdict on a deployment, and what is known of it; None or empty if unknown.

    Attributes:
        verdict: A key of `flash_otel.semconv.FAULTS`.
        title: The verdict in words.
        sentence: The finding, with the concrete ids and names.
        confidence: certain, likely or possible.
        is_fault: The verdict names a fault.
        remedy: What the person who deploys can do about a fault.
        command: The next command to run.
        missing: Evidence that would decide.
        notes: Findings that are no faults, in words.
        deployment_id: Its id, or a substitute.
        trace_id: Its trace; None if it was rebuilt from bracketed lines.
        environment_id: The environment that was deployed to.
        build_id: The build that was deployed.
        endpoint_count: The number of endpoints that it wrote.
        outcome: returned, failed, cancelled, unknown, or unfinished.
        is_running: The deployment's process still runs.
        started_ns: Start of the deployment, in nanoseconds since the epoch.
        duration_ns: Duration of the deployment, in nanoseconds.
        flash_version: Version of runpod-flash.
        worker_reads: What its workers got.
        trace_count: The number of its trace and of those of its workers.
        marks: The spans that are evidence, those of the gravest finding first.
    """

    verdict: str
    title: str
    sentence: str = ""
    confidence: str = "certain"
    is_fault: bool = False
    remedy: str = ""
    command: str = ""
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    deployment_id: str = ""
    trace_id: str | None = None
    app_name: str | None = None
    environment_name: str | None = None
    environment_id: str | None = None
    build_id: str | None = None
    endpoint_count: int | None = None
    outcome: str | None = None
    is_running: bool = False
    started_ns: int | None = None
    duration_ns: int | None = None
    flash_version: str | None = None
    worker_reads: WorkerReads = field(default_factory=WorkerReads)
    trace_count: int = 0
    marks: tuple[Mark, ...] = ()

    @property
    def has_ended_badly(self) -> bool:
        """Whether the title describes how the deployment ended, because no fault explains it."""
        return self.title in _ENDED.values()

    @property
    def label(self) -> str:
        """The verdict as people read it, where the title does not say the same already."""
        label = words.verdict(self.verdict)
        return "" if self.title in {label, RUNNING} else label


def overview_of(
    judged: Judged,
    records: Sequence[SpanRecord],
    is_running: Callable[[Deployment], bool | None] = lambda _: None,
) -> Overview:
    """Return the overview of a deployment.

    Args:
        judged: What a diagnosis found about it.
        records: The spans of the deployment and of its workers.
        is_running: Whether a deployment's process still runs; None if unknown.
    """
    deployment = judged.deployment
    runs = deployment.outcome == UNFINISHED and bool(is_running(deployment))
    finding = judged.decisive or Finding(judged.verdict, "")
    return Overview(
        verdict=judged.verdict,
        title=RUNNING if runs and not finding.is_fault else _title(judged),
        sentence=finding.sentence,
        confidence=finding.confidence,
        is_fault=finding.is_fault,
        remedy=finding.remedy_deployer if finding.is_fault else "",
        command=finding.command,
        missing=finding.missing,
        notes=tuple(known.sentence for known in judged.findings if known.code in NOTES),
        deployment_id=deployment.id,
        trace_id=_trace_id(deployment),
        app_name=deployment.app_name,
        environment_name=deployment.environment_name,
        environment_id=deployment.environment_id,
        build_id=deployment.build_id,
        endpoint_count=deployment.upload.endpoints.count if deployment.upload else None,
        outcome=deployment.outcome if deployment.id else None,
        is_running=runs,
        started_ns=deployment.start_ns,
        duration_ns=_duration_ns(deployment),
        flash_version=dotted(deployment.process.flash_version) or None,
        worker_reads=judged.worker_reads,
        trace_count=judged.trace_count,
        marks=tuple(_marks(judged.findings, records)),
    )


def verdict_label(judged: Judged) -> str:
    """Return the verdict as people read it, without any doubt."""
    return words.NO_READ if judged.is_unread else words.verdict(judged.verdict)


def diagnosis_label(diagnosis: Diagnosis) -> str:
    """Return the verdict of a diagnosis as people read it."""
    first = next(iter(diagnosis.judged), None)
    if first is None or first.verdict != diagnosis.verdict:
        return words.verdict(diagnosis.verdict)
    return verdict_label(first)


def _title(judged: Judged) -> str:
    if judged.verdict == semconv.INCONCLUSIVE:
        return _ENDED.get(judged.deployment.outcome) or verdict_label(judged)
    if judged.verdict == semconv.NONE:
        return words.NO_FAULT
    return semconv.FAULTS[judged.verdict].removesuffix(".")


def _trace_id(deployment: Deployment) -> str | None:
    if deployment.root is not None and not deployment.root.origin.rebuilt:
        return deployment.root.origin.trace_id
    return None if deployment.by_lines else min(deployment.trace_ids, default=None)


def _duration_ns(deployment: Deployment) -> int | None:
    if deployment.start_ns is None or deployment.end_ns is None:
        return None
    return deployment.end_ns - deployment.start_ns


def _marks(findings: Sequence[Finding], records: Sequence[SpanRecord]) -> Iterator[Mark]:
    spans = {record.key: record for record in records}
    for finding in findings:
        if finding.code == semconv.NONE:
            continue
        keys = [(exhibit.origin.trace_id, exhibit.origin.span_id) for exhibit in finding.evidence]
        guilty = _guilty([spans[key] for key in keys if key in spans]) if finding.is_fault else ()
        for key, exhibit in zip(keys, finding.evidence, strict=True):
            yield Mark(*key, finding.code, exhibit.says, key in guilty)


def _guilty(evidence: Sequence[SpanRecord]) -> set[tuple[str, str]]:
    """Return the spans on which a fault is visible; the others are there to be compared with."""
    of_workers = [record for record in evidence if record.name in _OF_WORKERS]
    failed = [record for record in evidence if words.outcome(record) != semconv.RETURNED]
    return {record.key for record in of_workers or failed or evidence}


def traces_around(
    trace_id: str,
    judged: Judged | None,
    linking: Iterable[SpanRecord],
    joined: Iterable[str] = (),
) -> list[str]:
    """Return the traces to show together, the most important first.

    Args:
        trace_id: The trace that was asked for, which comes first.
        judged: What a diagnosis found about its deployment, whose evidence may lie in other traces.
        linking: Spans of other traces that link to it.
        joined: Traces on the other sides of its jobs.
    """
    findings = judged.findings if judged else ()
    around = [
        trace_id,
        *joined,
        *(exhibit.origin.trace_id for finding in findings for exhibit in finding.evidence),
        *(judged.trace_ids if judged else ()),
        *(record.trace_id for record in linking),
    ]
    return list(dict.fromkeys(filter(None, around)))


def readers_line(overview: Overview) -> str:
    """Describe in one line what happened to the readers of the deployment; empty if unknown."""
    reads = overview.worker_reads
    if not overview.deployment_id:
        return ""
    if reads.count:
        return f"{_readers(reads)}{_calls(reads)}"
    if reads.reads_manifests is False:
        version = f" of Flash {overview.flash_version}" if overview.flash_version else ""
        return f"calls in workers{version} read no manifest{_calls(reads)}"
    return f"no worker's read is recorded{_calls(reads)}"


def _readers(reads: WorkerReads) -> str:
    noun = "worker" if reads.is_by_worker else "read"
    verb = " read it" if reads.is_by_worker else " of it"
    if len(reads.results) == 1 and (reads.count == 1 or reads.results[0].says == FINE):
        results = ("all " if reads.count > 1 else "") + reads.results[0].says
    else:
        results = ", ".join(f"{result.count} {result.says}" for result in reads.results)
    return f"{count(reads.count, noun)}{verb}: {results}"


def _calls(reads: WorkerReads) -> str:
    if not reads.calls:
        return ""
    failed = f", {reads.failed_calls} failed" if reads.failed_calls else ""
    return f"; {count(reads.calls, 'remote call')}{failed}"
