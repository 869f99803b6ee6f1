"""`flash-otel traces`: list the recorded traces with their verdicts."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from flash_otel.cli.app import CommandError
from flash_otel.cli.open_store import (
    HOW_TO_RECORD,
    NOTHING_RECORDED,
    StoreOption,
    listing_from,
    similar_names,
)
from flash_otel.cli.sources import (
    FilesArgument,
    FromOption,
    Selection,
    SinceOption,
    local_limits,
    progress_bar,
    since_ns,
    sources_of,
)
from flash_otel.cli.streams import note, print_text

if TYPE_CHECKING:
    from flash_otel.diagnosis import Limits
    from flash_otel.report.listing import Listing, Wanted

_WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Only traces with a span that has this attribute, or whose resource has it. "
        "Can be repeated.",
    ),
]
_JsonOption = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print a JSON list, one object for each trace; with --follow, one line for each.",
    ),
]


def traces(
    files: FilesArgument = None,
    app: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only traces of this app.")
    ] = None,
    env: Annotated[
        str | None,
        typer.Option(metavar="ID|NAME", help="Only traces of this environment."),
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only traces that failed, or show a fault.")
    ] = False,
    fault: Annotated[
        str | None, typer.Option(metavar="CODE", help="Only traces with this verdict.")
    ] = None,
    since: SinceOption = None,
    where: _WhereOption = None,
    limit: Annotated[
        int,
        typer.Option("--limit", "-n", min=1, metavar="NUMBER", help="Number of traces."),
    ] = 20,
    following: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Keep the list current; in a pipe, print changes."),
    ] = False,
    as_json: _JsonOption = False,
    sources: FromOption = None,
    store: StoreOption = None,
) -> None:
    """List the recorded traces with their verdicts, newest first.

    The verdict is that of `flash-otel diagnose --trace TRACE`. Without a fault, a deployment that
    did not succeed shows how it ended: running, unfinished, cancelled, or failed with the step.
    Other commands take the traces of this list by their ids, or as last, last^1, last^2 ...
    """
    wanted = wanted_traces(app, env, failed, fault, since, where, limit)
    given, selection = sources_of(files, sources), selection_for(wanted, store)
    limits = local_limits()
    if following:
        from flash_otel.cli.follow import follow_traces

        follow_traces(wanted, limits, given, selection, as_json=as_json)
        return
    listing = listing_of(wanted, limits, given, selection)
    if as_json:
        _print_json(listing)
    elif listing.entries:
        _print_table(listing)
    else:
        is_filtered = wanted.is_narrow or since is not None
        print_text("No recorded trace matches." if is_filtered else NOTHING_RECORDED)
        for question in similar_names(given, selection, env=env, app=app):
            print_text(question)
        print_text("List all: flash-otel traces" if is_filtered else HOW_TO_RECORD)
    if listing.is_cut:
        note(f"flash-otel: {unsearched(listing)}")


def unsearched(listing: Listing) -> str:
    """Return the note about traces that were not searched for a verdict."""
    return (
        f"searched the newest {listing.judged} traces that match otherwise; "
        "to search older ones, give --app, --env or --where"
    )


def wanted_traces(
    app: str | None,
    env: str | None,
    failed: bool,
    fault: str | None,
    since: str | None,
    where: list[str] | None,
    limit: int,
) -> Wanted:
    """Return the traces to list; the parameters are those of the command.

    Raises:
        CommandError: A fault code, an age or a condition is invalid.
    """
    from flash_otel import semconv
    from flash_otel.report.listing import Wanted
    from flash_otel.store.queries import TraceFilter

    if fault is not None and fault not in semconv.FAULTS:
        codes = f"The codes are: {', '.join(semconv.FAULTS)}."
        raise CommandError(f"unknown fault code: {fault!r}.", codes)
    conditions = tuple(map(_condition, where or ()))
    asked = TraceFilter(env, app, since_ns(since), conditions)
    return Wanted(limit, asked, is_failed=failed, fault=fault)


def _condition(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise CommandError(
            f"invalid condition: {text!r}.",
            "Give the name of an attribute and its value: --where flash.build_id=ID",
        )
    return name, value


def selection_for(wanted: Wanted, store: str | None) -> Selection:
    """Return what the traces to list need of their sources."""
    # Jaeger finds traces by time alone: any of them may meet the other conditions.
    most = None if wanted.is_narrow else wanted.limit
    return Selection(store, wanted.filter.since_ns, most=most)


def listing_of(
    wanted: Wanted, limits: Limits, sources: list[str] | None, selection: Selection
) -> Listing:
    """List the traces of the sources.

    Raises:
        CommandError: A source cannot be read, or all of them are empty.
    """
    from flash_otel.report.listing import Listing, list_traces

    with listing_from(sources, selection) as opened:
        if opened is None:
            return Listing()
        # Only the search for a verdict takes long enough.
        bar = progress_bar("judging traces") if wanted.asks_for_verdict else nullcontext()
        with bar as progress:
            return list_traces(*opened, wanted, limits, progress)


def _print_json(listing: Listing) -> None:
    import json

    from flash_otel.report.entry import entry_json

    print(json.dumps([entry_json(entry) for entry in listing.entries], indent=2))


def _print_table(listing: Listing) -> None:
    from flash_otel.report.layout import ReportConsole, page_for, print_lines
    from flash_otel.report.traces import table_lines

    console = ReportConsole()
    print_lines(table_lines(listing.entries, page_for(console), time.time_ns()), console)
