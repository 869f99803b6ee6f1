"""A diagnosis or verification on the terminal: the verdict, its evidence, and the next steps."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis import tables
from flash_otel.diagnosis.environments import MOST_ATTEMPTS, failure_of
from flash_otel.diagnosis.findings import count
from flash_otel.report import words
from flash_otel.report.layout import Line, Page, Part, page_for, print_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from flash_otel.diagnosis.findings import Finding
    from flash_otel.diagnosis.judge import Diagnosis, Judged
    from flash_otel.diagnosis.tables import Moment
    from flash_otel.verify.checks import Comparison
    from flash_otel.verify.verdict import Verification


MOST_JUDGED: Final = 3  # deployments that are shown in full
MOST_ALIKE: Final = 3  # findings of one code that are shown in full
SHOW: Final = "flash-otel show {}"

STYLES: Final = {semconv.NONE: "bold green", semconv.INCONCLUSIVE: "bold yellow"}
FAULT_STYLE: Final = "bold red"
_RESULTS: Final = {
    tables.MATCH: ("MATCH", "green"),
    tables.MISMATCH: ("MISMATCH", "bold red"),
    tables.PASS: ("PASS", "green"),
    tables.FAIL: ("FAIL", "bold red"),
    tables.UNKNOWN: ("?", "yellow"),
}
_CONFIDENCES: Final = {"likely": " (likely)", "possible": " (possible)"}
_NOT_RECORDED: Final = "-"


def render_diagnosis(diagnosis: Diagnosis, console: Console, show: str = SHOW) -> None:
    """Print a diagnosis.

    Args:
        diagnosis: The diagnosis.
        console: Where to print; plain text unless it is a terminal.
        show: The command that shows a trace; `{}` stands for the trace id.
    """
    print_lines(diagnosis_lines(diagnosis, page_for(console), show), console)


def diagnosis_lines(diagnosis: Diagnosis, page: Page, show: str = SHOW) -> list[Line]:
    """Return the lines of a diagnosis."""
    style = STYLES.get(diagnosis.verdict, FAULT_STYLE)
    # Scripts that read a pipe look for the code, as in `--json`; people at a terminal get words.
    code = diagnosis.verdict
    verdict = Part(code if page.width is None else words.verdict(code), style)
    lines: list[Line] = [(Part("Verdict: ", "bold"), verdict)]
    lines += _findings(diagnosis.findings, page)
    for judged in diagnosis.judged[:MOST_JUDGED]:
        lines += _judged(judged)
    lines += _rest(diagnosis)
    lines += _next_steps(diagnosis, show)
    return lines


def _findings(findings: Sequence[Finding], page: Page) -> Iterator[Line]:
    """Yield the first findings of each code in full, and the number of the others."""
    seen: Counter[str] = Counter()
    for finding in findings:
        seen[finding.code] += 1
        if seen[finding.code] <= MOST_ALIKE:
            yield from _finding(finding, page)
    for code, number in seen.items():
        if number > MOST_ALIKE:
            yield ()
            yield (Part(f"{code} {page.glyphs.times}{number - MOST_ALIKE} more", "dim"),)


def _rest(diagnosis: Diagnosis) -> Iterator[Line]:
    """Count the judged deployments that are not shown, by their verdicts."""
    # Beyond a limit of its own, the diagnosis keeps only the verdicts (`left_out`).
    rest = Counter(judged.verdict for judged in diagnosis.judged[MOST_JUDGED:])
    rest.update(dict(diagnosis.left_out))
    if rest:
        counts = ", ".join(f"{number} {words.verdict(code)}" for code, number in rest.items())
        total = sum(rest.values())
        yield ()
        yield (Part(f"{total} more deployments were judged ({counts}); --json lists more.", "dim"),)


def _finding(finding: Finding, page: Page) -> Iterator[Line]:
    confidence = _CONFIDENCES.get(finding.confidence, "")
    style = STYLES.get(finding.code, FAULT_STYLE if finding.is_fault else "yellow")
    yield ()
    heading = f"{words.verdict(finding.code)}{confidence}: "
    yield (Part(heading, style), Part(words.clean(finding.sentence)))
    for exhibit in finding.evidence:
        origin, text = words.clean(exhibit.origin), words.clean(exhibit.says)
        yield (Part(f"  {page.glyphs.arrow} "), Part(origin, "cyan"), Part(f"  {text}"))
    if finding.code == semconv.NONE:
        return
    yield (Part("  What to do: ", "bold"), Part(finding.remedy_deployer))
    if finding.is_fault:
        yield (Part("  For Flash's maintainers: ", "dim"), Part(finding.remedy_maintainer, "dim"))


def _judged(judged: Judged) -> Iterator[Line]:
    deployment = judged.deployment
    if deployment.id:
        target = deployment.environment_name or deployment.environment_id or "unknown environment"
        title = f"Deployment {words.clean(deployment.id)} to {words.clean(target)}"
        yield ()
        yield (Part(title, "bold"),)
        yield from _failed_before(judged)
    if judged.matches:
        yield from _matches(judged)
    if judged.timeline:
        yield from _timeline(judged)
    if deployment.id:
        yield from _checks(judged)


def _failed_before(judged: Judged) -> Iterator[Line]:
    """Yield one line about the attempts that failed before the deployment."""
    failed = judged.failed_before
    if failed:
        number = f"At least {len(failed)}" if len(failed) == MOST_ATTEMPTS else str(len(failed))
        attempts = "attempt" if len(failed) == 1 else "attempts"
        causes = "; ".join(f"{known.name}, {failure_of(known)}" for known in failed)
        yield (Part(f"  {number} earlier {attempts} failed: {words.clean(causes)}"),)


def _matches(judged: Judged) -> Iterator[Line]:
    rows = [("", "deployed", "read")]
    rows += [
        (match.name, match.deployed or _NOT_RECORDED, match.read or _NOT_RECORDED)
        for match in judged.matches
    ]
    results: list[str] = ["", *(match.result for match in judged.matches)]
    cells = [[words.clean(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    yield ()
    yield (Part("Ids", "bold"),)
    for row, result in zip(cells, results, strict=True):
        padded = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        mark, style = _RESULTS.get(result, ("", ""))
        yield (Part(f"  {padded}  "), Part(mark, style))


def _timeline(judged: Judged) -> Iterator[Line]:
    window = _seconds(judged.window_s)
    measured = f"  (activation window: {window})" if window else ""
    yield ()
    yield (Part("Timeline", "bold"), Part(measured, "dim"))
    for moment in judged.timeline:
        yield _moment(moment)
    if any(_is_foreign(moment) for moment in judged.timeline):
        yield (Part("  ~ by another machine's clock", "dim"),)


def _moment(moment: Moment) -> Line:
    at = "?" if moment.seconds is None else f"{moment.seconds:+.2f} s"
    mark = "~" if _is_foreign(moment) else " "
    duration = _seconds(moment.duration_s)
    return (
        Part(f"  {mark}{at:>11}  {moment.phase:<10}  "),
        Part(words.clean(moment.text)),
        Part(f"  {duration}" if duration else "", "dim"),
        Part("  BEFORE THE WRITE" if moment.before_write else "", "bold yellow"),
    )


def _is_foreign(moment: Moment) -> bool:
    return moment.seconds is not None and not moment.same_clock


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else words.duration(round(seconds * 1e9))


def _checks(judged: Judged) -> Iterator[Line]:
    yield ()
    yield (Part("Expected when everything works", "bold"),)
    for check in judged.checks:
        mark, style = _RESULTS[check.result]
        found = f": {words.clean(check.found)}" if check.found else ""
        yield (Part(f"  {mark:<4}  ", style), Part(f"{check.phase:<10}  {check.text}{found}"))


def _next_steps(diagnosis: Diagnosis, show: str) -> Iterator[Line]:
    yield ()
    if diagnosis.others:
        others = count(diagnosis.others, "other environment")
        yield (Part(f"{others} recorded; judge one: flash-otel diagnose --env ID|NAME", "dim"),)
    for missing in diagnosis.missing:
        yield (Part("Missing: ", "bold"), Part(words.clean(missing)))
    command = diagnosis.command or _show_command(diagnosis.findings, show)
    if command:
        yield (Part("Next: ", "bold"), Part(words.clean(command)))


def _show_command(findings: Sequence[Finding], show: str) -> str:
    """Return the command that shows the trace of the first evidence that has one."""
    for finding in findings:
        for exhibit in finding.evidence:
            if exhibit.origin.trace_id and not exhibit.origin.rebuilt:
                return show.replace("{}", exhibit.origin.trace_id[:12])
    return ""


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
            yield (Part(f"  {_candidates(finding)}", "yellow"),)


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
