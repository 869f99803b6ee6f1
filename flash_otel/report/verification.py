"""A verification on the terminal: the verdict, what was read back, and the next steps."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.report import words
from flash_otel.report.layout import COMMAND, FAULT_STYLE, VERDICT_STYLES, Line, Part
from flash_otel.report.wrapping import print_wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from flash_otel.diagnosis.findings import Finding
    from flash_otel.verify.checks import Comparison
    from flash_otel.verify.verdict import Verification

_MARKS: Final = {
    "pass": ("PASS", "green"),
    "fail": ("FAIL", "bold red"),
    "unknown": ("  ? ", "yellow"),
}
DIAGNOSE: Final = "flash-otel diagnose --env {}"
_HANG: Final = 2
_NAME_CELLS: Final = 13
_CHECK_CELLS: Final = 8


def render_verification(
    verification: Verification, console: Console, diagnose: str = DIAGNOSE
) -> None:
    """Print a verification.

    Args:
        verification: The verification.
        console: Where to print; plain text unless it is a terminal.
        diagnose: The command that judges an environment; `{}` stands for its id.
    """
    print_wrapped(verification_lines(verification, diagnose), console)


def verification_lines(verification: Verification, diagnose: str = DIAGNOSE) -> list[Line]:
    """Return the lines of a verification; nothing is cut."""
    return [
        *_headings(verification),
        (),
        *_identity(verification),
        (),
        *(_check(check) for check in verification.checks),
        *_remedies(verification),
        *_notes(verification),
        *_next_command(verification, diagnose),
    ]


def _headings(verification: Verification) -> Iterator[Line]:
    for finding in verification.findings:
        style = VERDICT_STYLES.get(finding.code, FAULT_STYLE)
        if finding.code == semconv.INCONCLUSIVE and verification.is_faulty:
            style = FAULT_STYLE
        code = f"{words.verdict(finding.code, finding.confidence)}: "
        yield (Part(code, style, _HANG), Part(words.clean(finding.sentence)))
        if finding.candidates:
            yield (Part(f"  {_candidates(finding)}", "yellow", _HANG),)


def _candidates(finding: Finding) -> str:
    either = " or ".join(finding.candidates)
    if finding.code != semconv.INCONCLUSIVE:
        return f"This may also be {either}."
    if len(finding.candidates) == 1:
        return f"This may be {either}."
    return f"This is {either}; what was read back fits both."


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
        yield (Part(f"{name:<{_NAME_CELLS}}", "bold", _NAME_CELLS), Part(words.clean(value)))


def _check(check: Comparison) -> Line:
    mark, style = _MARKS[check.result]
    return (Part("  ", hang=_CHECK_CELLS), Part(mark, style), Part(f"  {words.clean(check.text)}"))


def _remedies(verification: Verification) -> Iterator[Line]:
    shown: set[str] = set()
    for finding in verification.findings:
        is_open = finding.code in {semconv.NONE, semconv.INCONCLUSIVE}
        if not is_open and finding.remedy_deployer not in shown:
            shown.add(finding.remedy_deployer)
            yield ()
            yield (Part("What to do: ", "bold", _HANG), Part(finding.remedy_deployer))
            yield (Part("In Flash:   ", "bold", _HANG), Part(finding.remedy_maintainer))


def _notes(verification: Verification) -> Iterator[Line]:
    for note in verification.notes:
        yield ()
        yield (Part("Note: ", "bold", _HANG), Part(words.clean(note)))


def _next_command(verification: Verification, diagnose: str) -> Iterator[Line]:
    environment = verification.subject.snapshot.environment
    commands = [finding.command for finding in verification.findings if finding.command]
    if verification.was_recorded:
        commands.insert(0, diagnose.replace("{}", shlex.quote(environment.id), 1))
    if commands:
        yield ()
        yield (Part("More: ", "bold", _HANG), Part(words.clean(commands[0]), breaks=COMMAND))
