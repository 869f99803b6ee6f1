"""Decode OTLP traces, in JSON or in protobuf, into span records.

One lenient walk reads both: a protobuf message is first turned into protobuf's JSON form. Other
writers' variants are accepted (names of enums, snake_case keys, base64 ids, numbers for times);
a malformed part is left out, and the rest is still read.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from flash_otel.otlp.encode import KIND_NUMBERS, LOG_MARK, STATUS_NUMBERS
from flash_otel.records import Attributes, AttributeValue, Event, Link, SpanRecord

_Message = Mapping[str, Any]

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
_MAX_NANOS: Final = 2**63 - 1  # the year 2262, and the largest integer of SQLite
_INT64: Final = range(-(2**63), 2**63)
_MAX_DEPTH: Final = 16  # of nested attribute values

_UPPER: Final = re.compile(r"(?<!^)[A-Z]")
_HEX: Final = re.compile(r"[0-9a-f]+")
# At most 20 digits: Python refuses to convert very long texts, and a 64-bit integer has 19.
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)

_LOG_START: Final = f"{LOG_MARK}{{"

_json_decoder = json.JSONDecoder()
_snake_names: dict[str, str] = {}


def decode(obj: object) -> Iterator[SpanRecord]:
    """Yield the spans of an ExportTraceServiceRequest (or TracesData), in their order.

    Args:
        obj: The result of a JSON parser.

    Raises:
        ValueError: `obj` is not OTLP traces: it has no list `resourceSpans`. Malformed parts of
            a message that has one are left out without an error.
    """
    groups = _field(obj, "resourceSpans") if isinstance(obj, Mapping) else None
    if not isinstance(groups, list):
        raise ValueError(  # noqa: TRY004 - data of another kind, not a wrong argument
            "no OTLP traces: there is no list 'resourceSpans'"
        )
    return _records(groups)


def decode_protobuf(payload: bytes) -> Iterator[SpanRecord]:
    """Yield the spans of a serialized ExportTraceServiceRequest; none if it is damaged."""
    message = _to_json_form(payload)
    return iter(()) if message is None else _records(message.get("resourceSpans", []))


def is_request(payload: bytes) -> bool:
    """Return True if these bytes are a serialized request with at least one resource."""
    message = _to_json_form(payload)
    return message is not None and bool(message.get("resourceSpans"))


def _to_json_form(payload: bytes) -> dict[str, Any] | None:
    # Late, because reading JSON should not pay for loading protobuf.
    from google.protobuf.json_format import (  # type: ignore[import-untyped]  # ships no types
        MessageToDict,
    )
    from google.protobuf.message import (  # type: ignore[import-untyped]  # ships no types
        DecodeError,
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
    )

    try:
        message: dict[str, Any] = MessageToDict(ExportTraceServiceRequest.FromString(payload))
    except (DecodeError, UnicodeDecodeError):
        return None
    return message


def decode_log_line(line: str) -> list[SpanRecord]:
    """Return the spans of a log line, whatever a logger put before and behind them."""
    return split_log_line(line)[0]


def split_log_line(line: str) -> tuple[list[SpanRecord], str]:
    """Return the spans of a log line, and the line without them.

    A span that was cut off, or a mark before something else, stays in the line.
    """
    records: list[SpanRecord] = []
    begin = line.find(_LOG_START)
    while begin >= 0:
        end = begin + len(LOG_MARK)
        try:
            request, end = _json_decoder.raw_decode(line, end)
            records += decode(request)
        except (ValueError, RecursionError):
            begin = line.find(_LOG_START, end)
            continue
        line = line[:begin] + line[end:]
        begin = line.find(_LOG_START, begin)
    return records, line


# --- the walk ----------------------------------------------------------------------------------


def _records(groups: list[object]) -> Iterator[SpanRecord]:
    for group in _messages(groups):
        resource = _attributes(_field(_message(_field(group, "resource")), "attributes"))
        for scope_spans in _messages(_field(group, "scopeSpans")):
            scope = _message(_field(scope_spans, "scope"))
            for span in _messages(_field(scope_spans, "spans")):
                record = _record(span, resource, scope)
                if record is not None:
                    yield record


def _record(span: _Message, resource: Attributes, scope: _Message) -> SpanRecord | None:
    """Return a span, or None if its ids or its start are missing: neither can be made up."""
    trace_id = _hex_id(_field(span, "traceId"), _TRACE_ID_BYTES)
    span_id = _hex_id(_field(span, "spanId"), _SPAN_ID_BYTES)
    start_ns = _nanos(_field(span, "startTimeUnixNano"))
    if trace_id is None or span_id is None or start_ns is None:
        return None
    status = _message(_field(span, "status"))
    return SpanRecord(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=_hex_id(_field(span, "parentSpanId"), _SPAN_ID_BYTES),
        name=_text(_field(span, "name")),
        kind=_enum(_KINDS, _field(span, "kind"), "internal"),
        start_ns=start_ns,
        # Protobuf's JSON may write defaults out: a 0 means "not set".
        end_ns=_nanos(_field(span, "endTimeUnixNano")) or None,
        status=_enum(_STATUSES, _field(status, "code"), "unset"),
        status_message=_text(_field(status, "message")),
        attributes=_attributes(_field(span, "attributes")),
        events=tuple(_events(_field(span, "events"))),
        links=tuple(_links(_field(span, "links"))),
        resource=resource,
        scope_name=_text(_field(scope, "name")),
        scope_version=_text(_field(scope, "version")),
        trace_state=_text(_field(span, "traceState")),
        sampled=_is_sampled(_field(span, "flags")),
    )


def _is_sampled(flags: object) -> bool:
    # The SDK's exporters set other bits (0x100, 0x200) but not this one, and export only sampled
    # spans. So only a plain 0, as encode_json() writes it, means "not sampled".
    return _integer(flags) != 0


def _events(value: object) -> Iterator[Event]:
    for event in _messages(value):
        time_ns = _nanos(_field(event, "timeUnixNano"))
        if time_ns is not None:
            attributes = _attributes(_field(event, "attributes"))
            yield Event(_text(_field(event, "name")), time_ns, attributes)


def _links(value: object) -> Iterator[Link]:
    for link in _messages(value):
        trace_id = _hex_id(_field(link, "traceId"), _TRACE_ID_BYTES)
        span_id = _hex_id(_field(link, "spanId"), _SPAN_ID_BYTES)
        if trace_id is not None and span_id is not None:
            yield Link(trace_id, span_id, _attributes(_field(link, "attributes")))


# --- fields ------------------------------------------------------------------------------------


def _field(message: _Message, name: str) -> object:
    """Return a field by its JSON name or by its snake_case name in the .proto file."""
    if name in message:
        return message[name]
    snake = _snake_names.get(name)
    if snake is None:
        snake = _snake_names[name] = _UPPER.sub(lambda upper: f"_{upper[0].lower()}", name)
    return message.get(snake)


def _message(value: object) -> _Message:
    return value if isinstance(value, Mapping) else {}


def _messages(value: object) -> Iterator[_Message]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _enum(names: dict[object, str], value: object, default: str) -> str:
    return names.get(value, default) if isinstance(value, str | int) else default


def _integer(value: object) -> int | None:
    """Return a whole number, also from decimal text (as JSON carries 64-bit integers)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        return int(value) if _INTEGER.fullmatch(value) else None
    return value if isinstance(value, int) else None


def _nanos(value: object) -> int | None:
    """Return a time in nanoseconds since the epoch."""
    time_ns = _integer(value)
    return time_ns if time_ns is not None and 0 <= time_ns <= _MAX_NANOS else None


def _hex_id(value: object, size: int) -> str | None:
    """Return an id of `size` bytes in lower-case hex, from hex or base64; None if all zeros."""
    if not isinstance(value, str):
        return None
    digits = value.lower()
    if len(digits) != 2 * size or not _HEX.fullmatch(digits):
        digits = _hex_from_base64(value, size)
    return digits if digits.strip("0") else None


def _hex_from_base64(value: str, size: int) -> str:
    try:
        raw = b64decode(value.rstrip("=") + "=" * (-size % 3), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return raw.hex() if len(raw) == size else ""


# --- attribute values --------------------------------------------------------------------------


def _attributes(value: object) -> Attributes:
    attributes: dict[str, AttributeValue] = {}
    for pair in _messages(value):
        key, decoded = _field(pair, "key"), _any_value(_field(pair, "value"), 0)
        if isinstance(key, str) and key and decoded is not None:
            attributes[key] = decoded
    return attributes


def _any_value(value: object, depth: int) -> Any:
    if not isinstance(value, Mapping) or depth > _MAX_DEPTH:
        return None
    for name, read in _VALUE_READERS.items():
        content = _field(value, name)
        if content is not None:
            return read(content, depth)
    return None


def _int(value: object, _: int) -> int | None:
    number = _integer(value)
    return number if number is not None and number in _INT64 else None


def _double(value: object, _: int) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _array(value: object, depth: int) -> tuple[Any, ...]:
    items = (_any_value(item, depth + 1) for item in _messages(_field(_message(value), "values")))
    # A record's attributes are flat: an array within an array becomes JSON text.
    return tuple(
        json.dumps(item) if isinstance(item, tuple) else item for item in items if item is not None
    )


def _kvlist(value: object, depth: int) -> str:
    # Flat for the same reason: a mapping becomes JSON text.
    pairs = _messages(_field(_message(value), "values"))
    return json.dumps(
        {_text(_field(pair, "key")): _any_value(_field(pair, "value"), depth + 1) for pair in pairs}
    )


def _of_type(kind: type) -> Callable[[object, int], Any]:
    return lambda value, _: value if isinstance(value, kind) else None


_VALUE_READERS: Final[dict[str, Callable[[object, int], Any]]] = {
    "stringValue": _of_type(str),
    "boolValue": _of_type(bool),
    "intValue": _int,
    "doubleValue": _double,
    "arrayValue": _array,
    "kvlistValue": _kvlist,
    "bytesValue": _of_type(str),
}
