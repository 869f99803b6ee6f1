"""The judgement of deployments, one by one, and the answer that they make together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.case import Case, Limits
from flash_otel.diagnosis.checks import Check, Match, checks, matches, representative
from flash_otel.diagnosis.faults import FAULTS
from flash_otel.diagnosis.timeline import Moment, timeline, window_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flash_otel.diagnosis.evidence import Deployment, Evidence
    from flash_otel.diagnosis.faults import Fault
    from flash_otel.diagnosis.findings import Finding

RANK: Final = {code: rank for rank, code in enumerate(FAULTS)}
MOST_JUDGED: Final = 200
"""Deployments of which the whole judgement is kept; of the others, the verdict is counted."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One deployment as it was judged.

    Attributes:
        deployment: The deployment; one without id where none was recorded.
        matches: The id matching table.
        checks: The guide's PASS/FAIL list.
        timeline: Both phases in the order of time.
        window_s: The activation window, in seconds; None if it was not measured.
        findings: What was found, the gravest first.
    """

    deployment: Deployment
    matches: tuple[Match, ...]
    checks: tuple[Check, ...]
    timeline: tuple[Moment, ...]
    window_s: float | None
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """The code that says it in one word."""
        named = (one.code for one in self.findings if one.is_fault)
        said = (one.code for one in self.findings if one.code in (sc.NONE, sc.INCONCLUSIVE))
        return next(named, next(said, sc.INCONCLUSIVE))


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The answer.

    Attributes:
        verdict: A key of `flash_otel.semconv.FAULTS`.
        findings: Of all judged deployments, the gravest first; doubts only if nothing is named.
        judged: The deployments that were judged, the one with the verdict first.
        missing: What evidence would tell more.
        command: The next command to run; empty if there is none.
        others: How many other environments have recorded deployments.
        left_out: Of very many judged deployments, how many more there are of each verdict.
    """

    verdict: str
    findings: tuple[Finding, ...]
    judged: tuple[Judged, ...]
    missing: tuple[str, ...] = ()
    command: str = ""
    others: int = 0
    left_out: tuple[tuple[str, int], ...] = ()


@dataclass
class Answer:
    """Judges deployments and keeps the gravest, so that any number can be judged.

    Attributes:
        limits: What is taken for granted.
        faults: The fault table.
    """

    limits: Limits = field(default_factory=Limits)
    faults: Mapping[str, Fault] = field(default_factory=lambda: FAULTS)
    _judged: list[Judged] = field(default_factory=list)
    _left_out: Counter[str] = field(default_factory=Counter)

    def judge(self, evidence: Evidence, deployments: Iterable[Deployment | None]) -> None:
        """Judge deployments on the evidence; None stands for evidence without a deployment."""
        self._judged += [
            _judge(Case(one, evidence, self.limits), self.faults) for one in deployments
        ]
        if len(self._judged) > 2 * MOST_JUDGED:
            self._shorten()

    def diagnosis(self, others: int = 0) -> Diagnosis:
        """Return what all that was judged says together.

        Args:
            others: How many other environments have recorded deployments.
        """
        self._shorten()
        worst = self._judged[0]
        said = next((one for one in worst.findings if one.code == worst.verdict), None)
        return Diagnosis(
            verdict=worst.verdict,
            findings=_of_all(self._judged, worst.verdict),
            judged=tuple(self._judged),
            missing=said.missing if said else (),
            command=said.command if said else "",
            others=others,
            left_out=tuple(sorted(self._left_out.items(), key=lambda one: RANK[one[0]])),
        )

    def _shorten(self) -> None:
        self._judged.sort(key=_gravest)
        self._left_out.update(one.verdict for one in self._judged[MOST_JUDGED:])
        del self._judged[MOST_JUDGED:]


def _of_all(judged: list[Judged], verdict: str) -> tuple[Finding, ...]:
    """Return the findings of all, the gravest first; beside a fault, no doubt and no praise."""
    milder = {sc.NONE, sc.INCONCLUSIVE} - {verdict}
    found = dict.fromkeys(one for each in judged for one in each.findings)
    return tuple(
        sorted((one for one in found if one.code not in milder), key=lambda one: RANK[one.code])
    )


def _gravest(judged: Judged) -> tuple[int, int]:
    """Order what was judged: faults, then what could not be told, then what is sound."""
    order = {sc.NONE: 2, sc.INCONCLUSIVE: 1}
    return (order.get(judged.verdict, 0), RANK[judged.verdict])


def _judge(case: Case, faults: Mapping[str, Fault]) -> Judged:
    findings = tuple(_find(case, faults))
    named = frozenset(one.origin for found in findings for one in found.evidence)
    read = representative(case, named)
    return Judged(
        deployment=case.deployment,
        matches=matches(case, read),
        checks=checks(case, read),
        timeline=timeline(case),
        window_s=window_s(case),
        findings=findings,
    )


def _find(case: Case, faults: Mapping[str, Fault]) -> list[Finding]:
    verdicts = (sc.NONE, sc.INCONCLUSIVE)
    found = [
        _completed(case, faults, one)
        for code, fault in faults.items()
        if code not in verdicts
        for one in fault.find(case)
    ]
    hidden = {code for one in found for code in faults[one.code].hides}
    shown = [one for one in found if one.code not in hidden]
    if not any(one.is_fault for one in shown):
        shown += [
            _completed(case, faults, one)
            for code in verdicts
            if code in faults
            for one in faults[code].find(case)
        ]
    return shown


def _completed(case: Case, faults: Mapping[str, Fault], finding: Finding) -> Finding:
    fault = faults[finding.code]
    return replace(
        finding,
        deployment_id=case.deployment.id,
        remedy_deployer=fault.deployer,
        remedy_maintainer=fault.maintainer,
    )
