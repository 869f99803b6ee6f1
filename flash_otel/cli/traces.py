"""`flash-otel traces`: list the recorded traces."""

from typing import TYPE_CHECKING, Annotated

import typer

from flash_otel import semconv
from flash_otel.cli.open_store import HOW_TO_RECORD, NOTHING_RECORDED, StoreOption, listing_from
from flash_otel.cli.sources import (
    FilesArgument,
    FromOption,
    Selection,
    SinceOption,
    since_ns,
    sources_of,
)
from flash_otel.report import words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flash_otel.report.layout import Line, Page
    from flash_otel.report.listing import TraceEntry

_LONGEST = 40  # characters of a cell on a terminal


def traces(
    files: FilesArgument = None,
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
    from flash_otel.cli.diagnose import is_running
    from flash_otel.diagnosis import Limits
    from flash_otel.report.listing import Wanted, entries

    earliest = since_ns(since)
    # Jaeger cannot filter by environment: with --env, any of its traces may match.
    selection = Selection(store, earliest, most=None if env else limit)
    limits = Limits(is_running=is_running)
    with listing_from(sources_of(files, sources), selection) as opened:
        found = (
            [] if opened is None else list(entries(*opened, Wanted(limit, env, earliest), limits))
        )
    if as_json:
        _print_json(found)
    elif found:
        _print_table(found)
    else:
        is_filtered = env is not None or since is not None
        print("No recorded trace matches." if is_filtered else NOTHING_RECORDED)
        print("List all: flash-otel traces" if is_filtered else HOW_TO_RECORD)


def _print_json(found: "list[TraceEntry]") -> None:
    import json

    from flash_otel.report.listing import entry_json

    print(json.dumps([entry_json(entry) for entry in found], indent=2))


def _print_table(found: "list[TraceEntry]") -> None:
    from flash_otel.report.layout import ReportConsole, page_for, print_lines

    console = ReportConsole()
    print_lines(table_lines(found, page_for(console)), console)


def _duration(summary: "TraceEntry") -> str:
    if summary.end_ns is None or summary.unfinished:
        return "?"
    return words.duration(summary.end_ns - summary.start_ns)


def _result(summary: "TraceEntry") -> str:
    if summary.unfinished:
        return words.UNFINISHED
    if summary.outcome in (semconv.CANCELLED, semconv.UNKNOWN):
        return summary.outcome
    if summary.status == "error":
        return semconv.FAILED
    return f"{summary.error_count} failed inside" if summary.error_count else semconv.RETURNED


def _environment(summary: "TraceEntry") -> str:
    known = [part for part in (summary.environment_name, summary.environment_id) if part]
    return f"{known[0]} ({known[1]})" if len(known) > 1 else "".join(known)


_COLUMNS: "dict[str, Callable[[TraceEntry], object]]" = {
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


def table_lines(summaries: "Sequence[TraceEntry]", page: "Page") -> "list[Line]":
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
