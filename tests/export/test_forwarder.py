"""The forwarder with a store, a queue in memory and a collector."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support.bad_endpoints import refusing
from support.scripted_collector import KINDS, OK, HttpCollector, Reply, partial

import flash_otel
from flash_otel import pipeline, semconv
from flash_otel.export import forwarder as forwarder_module
from flash_otel.export import sending
from flash_otel.export.delivery import StoreDelivery, StoreSpanSource
from flash_otel.export.destination import Destination
from flash_otel.export.forwarder import Forwarder
from flash_otel.export.http import HttpTransport
from flash_otel.export.memory import MemoryQueue
from flash_otel.export.sending import ExportResult, Tally, Verdict, send_all
from flash_otel.records import SpanRecord
from flash_otel.runtime import process
from flash_otel.store import cursors
from flash_otel.store.errors import StoreBusyError
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_S = 60


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Start without endpoints and with an empty store; end uninstrumented."""
    for name in ("TRACES_EXPORTER", "EXPORTER_OTLP_ENDPOINT", "EXPORTER_OTLP_PROTOCOL"):
        monkeypatch.delenv(f"OTEL_{name}", raising=False)
    for name in ("RUNPOD_POD_ID", "RUNPOD_ENDPOINT_ID", "TRACEPARENT", "FLASH_OTEL_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLASH_OTEL_RAISE", "1")
    monkeypatch.setenv("FLASH_OTEL_STORE", str(tmp_path / "spans.db"))
    monkeypatch.setenv("FLASH_OTEL_EXIT_BUDGET", str(PATIENCE_S))
    process.reset()
    yield
    flash_otel.uninstrument()
    process.reset()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Return a function that names a collector in the environment."""

    def name(collector: Any) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", collector.protocol)

    return name


@contextmanager
def tracing(**options: Any) -> Iterator[None]:
    """Trace within the block."""
    flash_otel.instrument(legacy_logs=False, **options)
    try:
        yield
    finally:
        flash_otel.uninstrument()


@flash_otel.trace_activate
def activate(build_id: str) -> None:
    """Make a span."""
    assert build_id


@flash_otel.trace_deploy
def deploy(count: int) -> None:
    """Make a root with this many children."""
    for number in range(count):
        activate(f"b-{number}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_live_collector_gets_everything(kind: Any, endpoint: Any) -> None:
    """Finished spans are stored and delivered once, the root after its children."""
    with kind() as collector:
        endpoint(collector)
        with tracing():
            deploy(3)
            assert flash_otel.flush(PATIENCE_S)
    assert collector.names == ["flash.activate"] * 3 + ["flash.deploy"]
    assert len(set(collector.keys)) == 4


def test_what_waits_goes_with_the_next_run(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next run first sends what a collector did not accept, once."""
    with HttpCollector(*[Reply(503)] * 2) as collector:
        endpoint(collector)
        with tracing():
            deploy(2)
            assert not flash_otel.flush(PATIENCE_S)
        assert "3 spans wait for 127.0.0.1" in capsys.readouterr().err
        collector.clear()
        with tracing():
            activate("b-later")
        assert len(collector.keys) == len(set(collector.keys)) == 4
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
        assert capsys.readouterr().err == ""


def test_a_warning_about_waiting_spans(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process warns once, with the number of waiting spans, destination, reason and remedy."""
    with refusing() as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        for _ in range(2):
            with tracing():
                activate("b-1")
    host = url.removeprefix("http://")
    assert capsys.readouterr().err == (
        f"flash_otel: 1 span waits for {host} (connection refused): "
        "the next run sends them, or: flash-otel push\n"
    )


def test_an_application_s_provider_is_left_alone(endpoint: Any, tmp_path: Path) -> None:
    """Spans of an application's provider are stored but not forwarded: its exporters send them."""
    from opentelemetry.sdk.trace import TracerProvider

    with HttpCollector() as collector:
        endpoint(collector)
        with tracing(tracer_provider=TracerProvider(shutdown_on_exit=False)):
            activate("b-joined")
        with tracing():
            activate("b-own")
        assert len(collector.keys) == 1
    with SpanStore(tmp_path / "spans.db") as store:
        assert len(list(store.spans())) == 2


def test_unsampled_spans_stay_here(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Unsampled spans are stored but not sent."""
    monkeypatch.setenv("TRACEPARENT", f"00-{'a' * 32}-{'b' * 16}-00")
    with HttpCollector() as collector:
        endpoint(collector)
        with tracing():
            deploy(1)
        assert collector.requests == []
    with SpanStore(tmp_path / "spans.db") as store:
        assert len(list(store.spans())) == 2


# --- without a store ----------------------------------------------------------------------------


def test_without_a_store_spans_go_from_memory(endpoint: Any, tmp_path: Path) -> None:
    """With the store off, the collector gets everything."""
    with HttpCollector(Reply(503)) as collector:
        endpoint(collector)
        with tracing(store=False):
            deploy(2)
            flash_otel.flush(PATIENCE_S)
    assert collector.names[-3:] == ["flash.activate"] * 2 + ["flash.deploy"]
    assert len(set(collector.keys)) == 3
    assert not (tmp_path / "spans.db").exists()


def test_a_warning_about_lost_spans(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a store, unsent spans are lost at exit, with a warning."""
    with refusing() as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        with tracing(store=False):
            deploy(1)
    host = url.removeprefix("http://")
    expected = f"2 spans are lost, as the store is off: not sent to {host} (connection refused)"
    assert capsys.readouterr().err == f"flash_otel: {expected}\n"


def test_a_worker_falls_back_to_its_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker writes to its log what it could not send."""
    from flash_otel.otlp.decode import decode_log_line

    monkeypatch.delenv("FLASH_OTEL_STORE")
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "endpoint")
    with refusing() as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        with tracing():
            deploy(1)
    written = capsys.readouterr().err.splitlines()
    names = [record.name for line in written for record in decode_log_line(line)]
    assert names == ["flash.activate", "flash.deploy"]


def test_storing_does_not_wait_for_sending(endpoint: Any, tmp_path: Path) -> None:
    """Flushing the store does not wait for a collector."""
    with HttpCollector(*[Reply(503)] * 100) as collector:
        endpoint(collector)
        with tracing():
            deploy(1)
            assert pipeline.flush_store(PATIENCE_S)
            with SpanStore(tmp_path / "spans.db") as store:
                assert len(list(store.spans())) == 2


# --- batches ------------------------------------------------------------------------------------

NAME = "http/protobuf http://example/v1/traces"


def records(count: int) -> list[SpanRecord]:
    """Return finished spans of our own provider."""
    resource = {"telemetry.distro.name": "flash-otel"}
    return [
        SpanRecord("a" * 32, f"{n:016x}", None, f"s{n}", "internal", n, n + 1, resource=resource)
        for n in range(1, count + 1)
    ]


@pytest.fixture
def stored(tmp_path: Path) -> StoreSpanSource:
    """Return a source in which 100 spans wait."""
    path = tmp_path / "waiting.db"
    with SpanStore(path) as store:
        cursors.register(store.connection, [NAME])
        store.write(records(100))
    return StoreSpanSource(path, NAME)


def transport(collector: HttpCollector) -> closing[HttpTransport]:
    """Return a transport to a collector, to be closed."""
    return closing(HttpTransport(Destination("http/protobuf", f"{collector.url}/v1/traces")))


def test_a_destination_that_is_forgotten_while_in_use(stored: StoreSpanSource) -> None:
    """The process that sends to it registers it again, for its next spans; nothing is repeated."""
    with SpanStore(stored._path) as store:
        cursors.forget(store.connection, NAME)
    assert stored.take(10) == []
    assert stored.backlog().spans == 0
    with SpanStore(stored._path) as store:
        store.write(records(101)[-1:])
    assert [record.name for _, record in stored.take(10)] == ["s101"]


def test_a_batch_that_is_too_large_is_split(stored: StoreSpanSource) -> None:
    """A batch that is too large is split, in order; a single span that is too large is rejected."""

    def judge(names: list[str]) -> Reply:
        return Reply(413) if len(names) > 30 or "s7" in names else OK

    with HttpCollector(judge=judge) as collector, transport(collector) as carrier:
        tally = send_all(stored, carrier)
    assert (tally.delivered, tally.rejected, tally.trouble) == (99, 1, None)
    assert len(set(collector.keys)) == 99
    assert stored.backlog().spans == 0


def test_a_lost_answer_sends_again(stored: StoreSpanSource) -> None:
    """Without an answer the cursor stays, and the same spans are sent again."""
    with HttpCollector(Reply(503)) as collector, transport(collector) as carrier:
        assert send_all(stored, carrier).trouble is not None
        assert stored.backlog().is_failing
        assert send_all(stored, carrier).delivered == 100
    assert collector.requests[0] == collector.requests[1]


def test_a_partial_success_is_not_repeated(stored: StoreSpanSource) -> None:
    """The refused spans of a batch count as rejected, the rest as delivered."""
    with HttpCollector(partial(3, "too old")) as collector, transport(collector) as carrier:
        tally = send_all(stored, carrier)
    assert (tally.delivered, tally.rejected, tally.rejection) == (97, 3, "too old")
    assert stored.backlog().spans == 0


def test_one_sender_at_a_time(stored: StoreSpanSource) -> None:
    """While another sender is active a forwarder waits; nothing is sent twice."""
    with HttpCollector() as collector:
        destination = Destination("http/protobuf", f"{collector.url}/v1/traces")
        other = Forwarder(destination, StoreSpanSource(stored._path, NAME))
        with stored.session() as is_alone:
            assert is_alone
            other.wake()
            assert other.request_flush().done.wait(PATIENCE_S)
            assert collector.requests == []
        assert other.request_flush(last=True).wait(time.monotonic() + PATIENCE_S)
    assert len(collector.keys) == len(set(collector.keys)) == 100


def test_a_server_that_asks_to_wait_is_left_alone(stored: StoreSpanSource) -> None:
    """Retry-After also binds later processes; an implausible time does not."""
    waiting = Reply(429, {"retry-after": "600"})
    with HttpCollector(waiting) as collector, transport(collector) as carrier:
        send_all(stored, carrier)
    assert not stored.backlog().may_send
    stored.fail("clock went mad", wait_s=10**6)
    assert stored.backlog().may_send


# --- connections --------------------------------------------------------------------------------


class Connections:
    """Counts the connections to SQLite that are made and closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        self.open = 0
        counts, connect = self, sqlite3.connect

        class Counted(sqlite3.Connection):
            """A connection that reports when it is closed."""

            def close(self) -> None:
                """Close it; twice is once."""
                counts.open -= self in alive
                alive.discard(self)
                super().close()

        alive: set[Counted] = set()

        def counted(*arguments: Any, **named: Any) -> sqlite3.Connection:
            connection: Counted = connect(*arguments, factory=Counted, **named)
            alive.add(connection)
            counts.made += 1
            counts.open += 1
            return connection

        monkeypatch.setattr(sqlite3, "connect", counted)


@pytest.fixture
def connections(stored: StoreSpanSource, monkeypatch: pytest.MonkeyPatch) -> Connections:
    """Count the connections from when the spans are stored."""
    del stored
    return Connections(monkeypatch)


def test_a_run_of_the_forwarder_opens_the_store_once(
    stored: StoreSpanSource, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All batches of a run share a connection, which is closed at its end."""
    monkeypatch.setattr(sending, "MAX_BATCH", 10)
    with HttpCollector() as collector:
        destination = Destination("http/protobuf", f"{collector.url}/v1/traces")
        forwarder = Forwarder(destination, stored)
        forwarder.wake()
        assert forwarder.request_flush(last=True).wait(time.monotonic() + PATIENCE_S)
    assert len(collector.requests) == 10
    assert (connections.made, connections.open) == (1, 0)


def test_a_session_survives_a_fork(stored: StoreSpanSource, connections: Connections) -> None:
    """A session closes its connection before a fork, and opens another afterwards."""
    delivery = StoreDelivery([Destination("http/protobuf", "http://example/v1/traces")])
    with SpanStore(stored._path) as store:
        delivery.before_write(store)
    (source,) = delivery._sources
    with source.session():
        assert len(source.take(60)) == 60
        assert connections.open == 1
        delivery.before_fork()
        assert connections.open == 0
        with pytest.raises(StoreBusyError):
            source.backlog()
        delivery.after_fork_in_parent()
        source.settle([place for place, _ in source.take(60)])
        assert connections.open == 1
        assert source.backlog().spans == 40
    assert connections.open == 0


def test_a_session_that_fails_closes_the_store(
    stored: StoreSpanSource, connections: Connections
) -> None:
    """A session that fails closes the store and releases the lock."""

    def fail(records: object) -> ExportResult:
        raise ZeroDivisionError(records)

    with HttpCollector() as collector, transport(collector) as carrier:
        carrier.send = fail  # type: ignore[method-assign]
        with pytest.raises(ZeroDivisionError), stored.session():
            send_all(stored, carrier)
    assert connections.open == 0
    with stored.session() as is_alone:
        assert is_alone


# --- the forwarder's end ------------------------------------------------------------------------


def _waiting_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "flash_otel-forward"]


def test_the_thread_ends_with_tracing(endpoint: Any) -> None:
    """`uninstrument()` ends the forwarder's thread."""
    before = len(_waiting_threads())
    with HttpCollector() as collector:
        endpoint(collector)
        with tracing():
            activate("b-1")
    for thread in _waiting_threads()[before:]:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_a_failing_destination_gets_less_time(stored: StoreSpanSource) -> None:
    """A destination that failed last time gets a small part of the exit's budget."""
    forwarder = Forwarder(Destination("http/protobuf", "http://127.0.0.1:1"), stored)
    deadline = time.monotonic() + 1000
    assert deadline - 1 < forwarder.exit_deadline(deadline) < deadline
    stored.fail("refused")
    assert forwarder.exit_deadline(deadline) - time.monotonic() < 201


def test_pauses_grow(stored: StoreSpanSource) -> None:
    """Pauses double up to a limit, and are never shorter than the server asked for."""
    forwarder = Forwarder(Destination("http/protobuf", "http://127.0.0.1:1"), stored)
    pauses = []
    for _ in range(10):
        forwarder._pause_s = forwarder._pause_after(Tally(trouble=ExportResult(Verdict.WAIT)))
        pauses.append(forwarder._pause_s)
    assert pauses[0] < 2
    assert 20 < pauses[-1] < 40
    asked = Tally(trouble=ExportResult(Verdict.WAIT, wait_s=600))
    assert forwarder._pause_after(asked) == 600
    assert forwarder._pause_after(Tally()) == 0


def test_a_broken_source_does_not_end_the_forwarder(
    stored: StoreSpanSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An internal error is swallowed, and the flush reports a failure."""
    monkeypatch.delenv("FLASH_OTEL_RAISE")
    monkeypatch.setattr(forwarder_module, "GATHER_S", 0)
    monkeypatch.setattr(stored, "take", lambda most: 1 / 0 if most else None)
    forwarder = Forwarder(Destination("http/protobuf", "http://127.0.0.1:1/v1/traces"), stored)
    forwarder.wake()
    request = forwarder.request_flush()
    assert request.done.wait(PATIENCE_S)
    assert not request.is_delivered
    last = forwarder.request_flush(last=True)
    assert last.done.wait(PATIENCE_S)


def test_a_silent_destination_is_recorded(stored: StoreSpanSource) -> None:
    """`flash-otel status` later shows that a destination did not answer in time."""
    forwarder = Forwarder(Destination("http/protobuf", "http://127.0.0.1:1"), stored)
    delivery = StoreDelivery([])
    delivery._from_store = (forwarder,)
    line = delivery.finish(time.monotonic())
    assert line.startswith("100 spans wait for 127.0.0.1:1 (no answer yet)")
    assert stored.backlog().reason == "no answer yet"


def test_dropped_spans_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first span that is sent after a loss carries the number of lost spans."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import StatusCode

    monkeypatch.delenv("OTEL_TRACES_SAMPLER", raising=False)
    fallen: list[str] = []
    queue = MemoryQueue(most=3, fallback=lambda record: fallen.append(record.name))
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer(semconv.SCOPE_NAME)
    for number in range(5):
        span = tracer.start_span(f"s{number}")
        if number == 0:
            span.set_status(StatusCode.ERROR)
        span.end()
        queue.put(span)  # type: ignore[arg-type]  # the SDK's own span can be read
    assert fallen == ["s1", "s2"]
    taken = queue.take(10)
    assert [record.name for _, record in taken] == ["s0", "s3", "s4"]
    assert [record.attributes.get(semconv.DROPPED_SPANS) for _, record in taken] == [2, None, None]
    queue.settle([place for place, _ in taken[:2]])
    assert [record.name for _, record in queue.take(10)] == ["s4"]
    assert queue.take(10)[0][1].attributes == {}
    assert queue.backlog().spans == 1
    assert queue.give_up() == 0
    assert fallen == ["s1", "s2", "s4"]
    assert (queue.dropped, queue.backlog().spans) == (2, 0)


def test_what_had_no_time_is_no_failure(stored: StoreSpanSource) -> None:
    """A destination that accepted some spans in time does not count as failing."""
    forwarder = Forwarder(Destination("http/protobuf", "http://127.0.0.1:1"), stored)
    forwarder.has_delivered = True
    delivery = StoreDelivery([])
    delivery._from_store = (forwarder,)
    line = delivery.finish(time.monotonic())
    assert line.startswith("100 spans wait for 127.0.0.1:1 (there was no time for more)")
    assert not stored.backlog().is_failing


def test_a_copy_in_the_log() -> None:
    """A span is written once: as a copy of what waits, when it is refused, or at the end."""
    from opentelemetry.sdk.trace import TracerProvider

    written: list[str] = []
    queue = MemoryQueue(fallback=lambda record: written.append(record.name))
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer(semconv.SCOPE_NAME)

    def end(name: str) -> None:
        span = tracer.start_span(name)
        span.end()
        queue.put(span)  # type: ignore[arg-type]  # the SDK's own span can be read

    end("first")
    queue.back_up()
    queue.back_up()
    assert written == ["first"]
    assert queue.backlog().spans == 1
    end("second")
    queue.settle([place for place, _ in queue.take(10)], rejected=1, reason="too old")
    assert written == ["first", "second"]
    end("third")
    assert queue.give_up() == 0
    assert written == ["first", "second", "third"]


def test_a_warning_about_refused_spans(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a store and a log, a warning gives the number of refused spans and the reason."""
    monkeypatch.setenv("FLASH_OTEL_STORE", "off")
    with HttpCollector(*[Reply(400)] * 9) as collector:
        endpoint(collector)
        with tracing():
            deploy(1)
            assert flash_otel.flush(PATIENCE_S)
        host = collector.url.removeprefix("http://")
    warning = f"2 spans are lost, as the store is off: not sent to {host} (HTTP 400 Bad Request)"
    assert capsys.readouterr().err == f"flash_otel: {warning}\n"


def test_every_lost_span_is_counted() -> None:
    """Without a fallback, dropped and remaining spans both count as lost."""
    from opentelemetry.sdk.trace import TracerProvider

    queue = MemoryQueue(most=2)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer(semconv.SCOPE_NAME)
    for _ in range(5):
        span = tracer.start_span("lost")
        span.end()
        queue.put(span)  # type: ignore[arg-type]  # the SDK's own span can be read
    assert queue.give_up() == 5
