"""A deployment with its reads and calls: the plain data that every fault function looks at."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from flash_otel import failures, semconv
from flash_otel.diagnosis import matching, order
from flash_otel.diagnosis.deployments import failed_step, is_of_provisioning
from flash_otel.diagnosis.evidence import HOLDS, UNFINISHED, UNKNOWN, Deployment, EndpointSet
from flash_otel.flash_versions import reads_manifests, writes_manifests

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flash_otel.diagnosis.evidence import Evidence, RemoteCall, RuntimeFetch, SpanFact, Step

# What became of the upload.
RETURNED: Final = "returned"
LOST: Final = "lost"  # its answer, or its end: it may have taken effect
NEVER: Final = "never"
OPEN: Final = "open"  # the deployment still runs
UNSEEN: Final = "unseen"
NOT_DUE: Final = "not due"  # this version of Flash uploads no manifest

CACHE_S: Final = 300.0
"""How long a worker keeps its endpoint registry (`DEFAULT_CACHE_TTL`, all versions), in seconds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Assumptions where the evidence leaves gaps.

    Attributes:
        skew_s: Greatest difference between clocks of different machines, in seconds.
        silence_s: Seconds without an end after which a deployment counts as dead. Flash waits
            600 s for provisioning (`reconcile_and_provision_resources`).
        rollout_s: Longest duration of a rolling release, in seconds.
        rollback_s: Seconds after an activation that a deliberate rollback takes at least.
        now_ns: The present, in nanoseconds since the epoch.
        is_running: Whether a deployment's process still runs; None if unknown.
    """

    skew_s: float = order.ASSUMED_SKEW_S
    silence_s: float = 900.0
    rollout_s: float = 600.0
    rollback_s: float = 300.0
    now_ns: int = field(default_factory=time.time_ns)
    is_running: Callable[[Deployment], bool | None] = lambda _: None


@dataclass(frozen=True, slots=True)
class ReadVerdict:
    """The faults that a read allows.

    Attributes:
        codes: A single code is proved, several are candidates, none means that the read is fine.
        reason: The contents of the response, in words.
        confidence: Confidence in a single code.
        others: Of a likely code, less likely ones in the same place with the same remedy.
    """

    codes: tuple[str, ...] = ()
    reason: str = ""
    confidence: str = order.CERTAIN
    others: tuple[str, ...] = ()


FINE: Final = ReadVerdict()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A deployment, or none, with the reads and calls that have to do with it.

    Attributes:
        deployment: The deployment to judge; an empty one if none was recorded.
        is_recorded: A deployment was recorded.
        evidence: Everything that was recorded.
        index: The same, by ids.
        limits: Assumptions.
        reads: Reads of this deployment, oldest first.
        calls: Calls of this deployment, oldest first.
        offsets: Relation of each reading or calling process's clock to the deployment's.
        has_ended: The deployment is over: it ended, or it was silent for too long.
        failed_step: The step that made the deployment fail, or None.
        expected: The endpoints that the deployment wrote or, without an upload, provisioned.
        own_answers: Reads that were answered with the deployment's own build.
        whole_reads: Reads that hold everything that the deployment wrote.
        is_write_seen: Some answer shows that the write took effect, in whole or in part.
        is_rewritten: A worker wrote the manifest as well (Flash 1.0 to 1.2).
        read_verdicts: What each read proves, in the order of the reads.
    """

    deployment: Deployment
    is_recorded: bool
    evidence: Evidence
    index: matching.EvidenceIndex
    limits: Limits
    reads: tuple[RuntimeFetch, ...]
    calls: tuple[RemoteCall, ...]
    offsets: Mapping[str, order.Offset]
    has_ended: bool
    failed_step: Step | None
    expected: EndpointSet
    own_answers: tuple[RuntimeFetch, ...] = ()
    whole_reads: tuple[RuntimeFetch, ...] = ()
    is_write_seen: bool = False
    is_rewritten: bool = False
    read_verdicts: tuple[tuple[RuntimeFetch, ReadVerdict], ...] = ()

    @property
    def reads_manifests(self) -> bool | None:
        """Whether calls in the deployment's workers read the State Manager; None if unknown."""
        return reads_manifests(self.deployment.process.flash_version)

    @property
    def writes_manifest(self) -> bool:
        """Whether the deployment's Flash uploads a manifest after the activation."""
        return writes_manifests(self.deployment.process.flash_version)

    @property
    def is_whole_proven(self) -> bool:
        """Some read holds the whole write, so it is stored."""
        return bool(self.whole_reads)

    def offset(self, fact: SpanFact) -> order.Offset:
        """Return how the clock of a worker's fact relates to the deployment's."""
        return self.offsets[fact.process.instance]

    def phase(self, read: RuntimeFetch) -> str | None:
        """Return the phase of the active manifest's carrier, if this deployment wrote it."""
        return read.active.phase if read.active.deployment_id in self.deployment.aliases else None

    def comparison(self, read: RuntimeFetch) -> str:
        """Compare a response that names the deployment's build with the write."""
        compared = self.expected_of(read).compared_with(read.endpoints, read.held)
        return UNKNOWN if compared == HOLDS and self._lacks_urls(read) else compared

    def _lacks_urls(self, read: RuntimeFetch) -> bool:
        """Return True if a read's URLs cannot be compared: the log of the write lacks them."""
        upload = self.deployment.upload
        is_in_lines = upload is not None and upload.by_lines
        return is_in_lines and bool(read.endpoints.digest) and self.expected.digest is None

    def expected_of(self, read: RuntimeFetch) -> EndpointSet:
        """Return the written endpoints, from the deployment or else the manifest's carrier."""
        if self.expected.count is None and read.active.endpoint_count is not None:
            return EndpointSet(count=read.active.endpoint_count)
        return self.expected


def case_of(
    deployment: Deployment | None, evidence: Evidence, index: matching.EvidenceIndex, limits: Limits
) -> Case:
    """Put together what has to do with a deployment; the verdicts on its reads come later.

    Args:
        deployment: The deployment, or None to look at reads and calls without one.
        evidence: Everything that was recorded.
        index: The index of `evidence`.
        limits: Assumptions.
    """
    judged = deployment or Deployment(id="")
    processes = {fact.process.instance: fact.process for fact in (*evidence.reads, *evidence.calls)}
    offsets = {
        instance: order.offset(process, judged, index.reads_by(instance), limits.skew_s)
        for instance, process in processes.items()
    }
    matcher = matching.DeploymentMatcher(judged, evidence, index, offsets)
    is_recorded = deployment is not None
    reads = tuple(read for read in evidence.reads if not is_recorded or matcher.of_read(read))
    instances = frozenset(read.process.instance for read in reads)
    case = Case(
        deployment=judged,
        is_recorded=is_recorded,
        evidence=evidence,
        index=index,
        limits=limits,
        reads=reads,
        calls=tuple(
            call for call in evidence.calls if not is_recorded or matcher.of_call(call, instances)
        ),
        offsets=offsets,
        has_ended=_has_ended(judged, limits),
        failed_step=failed_step(judged),
        expected=_expected(judged),
        own_answers=_own_answers(judged, evidence, reads),
        is_rewritten=any(
            upload.build_id in (None, judged.build_id) for upload in evidence.worker_uploads
        ),
    )
    whole = tuple(read for read in case.own_answers if case.comparison(read) == HOLDS)
    is_write_seen = bool(whole) or any(
        read.held or case.phase(read) == semconv.PHASE_WRITE for read in case.own_answers
    )
    return replace(case, whole_reads=whole, is_write_seen=is_write_seen)


def _has_ended(deployment: Deployment, limits: Limits) -> bool:
    if deployment.outcome != UNFINISHED:
        return True
    running = limits.is_running(deployment)
    if running is not None:
        return not running
    last_ns = max((step.end_ns or step.start_ns or 0 for step in deployment.steps), default=0)
    return limits.now_ns - last_ns > limits.silence_s * 1e9


def _expected(deployment: Deployment) -> EndpointSet:
    for written in (deployment.upload, deployment.provisioning):
        if written and written.endpoints.count is not None:
            return written.endpoints
    return EndpointSet()


def _own_answers(
    deployment: Deployment, evidence: Evidence, reads: tuple[RuntimeFetch, ...]
) -> tuple[RuntimeFetch, ...]:
    """Return the reads that were answered with the deployment's own build."""
    # Lines without a build may be of any deployment. Without endpoints they count as evidence
    # against this one, if no other line names another build; they never clear it.
    is_only = is_only_build(deployment, evidence)
    return tuple(
        read
        for read in reads
        if (is_only and read.by_lines and read.build_id is None and read.held == 0)
        or (
            read.build_id is not None
            and read.build_id == deployment.build_id
            and matching.asks_for_deployed(deployment, read)
        )
    )


def is_only_build(deployment: Deployment, evidence: Evidence) -> bool:
    """Return True if no read in a log names another build than the deployment's."""
    named = {read.build_id for read in evidence.reads if read.in_log} - {None}
    return named <= {deployment.build_id}


# --- the upload -----------------------------------------------------------------------------------


_ENDED: Final = {semconv.RETURNED: RETURNED, semconv.FAILED: NEVER}


def upload_state(case: Case) -> str:
    """Return what became of the deployment's manifest upload."""
    upload = case.deployment.upload
    if upload is not None and upload.outcome in _ENDED:
        return _ENDED[upload.outcome]
    if upload is not None and (case.has_ended or case.deployment.by_lines):
        return LOST
    if not case.writes_manifest:
        return NOT_DUE
    if case.deployment.root is None:  # an upload may have happened without being recorded
        return UNSEEN
    if not case.has_ended:
        return OPEN
    # A deployment cannot return without an upload: if none is recorded, it was not traced.
    untraced = case.deployment.outcome == semconv.RETURNED or _may_be_of_upload(case)
    return UNSEEN if untraced else NEVER


def _may_be_of_upload(case: Case) -> bool:
    """Return True if the deployment may have failed in an upload whose span was lost."""
    step = case.failed_step
    if step is None or step.failure is None or step.name not in (semconv.PROVISION, semconv.DEPLOY):
        return False
    is_own = step.failure.kind == failures.OTHER or step.is_interrupted
    return not is_own and not is_of_provisioning(step)


def persisted_count(case: Case) -> int | None:
    """Return how many of the sent endpoints the server reported as stored.

    None if it reported nothing, if nothing was sent, and if a read holds the whole write.
    """
    upload = case.deployment.upload
    if upload is None or not upload.endpoints.count or case.is_whole_proven:
        return None
    return upload.persisted_count


def delay_s(case: Case, read: RuntimeFetch) -> float | None:
    """Return the seconds from the upload's end to a read, None unless one clock measured both."""
    upload = case.deployment.upload
    if upload is None or upload.end_ns is None or read.asked_ns is None:
        return None
    return (read.asked_ns - upload.end_ns) / 1e9 if case.offset(read).exact else None
