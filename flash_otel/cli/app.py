"""The entry point of `flash-otel`: parse, run one command, and turn every ending into a status.

Typer only parses: it returns the chosen command with its arguments bound, and the command runs
outside of it. Exceptions and interrupts thus reach `status_of` unchanged in every version of Typer,
and the flash that `run` starts is not nested in another command line's machinery.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from flash_otel.cli import streams

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import typer


CLEAN: Final = 0
FAULT_FOUND: Final = 1
BAD_USAGE: Final = 2
COULD_NOT_TELL: Final = 3
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it
PIPE_CLOSED: Final = 141  # 128 + SIGPIPE


class CommandError(Exception):
    """Ends a command with an error message.

    Attributes:
        message: What is wrong, in one sentence.
        next_step: What to do about it; may hold the exact command.
        status: The exit status.
    """

    def __init__(self, message: str, next_step: str = "", status: int = BAD_USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.status = status


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        target: `module:function`. The function's signature declares arguments and options; it
            returns the exit status (None is 0).
        help: Its line in the overview.
        settings: Context settings for the parser.
        bare: Options that may be given without their value, which is then empty.
    """

    target: str
    help: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    bare: tuple[str, ...] = ()

    def load(self) -> Callable[..., int | None]:
        """Import the command's module and return its function."""
        module, _, name = self.target.partition(":")
        function: Callable[..., int | None] = getattr(import_module(module), name)
        return function


COMMANDS: Final[dict[str, Command]] = {
    "run": Command(
        "flash_otel.cli.run:run",
        "Run a flash command and trace it: flash-otel run -- flash deploy.",
        # From the first word on, options belong to flash.
        {"allow_interspersed_args": False},
    ),
    "verify": Command(
        "flash_otel.cli.verify:verify", "Read back what a worker would read, and check it."
    ),
    "diagnose": Command(
        "flash_otel.cli.diagnose:diagnose", "Name the fault that the recordings show."
    ),
    "traces": Command("flash_otel.cli.traces:traces", "List the recorded traces."),
    "show": Command(
        "flash_otel.cli.show:show", "Show a trace as a tree of spans.", bare=("--html",)
    ),
    "push": Command("flash_otel.cli.push:push", "Send the waiting spans to the OTLP endpoints."),
    "status": Command(
        "flash_otel.cli.push:status", "Show how many spans wait for each destination, and why."
    ),
    "collector": Command(
        "flash_otel.cli.collector:collector",
        "Run the OpenTelemetry Collector and Jaeger on this machine.",
    ),
    "doctor": Command(
        "flash_otel.cli.doctor:doctor",
        "Check this installation, and report what prevents tracing.",
    ),
    "demo": Command(
        "flash_otel.cli.demo:demo",
        "Run a real deployment against a stand-in control plane, and show its trace.",
    ),
}


PROGRAM: Final = "flash-otel"
_OWN_COMMAND: Final = re.compile(rf"(?<![\w/\\.-]){PROGRAM} (?=(?:{'|'.join(COMMANDS)})\b)")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `flash-otel` and exit.

    Args:
        arguments: The words after the program's name; by default, those of this process.

    Raises:
        SystemExit: With 0 (clean), 1 (a fault was found), 2 (bad usage) or 3 (no result);
            with flash's own status after `run`.
    """
    streams.prepare()
    try:
        status = status_of(list(sys.argv[1:] if arguments is None else arguments))
    finally:
        streams.settle()
    sys.exit(status)


def status_of(arguments: list[str]) -> int:
    """Run a command line and return its exit status; a user's mistake never raises."""
    try:
        if "OTEL_PYTHON_CONTEXT" in os.environ:
            _load_context()
        status = _dispatch(arguments)
        sys.stdout.flush()
    except CommandError as error:
        return _report_error(error)
    except BrokenPipeError:
        streams.drop(sys.stdout)
        return PIPE_CLOSED
    except KeyboardInterrupt:
        streams.note(f"{PROGRAM}: interrupted")
        return INTERRUPTED
    except Exception as error:
        return _report_failure(error)
    return status


def _load_context() -> None:
    """Import the API now: it writes a traceback for a context that is not installed."""
    from flash_otel.runtime import environment

    environment.load("opentelemetry.context")


def _dispatch(arguments: list[str]) -> int:
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    words = _with_values(arguments, COMMANDS[chosen].bare) if chosen in COMMANDS else arguments
    result = _parse(_application(chosen), words or ["--help"])
    if callable(result):
        result = result()
    return int(result or CLEAN) if arguments else BAD_USAGE


def _with_values(arguments: list[str], bare: tuple[str, ...]) -> list[str]:
    """Give an empty value to each of the options that stands without one; Typer requires one."""
    following = [*arguments[1:], "-"]
    return [
        f"{word}=" if word in bare and after.startswith("-") else word
        for word, after in zip(arguments, following, strict=True)
    ]


def _application(chosen: str | None) -> typer.Typer:
    """Declare all commands by name and line, and only the chosen one in full."""
    import typer

    application = typer.Typer(
        name=PROGRAM,
        help="Trace a Runpod Flash deployment from `flash deploy` to the worker's read.",
        epilog="Exit status: 0 clean, 1 a fault was found, 2 bad usage, 3 no result.",
        add_completion=False,
        rich_markup_mode=None,  # plain help: Rich takes longer to import than a command to run
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    application.callback(invoke_without_command=True)(_overview())
    for name, command in COMMANDS.items():
        declare = application.command(
            name,
            help=None if name == chosen else command.help,
            short_help=command.help,
            context_settings=dict(command.settings),
        )
        declare(_bound(command.load()) if name == chosen else _unchosen)
    return application


def _overview() -> Callable[..., None]:
    import typer

    def overview(
        version: bool = typer.Option(False, "--version", help="Show the version and exit."),  # noqa: FBT003 - Typer's form
    ) -> None:
        if version:
            from flash_otel._version import __version__

            print(f"{PROGRAM} {__version__}")
            raise typer.Exit

    return overview


def _unchosen() -> None:
    """Stand in for a command whose module is not imported, because only its line is shown."""


def _bound(function: Callable[..., int | None]) -> Callable[..., Any]:
    """Return a function of the same signature that binds its arguments instead of running."""

    @functools.wraps(function)
    def bind(*args: Any, **kwargs: Any) -> Callable[[], int | None]:
        return functools.partial(function, *args, **kwargs)

    return bind


def _parse(application: typer.Typer, arguments: list[str]) -> Any:
    """Return the bound command; or the exit status, if the parser did everything itself."""
    from typer.main import get_command

    try:
        return get_command(application).main(arguments, PROGRAM, standalone_mode=False)
    except SystemExit as ended:
        # Outside of standalone mode, the parser exits only if the reader of its help has gone.
        raise BrokenPipeError from ended
    except Exception as error:
        # Typer raises click's errors and, since 0.26, those of its vendored copy: only the method
        # is common to both.
        if not hasattr(error, "format_message"):
            raise
        path = getattr(getattr(error, "ctx", None), "command_path", PROGRAM)
        raise CommandError(_one_line(error.format_message()), f"See: {path} --help") from error


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _report_error(error: CommandError) -> int:
    from flash_otel.report.words import clean

    # A message may quote a file name, a server's answer, or pasted text.
    steps = pasteable(error.next_step).splitlines()
    lines = [f"{PROGRAM}: {clean(error.message)}", *map(clean, steps)]
    streams.note("\n".join(lines))
    return error.status


def _report_failure(error: Exception) -> int:
    """Report an unexpected error: lost output, no place for the store, or a bug."""
    from flash_otel.store.errors import StoreError

    if isinstance(error, OSError) and streams.is_output_lost(error):
        message = f"the output cannot be written: {error.strerror}"
        return _report_error(CommandError(message, status=COULD_NOT_TELL))
    if isinstance(error, StoreError):
        return _report_error(CommandError(str(error), status=COULD_NOT_TELL))
    return _report_bug(error)


def program() -> str:
    """Return how to call this program again: its name if it is on PATH, or else its path."""
    import shlex
    import shutil

    called = Path(sys.argv[0])
    if called.parts[-2:] == ("flash_otel", "__main__.py"):
        return f"{shlex.quote(sys.executable)} -m flash_otel"
    if called.stem != PROGRAM:
        return PROGRAM  # called from other code
    found = shutil.which(called.name)
    if found and os.path.realpath(found) == os.path.realpath(called):
        return called.name
    return shlex.quote(str(called))


def pasteable(text: str) -> str:
    """Return a text in which the commands of this program work when they are pasted."""
    return _OWN_COMMAND.sub(lambda _: f"{program()} ", text)


def _report_bug(error: Exception) -> int:
    if os.environ.get("FLASH_OTEL_RAISE"):
        raise error
    from flash_otel.redaction import scrub

    return _report_error(
        CommandError(
            f"internal error: {type(error).__name__}: {_one_line(scrub(str(error)))}",
            "This is a bug in flash-otel. FLASH_OTEL_RAISE=1 prints the traceback.",
            COULD_NOT_TELL,
        ),
    )
