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
    """Record the spans of a worker's read."""
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
        """Pretend to be a terminal."""
        return True


class Calls:
    """A stream that records its write calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def write(self, text: str) -> None:
        """Record the call."""
        self.calls.append(text)


def test_lines_are_in_the_order_of_events() -> None:
    """Start lines are written at the start, end lines at the end, each with one call."""
    stream = Calls()
    read_once(stream)
    assert stream.calls == [line + "\n" for line in LINES]


def test_a_mapping_is_one_write() -> None:
    """A mapping over several lines is written with one call, which keeps it together."""
    stream = Calls()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(LegacyLogSpanProcessor(stream))
    attributes = {sc.ENDPOINT_NAMES: ("a", "b"), sc.ENDPOINT_URLS: ("https://a", "https://b")}
    provider.get_tracer(sc.SCOPE_NAME).start_span(sc.MANIFEST_UPLOAD, attributes=attributes).end()
    assert stream.calls[0] == (
        '[DEPLOY SYNC] resources_endpoints mapping: {\n  "a": "https://a",\n  "b": "https://b"\n}\n'
    )
    assert len(stream.calls) == 3


def test_spans_of_other_scopes_write_nothing() -> None:
    """A span of another scope writes nothing, even if its name is Flash's."""
    stream = Calls()
    read_once(stream, scope="my.app")
    assert stream.calls == []


def test_auto_writes_to_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines go to the current standard error, not to that of the set-up."""
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
def test_a_terminal_gets_lines_only_on_request(
    monkeypatch: pytest.MonkeyPatch, mode: str | bool, written: int
) -> None:
    """On a terminal `auto` writes nothing, True everything, False nothing."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    read_once(mode)
    assert len(terminal.getvalue().splitlines()) == written


@pytest.mark.parametrize("mode", ["my.lines", "logger:my.lines"])
def test_a_logger_gets_levels(caplog: pytest.LogCaptureFixture, mode: str) -> None:
    """A logger gets each line once, and the line about missing endpoints as a warning."""
    with caplog.at_level(logging.INFO, logger="my.lines"):
        read_once(mode)
    assert [record.getMessage() for record in caplog.records] == LINES
    assert [record.levelno for record in caplog.records if record.levelno > logging.INFO] == [
        logging.WARNING
    ]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_narrow_stream_gets_escapes(encoding: str) -> None:
    """A stream whose encoding lacks the arrow gets an escape, which can be parsed."""
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


def test_a_broken_pipe_is_ignored() -> None:
    """Lines for a closed pipe are dropped silently."""
    for stream in _broken_pipe():
        read_once(stream)


def test_a_closed_stream_is_ignored() -> None:
    """Lines for a closed stream are dropped silently."""
    stream = io.StringIO()
    stream.close()
    read_once(stream)


@pytest.mark.parametrize("mode", ["auto", True])
def test_a_missing_standard_error_is_ignored(
    monkeypatch: pytest.MonkeyPatch, mode: str | bool
) -> None:
    """A process without standard error (a Windows service) has no lines and no error."""
    monkeypatch.setattr(sys, "stderr", None)
    read_once(mode)


def test_a_faulty_stream_does_not_reach_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exceptions of a user's stream are swallowed."""

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
    """The argument and the variable accept the same modes."""
    assert parse_mode(given) == understood
