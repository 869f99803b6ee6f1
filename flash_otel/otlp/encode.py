"""Encode span records as an OTLP ExportTraceServiceRequest, in protobuf or in JSON.

One walk over the records builds a nested object. A `_Form` supplies what differs between the two
encodings: field names (snake_case or lowerCamelCase) and scalars (in JSON, ids are hex and 64-bit
integers are text; opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flash_otel import semconv
from flash_otel.records import KINDS, STATUSES, Attributes, Event, Link, SpanRecord

KIND_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS, start=1)}
STATUS_NUMBERS: Final = {status: number for number, status in enumerate(STATUSES)}

# A span in a worker's log is a line of OTLP/JSON behind this mark.
LOG_MARK: Final = "flash_otel "

_SAMPLED: Final = 0x01  # the W3C trace flag, in the lowest eight bits of `flags`
_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1
_UINT64_MAX: Final = 2**64 - 1

_Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Form:
    """Field names and scalar encodings of one form of OTLP."""

    identifier: Callable[[str], object]
    nanos: Callable[[int], object]
    int64: Callable[[int], object]
    double: Callable[[float], object]
    resource_spans: str = "resource_spans"
    scope_spans: str = "scope_spans"
    schema_url: str = "schema_url"
    trace_id: str = "trace_id"
    span_id: str = "span_id"
    parent_span_id: str = "parent_span_id"
    trace_state: str = "trace_state"
    start_time: str = "start_time_unix_nano"
    end_time: str = "end_time_unix_nano"
    time: str = "time_unix_nano"
    string_value: str = "string_value"
    bool_value: str = "bool_value"
    int_value: str = "int_value"
    double_value: str = "double_value"
    array_value: str = "array_value"


def encode_json(records: Iterable[SpanRecord]) -> dict[str, Any]:
    """Return an ExportTraceServiceRequest for `json.dumps`, grouped by resource and scope.

    A span that has not ended has no `endTimeUnixNano`. `flags` always holds the sampled bit.
    """
    return _request(records, _JSON)


def encode_protobuf(records: Iterable[SpanRecord]) -> bytes:
    """Return a serialized ExportTraceServiceRequest, grouped by resource and scope.

    Ids and times that protobuf cannot hold (a store may have been edited by hand) are left out,
    so that one such span does not fail its batch.
    """
    # Late, because processes that only write JSON should not pay for loading protobuf.
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
    )

    # Protobuf builds messages from nested dicts in C: half the time of constructing each message.
    encoded: bytes = ExportTraceServiceRequest(**_request(records, _PROTOBUF)).SerializeToString()
    return encoded


def encode_log_line(record: SpanRecord) -> str:
    """Return a span as a marked line for a worker's log.

    The line is ASCII, which a stream of any encoding can write, and ends in a newline.
    """
    return f"{LOG_MARK}{json.dumps(encode_json([record]), separators=(',', ':'))}\n"


def _request(records: Iterable[SpanRecord], form: _Form) -> _Object:
    resources: dict[str, list[_Object]] = {}
    scopes: dict[tuple[str, str, str], list[_Object]] = {}
    groups: list[_Object] = []
    for record in records:
        # Attributes are no key of a dict, since values may be lists.
        resource = repr(record.resource)
        scope = (resource, record.scope_name, record.scope_version)
        if resource not in resources:
            resources[resource] = []
            groups.append(_resource_spans(record, resources[resource], form))
        if scope not in scopes:
            scopes[scope] = []
            resources[resource].append(_scope_spans(record, scopes[scope], form))
        scopes[scope].append(_span(record, form))
    return {form.resource_spans: groups}


def _resource_spans(record: SpanRecord, scope_spans: list[_Object], form: _Form) -> _Object:
    resource = {"attributes": _attributes(record.resource, form)}
    return {"resource": resource, form.scope_spans: scope_spans}


def _scope_spans(record: SpanRecord, spans: list[_Object], form: _Form) -> _Object:
    scope = {"name": _text(record.scope_name), "version": _text(record.scope_version)}
    group: _Object = {"scope": _without_empty(scope), "spans": spans}
    if record.scope_name == semconv.SCOPE_NAME:
        group[form.schema_url] = semconv.SCHEMA_URL
    return group


def _span(record: SpanRecord, form: _Form) -> _Object:
    status = {
        "code": STATUS_NUMBERS.get(record.status, 0),
        "message": _text(record.status_message),
    }
    span = {
        form.trace_id: form.identifier(record.trace_id),
        form.span_id: form.identifier(record.span_id),
        "name": _text(record.name),
        "kind": KIND_NUMBERS.get(record.kind, 0),
        form.start_time: form.nanos(record.start_ns),
        # A 0 is written to JSON, too: an absent field would mean that the bit is not known.
        "flags": _SAMPLED if record.sampled else 0,
        "status": _without_empty(status),
    }
    if record.parent_span_id:
        span[form.parent_span_id] = form.identifier(record.parent_span_id)
    if record.trace_state:
        span[form.trace_state] = _text(record.trace_state)
    if record.end_ns is not None:
        span[form.end_time] = form.nanos(record.end_ns)
    if record.attributes:
        span["attributes"] = _attributes(record.attributes, form)
    if record.events:
        span["events"] = [_event(event, form) for event in record.events]
    if record.links:
        span["links"] = [_link(link, form) for link in record.links]
    return span


def _event(event: Event, form: _Form) -> _Object:
    return {
        form.time: form.nanos(event.time_ns),
        "name": _text(event.name),
        "attributes": _attributes(event.attributes, form),
    }


def _link(link: Link, form: _Form) -> _Object:
    return {
        form.trace_id: form.identifier(link.trace_id),
        form.span_id: form.identifier(link.span_id),
        "attributes": _attributes(link.attributes, form),
    }


def _attributes(attributes: Attributes, form: _Form) -> list[_Object]:
    return [{"key": _text(key), "value": _value(value, form)} for key, value in attributes.items()]


def _value(value: object, form: _Form) -> _Object:
    if isinstance(value, str):
        return {form.string_value: _text(value)}
    if isinstance(value, bool):
        return {form.bool_value: value}
    if isinstance(value, int):
        return _int_value(value, form)
    if isinstance(value, float):
        return {form.double_value: form.double(value)}
    if isinstance(value, Sequence):
        return {form.array_value: {"values": [_value(item, form) for item in value]}}
    return {form.string_value: _text(str(value))}


def _int_value(value: int, form: _Form) -> _Object:
    if _INT64_MIN <= value <= _INT64_MAX:
        return {form.int_value: form.int64(value)}
    # As a number it would make the whole message unreadable.
    return {form.string_value: str(int(value))}


def _without_empty(fields: Mapping[str, Any]) -> _Object:
    return {name: value for name, value in fields.items() if value}


def _text(value: str) -> str:
    """Replace lone surrogates: JSON can hold them, protobuf's readers reject the message."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _id_bytes(value: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except ValueError:
        return b""


def _uint64(value: int) -> int:
    return value if 0 <= value <= _UINT64_MAX else 0


def _decimal(value: int) -> str:
    # `int` first: the text of an enumeration's member may be its name.
    return str(int(value))


def _json_double(value: float) -> float | str:
    # JSON has no such numbers; these are the names that protobuf's JSON mapping gives them.
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


_PROTOBUF: Final = _Form(identifier=_id_bytes, nanos=_uint64, int64=int, double=float)
_JSON: Final = _Form(
    identifier=str,
    nanos=str,
    int64=_decimal,
    double=_json_double,
    resource_spans="resourceSpans",
    scope_spans="scopeSpans",
    schema_url="schemaUrl",
    trace_id="traceId",
    span_id="spanId",
    parent_span_id="parentSpanId",
    trace_state="traceState",
    start_time="startTimeUnixNano",
    end_time="endTimeUnixNano",
    time="timeUnixNano",
    string_value="stringValue",
    bool_value="boolValue",
    int_value="intValue",
    double_value="doubleValue",
    array_value="arrayValue",
)
