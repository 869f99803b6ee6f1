"""`flash-otel status`: how many spans wait for each destination, since when, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flash_otel.cli.open_store import HOW_TO_RECORD, NOTHING_RECORDED, StoreOption, reading
from flash_otel.report.words import clean, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.store.cursors import DeliveryStatus
    from flash_otel.store.store import SpanStore


def status(
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print a JSON list, one object for each destination."),
    ] = False,
    store: StoreOption = None,
) -> None:
    """Show how many spans wait for each destination, since when, and why.

    Times in JSON are nanoseconds since the epoch.
    """
    with reading(store) as opened:
        found = [] if opened is None else _statuses(opened)
        path = None if opened is None else opened.path
    if as_json:
        _print_json(found)
    elif path is None:
        print(NOTHING_RECORDED)
        print(HOW_TO_RECORD)
    elif found:
        print("\n".join(_lines(found)))
    else:
        print(f"Spans are kept in {path} and sent nowhere.")
        print("Name an endpoint: OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318")


def _statuses(store: SpanStore) -> list[DeliveryStatus]:
    """Return the known destinations, and new ones that the environment names."""
    from flash_otel.export.destination import forwarded
    from flash_otel.store.cursors import DeliveryStatus, delivery_statuses
    from flash_otel.store.files import translated

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
    return {"protocol": protocol, "url": url, **asdict(delivery)}


def _lines(found: list[DeliveryStatus]) -> Iterator[str]:
    for delivery in found:
        yield clean(delivery.name)
        yield from (f"  {clean(line)}" for line in _details(delivery))


def _details(delivery: DeliveryStatus) -> Iterator[str]:
    yield _waiting(delivery)
    if delivery.waiting and delivery.failing_since_ns is not None:
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
    spans = "1 span" if delivery.waiting == 1 else f"{delivery.waiting} spans"
    return f"{spans} waiting since {moment(since_ns)}; send now: flash-otel push"
