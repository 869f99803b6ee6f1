"""Cases as the faults look at them: a recording, or facts that were put together by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from diagnosis.recordings import NOW_NS

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, collect
from flash_otel.diagnosis.case import case_of
from flash_otel.diagnosis.evidence import (
    Activation,
    Deployment,
    EndpointSet,
    Evidence,
    ManifestUpload,
    Origin,
    ProcessIdentity,
    Step,
)
from flash_otel.diagnosis.matching import EvidenceIndex
from flash_otel.diagnosis.read_verdicts import read_verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flash_otel.diagnosis.case import Case, ReadVerdict
    from flash_otel.diagnosis.evidence import RuntimeFetch
    from flash_otel.diagnosis.findings import Finding
    from flash_otel.records import SpanRecord

LIMITS: Final = Limits(now_ns=NOW_NS)
S: Final = 1_000_000_000
CLI: Final = ProcessIdentity("cli", host="laptop", flash_version=(1, 14, 0))


def place(line: int, file: str = "a.log", *, rebuilt: bool = False) -> Origin:
    """Return a place in a log."""
    return Origin(file=file, line=line, rebuilt=rebuilt)


TWO: Final = EndpointSet(2, ("gpu", "web"), ("https://gpu", "https://web"), "digest")
ROOT: Final = Step(name=sc.DEPLOY, origin=place(3), process=CLI)
ACTIVATION: Final = Activation(origin=place(1), process=CLI, build_id="b-1", end_ns=3 * S)
UPLOAD: Final = ManifestUpload(
    origin=place(2), process=CLI, start_ns=5 * S, end_ns=6 * S, endpoints=TWO
)
DEPLOYED: Final = Deployment(
    id="d-1",
    aliases=frozenset({"d-1"}),
    app_name="shop",
    build_id="b-1",
    environment_id="e-1",
    environment_name="production",
    root=ROOT,
    activation=ACTIVATION,
    upload=UPLOAD,
    process=CLI,
    start_ns=S,
    end_ns=7 * S,
    outcome=sc.RETURNED,
)
"""A deployment of two endpoints that returned, whose clock is the laptop's."""


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
