"""From a log's bytes to its lines and spans, with anything around them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers import log_scan
from flash_otel.diagnosis.readers.log_entry import time_of
from flash_otel.diagnosis.readers.log_scan import _NEAR, MAX_LINE, Scanner, unwrap
from flash_otel.diagnosis.readers.log_text import LoggedLine, LogLines
from flash_otel.lines.format import ParsedLine, format_lines, parse
from flash_otel.lines.table import END, START
from flash_otel.otlp.encode import encode_log_line
from flash_otel.records import SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UPLOAD = {
    sc.BUILD_ID: "0f9e-11",
    sc.ENVIRONMENT_ID: "env-456",
    sc.ENDPOINT_COUNT: 2,
    sc.ENDPOINT_NAMES: ("gpu", "it's"),
    sc.ENDPOINT_URLS: ("https://a", "https://b"),
    sc.MANIFEST_KEYS: ("resources_endpoints", "functions"),
    sc.OUTCOME: sc.RETURNED,
    sc.ENVIRONMENT_NAME: "my env",
}
READ = UPLOAD | {sc.MANIFEST_STATE: sc.MANIFEST_COMPLETE, sc.WORKER_ENVIRONMENT_ID: "env-456"}
ALL = [
    *format_lines(sc.ACTIVATE, END, UPLOAD),
    *format_lines(sc.MANIFEST_UPLOAD, START, UPLOAD),
    *format_lines(sc.MANIFEST_UPLOAD, END, UPLOAD),
    *format_lines(sc.RUNTIME_FETCH, START, READ),
    *format_lines(sc.MANIFEST_FETCH, END, READ),
    *format_lines(sc.RUNTIME_FETCH, END, READ),
]
SPAN = SpanRecord(
    trace_id="ab" * 16,
    span_id="cd" * 8,
    parent_span_id=None,
    name=sc.RUNTIME_FETCH,
    kind="internal",
    start_ns=1,
    end_ns=2,
    attributes={sc.ENVIRONMENT_ID: "env-456"},
    scope_name=sc.SCOPE_NAME,
)


def chunked(data: bytes, size: int) -> Iterator[bytes]:
    stream = io.BytesIO(data)
    while chunk := stream.read(size):
        yield chunk


def read(data: bytes, size: int = 1 << 20) -> list[Any]:
    return list(LogLines().read(chunked(data, size)))


def parsed(data: bytes, size: int = 1 << 20) -> list[ParsedLine]:
    return [line.parsed for line in read(data, size) if isinstance(line, LoggedLine)]


# Bytes that try to be something: marks, JSON, container prefixes, colours, spans, line ends.
PIECES = st.sampled_from(
    [
        b"\n", b"\r\n", b"\r", b"[", b"]", b"{", b"}", b'"', b"\x1b", b"\x1b[", b"\x1b]0;", b"\x07",
        b"\xff\xfe", b"\x00", b"DEPLOY", b"[DEPLOY SYNC] ", b"STATE MANAGER: ", b"flash_otel {",
        b'{"log":"', b'","stream":"stderr"}', b"2026-01-01T00:00:00Z stderr F ", b"worker-1  | ",
        b'flash_otel {"resourceSpans":[]}', b'  "gpu": "https://a",', b"...", b"{\n",
        "📤 ".encode(),
    ]
)  # fmt: skip
JUNK = st.lists(st.one_of(PIECES, st.binary(max_size=12)), max_size=5).map(b"".join)


@given(st.lists(st.tuples(JUNK, st.sampled_from(ALL)), max_size=6), JUNK, st.integers(1, 40))
@settings(max_examples=300)
def test_no_line_is_lost(parts: list[tuple[bytes, str]], after: bytes, size: int) -> None:
    """Every bracketed line is found, in order, with any bytes before and between lines."""
    data = b"".join(junk + line.encode() + b"\n" for junk, line in parts) + after
    found = iter(parsed(data, size))
    for _, line in parts:
        expected = parse(line)
        assert any(line == expected for line in found), line


@pytest.mark.parametrize("line", [line for line in ALL if "\n" not in line])
def test_no_line_is_lost_across_the_border_of_a_stretch(line: str) -> None:
    """A mark across the border of a searched stretch is found."""
    rare = b"YP MG YU {_ "
    for gap in range(_NEAR - 60, _NEAR + 20):
        data = rare + b"x" * gap + b"\n" + line.encode() + b"\n"
        assert parsed(data) == [parse(line)], gap


ANNOUNCED = st.just(b"2026-01-01T00:00:00Z stderr P ")  # the line continues in the next


@given(
    st.lists(
        st.one_of(JUNK, ANNOUNCED, st.sampled_from([line.encode() for line in ALL])), max_size=12
    )
)
def test_chunk_sizes_make_no_difference(parts: list[bytes]) -> None:
    """Any bytes are read without an error, and alike in chunks of any size."""
    data = b"".join(parts)
    whole = read(data)
    assert all(read(data, size) == whole for size in (1, 2, 7, 64))


@given(st.binary(max_size=300))
def test_any_line_is_unwrapped_without_an_error(raw: bytes) -> None:
    """Any line can be unwrapped."""
    unwrap(raw.decode("utf-8", "replace"))


def docker(text: str) -> list[str]:
    return [
        json.dumps({"log": f"{line}\n", "stream": "stderr", "time": "2026-01-01T00:00:00Z"})
        for line in text.split("\n")
    ]


def before(prefix: str) -> Any:
    return lambda text: [prefix + line for line in text.split("\n")]


def once(prefix: str) -> Any:
    return lambda text: [prefix + text]


WRAPPERS: dict[str, Any] = {
    "bare": once(""),
    "root logger": once("2026-01-01 10:00:00,123 | INFO  | "),
    "basicConfig": once("INFO:flash.lines:"),
    "module and line": once("[2026-01-01 10:00:00 +0000] [42] flash.py:12 INFO - "),
    "docker": docker,
    "docker logs -t": before("2026-01-01T10:00:00.123456789Z "),
    "compose": before("worker-1  | "),
    "kubectl": before("[pod/worker-abc/main] "),
    "kubernetes": before("2026-01-01T10:00:00.123456789Z stderr F "),
    "syslog": once("Jan  1 10:00:00 host flash[123]: "),
    "json logger": lambda text: [json.dumps({"level": "info", "message": text})],
    "json under compose": lambda text: ["w-1  | " + json.dumps({"msg": text, "n": 1})],
    "docker in kubernetes": lambda text: [
        "2026-01-01T10:00:00Z stdout F " + line for line in docker(text)
    ],
    "coloured": lambda text: [f"\x1b[32mINFO\x1b[0m {text}\x1b[0m"],
    "coloured by words": lambda text: [text.replace("]", "\x1b[1m]\x1b[0m", 1)],
    "progress bar": once("Deploying  10%\rDeploying  20%\r"),
    "colon": lambda text: [text.replace("]", "]:", 1)],
    "emoji": lambda text: ["📤 " + text[1:].replace("]", ":", 1)],
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("wrapper", list(WRAPPERS))
def test_every_wrapping_is_taken_off(wrapper: str, end: str) -> None:
    """Values are read in any wrapping, including mappings over several lines."""
    lines = [wrapped for line in ALL for wrapped in WRAPPERS[wrapper](line)]
    data = end.join(["noise", *lines, "noise", ""]).encode()
    assert parsed(data) == [parse(line) for line in ALL]


@pytest.mark.parametrize("wrapper", ["bare", "root logger", "docker", "compose", "json logger"])
def test_a_worker_s_span_is_read_at_full_fidelity(wrapper: str) -> None:
    """An OTLP line in any wrapping gives the original span."""
    text = encode_log_line(SPAN).rstrip("\n")
    data = "\n".join([*WRAPPERS[wrapper](text), *WRAPPERS[wrapper](ALL[0])]).encode() + b"\n"
    span, line = read(data)
    assert span == (1, SPAN)
    assert line.parsed == parse(ALL[0])


def test_reading_a_log_does_not_load_the_sdk(tmp_path: Path) -> None:
    """Diagnosing a log, a worker's spans included, does not pay for importing the SDK."""
    path = tmp_path / "worker.log"
    path.write_text(encode_log_line(SPAN) + ALL[0] + "\n", encoding="utf-8")
    program = (
        "import sys\n"
        "from flash_otel.diagnosis.readers import open_reader\n"
        f"assert len(list(open_reader({str(path)!r}).records())) == 2\n"
        "print('opentelemetry.sdk' in sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ended.stdout.strip() == b"False"


def test_every_needle_has_two_rare_bytes() -> None:
    """The scanner searches for two rare bytes of each needle before the needle itself."""
    rare = {needle: b"".join(pair) for needle, pair in log_scan._SOUGHT}
    assert rare == {
        b"DEPLOY": b"YP",
        b"STATE MANAGER": b"GM",
        b"RUNTIME SYNC": b"YU",
        b"flash_otel {": b"{_",
    }


@pytest.mark.parametrize("split", [1, 20, 60, 120])
def test_lines_that_a_runtime_has_split_are_joined(split: int) -> None:
    """The parts of a span that Docker or Kubernetes has split are joined."""
    text = encode_log_line(SPAN).rstrip("\n")
    cut = len("flash_otel {") + split
    parts = (text[:cut], text[cut : cut + 50], text[cut + 50 :])
    time = "2026-01-01T00:00:00Z"
    kubernetes = [f"{time} stderr {flag} {part}" for flag, part in zip("PPF", parts, strict=True)]
    dockerised = [
        json.dumps({"log": part, "stream": "stderr", "time": time})
        for part in (*parts[:2], parts[2] + "\n")
    ]
    for lines in (kubernetes, dockerised):
        assert read(("\n".join(lines) + "\n").encode()) == [(1, SPAN)]


def test_interleaved_mappings_stay_apart() -> None:
    """Interleaved mappings of several workers are assembled by their prefixes."""
    mapping = format_lines(sc.MANIFEST_UPLOAD, START, UPLOAD)[0].split("\n")
    lines = [f"w-{worker}  | {line}" for line in mapping for worker in (1, 2, 3)]
    found = read(("\n".join(lines) + "\n").encode())
    assert [line.stream for line in found] == ["w-1", "w-2", "w-3"]
    assert {line.parsed.fields["endpoints"]["gpu"] for line in found} == {"https://a"}


def test_a_mapping_that_breaks_off_is_cut() -> None:
    """The entries of an incomplete mapping are kept, and the mapping is marked as cut."""
    mapping = ALL[1].split("\n")
    found = parsed("\n".join([*mapping[:2], "noise", ALL[0], ""]).encode())
    assert found[0].fields["endpoints"] == {"gpu": "https://a"}
    assert found[0].cut == {"endpoints"}
    assert found[1] == parse(ALL[0])


@pytest.mark.parametrize("wrap", ["{}", '{{"log":"{}'])
def test_an_id_at_the_end_of_a_cut_log_is_doubtful(wrap: str) -> None:
    """An id at the end of a log without a line end is marked as cut."""
    data = wrap.format("[STATE MANAGER] environment_id=e-1 → activeBuildId=b-12").encode()
    (found,) = parsed(data)
    assert found.cut == {"build_id"}
    (found,) = parsed(data + b"\n") if wrap == "{}" else parsed(data)
    assert found.cut == (set() if wrap == "{}" else {"build_id"})


def test_a_line_directly_behind_a_cut_line() -> None:
    """Two lines without a line end between them are both read; the first's last value is cut."""
    data = b"[STATE MANAGER] GraphQL mutation succeeded for build_id=b-1" + ALL[0].encode() + b"\n"
    first, second = parsed(data)
    assert first.fields == {"build_id": "b-1"}
    assert first.cut == {"build_id"}
    assert second == parse(ALL[0])


def test_mojibake_and_invalid_bytes() -> None:
    """The ids of a line in a wrong encoding are read."""
    text = "[STATE MANAGER] environment_id=e-1 → activeBuildId=b-2\n"
    expected = parse(text)
    for data in (
        text.encode().decode("cp1252").encode(),
        text.encode("cp1252", "replace"),
        text.encode("ascii", "backslashreplace"),
        text.replace("→", "->").encode(),
        text.encode().replace(b"\x86", b""),
    ):
        assert parsed(data) == [expected]


def test_times_are_read() -> None:
    """Times are read to the nanosecond, with their offset if there is one."""
    base = 1767261600 * 10**9  # 2026-01-01T10:00:00Z
    assert time_of("2026-01-01T10:00:00.123456789Z x") == (base + 123456789, True)
    assert time_of("2026-01-01 10:00:00,123 | INFO") == (base + 123_000_000, False)
    assert time_of("2026-01-01T12:00:00+02:00") == (base, True)
    assert time_of("2026-01-01T05:30:00-0430") == (base, True)
    assert time_of("2026-99-01T05:30:00") == (None, False)
    assert time_of("no time") == (None, False)


def test_writers_are_named_by_containers_and_pods() -> None:
    """Names of containers and pods become the stream; times, levels and loggers do not."""
    line = ALL[0]
    pod = json.dumps({"log": line + "\n", "stream": "stderr", "kubernetes": {"pod_name": "p-1"}})
    named = {
        f"worker-1  | 2026-01-01 10:00:00,123 | INFO  | {line}": "worker-1",
        f"[pod/worker-abc/main] {line}": "worker-abc/main",
        f"Jan  1 10:00:00 host flash[123]: {line}": "host flash[123]",
        pod: "p-1",
        f"2026-01-01 10:00:00,123 | INFO  | {line}": "",
        f"INFO:runpod_flash.runtime.service_registry:{line}": "",
    }
    for text, stream in named.items():
        (found,) = read(text.encode() + b"\n")
        assert found.stream == stream


def test_a_line_without_end_is_searched_in_flat_memory() -> None:
    """Gigabytes without a line end are searched in parts, and a line after them is found."""
    chunks = [b"x" * (MAX_LINE // 4)] * 12 + [b"\n" + ALL[0].encode() + b"\n"]
    (found,) = Scanner().lines(chunks)
    assert found == (2, ALL[0].encode(), True)
