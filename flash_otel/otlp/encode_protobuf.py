"""Records as the bytes of an OTLP ExportTraceServiceRequest.

A store may have been edited by hand: what no message can hold is replaced or left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from flash_otel import semconv
from flash_otel.otlp.encode import KIND_NUMBERS, SAMPLED, STATUS_NUMBERS

if TYPE_CHECKING:
    from flash_otel.records import Attributes, Event, Link, SpanRecord

_INT64: Final = range(-(2**63), 2**63)
_UINT64: Final = range(2**64)


def encode_protobuf(records: Iterable[SpanRecord]) -> bytes:
    """Return the request that holds these spans, grouped by resource and scope."""
    request = ExportTraceServiceRequest()
    resources: dict[str, ResourceSpans] = {}
    scopes: dict[tuple[str, str, str], ScopeSpans] = {}
    for record in records:
        resource = repr(record.resource)
        scope = (resource, record.scope_name, record.scope_version)
        if resource not in resources:
            resources[resource] = request.resource_spans.add(
                resource=Resource(attributes=_attributes(record.resource))
            )
        if scope not in scopes:
            scopes[scope] = resources[resource].scope_spans.add(**_scope(record))
        scopes[scope].spans.append(_span(record))
    encoded: bytes = request.SerializeToString()
    return encoded


def _scope(record: SpanRecord) -> dict[str, Any]:
    name, version = _text(record.scope_name), _text(record.scope_version)
    ours = record.scope_name == semconv.SCOPE_NAME
    return {
        "scope": InstrumentationScope(name=name, version=version),
        "schema_url": semconv.SCHEMA_URL if ours else "",
    }


def _span(record: SpanRecord) -> Span:
    return Span(
        trace_id=_id(record.trace_id),
        span_id=_id(record.span_id),
        parent_span_id=_id(record.parent_span_id or ""),
        trace_state=_text(record.trace_state),
        flags=SAMPLED if record.sampled else 0,
        name=_text(record.name),
        kind=KIND_NUMBERS.get(record.kind, 0),  # type: ignore[arg-type]  # protobuf takes numbers
        start_time_unix_nano=_nanos(record.start_ns),
        end_time_unix_nano=_nanos(record.end_ns or 0),
        attributes=_attributes(record.attributes),
        events=map(_event, record.events),
        links=map(_link, record.links),
        status=Status(
            code=STATUS_NUMBERS.get(record.status, 0),  # type: ignore[arg-type]  # the same
            message=_text(record.status_message),
        ),
    )


def _event(event: Event) -> Span.Event:
    return Span.Event(
        time_unix_nano=_nanos(event.time_ns),
        name=_text(event.name),
        attributes=_attributes(event.attributes),
    )


def _link(link: Link) -> Span.Link:
    return Span.Link(
        trace_id=_id(link.trace_id),
        span_id=_id(link.span_id),
        attributes=_attributes(link.attributes),
    )


def _attributes(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=_text(key), value=_value(value)) for key, value in attributes.items()]


def _value(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int) and int(value) in _INT64:
        return AnyValue(int_value=int(value))
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, Sequence) and not isinstance(value, str | Mapping):
        return AnyValue(array_value=ArrayValue(values=map(_value, value)))
    return AnyValue(string_value=_text(str(value)))


def _id(value: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except ValueError:
        return b""


def _nanos(value: int) -> int:
    return value if value in _UINT64 else 0


def _text(value: str) -> str:
    return value if value.isascii() else value.encode("utf-8", "replace").decode()
