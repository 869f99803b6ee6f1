"""Records as an OTLP/JSON ExportTraceServiceRequest.

The encoding is protobuf's JSON with OpenTelemetry's exceptions (ids in hex, enums as numbers;
opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv
from flash_otel.records import KINDS, STATUSES

if TYPE_CHECKING:
    from flash_otel.records import Attributes, Event, Link, SpanRecord

KIND_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS, start=1)}
STATUS_NUMBERS: Final = {status: number for number, status in enumerate(STATUSES)}
SAMPLED: Final = 0x01

_INT64: Final = range(-(2**63), 2**63)

_Json = dict[str, Any]


def encode(records: Iterable[SpanRecord]) -> _Json:
    """Return an ExportTraceServiceRequest, its spans grouped by resource and scope.

    A span that has not ended has no `endTimeUnixNano`. `flags` holds the sampled bit; a 0 is
    written out, since an absent field would say nothing.
    """
    resources: dict[str, _Json] = {}
    scopes: dict[tuple[str, str, str], list[_Json]] = {}
    for record in records:
        resource = _key(record.resource)
        scope = (resource, record.scope_name, record.scope_version)
        if scope not in scopes:
            made = _scope_spans(record)
            scopes[scope] = made["spans"]
            resources.setdefault(resource, _resource_spans(record))["scopeSpans"].append(made)
        scopes[scope].append(_span(record))
    return {"resourceSpans": list(resources.values())}


def _key(attributes: Attributes) -> str:
    return json.dumps(dict(attributes), default=list)


def _resource_spans(record: SpanRecord) -> _Json:
    return {"resource": {"attributes": _attributes(record.resource)}, "scopeSpans": []}


def _scope_spans(record: SpanRecord) -> _Json:
    name, version = record.scope_name, record.scope_version
    known = {"name": _text(name), "version": _text(version)}
    made: _Json = {"scope": {key: value for key, value in known.items() if value}, "spans": []}
    if name == semconv.SCOPE_NAME:
        made["schemaUrl"] = semconv.SCHEMA_URL
    return made


def _span(record: SpanRecord) -> _Json:
    optional = {
        "parentSpanId": record.parent_span_id,
        "traceState": _text(record.trace_state),
        "endTimeUnixNano": None if record.end_ns is None else str(record.end_ns),
        "attributes": _attributes(record.attributes),
        "events": [_event(one) for one in record.events],
        "links": [_link(one) for one in record.links],
    }
    return {
        "traceId": record.trace_id,
        "spanId": record.span_id,
        "name": _text(record.name),
        "kind": KIND_NUMBERS.get(record.kind, 0),
        "startTimeUnixNano": str(record.start_ns),
        "flags": SAMPLED if record.sampled else 0,
        "status": _status(record),
        **{key: value for key, value in optional.items() if value},
    }


def _status(record: SpanRecord) -> _Json:
    code, message = STATUS_NUMBERS.get(record.status, 0), _text(record.status_message)
    return {**({"code": code} if code else {}), **({"message": message} if message else {})}


def _event(event: Event) -> _Json:
    return {
        "timeUnixNano": str(event.time_ns),
        "name": _text(event.name),
        "attributes": _attributes(event.attributes),
    }


def _link(link: Link) -> _Json:
    return {
        "traceId": link.trace_id,
        "spanId": link.span_id,
        "attributes": _attributes(link.attributes),
    }


def _attributes(attributes: Attributes) -> list[_Json]:
    return [{"key": _text(key), "value": _value(value)} for key, value in attributes.items()]


def _value(value: object) -> _Json:
    if isinstance(value, str):
        return {"stringValue": _text(value)}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        # What is no 64-bit integer would make the whole message unreadable. A range looks through
        # all of its numbers for anything but a plain int (an IntEnum such as HTTPStatus).
        number = int(value)
        return {"intValue" if number in _INT64 else "stringValue": str(number)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else _not_finite(value)}
    if isinstance(value, Sequence):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"stringValue": _text(str(value))}


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _text(value: str) -> str:
    """Replace lone surrogates: JSON could hold them, protobuf's readers refuse the message."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()
