"""A call that found no endpoint: it points to the read that did not bring it, or to the fault."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest

import flash_otel
from flash_otel import semconv
from flash_otel.tracing.flash import TARGETS

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord
    from flash_otel.testing import Recorded

WRAPPERS: Final = {target.name: target.wrapper for target in TARGETS}
URL: Final = "https://api.example/v2/qb2"
GOOD: Final = {"resources_endpoints": {"gpu": URL}, "function_registry": {}}


class RunpodAPIKeyError(Exception):
    """Flash's exception of this name."""


@WRAPPERS["ServiceRegistry.get_routing_info"]
async def get_routing_info(route: Any) -> Any:
    return route


@flash_otel.trace_runtime_fetch
def fetch(answer: Any) -> Any:
    """Read, as a worker's registry."""
    if isinstance(answer, Exception):
        raise answer
    return answer


@flash_otel.trace_call
async def call(function_name: str, route: Any, *, fails: bool = True) -> str:
    """Call a function with this route; without an endpoint, it fails."""
    await get_routing_info(route)
    if fails:
        raise LookupError("No endpoint URL for resource 'gpu'")
    return function_name


def called(spans: Recorded, route: Any = None, *, fails: bool = True) -> SpanRecord:
    """Return the span of a call."""
    given = {"resource_name": "gpu"} if route is None else route
    if fails:
        with pytest.raises(LookupError, match="No endpoint"):
            asyncio.run(call("f", given))
    else:
        asyncio.run(call("f", given, fails=False))
    return spans.named(semconv.CALL)[-1]


def links_of(span: SpanRecord) -> list[tuple[str, str]]:
    """Return what a span links to."""
    return [(link.trace_id, link.span_id) for link in span.links]


def test_a_read_without_endpoints(spans: Recorded) -> None:
    """The call links to the read, and allows the same faults."""
    fetch({"function_registry": {}})
    span = called(spans)
    (read,) = spans.named(semconv.RUNTIME_FETCH)
    assert links_of(span) == [read.key]
    assert span.attributes[semconv.FAULT_CANDIDATES] == read.attributes[semconv.FAULT_CANDIDATES]
    assert "No endpoint URL for resource 'gpu'" in span.status_message
    assert span.attributes[semconv.ERROR_TYPE] == "LookupError"


def test_a_read_with_a_fault(spans: Recorded) -> None:
    """The call has the fault of the read."""
    with pytest.raises(RunpodAPIKeyError):
        fetch(RunpodAPIKeyError("no key"))
    span = called(spans)
    (read,) = spans.named(semconv.RUNTIME_FETCH)
    assert read.attributes[semconv.FAULT] == semconv.UNAUTHORIZED
    assert span.attributes[semconv.FAULT] == semconv.UNAUTHORIZED
    assert links_of(span) == [read.key]


def test_the_last_read_counts(spans: Recorded) -> None:
    """A good read leaves a link alone: it did not bring this endpoint."""
    fetch({"function_registry": {}})
    fetch(GOOD)
    span = called(spans)
    assert links_of(span) == [spans.named(semconv.RUNTIME_FETCH)[-1].key]
    assert semconv.FAULT not in span.attributes
    assert semconv.FAULT_CANDIDATES not in span.attributes


def test_calls_that_have_an_endpoint(spans: Recorded) -> None:
    """Neither a call that was routed, nor a local one, nor one that returned."""
    fetch({"function_registry": {}})
    for span in (
        called(spans, {"resource_name": "gpu", "endpoint_url": URL}),
        called(spans, fails=False),
    ):
        assert links_of(span) == []
        assert semconv.FAULT_CANDIDATES not in span.attributes


def test_without_a_read(spans: Recorded) -> None:
    """Without a read in this process there is nothing to point to."""
    assert links_of(called(spans)) == []


@pytest.mark.parametrize(
    ("message", "name", "code"),
    [
        ("not found. deploy it first with 'flash deploy'.", "_sentinel_qb_post", True),
        ("not found. deploy it first with 'flash deploy'.", "sentinel_lb_request", False),
        ("remote execution failed: other", "_sentinel_qb_post", False),
    ],
)
def test_an_endpoint_that_is_not_deployed(
    spans: Recorded, message: str, name: str, *, code: bool
) -> None:
    """The sentinel's 404 proves it for a job; a load-balanced endpoint may lack the route."""

    @WRAPPERS[name]
    async def post(app: str, env: str, endpoint_name: str, method: str = "GET") -> None:
        assert (app, env, endpoint_name, method) == ("app", "production", "gpu", "GET")
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match=message[:5]):
        asyncio.run(post("app", "production", "gpu"))
    (span,) = spans.named(semconv.CALL)
    fault = semconv.CALL_TARGET_UNKNOWN if code else None
    assert span.attributes.get(semconv.FAULT) == fault
