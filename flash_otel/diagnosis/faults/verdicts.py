"""The verdicts without a fault: all evidence agrees, or it is inconclusive."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flash_otel import semconv as sc
from flash_otel.diagnosis.build_verdicts import is_later
from flash_otel.diagnosis.case import LOST, UNSEEN, is_only_build, upload_state
from flash_otel.diagnosis.evidence import UNFINISHED, UNKNOWN
from flash_otel.diagnosis.findings import (
    MOST_EXHIBITS,
    Exhibit,
    Finding,
    count,
    environment,
    exhibits,
    what_failed,
)
from flash_otel.diagnosis.matching import asks_for_deployed
from flash_otel.diagnosis.order import CERTAIN, LIKELY
from flash_otel.flash_versions import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import RuntimeFetch, SpanFact

# Evidence that would decide, about the place of the case.
A_READ = "a worker's read{of}: its container log, or its spans"
A_READBACK = "what the State Manager holds now{of}"
A_DEPLOYMENT = "the record of the deployment{to}: its spans, or its log"
A_SUCCESS = "a deployment{to} that succeeds"
THE_BEGINNING = "the log{of} from before the lines of this read"


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason why the evidence is inconclusive."""

    sentence: str
    missing: str
    candidates: tuple[str, ...] = ()
    evidence: tuple[Exhibit, ...] = ()


def none(case: Case) -> Iterator[Finding]:
    """Find that the deployment and every read of it agree."""
    if next(doubts(case), None) is not None:
        return
    deployment = case.deployment
    reads = case.whole_reads[:MOST_EXHIBITS]
    evidence = exhibits(
        (deployment.activation, _activated(case)),
        (deployment.upload, f"{count(case.expected.count, 'endpoint')} written"),
        *_saved(case),
        *((read, f"read {count(read.held, 'endpoint')}") for read in reads),
    )
    confidence = LIKELY if deployment.by_lines else CERTAIN
    is_unread = case.reads_manifests is False and not case.whole_reads
    proof = verify_command(case) if is_unread else ""
    yield Finding(sc.NONE, _agreement(case), evidence, confidence, command=proof)


def _saved(case: Case) -> Iterator[tuple[SpanFact | None, str]]:
    """Yield the step that ends a deployment which uploads no manifest."""
    if not case.writes_manifest:
        saved = f"{count(case.expected.count, 'endpoint')} saved with the build"
        yield case.deployment.provisioning, saved


def _activated(case: Case) -> str:
    activation = case.deployment.activation
    already = ", which was active already" if activation and activation.is_repeated else ""
    return f"build {case.deployment.build_id} was activated{already}"


def _agreement(case: Case) -> str:
    name, step = case.deployment.name, case.failed_step
    if case.reads_manifests is False and not case.whole_reads:
        version = dotted(case.deployment.process.flash_version)
        return (
            f"The deployment of {name} is clean. Calls in workers of Flash {version} read nothing "
            "from the State Manager, so there is no read to compare: `verify` is the proof."
        )
    if not case.whole_reads:
        return f"The deployment of {name} is clean, and its workers called only themselves."
    failed = f" Its own command did not succeed, though: {what_failed(step)}." if step else ""
    return (
        f"The deployment of {name} and {count(len(case.whole_reads), 'read')} of it agree on "
        f"{count(case.expected.count, 'endpoint')}.{failed}"
    )


def inconclusive(case: Case) -> Iterator[Finding]:
    """Name the doubts, the evidence that would decide, and the command that gets it."""
    found = list(doubts(case))
    if not found:
        return
    yield Finding(
        sc.INCONCLUSIVE,
        " ".join(dict.fromkeys(doubt.sentence for doubt in found)),
        tuple(exhibit for doubt in found for exhibit in doubt.evidence)[:MOST_EXHIBITS],
        candidates=tuple(dict.fromkeys(code for doubt in found for code in doubt.candidates)),
        missing=tuple(dict.fromkeys(placed(case, doubt.missing) for doubt in found)),
        command=verify_command(case),
    )


def doubts(case: Case) -> Iterator[Doubt]:
    """Yield the reasons why the evidence is inconclusive."""
    yield from _about_reads(case)
    if not case.is_recorded:
        yield _without_deployment(case)
        return
    yield from _about_deployment(case)
    if _lacks_a_read(case):
        yield _without_write(case) or _without_read(case)


def _without_deployment(case: Case) -> Doubt:
    if case.evidence.empty:
        return Doubt("No matching deployment, read or call is recorded.", A_DEPLOYMENT)
    seen = f"{count(len(case.reads), 'read')} and {count(len(case.calls), 'call')}"
    return Doubt(f"Recorded: {seen}, but no deployment to compare them with.", A_DEPLOYMENT)


def _about_reads(case: Case) -> Iterator[Doubt]:
    found: dict[tuple[str, ...], Doubt] = {}
    for read, verdict in case.read_verdicts:
        codes = tuple(code for code in verdict.codes if code != sc.INCONCLUSIVE)
        if len(verdict.codes) > 1 and codes not in found:
            or_not = " or no fault at all" if sc.INCONCLUSIVE in verdict.codes else ""
            either = "Either " if len(codes) == 2 and not or_not else ""  # noqa: PLR2004 - grammar
            sentence = f"{either}{' or '.join(codes)}{or_not}: {verdict.reason}."
            evidence = exhibits((read, f"read: {verdict.reason}"))
            found[codes] = Doubt(sentence, A_READBACK, codes, evidence)
    yield from found.values()
    yield from _about_loose_lines(case)


def _about_loose_lines(case: Case) -> Iterator[Doubt]:
    """Yield a doubt about lines of a read without a build that lack endpoints."""
    written = case.expected.count
    if written is None or not is_only_build(case.deployment, case.evidence):
        return
    for read in case.reads:
        if read.build_id is None and read.held is None and (read.loose_count or written) < written:
            shown = f"{read.loose_count} of {count(written, 'endpoint')}"
            sentence = f"Lines of a read whose build is not logged show {shown}."
            codes = (sc.ENDPOINTS_MISSING, sc.READ_INCOMPLETE)
            evidence = exhibits((read, f"read: {shown}, of an unknown build"))
            yield Doubt(sentence, THE_BEGINNING, codes, evidence)
            return


def _about_deployment(case: Case) -> Iterator[Doubt]:
    """Yield open questions about the deployment itself, unless a read holds the whole write."""
    if case.is_whole_proven:
        return
    deployment, step = case.deployment, case.failed_step
    evidence = exhibits((step or deployment.root, what_failed(step) if step else "its start"))
    state = upload_state(case)
    if deployment.outcome == UNFINISHED:
        is_due = deployment.activated and case.writes_manifest
        codes = (sc.MANIFEST_NEVER_WRITTEN,) if is_due else ()
        sentence = "The deployment has no recorded end: it still runs, or it was killed."
        yield Doubt(sentence, "the deployment's end", codes, evidence)
    elif step is not None:
        missing = A_READBACK if deployment.activation else A_SUCCESS
        yield Doubt(f"The deployment did not succeed: {what_failed(step)}.", missing, (), evidence)
    elif deployment.activation is None:
        yield Doubt("No activation of a build is recorded.", A_DEPLOYMENT)
    elif state == UNSEEN:
        yield Doubt("No upload of its manifest is recorded.", A_DEPLOYMENT)
    elif state == LOST:
        codes = (sc.MANIFEST_NEVER_WRITTEN,)
        yield Doubt("The answer to its manifest upload is not recorded.", A_READBACK, codes)


def _without_write(case: Case) -> Doubt | None:
    """Return the doubt of a read that holds endpoints, where the number written is unknown."""
    read = next((read for read in reversed(case.own_answers) if read.held), None)
    if read is None or case.comparison(read) != UNKNOWN:
        return None
    missing = "how many" if case.expected.count is None else "which URLs"
    sentence = (
        f"A worker read {count(read.held, 'endpoint')} of {case.deployment.name}, but {missing} "
        "were written is not recorded."
    )
    evidence = exhibits((read, f"read: {_answered(case, read)}"))
    return Doubt(sentence, A_DEPLOYMENT, (), evidence)


def _without_read(case: Case) -> Doubt:
    """Return a doubt about reads that miss the deployment: the tables show the same mismatch."""
    deployment = case.deployment
    named = [read for read in case.reads if read.build_id or read.environment_id]
    asking = [read for read in named if asks_for_deployed(deployment, read)]
    if case.own_answers or not named:
        return Doubt("No worker's read of its endpoints is recorded.", A_READ)
    read = (asking or named)[-1]
    evidence = exhibits((read, f"read: {_answered(case, read)}"))
    if not asking:
        deployed = environment(case, deployment.environment_id)
        sentence = (
            f"A worker asked for {environment(case, read.environment_id)}, not for {deployed}, "
            f"and nothing shows that it is a worker of {deployment.name}."
        )
        return Doubt(sentence, A_READ, (sc.ENVIRONMENT_MISMATCH,), evidence)
    if read.build_id is None:
        return Doubt("No worker's read of its endpoints is recorded.", A_READ, (), evidence)
    if not deployment.activated:
        return Doubt(f"Workers were answered with build {read.build_id}.", A_READ, (), evidence)
    if is_later(case, read):
        sentence = f"Build {read.build_id} is active, of a later deployment than {deployment.name}."
        return Doubt(sentence, A_DEPLOYMENT, (), evidence)
    sentence = (
        f"A worker was answered with build {read.build_id}, an older one than {deployment.name}: "
        "nothing shows whether it read before the activation or after it."
    )
    return Doubt(sentence, A_READ, (sc.STALE_BUILD,), evidence)


def _answered(case: Case, read: RuntimeFetch) -> str:
    if read.build_id is None:
        return f"asked for {environment(case, read.environment_id, is_short=False)}"
    return f"build {read.build_id}, {count(read.held, 'endpoint')}"


def _lacks_a_read(case: Case) -> bool:
    """Return True if a read is needed and none is recorded."""
    if case.is_whole_proven or case.reads_manifests is False:
        return False
    if any(verdict.codes for _, verdict in case.read_verdicts):
        return False
    is_local = case.calls and all(call.route == sc.ROUTE_LOCAL for call in case.calls)
    return not is_local


def placed(case: Case, missing: str) -> str:
    """Return missing evidence with the app and the environment that it is about."""
    app, name, environment_id = _target(case)
    both = f"{name} ({environment_id})" if name and environment_id else name or environment_id
    place = f"environment {both}" if both else ""
    if app:
        place = f"{place} in app {app}" if place else f"app {app}"
    for preposition in ("of", "to"):
        missing = missing.replace(f"{{{preposition}}}", place and f" {preposition} {place}")
    return missing


def verify_command(case: Case) -> str:
    """Return the command that shows the current state of the State Manager."""
    app, name, environment_id = _target(case)
    return verify_command_for(app, name or environment_id)


def verify_command_for(app: str | None, environment: str | None) -> str:
    """Return the command that checks an environment; capitals stand for unknown parts."""
    words = (shlex.quote(app or "APP"), shlex.quote(environment or "ENV"))
    return "flash-otel verify --app {} --env {}".format(*words)


def _target(case: Case) -> tuple[str | None, str | None, str | None]:
    """Return the app, and the name and the id of the environment that a case is about."""
    deployment = case.deployment
    environment_id, name = deployment.environment_id, deployment.environment_name
    if not case.is_recorded:
        asked = [read.environment_id for read in case.reads if read.environment_id]
        environment_id = asked[-1] if asked else None
    name = name or case.index.name_of(environment_id)
    app = deployment.app_name or case.index.app_of(environment_id, name)
    if app is None and not case.is_recorded:
        called = {call.app_name for call in case.calls if call.app_name}
        app = called.pop() if len(called) == 1 else None
    return app, name, None if environment_id == name else environment_id
