"""A verification on the terminal: the verdict, every comparison, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.report import words
from flash_otel.report.diagnosis import FAULT_STYLE, STYLES
from flash_otel.report.layout import Line, Part, print_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from flash_otel.verify.checks import Comparison
    from flash_otel.verify.verdict import Verification

_MARKS: Final = {
    "pass": ("PASS", "green"),
    "fail": ("FAIL", "bold red"),
    "unknown": ("  ? ", "yellow"),
}


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
        *_remedies(verification),
        *_notes(verification),
        *_next_command(verification),
    ]


def _headings(verification: Verification) -> Iterator[Line]:
    for finding in verification.findings:
        style = STYLES.get(finding.code, FAULT_STYLE)
        if finding.code == semconv.INCONCLUSIVE and verification.is_faulty:
            style = FAULT_STYLE
        confidence = "" if finding.confidence == "certain" else f" ({finding.confidence})"
        code = f"{words.verdict(finding.code)}{confidence}: "
        yield (Part(code, style), Part(words.clean(finding.sentence)))
        if finding.candidates:
            either = " or ".join(finding.candidates)
            yield (Part(f"  This is {either}; what was read back fits both.", "yellow"),)


def _identity(verification: Verification) -> Iterator[Line]:
    snapshot = verification.subject.snapshot
    environment = snapshot.environment
    rows = (
        ("app", snapshot.app.name),
        ("environment", f"{environment.name} ({environment.id})"),
        ("active build", environment.active_build_id or "none"),
        ("flash", verification.flash_version or "unknown"),
    )
    for name, value in rows:
        yield (Part(f"{name:<13}", "bold"), Part(words.clean(value)))


def _check(check: Comparison) -> Line:
    mark, style = _MARKS[check.result]
    return (Part("  "), Part(mark, style), Part(f"  {words.clean(check.text)}"))


def _remedies(verification: Verification) -> Iterator[Line]:
    shown: set[str] = set()
    for finding in verification.findings:
        is_open = finding.code in {semconv.NONE, semconv.INCONCLUSIVE}
        if not is_open and finding.remedy_deployer not in shown:
            shown.add(finding.remedy_deployer)
            yield ()
            yield (Part("What to do: ", "bold"), Part(finding.remedy_deployer))
            yield (Part("In Flash:   ", "bold"), Part(finding.remedy_maintainer))


def _notes(verification: Verification) -> Iterator[Line]:
    for note in verification.notes:
        yield ()
        yield (Part("Note: ", "bold"), Part(words.clean(note)))


def _next_command(verification: Verification) -> Iterator[Line]:
    environment = verification.subject.snapshot.environment
    commands = [finding.command for finding in verification.findings if finding.command]
    if verification.was_recorded:
        commands.insert(0, f"flash-otel diagnose --env {environment.id}")
    if commands:
        yield ()
        yield (Part("More: ", "bold"), Part(words.clean(commands[0])))
