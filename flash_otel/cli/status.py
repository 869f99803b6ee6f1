"""`flash-otel status`: what waits to be sent, for whom, since when, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flash_otel.cli.open_store import HOW_TO_RECORD, NOTHING_RECORDED, STORE_HELP, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.store.cursors import Standing
    from flash_otel.store.store import SpanStore


def status(
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print a JSON list, one object for each destination."),
    ] = False,
    store: Annotated[str | None, typer.Option(metavar="PATH", help=STORE_HELP)] = None,
) -> None:
    """Show what waits to be sent: for whom, since when, and why.

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
    else:
        print("\n".join(_lines(found) if found else _nobody(str(path))))


def _standings(opened: SpanStore) -> list[Standing]:
    """Return the known destinations, and those that the environment names but nothing was for."""
    from flash_otel.export import configured
    from flash_otel.store.cursors import Standing, standings
    from flash_otel.store.errors import translated

    with translated(opened.path):
        known = standings(opened.connection)
    names = {one.name for one in known}
    return [
        *known,
        *(Standing(one.name) for one in configured.forwarded() if one.name not in names),
    ]


def _print_json(found: list[Standing]) -> None:
    import json

    print(json.dumps([_object(one) for one in found], indent=2))


def _object(standing: Standing) -> dict[str, Any]:
    from dataclasses import asdict

    protocol, _, url = standing.name.partition(" ")
    return {"protocol": protocol, "url": url, **asdict(standing)}


def _nobody(path: str) -> list[str]:
    return [
        f"Spans are kept in {path} and sent nowhere.",
        "Name an endpoint: OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318",
    ]


def _lines(found: list[Standing]) -> Iterator[str]:
    from flash_otel.report.words import clean

    for one in found:
        yield clean(one.name)
        yield from (f"  {clean(line)}" for line in _told(one))


def _told(standing: Standing) -> Iterator[str]:
    from flash_otel.report.words import moment

    yield _waiting(standing)
    if standing.waiting and standing.failing_since_ns is not None:
        yield f"failing since {moment(standing.failing_since_ns)}: {standing.reason}"
    if standing.rejected:
        yield f"{standing.rejected} spans rejected ({standing.rejected_reason})"
        yield "send them again: flash-otel push --rejected"
    taken = standing.acknowledged_ns
    yield "nothing was taken yet" if taken is None else f"last taken {moment(taken)}"


def _waiting(standing: Standing) -> str:
    from flash_otel.report.words import moment

    since_ns = standing.waiting_since_ns
    if since_ns is None:
        return "nothing waits"
    spans = "1 span waits" if standing.waiting == 1 else f"{standing.waiting} spans wait"
    return f"{spans} since {moment(since_ns)}; send now: flash-otel push"
