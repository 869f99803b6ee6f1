"""`flash-otel verify`: read the data that a worker would read now, and check it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flash_otel.cli.app import (
    BAD_USAGE,
    CLEAN,
    COULD_NOT_TELL,
    FAULT_FOUND,
    CommandError,
)
from flash_otel.cli.installed import require_flash
from flash_otel.cli.open_store import StoreOption, reading, recorded_since
from flash_otel.cli.sources import from_options
from flash_otel.cli.streams import note
from flash_otel.runtime.process import swallowed

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord
    from flash_otel.verify.client import VerifyError
    from flash_otel.verify.verdict import Verification

TIMEOUT_S = 30.0


def verify(
    app: Annotated[
        str | None,
        typer.Option("--app", metavar="APP", help="The app; by default the folder's name."),
    ] = None,
    env: Annotated[
        str | None,
        typer.Option(
            "--env",
            metavar="ENV",
            help="Name or id of the environment; required if there are several.",
        ),
    ] = None,
    expect_build: Annotated[
        str | None,
        typer.Option(metavar="BUILD", help="The build that should be active (or id prefix)."),
    ] = None,
    call: Annotated[
        bool,
        typer.Option("--call", help="Also check the health of one endpoint; starts no job."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Timeout for all requests together.", min=0.1),
    ] = TIMEOUT_S,
    store: StoreOption = None,
) -> int:
    """Read back what a worker would read, and report what is wrong with it.

    Needs no recording and writes nothing. It fetches the environment, its active build, the
    manifest and the endpoints through Flash's own client, with the API key that Flash would use.
    """
    require_flash()
    from flash_otel.verify.client import VerifyError

    try:
        verification = _verified(app, env, expect_build, call=call, timeout=timeout, store=store)
    except VerifyError as error:
        return _fail(error, as_json=as_json)
    status = status_of(verification)
    if as_json:
        from flash_otel.report.json import verification_json

        print(json.dumps(verification_json(verification, status), indent=2))
    else:
        _print(verification, store, stderr=False)
    return status


def checked(
    app: str | None,
    env: str | None,
    expect_build: str | None,
    *,
    call: bool,
    timeout: float = TIMEOUT_S,
    store: str | None,
) -> "Verification":
    """Verify what a worker would read now; the parameters are those of the command.

    Raises:
        CommandError: Nothing could be read; with the cause and the next step.
    """
    require_flash()
    from flash_otel.verify.client import VerifyError

    try:
        return _verified(app, env, expect_build, call=call, timeout=timeout, store=store)
    except VerifyError as error:
        raise _as_command_error(error) from error


def _verified(
    app: str | None,
    env: str | None,
    expect_build: str | None,
    *,
    call: bool,
    timeout: float,
    store: str | None,
) -> "Verification":
    from flash_otel.verify import verify as run

    with reading(store) as opened:
        return run(
            app or Path.cwd().name,  # the default of `flash deploy` (`discover_flash_project`)
            env,
            expected_build=expect_build,
            call=call,
            seconds=timeout,
            store=opened,
        )


def after_run(started_ns: int) -> int:
    """Verify what `flash-otel run` has deployed, and report on standard error.

    Args:
        started_ns: Start of the run, in nanoseconds since the epoch.

    Returns:
        The exit status of the verification.
    """
    try:
        return _after_run(started_ns)
    except Exception:  # the exit status must stay flash's own
        swallowed("cli.verify.after_run")
        return COULD_NOT_TELL


def _after_run(started_ns: int) -> int:
    from flash_otel import pipeline
    from flash_otel.store.location import is_default
    from flash_otel.verify.client import VerifyError

    app, env = _deployed(recorded_since(started_ns))
    note("\nflash-otel verify: what a worker would read now")
    # The store may be off or fail; a missing file must not end the verification.
    store = pipeline.store_path()
    recording = str(store) if store is not None and store.is_file() else None
    try:
        verification = _verified(app, env, None, call=False, timeout=TIMEOUT_S, store=recording)
    except (VerifyError, CommandError) as error:
        note(f"flash-otel verify: {error.message}")
        note(error.next_step)
        return FAULT_FOUND if getattr(error, "code", None) else COULD_NOT_TELL
    named = None if store is None or is_default(store) else str(store)
    _print(verification, named, stderr=True)
    return status_of(verification)


def _deployed(records: "list[SpanRecord]") -> tuple[str | None, str | None]:
    """Return the app and the environment that a recorded deployment went to."""
    from flash_otel import semconv

    def first(name: str) -> str | None:
        values = (record.attributes[name] for record in records if name in record.attributes)
        return next(map(str, values), None)

    return first(semconv.APP_NAME), first(semconv.ENVIRONMENT_ID)


def status_of(verification: "Verification") -> int:
    """Return the exit status of a verification."""
    from flash_otel import semconv

    if verification.is_faulty:
        return FAULT_FOUND
    return COULD_NOT_TELL if verification.verdict == semconv.INCONCLUSIVE else CLEAN


def _print(verification: "Verification", store: str | None, *, stderr: bool) -> None:
    from flash_otel.report.layout import ReportConsole
    from flash_otel.report.verification import DIAGNOSE, render_verification

    command = DIAGNOSE + from_options(None, store)
    render_verification(verification, ReportConsole(stderr=stderr), command)


def _fail(error: "VerifyError", *, as_json: bool) -> int:
    from flash_otel.report.json import failure_json

    failure = _as_command_error(error)
    if not as_json:
        raise failure
    document = failure_json(error.message, error.next_step, error.code, failure.status)
    print(json.dumps(document, indent=2))
    return failure.status


def _as_command_error(error: "VerifyError") -> CommandError:
    from flash_otel.verify.client import WrongNameError

    unread = FAULT_FOUND if error.code else COULD_NOT_TELL
    status = BAD_USAGE if isinstance(error, WrongNameError) else unread
    message = f"{error.code}: {error.message}" if error.code else error.message
    return CommandError(message, error.next_step, status)
