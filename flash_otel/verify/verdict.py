"""From the comparisons and the recorded deployment to one verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.case import READS_FROM, READS_UNTIL
from flash_otel.diagnosis.evidence import Origin
from flash_otel.diagnosis.faults import FAULTS
from flash_otel.diagnosis.findings import Exhibit, Finding, count
from flash_otel.diagnosis.order import CERTAIN
from flash_otel.verify.checks import FAIL, Check, Subject, compare
from flash_otel.verify.snapshot import ORIGIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flash_otel.records import SpanRecord
    from flash_otel.verify.snapshot import Reading

RANK: Final = {code: rank for rank, code in enumerate(FAULTS)}


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer.

    Attributes:
        subject: What was compared.
        checks: Every comparison.
        findings: What is wrong, the gravest first; one of code `none` if nothing is.
        notes: What a person should know beside it.
        flash_version: Version of the installed Flash; empty if unknown.
        was_recorded: Whether a recorded deployment took part.
    """

    subject: Subject
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    flash_version: str = ""
    was_recorded: bool = False

    @property
    def verdict(self) -> str:
        """The code that says it in one word."""
        named = (one.code for one in self.findings if one.is_fault)
        return next(named, next((one.code for one in self.findings), sc.INCONCLUSIVE))

    @property
    def is_faulty(self) -> bool:
        """Something is wrong, whether or not its cause could be told."""
        failed = any(check.result == FAIL for check in self.checks)
        return failed or any(one.is_fault for one in self.findings)


def judge(
    subject: Subject, recorded: Sequence[SpanRecord] = (), flash_version: str = ""
) -> Verification:
    """Judge what was read back.

    Args:
        subject: What to compare.
        recorded: The recorded write paths to the environment, if there are any.
        flash_version: Version of the installed Flash.
    """
    checks = compare(subject)
    own = [check.finding for check in checks if check.finding is not None]
    told = _of_recorded(subject.reading, recorded)
    findings = sorted(_joined(own, told), key=lambda one: RANK[one.code])
    return Verification(
        subject,
        checks,
        tuple(_completed(findings)) or (_sound(subject, flash_version),),
        tuple(_notes(subject, recorded, flash_version)),
        flash_version,
        bool(recorded),
    )


def _of_recorded(reading: Reading, recorded: Sequence[SpanRecord]) -> list[Finding]:
    """Diagnose the recorded deployment together with what was read back."""
    if not recorded or _is_superseded(reading, recorded):
        return []
    # The store's deployments and this reading share this machine's clock.
    said = diagnose(
        [*recorded, reading.record],
        environment=reading.environment.id,
        limits=Limits(skew_s=0.0),
    )
    doubts = [one for one in said.findings if one.code == sc.INCONCLUSIVE and one.candidates]
    faults = [_weighed(reading, recorded, one) for one in said.findings if one.is_fault]
    return [*faults, *doubts]


def _weighed(reading: Reading, recorded: Iterable[SpanRecord], finding: Finding) -> Finding:
    """Doubt what one reading alone cannot tell from something else: accuse nobody falsely."""
    if finding.confidence == CERTAIN:
        return finding
    if finding.code == sc.READ_INCOMPLETE and not reading.held:
        return replace(
            finding,
            code=sc.INCONCLUSIVE,
            candidates=(sc.READ_INCOMPLETE, sc.MANIFEST_NOT_PERSISTED),
            missing=("a read that holds the write, or the State Manager's own log",),
        )
    active = reading.environment.active_build_id
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
    return {str(one.attributes[sc.BUILD_ID]) for one in recorded if sc.BUILD_ID in one.attributes}


def _is_superseded(reading: Reading, recorded: Iterable[SpanRecord]) -> bool:
    """Tell whether the active build was made after every recorded one, by the server's time."""
    created = {one.id: one.created for one in reading.builds}
    builds = _builds(recorded)
    active = reading.environment.active_build_id or ""
    known = [created[one] for one in builds if created.get(one)]
    when = created.get(active, "")
    return bool(when and known) and active not in builds and when > max(known)


def _joined(own: list[Finding], told: list[Finding]) -> list[Finding]:
    """Let the record's findings explain this reading's own, and causes hide consequences."""
    named = {one.code for one in told if one.is_fault}
    left = [one for one in own if one.code not in named and not {*one.candidates} & named]
    if any(one.code == sc.INCONCLUSIVE for one in left):
        told = [one for one in told if one.code != sc.INCONCLUSIVE]
    both = [*told, *left]
    hidden = {code for one in both for code in FAULTS[one.code].hides}
    return [one for one in dict.fromkeys(both) if one.code not in hidden]


def _completed(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Add the fault table's remedies to the findings that have none."""
    for one in findings:
        fault = FAULTS[one.code]
        yield replace(
            one,
            remedy_deployer=one.remedy_deployer or fault.deployer,
            remedy_maintainer=one.remedy_maintainer or fault.maintainer,
        )


def _sound(subject: Subject, flash_version: str) -> Finding:
    """Say what was proven, where nothing is wrong."""
    reading = subject.reading
    build, held = reading.environment.active_build_id, len(reading.held)
    says = (
        f"build {build} is active in {subject.place}, and its manifest holds "
        f"{count(held, 'endpoint')}, all of which exist"
    )
    proof = "" if reads_manifests(flash_version) is not False else " " + _UNREAD
    sentence = f"{says[:1].upper()}{says[1:]}.{proof}"
    return Finding(sc.NONE, sentence, (Exhibit(Origin(file=ORIGIN), says),))


_UNREAD: Final = "It is the only proof there is for workers that read no manifest."


def reads_manifests(flash_version: str) -> bool | None:
    """Tell whether workers of a version of Flash read the manifest; None if it is unknown."""
    version = release(flash_version)
    return READS_FROM <= version < READS_UNTIL if version else None


def release(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with."""
    numbers = []
    for part in version.split(".")[:2]:
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _notes(subject: Subject, recorded: Sequence[SpanRecord], flash_version: str) -> Iterable[str]:
    reading = subject.reading
    if reads_manifests(flash_version) is False:
        yield f"Workers of Flash {flash_version} read no manifest: {_instead(flash_version)}"
    if recorded and _is_superseded(reading, recorded):
        yield (
            "The active build was made after the last recorded deployment, by a deployment that "
            "is not recorded here: the record was left out."
        )
    if not recorded:
        yield "No deployment to this environment is recorded here: only now was read."
    stray = _stray(reading)
    if stray:
        yield f"The environment has endpoints that the manifest does not name: {', '.join(stray)}."


def _instead(flash_version: str) -> str:
    """Say what workers that read no manifest do instead."""
    if release(flash_version) < READS_FROM:
        return "a remote function that one of them calls runs in its own process."
    return (
        "Runpod resolves their calls by app, environment and endpoint name. No worker's log can "
        "prove this deployment; this reading can. `--call` asks one endpoint, too."
    )


def _stray(reading: Reading) -> list[str]:
    if not reading.held:
        return []
    urls = " ".join(reading.held.values())
    return [one.name for one in reading.environment.endpoints or () if one.id not in urls]
