"""OTLP protobuf: records are encoded without loss."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature

from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # no types
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.any_records import RECORDS

from flash_otel.otlp.decode import decode
from flash_otel.otlp.encode import encode_protobuf
from flash_otel.records import SpanRecord

# Its name changed with protobuf 26.
_WITH_DEFAULTS = next(
    name
    for name in signature(MessageToDict).parameters
    if name in {"always_print_fields_with_no_presence", "including_default_value_fields"}
)
PLAIN = SpanRecord("ab" * 16, "cd" * 8, None, "sample", "internal", 1, 2)


@given(st.lists(RECORDS, max_size=4))
def test_records_round_trip(records: list[SpanRecord]) -> None:
    """A decoded message holds the same records."""
    message = ExportTraceServiceRequest.FromString(encode_protobuf(records))
    # With defaults, because an absent start or flag counts as unknown.
    plain = MessageToDict(message, **{_WITH_DEFAULTS: True})
    found = list(decode(plain))
    assert len(found) == len(records)
    assert all(record in records for record in found)


def test_unencodable_values_are_replaced() -> None:
    """A record that was edited by hand in the store does not fail its batch."""
    broken = replace(
        PLAIN,
        trace_id="no hex",
        start_ns=-5,
        name="\ud800",
        kind="odd",
        status="odd",
        attributes={"big": 2**80, "text": "\udfff", "list": (1, 2**70)},
    )
    message = ExportTraceServiceRequest.FromString(encode_protobuf([broken, PLAIN]))
    assert [span.name for span in message.resource_spans[0].scope_spans[0].spans] == [
        "?",
        "sample",
    ]
