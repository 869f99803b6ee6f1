"""Spans as OTLP/JSON, both ways: what the collector and the official file exporters exchange.

Reading is lenient: names of enums, snake_case keys, base64 ids and numbers for times are taken
too, and what is malformed is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from flash_otel.otlp.encode import KIND_NUMBERS, STATUS_NUMBERS, encode
from flash_otel.otlp.values import (
    attributes,
    field,
    hex_id,
    integer,
    message,
    messages,
    nanos,
    text,
)
from flash_otel.records import Event, Link, SpanRecord

if TYPE_CHECKING:
    from flash_otel.records import Attributes

__all__ = ["decode", "encode"]

_KINDS: Final[dict[object, str]] = {
    **{number: kind for kind, number in KIND_NUMBERS.items()},
    **{f"SPAN_KIND_{kind.upper()}": kind for kind in KIND_NUMBERS},
}
_STATUSES: Final[dict[object, str]] = {
    **{number: status for status, number in STATUS_NUMBERS.items()},
    **{f"STATUS_CODE_{status.upper()}": status for status in STATUS_NUMBERS},
}
_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8


def decode(obj: object) -> Iterator[SpanRecord]:
    """Yield the spans of an ExportTraceServiceRequest (or TracesData), in their order.

    Args:
        obj: What a JSON parser returned.

    Raises:
        ValueError: `obj` holds no OTLP traces at all (no list `resourceSpans`). Malformed parts
            of one that does are left out without an error.
    """
    found = field(obj, "resourceSpans") if isinstance(obj, Mapping) else None
    if not isinstance(found, list):
        raise ValueError(  # noqa: TRY004 - data of another kind, not a wrong argument
            "no OTLP traces: there is no list 'resourceSpans'"
        )
    return _records(found)


def _records(groups: list[object]) -> Iterator[SpanRecord]:
    for group in messages(groups):
        resource = attributes(field(message(field(group, "resource")), "attributes"))
        for scope_spans in messages(field(group, "scopeSpans")):
            scope = message(field(scope_spans, "scope"))
            for span in messages(field(scope_spans, "spans")):
                record = _record(span, resource, scope)
                if record is not None:
                    yield record


def _record(
    span: Mapping[str, Any], resource: Attributes, scope: Mapping[str, Any]
) -> SpanRecord | None:
    """Return a span; None where what it cannot do without is missing: its ids and its start."""
    trace_id = hex_id(field(span, "traceId"), _TRACE_ID_BYTES)
    span_id = hex_id(field(span, "spanId"), _SPAN_ID_BYTES)
    start_ns = nanos(field(span, "startTimeUnixNano"))
    if trace_id is None or span_id is None or start_ns is None:
        return None
    status = message(field(span, "status"))
    return SpanRecord(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=hex_id(field(span, "parentSpanId"), _SPAN_ID_BYTES),
        name=text(field(span, "name")),
        kind=_named(_KINDS, field(span, "kind"), "internal"),
        start_ns=start_ns,
        # Protobuf's JSON may write the default out: 0 is "not set".
        end_ns=nanos(field(span, "endTimeUnixNano")) or None,
        status=_named(_STATUSES, field(status, "code"), "unset"),
        status_message=text(field(status, "message")),
        attributes=attributes(field(span, "attributes")),
        events=tuple(_events(field(span, "events"))),
        links=tuple(_links(field(span, "links"))),
        resource=resource,
        scope_name=text(field(scope, "name")),
        scope_version=text(field(scope, "version")),
        trace_state=text(field(span, "traceState")),
        sampled=_is_sampled(field(span, "flags")),
    )


def _named(names: dict[object, str], value: object, default: str) -> str:
    return names.get(value, default) if isinstance(value, str | int) else default


def _is_sampled(flags: object) -> bool:
    # The SDK's exporters set other bits (0x100, 0x200) and leave this one out, yet export only
    # what is sampled. So only a plain 0, as our own encoder writes it out, says "not sampled".
    found = integer(flags)
    return found != 0


def _events(value: object) -> Iterator[Event]:
    for one in messages(value):
        time_ns = nanos(field(one, "timeUnixNano"))
        if time_ns is not None:
            yield Event(text(field(one, "name")), time_ns, attributes(field(one, "attributes")))


def _links(value: object) -> Iterator[Link]:
    for one in messages(value):
        trace_id = hex_id(field(one, "traceId"), _TRACE_ID_BYTES)
        span_id = hex_id(field(one, "spanId"), _SPAN_ID_BYTES)
        if trace_id is not None and span_id is not None:
            yield Link(trace_id, span_id, attributes(field(one, "attributes")))
