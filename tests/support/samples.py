"""Spans in plain form for the tests of reports: short ids, times in milliseconds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flash_otel.records import Event, Link, SpanRecord

if TYPE_CHECKING:
    from flash_otel.records import Attributes

TRACE = "0af7651916cd43dd8448eb211c80319c"
OTHER = "ef" * 16
EPOCH_NS = 1_000_000_000_000_000_000
IDS: dict[str, str | int] = {
    "flash.environment_id": "env456",
    "flash.build_id": "abc123",
    "flash.endpoint_count": 2,
}


def span(
    number: int,
    parent: int | None,
    name: str,
    start: float,
    end: float | None,
    *,
    trace_id: str = TRACE,
    attributes: Attributes | None = None,
    error: str | None = None,
    events: tuple[Event, ...] = (),
    links: tuple[Link, ...] = (),
) -> SpanRecord:
    """Return span `number` of a trace, from `start` to `end` milliseconds after an epoch."""
    return SpanRecord(
        trace_id=trace_id,
        span_id=f"{number:016x}",
        parent_span_id=None if parent is None else f"{parent:016x}",
        name=name,
        kind="internal",
        start_ns=EPOCH_NS + int(start * 1e6),
        end_ns=None if end is None else EPOCH_NS + int(end * 1e6),
        status="unset" if error is None else "error",
        status_message=error or "",
        attributes=attributes or {},
        events=events,
        links=links,
    )


def raised(kind: str, message: str) -> Event:
    """Return the event of a recorded exception."""
    return Event("exception", EPOCH_NS, {"exception.type": kind, "exception.message": message})


def retried(reason: str) -> Event:
    """Return the event of a repeated attempt."""
    return Event("flash.retry", EPOCH_NS, {"flash.retry.reason": reason})


def healthy_deployment() -> list[SpanRecord]:
    """Return a deployment of two endpoints in which every step returned."""
    names = {"flash.app_name": "shop", "deployment.environment.name": "prod"}
    return [
        span(1, None, "flash.deploy", 0, 4000, attributes={**IDS, **names}),
        span(2, 1, "flash.build", 0, 1000),
        span(3, 1, "flash.artifact.upload", 1000, 1500, events=(retried("ConnectionError"),)),
        span(4, 1, "flash.activate", 1500, 1600, attributes=IDS),
        span(5, 1, "flash.provision", 1600, 4000, attributes=IDS),
        *(
            span(5 + n, 5, "flash.provision.endpoint", 1700, 2500 + n, attributes=resource)
            for n, resource in ((1, {"flash.resource_name": "cpu"}), (2, _GPU))
        ),
        span(8, 5, "flash.manifest.upload", 3000, 3900, attributes=IDS),
    ]


_GPU = {"flash.resource_name": "gpu"}


def failed_deployment() -> list[SpanRecord]:
    """Return a deployment whose manifest upload failed, and all spans around it with it."""
    event = raised("aiohttp.ClientError", "HTTP 500")
    broken = {"flash.deploy", "flash.provision", "flash.manifest.upload"}
    return [
        replace(record, status="error", status_message="ClientError: HTTP 500", events=(event,))
        if record.name in broken
        else record
        for record in healthy_deployment()
    ]
