"""`flash-otel push`: sends what waits in the store, now, and says what came of it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from flash_otel.cli.errors import CLEAN, COULD_NOT_TELL, CommandError
from flash_otel.cli.open_store import NOTHING_RECORDED, STORE_HELP, updating

if TYPE_CHECKING:
    from flash_otel.export.batches import Tally
    from flash_otel.export.destination import Destination
    from flash_otel.export.source import StoreSource
    from flash_otel.store.store import SpanStore

_EXAMPLE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 flash-otel push"
_STATUS: Final = "See: flash-otel status"


def push(
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Send the whole store again, also what was recorded without an endpoint."
        ),
    ] = False,
    rejected: Annotated[
        bool,
        typer.Option("--rejected", help="Send again from the first span that was rejected."),
    ] = False,
    store: Annotated[str | None, typer.Option(metavar="PATH", help=STORE_HELP)] = None,
) -> int:
    """Send what waits to the OTLP endpoints that the environment names.

    Where it names none, to those that something waits for. Spans go in the order in which they
    ended; what is not taken stays and goes with the next run.
    """
    from flash_otel.redaction import remember_environment

    remember_environment()
    with updating(store, _register) as opened:
        if opened is None:
            print(NOTHING_RECORDED)
            return CLEAN
        destinations = _destinations(opened)
        _prepare(opened, destinations, everything=everything, rejected=rejected)
        path = opened.path
    if not destinations:
        print("Nothing waits: no run has named an OTLP endpoint yet.")
        print(f"Name one: {_EXAMPLE}")
    # Every one is tried, whatever came of the one before.
    return max([_push(one, path) for one in destinations], default=CLEAN)


def _destinations(opened: "SpanStore") -> "list[Destination]":
    from flash_otel.export import configured
    from flash_otel.export.destination import known
    from flash_otel.store.cursors import standings
    from flash_otel.store.errors import translated

    named = configured.forwarded()
    if named:
        return named
    with translated(opened.path):
        return [known(one.name) for one in standings(opened.connection)]


def _register(opened: "SpanStore") -> None:
    from flash_otel.store.cursors import register
    from flash_otel.store.errors import translated

    with translated(opened.path):
        register(opened.connection, [one.name for one in _destinations(opened)])


def _prepare(
    opened: "SpanStore", destinations: "list[Destination]", *, everything: bool, rejected: bool
) -> None:
    from flash_otel.store.cursors import rewind
    from flash_otel.store.errors import translated

    with translated(opened.path):
        for one in destinations if everything or rejected else ():
            rewind(opened.connection, one.name, to_rejected=not everything)


def _push(destination: "Destination", path: Path) -> int:
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    from flash_otel.export.batches import send_all
    from flash_otel.export.forwarder import transport_to
    from flash_otel.export.source import StoreSource
    from flash_otel.store.errors import StoreError

    source, transport = StoreSource(path, destination.name), transport_to(destination)
    try:
        with suppress_instrumentation(), _progressing(destination, source) as progress:
            tally = send_all(source, transport, progress)
        waiting = source.backlog().spans
    except StoreError as error:
        raise CommandError(str(error), status=COULD_NOT_TELL) from error
    finally:
        transport.close()
    for line in _lines(tally, waiting):
        print(f"{destination.host}: {line}")
    return COULD_NOT_TELL if waiting or tally.rejected else CLEAN


def _lines(tally: "Tally", waiting: int) -> Iterator[str]:
    if tally.delivered:
        yield f"{tally.delivered} spans sent"
    if tally.rejected:
        yield f"{tally.rejected} spans rejected ({tally.rejection}). {_STATUS}"
    if tally.is_elsewhere:
        yield "another process is sending"
    elif tally.trouble is not None:
        yield f"{waiting} spans wait ({tally.trouble.reason})"
    elif not tally.delivered and not tally.rejected:
        yield "nothing waits. Send everything that is recorded: flash-otel push --all"


@contextmanager
def _progressing(
    destination: "Destination", source: "StoreSource"
) -> "Iterator[Callable[[Tally], None] | None]":
    """Show a bar while spans are sent, on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(destination.host), total=source.backlog().spans)

        def advance(tally: "Tally") -> None:
            bar.update(task, completed=tally.delivered + tally.rejected)

        yield advance
