"""`flash-otel push` and `status`: send the waiting spans now, or show how many wait, and why."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from flash_otel.cli import open_store
from flash_otel.cli.app import CLEAN, COULD_NOT_TELL, CommandError, MissingError
from flash_otel.cli.sources import progress_bar
from flash_otel.cli.streams import print_text
from flash_otel.report.words import clean, moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flash_otel.export.delivery import StoreSpanSource
    from flash_otel.export.destination import Destination
    from flash_otel.export.sending import Tally, Transport
    from flash_otel.store.cursors import DeliveryStatus
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
    store: open_store.StoreOption = None,
) -> int:
    """Send the waiting spans to the OTLP endpoints in the OTEL_EXPORTER_OTLP_* variables.

    Without these variables, the endpoints are those that spans are waiting for. Spans are sent in
    the order in which they ended; spans that are not accepted wait for the next run.
    """
    from flash_otel.redaction import remember_environment

    # Endpoints and headers hold credentials; a transport's error text may quote them.
    remember_environment()
    with open_store.updating(store, _register) as opened:
        if opened is None:
            print_text(open_store.NOTHING_RECORDED)
            return CLEAN
        destinations = _destinations(opened)
        if everything or rejected:
            _rewind(opened, destinations, to_rejected=not everything)
        path, elsewhere = opened.path, list(_elsewhere(opened, destinations))
    # Closed before sending, because each source opens the store itself.
    if not destinations:
        print_text("No spans are waiting: no run has named an OTLP endpoint yet.")
        print_text(f"Name one: {_EXAMPLE}")
    # A list, because every destination is tried, whatever the status of the others.
    result = max([_push(destination, path) for destination in destinations], default=CLEAN)
    for line in elsewhere:
        print_text(line)
    return result


def _destinations(store: SpanStore) -> list[Destination]:
    from flash_otel.export.destination import forwarded, known
    from flash_otel.store.cursors import delivery_statuses
    from flash_otel.store.errors import translated

    named = forwarded()
    if named:
        return named
    with translated(store.path):
        found = [known(status.name) for status in delivery_statuses(store.connection)]
    if len(found) > 1 and any(destination.headers for destination in found):
        names = "".join(f"\n  {clean(destination.name)}" for destination in found)
        message = f"headers are set, but several destinations are known:{names}"
        raise CommandError(message, "Set OTEL_EXPORTER_OTLP_ENDPOINT to choose one.")
    return found


def _elsewhere(store: SpanStore, destinations: list[Destination]) -> Iterator[str]:
    """Describe the spans that wait for destinations other than these."""
    from flash_otel.store.cursors import delivery_statuses
    from flash_otel.store.errors import translated

    names = {destination.name for destination in destinations}
    with translated(store.path):
        others = [each for each in delivery_statuses(store.connection) if each.name not in names]
    for status in others:
        if status.waiting:
            yield f"{_count(status.waiting)} waiting for another destination, {clean(status.name)}"
            yield f"  {_if_gone(status.name)}"


def _named() -> set[str]:
    """Return the names of the destinations that the environment names."""
    from flash_otel.export.destination import forwarded

    return {destination.name for destination in forwarded()}


def _if_gone(name: str) -> str:
    url = clean(name.partition(" ")[2])
    return f"if the address is gone: flash-otel status --forget {quote(url)}"


def _count(spans: int) -> str:
    return "1 span" if spans == 1 else f"{spans} spans"


def _register(store: SpanStore) -> None:
    from flash_otel.store.cursors import register
    from flash_otel.store.errors import translated

    with translated(store.path):
        names = [destination.name for destination in _destinations(store)]
        register(store.connection, names)


def _rewind(store: SpanStore, destinations: list[Destination], *, to_rejected: bool) -> None:
    from flash_otel.store.cursors import rewind
    from flash_otel.store.errors import translated

    with translated(store.path):
        for destination in destinations:
            rewind(store.connection, destination.name, to_rejected=to_rejected)


def _push(destination: Destination, path: Path) -> int:
    from flash_otel.export.delivery import StoreSpanSource
    from flash_otel.export.forwarder import transport_to
    from flash_otel.runtime.instrumentation import utils
    from flash_otel.store.errors import StoreError

    source, transport = StoreSpanSource(path, destination.name), transport_to(destination)
    try:
        with source.session() as is_alone, utils.suppress_instrumentation():
            tally = _send(destination.host, source, transport) if is_alone else None
            waiting = source.backlog().spans
    except StoreError as error:
        raise CommandError(str(error), status=COULD_NOT_TELL) from error
    finally:
        transport.close()
    lines = ["another process is sending"] if tally is None else _lines(tally, waiting)
    for line in lines:
        print_text(f"{destination.host}: {line}")
    if waiting and destination.name not in _named():
        print_text(f"  {_if_gone(destination.name)}")
    return COULD_NOT_TELL if waiting or (tally is not None and tally.rejected) else CLEAN


def _send(host: str, source: StoreSpanSource, transport: Transport) -> Tally:
    """Send everything that waits, within a session; show the progress on a terminal."""
    from flash_otel.export.sending import send_all

    total = source.backlog().spans
    with progress_bar(host, total) as advance:

        def show(tally: Tally) -> None:
            if advance is not None:
                advance(tally.delivered + tally.rejected, total)

        return send_all(source, transport, show)


def _lines(tally: Tally, waiting: int) -> Iterator[str]:
    if tally.delivered:
        yield f"{tally.delivered} spans sent"
    if tally.rejected:
        yield f"{tally.rejected} spans rejected ({tally.rejection}). See: flash-otel status"
    if tally.trouble is not None:
        yield f"{waiting} spans waiting ({tally.trouble.reason})"
    elif not tally.delivered and not tally.rejected:
        yield "no spans are waiting. Send everything that is recorded: flash-otel push --all"


# --- status ---------------------------------------------------------------------------------------


def status(
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print a JSON list, one object for each destination."),
    ] = False,
    forget: Annotated[
        str | None,
        typer.Option(
            metavar="DESTINATION",
            help="Stop keeping spans for a destination whose address is gone: its URL or host.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Forget without asking.")] = False,
    store: open_store.StoreOption = None,
) -> None:
    """Show how many spans wait for each destination, since when, and why.

    Times in JSON are nanoseconds since the epoch.
    """
    if forget is not None:
        _forget(forget, store, is_sure=yes)
        return
    with open_store.reading(store) as opened:
        found = [] if opened is None else _statuses(opened)
        path = None if opened is None else opened.path
    if as_json:
        _print_json(found)
    elif path is None:
        print_text(open_store.NOTHING_RECORDED)
        print_text(open_store.HOW_TO_RECORD)
    elif found:
        print_text("\n".join(_status_lines(found)))
    else:
        print_text(f"Spans are kept in {path} and sent nowhere.")
        print_text("Name an endpoint: OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318")


def _statuses(store: SpanStore) -> list[DeliveryStatus]:
    """Return the known destinations, and new ones that the environment names."""
    from flash_otel.export.destination import forwarded
    from flash_otel.store.cursors import DeliveryStatus, delivery_statuses
    from flash_otel.store.errors import translated

    with translated(store.path):
        known = delivery_statuses(store.connection)
    names = {delivery.name for delivery in known}
    configured_names = [destination.name for destination in forwarded()]
    return [*known, *(DeliveryStatus(name) for name in configured_names if name not in names)]


def _print_json(found: list[DeliveryStatus]) -> None:
    import json

    print(json.dumps([_object(delivery) for delivery in found], indent=2))


def _object(delivery: DeliveryStatus) -> dict[str, Any]:
    from dataclasses import asdict

    protocol, _, url = delivery.name.partition(" ")
    problem = _problem(delivery.name)
    return {"protocol": protocol, "url": url, **asdict(delivery), "problem": problem}


def _problem(name: str) -> str:
    from flash_otel.export.destination import known

    return known(name).problem


def _status_lines(found: list[DeliveryStatus]) -> Iterator[str]:
    for delivery in found:
        yield clean(delivery.name)
        yield from (f"  {clean(line)}" for line in _details(delivery))


def _details(delivery: DeliveryStatus) -> Iterator[str]:
    yield _waiting(delivery)
    if problem := _problem(delivery.name):
        yield f"nothing is sent there: {problem}"
    elif delivery.waiting and delivery.failing_since_ns is not None:
        yield f"failing since {moment(delivery.failing_since_ns)}: {delivery.reason}"
    if delivery.rejected:
        yield f"{delivery.rejected} spans rejected ({delivery.rejected_reason})"
        yield "send them again: flash-otel push --rejected"
    accepted = delivery.acknowledged_ns
    yield "nothing accepted yet" if accepted is None else f"last accepted {moment(accepted)}"


def _waiting(delivery: DeliveryStatus) -> str:
    since_ns = delivery.waiting_since_ns
    if since_ns is None:
        return "no spans waiting"
    since = moment(since_ns)
    return f"{_count(delivery.waiting)} waiting since {since}; send now: flash-otel push"


def _forget(wanted: str, store: str | None, *, is_sure: bool) -> None:
    """Remove a destination; ask first, unless `is_sure`."""
    from flash_otel.store import cursors
    from flash_otel.store.errors import translated

    with open_store.updating(store, lambda _: None) as opened:
        if opened is None:
            raise MissingError(open_store.NOTHING_RECORDED, open_store.HOW_TO_RECORD)
        with translated(opened.path):
            status = _wanted(wanted, cursors.delivery_statuses(opened.connection))
        name, waiting = clean(status.name), _count(status.waiting)
        question = f"{name}: {waiting} waiting. Forget it?"
        hint = "Add --yes to forget without asking."
        if not is_sure and not open_store.confirmed(question, hint):
            print_text("Nothing is changed.")
            return
        with translated(opened.path):
            cursors.forget(opened.connection, status.name)
    print_text(f"Forgotten: {name}. The {waiting} that waited for it stay in the store.")
    if status.name in _named():
        print_text("The environment still names it: the next run registers it again.")


def _wanted(wanted: str, statuses: list[DeliveryStatus]) -> DeliveryStatus:
    from flash_otel.export.destination import known

    found = [
        status
        for status in statuses
        if wanted in {status.name, status.name.partition(" ")[2], known(status.name).host}
    ]
    if len(found) == 1:
        return found[0]
    problem = "several destinations match" if found else "no such destination"
    names = "".join(f"\n  {clean(status.name)}" for status in found or statuses)
    raise CommandError(f"{problem}. Known ones:{names or ' none'}", "Name one of them as shown.")
