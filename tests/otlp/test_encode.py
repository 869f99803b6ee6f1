"""Both encodings of OTLP hold the same message, and their bytes do not change."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any

from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]  # no types
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.any_records import RECORDS

from flash_otel.otlp.encode import encode_json, encode_protobuf
from flash_otel.records import Event, Link, SpanRecord

SAMPLES = [
    SpanRecord(
        "0af7651916cd43dd8448eb211c80319c",
        "b7ad6b7169203331",
        "00f067aa0ba902b7",
        "flash.activate",
        "client",
        1_700_000_000_000_000_000,
        1_700_000_000_500_000_000,
        "error",
        "no such build: ü",
        {
            "text": "a",
            "flag": True,
            "count": -5,
            "ratio": 1.5,
            "list": ("x", "y"),
            "none": (),
            "large": 2**70,
        },
        (Event("flash.retry", 1_700_000_000_100_000_000, {"attempt": 2}),),
        (Link("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", {"why": "code"}),),
        {"service.name": "flash", "process.pid": 7},
        "flash_otel",
        "1.2",
        "k=v",
    ),
    SpanRecord(
        "0af7651916cd43dd8448eb211c80319c",
        "00000000000000aa",
        None,
        "user's own",
        "internal",
        1,
        None,
        sampled=False,
    ),
]
RECORDED_JSON = (
    '{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringV'
    'alue":"flash"}},{"key":"process.pid","value":{"intValue":"7"}}]},"scopeSpans":[{"sco'
    'pe":{"name":"flash_otel","version":"1.2"},"spans":[{"traceId":"0af7651916cd43dd8448e'
    'b211c80319c","spanId":"b7ad6b7169203331","name":"flash.activate","kind":3,"startTime'
    'UnixNano":"1700000000000000000","flags":1,"status":{"code":2,"message":"no such buil'
    r'd: \u00fc"},"parentSpanId":"00f067aa0ba902b7","traceState":"k=v","endTimeUnixNano":"'
    '1700000000500000000","attributes":[{"key":"text","value":{"stringValue":"a"}},{"key"'
    ':"flag","value":{"boolValue":true}},{"key":"count","value":{"intValue":"-5"}},{"key"'
    ':"ratio","value":{"doubleValue":1.5}},{"key":"list","value":{"arrayValue":{"values":'
    '[{"stringValue":"x"},{"stringValue":"y"}]}}},{"key":"none","value":{"arrayValue":{"v'
    'alues":[]}}},{"key":"large","value":{"stringValue":"1180591620717411303424"}}],"even'
    'ts":[{"timeUnixNano":"1700000000100000000","name":"flash.retry","attributes":[{"key"'
    ':"attempt","value":{"intValue":"2"}}]}],"links":[{"traceId":"4bf92f3577b34da6a3ce929'
    'd0e0e4736","spanId":"00f067aa0ba902b7","attributes":[{"key":"why","value":{"stringVa'
    'lue":"code"}}]}]}],"schemaUrl":"https://opentelemetry.io/schemas/1.37.0"}]},{"resour'
    'ce":{"attributes":[]},"scopeSpans":[{"scope":{},"spans":[{"traceId":"0af7651916cd43d'
    'd8448eb211c80319c","spanId":"00000000000000aa","name":"user\'s own","kind":1,"startTi'
    'meUnixNano":"1","flags":0,"status":{}}]}]}]}'
)
RECORDED_PROTOBUF = (
    "CrgDCiwKFwoMc2VydmljZS5uYW1lEgcKBWZsYXNoChEKC3Byb2Nlc3MucGlkEgIYBxKHAwoRCgpmbGFzaF9v"
    "dGVsEgMxLjISyAIKEAr3ZRkWzUPdhEjrIRyAMZwSCLeta3FpIDMxGgNrPXYiCADwZ6oLqQK3Kg5mbGFzaC5h"
    "Y3RpdmF0ZTADOQAAKjb+nJcXQQBl91P+nJcXSgsKBHRleHQSAwoBYUoKCgRmbGFnEgIQAUoUCgVjb3VudBIL"
    "GPv//////////wFKEgoFcmF0aW8SCSEAAAAAAAD4P0oUCgRsaXN0EgwqCgoDCgF4CgMKAXlKCgoEbm9uZRIC"
    "KgBKIQoFbGFyZ2USGAoWMTE4MDU5MTYyMDcxNzQxMTMwMzQyNFolCQDhHzz+nJcXEgtmbGFzaC5yZXRyeRoN"
    "CgdhdHRlbXB0EgIYAmorChBL+S81d7NNpqPOkp0ODkc2EggA8GeqC6kCtyINCgN3aHkSBgoEY29kZXoVEhFu"
    "byBzdWNoIGJ1aWxkOiDDvBgChQEBAAAAGidodHRwczovL29wZW50ZWxlbWV0cnkuaW8vc2NoZW1hcy8xLjM3"
    "LjAKPQoAEjkKABI1ChAK92UZFs1D3YRI6yEcgDGcEggAAAAAAAAAqioKdXNlcidzIG93bjABOQEAAAAAAAAA"
    "egA="
)


def test_json_equals_a_recorded_message() -> None:
    """The text, with its order of fields, equals what earlier versions wrote."""
    assert json.dumps(encode_json(SAMPLES), separators=(",", ":")) == RECORDED_JSON


def test_protobuf_equals_a_recorded_message() -> None:
    """The bytes equal what earlier versions sent."""
    assert base64.b64encode(encode_protobuf(SAMPLES)).decode() == RECORDED_PROTOBUF


def _ids_in_base64(node: Any) -> Any:
    """Convert OTLP's hex ids to the base64 that protobuf's own JSON parser expects."""
    if isinstance(node, list):
        return [_ids_in_base64(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: base64.b64encode(bytes.fromhex(value)).decode()
        if key in {"traceId", "spanId", "parentSpanId"}
        else _ids_in_base64(value)
        for key, value in node.items()
    }


@given(st.lists(RECORDS, max_size=5))
def test_both_forms_hold_the_same_message(records: list[SpanRecord]) -> None:
    """Protobuf's own parser reads the same message from the JSON text and from the bytes."""
    text = json.dumps(encode_json(records))
    from_json = ParseDict(_ids_in_base64(json.loads(text)), ExportTraceServiceRequest())
    assert from_json == ExportTraceServiceRequest.FromString(encode_protobuf(records))


def test_json_does_not_load_protobuf() -> None:
    """A worker that writes OTLP/JSON to its log does not pay for importing protobuf."""
    program = (
        "import sys\n"
        "from flash_otel.otlp.decode import decode\n"
        "from flash_otel.otlp.encode import encode_json\n"
        "from flash_otel.records import SpanRecord\n"
        "record = SpanRecord('ab' * 16, 'cd' * 8, None, 'x', 'internal', 1, 2)\n"
        "assert list(decode(encode_json([record]))) == [record]\n"
        "print('google.protobuf' in sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ended.stdout.strip() == b"False"
