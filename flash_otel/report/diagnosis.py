"""A diagnosis on the terminal: verdict first, then what proves it, then what to do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis import checks
from flash_otel.report import words
from flash_otel.report.layout import Line, Page, Part, page_for, print_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from flash_otel.diagnosis.findings import Finding
    from flash_otel.diagnosis.judge import Diagnosis, Judged
    from flash_otel.diagnosis.timeline import Moment

MOST_JUDGED: Final = 3  # deployments that are shown in full
MOST_ALIKE: Final = 3  # findings of one code that are shown in full
SHOW: Final = "flash-otel show {}"

_STYLES: Final = {semconv.NONE: "bold green", semconv.INCONCLUSIVE: "bold yellow"}
_FAULT_STYLE: Final = "bold red"
_RESULTS: Final = {
    checks.MATCH: ("MATCH", "green"),
    checks.MISMATCH: ("MISMATCH", "bold red"),
    checks.PASS: ("PASS", "green"),
    checks.FAIL: ("FAIL", "bold red"),
    checks.UNKNOWN: ("?", "yellow"),
}
_SURE: Final = {"likely": " (likely)", "possible": " (possible)"}
_NOT_RECORDED: Final = "-"


def render_diagnosis(diagnosis: Diagnosis, console: Console, show: str = SHOW) -> None:
    """Print a diagnosis; not being a terminal, the console gets plain text.

    Args:
        diagnosis: The diagnosis.
        console: Where to print.
        show: The command that shows a trace of it; its id takes the place of `{}`.
    """
    print_lines(diagnosis_lines(diagnosis, page_for(console), show), console)


def diagnosis_lines(diagnosis: Diagnosis, page: Page, show: str = SHOW) -> list[Line]:
    """Return the lines of a diagnosis."""
    style = _STYLES.get(diagnosis.verdict, _FAULT_STYLE)
    lines: list[Line] = [(Part("Verdict: ", "bold"), Part(diagnosis.verdict, style))]
    lines += _findings(diagnosis.findings, page)
    for judged in diagnosis.judged[:MOST_JUDGED]:
        lines += _judged(judged)
    lines += _others(diagnosis)
    lines += _ending(diagnosis, show)
    return lines


def _findings(findings: Sequence[Finding], page: Page) -> Iterator[Line]:
    """Show the first findings of each code, and how many more there are."""
    seen: Counter[str] = Counter()
    for finding in findings:
        seen[finding.code] += 1
        if seen[finding.code] <= MOST_ALIKE:
            yield from _finding(finding, page)
    for code, number in seen.items():
        if number > MOST_ALIKE:
            yield ()
            yield (Part(f"{code} {page.glyphs.times}{number - MOST_ALIKE} more", "dim"),)


def _others(diagnosis: Diagnosis) -> Iterator[Line]:
    """Say how many deployments were judged that are not shown, by their verdicts."""
    rest = Counter(one.verdict for one in diagnosis.judged[MOST_JUDGED:])
    rest.update(dict(diagnosis.left_out))
    if rest:
        told = ", ".join(f"{number} {verdict}" for verdict, number in rest.items())
        total = sum(rest.values())
        yield ()
        yield (Part(f"{total} more deployments were judged ({told}); --json shows more.", "dim"),)


def _finding(finding: Finding, page: Page) -> Iterator[Line]:
    sure = _SURE.get(finding.confidence, "")
    style = _STYLES.get(finding.code, _FAULT_STYLE if finding.is_fault else "yellow")
    yield ()
    yield (Part(f"{finding.code}{sure}: ", style), Part(words.clean(finding.sentence)))
    for exhibit in finding.evidence:
        where, says = words.clean(exhibit.origin), words.clean(exhibit.says)
        yield (Part(f"  {page.glyphs.arrow} "), Part(where, "cyan"), Part(f"  {says}"))
    if finding.code == semconv.NONE:
        return
    yield (Part("  What to do: ", "bold"), Part(finding.remedy_deployer))
    if finding.is_fault:
        yield (Part("  For Flash's maintainers: ", "dim"), Part(finding.remedy_maintainer, "dim"))


def _judged(judged: Judged) -> Iterator[Line]:
    deployment = judged.deployment
    if deployment.id:
        where = deployment.environment_name or deployment.environment_id or "unknown environment"
        title = f"Deployment {words.clean(deployment.id)} to {words.clean(where)}"
        yield ()
        yield (Part(title, "bold"),)
    if judged.matches:
        yield from _matches(judged)
    if judged.timeline:
        yield from _timeline(judged)
    if deployment.id:
        yield from _checks(judged)


def _matches(judged: Judged) -> Iterator[Line]:
    rows = [("", "deployed", "read")]
    rows += [
        (one.name, one.deployed or _NOT_RECORDED, one.read or _NOT_RECORDED)
        for one in judged.matches
    ]
    results: list[str] = ["", *(one.result for one in judged.matches)]
    cells = [[words.clean(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    yield ()
    yield (Part("Ids", "bold"),)
    for row, result in zip(cells, results, strict=True):
        padded = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        said, style = _RESULTS.get(result, ("", ""))
        yield (Part(f"  {padded}  "), Part(said, style))


def _timeline(judged: Judged) -> Iterator[Line]:
    window = words.duration(None if judged.window_s is None else round(judged.window_s * 1e9))
    measured = f"  (activation window: {window})" if judged.window_s is not None else ""
    yield ()
    yield (Part("Timeline", "bold"), Part(measured, "dim"))
    for moment in judged.timeline:
        yield _moment(moment)
    if any(not one.same_clock for one in judged.timeline if one.seconds is not None):
        yield (Part("  ~ by another machine's clock", "dim"),)


def _moment(moment: Moment) -> Line:
    at = "?" if moment.seconds is None else f"{moment.seconds:+.2f} s"
    mark = " " if moment.same_clock or moment.seconds is None else "~"
    took = (
        "" if moment.duration_s is None else f"  {words.duration(round(moment.duration_s * 1e9))}"
    )
    return (
        Part(f"  {mark}{at:>11}  {moment.phase:<10}  "),
        Part(words.clean(moment.text)),
        Part(took, "dim"),
    )


def _checks(judged: Judged) -> Iterator[Line]:
    yield ()
    yield (Part("Expected when everything works", "bold"),)
    for check in judged.checks:
        said, style = _RESULTS[check.result]
        found = f": {words.clean(check.says)}" if check.says else ""
        yield (Part(f"  {said:<4}  ", style), Part(f"{check.phase:<10}  {check.text}{found}"))


def _ending(diagnosis: Diagnosis, show: str) -> Iterator[Line]:
    yield ()
    if diagnosis.others:
        others = f"{diagnosis.others} other environment{'' if diagnosis.others == 1 else 's'}"
        yield (Part(f"{others} recorded; to judge one: flash-otel diagnose --env ID|NAME", "dim"),)
    for one in diagnosis.missing:
        yield (Part("Missing: ", "bold"), Part(words.clean(one)))
    command = diagnosis.command or _more(diagnosis.findings, show)
    if command:
        yield (Part("Next: ", "bold"), Part(words.clean(command)))


def _more(findings: Sequence[Finding], show: str) -> str:
    """Return the command that shows the trace behind the first evidence that has one."""
    for finding in findings:
        for exhibit in finding.evidence:
            if exhibit.origin.trace_id and not exhibit.origin.rebuilt:
                return show.replace("{}", exhibit.origin.trace_id[:12])
    return ""
