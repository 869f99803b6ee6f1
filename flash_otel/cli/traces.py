"""`flash-otel traces`: what was recorded, the newest first."""

from typing import TYPE_CHECKING, Annotated

import typer

from flash_otel.cli.ages import since_ns
from flash_otel.cli.open_store import HOW_TO_RECORD, NOTHING_RECORDED, STORE_HELP, reading_from
from flash_otel.cli.sources import SOURCES, SOURCES_HELP, Asked

if TYPE_CHECKING:
    from flash_otel.store.store import TraceSummary


def traces(
    env: Annotated[
        str | None,
        typer.Option(metavar="ID|NAME", help="Only traces of this environment."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Only traces of the last 30m, 2h, 7d ..."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print a JSON list, one object for each trace."),
    ] = False,
    sources: Annotated[
        list[str] | None,
        typer.Option("--from", metavar=SOURCES, help=SOURCES_HELP),
    ] = None,
    store: Annotated[str | None, typer.Option(metavar="PATH", help=STORE_HELP)] = None,
) -> None:
    """List the recorded traces, the newest first.

    A deployment that is still running, or was killed, is shown as unfinished.
    """
    earliest = since_ns(since)
    # Those of an environment can be any; else the newest of each service are enough.
    asked = Asked(store, earliest, most=None if env else limit)
    with reading_from(sources, asked) as opened:
        found = [] if opened is None else opened.traces(limit, env, earliest)
    if as_json:
        _print_json(found)
    elif found:
        _print_table(found)
    else:
        filtered = env is not None or since is not None
        print("No recorded trace matches." if filtered else NOTHING_RECORDED)
        print("List all: flash-otel traces" if filtered else HOW_TO_RECORD)


def _print_json(found: "list[TraceSummary]") -> None:
    import json
    from dataclasses import asdict

    print(json.dumps([asdict(summary) for summary in found], indent=2))


def _print_table(found: "list[TraceSummary]") -> None:
    from flash_otel.cli.consoles import CommandConsole
    from flash_otel.report.listing import render_traces

    render_traces(found, CommandConsole())
