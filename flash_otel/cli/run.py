"""`flash-otel run`: run a command of Flash in this process, trace it, and report at its end.

The command runs through Flash's own entry point, as if its console script had been started.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from flash_otel import semconv
from flash_otel.cli.app import (
    CLEAN,
    COULD_NOT_TELL,
    FAULT_FOUND,
    INTERRUPTED,
    CommandError,
    MissingError,
)
from flash_otel.cli.open_store import recorded_since
from flash_otel.cli.publish import publish_decided
from flash_otel.cli.streams import note
from flash_otel.runtime import interpreters
from flash_otel.runtime.process import guarded
from flash_otel.summary.text import command_for, summarize, visible_faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flash_otel.diagnosis import Diagnosis
    from flash_otel.records import SpanRecord

_LinesOption = Annotated[
    str | None,
    typer.Option(
        metavar="MODE",
        help="Bracketed lines on standard error: auto, 1, 0, or logger:NAME.",
        show_default=False,
    ),
]
_GraphqlOption = Annotated[
    bool,
    typer.Option(
        "--capture-graphql",
        help="Add a span for each GraphQL request, with its redacted response (no variables).",
    ),
]
_EXAMPLE: Final = "For example: flash-otel run -- flash deploy"


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
    legacy_logs: _LinesOption = None,
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
    capture_graphql: _GraphqlOption = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Afterwards, read back what a worker would read.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print no summary at the end.")
    ] = False,
) -> None:
    """Run a flash command and trace it: flash-otel run -- flash deploy --env prod.

    With runpod 2, the command is rp: flash-otel run -- rp flash deploy --env prod.

    Standard output and exit status are those of flash. A summary of a deployment follows on
    standard error: its steps, whether a fault is visible, and a command that shows more.
    """
    if fail_on_fault or export:
        _require_recording(store, "--fail-on-fault" if fail_on_fault else "--export")
    # Before instrumenting: a command that is not flash must not start the pipeline.
    flash = prepare(command)
    started = time.time_ns()
    with guarded("cli.run.instrument"):
        _instrument(legacy_logs, store, capture_graphql=capture_graphql)
    status = launch(flash)
    fault = _report(status, started, export, is_quiet=quiet)
    if verify:
        from flash_otel.cli.verify import after_run

        fault = after_run(started) or fault
    if fail_on_fault and status == CLEAN:
        status = fault
    # Raised past `status_of`, because a closed pipe must not replace flash's own status.
    raise SystemExit(status)


def _require_recording(store: str | None, option: str) -> None:
    from flash_otel.runtime import options
    from flash_otel.store.location import locate

    if options.resolve(store=store).store is False:
        raise CommandError(
            f"{option} needs the recording, but the store is off.", "Name a file: --store PATH"
        )
    locate(store)


def _instrument(legacy_logs: str | None, store: str | None, *, capture_graphql: bool) -> None:
    import flash_otel

    mode = {"true": True, "false": False}.get((legacy_logs or "").lower(), legacy_logs or None)
    # An argument overrides its variable, so that only the given options become arguments.
    options: dict[str, Any] = {"legacy_logs": mode, "store": store}
    given = {name: value for name, value in options.items() if value is not None}
    # The summary is printed here, and not at exit, because more may follow it.
    flash_otel.instrument(**given, capture_graphql=capture_graphql, summary=False)


def _report(status: int, started_ns: int, export: str | None, *, is_quiet: bool) -> int:
    """Report on the recording; return the exit status that it deserves by itself."""
    fault = COULD_NOT_TELL
    with guarded("cli.run.report"):
        records = recorded_since(started_ns)
        fault = FAULT_FOUND if visible_faults(records) else CLEAN
        if not records:
            return fault
        if not is_quiet:
            _print_ending(records, status, is_faulty=fault != CLEAN)
        if export is not None:
            _export(records, export)
        elif not is_quiet and os.environ.get("CI", "").strip().lower() not in {"", "0", "false"}:
            _print_place(records[0].trace_id)
        _publish(records)
    return fault


def _publish(records: list[SpanRecord]) -> None:
    """Send the verdict on a deployment to the backend that gets its spans."""
    root = next((record for record in records if record.name == semconv.DEPLOY), None)
    # The backend has no trace for the verdict if the trace was not sampled.
    if root is not None and root.sampled:
        publish_decided(lambda: _diagnose(root.trace_id))


def _diagnose(trace_id: str) -> Diagnosis:
    from flash_otel import pipeline
    from flash_otel.diagnosis import diagnose
    from flash_otel.diagnosis.readers import StoreReader

    with StoreReader(pipeline.store_path()).recorded() as spans:
        return diagnose(spans, trace_id=trace_id)


def _print_ending(records: list[SpanRecord], status: int, *, is_faulty: bool) -> None:
    """Print the summary; after a failure, the report instead."""
    from flash_otel import pipeline

    store = pipeline.store_path()
    if store is None:
        return
    if not (status or is_faulty):
        summary = summarize(records, store)
        if summary is not None:
            summary.print()
        return
    from flash_otel.report.ending import render_ending
    from flash_otel.report.layout import ReportConsole

    render_ending(records, ReportConsole(stderr=True), status, command_for(records, store))


def _export(records: list[SpanRecord], target: str) -> None:
    """Write the spans to an OTLP JSON file; a failure must not change flash's exit status."""
    from flash_otel.otlp.encode import encode_json

    try:
        Path(target).write_text(json.dumps(encode_json(records)) + "\n", encoding="utf-8")
    except OSError as error:
        _note(f"could not write {target}: {error.strerror}")
    else:
        _note(f"trace {records[0].trace_id} ({len(records)} spans) written to {target}")


def _print_place(trace_id: str) -> None:
    """Print where the recording is: a pipeline's machine cannot be searched later."""
    from flash_otel import pipeline

    path = pipeline.store_path()
    _note(f"trace {trace_id} recorded in {path}; --export FILE keeps it as an artifact")


def _note(text: str) -> None:
    note(f"flash-otel: {text}")


# --- flash in this process ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Flash:
    """A command of Flash, ready to run in this interpreter.

    Attributes:
        entry_point: The console script's entry point.
        argv: `sys.argv` as the console script would see it.
    """

    entry_point: EntryPoint
    argv: tuple[str, ...]


def prepare(command: Sequence[str]) -> Flash:
    """Find the entry point that `command` would run, without importing it.

    Raises:
        CommandError: It is not a command of Flash, or Flash is not installed in this interpreter.
    """
    word = Path(command[0])
    name = interpreters.script_name(command[0])
    if not name:
        raise CommandError(f"run takes a flash or rp command, not {command[0]!r}.", _EXAMPLE)
    named = word if len(word.parts) > 1 else None
    entry_point = _entry_point(name)
    if named is not None and not interpreters.runs_here(named):
        raise MissingError(*interpreters.explain(named, command))
    if entry_point is None:
        raise MissingError(*interpreters.explain(_on_path(name), command))
    return Flash(entry_point, (str(named or _script(name)), *command[1:]))


def _entry_point(name: str) -> EntryPoint | None:
    scripts = entry_points(group="console_scripts", name=name)
    # Other packages install a `flash`, too, and runpod 1 a `runpod`.
    package = interpreters.SCRIPTS[name].package
    ours = (script for script in scripts if f"{script.module}.".startswith(f"{package}."))
    return next(ours, None)


def _script(name: str) -> Path:
    """Return the console script of this interpreter; PATH may lead to that of another."""
    installed = Path(sysconfig.get_path("scripts"), name)
    on_path = _on_path(name)
    if not installed.exists() and on_path is not None and interpreters.runs_here(on_path):
        return on_path
    return installed


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


def launch(flash: Flash) -> int:
    """Run flash and return the exit status that its own process would have had.

    An uncaught exception is printed as Python prints it.
    """
    with _as_script(flash):
        try:
            sys.exit(flash.entry_point.load()())
        except SystemExit as ending:
            return _status(ending)
        except KeyboardInterrupt as interrupt:
            _print_exception(interrupt)
            return INTERRUPTED
        except Exception as error:
            _print_exception(error)
            return 1


def _status(ending: SystemExit) -> int:
    if ending.code is None:
        return 0
    if isinstance(ending.code, int):
        return ending.code
    note(str(ending.code))
    return 1


def _print_exception(error: BaseException) -> None:
    """Print it with the hook that flash installed (Typer's), without this module's frame."""
    traceback = error.__traceback__.tb_next if error.__traceback__ else None
    sys.excepthook(type(error), error.with_traceback(traceback), traceback)


@contextmanager
def _as_script(flash: Flash) -> Iterator[None]:
    """Give the process the arguments, the main module and the path of the console script.

    Flash's help prints the program's name, its build imports from the project's folder, and
    processes that it spawns import the main module again.
    """
    script = ModuleType("__main__")
    script.__file__ = flash.argv[0]
    saved = (sys.argv, sys.modules["__main__"], list(sys.path))
    sys.argv, sys.modules["__main__"] = list(flash.argv), script
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.path.dirname(flash.argv[0])  # noqa: PTH120 - as Python itself does
    try:
        yield
    finally:
        sys.argv, sys.modules["__main__"], sys.path[:] = saved
