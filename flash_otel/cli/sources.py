"""The input of a command: the sources of `--from`, `--since`, and the progress of reading."""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from flash_otel import semconv
from flash_otel.cli.app import BAD_USAGE, COULD_NOT_TELL, CommandError, MissingError
from flash_otel.cli.streams import note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.diagnosis import Limits
    from flash_otel.diagnosis.evidence import Deployment
    from flash_otel.diagnosis.readers import RecordReader
    from flash_otel.diagnosis.recorded import RecordedSpans
    from flash_otel.records import SpanRecord

    ShowProgress = Callable[[int, int], None]

STORE: Final = "store"
DEMO: Final = "demo"
JAEGER: Final = "jaeger"
WORKER: Final = "worker:"
FromOption = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="store|demo|FILE|-|jaeger[=URL]|worker:ENDPOINT",
        help="A log or an OTLP file, - for standard input, store for the local store, demo for the "
        "last demo, jaeger for http://localhost:16686, or worker:ENDPOINT for the logs of an "
        "endpoint's workers (its id or name). Can be repeated. By default, the store.",
    ),
]
FilesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE", help="Files to read, as with --from.", show_default=False),
]

SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="AGE", help="Only spans of the last 30m, 2h, 7d ..."),
]

UNITS: Final[dict[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NAME: Final = re.compile(r"[\w-]+")
_AGE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhdw])", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Selection:
    """The records that a command wants from its sources.

    Attributes:
        store: The store's file as the user named it; None for the default.
        earliest: Earliest start, in nanoseconds since the epoch; None for no limit.
        trace: A trace id or its first digits; None for all traces.
        most: How many of the newest traces are enough; None for all.
        app: The app that is asked about; None if unknown.
        environment: The name or id of the environment that is asked about; None if unknown.
    """

    store: str | None = None
    earliest: int | None = None
    trace: str | None = None
    most: int | None = None
    app: str | None = None
    environment: str | None = None

    @property
    def verify(self) -> str:
        """The next step where no recording can be read."""
        from flash_otel.diagnosis.faults.verdicts import verify_command_for

        command = verify_command_for(self.app, self.environment)
        return f"Query the State Manager instead: {command}"


def sources_of(files: list[str] | None, sources: list[str] | None) -> list[str] | None:
    """Return the sources that a command names: the values of `--from`, then its arguments.

    Raises:
        CommandError: An argument is no file, and looks like the name of an environment.
    """
    for name in files or ():
        is_source = name.partition("=")[0] in (STORE, DEMO, JAEGER, "-")
        if not is_source and _NAME.fullmatch(name) and not Path(name).exists():
            hint = f"To ask about an environment, write: --env {name}"
            raise CommandError(f"there is no file {name} here.", hint)
    return [*(sources or ()), *(files or ())] or None


def records_of(names: list[str], selection: Selection) -> Iterator[SpanRecord]:
    """Yield the records of all sources; an empty source is only mentioned on standard error.

    Args:
        names: The values of `--from`.
        selection: The wanted records.

    Raises:
        CommandError: A source cannot be read, or all of them are empty.
    """
    from flash_otel.diagnosis.readers import NothingFoundError, ReaderError

    empty: list[NothingFoundError] = []
    names = list(dict.fromkeys(names))
    for name in names:
        try:
            yield from _records(_reader(name, selection), selection.earliest)
        except NothingFoundError as error:
            empty.append(error)
        except ReaderError as error:
            raise CommandError(
                f"{error}.", error.next_step or selection.verify, BAD_USAGE
            ) from error
    if len(empty) == len(names):
        steps = dict.fromkeys(source.next_step or selection.verify for source in empty)
        message = "; ".join(map(str, empty))
        raise CommandError(f"{message}.", "\n".join(steps), COULD_NOT_TELL)
    for source in empty:
        _note(str(source))


@contextmanager
def diagnosable(
    names: list[str], selection: Selection
) -> Iterator[Iterator[SpanRecord] | RecordedSpans]:
    """Open the sources for a diagnosis, which looks up records in the store if that is all.

    Args:
        names: The values of `--from`.
        selection: The wanted records.

    Raises:
        CommandError: A source cannot be read, or all of them are empty.
    """
    names, selection = resolved(names, selection)
    if names != [STORE]:
        yield records_of(names, selection)
        return
    from flash_otel.diagnosis.readers import NothingFoundError, ReaderError, StoreReader

    try:
        with StoreReader(selection.store, selection.earliest).recorded() as spans:
            yield spans
    except NothingFoundError as error:
        raise CommandError(f"{error}.", selection.verify, COULD_NOT_TELL) from error
    except ReaderError as error:
        raise CommandError(f"{error}.", error.next_step or selection.verify, BAD_USAGE) from error


def resolved(names: list[str], selection: Selection) -> tuple[list[str], Selection]:
    """Return the sources without repetition; the last demo alone is a store like the user's.

    Raises:
        CommandError: No demo is recorded.
    """
    names = list(dict.fromkeys(names))
    if names != [DEMO]:
        return names, selection
    return [STORE], replace(selection, store=str(demo_store()))


def demo_store() -> Path:
    """Return the path of the store that holds the last demo.

    Raises:
        CommandError: No demo is recorded.
    """
    from flash_otel.store.store import StoreError, locate_demo, newest

    try:
        path = locate_demo()
        if newest(path) is not None:
            return path
    except StoreError as error:
        raise CommandError(f"{error}.", status=COULD_NOT_TELL) from error
    message = f"no demo is recorded: there is no {path}."
    raise CommandError(message, "Run one: flash-otel demo", COULD_NOT_TELL)


def from_options(names: list[str] | None, store: str | None = None) -> str:
    """Return the options that name the same sources in a suggested command.

    Args:
        names: The sources.
        store: The store's file as the user named it; None for the default.
    """
    named = [name for name in dict.fromkeys(names or ()) if _can_be_named(name)]
    is_store = not named or STORE in named
    words = [] if named == [STORE] else [word for name in named for word in ("--from", name)]
    words += ["--store", store] if store and is_store else []
    return "".join(f" {shlex.quote(word)}" for word in words)


def _can_be_named(name: str) -> bool:
    # Standard input cannot be read again. Jaeger's address may hold a user and a password, which
    # must not be printed.
    is_secret = name.partition("=")[0] == JAEGER and "@" in name
    return name != "-" and not is_secret


def _jaeger_reader(url: str, selection: Selection) -> RecordReader:
    from flash_otel.diagnosis.readers.jaeger import DEFAULT_URL, JaegerReader

    return JaegerReader(
        url or DEFAULT_URL,
        since_ns=selection.earliest,
        trace_id=selection.trace,
        most=selection.most,
        on_note=_note,
    )


def _reader(name: str, selection: Selection) -> RecordReader:
    kind, _, url = name.partition("=")
    if kind == JAEGER:
        return _jaeger_reader(url, selection)
    if name.startswith(WORKER):
        return _worker_reader(name.removeprefix(WORKER), selection)
    if name in {STORE, DEMO}:
        from flash_otel.diagnosis.readers import StoreReader

        path = demo_store() if name == DEMO else selection.store
        return StoreReader(path, selection.earliest)
    from flash_otel.diagnosis.readers import open_reader

    return open_reader(name)


def _worker_reader(endpoint: str, selection: Selection) -> RecordReader:
    from flash_otel.cli.installed import require_flash
    from flash_otel.store.queries import TraceFilter
    from flash_otel.verify.recorded_endpoints import last_endpoints
    from flash_otel.verify.worker_logs import HOW_TO_COPY, WorkerReader

    try:
        require_flash()
    except MissingError as error:
        raise MissingError(error.message, f"{error.next_step}\n{HOW_TO_COPY}") from None
    asked = TraceFilter(selection.environment, selection.app)
    return WorkerReader(endpoint, last_endpoints(selection.store, asked), on_note=_note)


def _records(reader: RecordReader, earliest: int | None) -> Iterator[SpanRecord]:
    """Yield a reader's records since `earliest`, and all those without a time."""
    with progress_bar(f"reading {reader.name}") as progress:
        for record in reader.records(progress):
            # A verdict that was published is no part of what was recorded.
            if record.name == semconv.DIAGNOSIS:
                continue
            # Spans that are rebuilt from lines without a clock start at 0.
            if earliest is None or not record.start_ns or record.start_ns >= earliest:
                yield record


def _note(text: str) -> None:
    note(f"flash-otel: {text}")


def is_running(deployment: Deployment) -> bool | None:
    """Return whether a deployment's process still runs on this machine; None if unknown."""
    process = deployment.process
    is_local = process.host == socket.gethostname() or process.host.startswith("store ")
    # On Windows, signal 0 is CTRL_C_EVENT.
    if process.pid is None or not is_local or os.name == "nt":
        return None
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def local_limits() -> Limits:
    """Return the assumptions of a diagnosis on this machine, whose processes can be looked up."""
    from flash_otel.diagnosis import Limits

    return Limits(is_running=is_running)


def since_ns(text: str | None) -> int | None:
    """Return the time that was an age ago, in nanoseconds since the epoch; None stays None.

    Raises:
        CommandError: The age is invalid.
    """
    if text is None:
        return None
    return max(0, time.time_ns() - int(age_in_seconds(text) * 1e9))


def age_in_seconds(text: str) -> float:
    """Return the seconds of an age such as `2h`, `30m` or `1.5d`.

    Raises:
        CommandError: It is not a number with one of the units s, m, h, d, w.
    """
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise CommandError(
            f"invalid age: {text!r}.",
            "Give a number and a unit (s, m, h, d or w), for example: --since 2h",
        )
    return float(found[1]) * UNITS[found[2].lower()]


@contextmanager
def progress_bar(title: str, total: int | None = None) -> Iterator[ShowProgress | None]:
    """Show a progress bar while the block runs; yield None unless standard error is a terminal.

    Args:
        title: The description of the bar.
        total: The number of steps, if it is known and should be shown.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    last = TimeRemainingColumn() if total is None else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), last)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(ascii(title)[1:-1]), total=total)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        yield advance


@contextmanager
def late_progress_bar(title: str) -> Iterator[ShowProgress]:
    """Yield a function that shows a progress bar from its first call on.

    Rich cannot show two bars at once, and the bar of the source that is being read comes first.
    """
    with ExitStack() as shown:
        bars: list[ShowProgress | None] = []

        def advance(done: int, total: int) -> None:
            if not bars:
                bars.append(shown.enter_context(progress_bar(title)))
            if bars[0] is not None:
                bars[0](done, total)

        yield advance
