"""`flash-otel status`: how many spans wait for each destination, since when, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flash_otel.cli.open_store import HOW_TO_RECORD, NOTHING_RECORDED, StoreOption, reading
from flash_otel.report.words import clean, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.store.cursors import Standing
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
        found = [] if opened is None else _standings(opened)
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


def _standings(store: SpanStore) -> list[Standing]:
    """Return the known destinations, and new ones that the environment names."""
    from flash_otel.export import configured
    from flash_otel.store.cursors import Standing, standings
    from flash_otel.store.errors import translated

    with translated(store.path):
        known = standings(store.connection)
    names = {standing.name for standing in known}
    configured_names = [destination.name for destination in configured.forwarded()]
    return [*known, *(Standing(name) for name in configured_names if name not in names)]


def _print_json(found: list[Standing]) -> None:
    import json

    print(json.dumps([_object(standing) for standing in found], indent=2))


def _object(standing: Standing) -> dict[str, Any]:
    from dataclasses import asdict

    protocol, _, url = standing.name.partition(" ")
    return {"protocol": protocol, "url": url, **asdict(standing)}


def _lines(found: list[Standing]) -> Iterator[str]:
    for standing in found:
        yield clean(standing.name)
        yield from (f"  {clean(line)}" for line in _details(standing))


def _details(standing: Standing) -> Iterator[str]:
    yield _waiting(standing)
    if standing.waiting and standing.failing_since_ns is not None:
        yield f"failing since {moment(standing.failing_since_ns)}: {standing.reason}"
    if standing.rejected:
        yield f"{standing.rejected} spans rejected ({standing.rejected_reason})"
        yield "send them again: flash-otel push --rejected"
    accepted = standing.acknowledged_ns
    yield "nothing accepted yet" if accepted is None else f"last accepted {moment(accepted)}"


def _waiting(standing: Standing) -> str:
    since_ns = standing.waiting_since_ns
    if since_ns is None:
        return "no spans waiting"
    spans = "1 span" if standing.waiting == 1 else f"{standing.waiting} spans"
    return f"{spans} waiting since {moment(since_ns)}; send now: flash-otel push"
