"""Where the pipeline delivers spans: to a collector, a store, a log, or a summary on a terminal."""

from __future__ import annotations

import json
import os
import select
import signal
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace as trace_api
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from support.fresh import fresh_process
from support.scripted_collector import HttpCollector, Reply

import flash_otel
from flash_otel import pipeline
from flash_otel.otlp.encode import LOG_MARK
from flash_otel.pipeline import mirror
from flash_otel.pipeline import provider as providers
from flash_otel.runtime import environment, streams
from flash_otel.runtime.options import Options
from flash_otel.store.store import SpanStore
from flash_otel.testing import Recorded
from flash_otel.tracing.serving import delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin in a fresh process, with time at its end."""
    with fresh_process(monkeypatch):
        monkeypatch.setenv("FLASH_OTEL_EXIT_BUDGET", "30")
        yield


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpCollector]:
    """A collector at the configured endpoint."""
    with HttpCollector() as serving:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", serving.url)
        yield serving


@flash_otel.trace_activate
def activate(build_id: str) -> None:
    """Activate a build."""
    assert build_id


@pytest.mark.parametrize("is_stored", [False, True])
def test_spans_reach_the_collector(
    collector: HttpCollector, tmp_path: Path, *, is_stored: bool
) -> None:
    """With or without a store, ended spans are sent to the endpoint."""
    flash_otel.instrument(legacy_logs=False, store=tmp_path / "spans.db" if is_stored else False)
    assert not pipeline.has_traced()
    activate("b-1")
    assert pipeline.has_traced() is True
    assert flash_otel.flush(30)
    assert collector.names == ["flash.activate"]


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_requested_flush(collector: HttpCollector, tmp_path: Path, *, is_stored: bool) -> None:
    """It returns events that are set once the spans are stored, or sent if only memory has them."""
    flash_otel.instrument(legacy_logs=False, store=tmp_path / "spans.db" if is_stored else False)
    activate("b-1")
    events = pipeline.request_flush()
    assert all(event.wait(60) for event in events)
    if is_stored:
        assert len(events) == 1
        assert (tmp_path / "spans.db").exists()
    else:
        # None if the forwarder has sent it already.
        assert flash_otel.flush(30)
        assert collector.names == ["flash.activate"]


def test_unsent_spans_of_a_worker_are_logged(
    collector: HttpCollector, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What only memory has is written to the log once, before the worker may be frozen."""
    collector._script = lambda _request: Reply(503)
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "ep-1")
    monkeypatch.setenv("FLASH_OTEL_EXIT_BUDGET", "0")
    flash_otel.instrument(legacy_logs=False)
    activate("b-1")
    assert capsys.readouterr().err == ""
    for _ in range(2):
        pipeline.log_unsent()
    assert capsys.readouterr().err.count(LOG_MARK) == 1


@pytest.mark.parametrize("exporter", ["none", "otlp", "console"])
def test_spans_that_cannot_be_stored(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    collector: HttpCollector,
    tmp_path: Path,
    exporter: str,
) -> None:
    """The exporter gets them, and only without one the log does, each span once."""
    (tmp_path / "spans.db").mkdir()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", exporter)
    flash_otel.instrument(legacy_logs=False, store=tmp_path / "spans.db")
    activate("b-1")
    pipeline.flush_store(30)
    activate("b-2")  # the store has failed by now

    @flash_otel.trace_deploy
    def deploy() -> None:
        pipeline.flush_store(30)  # a root is stored while it runs, too

    deploy()
    flash_otel.uninstrument()
    names = ["flash.activate", "flash.activate", "flash.deploy"]
    lines = capsys.readouterr().err.splitlines()
    logged = [line.removeprefix(LOG_MARK) for line in lines if line.startswith(LOG_MARK)]
    assert collector.names == (names if exporter == "otlp" else [])
    assert [_name_in(line) for line in logged] == (names if exporter == "none" else [])


def _name_in(line: str) -> str:
    """Return the name of the only span of a line."""
    (group,) = json.loads(line)["resourceSpans"]
    (scope,) = group["scopeSpans"]
    (span,) = scope["spans"]
    return str(span["name"])


def test_a_delivery_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The warning at the end names the variable, and what is lost."""

    def broken() -> Any:
        raise OSError

    monkeypatch.setattr(providers, "forwarded", broken)
    environment.forget()
    flash_otel.instrument(legacy_logs=False, store=False)
    activate("b-1")
    flash_otel.uninstrument()
    assert capsys.readouterr().err == (
        "flash_otel: OTEL_EXPORTER_OTLP_ENDPOINT: it fails with OSError; nothing is sent: "
        "flash-otel doctor\n"
    )


def test_an_end_without_a_loss_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written to the streams of the host."""
    flash_otel.instrument(legacy_logs=False, store=False)
    activate("b-1")
    flash_otel.uninstrument()
    assert tuple(capsys.readouterr()) == ("", "")


def test_a_warning_that_waits_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal of the `flash` command, it is written when tracing ends."""
    user, inner = os.openpty()
    monkeypatch.setattr("sys.argv", ["flash", "deploy"])
    with open(user, "rb", buffering=0) as seen, open(inner, "w") as terminal:  # noqa: PTH123 - descriptors
        monkeypatch.setattr("sys.stderr", terminal)
        flash_otel.instrument(legacy_logs=False, store=False)
        streams.warn_once("a warning")
        assert not select.select([seen], [], [], 0)[0]
        flash_otel.uninstrument()
        assert select.select([seen], [], [], 60)[0]
        assert seen.read(100) == b"a warning\r\n"


def test_a_provider_is_asked_for_a_tracer_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decorated functions keep the tracer of the application's provider, until it is another."""
    asked: list[Any] = []

    class Counting(TracerProvider):
        def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
            asked.append(self)
            return super().get_tracer(*args, **kwargs)

    first, second = Counting(shutdown_on_exit=False), Counting(shutdown_on_exit=False)
    for provider in (first, second):
        monkeypatch.setattr(trace_api, "_TRACER_PROVIDER", provider)
        for _ in range(2):
            activate("b-1")
    assert asked == [first, second]


@pytest.mark.skipif(os.name != "posix", reason="only there, a signal would lose spans")
@pytest.mark.parametrize("kind", ["store", "exporter", "neither"])
def test_handlers_where_a_signal_would_lose_spans(
    collector: HttpCollector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    """SIGTERM has a handler while spans may be unstored or unsent, only."""
    if kind != "exporter":
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    assert collector.url
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    store = tmp_path / "spans.db" if kind == "store" else False
    flash_otel.instrument(legacy_logs=False, store=store)
    activate("b-1")
    assert (signal.getsignal(signal.SIGTERM) is signal.SIG_DFL) is (kind == "neither")
    flash_otel.uninstrument()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("options", "is_worker", "is_terminal", "expected"),
    [
        (Options(), False, True, True),
        (Options(summary=False), False, True, False),
        (Options(), True, True, False),
        (Options(), False, False, False),
    ],
)
def test_who_gets_a_summary(
    monkeypatch: pytest.MonkeyPatch,
    options: Options,
    *,
    is_worker: bool,
    is_terminal: bool,
    expected: bool,
) -> None:
    """A user at a terminal, who has not turned it off."""
    if is_worker:
        monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "ep-1")
    user, inner = os.openpty()
    with open(user, "rb"), open(inner, "w") as terminal, open(os.devnull, "w") as nothing:  # noqa: PTH123 - descriptors
        monkeypatch.setattr("sys.stderr", terminal if is_terminal else nothing)
        assert bool(providers.summary(options)) is expected


class NoTracers(TracerProvider):
    """A provider that needs the meter provider of the environment to make a tracer."""

    def get_tracer(self, *_args: Any, **_kwargs: Any) -> Any:
        """Fail."""
        raise RuntimeError("no meters")


def test_the_own_provider_stands_in(
    monkeypatch: pytest.MonkeyPatch, collector: HttpCollector
) -> None:
    """Spans of a provider that makes no tracer go to flash_otel's own."""
    monkeypatch.setenv("OTEL_PYTHON_METER_PROVIDER", "mine")
    provider = NoTracers(shutdown_on_exit=False)
    flash_otel.instrument(tracer_provider=provider, legacy_logs=False, store=False)
    activate("b-1")
    assert flash_otel.flush(30)
    assert collector.names == ["flash.activate"]


def test_nothing_stands_in_for_the_own_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it makes no tracer either, the call is untraced."""
    monkeypatch.setenv("OTEL_PYTHON_METER_PROVIDER", "mine")
    monkeypatch.setattr(providers, "TracerProvider", NoTracers)
    flash_otel.instrument(legacy_logs=False, store=False)
    activate("b-1")
    tracer = pipeline.tracer()
    assert isinstance(tracer, trace_api.NoOpTracer)


class Bare(trace_api.TracerProvider):
    """A provider of the API alone: it takes no processors."""

    def __init__(self) -> None:
        self.recorded = Recorded()
        self.inner = TracerProvider(shutdown_on_exit=False)
        self.inner.add_span_processor(self.recorded)

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace_api.Tracer:
        """Return a tracer of the SDK."""
        return self.inner.get_tracer(*args, **kwargs)


def test_a_span_that_cannot_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application's provider gets it nevertheless."""

    def broken(*_: Any) -> Any:
        raise ValueError("ours")

    monkeypatch.delenv("FLASH_OTEL_RAISE")
    monkeypatch.setattr(mirror, "MirroredSpan", broken)
    provider = Bare()
    flash_otel.instrument(tracer_provider=provider, legacy_logs=False, store=False)
    activate("b-1")
    (record,) = provider.recorded.records
    assert record.attributes["flash.build_id"] == "b-1"
    assert record.attributes["flash.outcome"] == "returned"


def test_a_copy_that_fails_later(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the copy does, the original gets its attributes and its end."""

    class Failing:
        """A copy of which every method fails."""

        def __getattr__(self, name: str) -> Any:
            raise LookupError(name)

    monkeypatch.delenv("FLASH_OTEL_RAISE")
    made = mirror.MirroredSpan
    monkeypatch.setattr(mirror, "MirroredSpan", lambda span, _copy: made(span, Failing()))  # type: ignore[arg-type]  # the fault
    provider = Bare()
    flash_otel.instrument(tracer_provider=provider, legacy_logs=False, store=tmp_path / "s.db")
    with pytest.raises(AssertionError):
        activate("")
    (record,) = provider.recorded.records
    assert record.status == "error"
    assert record.attributes["error.type"] == "AssertionError"
    assert [event.name for event in record.events] == ["exception"]


class Raising(trace_api.Tracer):
    """A tracer that starts no span."""

    def start_span(self, *_: Any, **__: Any) -> Any:
        """Raise."""
        raise LookupError("the application's")

    start_as_current_span = start_span


def raises(provider: Any) -> Any:
    """Return a provider whose tracers start no span."""
    provider.get_tracer = lambda *_, **__: Raising()
    return provider


_MORE_THAN_A_DEQUE_HOLDS = 10**30
UNUSABLE: dict[str, Callable[[], Any]] = {
    "links without a limit": lambda: TracerProvider(
        span_limits=SpanLimits(max_links=_MORE_THAN_A_DEQUE_HOLDS), shutdown_on_exit=False
    ),
    "events without a limit": lambda: TracerProvider(
        span_limits=SpanLimits(max_events=_MORE_THAN_A_DEQUE_HOLDS), shutdown_on_exit=False
    ),
    "an SDK's provider": lambda: raises(TracerProvider(shutdown_on_exit=False)),
    "a provider of the API alone": lambda: raises(Bare()),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_provider_that_starts_no_span(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its spans are those of flash_otel's own provider, in one trace."""
    monkeypatch.delenv("FLASH_OTEL_RAISE")
    store = tmp_path / "s.db"
    flash_otel.instrument(tracer_provider=UNUSABLE[kind](), legacy_logs=False, store=store)

    @flash_otel.trace_deploy
    def deploy() -> str:
        activate("b-1")
        return "deployed"

    assert deploy() == "deployed"
    assert flash_otel.flush(30)
    with SpanStore(store, is_read_only=True) as stored:
        spans = {record.name: record for record in stored.spans()}
    assert spans.keys() == {"flash.deploy", "flash.activate"}
    assert spans["flash.activate"].parent_span_id == spans["flash.deploy"].span_id
    assert spans["flash.activate"].attributes["flash.build_id"] == "b-1"


@pytest.mark.parametrize("kind", UNUSABLE)
def test_without_instrument_a_provider_that_starts_no_span_costs_the_span(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call goes on, untraced."""
    monkeypatch.delenv("FLASH_OTEL_RAISE")
    trace_api.set_tracer_provider(UNUSABLE[kind]())
    assert activate("b-1") is None


class Thrown(BaseException):
    """What a server throws into a thread that takes too long."""


@pytest.mark.parametrize("kind", [Thrown, LookupError])
def test_what_is_thrown_into_a_waiting_request(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ends the thread ends the wait for the flush; an error of the flush is swallowed."""

    class Interrupted:
        """An event whose wait is interrupted."""

        def wait(self, _seconds: float) -> None:
            """Raise."""
            raise kind

    monkeypatch.delenv("FLASH_OTEL_RAISE")
    monkeypatch.setattr(pipeline, "request_flush", lambda: [Interrupted()])
    ends = pytest.raises(Thrown) if kind is Thrown else nullcontext()
    with ends:
        delivery.flush_request()
