"""A verification, for people: the verdict first, then every comparison, then what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.report import words
from flash_otel.report.layout import Line, Part, print_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from flash_otel.diagnosis.findings import Finding
    from flash_otel.verify.checks import Check
    from flash_otel.verify.verdict import Verification

_MARKS: Final = {
    "pass": ("PASS", "green"),
    "fail": ("FAIL", "bold red"),
    "unknown": ("  ? ", "yellow"),
}
_COLOURS: Final = {semconv.NONE: "green", semconv.INCONCLUSIVE: "yellow"}


def render_verification(verification: Verification, console: Console) -> None:
    """Print a verification."""
    print_lines(verification_lines(verification), console)


def verification_lines(verification: Verification) -> list[Line]:
    """Return the lines of a verification; nothing is cut."""
    return [
        *_headings(verification),
        (),
        *_identity(verification),
        (),
        *(_check(check) for check in verification.checks),
        *_advice(verification),
        *_notes(verification),
        *_more(verification),
    ]


def _headings(verification: Verification) -> Iterator[Line]:
    for finding in verification.findings:
        colour = _COLOURS.get(finding.code, "bold red")
        if finding.code == semconv.INCONCLUSIVE and verification.is_faulty:
            colour = "bold red"
        sure = "" if finding.confidence == "certain" else f" ({finding.confidence})"
        yield (Part(f"{finding.code}{sure}: ", colour), Part(words.clean(finding.sentence)))
        if finding.candidates:
            either = " or ".join(finding.candidates)
            yield (Part(f"  This is {either}: the reading alone cannot tell which.", "yellow"),)


def _identity(verification: Verification) -> Iterator[Line]:
    reading = verification.subject.reading
    environment = reading.environment
    rows = (
        ("app", reading.app.name),
        ("environment", f"{environment.name} ({environment.id})"),
        ("active build", environment.active_build_id or "none"),
        ("flash", verification.flash_version or "unknown"),
    )
    for name, value in rows:
        yield (Part(f"{name:<13}", "bold"), Part(words.clean(value)))


def _check(check: Check) -> Line:
    mark, colour = _MARKS[check.result]
    return (Part("  "), Part(mark, colour), Part(f"  {words.clean(check.says)}"))


def _advice(verification: Verification) -> Iterator[Line]:
    shown: set[str] = set()
    for finding in _wrong(verification):
        if finding.remedy_deployer not in shown:
            shown.add(finding.remedy_deployer)
            yield ()
            yield (Part("What to do: ", "bold"), Part(finding.remedy_deployer))
            yield (Part("In Flash:   ", "bold"), Part(finding.remedy_maintainer))


def _wrong(verification: Verification) -> list[Finding]:
    return [
        one for one in verification.findings if one.code not in (semconv.NONE, semconv.INCONCLUSIVE)
    ]


def _notes(verification: Verification) -> Iterator[Line]:
    for note in verification.notes:
        yield ()
        yield (Part("Note: ", "bold"), Part(words.clean(note)))


def _more(verification: Verification) -> Iterator[Line]:
    environment = verification.subject.reading.environment
    commands = [one.command for one in verification.findings if one.command]
    if verification.was_recorded:
        commands.insert(0, f"flash-otel diagnose --env {environment.id}")
    if commands:
        yield ()
        yield (Part("More: ", "bold"), Part(words.clean(commands[0])))
