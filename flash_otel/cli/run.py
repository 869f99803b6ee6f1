"""`flash-otel run`: run a flash command in this process, trace it, and report at its end."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from flash_otel import semconv
from flash_otel.cli.errors import CLEAN, COULD_NOT_TELL, FAULT_FOUND, CommandError
from flash_otel.cli.open_store import recorded_since
from flash_otel.records import SpanRecord
from flash_otel.runtime.process import guarded

_LINES_HELP = "Bracketed lines on standard error: auto, true, false, or the name of a logger."
# Codes that do not name a fault.
_NO_FAULTS = frozenset({semconv.NONE, semconv.INCONCLUSIVE, semconv.ENVIRONMENT_CREATED})


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
        str | None, typer.Option(metavar="MODE", help=_LINES_HELP, show_default=False)
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="PATH|off", help="The store to record in.", show_default=False),
    ] = None,
    export: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write the recording as an OTLP JSON file.", show_default=False
        ),
    ] = None,
    capture_graphql: Annotated[
        bool,
        typer.Option(
            "--capture-graphql",
            help="Add a span for each GraphQL request, with its redacted response (no variables).",
        ),
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Afterwards, read back what a worker would read.")
    ] = False,
) -> None:
    """Run a flash command and trace it: flash-otel run -- flash deploy --env prod.

    Standard output and exit status are those of flash. After a failure, a report follows on
    standard error. After a success, one line follows if that is a terminal.
    """
    from flash_otel.cli.launcher import launch, prepare

    if fail_on_fault or export:
        _require_recording(store, "--fail-on-fault" if fail_on_fault else "--export")
    # Before instrumenting: a command that is not flash must not start the pipeline.
    flash = prepare(command)
    started = time.time_ns()
    with guarded("cli.run.instrument"):
        _instrument(legacy_logs, store, capture_graphql=capture_graphql)
    status = launch(flash)
    fault = _report(status, started, store, export)
    if verify:
        from flash_otel.cli.verify import after_run

        fault = after_run(started, store) or fault
    if fail_on_fault and status == CLEAN:
        status = fault
    # Raised past `status_of`, because a closed pipe must not replace flash's own status.
    raise SystemExit(status)


def _require_recording(store: str | None, option: str) -> None:
    from flash_otel.runtime import options

    if options.resolve(store=store).store is False:
        raise CommandError(
            f"{option} needs the recording, but the store is off.", "Name a file: --store PATH"
        )


def _instrument(legacy_logs: str | None, store: str | None, *, capture_graphql: bool) -> None:
    import flash_otel

    mode = {"true": True, "false": False}.get((legacy_logs or "").lower(), legacy_logs or None)
    # An argument overrides its variable, so that only the given options become arguments.
    options: dict[str, Any] = {"legacy_logs": mode, "store": store}
    given = {name: value for name, value in options.items() if value is not None}
    flash_otel.instrument(**given, capture_graphql=capture_graphql)


def _report(status: int, started_ns: int, store: str | None, export: str | None) -> int:
    """Report on the recording; return the exit status that it deserves by itself."""
    fault = COULD_NOT_TELL
    with guarded("cli.run.report"):
        records = recorded_since(started_ns, store)
        fault = FAULT_FOUND if visible_faults(records) else CLEAN
        if not records:
            return fault
        if status or fault or sys.stderr.isatty():
            from flash_otel.report.ending import render_ending
            from flash_otel.report.layout import ReportConsole

            render_ending(records, ReportConsole(stderr=True), status)
        if export is not None:
            _export(records, export)
        elif os.environ.get("CI", "").strip().lower() not in {"", "0", "false"}:
            _print_place(records[0].trace_id, store)
    return fault


def visible_faults(records: list[SpanRecord]) -> list[str]:
    """Return the codes of the faults that are visible on single spans, each once."""
    codes = (record.attributes.get(semconv.FAULT) for record in records)
    return list(dict.fromkeys(str(code) for code in codes if code and code not in _NO_FAULTS))


def _export(records: list[SpanRecord], target: str) -> None:
    """Write the spans to an OTLP JSON file; a failure must not change flash's exit status."""
    from flash_otel.otlp.encode import encode_json

    try:
        Path(target).write_text(json.dumps(encode_json(records)) + "\n", encoding="utf-8")
    except OSError as error:
        _note(f"could not write {target}: {error.strerror}")
    else:
        _note(f"trace {records[0].trace_id} ({len(records)} spans) written to {target}")


def _print_place(trace_id: str, store: str | None) -> None:
    """Print where the recording is: a pipeline's machine cannot be searched later."""
    from flash_otel.runtime import options
    from flash_otel.store.files import default_path

    path = options.resolve(store=store).store or default_path()
    _note(f"trace {trace_id} recorded in {path}; --export FILE keeps it as an artifact")


def _note(text: str) -> None:
    print(f"flash-otel: {text}", file=sys.stderr)
