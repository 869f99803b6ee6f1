"""The verdict on the comparisons and on the recorded deployment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.evidence import Origin
from flash_otel.diagnosis.faults import FAULTS
from flash_otel.diagnosis.findings import Exhibit, Finding, count
from flash_otel.diagnosis.order import CERTAIN
from flash_otel.flash_versions import READS_FROM, reads_manifests, release
from flash_otel.verify.checks import FAIL, Comparison, Subject, compare
from flash_otel.verify.snapshot import ORIGIN, owner_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flash_otel.records import SpanRecord
    from flash_otel.verify.snapshot import Snapshot

_RANK: Final = {code: rank for rank, code in enumerate(FAULTS)}
_ONLY_PROOF: Final = "It is the only proof there is for workers that read no manifest."


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of `verify`.

    Attributes:
        subject: What was compared.
        checks: All comparisons.
        findings: The faults, most severe first; a single finding `none` if there are none.
        notes: Remarks for people.
        flash_version: Version of the installed Flash; empty if unknown.
        was_recorded: Whether a recorded deployment was diagnosed, too.
    """

    subject: Subject
    checks: tuple[Comparison, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    flash_version: str = ""
    was_recorded: bool = False

    @property
    def verdict(self) -> str:
        """The code of the most severe fault, else of the first finding."""
        faults = (finding.code for finding in self.findings if finding.is_fault)
        return next(faults, next((finding.code for finding in self.findings), sc.INCONCLUSIVE))

    @property
    def is_faulty(self) -> bool:
        """Whether something is wrong, even if its cause is inconclusive."""
        failed = any(check.result == FAIL for check in self.checks)
        return failed or any(finding.is_fault for finding in self.findings)


def judge(
    subject: Subject, recorded: Sequence[SpanRecord] = (), flash_version: str = ""
) -> Verification:
    """Judge a snapshot.

    Args:
        subject: What to compare.
        recorded: The recorded write paths to the environment.
        flash_version: Version of the installed Flash; empty if unknown.
    """
    checks = compare(subject)
    compared = [check.finding for check in checks if check.finding is not None]
    diagnosed = _diagnosed(subject.snapshot, recorded)
    findings = sorted(_merged(compared, diagnosed), key=lambda finding: _RANK[finding.code])
    return Verification(
        subject,
        checks,
        tuple(_with_remedies(findings)) or (_no_fault(subject, flash_version),),
        tuple(_notes(subject, recorded, flash_version)),
        flash_version,
        bool(recorded),
    )


def _diagnosed(snapshot: Snapshot, recorded: Sequence[SpanRecord]) -> list[Finding]:
    """Diagnose the recorded deployments together with the snapshot."""
    if not recorded or _is_superseded(snapshot, recorded):
        return []
    diagnosis = diagnose(
        [*recorded, snapshot.record],
        environment=snapshot.environment.id,
        # This machine's clock stamped the store's deployments and the snapshot.
        limits=Limits(skew_s=0.0),
    )
    doubts = [
        finding
        for finding in diagnosis.findings
        if finding.code == sc.INCONCLUSIVE and finding.candidates
    ]
    faults = [finding for finding in diagnosis.findings if finding.is_fault]
    return [*(_weighed(snapshot, recorded, fault) for fault in faults), *doubts]


def _weighed(snapshot: Snapshot, recorded: Iterable[SpanRecord], finding: Finding) -> Finding:
    """Make a fault inconclusive if a single snapshot fits another cause as well."""
    if finding.confidence == CERTAIN:
        return finding
    if finding.code == sc.READ_INCOMPLETE and not snapshot.endpoints:
        return replace(
            finding,
            code=sc.INCONCLUSIVE,
            candidates=(sc.READ_INCOMPLETE, sc.MANIFEST_NOT_PERSISTED),
            missing=("a read that holds the write, or the State Manager's own log",),
        )
    active = snapshot.environment.active_build_id
    if finding.code != sc.STALE_BUILD or active is None or active in _builds(recorded):
        return finding
    return replace(
        finding,
        code=sc.INCONCLUSIVE,
        sentence=f"{finding.sentence} A deployment that is not recorded here may have made it.",
        candidates=(sc.STALE_BUILD,),
        missing=(f"which deployment made build {active}",),
    )


def _builds(recorded: Iterable[SpanRecord]) -> set[str]:
    return {
        str(record.attributes[sc.BUILD_ID])
        for record in recorded
        if sc.BUILD_ID in record.attributes
    }


def _is_superseded(snapshot: Snapshot, recorded: Iterable[SpanRecord]) -> bool:
    """Return whether the active build is newer than all recorded ones, by the server's clock."""
    created: Mapping[str | None, str] = {build.id: build.created for build in snapshot.builds}
    latest = max(["", *(created.get(build, "") for build in _builds(recorded))])
    when = created.get(snapshot.environment.active_build_id, "")
    # ISO 8601 timestamps of one server compare as text, and a missing one as the earliest.
    return "" < latest < when


def _merged(compared: list[Finding], diagnosed: list[Finding]) -> list[Finding]:
    """Merge findings: those of the diagnosis explain those of the comparisons.

    A fault that the comparisons leave open replaces the diagnosis's own doubts, and causes hide
    their consequences.
    """
    named = {finding.code for finding in diagnosed if finding.is_fault}
    left = [
        finding
        for finding in compared
        if finding.code not in named and not {*finding.candidates} & named
    ]
    if any(finding.code == sc.INCONCLUSIVE for finding in left):
        diagnosed = [finding for finding in diagnosed if finding.code != sc.INCONCLUSIVE]
    merged = [*diagnosed, *left]
    hidden = {code for finding in merged for code in FAULTS[finding.code].hides}
    return [finding for finding in dict.fromkeys(merged) if finding.code not in hidden]


def _with_remedies(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Add the remedies of the fault table where a finding has none."""
    for finding in findings:
        fault = FAULTS[finding.code]
        yield replace(
            finding,
            remedy_deployer=finding.remedy_deployer or fault.deployer,
            remedy_maintainer=finding.remedy_maintainer or fault.maintainer,
        )


def _no_fault(subject: Subject, flash_version: str) -> Finding:
    snapshot = subject.snapshot
    listed = snapshot.environment.endpoints
    text = f"build {snapshot.environment.active_build_id} is active in {subject.place}"
    # An answer without a list of endpoints does not show which exist.
    if snapshot.has_mapping:
        held = len(snapshot.endpoints)
        exist = ", which exists" if held == 1 else ", all of which exist"
        text += f", and its manifest holds {count(held, 'endpoint')}"
        text += exist if listed is not None else ""
    elif listed is not None:
        text += f", which has {count(len(listed), 'endpoint')}"
    proof = "" if reads_manifests(release(flash_version)) is not False else " " + _ONLY_PROOF
    sentence = f"{text[:1].upper()}{text[1:]}.{proof}"
    return Finding(sc.NONE, sentence, (Exhibit(Origin(file=ORIGIN), text),))


def _notes(subject: Subject, recorded: Sequence[SpanRecord], flash_version: str) -> Iterable[str]:
    snapshot = subject.snapshot
    version = release(flash_version)
    if reads_manifests(version) is False:
        yield f"Calls in workers of Flash {flash_version} read no manifest: {_instead(version)}"
    if recorded and _is_superseded(snapshot, recorded):
        yield (
            "The active build was made after the last recorded deployment, by a deployment that "
            "is not recorded here: the record was left out."
        )
    if not recorded:
        yield (
            "No deployment to this environment is recorded here: only its present state was read."
        )
    stray = _stray(snapshot)
    if stray:
        yield f"The environment has endpoints that the manifest does not name: {', '.join(stray)}."


def _instead(version: tuple[int, ...]) -> str:
    """Describe how calls find their endpoint in versions whose workers read no manifest."""
    if version < READS_FROM:
        return "a remote function that one of them calls runs in its own process."
    return (
        "Runpod resolves their calls by app, environment and endpoint name. No worker's log can "
        "prove this deployment; this snapshot can. `--call` asks one endpoint, too."
    )


def _stray(snapshot: Snapshot) -> list[str]:
    listed = snapshot.environment.endpoints or ()
    owners = [owner_of(url, listed) for url in snapshot.endpoints.values()]
    return [endpoint.name for endpoint in listed if owners and endpoint not in owners]
