"""A diagnosis on the terminal: the verdict, its evidence, and the next steps."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis.environments import MOST_ATTEMPTS, failure_of
from flash_otel.diagnosis.findings import count
from flash_otel.report import words
from flash_otel.report.ids import RESULTS, ids_lines
from flash_otel.report.layout import (
    COMMAND,
    FAULT_STYLE,
    VERDICT_STYLES,
    WHOLE,
    Line,
    Page,
    Part,
    page_for,
)
from flash_otel.report.overview import diagnosis_label
from flash_otel.report.picture import picture_lines
from flash_otel.report.wrapping import print_wrapped
from flash_otel.runtime.suggestions import pasteable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from flash_otel.diagnosis.findings import Finding
    from flash_otel.diagnosis.judge import Diagnosis, Judged
    from flash_otel.diagnosis.tables import Moment


MOST_JUDGED: Final = 3  # deployments that are shown in full
MOST_ALIKE: Final = 3  # findings of one code that are shown in full
SHOW: Final = "flash-otel show {}"

_HANG: Final = 2
_EVIDENCE_HANG: Final = 4
_MOMENT_HANG: Final = 28
_CHECK_HANG: Final = 20


def render_diagnosis(diagnosis: Diagnosis, console: Console, show: str = SHOW) -> None:
    """Print a diagnosis.

    Args:
        diagnosis: The diagnosis.
        console: Where to print; plain text unless it is a terminal.
        show: The command that shows a trace; `{}` stands for the trace id.
    """
    print_wrapped(diagnosis_lines(diagnosis, page_for(console), show), console)


def diagnosis_lines(diagnosis: Diagnosis, page: Page, show: str = SHOW) -> list[Line]:
    """Return the lines of a diagnosis."""
    style = VERDICT_STYLES.get(diagnosis.verdict, FAULT_STYLE)
    # Scripts that read a pipe look for the code, as in `--json`; people at a terminal get words.
    code = diagnosis.verdict
    verdict = Part(code if page.width is None else diagnosis_label(diagnosis), style)
    lines: list[Line] = [(Part("Verdict: ", "bold"), verdict)]
    lines += _findings(diagnosis.findings, page)
    for judged in diagnosis.judged[:MOST_JUDGED]:
        lines += _judged(judged, page)
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
        yield (
            Part(
                f"{total} more deployments were judged ({counts}); --json lists more.", "dim", _HANG
            ),
        )


def _finding(finding: Finding, page: Page) -> Iterator[Line]:
    style = VERDICT_STYLES.get(finding.code, FAULT_STYLE if finding.is_fault else "yellow")
    yield ()
    heading = f"{words.verdict(finding.code, finding.confidence)}: "
    yield (Part(heading, style, _HANG), Part(words.clean(finding.sentence)))
    for exhibit in finding.evidence:
        origin, text = words.clean(exhibit.origin), words.clean(exhibit.says)
        arrow = Part(f"  {page.glyphs.arrow} ", hang=_EVIDENCE_HANG)
        yield (arrow, Part(origin, "cyan"), Part(f"  {text}"))
    if finding.code == semconv.NONE:
        return
    yield (Part("  What to do: ", "bold", _EVIDENCE_HANG), Part(finding.remedy_deployer))
    if finding.is_fault:
        label = Part("  For Flash's maintainers: ", "dim", _EVIDENCE_HANG)
        yield (label, Part(finding.remedy_maintainer, "dim"))


def _judged(judged: Judged, page: Page) -> Iterator[Line]:
    deployment = judged.deployment
    if deployment.id:
        target = deployment.environment_name or deployment.environment_id or "unknown environment"
        title = f"Deployment {words.clean(deployment.id)} to {words.clean(target)}"
        yield ()
        yield (Part(title, "bold"),)
        yield from _failed_before(judged)
        yield from picture_lines(judged, page)
    if judged.matches:
        yield ()
        yield (Part("Ids", "bold"),)
        yield from ids_lines(judged.matches, page)
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
        text = f"  {number} earlier {attempts} failed: {words.clean(causes)}"
        yield (Part(text, hang=_EVIDENCE_HANG),)


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
        Part(f"  {mark}{at:>11}  {moment.phase:<10}  ", hang=_MOMENT_HANG),
        Part(words.clean(moment.text)),
        Part(f"  {duration}" if duration else "", "dim", breaks=WHOLE),
        Part("  BEFORE THE WRITE" if moment.before_write else "", "bold yellow", breaks=WHOLE),
    )


def _is_foreign(moment: Moment) -> bool:
    return moment.seconds is not None and not moment.same_clock


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else words.duration(round(seconds * 1e9))


def _checks(judged: Judged) -> Iterator[Line]:
    yield ()
    yield (Part("Expected when everything works", "bold"),)
    for check in judged.checks:
        mark, style = RESULTS[check.result]
        found = f": {words.clean(check.found)}" if check.found else ""
        yield (
            Part(f"  {mark:<4}  ", style, _CHECK_HANG),
            Part(f"{check.phase:<10}  {check.text}{found}"),
        )


def _next_steps(diagnosis: Diagnosis, show: str) -> Iterator[Line]:
    yield ()
    if diagnosis.others:
        others = count(diagnosis.others, "other environment")
        suggestion = pasteable("judge one: flash-otel diagnose --env ID|NAME")
        yield (Part(f"{others} recorded; {suggestion}", "dim", _HANG),)
    for missing in diagnosis.missing:
        yield (Part("Missing: ", "bold", _HANG), Part(words.clean(missing)))
    command = diagnosis.command or _show_command(diagnosis.findings, show)
    if command:
        yield (Part("Next: ", "bold", _HANG), Part(words.clean(command), breaks=COMMAND))


def _show_command(findings: Sequence[Finding], show: str) -> str:
    """Return the command that shows the trace of the first evidence that has one."""
    traces = (
        exhibit.origin.trace_id
        for finding in findings
        for exhibit in finding.evidence
        if exhibit.origin.trace_id and not exhibit.origin.rebuilt
    )
    return next((show.replace("{}", trace_id[:12], 1) for trace_id in traces), "")
