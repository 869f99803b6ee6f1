"""`diagnose`: from records to a verdict with its evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.case import Case, Limits
from flash_otel.diagnosis.checks import Check, Match, checks, matches, representative
from flash_otel.diagnosis.choosing import Chosen, choose, narrowed
from flash_otel.diagnosis.collecting import collect
from flash_otel.diagnosis.faults import FAULTS
from flash_otel.diagnosis.timeline import Moment, timeline, window_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flash_otel.diagnosis.evidence import Deployment, Evidence, Readback
    from flash_otel.diagnosis.faults import Fault
    from flash_otel.diagnosis.findings import Finding
    from flash_otel.records import SpanRecord

RANK: Final = {code: rank for rank, code in enumerate(FAULTS)}


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
    """

    verdict: str
    findings: tuple[Finding, ...]
    judged: tuple[Judged, ...]
    missing: tuple[str, ...] = ()
    command: str = ""
    others: int = 0


def diagnose(
    records: Iterable[SpanRecord],
    *,
    environment: str | None = None,
    build_id: str | None = None,
    trace_id: str | None = None,
    limits: Limits | None = None,
    readbacks: Iterable[Readback] = (),
    faults: Mapping[str, Fault] = FAULTS,
) -> Diagnosis:
    """Name the fault that the records show, with its evidence; or say that there is none.

    Args:
        records: Spans of any source or of several, in any order.
        environment: Id or name of the environment that is asked about.
        build_id: Build that is asked about, or its first characters.
        trace_id: Trace that is asked about, or its first digits.
        limits: What is taken for granted, such as the skew of clocks.
        readbacks: What was read back from the State Manager.
        faults: The fault table.
    """
    evidence = collect(records, readbacks)
    asked = {"environment": environment, "build_id": build_id, "trace_id": trace_id}
    chosen = choose(evidence, **asked)
    if any(asked.values()) and not chosen.deployments:
        evidence = narrowed(evidence, **asked)
    return diagnose_evidence(evidence, chosen, limits or Limits(), faults)


def diagnose_evidence(
    evidence: Evidence, chosen: Chosen, limits: Limits, faults: Mapping[str, Fault] = FAULTS
) -> Diagnosis:
    """Judge the chosen deployments on the evidence."""
    judged = [_judge(Case(one, evidence, limits), faults) for one in chosen.deployments or (None,)]
    judged.sort(key=_gravest)
    worst = judged[0]
    findings = _of_all(judged, worst.verdict)
    said = next((one for one in worst.findings if one.code == worst.verdict), None)
    return Diagnosis(
        verdict=worst.verdict,
        findings=findings,
        judged=tuple(judged),
        missing=said.missing if said else (),
        command=said.command if said else "",
        others=chosen.others,
    )


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
