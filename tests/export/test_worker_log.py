"""The worker's own log as an export: spans as OTLP/JSON lines."""

from __future__ import annotations

import io
import json
import sys
from typing import Any, TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from support.any_records import RECORDS

from flash_otel.export.worker_log import WorkerLogSpanProcessor
from flash_otel.otlp.decode import decode, decode_log_line
from flash_otel.otlp.encode import LOG_MARK, encode_log_line
from flash_otel.records import SpanRecord


@pytest.fixture(autouse=True)
def _raise_internal_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASH_OTEL_RAISE", "1")


class _Writes(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def write(self, text: str, /) -> int:
        self.calls.append(text)
        return len(text)


def _trace(stream: TextIO | None, scope: str = "flash_otel") -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(WorkerLogSpanProcessor(stream))
    with provider.get_tracer(scope).start_as_current_span("flash.runtime.fetch") as span:
        span.set_attribute("deployment.environment.name", "größe → 雪")


def test_each_finished_span_is_one_write_of_one_line() -> None:
    """A span is written with one call, so that lines of several threads cannot mix."""
    stream = _Writes()
    _trace(stream)
    (written,) = stream.calls
    assert written.startswith(LOG_MARK + "{")
    assert written.endswith("}\n")
    assert written.count("\n") == 1
    (record,) = decode_log_line(written)
    assert record.name == "flash.runtime.fetch"
    assert record.attributes == {"deployment.environment.name": "größe → 雪"}


def test_the_line_is_otlp_json() -> None:
    """The text behind the mark is a valid OTLP/JSON message."""
    stream = _Writes()
    _trace(stream)
    assert len(list(decode(json.loads(stream.calls[0][len(LOG_MARK) :])))) == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_any_stream_can_write_it(encoding: str) -> None:
    """A stream with a narrow encoding gets the same line."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    _trace(stream)
    (record,) = decode_log_line(raw.getvalue().decode("ascii"))
    assert record.attributes["deployment.environment.name"] == "größe → 雪"
    stream.close()


def test_spans_of_other_scopes_are_not_written() -> None:
    """With a joined provider, the user's own spans are not written to the log."""
    stream = _Writes()
    _trace(stream, scope="users.own")
    assert stream.calls == []


def test_standard_error_is_looked_up_at_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A span is written to the current standard error."""
    stream = _Writes()
    processor = WorkerLogSpanProcessor()
    monkeypatch.setattr(sys, "stderr", stream)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    provider.get_tracer("flash_otel").start_span("x").end()
    assert len(stream.calls) == 1


def test_a_failing_stream_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed stream, a broken pipe and a missing standard error raise nothing."""

    class _Broken(_Writes):
        def write(self, text: str, /) -> int:
            raise BrokenPipeError(text)

    closed = io.StringIO()
    closed.close()
    _trace(closed)
    _trace(_Broken())
    monkeypatch.setattr(sys, "stderr", None)
    _trace(None)


RECORD = SpanRecord("ab" * 16, "cd" * 8, None, "flash.call", "client", 1, 2)


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "2026-01-01 12:00:00,000 | INFO  | {}",
        "2026-01-01T00:00:00Z stderr F {}\r",
        "\x1b[31m{}\x1b[0m",
        "logger=flash_otel {} trailing",
        'flash_otel {{ flash_otel {{"a": 1}} {}',
    ],
)
def test_the_mark_is_found_behind_any_prefix(around: str) -> None:
    """The span is read with any text that a logger or a container runtime adds."""
    assert list(decode_log_line(around.format(encode_log_line(RECORD).rstrip("\n")))) == [RECORD]


@given(RECORDS, st.data())
def test_a_cut_line_holds_nothing(record: SpanRecord, data: st.DataObject) -> None:
    """A cut line gives the whole span or none, and no error."""
    text = encode_log_line(record).rstrip("\n")
    end = data.draw(st.integers(0, len(text)))
    assert [repr(found) for found in decode_log_line(text[:end])] == [repr(record)] * (
        end == len(text)
    )


@given(st.text(), st.text())
def test_no_line_raises(prefix: str, rest: str) -> None:
    """Arbitrary text, with or without the mark, is read without an error."""
    list(decode_log_line(prefix + LOG_MARK + "{" + rest))
    list(decode_log_line(prefix + rest))


@pytest.mark.parametrize("hostile", ["[" * 100_000, '{"a":' * 100_000, "1" * 10_000 + "}"])
def test_hostile_json_is_skipped(hostile: str) -> None:
    """Endlessly nested JSON, or a number of ten thousand digits, is a line without spans."""
    found: list[Any] = list(decode_log_line(f'{LOG_MARK}{{"resourceSpans":{hostile}'))
    assert found == []
