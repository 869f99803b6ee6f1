from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from flash_otel import semconv
from flash_otel.records import SpanRecord
from flash_otel.store import writer
from flash_otel.store.processor import StoreSpanProcessor
from flash_otel.store.store import SpanStore, newest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.trace import Tracer


SAMPLE = SpanRecord("ab" * 16, "cd" * 8, None, "sample", "internal", 1, 2)


class Recording:
    """A provider with a store processor, its warnings and its stored spans."""

    def __init__(self, path: Path, max_queued: int = 100_000) -> None:
        self.path = path
        self.warnings: list[str] = []
        self.processor = StoreSpanProcessor(path, warn=self.warnings.append, max_queued=max_queued)
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(self.processor)

    @property
    def tracer(self) -> Tracer:
        """The tracer of our own scope."""
        return self.provider.get_tracer(semconv.SCOPE_NAME, "0.1")

    def span(self, name: str) -> None:
        """Start and end a root span."""
        self.tracer.start_span(name).end()

    def stored(self) -> list[SpanRecord]:
        """Return the spans in the newest file."""
        found = newest(self.path)
        if found is None:
            return []
        with SpanStore(found) as store:
            return list(store.spans())


@pytest.fixture(autouse=True)
def _raise_internal_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASH_OTEL_RAISE", "1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "spans.db"


@pytest.fixture
def recording(path: Path) -> Iterator[Recording]:
    made = Recording(path)
    yield made
    made.provider.shutdown()


def test_a_root_is_stored_while_it_runs_and_when_it_has_ended(recording: Recording) -> None:
    """A running root is stored with its attributes so far, and replaced when it ends."""
    root = recording.tracer.start_span("flash.deploy", attributes={"a": 1})
    assert recording.processor.force_flush()
    (started,) = recording.stored()
    assert (started.end_ns, started.attributes) == (None, {"a": 1})

    root.set_attribute("b", 2)
    root.end()
    assert recording.processor.force_flush()
    (ended,) = recording.stored()
    assert ended.end_ns is not None
    assert ended.attributes == {"a": 1, "b": 2}


def test_a_child_is_stored_when_it_has_ended(recording: Recording) -> None:
    """A running span is stored only if its parent is remote or missing."""
    remote = NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)))
    root = recording.tracer.start_span("flash.deploy", context=set_span_in_context(remote))
    child = recording.tracer.start_span("flash.build", context=set_span_in_context(root))
    recording.processor.force_flush()
    assert [span.name for span in recording.stored()] == ["flash.deploy"]
    child.end()
    root.end()


def test_spans_of_others_are_not_stored(recording: Recording) -> None:
    """Spans of other scopes are not stored."""
    recording.provider.get_tracer("users.own").start_span("theirs").end()
    recording.span("flash.call")
    recording.processor.force_flush()
    assert [span.name for span in recording.stored()] == ["flash.call"]


def test_a_burst_loses_nothing(path: Path) -> None:
    """20,000 root spans, made by two threads as fast as possible, are all stored."""
    recording = Recording(path, max_queued=32_768)

    def burst() -> None:
        for _ in range(10_000):
            recording.span("flash.call")

    threads = [threading.Thread(target=burst) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recording.processor.shutdown(60_000)
    with closing(sqlite3.connect(path)) as plain:
        query = "SELECT count(*), count(end_ns) FROM spans"
        assert plain.execute(query).fetchone() == (20_000, 20_000)
    assert recording.warnings == []


def test_spans_beyond_the_bound_are_counted(path: Path) -> None:
    """A full queue loses new spans; a warning and the next span carry their number."""
    recording = Recording(path, max_queued=10)
    recording.span("first")
    recording.processor.force_flush()
    with recording.processor._in_store:
        # The writer waits for the lock and holds at most one batch.
        for _ in range(1_100):
            recording.span("flash.call")
    recording.processor.force_flush()
    recording.span("last")
    recording.processor.shutdown()

    stored = recording.stored()
    lost = 1_102 - len(stored)
    assert lost > 0
    gaps = [record.attributes.get(semconv.DROPPED_SPANS) for record in stored]
    assert sum(gap for gap in gaps if isinstance(gap, int)) == lost
    (warning,) = recording.warnings
    assert "lost" in warning


def test_an_ended_processor_takes_nothing(path: Path) -> None:
    """After shutdown, which may be called twice, spans are ignored and a flush succeeds."""
    recording = Recording(path)
    recording.span("flash.deploy")
    recording.processor.shutdown()
    recording.span("late")
    assert recording.processor.force_flush()
    recording.processor.shutdown()
    assert [span.name for span in recording.stored()] == ["flash.deploy"]
    assert sorted(file.name for file in path.parent.iterdir()) == ["spans.db"]


def test_without_a_thread_the_flush_writes(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no thread can be started (at exit), a flush stores on its own thread."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        recording.span("flash.deploy")
        assert recording.processor.force_flush()
        assert [span.name for span in recording.stored()] == ["flash.deploy"]
        recording.span("flash.call")
        recording.processor.shutdown()
    assert len(recording.stored()) == 2


def test_a_flush_that_takes_too_long_returns_false(recording: Recording) -> None:
    """A flush returns False after its timeout; the spans are stored later."""
    recording.span("flash.deploy")
    with recording.processor._in_store:
        assert recording.processor.force_flush(1) is False
    assert recording.processor.force_flush() is True


@pytest.mark.parametrize("planted", ["folder is a file", "file is a folder", "link"])
def test_a_store_that_cannot_be_used_is_one_warning(path: Path, planted: str) -> None:
    """The host continues without a store, with one warning."""
    state = path.parent
    if planted == "folder is a file":
        state.write_text("")
    elif planted == "file is a folder":
        path.mkdir(parents=True)
    else:
        state.mkdir()
        path.symlink_to(state / "elsewhere")
    recording = Recording(path)
    for _ in range(3):
        recording.span("flash.deploy")
        assert recording.processor.force_flush() is False
    recording.processor.shutdown()
    (warning,) = recording.warnings
    assert warning.startswith("flash_otel: spans are not stored: ")
    assert str(path) in warning or str(state) in warning


def test_the_warning_goes_to_standard_error_by_default(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `warn`, the warning is a line on standard error."""
    path.parent.write_text("")
    processor = StoreSpanProcessor(path)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    for _ in range(2):
        provider.get_tracer("flash_otel").start_span("x").end()
        processor.force_flush()
    processor.shutdown()
    warning = capsys.readouterr().err
    assert warning.startswith("flash_otel: ")
    assert warning.count("\n") == 1


def test_a_warn_that_fails_breaks_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in `warn` is swallowed."""
    monkeypatch.delenv("FLASH_OTEL_RAISE")
    path.parent.write_text("")
    calls: list[str] = []

    def broken(message: str) -> None:
        calls.append(message)
        raise OSError("no terminal")

    processor = StoreSpanProcessor(path, warn=broken)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    for _ in range(2):
        provider.get_tracer("flash_otel").start_span("x").end()
        assert processor.force_flush() is False
    processor.shutdown()
    assert len(calls) == 1


def test_a_damaged_file_stays_and_a_fresh_one_is_used(path: Path) -> None:
    """The damaged file is untouched, a fresh one is used, and only the first run warns."""
    path.parent.mkdir()
    damaged = b"once a database, now" * 500
    path.write_bytes(damaged)
    first = Recording(path)
    first.span("flash.deploy")
    assert first.processor.force_flush()
    first.processor.shutdown()
    second = Recording(path)
    second.span("flash.call")
    second.processor.shutdown()

    assert path.read_bytes() == damaged
    assert newest(path) == path.with_name("spans.1.db")
    assert {span.name for span in second.stored()} == {"flash.deploy", "flash.call"}
    (warning,) = first.warnings
    assert warning.startswith("flash_otel: ")
    assert "spans.1.db" in warning
    assert second.warnings == []


def test_damage_while_it_is_used_loses_no_new_span(path: Path) -> None:
    """If a page is damaged while in use, the writer continues in a fresh file, without a loss."""
    with SpanStore(path):
        pass
    with closing(sqlite3.connect(path)) as plain:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'spans_key'"
        page, size = plain.execute(query).fetchone()[0], 4096
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)

    recording = Recording(path)
    for name in ("one", "two"):
        recording.span(name)
        assert recording.processor.force_flush()
    recording.processor.shutdown()
    assert len(recording.warnings) == 1
    with SpanStore(path.with_name("spans.1.db")) as store:
        assert {span.name for span in store.spans()} == {"one", "two"}


def test_two_writers_that_meet_the_same_damage_share_the_fresh_file(path: Path) -> None:
    """The second writer uses the first one's fresh file instead of creating another."""
    test_damage_while_it_is_used_loses_no_new_span(path)
    late = writer.StoreWriter(path, print)
    late._store = SpanStore(path)
    late.commit([replace(SAMPLE, name="three")])
    late.close()
    with SpanStore(path.with_name("spans.1.db")) as store:
        assert {span.name for span in store.spans()} == {"one", "two", "three"}
    assert newest(path) == path.with_name("spans.1.db")


def test_an_internal_error_ends_recording_and_not_the_host(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An internal error is one warning; later spans are ignored."""
    monkeypatch.delenv("FLASH_OTEL_RAISE")
    monkeypatch.setattr(SpanStore, "write", lambda *_: 1 / 0)
    recording = Recording(path)
    recording.span("one")
    assert recording.processor.force_flush() is False
    recording.span("two")
    recording.processor.shutdown()
    assert recording.warnings == ["flash_otel: spans are not stored: division by zero"]


def test_a_span_that_cannot_be_converted_costs_no_other_span(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A span that cannot be converted is left out; those before and after it are stored."""
    monkeypatch.delenv("FLASH_OTEL_RAISE")
    recording.span("before")
    recording.processor._queue.put(object())  # type: ignore[arg-type]  # planted: no span at all
    recording.span("after")
    assert recording.processor.force_flush()
    assert [span.name for span in recording.stored()] == ["before", "after"]


def test_old_spans_go_while_new_ones_are_written(path: Path) -> None:
    """The writer deletes old spans while it stores new ones."""
    now = time.time_ns()
    with SpanStore(path) as store:
        store.write([SAMPLE, replace(SAMPLE, span_id="ef" * 8, start_ns=now, end_ns=now)])
    recording = Recording(path)
    recording.span("new")
    recording.processor.force_flush()
    recording.processor.shutdown()
    assert [span.name for span in recording.stored()] == ["sample", "new"]
