"""The entry point of `flash-otel`: parse, run one command, and turn every ending into a status.

A command runs outside of the parser. Exceptions and interrupts thus reach `status_of` unchanged in
every version of Typer, and the flash that `run` starts is not nested in another command line's
machinery.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from flash_otel._version import __version__
from flash_otel.cli import parser, streams
from flash_otel.cli.parser import Command
from flash_otel.runtime.suggestions import PROGRAM, pasteable

if TYPE_CHECKING:
    from collections.abc import Sequence

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


class MissingError(CommandError):
    """Ends a command that lacks something other than good arguments, such as a recording."""


COMMANDS: Final[dict[str, Command]] = {
    "run": Command(
        "flash_otel.cli.run:run",
        "Run a flash command and trace it: flash-otel run -- flash deploy.",
        # From the first word on, options belong to flash.
        {"allow_interspersed_args": False},
        is_report=False,
    ),
    "verify": Command(
        "flash_otel.cli.verify:verify", "Read back what a worker would read, and check it."
    ),
    "diagnose": Command(
        "flash_otel.cli.diagnose:diagnose",
        "Name the fault that the recording shows.",
        is_long=True,
    ),
    "traces": Command(
        "flash_otel.cli.traces:traces",
        "List the recorded traces with their verdicts.",
        is_long=True,
    ),
    "show": Command(
        "flash_otel.cli.show:show",
        "Show a trace with its verdict, as a tree of spans.",
        bare=("--html",),
        is_long=True,
    ),
    "push": Command(
        "flash_otel.cli.push:push",
        "Send the waiting spans to the OTLP endpoints.",
        is_report=False,
    ),
    "ui": Command(
        "flash_otel.cli.ui:ui",
        "Show the recorded deployments in the browser.",
        is_report=False,
    ),
    "status": Command(
        "flash_otel.cli.push:status",
        "Show how many spans wait for each destination, and why.",
        is_report=False,
    ),
    "prune": Command(
        "flash_otel.cli.prune:prune", "Delete old traces, or all, from the local store."
    ),
    "collector": Command(
        "flash_otel.cli.collector:collector",
        "Run the OpenTelemetry Collector and Jaeger on this machine.",
        is_report=False,
    ),
    "doctor": Command(
        "flash_otel.cli.doctor:doctor",
        "Check this installation, and report what prevents tracing.",
    ),
    "demo": Command(
        "flash_otel.cli.demo:demo",
        "Run a real deployment against a stand-in control plane, and show its trace.",
    ),
    "mcp": Command(
        "flash_otel.cli.mcp:mcp",
        "Serve diagnose, traces, show and verify to an agent, over MCP.",
        is_report=False,
    ),
    "help": Command(
        "flash_otel.cli.help:show_help", "Show the help of a command.", is_report=False
    ),
}


_VERSION_WORDS: Final = (["--version"], ["-V"])


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
        return _report_error(_with_help(error, parser.chosen_command(COMMANDS, arguments)))
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
    if "_FLASH_OTEL_COMPLETE" in os.environ:
        from flash_otel.cli import completion

        return completion.answer(COMMANDS, arguments)
    if arguments[:1] in _VERSION_WORDS:  # without the parser, whose import takes longest
        print(f"{PROGRAM} {__version__}")
        return CLEAN
    result = parsed(arguments or ["--help"])
    status = result() if callable(result) else result
    return int(status or CLEAN) if arguments else BAD_USAGE


def parsed(arguments: list[str]) -> parser.Bound | int:
    """Return a command bound to its arguments, or the status of what the parser has printed.

    Raises:
        CommandError: The arguments are no valid command line.
        BrokenPipeError: The reader of a help text has gone.
    """
    try:
        return parser.parse(COMMANDS, arguments)
    except parser.UsageError as error:
        raise CommandError(error.message, f"See: {error.path} --help") from error
    except parser.HelpUnreadError as error:
        raise BrokenPipeError from error


def _with_help(error: CommandError, command: str | None) -> CommandError:
    """Let a usage error name the help of its command."""
    is_usage = error.status == BAD_USAGE and not isinstance(error, MissingError)
    if not is_usage or command is None or "--help" in error.next_step:
        return error
    steps = [error.next_step, f"See: {PROGRAM} {command} --help"]
    return CommandError(error.message, "\n".join(filter(None, steps)), BAD_USAGE)


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _report_error(error: CommandError) -> int:
    from flash_otel.runtime.streams import terminal_width
    from flash_otel.wording import clean, fitted, fitted_line

    width = terminal_width()
    # A message may quote a file name, a server's answer, or pasted text.
    lines = list(fitted(f"{PROGRAM}: ", clean(error.message), width))
    for step in pasteable(error.next_step).splitlines():
        lines += fitted_line(clean(step), width)
    streams.note_lines(lines)
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
