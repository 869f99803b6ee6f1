"""Cases as the faults look at them: a recording, or facts that were put together by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from diagnosis.recordings import NOW_NS

from flash_otel.diagnosis import Limits, collect
from flash_otel.diagnosis.case import case_of
from flash_otel.diagnosis.evidence import Evidence
from flash_otel.diagnosis.matching import EvidenceIndex
from flash_otel.diagnosis.read_verdicts import read_verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flash_otel.diagnosis.case import Case, ReadVerdict
    from flash_otel.diagnosis.evidence import Deployment, RuntimeFetch
    from flash_otel.diagnosis.findings import Finding
    from flash_otel.records import SpanRecord

LIMITS: Final = Limits(now_ns=NOW_NS)


def case_in(evidence: Evidence, deployment: Deployment | None, limits: Limits = LIMITS) -> Case:
    """Return the case of a deployment, or of none, with the verdicts on its reads."""
    case = case_of(deployment, evidence, EvidenceIndex(evidence), limits)
    return replace(case, read_verdicts=read_verdicts(case))


def case_from(made: Iterable[SpanRecord], limits: Limits = LIMITS) -> Case:
    """Return the case of the latest deployment of a recording."""
    evidence = collect(made)
    return case_in(evidence, next(reversed(evidence.deployments), None), limits)


def beside(deployment: Deployment, *reads: RuntimeFetch) -> Case:
    """Return the case of a deployment with these reads."""
    return case_in(Evidence(deployments=(deployment,), reads=reads), deployment)


def with_verdicts(case: Case, *verdicts: ReadVerdict) -> Case:
    """Return a case whose reads, in their order, have these verdicts."""
    return replace(case, read_verdicts=tuple(zip(case.reads, verdicts, strict=True)))


def told(found: Iterable[Finding]) -> list[tuple[str, str, list[str]]]:
    """Return sentence, confidence and evidence of findings, each exhibit with its line."""
    return [
        (
            finding.sentence,
            finding.confidence,
            [f"{exhibit.origin.line}: {exhibit.says}" for exhibit in finding.evidence],
        )
        for finding in found
    ]
