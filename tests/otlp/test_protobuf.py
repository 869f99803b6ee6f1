"""Records become OTLP protobuf without loss, whatever they hold."""

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
def test_what_is_encoded_is_what_was_there(records: list[SpanRecord]) -> None:
    """A collector reads the very records, grouped by resource and scope."""
    message = ExportTraceServiceRequest.FromString(encode_protobuf(records))
    # Defaults written out: an absent start or flag would say nothing.
    plain = MessageToDict(message, **{_WITH_DEFAULTS: True})
    found = list(decode(plain))
    assert len(found) == len(records)
    assert all(one in records for one in found)


def test_what_no_message_can_hold_is_replaced() -> None:
    """A store that was edited by hand cannot fail a batch."""
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
