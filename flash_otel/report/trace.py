"""A trace on the terminal: its verdict, and a tree of spans with bars on one time axis.

Above the tree stand the verdict, what to do, the deployment, and what its workers got. Failures and
evidence of faults are always open; repeats and long healthy branches are folded
(`flash_otel.report.tree`). Traces that are linked to the trace lie on the same axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from flash_otel import semconv
from flash_otel.records import LINES_SCOPE, text
from flash_otel.report import words
from flash_otel.report.axis import has_time
from flash_otel.report.layout import (
    COMMAND,
    FAULT_STYLE,
    STYLES,
    VERDICT_STYLES,
    WHOLE,
    Line,
    Page,
    Part,
    page_for,
    print_lines,
)
from flash_otel.report.overview import readers_line
from flash_otel.report.tree import build_forest, split, walk
from flash_otel.report.view import View, view_of
from flash_otel.report.waterfall import waterfall_lines
from flash_otel.report.wrapping import wrapped_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from flash_otel.records import SpanRecord
    from flash_otel.report.overview import Overview
    from flash_otel.report.tree import Node

_MOST_IDS: Final = 20
_ID_KINDS: Final = (("environment", semconv.ENVIRONMENT_ID), ("build", semconv.BUILD_ID))
_HANG: Final = 2


def render_trace(
    records: Sequence[SpanRecord], console: Console, overview: Overview | None = None
) -> None:
    """Print a trace, and below it the traces that are linked to it.

    Args:
        records: The spans of the trace, followed by those of linked traces.
        console: Where to print; plain text unless it is a terminal.
        overview: What is known of the deployment.
    """
    view = view_of(page_for(console), records, overview)
    print_lines(trace_lines(records, view), console)


def trace_lines(records: Sequence[SpanRecord], view: View, command: str = "") -> list[Line]:
    """Return the lines of a trace and of the traces linked to it.

    Args:
        records: The spans of the trace, followed by those of linked traces.
        view: How they are shown.
        command: A command that shows more of a fault.
    """
    if not records:
        return [(Part("No spans."),)]
    main = records[0].trace_id
    own, linked = split(build_forest(records, _marked(records, view), main), main)
    heading = list(_heading(own[0].record, view, command))
    body = [
        *heading,
        *([()] if heading and heading[-1] else []),
        *waterfall_lines(own, linked, view),
        *_folded_answers(records, view),
    ]
    return list(wrapped_lines([*body, *_whole_ids(records, view)], view.page.width))


def tree_lines(forest: Sequence[Node], page: Page) -> Iterator[Line]:
    """Yield the lines of a forest of spans, without anything around them."""
    records = [node.record for node in walk(forest)]
    yield from waterfall_lines(forest, (), view_of(page, records))


def _marked(records: Iterable[SpanRecord], view: View) -> set[tuple[str, str]]:
    """Return the spans that are never folded: evidence, and responses that are to be shown."""
    answers = {
        record.key
        for record in records
        if view.has_answers and semconv.GRAPHQL_ANSWER in record.attributes
    }
    return {*view.marks, *answers}


def _heading(record: SpanRecord, view: View, command: str) -> Iterator[Line]:
    if view.overview is None:
        return _trace_heading(record, view)
    return _overview_lines(view.overview, record, view, command)


def _overview_lines(
    overview: Overview, shown: SpanRecord, view: View, command: str
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
    yield from _deployment_line(overview, shown)


def _verdict(overview: Overview, view: View) -> Iterator[Line]:
    glyphs = view.page.glyphs
    if overview.is_running and not overview.is_fault:
        yield (Part(f"{glyphs.wait} {overview.title}", "bold yellow", _HANG),)
        return
    style = VERDICT_STYLES.get(overview.verdict, FAULT_STYLE)
    code = words.verdict(overview.verdict, overview.confidence)
    if overview.has_ended_badly:
        lead = f"{glyphs.cross} {overview.title} ({overview.label}): "
        yield _headline(lead, overview.sentence, STYLES[overview.outcome or ""], view)
        return
    if not overview.is_fault:
        glyph = glyphs.check if overview.verdict == semconv.NONE else "?"
        lead = f"{glyph} {overview.title}{words.doubt(overview.confidence)}: "
        yield _headline(lead, overview.sentence, style, view)
        return
    yield _headline(f"{glyphs.cross} {code}: ", f"{overview.title}.", style, view)
    if overview.sentence.removesuffix(".") != overview.title:
        yield (Part("  ", hang=_HANG), Part(view.clean(overview.sentence)))


def _headline(lead: str, text: str, style: str, view: View) -> Line:
    return (Part(lead, style, _HANG), Part(view.clean(text)))


def _advice(overview: Overview, view: View, command: str) -> Iterator[Line]:
    for note in overview.notes:
        yield (Part("  Note: ", "yellow", _HANG), Part(view.clean(note)))
    if overview.is_running and not overview.is_fault:
        return
    if overview.remedy:
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
    gap = Part("  ", hang=_HANG)
    return tuple(part for value in known for part in (value, gap))[:-1]


def _deployment_line(overview: Overview, shown: SpanRecord) -> Iterator[Line]:
    outcome = overview.outcome
    # Lines show which steps returned, but not how the deployment ended.
    if outcome is None or overview.trace_id is None:
        return
    note = " (killed?)" if outcome == words.UNFINISHED else ""
    took = "" if overview.duration_ns is None else f" in {words.duration(overview.duration_ns)}"
    ended = "running" if overview.is_running else f"{outcome}{took}{note}"
    name = "trace" if overview.trace_id == shown.trace_id else "deployment trace"
    lead = Part(f"{name} {words.clean(overview.trace_id)}", "bold", _HANG, WHOLE)
    yield (lead, Part("  "), Part(ended, STYLES[outcome], breaks=WHOLE))


def _trace_heading(record: SpanRecord, view: View) -> Iterator[Line]:
    """Yield the lines above a trace of which no deployment is known."""
    yield from _trace_line(record)
    at = words.moment(record.start_ns, has_zone=True) if has_time(record) else None
    version = record.resource.get(semconv.SERVICE_VERSION)
    identity = _joined(
        (
            ("", at),
            ("app", record.attributes.get(semconv.APP_NAME)),
            ("environment", record.attributes.get(semconv.ENVIRONMENT_NAME)),
            ("Flash", record.resource.get(semconv.FLASH_VERSION, version)),
        ),
        view,
    )
    if identity:
        yield identity


def _trace_line(record: SpanRecord) -> Iterator[Line]:
    if record.scope_name == LINES_SCOPE:  # its trace id is made up
        return
    outcome = words.outcome(record)
    note = " (still running, or killed)" if record.end_ns is None else ""
    lead = Part(f"trace {words.clean(record.trace_id)}", "bold", _HANG, WHOLE)
    yield (lead, Part("  "), Part(f"{outcome}{note}", STYLES[outcome]))


def _folded_answers(records: Iterable[SpanRecord], view: View) -> Iterator[Line]:
    answers = sum(1 for record in records if semconv.GRAPHQL_ANSWER in record.attributes)
    if answers and not view.has_answers:
        number = "1 GraphQL response was" if answers == 1 else f"{answers} GraphQL responses were"
        yield ()
        yield (Part(f"{number} captured; --answers shows them.", "dim"),)


def _whole_ids(records: Iterable[SpanRecord], view: View) -> Iterator[Line]:
    """Yield the whole ids of those that are shown shortened."""
    shortened = view.ids.used
    if not shortened:
        return
    kinds = {text(record.attributes, name): kind for record in records for kind, name in _ID_KINDS}
    yield ()
    yield (Part("Ids in full", "bold"),)
    for identifier in list(shortened)[:_MOST_IDS]:
        lead = f"  {kinds.get(identifier, ''):<11}  "
        whole = view.page.clean(identifier)
        yield (Part(lead, "dim", cell_len(lead)), Part(whole, breaks=WHOLE))
    if len(shortened) > _MOST_IDS:
        yield (Part(f"  {len(shortened) - _MOST_IDS} more; --json has all", "dim"),)
