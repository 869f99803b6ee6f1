"""Files and standard input are recognised and read."""

from __future__ import annotations

import gzip
import io
import json
import os
import sqlite3
import sys
import tarfile
import threading
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import (  # type: ignore[import-untyped]  # ships no types
    ParseDict,
)
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers import NothingFoundError, ReaderError, open_reader
from flash_otel.diagnosis.readers.input import Input, description_of, kind_of
from flash_otel.otlp.decode import decode_protobuf
from flash_otel.otlp.encode import encode_json
from flash_otel.otlp.framing import looks_like_otlp, payloads
from flash_otel.records import Event, Link, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_otel.diagnosis.readers import RecordReader

LOG_LINE = b"[STATE MANAGER] environment_id=e-1 -> activeBuildId=b-1\n"


def span(number: int) -> SpanRecord:
    return SpanRecord(
        trace_id=f"{number + 1:032x}",
        span_id=f"{number + 1:016x}",
        parent_span_id=None if number % 2 else "ab" * 8,
        name=sc.MANIFEST_FETCH,
        kind="client",
        start_ns=1_700_000_000_000_000_000 + number,
        end_ns=1_700_000_000_000_000_009 + number,
        status="error" if number % 2 else "unset",
        status_message="no" if number % 2 else "",
        attributes={sc.ENDPOINT_COUNT: number, sc.ENDPOINT_NAMES: ("gpu", "cpü"), "x": 1.5},
        events=(Event("flash.retry", 1_700_000_000_000_000_001, {"a": "b"}),),
        links=(Link("cd" * 16, "ef" * 8, {}),),
        resource={"service.name": "worker"},
        scope_name=sc.SCOPE_NAME,
        scope_version="1",
    )


SPANS = [span(number) for number in range(6)]
BATCHES = [SPANS[:3], SPANS[3:]]


def as_json(batch: list[SpanRecord], indent: int | None = None) -> bytes:
    return json.dumps(encode_json(batch), indent=indent).encode()


def as_protobuf(batch: list[SpanRecord]) -> bytes:
    # Official protobuf JSON has ids in base64, OTLP's in hex: build from fields.
    request = ExportTraceServiceRequest()
    for record in batch:
        plain: dict[str, Any] = encode_json([record])
        (span,) = plain["resourceSpans"][0]["scopeSpans"][0]["spans"]
        ids = {"traceId", "spanId", "parentSpanId"}
        raw = {name: span.pop(name) for name in ids & span.keys()}
        links = [(link.pop("traceId"), link.pop("spanId")) for link in span["links"]]
        ParseDict(plain, part := ExportTraceServiceRequest())
        made = part.resource_spans[0].scope_spans[0].spans[0]
        made.trace_id = bytes.fromhex(raw["traceId"])
        made.span_id = bytes.fromhex(raw["spanId"])
        made.parent_span_id = bytes.fromhex(raw.get("parentSpanId", ""))
        for link, (trace_id, span_id) in zip(made.links, links, strict=True):
            link.trace_id, link.span_id = bytes.fromhex(trace_id), bytes.fromhex(span_id)
        request.resource_spans.extend(part.resource_spans)
    return bytes(request.SerializeToString())


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def json_lines() -> bytes:
    return b"".join(as_json(batch) + b"\n" for batch in BATCHES)


def prefixed_protobuf() -> bytes:
    frames = [as_protobuf(batch) for batch in BATCHES]
    return b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)


def delimited_protobuf() -> bytes:
    frames = [as_protobuf(batch) for batch in BATCHES]
    return b"".join(varint(len(frame)) + frame for frame in frames)


FORMATS: dict[str, Callable[[], bytes]] = {
    "json lines": json_lines,
    "json lines, no end": lambda: json_lines().rstrip(),
    "json lines, windows": lambda: b"\xef\xbb\xbf" + json_lines().replace(b"\n", b"\r\n"),
    "json lines, logs between": lambda: b'{"resourceMetrics":[]}\n' + json_lines(),
    "json document": lambda: as_json(SPANS),
    "json document, indented": lambda: as_json(SPANS, indent=2),
    "json document, unindented lines": lambda: as_json(SPANS, indent=0),
    "json documents, indented": lambda: b"\n".join(as_json(batch, indent=1) for batch in BATCHES),
    "json array": lambda: b"[" + b",".join(map(as_json, BATCHES)) + b"]",
    "protobuf": lambda: as_protobuf(SPANS),
    "protobuf, collector": prefixed_protobuf,
    "protobuf, delimited": delimited_protobuf,
}


def read(path: Path, chunk: int = 1 << 20) -> list[SpanRecord]:
    return [plain(record) for record in open_reader(path, chunk).records()]


def plain(record: SpanRecord) -> SpanRecord:
    return replace(record, origin="")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("chunk", [7, 1 << 20])
@pytest.mark.parametrize("name", list(FORMATS))
def test_every_form_of_otlp_gives_the_spans(
    tmp_path: Path, name: str, chunk: int, packed: bool
) -> None:
    """JSON lines, documents and protobuf, gzipped or not, give the same spans in any chunks."""
    data = FORMATS[name]()
    path = tmp_path / "trace"
    path.write_bytes(gzipped(data) if packed else data)
    assert read(path, chunk) == SPANS


def test_an_origin_has_the_line(tmp_path: Path) -> None:
    """A record of a JSON file names its file and line as its origin."""
    path = tmp_path / "trace.jsonl"
    path.write_bytes(json_lines())
    assert {record.origin for record in open_reader(path).records()} == {f"{path}:1", f"{path}:2"}


@pytest.mark.parametrize(
    "name", ["json lines", "protobuf, collector", "protobuf", "json documents, indented"]
)
def test_a_damaged_end_is_skipped(tmp_path: Path, name: str) -> None:
    """A file that was cut off, compressed or not, gives the spans before the cut."""
    data = FORMATS[name]()
    for number, cut in enumerate((data[:-20], gzipped(data)[:-9])):
        path = tmp_path / f"trace{number}"
        path.write_bytes(cut)
        found = read(path)
        assert found == SPANS[: len(found)]
        assert len(found) >= 3


def test_a_broken_line_is_skipped(tmp_path: Path) -> None:
    """A broken line in the middle of a file does not affect the others."""
    path = tmp_path / "trace.jsonl"
    first, second, _ = json_lines().split(b"\n")
    path.write_bytes(first + b"\n" + second[:50] + b"\n" + second + b"\n")
    assert read(path) == SPANS


@given(st.binary(max_size=200), st.integers(0, 400))
def test_damaged_protobuf_never_raises(junk: bytes, at: int) -> None:
    """Any bytes, and real messages broken anywhere, are read or skipped without an error."""
    data = as_protobuf(SPANS[:2])
    for broken in (junk, data[:at] + junk + data[at:], data[:at]):
        looks_like_otlp(broken)
        for payload in payloads(broken[:65536], iter([broken])):
            list(decode_protobuf(payload))


@given(st.binary(max_size=300))
def test_any_first_bytes_are_classified(head: bytes) -> None:
    """Any first bytes are of a known kind or have a description."""
    assert kind_of(head) is not None or description_of(head)


def gzipped(data: bytes) -> bytes:
    """Compress with a constant header, because gzip's default header holds the current second.

    Parameters must be the same in every process that collects the tests: pytest-xdist compares
    what its workers have collected.
    """
    return gzip.compress(data, mtime=0)


def archive() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a"))
    return stream.getvalue()


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "an empty file"),
    "empty, gzipped": (gzipped(b""), "an empty file"),
    "png": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x00", "a PNG image"),
    "zip": (b"PK\x03\x04\x14\x00\x00\x00\x08\x00", "a zip archive"),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x00\x01\x02\x03\x04", "zstd"),
    "elf": (b"\x7fELF\x02\x01\x01\x00\x00\x00\x00", "program"),
    "any bytes": (bytes(range(256)) * 4, "binary data"),
    "tar": (archive(), "a tar archive"),
    "damaged gzip": (b"\x1f\x8b\x08\x00" + b"\xff" * 40, "damaged"),
}


@pytest.mark.parametrize(("data", "description"), UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_content_is_named(tmp_path: Path, data: bytes, description: str) -> None:
    """The error names the file and its kind."""
    path = tmp_path / "given"
    path.write_bytes(data)
    with pytest.raises(ReaderError, match=description) as raised:
        open_reader(path)
    assert str(path) in str(raised.value)


def test_a_database_is_referred_to_the_store(tmp_path: Path) -> None:
    """The error for an SQLite file explains how to read a store."""
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table t (a)")
        connection.commit()
    with pytest.raises(ReaderError, match="SQLite database") as raised:
        open_reader(path)
    assert raised.value.next_step.endswith(f"--store {path}")


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    """A directory, a missing file and an impossible name have distinct errors."""
    with pytest.raises(ReaderError, match="is a directory"):
        open_reader(tmp_path)
    with pytest.raises(ReaderError, match="does not exist"):
        open_reader(tmp_path / "missing")
    with pytest.raises(ReaderError, match="cannot be read"):
        open_reader("a\x00b")
    with pytest.raises(ReaderError, match="the name of a file is empty"):
        open_reader("")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs rights that can be taken")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    """The error for a file without permission gives that reason."""
    path = tmp_path / "secret"
    path.write_bytes(LOG_LINE)
    path.chmod(0)
    with pytest.raises(ReaderError, match="Permission denied"):
        open_reader(path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux")
def test_a_failing_read_is_named() -> None:
    """A file that opens but cannot be read (a bad disk) gives the system's reason."""
    with pytest.raises(ReaderError, match="/proc/self/mem cannot be read: Input/output error"):
        open_reader("/proc/self/mem")


@pytest.mark.parametrize(
    ("data", "description"),
    [
        (b"just text\n", "text without a bracketed line"),
        (b'{"resourceSpans":[]}\n', "without a single span"),
    ],
)
def test_a_file_without_records_is_reported(tmp_path: Path, data: bytes, description: str) -> None:
    """A readable file without records raises NothingFoundError at its end."""
    path = tmp_path / "given"
    path.write_bytes(data)
    with pytest.raises(NothingFoundError, match=description):
        list(open_reader(path).records())


PACKED: dict[str, bytes] = {
    "plain": LOG_LINE,
    "gzip": gzipped(LOG_LINE),
    "utf-16": LOG_LINE.decode().encode("utf-16"),
    "after a hole": b"\x00" * 5000 + LOG_LINE,
    "after empty lines": b"\n\n\n" + LOG_LINE,
    "otlp logs": b'{"resourceLogs":[{"body":{"stringValue":"' + LOG_LINE.strip() + b'"}}]}\n',
    "after bytes of latin-1": b"\xff\xfe\xfd caf\xe9\n" + LOG_LINE,
}


@pytest.mark.parametrize("data", PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("chunk", [3, 1 << 20])
def test_logs_are_recognised_in_any_encoding(tmp_path: Path, data: bytes, chunk: int) -> None:
    """A log is found in gzip, UTF-16, other encodings, OTLP logs and behind a hole of zeros."""
    path = tmp_path / "given.log"
    path.write_bytes(data)
    (found,) = open_reader(path, chunk).records()
    assert found.attributes[sc.BUILD_ID] == "b-1"


class Standard:
    """A stand-in for `sys.stdin`."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def test_an_archive_without_a_record(tmp_path: Path) -> None:
    """The error of an archive states how many files were looked at; a damaged one is named."""
    path = tmp_path / "logs.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "nothing of Flash\n" * 100)
    with pytest.raises(NothingFoundError, match=r"a zip archive in which none of the files \(1\)"):
        list(open_reader(path).records())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", LOG_LINE)
    path.write_bytes(path.read_bytes().replace(LOG_LINE[:4], b"????", 1))
    with pytest.raises(ReaderError, match="CRC"):
        list(open_reader(path).records())


@pytest.mark.parametrize("data", [LOG_LINE, gzipped(LOG_LINE)], ids=["plain", "gzip"])
def test_standard_input(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """`-` reads standard input once, compressed or not, and does not close it."""
    stream = Standard(data)
    monkeypatch.setattr(sys, "stdin", stream)
    reader: RecordReader = open_reader("-")
    (found,) = reader.records()
    assert found.origin == "standard input:1"
    assert not stream.buffer.closed
    with pytest.raises(ReaderError, match="read already"):
        list(reader.records())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """A pipe, such as a shell's `<(docker logs ...)`, is read completely without seeking."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"x\n" * 100_000 + LOG_LINE,))
    writer.start()
    (found,) = open_reader(path).records()
    writer.join()
    assert found.origin == f"{path}:100001"


def test_progress_counts_compressed_bytes(tmp_path: Path) -> None:
    """Progress counts the bytes of the file itself, even if it is compressed."""
    path = tmp_path / "given.log.gz"
    path.write_bytes(gzipped(LOG_LINE * 50_000))
    calls: list[tuple[int, int]] = []
    for _ in Input(path, chunk=1 << 16).chunks(lambda *progress: calls.append(progress)):
        pass
    assert calls == sorted(calls)
    assert calls[-1] == (path.stat().st_size, path.stat().st_size)


class Dripping(io.BytesIO):
    """A stream, such as a pipe, that gives fewer bytes than it is asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 7))


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("lines", [1, 40, 4000])
def test_a_stream_may_give_few_bytes_at_a_time(lines: int, *, is_packed: bool) -> None:
    """The first bytes are complete, and all bytes come once, in any portions."""
    data = LOG_LINE * lines
    packed = gzip.compress(data) if is_packed else data
    given_ = Input("pipe", 1000, lambda: Dripping(packed))
    assert given_.head == data[: len(given_.head)]
    assert len(given_.head) >= min(len(data), 4096)
    assert b"".join(given_.chunks()) == data
