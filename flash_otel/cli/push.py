"""`flash-otel push`: send the waiting spans of the store now, and report the result."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from flash_otel.cli.errors import CLEAN, COULD_NOT_TELL, CommandError
from flash_otel.cli.open_store import NOTHING_RECORDED, StoreOption, updating
from flash_otel.cli.sources import progress_bar

if TYPE_CHECKING:
    from flash_otel.export.batches import Tally
    from flash_otel.export.destination import Destination
    from flash_otel.store.store import SpanStore

_EXAMPLE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 flash-otel push"


def push(
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Send the whole store again, with what was recorded without an endpoint."
        ),
    ] = False,
    rejected: Annotated[
        bool,
        typer.Option("--rejected", help="Send again from the first rejected span on."),
    ] = False,
    store: StoreOption = None,
) -> int:
    """Send the waiting spans to the OTLP endpoints that the environment names.

    If it names none, to those that spans are waiting for. Spans go out in the order in which they
    ended; those that are not accepted wait for the next run.
    """
    from flash_otel.redaction import remember_environment

    # Endpoints and headers hold credentials; a transport's error text may quote them.
    remember_environment()
    with updating(store, _register) as opened:
        if opened is None:
            print(NOTHING_RECORDED)
            return CLEAN
        destinations = _destinations(opened)
        if everything or rejected:
            _rewind(opened, destinations, to_rejected=not everything)
        path = opened.path
    # Closed before sending, because each source opens the store itself.
    if not destinations:
        print("No spans are waiting: no run has named an OTLP endpoint yet.")
        print(f"Name one: {_EXAMPLE}")
    # A list, because every destination is tried, whatever the status of the others.
    return max([_push(destination, path) for destination in destinations], default=CLEAN)


def _destinations(store: "SpanStore") -> "list[Destination]":
    from flash_otel.export import configured
    from flash_otel.export.destination import known
    from flash_otel.store.cursors import standings
    from flash_otel.store.errors import translated

    named = configured.forwarded()
    if named:
        return named
    with translated(store.path):
        return [known(standing.name) for standing in standings(store.connection)]


def _register(store: "SpanStore") -> None:
    from flash_otel.store.cursors import register
    from flash_otel.store.errors import translated

    with translated(store.path):
        names = [destination.name for destination in _destinations(store)]
        register(store.connection, names)


def _rewind(store: "SpanStore", destinations: "list[Destination]", *, to_rejected: bool) -> None:
    from flash_otel.store.cursors import rewind
    from flash_otel.store.errors import translated

    with translated(store.path):
        for destination in destinations:
            rewind(store.connection, destination.name, to_rejected=to_rejected)


def _push(destination: "Destination", path: Path) -> int:
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    from flash_otel.export.batches import send_all
    from flash_otel.export.forwarder import transport_to
    from flash_otel.export.source import StoreSource
    from flash_otel.store.errors import StoreError

    source, transport = StoreSource(path, destination.name), transport_to(destination)
    try:
        total = source.backlog().spans
        with suppress_instrumentation(), progress_bar(destination.host, total) as advance:

            def show(tally: "Tally") -> None:
                if advance is not None:
                    advance(tally.delivered + tally.rejected, total)

            tally = send_all(source, transport, show)
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
        yield f"{tally.rejected} spans rejected ({tally.rejection}). See: flash-otel status"
    if tally.is_elsewhere:
        yield "another process is sending"
    elif tally.trouble is not None:
        yield f"{waiting} spans waiting ({tally.trouble.reason})"
    elif not tally.delivered and not tally.rejected:
        yield "no spans are waiting. Send everything that is recorded: flash-otel push --all"
