"""`flash-otel verify`: what a worker would read now, compared and judged."""

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flash_otel.cli.errors import BAD_USAGE, CLEAN, COULD_NOT_TELL, FAULT_FOUND, CommandError
from flash_otel.cli.open_store import STORE_HELP, reading
from flash_otel.runtime.guard import swallowed

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord
    from flash_otel.verify.errors import VerifyError
    from flash_otel.verify.verdict import Verification

SECONDS = 30.0


def verify(
    app: Annotated[
        str | None,
        typer.Option("--app", metavar="APP", help="The app; by default the folder's name."),
    ] = None,
    env: Annotated[
        str | None,
        typer.Option("--env", metavar="ENV", help="Name or id; needed where there are several."),
    ] = None,
    expect_build: Annotated[
        str | None,
        typer.Option(metavar="BUILD", help="The build that should be active (or its beginning)."),
    ] = None,
    call: Annotated[
        bool, typer.Option("--call", help="Ask one endpoint for its health; no job is started.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="How long all questions may take.", min=0.1),
    ] = SECONDS,
    store: Annotated[str | None, typer.Option(metavar="PATH", help=STORE_HELP)] = None,
) -> int:
    """Read back what a worker would read, and say what is wrong with it.

    Needs no recording and writes nothing: the environment, its active build, the manifest and the
    endpoints are asked for through Flash's own client, with the API key that Flash would use.
    """
    _need_flash()
    from flash_otel.verify.errors import VerifyError

    try:
        found = _verified(app, env, expect_build, call=call, timeout=timeout, store=store)
    except VerifyError as error:
        return _fail(error, as_json=as_json)
    status = status_of(found)
    if as_json:
        from flash_otel.report.json import verification_json

        print(json.dumps(verification_json(found, status), indent=2))
    else:
        show(found, stderr=False)
    return status


def _need_flash() -> None:
    """Say where Flash is, if it is not in this interpreter, as `run` does."""
    from flash_otel.verify.flash import is_installed

    if is_installed():
        return
    from flash_otel.runtime import interpreters

    found = shutil.which("flash")
    script = Path(found) if found else None
    python = interpreters.interpreter_of(script) if script else None
    if python is None:
        raise CommandError(*interpreters.explain(script, ["flash"]))
    again = shlex.join([str(python), "-m", "flash_otel", *sys.argv[1:]])
    add = interpreters.install_command(python)
    raise CommandError(
        f"flash lives in another interpreter ({python}).",
        f"Add flash-otel there:  {add}\nThen run:              {again}",
    )


def _verified(
    app: str | None,
    env: str | None,
    expect_build: str | None,
    *,
    call: bool,
    timeout: float,
    store: str | None,
) -> "Verification":
    from flash_otel.verify.verify import verify as run

    with reading(store) as opened:
        return run(
            app or Path.cwd().name,  # as `flash deploy` has it (`discover_flash_project`)
            env,
            expected_build=expect_build,
            call=call,
            seconds=timeout,
            store=opened,
        )


def after_run(started_ns: int, store: str | None) -> int:
    """Verify what `flash-otel run` has just deployed, and report on standard error.

    Args:
        started_ns: When the run began, in nanoseconds since the epoch.
        store: The store that the run was given, or None.

    Returns:
        The exit status that the verification deserves.
    """
    try:
        return _after_run(started_ns, store)
    except Exception:  # flash's own status must come through
        swallowed("cli.verify.after_run")
        return COULD_NOT_TELL


def _after_run(started_ns: int, store: str | None) -> int:
    from flash_otel.cli.recorded import recorded_since
    from flash_otel.verify.errors import VerifyError

    app, env = _deployed(recorded_since(started_ns, store))
    print("\nflash-otel verify: what a worker would read now", file=sys.stderr)
    recording = store if store is not None and Path(store).is_file() else None
    try:
        found = _verified(app, env, None, call=False, timeout=SECONDS, store=recording)
    except (VerifyError, CommandError) as error:
        print(f"flash-otel verify: {error.message}", file=sys.stderr)
        print(error.next_step, file=sys.stderr)
        return FAULT_FOUND if getattr(error, "code", None) else COULD_NOT_TELL
    show(found, stderr=True)
    return status_of(found)


def _deployed(records: "list[SpanRecord]") -> tuple[str | None, str | None]:
    """Find which app and environment a recorded deployment went to."""
    from flash_otel import semconv

    found = [
        next((str(one.attributes[name]) for one in records if name in one.attributes), None)
        for name in (semconv.APP_NAME, semconv.ENVIRONMENT_ID)
    ]
    return found[0], found[1]


def status_of(found: "Verification") -> int:
    """Return the exit status that a verification deserves."""
    from flash_otel import semconv

    if found.is_faulty:
        return FAULT_FOUND
    return COULD_NOT_TELL if found.verdict == semconv.INCONCLUSIVE else CLEAN


def show(found: "Verification", *, stderr: bool) -> None:
    """Print a verification for people."""
    from flash_otel.report.layout import ReportConsole
    from flash_otel.report.verify import render_verification

    render_verification(found, ReportConsole(stderr=stderr))


def _fail(error: "VerifyError", *, as_json: bool) -> int:
    from flash_otel.report.json import failure_json
    from flash_otel.verify.errors import WrongNameError

    unread = FAULT_FOUND if error.code else COULD_NOT_TELL
    status = BAD_USAGE if isinstance(error, WrongNameError) else unread
    if as_json:
        said = failure_json(error.message, error.next_step, error.code, status)
        print(json.dumps(said, indent=2))
        return status
    named = f"{error.code}: {error.message}" if error.code else error.message
    raise CommandError(named, error.next_step, status)
