"""OTLP/JSON: what it contains, and how leniently it is decoded."""

from __future__ import annotations

import base64
import copy
import json
import math
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest
from google.protobuf.json_format import (  # type: ignore[import-untyped]  # no types in protobuf
    MessageToDict,
    ParseDict,
)
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from support.any_records import JSON, RECORDS

from flash_otel import semconv
from flash_otel.otlp.decode import decode
from flash_otel.otlp.encode import encode_json
from flash_otel.otlp.from_sdk import to_record
from flash_otel.records import SpanRecord

SPAN = SpanRecord("ab" * 16, "cd" * 8, None, "flash.deploy", "internal", 1, 2)


def _with_base64_ids(node: Any) -> Any:
    """Convert OTLP's hex ids to the base64 that protobuf's own JSON parser expects."""
    if isinstance(node, list):
        return [_with_base64_ids(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: base64.b64encode(bytes.fromhex(value)).decode()
        if key in {"traceId", "spanId", "parentSpanId"}
        else _with_base64_ids(value)
        for key, value in node.items()
    }


def _parsed(records: list[SpanRecord]) -> ExportTraceServiceRequest:
    through_text = json.loads(json.dumps(encode_json(records)))
    request = ExportTraceServiceRequest()
    ParseDict(_with_base64_ids(through_text), request)
    return request


@given(st.lists(RECORDS, max_size=5))
def test_records_round_trip(records: list[SpanRecord]) -> None:
    """Any records round-trip through JSON text, complete and without duplicates."""
    read = list(decode(json.loads(json.dumps(encode_json(records)))))
    assert sorted(map(repr, read)) == sorted(map(repr, records))


@given(st.lists(RECORDS, max_size=5))
def test_the_official_protobuf_accepts_it(records: list[SpanRecord]) -> None:
    """Protobuf's own strict parser accepts every message and finds all of its spans."""
    request = _parsed(records)
    found = [span for r in request.resource_spans for s in r.scope_spans for span in s.spans]
    assert sorted(span.name for span in found) == sorted(record.name for record in records)


def test_it_equals_the_official_exporter() -> None:
    """For real SDK spans, the message equals the official encoder's except for the flags."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource({"service.name": "flash-cli", "pid": 7}), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for scope in (semconv.SCOPE_NAME, "users.own"):
        schema = semconv.SCHEMA_URL if scope == semconv.SCOPE_NAME else None
        tracer = provider.get_tracer(scope, "1.0", schema)
        with tracer.start_as_current_span("root", kind=SpanKind.SERVER):
            link = Link(SpanContext(1, 2, is_remote=True), {"k": "v"})
            span = tracer.start_span("child", kind=SpanKind.CLIENT, links=[link])
            span.set_attributes({"s": "ü", "b": True, "i": -5, "f": 1.5, "l": ["a", "b"], "e": []})
            span.add_event("retry", {"n": 1})
            span.set_status(Status(StatusCode.ERROR, "no"))
            span.end()
    spans = exporter.get_finished_spans()

    theirs = MessageToDict(encode_spans(spans))
    ours = MessageToDict(_parsed([to_record(span) for span in spans]))

    for message in (theirs, ours):
        for group in message["resourceSpans"]:
            for scoped in group["scopeSpans"]:
                for each in scoped["spans"]:
                    each.pop("flags")
                    for linked in each.get("links", ()):
                        linked.pop("flags", None)
    assert ours == theirs


def test_flags_hold_the_sampled_bit() -> None:
    """A sampled span has flags 1, an unsampled span an explicit 0; both are read back."""
    sampled, unsampled = SPAN, replace(SPAN, sampled=False)
    for record, flags in ((sampled, 1), (unsampled, 0)):
        message = encode_json([record])
        assert message["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["flags"] == flags
        assert list(decode(message)) == [record]


@pytest.mark.parametrize("flags", [0x100, 0x300, "256", None, "x", [1]])
def test_flags_of_the_sdk_mean_sampled(flags: object) -> None:
    """Spans of the SDK's exporters, which omit the sampled bit, count as sampled."""
    (record,) = decode(_message(flags=flags))
    assert record.sampled is True


def test_spans_are_grouped_by_resource_and_scope() -> None:
    """Equal resources and scopes form one group, whatever the order of the spans."""
    records = [
        replace(SPAN, span_id=f"{number:016x}", resource={"p": number % 2}, scope_name=scope)
        for number, scope in enumerate(["a", "a", "b", "a", "a"], start=1)
    ]
    groups = encode_json(records)["resourceSpans"]
    counts = [[len(scope["spans"]) for scope in group["scopeSpans"]] for group in groups]
    assert counts == [[2, 1], [2]]


def test_numbers_outside_json_have_names() -> None:
    """NaN and the infinities are written as protobuf's names for them, and the text stays JSON."""
    attributes = {"n": math.nan, "p": math.inf, "m": -math.inf}
    message = encode_json([replace(SPAN, attributes=attributes)])
    json.dumps(message, allow_nan=False)
    (read,) = decode(message)
    assert repr(read.attributes) == repr(attributes)


def test_unencodable_values_are_replaced() -> None:
    """Lone surrogates and integers beyond 64 bits become text that every reader accepts."""
    record = replace(SPAN, name="a\ud800", attributes={"k\udfff": "\ud800", "big": 2**64})
    request = _parsed([record])
    span = request.resource_spans[0].scope_spans[0].spans[0]
    assert span.name == "a?"
    assert [(pair.key, pair.value.string_value) for pair in span.attributes] == [
        ("k?", "?"),
        ("big", str(2**64)),
    ]


def _message(**changed: object) -> dict[str, Any]:
    span = {"traceId": "ab" * 16, "spanId": "cd" * 8, "startTimeUnixNano": "1", **changed}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def _attribute(value: object) -> dict[str, object]:
    return {"key": "a", "value": value}


LENIENT: list[tuple[dict[str, object], str, object]] = [
    ({"traceId": "AB" * 16}, "trace_id", "ab" * 16),
    ({"traceId": base64.b64encode(b"\xab" * 16).decode()}, "trace_id", "ab" * 16),
    ({"traceId": base64.b64encode(b"\xab" * 16).decode().rstrip("=")}, "trace_id", "ab" * 16),
    ({"spanId": base64.b64encode(b"\xef" * 8).decode()}, "span_id", "ef" * 8),
    ({"parentSpanId": ""}, "parent_span_id", None),
    ({"parentSpanId": "0" * 16}, "parent_span_id", None),
    ({"parentSpanId": "zz"}, "parent_span_id", None),
    ({"parent_span_id": "ef" * 8}, "parent_span_id", "ef" * 8),
    ({"kind": "SPAN_KIND_CLIENT"}, "kind", "client"),
    ({"kind": 3}, "kind", "client"),
    ({"kind": 99}, "kind", "internal"),
    ({"kind": ["x"]}, "kind", "internal"),
    ({"status": {"code": "STATUS_CODE_ERROR", "message": "m"}}, "status", "error"),
    ({"status": {"code": 1}}, "status", "ok"),
    ({"status": 7}, "status", "unset"),
    ({"startTimeUnixNano": 5}, "start_ns", 5),
    ({"startTimeUnixNano": 5.0}, "start_ns", 5),
    ({"endTimeUnixNano": "9"}, "end_ns", 9),
    ({"end_time_unix_nano": 9}, "end_ns", 9),
    ({"endTimeUnixNano": "0"}, "end_ns", None),
    ({"endTimeUnixNano": "-1"}, "end_ns", None),
    ({"endTimeUnixNano": True}, "end_ns", None),
    ({"name": 5}, "name", ""),
    ({"attributes": "x"}, "attributes", {}),
    ({"attributes": [{"key": "a"}, 1, _attribute({"int_value": 3})]}, "attributes", {"a": 3}),
    ({"attributes": [_attribute({"intValue": "x"})]}, "attributes", {}),
    ({"attributes": [_attribute({"intValue": str(2**63)})]}, "attributes", {}),
    ({"attributes": [_attribute({"doubleValue": 2})]}, "attributes", {"a": 2.0}),
    ({"attributes": [_attribute({"doubleValue": "x"})]}, "attributes", {}),
    ({"attributes": [_attribute({"doubleValue": 10**400})]}, "attributes", {}),
    ({"attributes": [_attribute({"bytesValue": "AAE="})]}, "attributes", {"a": "AAE="}),
    ({"attributes": [_attribute({"arrayValue": {}})]}, "attributes", {"a": ()}),
    ({"attributes": [_attribute({"arrayValue": 3})]}, "attributes", {"a": ()}),
    (
        {"attributes": [_attribute({"kvlistValue": {"values": [_attribute({"intValue": 1})]}})]},
        "attributes",
        {"a": '{"a": 1}'},
    ),
    ({"events": [{"name": "no time"}, {"name": "e", "timeUnixNano": "3"}, 5]}, "events", None),
    ({"links": [{"traceId": "x"}, {"traceId": "ab" * 16, "spanId": "cd" * 8}]}, "links", None),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "name", "expected"), LENIENT)
def test_other_writers_forms_are_read(
    changed: dict[str, object], name: str, expected: object
) -> None:
    """Other writers' forms are accepted; of a malformed message, only the bad part is dropped."""
    (record,) = decode(_message(**changed))
    found = getattr(record, name)
    assert (len(found) == 1) if name in {"events", "links"} else (found == expected)


@pytest.mark.parametrize(
    "changed",
    [
        {"traceId": None},
        {"traceId": "00" * 16},
        {"traceId": "ab" * 15},
        {"spanId": "xy" * 8},
        {"spanId": 7},
        {"startTimeUnixNano": None},
        {"startTimeUnixNano": "soon"},
        {"startTimeUnixNano": str(2**63)},
        {"startTimeUnixNano": "9" * 5000},
        {"startTimeUnixNano": "٣"},
    ],
)
def test_a_span_without_identity_or_start_is_left_out(changed: dict[str, object]) -> None:
    """Ids and start are never made up, and the span beside such a span is still read."""
    message = _message(**changed)
    message["resourceSpans"][0]["scopeSpans"][0]["spans"].append(
        {"trace_id": "ab" * 16, "span_id": "cd" * 8, "start_time_unix_nano": 1}
    )
    assert len(list(decode(message))) == 1


@pytest.mark.parametrize("value", [None, [], {}, "x", 5, {"resourceSpans": {}}, {"spans": []}])
def test_other_data_is_an_error(value: object) -> None:
    """Data other than OTLP traces raises at the call; an empty message does not."""
    with pytest.raises(ValueError, match="no OTLP traces"):
        decode(value)
    assert list(decode({"resource_spans": []})) == []


def test_deep_nesting_is_cut() -> None:
    """A value nested ten thousand levels deep is dropped, and the other attributes are kept."""
    value: dict[str, Any] = {"intValue": "1"}
    for _ in range(10_000):
        value = {"arrayValue": {"values": [value]}}
    attributes = [{"key": "deep", "value": value}, {"key": "a", "value": {"stringValue": "b"}}]
    (record,) = decode(_message(attributes=attributes))
    assert record.attributes["a"] == "b"


def _places(node: Any) -> list[tuple[Any, Any]]:
    """List every (container, key) of a JSON value."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    found = []
    for key, value in list(pairs):
        found.append((node, key))
        if isinstance(value, dict | list):
            found += _places(value)
    return found


@given(st.lists(RECORDS, min_size=1, max_size=2), st.data())
def test_no_damage_raises(records: list[SpanRecord], data: st.DataObject) -> None:
    """A message in which any part is replaced by any JSON is read without an error."""
    message = copy.deepcopy(encode_json(records))
    place = data.draw(st.sampled_from(range(1, len(_places(message)))))
    container, key = _places(message)[place]
    container[key] = data.draw(JSON)
    for record in decode(message):
        assert (len(record.trace_id), len(record.span_id)) == (32, 16)
        list(decode(encode_json([record])))


@given(JSON)
def test_any_json_is_traces_or_a_value_error(value: Any) -> None:
    """Any JSON gives an iterator of records or the documented ValueError."""
    try:
        list(decode(value))
    except ValueError:
        assert not (isinstance(value, dict) and isinstance(value.get("resourceSpans"), list))


def test_a_member_of_an_enumeration_is_a_number() -> None:
    """An IntEnum's member is written as a number, and quickly.

    `in` on a 64-bit range compares such a member with every number of the range.
    """
    record = SpanRecord("1" * 32, "2" * 16, None, "x", "internal", 1, 2)
    (kept,) = decode(encode_json([replace(record, attributes={"status": HTTPStatus.OK})]))
    assert kept.attributes == {"status": 200}
