"""LegacyLogSpanProcessor on real spans and real streams."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from flash_otel import semconv as sc
from flash_otel.lines.format import parse
from flash_otel.lines.processor import AUTO, LegacyLogSpanProcessor, parse_mode

if TYPE_CHECKING:
    from collections.abc import Iterator

ASKING = {sc.ENVIRONMENT_ID: "env-1", sc.WORKER_ENVIRONMENT_ID: "env-1"}
ASKED: dict[str, Any] = {
    sc.MANIFEST_STATE: sc.MANIFEST_COMPLETE,
    sc.MANIFEST_KEYS: ("resources_endpoints",),
    sc.ENDPOINT_COUNT: 0,
    sc.ENDPOINT_NAMES: (),
}
LINES = [
    "[RUNTIME SYNC] Querying State Manager with environment_id=env-1",
    "[RUNTIME SYNC] FLASH_ENVIRONMENT_ID=env-1, RUNPOD_ENDPOINT_ID=(null)",
    "[STATE MANAGER] environment_id=env-1 → activeBuildId=b-1",
    "[STATE MANAGER] Retrieved build b-1, manifest keys: ['functions']",
    "[STATE MANAGER] Manifest MISSING resources_endpoints! Full manifest keys: ['functions']",
    "[RUNTIME SYNC] Received manifest with keys: ['resources_endpoints']",
    "[RUNTIME SYNC] resources_endpoints contains 0 entries: EMPTY",
]


@pytest.fixture(autouse=True)
def _raise_internal_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASH_OTEL_RAISE", "1")


def read_once(mode: Any, scope: str = sc.SCOPE_NAME) -> None:
    """Make the spans of one worker's read, in the order in which they happen."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(LegacyLogSpanProcessor(mode))
    tracer = provider.get_tracer(scope)
    with tracer.start_as_current_span(sc.RUNTIME_FETCH, attributes=ASKING) as fetch:
        with tracer.start_as_current_span(sc.MANIFEST_FETCH, attributes=ASKING) as attempt:
            attempt.set_attribute(sc.BUILD_ID, "b-1")
            attempt.set_attribute(sc.MANIFEST_STATE, sc.MANIFEST_INCOMPLETE)
            attempt.set_attribute(sc.MANIFEST_KEYS, ("functions",))
        fetch.set_attributes(ASKED)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        """Claim to be one."""
        return True


class Calls:
    """A stream that keeps every write apart."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def write(self, text: str) -> None:
        """Keep one call."""
        self.calls.append(text)


def test_lines_come_in_the_order_of_things() -> None:
    """Start lines are written at the start, end lines at the end, each in one write."""
    stream = Calls()
    read_once(stream)
    assert stream.calls == [line + "\n" for line in LINES]


def test_a_mapping_is_one_write() -> None:
    """The several lines of a mapping leave in one call, so that nothing gets between them."""
    stream = Calls()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(LegacyLogSpanProcessor(stream))
    attributes = {sc.ENDPOINT_NAMES: ("a", "b"), sc.ENDPOINT_URLS: ("https://a", "https://b")}
    provider.get_tracer(sc.SCOPE_NAME).start_span(sc.MANIFEST_UPLOAD, attributes=attributes).end()
    assert stream.calls[0] == (
        '[DEPLOY SYNC] resources_endpoints mapping: {\n  "a": "https://a",\n  "b": "https://b"\n}\n'
    )
    assert len(stream.calls) == 3


def test_spans_of_others_are_left_alone() -> None:
    """A span of another scope writes nothing, even under one of our names."""
    stream = Calls()
    read_once(stream, scope="my.app")
    assert stream.calls == []


def test_auto_writes_to_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare lines go to what standard error is when they are written, not when it was set up."""
    before, after = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", before)
    processor = LegacyLogSpanProcessor()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    monkeypatch.setattr(sys, "stderr", after)
    provider.get_tracer(sc.SCOPE_NAME).start_span(sc.RUNTIME_FETCH, attributes=ASKING).end()
    assert before.getvalue() == ""
    assert after.getvalue().splitlines() == LINES[:2]


@pytest.mark.parametrize(("mode", "written"), [("auto", 0), (True, 7), ("1", 7), (False, 0)])
def test_a_terminal_gets_lines_only_on_demand(
    monkeypatch: pytest.MonkeyPatch, mode: str | bool, written: int
) -> None:
    """On a terminal `auto` writes nothing, True everything, False nothing."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    read_once(mode)
    assert len(terminal.getvalue().splitlines()) == written


@pytest.mark.parametrize("mode", ["my.lines", "logger:my.lines"])
def test_a_logger_gets_levels(caplog: pytest.LogCaptureFixture, mode: str) -> None:
    """A named logger gets each line once, and the one about missing endpoints as a warning."""
    with caplog.at_level(logging.INFO, logger="my.lines"):
        read_once(mode)
    assert [record.getMessage() for record in caplog.records] == LINES
    assert [record.levelno for record in caplog.records if record.levelno > logging.INFO] == [
        logging.WARNING
    ]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_narrow_stream_is_no_error(encoding: str) -> None:
    """A stream whose encoding has no arrow gets the line with an escape, which is read back."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    read_once(stream)
    lines = raw.getvalue().decode(encoding).splitlines()
    assert lines[2] == LINES[2].replace("→", "\\u2192")
    assert [parse(line) for line in lines] == [parse(line) for line in LINES]


def _broken_pipe() -> Iterator[io.TextIOWrapper]:
    reading, writing = os.pipe()
    os.close(reading)
    stream = io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True)
    yield stream
    stream.detach().close()


def test_a_broken_pipe_is_no_error() -> None:
    """Lines for a reader that has gone are dropped without a word."""
    for stream in _broken_pipe():
        read_once(stream)


def test_a_closed_stream_is_no_error() -> None:
    """Lines for a closed stream are dropped without a word."""
    stream = io.StringIO()
    stream.close()
    read_once(stream)


@pytest.mark.parametrize("mode", ["auto", True])
def test_no_standard_error_is_no_error(monkeypatch: pytest.MonkeyPatch, mode: str | bool) -> None:
    """A process without standard error (a Windows service) is left alone."""
    monkeypatch.setattr(sys, "stderr", None)
    read_once(mode)


def test_a_faulty_stream_does_not_reach_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a user's stream raises stays inside."""

    class Faulty:
        def write(self, _text: str) -> None:
            raise RuntimeError("no")

    monkeypatch.delenv("FLASH_OTEL_RAISE")
    read_once(Faulty())


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (None, AUTO), ("", AUTO), ("AUTO", AUTO), ("1", True), ("true", True), (" on ", True),
        ("0", False), ("False", False), ("off", False), (True, True), (False, False),
        ("my.app", "logger:my.app"), ("logger:auto", "logger:auto"),
    ],
)  # fmt: skip
def test_modes_are_understood(given: Any, understood: Any) -> None:
    """Arguments and the variable's words mean the same."""
    assert parse_mode(given) == understood
