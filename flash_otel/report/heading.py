"""The lines above a trace: the verdict, what to do, the deployment, and what its workers got."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.records import LINES_SCOPE
from flash_otel.report import words
from flash_otel.report.axis import has_time
from flash_otel.report.layout import COMMAND, STYLES, WHOLE, Part
from flash_otel.report.overview import readers_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flash_otel.records import SpanRecord
    from flash_otel.report.layout import Line
    from flash_otel.report.overview import Overview
    from flash_otel.report.view import View

_VERDICTS: Final = {semconv.NONE: "bold green", semconv.INCONCLUSIVE: "bold yellow"}
_FAULT: Final = "bold red"
# That a deployment failed is known, though no fault may explain it.
_ENDED: Final = {semconv.FAILED: "the deployment failed", semconv.CANCELLED: "cancelled"}
_HANG: Final = 2


def overview_lines(
    overview: Overview, shown: SpanRecord, view: View, command: str = ""
) -> Iterator[Line]:
    """Yield the lines about a deployment.

    Args:
        overview: The deployment.
        shown: The first span of the trace that is shown, which may be that of a worker.
        view: How the trace is shown.
        command: A command that shows more of a fault.
    """
    yield from _verdict(overview, view)
    yield from _advice(overview, view, command)
    yield ()
    identity = _joined(_identity(overview), view)
    yield from [identity] if identity else []
    readers = readers_line(overview)
    if readers:
        yield (Part(view.clean(readers[0].upper() + readers[1:]), hang=_HANG),)
    if overview.trace_id != shown.trace_id:
        yield from _trace_line(shown)
    if overview.outcome is not None:
        yield from _deployment_line(overview, shown)


def _verdict(overview: Overview, view: View) -> Iterator[Line]:
    glyphs = view.page.glyphs
    if overview.is_running and not overview.is_fault:
        yield (Part(f"{glyphs.wait} {overview.title}", "bold yellow", _HANG),)
        return
    style = _VERDICTS.get(overview.verdict, _FAULT)
    certainty = "" if overview.confidence == "certain" else f" ({overview.confidence})"
    code = words.verdict(overview.verdict)
    ended = _ENDED.get(overview.outcome or "", "") if not overview.is_fault else ""
    if ended and overview.verdict == semconv.INCONCLUSIVE:
        style = STYLES[overview.outcome or ""]
        yield _headline(f"{glyphs.cross} {ended} ({code}): ", overview.sentence, style, view)
        return
    if not overview.is_fault:
        glyph = glyphs.check if overview.verdict == semconv.NONE else "?"
        yield _headline(f"{glyph} {code}{certainty}: ", overview.sentence, style, view)
        return
    yield _headline(f"{glyphs.cross} {code}{certainty}: ", f"{overview.title}.", style, view)
    if overview.sentence.rstrip(".") != overview.title:
        yield (Part("  ", hang=_HANG), Part(view.clean(overview.sentence)))


def _headline(lead: str, text: str, style: str, view: View) -> Line:
    return (Part(lead, style, _HANG), Part(view.clean(text)))


def _advice(overview: Overview, view: View, command: str) -> Iterator[Line]:
    for note in overview.notes:
        yield (Part("  Note: ", "yellow", _HANG), Part(view.clean(note)))
    if overview.is_running and not overview.is_fault:
        return
    if overview.remedy and overview.is_fault:
        yield (Part("  What to do: ", "bold", _HANG), Part(overview.remedy))
    for missing in overview.missing:
        yield (Part("  Missing: ", "bold", _HANG), Part(view.clean(missing)))
    following = overview.command or (command if overview.is_fault else "")
    if following:
        yield (Part("  Next: ", "bold", _HANG), Part(words.clean(following), breaks=COMMAND))


def _identity(overview: Overview) -> Iterator[tuple[str, object]]:
    """Yield what was deployed, where and when, as far as it is known."""
    environment = overview.environment_name or overview.environment_id
    started = overview.started_ns
    yield from (
        ("app", overview.app_name),
        ("environment", environment),
        ("build", overview.build_id),
        ("", None if started is None else words.moment(started, has_zone=True)),
        ("Flash", overview.flash_version),
    )


def _joined(values: Iterable[tuple[str, object]], view: View) -> Line:
    known = [
        Part(view.clean(f"{name} {value}".strip()), "", _HANG, WHOLE)
        for name, value in values
        if value is not None
    ]
    gaps = [Part("  ", hang=_HANG) for _ in known]
    return tuple(part for pair in zip(known, gaps, strict=True) for part in pair)[:-1]


def _deployment_line(overview: Overview, shown: SpanRecord) -> Iterator[Line]:
    outcome = overview.outcome or ""
    note = "" if outcome != words.UNFINISHED else " (killed?)"
    took = "" if overview.duration_ns is None else f" in {words.duration(overview.duration_ns)}"
    ended = "running" if overview.is_running else f"{outcome}{took}{note}"
    if overview.trace_id is None:
        # Lines show which steps returned, but not how the deployment ended.
        return
    name = "trace" if overview.trace_id == shown.trace_id else "deployment trace"
    lead = Part(f"{name} {words.clean(overview.trace_id)}", "bold", _HANG, WHOLE)
    yield (lead, Part("  "), Part(ended, STYLES.get(outcome, ""), breaks=WHOLE))


def trace_heading(record: SpanRecord, view: View) -> Iterator[Line]:
    """Yield the lines above a trace of which no deployment is known."""
    yield from _trace_line(record)
    at = words.moment(record.start_ns, has_zone=True) if has_time(record) else None
    names = (
        ("app", semconv.APP_NAME),
        ("environment", semconv.ENVIRONMENT_NAME),
        ("Flash", semconv.FLASH_VERSION),
    )
    values = (
        (word, record.attributes.get(name, record.resource.get(name))) for word, name in names
    )
    identity = _joined((("", at), *values), view)
    if identity:
        yield identity


def _trace_line(record: SpanRecord) -> Iterator[Line]:
    if record.scope_name == LINES_SCOPE:  # its trace id is made up
        return
    outcome = words.outcome(record)
    note = " (still running, or killed)" if record.end_ns is None else ""
    lead = Part(f"trace {words.clean(record.trace_id)}", "bold", _HANG, WHOLE)
    yield (lead, Part("  "), Part(f"{outcome}{note}", STYLES[outcome]))
