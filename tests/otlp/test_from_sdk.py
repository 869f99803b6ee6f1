"""Spans of the SDK become records."""

from __future__ import annotations

from enum import Enum
from http import HTTPStatus
from typing import Any

import pytest
from opentelemetry import trace as trace_api
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link as SdkLink
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.span import TraceFlags, TraceState

from flash_otel.otlp.from_sdk import to_record
from flash_otel.pipeline.provider import AlwaysRecord
from flash_otel.records import LINES_PARTIAL, Event, Link, SpanRecord

PARENT = SpanContext(
    0xAB, 0xCD, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("k", "v")])
)


def _provider() -> TracerProvider:
    return TracerProvider(resource=Resource({"service.name": "flash-cli"}), shutdown_on_exit=False)


def test_a_finished_span_keeps_everything() -> None:
    """The record has every part of a finished span."""
    provider, exporter = _provider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = provider.get_tracer("flash_otel", "1.2").start_span(
        "flash.activate",
        context=trace_api.set_span_in_context(NonRecordingSpan(PARENT)),
        kind=SpanKind.CLIENT,
        attributes={"flash.build_id": "b1", "flash.endpoint_names": ["x", "y"]},
        links=[SdkLink(SpanContext(0x12, 0x34, is_remote=False), {"why": "code"})],
        start_time=10,
    )
    span.add_event("flash.retry", {"attempt": 2}, timestamp=15)
    span.set_status(Status(StatusCode.ERROR, "it failed"))
    span.end(20)
    (finished,) = exporter.get_finished_spans()

    assert to_record(finished) == SpanRecord(
        trace_id=f"{0xAB:032x}",
        span_id=f"{span.get_span_context().span_id:016x}",
        parent_span_id=f"{0xCD:016x}",
        name="flash.activate",
        kind="client",
        start_ns=10,
        end_ns=20,
        status="error",
        status_message="it failed",
        attributes={"flash.build_id": "b1", "flash.endpoint_names": ("x", "y")},
        events=(Event("flash.retry", 15, {"attempt": 2}),),
        links=(Link(f"{0x12:032x}", f"{0x34:016x}", {"why": "code"}),),
        resource={"service.name": "flash-cli"},
        scope_name="flash_otel",
        scope_version="1.2",
        trace_state="k=v",
        sampled=True,
    )


def test_a_running_span_is_a_snapshot() -> None:
    """A running span's record has no end, and later changes to the span do not affect it."""
    span = _provider().get_tracer("flash_otel").start_span("flash.deploy", attributes={"a": 1})
    assert isinstance(span, ReadableSpan)
    record = to_record(span)
    span.set_attribute("b", 2)
    span.end()

    assert record.end_ns is None
    assert record.attributes == {"a": 1}
    assert record.parent_span_id is None


def test_an_unsampled_span_is_marked() -> None:
    """A span that is recorded only for the store has `sampled` False."""
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    provider = TracerProvider(sampler=AlwaysRecord(ALWAYS_OFF), shutdown_on_exit=False)
    span = provider.get_tracer("flash_otel").start_span("flash.deploy")
    assert isinstance(span, ReadableSpan)
    assert to_record(span).sampled is False
    span.end()


def test_values_that_a_record_cannot_hold_become_text() -> None:
    """Bytes and mappings, which newer SDKs allow, become text; None is left out."""
    span = ReadableSpan(
        "x",
        PARENT,
        attributes={"bytes": b"\x00\x01", "map": {"k": 1}, "none": None, "list": ["a", None]},
    )
    assert to_record(span).attributes == {"bytes": "AAE=", "map": '{"k": 1}', "list": ("a",)}


def test_members_of_enumerations_become_plain_values() -> None:
    """Members of a user's enumerations become plain numbers and strings."""

    class Kind(str, Enum):
        GPU = "gpu"

    span = ReadableSpan("x", PARENT, attributes={"status": HTTPStatus.OK, "kinds": [Kind.GPU]})
    kept = to_record(span).attributes
    assert kept == {"status": 200, "kinds": ("gpu",)}
    assert type(kept["status"]) is int
    assert isinstance(kept["kinds"], tuple)
    assert [type(kind) for kind in kept["kinds"]] == [str]


@pytest.mark.parametrize("limit", [4, 32])
def test_what_an_applications_provider_cut_is_marked(limit: int) -> None:
    """A text as long as the provider's limit is partial; a list that holds one is left out."""
    provider = TracerProvider(
        span_limits=SpanLimits(max_attribute_length=limit), shutdown_on_exit=False
    )
    values: dict[str, Any] = {
        "id": "i" * 36,
        "short": "abc",
        "names": ["a", "n" * 36],
        "few": ["a"],
        "count": 2,
    }
    with provider.get_tracer("app").start_as_current_span("work", attributes=values) as span:
        running = to_record(span)  # type: ignore[arg-type]  # the SDK's span, not only the API's
    for record in (running, to_record(span)):  # type: ignore[arg-type]
        assert record.attributes == {
            "id": "iiii*" if limit == 4 else "i" * 32,
            "short": "abc",
            "few": ("a",),
            "count": 2,
            LINES_PARTIAL: ("id",),
        }


def test_a_span_without_a_context_is_rejected() -> None:
    """A span without a context is an error, not an incomplete record."""
    with pytest.raises(ValueError, match="no context"):
        to_record(ReadableSpan("x"))
