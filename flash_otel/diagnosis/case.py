"""One deployment and what belongs to it: the question that every fault function is asked."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis import failures, manifest_diff, order
from flash_otel.diagnosis.active_build import asks_for_deployed, judge_build
from flash_otel.diagnosis.evidence import UNFINISHED, Deployment, Endpoints, Evidence
from flash_otel.diagnosis.matching import Belonging, Known
from flash_otel.diagnosis.read_verdicts import judge
from flash_otel.diagnosis.steps import culprit

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_otel.diagnosis.evidence import Call, Fact, RuntimeFetch, Step
    from flash_otel.diagnosis.read_verdicts import Judgement

READS_FROM: Final = (1, 2)
READS_UNTIL: Final = (1, 15)
"""Workers of these versions of Flash, the last excluded, read the State Manager."""

CACHE_S: Final = 300.0
"""How long a worker keeps its endpoint registry (`DEFAULT_CACHE_TTL`, all versions), in seconds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is taken for granted where the evidence does not tell.

    Attributes:
        skew_s: How far clocks of different machines differ at most, in seconds.
        silence_s: After how many seconds without an end a deployment counts as dead. Flash waits
            600 s for provisioning (`reconcile_and_provision_resources`).
        rollout_s: How many seconds a rolling release may take.
        now_ns: The present, in nanoseconds since the epoch.
        is_running: Tells whether a deployment's process still runs; None if nobody knows.
    """

    skew_s: float = order.ASSUMED_SKEW_S
    silence_s: float = 900.0
    rollout_s: float = 600.0
    now_ns: int = field(default_factory=time.time_ns)
    is_running: Callable[[Deployment], bool | None] = lambda _: None


class Case:
    """A deployment, or none, with the reads and calls that have to do with it.

    Attributes:
        deployment: The deployment that is judged; an empty one where none was recorded.
        evidence: Everything that was recorded.
        limits: What is taken for granted.
        known: What was recorded, to be looked up.
        reads: Reads that have to do with it, oldest first.
        calls: Calls that have to do with it, oldest first.
    """

    def __init__(self, deployment: Deployment | None, evidence: Evidence, limits: Limits) -> None:
        self.recorded = deployment is not None
        self.deployment = deployment or Deployment(id="")
        self.evidence = evidence
        self.limits = limits
        self._offsets: dict[str, order.Offset] = {}
        self.known = Known(evidence)
        belonging = Belonging(self.deployment, evidence, self.known, self.offset)
        own = [read for read in evidence.reads if belonging.of_read(read) or not self.recorded]
        self.reads: tuple[RuntimeFetch, ...] = tuple(own)
        instances = frozenset(read.process.instance for read in own)
        self.instances = instances
        self.calls: tuple[Call, ...] = tuple(
            call
            for call in evidence.calls
            if not self.recorded or belonging.of_call(call, instances)
        )

    def offset(self, fact: Fact) -> order.Offset:
        """Return how the clock of a worker's fact relates to the deployment's."""
        instance = fact.process.instance
        if instance not in self._offsets:
            self._offsets[instance] = order.offset(
                fact.process, self.deployment, self.known.reads_by(instance), self.limits.skew_s
            )
        return self._offsets[instance]

    @property
    def reads_manifests(self) -> bool | None:
        """Whether workers of the deployment's Flash read the State Manager; None if unknown."""
        version = self.deployment.process.flash_version[:2]
        return READS_FROM <= version < READS_UNTIL if version else None

    @cached_property
    def ended(self) -> bool:
        """The deployment is over: it ended, or it has been silent for longer than Flash can be."""
        deployment = self.deployment
        if deployment.outcome != UNFINISHED:
            return True
        running = self.limits.is_running(deployment)
        if running is not None:
            return not running
        last = max((one.end_ns or one.start_ns or 0 for one in deployment.steps), default=0)
        return self.limits.now_ns - last > self.limits.silence_s * 1e9

    @cached_property
    def expected(self) -> Endpoints:
        """The endpoints that the deployment wrote or, if it did not come so far, provisioned."""
        deployment = self.deployment
        if deployment.upload and deployment.upload.endpoints.count is not None:
            return deployment.upload.endpoints
        if deployment.provisioning and deployment.provisioning.endpoints.count is not None:
            return deployment.provisioning.endpoints
        return Endpoints()

    @cached_property
    def own_answers(self) -> tuple[RuntimeFetch, ...]:
        """Reads that were answered with the deployment's own build."""
        return tuple(read for read in self.reads if self._is_own(read))

    def _is_own(self, read: RuntimeFetch) -> bool:
        if read.build_id is None:
            # Lines of a log that was cut may name no build: they belong to what they came with.
            return read.by_lines and read.held is not None
        return read.build_id == self.deployment.build_id and asks_for_deployed(self, read)

    @cached_property
    def judgements(self) -> tuple[tuple[RuntimeFetch, Judgement], ...]:
        """What each read proves, in the order of the reads."""
        own = frozenset(read.origin for read in self.own_answers)
        return tuple(
            (read, judge(self, read) if read.origin in own else judge_build(self, read))
            for read in self.reads
        )

    @cached_property
    def culprit(self) -> Step | None:
        """The step that made the deployment fail, or None."""
        return culprit(self.deployment)

    @cached_property
    def whole_reads(self) -> tuple[RuntimeFetch, ...]:
        """Reads that hold all that the deployment wrote."""
        return tuple(read for read in self.own_answers if self.lack(read) == manifest_diff.HOLDS)

    @cached_property
    def is_whole_proven(self) -> bool:
        """Somebody read the whole write back, so that it is stored."""
        back = self.evidence.readbacks
        answers = (one for one in back if one.build_id == self.deployment.build_id)
        return bool(self.whole_reads) or any(
            manifest_diff.lack(self.expected, one.endpoints, one.endpoints.count)
            == manifest_diff.HOLDS
            for one in answers
        )

    @cached_property
    def is_write_seen(self) -> bool:
        """Some answer shows that the write took effect, whole or not."""
        return self.is_whole_proven or any(
            read.held or self.phase(read) == semconv.PHASE_WRITE for read in self.own_answers
        )

    def is_unauthorized(self, step: Step) -> bool:
        """Tell whether a step failed for want of a valid API key.

        A 403 that is not GraphQL's speaks of the artifact's presigned URL, not of the key.
        """
        failure = step.failure
        if failure is None or failure.kind != failures.UNAUTHORIZED:
            return False
        return "403" not in failure.message or "GraphQL" in failure.message

    @cached_property
    def is_rewritten(self) -> bool:
        """A worker wrote the manifest as well (Flash 1.0 to 1.2): it is not the deployment's."""
        uploads = self.evidence.worker_uploads
        return any(one.build_id in (None, self.deployment.build_id) for one in uploads)

    def phase(self, read: RuntimeFetch) -> str | None:
        """Return the phase of the active manifest's carrier, if it is this deployment's."""
        return read.active.phase if read.active.deployment_id in self.deployment.aliases else None

    def lack(self, read: RuntimeFetch) -> str:
        """Tell what an answer with the deployment's build lacks of what was written."""
        return manifest_diff.lack(self.expected_of(read), read.endpoints, read.held)

    def expected_of(self, read: RuntimeFetch) -> Endpoints:
        """Return what was written, by the deployment's record or else by the manifest's carrier."""
        if self.expected.count is None and read.active.endpoint_count is not None:
            return Endpoints(count=read.active.endpoint_count)
        return self.expected
