"""Hostile manifests in a traced process: they pass through unchanged, and spans stay small."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any, Final

import pytest

import flash_otel
from flash_otel.otlp.encode import encode_protobuf
from flash_otel.testing import recording

EVIL: Final = "x\x1b[2J\x1b]0;title\x07\x9b31m\u202e\u2028\r\n[RUNTIME SYNC] forged"
MEGABYTE: Final = 2**20
MOST_SPAN: Final = 64 * 1024


class Hostile:
    """An object whose every method raises."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__

    def __eq__(self, _: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        return 1

    def __bool__(self) -> bool:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


def deep(levels: int) -> dict[str, Any]:
    """Return mappings inside each other."""
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"resources": value, "resources_endpoints": value}
    return value


def cyclic() -> dict[str, Any]:
    """Return a mapping that holds itself."""
    value: dict[str, Any] = {}
    value["resources"] = value["resources_endpoints"] = value["_flash_otel"] = value
    return value


MANIFESTS: Final[dict[str, Any]] = {
    "nested": deep(50_000),
    "cyclic": cyclic(),
    "many endpoints": {"resources_endpoints": {f"e{n}": f"https://h/{n}" for n in range(20_000)}},
    "a long name": {"resources_endpoints": {"e" * MEGABYTE: "u" * MEGABYTE}},
    "many keys": {f"key{n}": n for n in range(20_000)},
    "control characters": {
        EVIL: EVIL,
        "resources_endpoints": {EVIL: EVIL},
        "environment_id": EVIL,
        "build_id": EVIL,
    },
    "objects": {"resources": {"gpu": Hostile()}, "resources_endpoints": {"gpu": Hostile()}},
    "a carrier": {"_flash_otel": {"traceparent": "0" * MEGABYTE, "tracestate": EVIL, "x": deep(9)}},
    "another type": [Hostile()],
    "a large number": {"resources_endpoints": {"gpu": 10**5000}, "build_id": 10**5000},
}


@pytest.mark.parametrize("form", MANIFESTS)
def test_a_hostile_manifest(form: str) -> None:
    """A worker gets it unchanged; the span is small, and the lines are one each."""
    manifest = MANIFESTS[form]
    stream = io.StringIO()
    with recording(legacy_logs=stream) as spans:
        tracemalloc.start()
        try:
            assert flash_otel.trace_runtime_fetch(lambda: manifest)() is manifest
            assert flash_otel.trace_upload(manifest="sent")(lambda sent: sent)(manifest) is manifest
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert len(spans.records) == 2
    assert all(len(encode_protobuf([record])) < MOST_SPAN for record in spans.records)
    assert peak < 64 * MEGABYTE
    written = stream.getvalue()
    assert {char for char in written if not char.isprintable()} <= {"\n"}
    assert "[RUNTIME SYNC] forged" not in written
