"""`flash-otel traces` and `show`: list the recorded traces, or print a single trace."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flash_otel import semconv
from flash_otel.cli.app import CommandError
from flash_otel.cli.open_store import HOW_TO_RECORD, NOTHING_RECORDED, StoreOption, reading_from
from flash_otel.cli.sources import FromOption, Selection, SinceOption, since_ns
from flash_otel.report import words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flash_otel.records import SpanRecord
    from flash_otel.report.layout import Line, Page
    from flash_otel.store.store import SpanStore, TraceSummary

LAST = "last"
HOW_TO_LIST = "List the recorded traces: flash-otel traces"
_MOST_LINKED = 10  # linked traces that are shown with all of their spans
_LONGEST = 40  # characters of a cell on a terminal


def traces(
    env: Annotated[
        str | None,
        typer.Option(metavar="ID|NAME", help="Only traces of this environment."),
    ] = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number.")] = 20,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print a JSON list, one object for each trace."),
    ] = False,
    sources: FromOption = None,
    store: StoreOption = None,
) -> None:
    """List the recorded traces, newest first.

    A deployment that is still running, or was killed, is shown as unfinished.
    """
    earliest = since_ns(since)
    # Jaeger cannot filter by environment: with --env, any of its traces may match.
    selection = Selection(store, earliest, most=None if env else limit)
    with reading_from(sources, selection) as opened:
        found = [] if opened is None else opened.traces(limit, env, earliest)
    if as_json:
        _print_json(found)
    elif found:
        _print_table(found)
    else:
        is_filtered = env is not None or since is not None
        print("No recorded trace matches." if is_filtered else NOTHING_RECORDED)
        print("List all: flash-otel traces" if is_filtered else HOW_TO_RECORD)


def _print_json(found: "list[TraceSummary]") -> None:
    import json
    from dataclasses import asdict

    print(json.dumps([asdict(summary) for summary in found], indent=2))


def _print_table(found: "list[TraceSummary]") -> None:
    from flash_otel.report.layout import ReportConsole, page_for, print_lines

    console = ReportConsole()
    print_lines(table_lines(found, page_for(console)), console)


def _duration(summary: "TraceSummary") -> str:
    if summary.end_ns is None or summary.unfinished:
        return "?"
    return words.duration(summary.end_ns - summary.start_ns)


def _result(summary: "TraceSummary") -> str:
    if summary.unfinished:
        return words.UNFINISHED
    if summary.outcome in (semconv.CANCELLED, semconv.UNKNOWN):
        return summary.outcome
    if summary.status == "error":
        return semconv.FAILED
    return f"{summary.error_count} failed inside" if summary.error_count else semconv.RETURNED


def _environment(summary: "TraceSummary") -> str:
    known = [part for part in (summary.environment_name, summary.environment_id) if part]
    return f"{known[0]} ({known[1]})" if len(known) > 1 else "".join(known)


_COLUMNS: "dict[str, Callable[[TraceSummary], object]]" = {
    "TRACE": lambda summary: summary.trace_id,
    "STARTED": lambda summary: words.moment(summary.start_ns),
    "TOOK": _duration,
    "RESULT": _result,
    "SPANS": lambda summary: summary.span_count,
    "NAME": lambda summary: summary.root_name,
    "APP": lambda summary: summary.app_name or "",
    "ENVIRONMENT": _environment,
    "BUILD": lambda summary: summary.build_id or "",
}


def table_lines(summaries: "Sequence[TraceSummary]", page: "Page") -> "list[Line]":
    """Return the lines of the table, its head first."""
    from rich.cells import cell_len

    from flash_otel.report.layout import STYLES

    rows = [[_cell(read(summary), page) for read in _COLUMNS.values()] for summary in summaries]
    table = [list(_COLUMNS), *rows]
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    results = [_result(summary) for summary in summaries]
    styles = ["bold", *(STYLES.get(result, STYLES[semconv.FAILED]) for result in results)]
    return [_line(cells, widths, style, page) for cells, style in zip(table, styles, strict=True)]


def _cell(value: object, page: "Page") -> str:
    text = words.clean(value)
    if page.width is None or len(text) <= _LONGEST:
        return text
    return text[:_LONGEST] + page.glyphs.cut


def _line(cells: list[str], widths: list[int], style: str, page: "Page") -> "Line":
    from flash_otel.report.layout import Part, fitted

    styled = {list(_COLUMNS).index(name) for name in ("TRACE", "RESULT")}
    fields = [fitted(cell, width, page.glyphs) for cell, width in zip(cells, widths, strict=True)]
    return tuple(
        Part(f"{text}  ", style if index in styled else "") for index, text in enumerate(fields)
    )


# --- a single trace -------------------------------------------------------------------------------


def show(
    trace: Annotated[
        str,
        typer.Argument(metavar="TRACE|last", help="Trace id, or its first digits."),
    ] = LAST,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print OTLP JSON, as the Collector's file exporter writes it."),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write one HTML file with the diagnosis, to attach to a ticket."
        ),
    ] = None,
    sources: FromOption = None,
    store: StoreOption = None,
) -> None:
    """Show a trace as a tree of spans, by default the last one.

    Failed spans are expanded, and repeated spans are folded. Traces that link to this one, such as
    later reads by its workers, follow below.
    """
    if as_json and html is not None:
        raise CommandError("--json and --html exclude each other.", "Give one of them.")
    selection = Selection(store, trace=None if trace == LAST else trace)
    with reading_from(sources, selection) as opened:
        if opened is None:
            raise CommandError(NOTHING_RECORDED, HOW_TO_RECORD)
        records = _records(opened, trace)
    if html is not None:
        _write_html(records, html)
    elif as_json:
        _print_otlp(records)
    else:
        _print_tree(records)


def _records(store: "SpanStore", trace: str) -> "list[SpanRecord]":
    trace_id = store.latest_trace_id() if trace == LAST else trace
    if trace_id is None:
        raise CommandError(NOTHING_RECORDED, HOW_TO_RECORD)
    records = _trace(store, trace_id)
    if not records:
        raise CommandError(f"no recorded trace begins with {trace!r}.", HOW_TO_LIST)
    return records + _linked(store, records[0].trace_id)


def _trace(store: "SpanStore", prefix: str) -> "list[SpanRecord]":
    from flash_otel.store.store import StoreError

    try:
        return store.trace(prefix)
    except StoreError as error:
        # Without a cause it is an ambiguous prefix: the user's mistake, not a broken file.
        if error.__cause__ is not None:
            raise
        raise CommandError(str(error), HOW_TO_LIST) from error


def _linked(store: "SpanStore", trace_id: str) -> "list[SpanRecord]":
    """Return the traces that link to this one: the first ones whole, then linking spans."""
    linking = store.linked(trace_id)
    whole = list(dict.fromkeys(record.trace_id for record in linking))[:_MOST_LINKED]
    inside = [record for linked_id in whole for record in store.trace(linked_id)]
    return inside + [record for record in linking if record.trace_id not in whole]


def _write_html(records: "list[SpanRecord]", file: Path) -> None:
    from flash_otel.cli.diagnose import is_running
    from flash_otel.diagnosis import Limits, diagnose
    from flash_otel.report.html import trace_html

    limits = Limits(is_running=is_running)
    diagnosis = diagnose(records, trace_id=records[0].trace_id, limits=limits)
    try:
        file.write_text(trace_html(records, diagnosis), encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"cannot write {file}: {error.strerror}.", "Name a file in a writable folder."
        ) from error
    print(f"flash-otel: written to {file}")


def _print_otlp(records: "list[SpanRecord]") -> None:
    import json

    from flash_otel.otlp.encode import encode_json

    print(json.dumps(encode_json(records), indent=2))


def _print_tree(records: "list[SpanRecord]") -> None:
    from flash_otel.report.layout import ReportConsole
    from flash_otel.report.trace import render_trace

    render_trace(records, ReportConsole())
