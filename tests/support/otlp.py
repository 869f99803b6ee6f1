"""OTLP requests for the real Collector, and what Jaeger's API returns of them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

from support import loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from support.real_collector import Jaeger

_ARRIVAL_SECONDS: Final = 60.0
_MILLISECOND: Final = 1_000_000


def trace_id() -> str:
    """Make a trace id that no other test has."""
    return os.urandom(16).hex()


def span(trace: str, name: str = "flash.deploy", **fields: Any) -> dict[str, Any]:
    """Make one span as OTLP JSON; `attributes` is a plain dictionary of strings."""
    now = time.time_ns()
    attributes = fields.pop("attributes", {})
    return {
        "traceId": trace,
        "spanId": os.urandom(8).hex(),
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(now - _MILLISECOND),
        "endTimeUnixNano": str(now),
        "attributes": pairs(attributes),
        **fields,
    }


def pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return attributes as OTLP JSON has them."""
    return [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]


def request(spans: Iterable[dict[str, Any]], **resource: str) -> dict[str, Any]:
    """Make an OTLP JSON request of one resource."""
    attributes = {"service.name": "flash-cli", **resource}
    scope = {"scope": {"name": "flash_otel"}, "spans": list(spans)}
    return {
        "resourceSpans": [{"resource": {"attributes": pairs(attributes)}, "scopeSpans": [scope]}]
    }


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds, for a minute at most."""
    deadline = time.monotonic() + _ARRIVAL_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.05)


def wait_for_spans(jaeger: Jaeger, trace: str, ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return the resource groups of a trace, once Jaeger has all spans of these ids.

    Raises:
        AssertionError: Some did not arrive within a minute.
    """
    missing, deadline = set(ids), time.monotonic() + _ARRIVAL_SECONDS
    while time.monotonic() < deadline:
        groups = groups_of(jaeger, trace)
        missing = set(ids) - {span["spanId"] for span in spans_of(groups)}
        if not missing:
            return groups
        time.sleep(0.05)
    raise AssertionError(
        f"{len(missing)} spans of trace {trace} are missing: {sorted(missing)[:5]}"
    )


def groups_of(jaeger: Jaeger, trace: str) -> list[dict[str, Any]]:
    """Return what Jaeger has of a trace, as OTLP JSON's resource groups."""
    answer = loopback.get(f"{jaeger.query_url}/api/v3/traces/{trace}", timeout=30)
    if answer.status_code == 404:
        return []
    answer.raise_for_status()
    groups: list[dict[str, Any]] = answer.json()["result"]["resourceSpans"]
    return groups


def spans_of(groups: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the spans of resource groups."""
    for group in groups:
        for scope in group["scopeSpans"]:
            yield from scope.get("spans", ())  # none is left of repeated ones
