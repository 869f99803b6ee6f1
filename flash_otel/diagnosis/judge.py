"""Judge deployments one after the other, and sum up the verdicts as one diagnosis."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.case import Case, Limits, case_of
from flash_otel.diagnosis.deployments import recency_key
from flash_otel.diagnosis.environments import Environments
from flash_otel.diagnosis.faults import FAULTS
from flash_otel.diagnosis.faults.verdicts import A_READBACK, placed, verify_command
from flash_otel.diagnosis.matching import EvidenceIndex
from flash_otel.diagnosis.picture import Picture, picture_of
from flash_otel.diagnosis.read_verdicts import read_verdicts
from flash_otel.diagnosis.tables import (
    Match,
    Moment,
    PhaseCheck,
    matches,
    phase_checks,
    representative,
    timeline,
    window_s,
)
from flash_otel.diagnosis.worker_reads import WorkerReads, worker_reads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from flash_otel.diagnosis.choose import Unmatched
    from flash_otel.diagnosis.evidence import Deployment, Evidence
    from flash_otel.diagnosis.faults import Fault
    from flash_otel.diagnosis.findings import Finding

RANK: Final = {code: rank for rank, code in enumerate(FAULTS)}
MOST_JUDGED: Final = 200
"""Deployments whose results are kept in full; of the others, only the verdicts are counted."""

MOST_TRACES: Final = 40
"""Traces of one deployment that are named."""

_WITHOUT_FAULT: Final = (sc.NONE, sc.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class Judged:
    """The results for one deployment.

    Attributes:
        deployment: The deployment, without an id if none was recorded.
        matches: The id matching table.
        checks: The guide's PASS/FAIL list.
        timeline: Both phases in the order of time.
        window_s: The activation window in seconds; None if it was not measured.
        findings: What was found, the gravest first.
        failed_before: The attempts that failed directly before the deployment, oldest first.
        worker_reads: What the workers got that read the deployment.
        trace_ids: The traces of the deployment, its reads and its calls; at most `MOST_TRACES`.
        trace_count: The number of all of these traces.
        picture: Both phases beside the State Manager's state; None without a recorded deployment.
    """

    deployment: Deployment
    matches: tuple[Match, ...]
    checks: tuple[PhaseCheck, ...]
    timeline: tuple[Moment, ...]
    window_s: float | None
    findings: tuple[Finding, ...]
    failed_before: tuple[Deployment, ...] = ()
    worker_reads: WorkerReads = field(default_factory=WorkerReads)
    trace_ids: tuple[str, ...] = ()
    trace_count: int = 0
    picture: Picture | None = None

    @property
    def decisive(self) -> Finding | None:
        """The finding that the verdict comes from: the first fault, or else one without."""
        return _decisive(self.findings)

    @property
    def verdict(self) -> str:
        """The code of the first fault, or else of the verdict without a fault."""
        return self.decisive.code if self.decisive else sc.INCONCLUSIVE

    @property
    def is_unread(self) -> bool:
        """Whether a worker's read would decide, and nothing suggests a fault so far."""
        finding = self.decisive
        if finding is None or finding.code != sc.INCONCLUSIVE:
            return False
        has_written = self.deployment.activation is not None and self.deployment.upload is not None
        is_open = not finding.candidates and not finding.evidence
        return has_written and is_open and self.worker_reads.count == 0


def _decisive(findings: Sequence[Finding]) -> Finding | None:
    faults = (finding for finding in findings if finding.is_fault)
    others = (finding for finding in findings if finding.code in _WITHOUT_FAULT)
    return next(faults, next(others, None))


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of a diagnosis.

    Attributes:
        verdict: A key of `flash_otel.semconv.FAULTS`.
        findings: Of all judged deployments, the gravest first; verdicts without a fault are left
            out beside a fault.
        judged: The deployments that were judged, the one with the verdict first.
        missing: Evidence that would decide.
        command: The next command to run; empty if there is none.
        others: Number of other environments with recorded deployments.
        left_out: Number of judged deployments that are not in `judged`, by verdict.
        unmatched: What was asked for and no recording holds, unless all of it is recorded and
            only its combination is not.
        is_unmatched: Nothing that was recorded matches the question.
    """

    verdict: str
    findings: tuple[Finding, ...]
    judged: tuple[Judged, ...]
    missing: tuple[str, ...] = ()
    command: str = ""
    others: int = 0
    left_out: tuple[tuple[str, int], ...] = ()
    unmatched: tuple[Unmatched, ...] = ()
    is_unmatched: bool = False


@dataclass
class Judge:
    """Judges any number of deployments in flat memory, as only the gravest results are kept.

    Attributes:
        limits: Assumptions.
        faults: The fault table.
    """

    limits: Limits = field(default_factory=Limits)
    faults: Mapping[str, Fault] = field(default_factory=lambda: FAULTS)
    _judged: list[Judged] = field(default_factory=list)
    _left_out: Counter[str] = field(default_factory=Counter)

    def judge(self, evidence: Evidence, deployments: Iterable[Deployment | None]) -> None:
        """Judge deployments on the evidence; None stands for evidence without a deployment."""
        self.add(self.results(evidence, deployments))

    def results(
        self, evidence: Evidence, deployments: Iterable[Deployment | None]
    ) -> Iterator[Judged]:
        """Yield the results for deployments, without keeping them."""
        index, environments = EvidenceIndex(evidence), Environments(evidence)
        for deployment in deployments:
            case = case_of(deployment, evidence, index, self.limits)
            case = replace(case, read_verdicts=read_verdicts(case))
            judged = _judged(case, self.faults)
            if deployment is not None:
                failed = tuple(environments.failed_before(deployment))
                judged = replace(judged, failed_before=failed)
            yield judged

    def add(self, results: Iterable[Judged]) -> None:
        """Keep results for the diagnosis."""
        self._judged += results
        if len(self._judged) > 2 * MOST_JUDGED:
            self._shorten()

    @property
    def has_judged(self) -> bool:
        """Whether anything was judged, without which there is no diagnosis."""
        return bool(self._judged)

    def diagnosis(self, others: int = 0) -> Diagnosis:
        """Sum up everything that was judged.

        Args:
            others: Number of other environments with recorded deployments.
        """
        self._shorten()
        worst = self._judged[0]
        decisive = worst.decisive
        return Diagnosis(
            verdict=worst.verdict,
            findings=_summary(self._judged, worst.verdict),
            judged=tuple(self._judged),
            missing=decisive.missing if decisive else (),
            command=decisive.command if decisive else "",
            others=others,
            left_out=tuple(sorted(self._left_out.items(), key=lambda item: RANK[item[0]])),
        )

    def _shorten(self) -> None:
        # Of equally grave results, the newest deployment comes first, in whatever order they came.
        self._judged.sort(key=lambda judged: recency_key(judged.deployment), reverse=True)
        self._judged.sort(key=_gravity)
        self._left_out.update(judged.verdict for judged in self._judged[MOST_JUDGED:])
        del self._judged[MOST_JUDGED:]


def _summary(judged: list[Judged], verdict: str) -> tuple[Finding, ...]:
    """Return the distinct findings of all deployments, the gravest first."""
    milder = {*_WITHOUT_FAULT} - {verdict}
    findings = dict.fromkeys(finding for each in judged for finding in each.findings)
    kept = (finding for finding in findings if finding.code not in milder)
    return tuple(sorted(kept, key=lambda finding: RANK[finding.code]))


def _gravity(judged: Judged) -> tuple[bool, bool, int]:
    """Order results: faults, then inconclusive ones, then sound ones."""
    verdict = judged.verdict
    return (verdict == sc.NONE, verdict == sc.INCONCLUSIVE, RANK[verdict])


def _judged(case: Case, faults: Mapping[str, Fault]) -> Judged:
    findings = tuple(_findings(case, faults))
    named = frozenset(exhibit.origin for finding in findings for exhibit in finding.evidence)
    read = representative(case, named)
    traces = _trace_ids(case)
    return Judged(
        deployment=case.deployment,
        matches=matches(case, read),
        checks=phase_checks(case, read),
        timeline=timeline(case),
        window_s=window_s(case),
        findings=findings,
        worker_reads=worker_reads(case),
        trace_ids=tuple(islice(traces, MOST_TRACES)),
        trace_count=len(traces),
        picture=picture_of(case, _decisive(findings)),
    )


def _trace_ids(case: Case) -> dict[str, None]:
    # Spans that were rebuilt from lines have traces, too, though their ids are made up.
    own = (*traces_of(case.deployment), *sorted(case.deployment.trace_ids))
    of_workers = (fact.origin.trace_id for fact in (*case.reads, *case.calls))
    return dict.fromkeys(chain(own, of_workers))


def traces_of(deployment: Deployment) -> tuple[str, ...]:
    """Return the traces that hold the steps of a deployment, that of its root first."""
    steps = sorted(deployment.steps, key=lambda step: step.name != sc.DEPLOY)
    return tuple(dict.fromkeys(step.origin.trace_id for step in steps))


def _findings(case: Case, faults: Mapping[str, Fault]) -> list[Finding]:
    found = [
        _completed(case, fault, finding)
        for code, fault in faults.items()
        if code not in _WITHOUT_FAULT
        for finding in fault.find(case)
    ]
    hidden = {code for finding in found for code in faults[finding.code].hides}
    shown = [finding for finding in found if finding.code not in hidden]
    if not any(finding.is_fault for finding in shown):
        shown += [
            _completed(case, faults[code], finding)
            for code in _WITHOUT_FAULT
            if code in faults
            for finding in faults[code].find(case)
        ]
    return shown


def _completed(case: Case, fault: Fault, finding: Finding) -> Finding:
    is_open = finding.is_fault and bool(finding.candidates)
    return replace(
        finding,
        missing=(placed(case, A_READBACK),) if is_open else finding.missing,
        command=verify_command(case) if is_open else finding.command,
        deployment_id=case.deployment.id,
        remedy_deployer=finding.remedy_deployer or fault.deployer,
        remedy_maintainer=fault.maintainer,
    )
