"""`flash-otel traces`: list the recorded traces."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from flash_otel.cli.open_store import HOW_TO_RECORD, NOTHING_RECORDED, StoreOption, listing_from
from flash_otel.cli.sources import (
    FilesArgument,
    FromOption,
    Selection,
    SinceOption,
    since_ns,
    sources_of,
)

if TYPE_CHECKING:
    from flash_otel.report.listing import TraceEntry


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
    from flash_otel.report.traces import table_lines

    console = ReportConsole()
    print_lines(table_lines(found, page_for(console), time.time_ns()), console)
