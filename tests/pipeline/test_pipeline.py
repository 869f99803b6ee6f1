"""The pipeline: provider resolution, threads and exporters, and the exit."""

from __future__ import annotations

import dataclasses
import gc
import io
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace as trace_api
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from support.fresh import fresh_process
from support.interpreter import run_python

import flash_otel
from flash_otel import pipeline
from flash_otel.otlp.from_sdk import to_record
from flash_otel.pipeline import components
from flash_otel.pipeline import provider as providers
from flash_otel.pipeline.provider import DetachableProcessor, detachable_processor
from flash_otel.testing import Recorded
from flash_otel.tracing.instrumentor import FlashInstrumentor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin in a fresh process."""
    with fresh_process(monkeypatch):
        yield


@pytest.fixture
def lines() -> io.StringIO:
    """A stream for the bracketed lines."""
    return io.StringIO()


def new_provider(**how: Any) -> tuple[Any, Recorded]:
    """Make an application's provider that records its ended spans."""
    recorded = Recorded()
    provider = TracerProvider(shutdown_on_exit=False, **how)
    provider.add_span_processor(recorded)
    return provider, recorded


@flash_otel.trace_activate
def activate(build_id: str, environment_name: str = "production") -> None:
    """Activate, which writes a bracketed line at its end."""
    assert build_id
    assert environment_name


LINE = "[DEPLOY] Environment production activated with build_id="


def test_a_provider_that_is_set_later_is_joined(lines: io.StringIO) -> None:
    """The application may set its provider after `instrument()`, and even after the first span."""
    flash_otel.instrument(legacy_logs=lines, store=False)
    activate("b-own")
    provider, recorded = new_provider()
    trace_api.set_tracer_provider(provider)
    activate("b-1")
    activate("b-2")
    assert [record.attributes["flash.build_id"] for record in recorded.records] == ["b-1", "b-2"]
    assert lines.getvalue().splitlines() == [f"{LINE}{build}" for build in ("b-own", "b-1", "b-2")]


def test_a_given_provider_wins(lines: io.StringIO) -> None:
    """`tracer_provider` overrides the global provider."""
    other, unused = new_provider()
    trace_api.set_tracer_provider(other)
    provider, recorded = new_provider()
    flash_otel.instrument(tracer_provider=provider, legacy_logs=lines, store=False)
    activate("b-1")
    assert len(recorded.records) == 1
    assert unused.records == []
    assert lines.getvalue() == f"{LINE}b-1\n"


def test_the_global_provider_is_never_set(lines: io.StringIO) -> None:
    """If the application sets no provider, flash_otel's stays private."""
    flash_otel.instrument(legacy_logs=lines, store=False)
    activate("b-1")
    assert isinstance(trace_api.get_tracer_provider(), trace_api.ProxyTracerProvider)
    assert trace_api._TRACER_PROVIDER is None
    assert lines.getvalue() == f"{LINE}b-1\n"


def test_processors_join_once(lines: io.StringIO) -> None:
    """Instrumenting repeatedly adds a single processor to the application's provider."""
    provider, recorded = new_provider()
    for number in range(3):
        flash_otel.instrument(tracer_provider=provider, legacy_logs=lines, store=False)
        flash_otel.instrument(tracer_provider=provider, legacy_logs=lines, store=False)
        activate(f"b-{number}")
        flash_otel.uninstrument()
        flash_otel.uninstrument()
    assert len(recorded.records) == 3
    assert lines.getvalue().splitlines() == [f"{LINE}b-{number}" for number in range(3)]
    (detachable,) = [
        processor
        for processor in provider._active_span_processor._span_processors
        if isinstance(processor, DetachableProcessor)
    ]
    assert detachable.processors == ()


def test_two_providers_in_turn(lines: io.StringIO) -> None:
    """Both a passed and a global provider are detached when tracing ends."""
    first, recorded = new_provider()
    flash_otel.instrument(tracer_provider=first, legacy_logs=lines, store=False)
    activate("b-1")
    flash_otel.uninstrument()
    activate("b-2")
    trace_api.set_tracer_provider(first)
    activate("b-3")
    assert [record.attributes["flash.build_id"] for record in recorded.records] == ["b-1", "b-3"]
    assert lines.getvalue() == f"{LINE}b-1\n"


def test_a_trace_stays_with_its_provider(lines: io.StringIO) -> None:
    """A trace continues on its root's provider, even if another is set meanwhile."""
    provider, recorded = new_provider()

    @flash_otel.trace_deploy
    def deploy(app_name: str) -> None:
        assert app_name
        trace_api.set_tracer_provider(provider)
        activate("b-1")

    flash_otel.instrument(legacy_logs=lines, store=False)
    deploy("shop")
    assert recorded.records == []
    activate("b-2")
    assert len(recorded.records) == 1


@dataclasses.dataclass
class Unhashable(trace_api.TracerProvider):
    """Like logfire's: a dataclass around a provider, with equality and therefore no hash."""

    inner: Any

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace_api.Tracer:
        tracer: trace_api.Tracer = self.inner.get_tracer(*args, **kwargs)
        return tracer

    def add_span_processor(self, processor: SpanProcessor) -> None:
        self.inner.add_span_processor(processor)


class Slotted(trace_api.TracerProvider):
    """A provider that allows no weak references and takes no processors."""

    __slots__ = ("inner",)

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace_api.Tracer:
        tracer: trace_api.Tracer = self.inner.get_tracer(*args, **kwargs)
        return tracer


@pytest.mark.parametrize("kind", [Unhashable, Slotted])
def test_providers_of_other_kinds(kind: Any, lines: io.StringIO) -> None:
    """Wrapped, unhashable and minimal providers get spans, and lines are written."""
    inner, recorded = new_provider()
    flash_otel.instrument(tracer_provider=kind(inner), legacy_logs=lines, store=False)
    activate("b-1")
    activate("b-2")
    assert len(recorded.records) == 2
    assert lines.getvalue().count(LINE) == 2


def test_the_registry_does_not_keep_providers_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that the application drops is collected, and its entry is removed."""
    monkeypatch.setattr(providers, "_attached", [])
    provider = TracerProvider(shutdown_on_exit=False)
    gone = weakref.ref(provider)
    first = detachable_processor(provider)
    assert detachable_processor(provider) is first
    del provider
    gc.collect()
    assert gone() is None
    other = TracerProvider(shutdown_on_exit=False)
    assert detachable_processor(other) is not first
    assert len(providers._attached) == 1


def test_an_unsampled_trace_on_our_own(monkeypatch: pytest.MonkeyPatch, lines: io.StringIO) -> None:
    """The private provider records a trace with an unsampled parent, without the sampled bit."""
    ended: list[ReadableSpan] = []

    class Kept(SpanProcessor):
        """Keeps ended spans."""

        def on_end(self, span: ReadableSpan) -> None:
            ended.append(span)

    monkeypatch.setattr(providers, "recording", lambda _options: [Kept()])
    monkeypatch.setenv("TRACEPARENT", f"00-{'a' * 32}-{'b' * 16}-00")
    flash_otel.instrument(legacy_logs=lines, store=False)
    flash_otel.trace_deploy(activate)("b-1")
    records = [to_record(span) for span in ended]
    assert [record.name for record in records] == ["flash.activate", "flash.deploy"]
    assert {record.trace_id for record in records} == {"a" * 32}
    assert [record.sampled for record in records] == [False, False]
    assert lines.getvalue() == f"{LINE}b-1\n"


def test_an_unsampled_trace_on_a_joined_provider(
    monkeypatch: pytest.MonkeyPatch, lines: io.StringIO
) -> None:
    """On an application's provider, spans that its sampler drops write no lines."""
    monkeypatch.setenv("TRACEPARENT", f"00-{'a' * 32}-{'b' * 16}-00")
    provider, recorded = new_provider()
    flash_otel.instrument(tracer_provider=provider, legacy_logs=lines, store=False)
    flash_otel.trace_deploy(activate)("b-1")
    assert recorded.records == []
    assert lines.getvalue() == ""


def test_a_sampler_that_drops_everything(lines: io.StringIO) -> None:
    """A provider that drops all spans does not affect the call."""
    provider, recorded = new_provider(sampler=ALWAYS_OFF)
    flash_otel.instrument(tracer_provider=provider, legacy_logs=lines, store=False)
    activate("b-1")
    assert recorded.records == []


@pytest.mark.parametrize("sampler", ["always_off", "traceidratio", "parentbased_always_off"])
def test_samplers_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, lines: io.StringIO, sampler: str
) -> None:
    """OTEL_TRACES_SAMPLER affects exporters only; lines are written regardless."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    flash_otel.instrument(legacy_logs=lines, store=False)
    activate("b-1")
    assert lines.getvalue() == f"{LINE}b-1\n"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(("FLASH_OTEL_DISABLED", value) for value in ("1", "true", "YES", " on ", '"1"')),
        *(("OTEL_SDK_DISABLED", value) for value in ("true", " TRUE", "'true'")),
    ],
)
def test_disabled(
    monkeypatch: pytest.MonkeyPatch, lines: io.StringIO, variable: str, value: str
) -> None:
    """Both variables disable everything, including decorators."""
    monkeypatch.setenv(variable, value)
    provider, recorded = new_provider()
    trace_api.set_tracer_provider(provider)
    flash_otel.instrument(legacy_logs=lines, store=False)
    activate("b-1")
    assert recorded.records == []
    assert lines.getvalue() == ""
    assert pipeline.is_off()
    assert pipeline._pipeline.value is None


def test_a_wrong_propagation() -> None:
    """An invalid argument raises, and leaves tracing inactive."""
    with pytest.raises(ValueError, match="propagation is 'child'; it takes auto, link, parent"):
        flash_otel.instrument(propagation="child")  # type: ignore[arg-type]  # the mistake is the test
    assert not FlashInstrumentor().is_instrumented_by_opentelemetry


def test_flush_without_anything() -> None:
    """Before `instrument()` and after `uninstrument()`, `flush` returns True at once."""
    assert flash_otel.flush()
    flash_otel.instrument(legacy_logs=False, store=False)
    assert flash_otel.flush(0.1)
    flash_otel.uninstrument()
    assert flash_otel.flush(0)


def test_flush_waits_for_the_store(tmp_path: Path) -> None:
    """When `flush` returns True, all ended spans are in the store."""
    import sqlite3
    from contextlib import closing

    path = tmp_path / "spans.db"
    flash_otel.instrument(legacy_logs=False, store=path)
    activate("b-1")
    assert flash_otel.flush(30)
    with closing(sqlite3.connect(path)) as database:
        (count,) = database.execute("SELECT count(*) FROM spans").fetchone()
    assert count == 1


def test_processors_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, lines: io.StringIO
) -> None:
    """A failing store set-up does not affect the lines."""

    def broken(_options: Any) -> Any:
        raise OSError

    monkeypatch.delenv("FLASH_OTEL_RAISE")
    monkeypatch.setattr(providers, "recording", broken)
    flash_otel.instrument(legacy_logs=lines, store=False)
    activate("b-1")
    assert lines.getvalue() == f"{LINE}b-1\n"


def test_the_first_span_from_many_threads(lines: io.StringIO) -> None:
    """Roots that start concurrently in many threads share the same processors."""
    provider, recorded = new_provider()
    flash_otel.instrument(tracer_provider=provider, legacy_logs=lines, store=False)
    barrier = threading.Barrier(16)

    def work() -> None:
        barrier.wait(60)
        activate("b-1")

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(recorded.records) == 16
    assert lines.getvalue().count(LINE) == 16


def test_waiting_roots_end_with_tracing() -> None:
    """An unclaimed root ends with an unknown outcome."""
    from flash_otel.testing import recording
    from flash_otel.tracing import scope as scopes
    from flash_otel.tracing.scope import Scope
    from flash_otel.tracing.specs import DEPLOY

    with recording() as spans:
        tracer = pipeline.tracer()
        assert tracer is not None
        for _ in range(2):
            root = Scope(DEPLOY, tracer)
            scopes.hold_root(root, root.open())
        scopes.abandon_root()
        scopes.abandon_root()
    assert [record.attributes["flash.outcome"] for record in spans.records] == [
        "unknown",
        "unknown",
    ]


def test_a_waiting_root_is_claimed() -> None:
    """The following deployment claims the root: a single span with its attributes and its end."""
    from flash_otel.testing import recording
    from flash_otel.tracing import scope as scopes
    from flash_otel.tracing.scope import Scope
    from flash_otel.tracing.specs import DEPLOY

    with recording() as spans:
        tracer = pipeline.tracer()
        assert tracer is not None
        root = Scope(DEPLOY, tracer)
        scopes.hold_root(root, root.open())

        @flash_otel.trace_deploy
        def deploy(app_name: str) -> None:
            activate(f"b-{app_name}")

        deploy("shop")
        assert scopes.claim_root("flash.deploy") is None
    assert spans.tree() == ["flash.deploy", "  flash.activate"]
    assert spans.records[0].attributes["flash.app_name"] == "shop"
    assert spans.records[0].attributes["flash.outcome"] == "returned"


# --- whole processes -----------------------------------------------------------------------------

SILENT = """
    import socket, sys, threading

    def refuse(*args):
        raise AssertionError("a socket was made")

    socket.socket.connect = refuse
    socket.getaddrinfo = refuse

    import flash_otel

    flash_otel.instrument(store=False, legacy_logs=False)

    @flash_otel.trace_activate
    def activate(build_id):
        return build_id

    assert activate("b-1") == "b-1"
    assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
    exporters = [name for name in sys.modules if name.startswith("opentelemetry.exporter")]
    assert exporters == [], exporters
    assert "grpc" not in sys.modules
"""


@pytest.mark.parametrize(
    "variables",
    [{}, {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}],
)
def test_nothing_configured_nothing_started(tmp_path: Path, variables: dict[str, str]) -> None:
    """Without an exporter, no exporter module, socket or thread exists."""
    done = run_python(SILENT, tmp_path, variables)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_store_is_the_only_thread(tmp_path: Path) -> None:
    """The store adds a single thread: its writer."""
    code = """
        import threading, flash_otel

        flash_otel.instrument(legacy_logs=False)
        flash_otel.trace_activate(lambda: None)()
        others = set(threading.enumerate()) - {threading.main_thread()}
        assert len(others) == 1, others
        assert others.pop().daemon
    """
    done = run_python(code, tmp_path)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_console_exporter(tmp_path: Path) -> None:
    """A configured exporter gets the spans before the process ends."""
    code = """
        import flash_otel

        flash_otel.instrument(store=False, legacy_logs=False)
        flash_otel.trace_activate(lambda build_id: build_id)("b-1")
    """
    done = run_python(
        code, tmp_path, {"OTEL_TRACES_EXPORTER": "console", "FLASH_OTEL_EXIT_BUDGET": "20"}
    )
    assert '"flash.build_id": "b-1"' in done.stdout
    assert done.stderr == ""


def test_an_unreachable_collector(tmp_path: Path) -> None:
    """A collector that refuses connections affects neither exit status nor standard output."""
    code = """
        import flash_otel

        flash_otel.instrument(store=False, legacy_logs=False)
        flash_otel.trace_activate(lambda build_id: build_id)("b-1")
        print("done")
    """
    done = run_python(
        code,
        tmp_path,
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "FLASH_OTEL_EXIT_BUDGET": "0.1"},
    )
    assert done.stdout == "done\n"


NAMED_PROVIDER = """
import sys
import flash_otel

@flash_otel.trace_call
def call(function_name):
    from opentelemetry import trace
    return trace.get_current_span().is_recording()

print(call("gpu"), "opentelemetry.sdk.trace" in sys.modules)
"""


@pytest.mark.parametrize(
    ("name", "printed"), [("sdk_tracer_provider", "True True"), ("nobody_knows_it", "False False")]
)
def test_a_provider_that_the_environment_names(tmp_path: Path, name: str, printed: str) -> None:
    """OTEL_PYTHON_TRACER_PROVIDER is honoured; an unknown name does not break calls."""
    variables = {"OTEL_PYTHON_TRACER_PROVIDER": name, "FLASH_OTEL_RAISE": ""}
    assert run_python(NAMED_PROVIDER, tmp_path, variables).stdout.split("\n")[0] == printed


def test_an_api_that_keeps_its_provider_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a later API lacks the private variable, the public getter is used."""

    class Api:
        """The API module, without the variable."""

        provider: object = trace_api.NoOpTracerProvider()

        def get_tracer_provider(self) -> object:
            return self.provider

    api = Api()
    monkeypatch.setattr(pipeline, "trace_api", api)
    monkeypatch.setattr(components, "trace_api", api)
    assert pipeline.is_off()
    api.provider = TracerProvider(shutdown_on_exit=False)
    assert not pipeline.is_off()


@pytest.mark.parametrize("value", ["8", "0", "-1", "abc"])
@pytest.mark.parametrize(
    "variable",
    [
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_EVENT_COUNT_LIMIT",
        "OTEL_SPAN_LINK_COUNT_LIMIT",
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    ],
)
def test_limits_for_a_backend_leave_our_own_spans_whole(
    monkeypatch: pytest.MonkeyPatch, lines: io.StringIO, variable: str, value: str
) -> None:
    """A limit, valid or not, cuts no id of a span of our own provider, and raises nothing."""
    monkeypatch.setenv(variable, value)
    flash_otel.instrument(legacy_logs=lines, store=False)
    build_id = "0c069c1f-9ac9-48ed-9f76-d79799af0cc2"
    activate(build_id)
    assert lines.getvalue() == f"{LINE}{build_id}\n"
