"""`flash-otel push`: send the waiting spans of the store now, and report the result."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from flash_otel.cli.errors import CLEAN, COULD_NOT_TELL, CommandError
from flash_otel.cli.open_store import NOTHING_RECORDED, StoreOption, updating
from flash_otel.cli.sources import progress_bar

if TYPE_CHECKING:
    from flash_otel.export.delivery import StoreSpanSource
    from flash_otel.export.destination import Destination
    from flash_otel.export.sending import Tally, Transport
    from flash_otel.store.store import SpanStore

_EXAMPLE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 flash-otel push"


def push(
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Send the whole store again, with spans recorded without an endpoint."
        ),
    ] = False,
    rejected: Annotated[
        bool,
        typer.Option("--rejected", help="Send again, starting with the first rejected span."),
    ] = False,
    store: StoreOption = None,
) -> int:
    """Send the waiting spans to the OTLP endpoints in the OTEL_EXPORTER_OTLP_* variables.

    Without these variables, the endpoints are those that spans are waiting for. Spans are sent in
    the order in which they ended; spans that are not accepted wait for the next run.
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
    from flash_otel.export.destination import forwarded, known
    from flash_otel.store.cursors import delivery_statuses
    from flash_otel.store.files import translated

    named = forwarded()
    if named:
        return named
    with translated(store.path):
        return [known(status.name) for status in delivery_statuses(store.connection)]


def _register(store: "SpanStore") -> None:
    from flash_otel.store.cursors import register
    from flash_otel.store.files import translated

    with translated(store.path):
        names = [destination.name for destination in _destinations(store)]
        register(store.connection, names)


def _rewind(store: "SpanStore", destinations: "list[Destination]", *, to_rejected: bool) -> None:
    from flash_otel.store.cursors import rewind
    from flash_otel.store.files import translated

    with translated(store.path):
        for destination in destinations:
            rewind(store.connection, destination.name, to_rejected=to_rejected)


def _push(destination: "Destination", path: Path) -> int:
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    from flash_otel.export.delivery import StoreSpanSource
    from flash_otel.export.forwarder import transport_to
    from flash_otel.store.files import StoreError

    source, transport = StoreSpanSource(path, destination.name), transport_to(destination)
    try:
        with source.session() as is_alone, suppress_instrumentation():
            tally = _send(destination.host, source, transport) if is_alone else None
            waiting = source.backlog().spans
    except StoreError as error:
        raise CommandError(str(error), status=COULD_NOT_TELL) from error
    finally:
        transport.close()
    lines = ["another process is sending"] if tally is None else _lines(tally, waiting)
    for line in lines:
        print(f"{destination.host}: {line}")
    return COULD_NOT_TELL if waiting or (tally is not None and tally.rejected) else CLEAN


def _send(host: str, source: "StoreSpanSource", transport: "Transport") -> "Tally":
    """Send everything that waits, within a session; show the progress on a terminal."""
    from flash_otel.export.sending import send_all

    total = source.backlog().spans
    with progress_bar(host, total) as advance:

        def show(tally: "Tally") -> None:
            if advance is not None:
                advance(tally.delivered + tally.rejected, total)

        return send_all(source, transport, show)


def _lines(tally: "Tally", waiting: int) -> Iterator[str]:
    if tally.delivered:
        yield f"{tally.delivered} spans sent"
    if tally.rejected:
        yield f"{tally.rejected} spans rejected ({tally.rejection}). See: flash-otel status"
    if tally.trouble is not None:
        yield f"{waiting} spans waiting ({tally.trouble.reason})"
    elif not tally.delivered and not tally.rejected:
        yield "no spans are waiting. Send everything that is recorded: flash-otel push --all"
