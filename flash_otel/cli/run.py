"""`flash-otel run`: a flash command in this process, traced, with a report at its end."""

import sys
import time
from typing import Annotated, Any

import typer

from flash_otel.cli.errors import CLEAN, COULD_NOT_TELL, FAULT_FOUND, CommandError
from flash_otel.records import SpanRecord
from flash_otel.runtime.guard import guarded

_LINES_HELP = "Bracketed lines on standard error: auto, true, false, or the name of a logger."


def run(
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="FLASH_COMMAND", help="The flash command to run.", show_default=False
        ),
    ],
    fail_on_fault: Annotated[
        bool,
        typer.Option("--fail-on-fault", help="Exit with 1 if a fault is visible in the trace."),
    ] = False,
    legacy_logs: Annotated[
        str | None,
        typer.Option(metavar="MODE", help=_LINES_HELP, show_default=False),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="PATH|off", help="Where to record.", show_default=False),
    ] = None,
    export: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write the recording as one OTLP file.", show_default=False
        ),
    ] = None,
    capture_graphql: Annotated[
        bool,
        typer.Option(
            "--capture-graphql",
            help="A span for each GraphQL request, with its redacted answer (never variables).",
        ),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read back afterwards what a worker would read."),
    ] = False,
) -> None:
    """Run a flash command, traced: flash-otel run -- flash deploy --env prod.

    Standard output and exit status are flash's own. A failed deployment ends with a report on
    standard error; a good one, on a terminal, with one line.
    """
    from flash_otel.cli.launcher import launch, prepare

    needing = "--fail-on-fault" if fail_on_fault else "--export" if export else None
    if needing and not _is_recorded(store):
        raise CommandError(
            f"{needing} needs the recording, but the store is off.", "Name a file: --store PATH"
        )
    flash = prepare(command)
    started = time.time_ns()
    with guarded("cli.run.instrument"):
        _instrument(legacy_logs, store, capture_graphql=capture_graphql)
    status = launch(flash)
    fault = _end(status, started, store, export)
    if verify:
        from flash_otel.cli.verify import after_run

        fault = after_run(started, store) or fault
    if fail_on_fault and status == CLEAN:
        status = fault
    raise SystemExit(status)


def _is_recorded(store: str | None) -> bool:
    from flash_otel.runtime import options

    return options.resolve(store=store).store is not False


def _instrument(legacy_logs: str | None, store: str | None, *, capture_graphql: bool) -> None:
    import flash_otel

    # What was not said is left to the environment's variables.
    said: dict[str, Any] = {"legacy_logs": _mode(legacy_logs), "store": store}
    chosen = {name: value for name, value in said.items() if value is not None}
    flash_otel.instrument(**chosen, capture_graphql=capture_graphql)


def _mode(said: str | None) -> bool | str | None:
    return {"true": True, "false": False}.get(said.lower(), said) if said else None


def _end(status: int, started_ns: int, store: str | None, target: str | None) -> int:
    """Report on what was recorded; return the status that the recording alone deserves."""
    fault = COULD_NOT_TELL
    with guarded("cli.run.end"):
        from flash_otel.cli.recorded import recorded_since, visible_faults

        records = recorded_since(started_ns, store)
        fault = FAULT_FOUND if visible_faults(records) else CLEAN
        if records and (status or fault or sys.stderr.isatty()):
            from flash_otel.report.ending import render_ending
            from flash_otel.report.layout import ReportConsole

            render_ending(records, ReportConsole(stderr=True), status)
        if records:
            _keep(records, store, target)
    return fault


def _keep(records: list[SpanRecord], store: str | None, target: str | None) -> None:
    from flash_otel.cli import export

    if target is None:
        export.tell_place(records[0].trace_id, store)
    else:
        export.export(records, target)
