"""The two verdicts that name no fault: all agrees, or the evidence cannot tell."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flash_otel import semconv as sc
from flash_otel.diagnosis import read_verdicts
from flash_otel.diagnosis.evidence import UNFINISHED
from flash_otel.diagnosis.findings import MOST_EXHIBITS, Exhibit, Finding, count, exhibits
from flash_otel.diagnosis.order import CERTAIN, LIKELY
from flash_otel.diagnosis.steps import what_failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Deployment

A_READ = "a worker's read: its container log, or its spans"
A_READBACK = "what the State Manager holds now"
A_DEPLOYMENT = "the deployment's own record: its spans, or its log"
A_SUCCESS = "a deployment that succeeds"


@dataclass(frozen=True, slots=True)
class Doubt:
    """One thing that the evidence cannot tell."""

    sentence: str
    missing: str
    candidates: tuple[str, ...] = ()
    evidence: tuple[Exhibit, ...] = ()


def none(case: Case) -> Iterator[Finding]:
    """Find that the deployment and every read of it agree."""
    if next(doubts(case), None) is not None:
        return
    deployment = case.deployment
    said = exhibits(
        (deployment.activation, f"build {deployment.build_id} was activated"),
        (deployment.upload, f"{count(case.expected.count, 'endpoint')} written"),
        *((one, f"read {one.held} endpoints") for one in case.whole_reads[:MOST_EXHIBITS]),
    )
    confidence = LIKELY if deployment.by_lines else CERTAIN
    proof = verify_command(case) if case.reads_manifests is False else ""
    yield Finding(sc.NONE, _agreement(case), said, confidence, command=proof)


def _agreement(case: Case) -> str:
    name, step = case.deployment.name, case.culprit
    if case.reads_manifests is False and not case.whole_reads:
        version = ".".join(map(str, case.deployment.process.flash_version))
        return (
            f"The deployment of {name} is clean. Workers of Flash {version} read nothing from the "
            "State Manager, so that there is no read to compare: `verify` is the proof."
        )
    if not case.whole_reads:
        return f"The deployment of {name} is clean, and its workers called only themselves."
    failed = f" Its own command did not succeed, though: {what_failed(step)}." if step else ""
    return (
        f"The deployment of {name} and {count(len(case.whole_reads), 'read')} of it agree on "
        f"{count(case.expected.count, 'endpoint')}.{failed}"
    )


def inconclusive(case: Case) -> Iterator[Finding]:
    """Say what could not be told, which evidence is missing, and how to get it."""
    found = list(doubts(case))
    if not found:
        return
    yield Finding(
        sc.INCONCLUSIVE,
        " ".join(dict.fromkeys(one.sentence for one in found)),
        tuple(one for doubt in found for one in doubt.evidence)[:MOST_EXHIBITS],
        candidates=tuple(dict.fromkeys(code for one in found for code in one.candidates)),
        missing=tuple(dict.fromkeys(one.missing for one in found)),
        command=verify_command(case),
    )


def doubts(case: Case) -> Iterator[Doubt]:
    """Yield whatever keeps the evidence from being told as a whole."""
    yield from _about_reads(case)
    if not case.recorded:
        yield _without_deployment(case)
        return
    yield from _about_deployment(case)
    if _lacks_a_read(case):
        what = "No worker's read of its endpoints" if case.reads else "No read of it by a worker"
        yield Doubt(f"{what} is recorded.", A_READ)


def _without_deployment(case: Case) -> Doubt:
    if case.evidence.empty:
        return Doubt("No deployment, read or call of this kind is recorded.", A_DEPLOYMENT)
    seen = f"{count(len(case.reads), 'read')} and {count(len(case.calls), 'call')}"
    return Doubt(f"Recorded: {seen}, but no deployment to compare them with.", A_DEPLOYMENT)


def _about_reads(case: Case) -> Iterator[Doubt]:
    told: dict[tuple[str, ...], Doubt] = {}
    for read, one in case.judgements:
        codes = tuple(code for code in one.codes if code != sc.INCONCLUSIVE)
        if len(one.codes) > 1 and codes not in told:
            or_not = " or no fault at all" if sc.INCONCLUSIVE in one.codes else ""
            sentence = f"A worker's read allows {' or '.join(codes)}{or_not}: {one.reason}."
            said = exhibits((read, f"read: {one.reason}"))
            told[codes] = Doubt(sentence, A_READBACK, codes, said)
    yield from told.values()


def _about_deployment(case: Case) -> Iterator[Doubt]:
    """Yield what is open about the deployment itself, unless a read holds the whole write."""
    if case.is_whole_proven:
        return
    deployment, step = case.deployment, case.culprit
    said = exhibits((step or deployment.root, what_failed(step) if step else "its start"))
    written = read_verdicts.upload_state(case)
    if deployment.outcome == UNFINISHED:
        codes = (sc.MANIFEST_NEVER_WRITTEN,) if deployment.activated else ()
        sentence = "The deployment has no recorded end: it still runs, or it was killed."
        yield Doubt(sentence, "the deployment's end", codes, said)
    elif step is not None:
        missing = A_READBACK if deployment.activation else A_SUCCESS
        yield Doubt(f"The deployment did not succeed: {what_failed(step)}.", missing, (), said)
    elif deployment.activation is None:
        yield Doubt("No activation of a build is recorded.", A_DEPLOYMENT)
    elif written == read_verdicts.UNSEEN:
        yield Doubt("No upload of its manifest is recorded.", A_DEPLOYMENT)
    elif written == read_verdicts.LOST:
        codes = (sc.MANIFEST_NEVER_WRITTEN,)
        yield Doubt("The answer to its manifest upload is not recorded.", A_READBACK, codes)


def _lacks_a_read(case: Case) -> bool:
    """Tell whether a read would be needed that is not there."""
    if case.is_whole_proven or case.reads_manifests is False:
        return False
    if any(one.codes for _, one in case.judgements):
        return False
    is_local = case.calls and all(call.route == sc.ROUTE_LOCAL for call in case.calls)
    return not is_local


def verify_command(case: Case) -> str:
    """Return the command that reads back what the State Manager holds now."""
    app = shlex.quote(case.deployment.app_name or "APP")
    return f"flash-otel verify --app {app} --env {shlex.quote(_environment(case.deployment))}"


def _environment(deployment: Deployment) -> str:
    return deployment.environment_name or deployment.environment_id or "ENV"
