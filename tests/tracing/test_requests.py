"""Requests to a load-balanced worker: the span of each, its parent, and what it leaves out."""

from __future__ import annotations

import asyncio
import inspect
import sys
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from opentelemetry import baggage, context, trace
from opentelemetry.propagators.textmap import TextMapPropagator, default_getter, default_setter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import flash_otel
from flash_otel.tracing import propagation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from flash_otel.records import SpanRecord
    from flash_otel.testing import Recorded

CANARY: Final = "CANARY0INPUT"
TRACE, SPAN = "a" * 32, "b" * 16
PARENT: Final = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
SECRETS: Final = {"Authorization": f"Bearer {CANARY}", "Cookie": CANARY, "X-Key": CANARY}


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployed worker."""
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "api0000001")
    monkeypatch.setenv("FLASH_RESOURCE_NAME", "api")


@flash_otel.trace_call
async def step(function_name: str) -> str:
    """A span inside a request."""
    return function_name


@flash_otel.trace_call
def blocking_step(function_name: str) -> str:
    """The same, of a blocking route."""
    return function_name


def application(**options: Any) -> FastAPI:
    """Make an application with a route of each kind."""
    app = FastAPI(**options)

    @app.get("/gpu/{name}")
    async def info(name: str) -> str:
        return await step(name)

    @app.post("/blocking")
    def blocking() -> str:
        return blocking_step("blocking")

    @app.get("/failing")
    async def failing() -> None:
        raise LookupError(CANARY)

    @app.get("/refusing")
    async def refusing() -> None:
        raise HTTPException(503, CANARY)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "a part"
            yield await step("streamed")

        return StreamingResponse(parts())

    @app.get("/ping")
    def ping() -> str:
        return "healthy"

    return app


def requested(
    app: Any, method: str, path: str, root_path: str = "", **options: Any
) -> httpx.Response:
    """Send a request to an application, which may raise after its response."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
            return await client.request(method, path, **options)

    return asyncio.run(send())


def request_of(spans: Recorded) -> SpanRecord:
    (request,) = (record for record in spans.records if record.kind == "server")
    return request


def test_a_request(spans: Recorded) -> None:
    """It is a SERVER span, named for its method and route; what it does is inside."""
    response = requested(application(), "GET", f"/gpu/a100?token={CANARY}", headers=SECRETS)
    assert response.json() == "a100"
    assert spans.tree() == ["GET /gpu/{name}", "  flash.call"]
    request = request_of(spans)
    assert (request.status, request.parent_span_id) == ("unset", None)
    assert request.attributes == {
        "faas.trigger": "http",
        "faas.coldstart": True,
        "http.request.method": "GET",
        "http.route": "/gpu/{name}",
        "http.response.status_code": 200,
        "url.path": "/gpu/a100",
        "url.scheme": "http",
        "flash.outcome": "returned",
    }
    assert CANARY not in repr(spans.records)


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [("POST", "/blocking", "POST /blocking"), ("GET", "/stream", "GET /stream")],
)
def test_threads_and_streams(spans: Recorded, method: str, path: str, name: str) -> None:
    """A blocking route runs in a thread, a stream's parts in another task: both are inside."""
    assert requested(application(), method, path).status_code == 200
    assert spans.tree() == [name, "  flash.call"]


def test_a_caller(spans: Recorded) -> None:
    """A request with a context is a child of its caller, and of no other header."""
    headers = {**PARENT, "tracestate": "vendor=1", **SECRETS}
    requested(application(), "GET", "/gpu/a", headers=headers)
    request = request_of(spans)
    assert (request.trace_id, request.parent_span_id) == (TRACE, SPAN)
    assert request.trace_state == "vendor=1"
    (call,) = spans.named("flash.call")
    assert call.trace_id == TRACE
    assert CANARY not in repr(spans.records)


def test_a_caller_without_a_global_propagator(
    spans: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as nothing has loaded it, W3C Trace Context is read."""
    monkeypatch.delitem(sys.modules, "opentelemetry.propagate")
    requested(application(), "GET", "/gpu/a", headers=PARENT)
    assert request_of(spans).parent_span_id == SPAN


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", "nonsense")],
        [("traceparent", PARENT["traceparent"]), ("traceparent", PARENT["traceparent"])],
        [("traceparent", PARENT["traceparent"].replace(TRACE, "0" * 32))],
        [("traceparent", "0" * 10_000)],
    ],
    ids=["nonsense", "two", "zeros", "long"],
)
def test_a_context_that_is_none(spans: Recorded, headers: list[tuple[str, str]]) -> None:
    """A malformed, doubled or oversized header starts a trace of its own."""
    assert requested(application(), "GET", "/gpu/a", headers=headers).status_code == 200
    assert request_of(spans).parent_span_id is None


def test_the_baggage_of_a_caller(spans: Recorded) -> None:
    """The global propagator decides what a context holds: here, baggage too, in no span."""
    seen: list[Any] = []
    app = FastAPI()

    @app.get("/")
    async def root() -> None:
        seen.append(baggage.get_baggage("user"))

    requested(app, "GET", "/", headers={**PARENT, "baggage": f"user={CANARY}"})
    assert seen == [CANARY]
    assert CANARY not in repr(spans.records)


class Noting(TextMapPropagator):
    """A propagator that notes what it is given."""

    fields: Any = frozenset({"X-Context"})

    def extract(
        self, carrier: Any, context: Any = None, getter: Any = default_getter
    ) -> context.Context:
        """Note the carrier."""
        assert getter is default_getter
        self.given = carrier
        return context  # type: ignore[no-any-return]  # a propagator gets one from the caller

    def inject(self, carrier: Any, context: Any = None, setter: Any = default_setter) -> None:
        """Do nothing: nothing is sent here."""


@pytest.mark.parametrize(("length", "is_read"), [(8192, True), (8193, False)])
def test_a_propagator_gets_its_own_headers_only(
    monkeypatch: pytest.MonkeyPatch, length: int, *, is_read: bool
) -> None:
    """Those that it names, in any case, up to 8 KiB each; nothing else is decoded."""
    noting = Noting()
    monkeypatch.setattr(propagation, "propagator", lambda: noting)
    here = context.Context({"key": "value"})
    headers = [
        (b"authorization", CANARY.encode()),
        (b"X-CONTEXT", b"a"),
        (b"x-context", b"x" * length),
    ]
    assert propagation.extract(headers, here) == here
    expected = f"a,{'x' * length}" if is_read else "a"
    assert noting.given == {"X-Context": expected}


def test_an_exception(spans: Recorded) -> None:
    """The span names its class and where it was raised, and quotes nothing."""
    assert requested(application(), "GET", "/failing").status_code == 500
    request = request_of(spans)
    assert (request.status, request.status_message) == ("error", "LookupError")
    assert request.attributes["error.type"] == "LookupError"
    assert request.attributes["http.response.status_code"] == 500
    assert request.attributes["flash.outcome"] == "failed"
    assert CANARY not in repr(spans.records)


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [("/refusing", 503, "fastapi.exceptions.HTTPException"), ("/nowhere", 404, None)],
)
def test_a_response_that_fails(spans: Recorded, path: str, status: int, kind: str | None) -> None:
    """A status of 500 and above is the server's failure, a lower one the client's."""
    assert requested(application(), "GET", path).status_code == status
    request = request_of(spans)
    assert request.attributes["http.response.status_code"] == status
    assert request.attributes.get("error.type") == kind
    assert request.status == ("unset" if kind is None else "error")
    assert CANARY not in repr(spans.records)


def test_a_failure_without_an_exception(spans: Recorded) -> None:
    """Then the status is its kind."""

    class Bare(FastAPI):
        pass

    app = Bare()

    @app.get("/")
    async def root() -> Any:
        return StreamingResponse(iter(()), status_code=502)

    assert requested(app, "GET", "/").status_code == 502
    assert request_of(spans).attributes["error.type"] == "502"


def test_a_route_that_is_unknown(spans: Recorded) -> None:
    """Without a route the name is the method; an invented method is not recorded."""
    requested(application(), "GET", "/nowhere")
    requested(application(), CANARY, "/nowhere")
    first, second = spans.records
    assert (first.name, second.name) == ("GET", "HTTP")
    assert "http.route" not in first.attributes
    assert second.attributes["http.request.method"] == "_OTHER"
    assert CANARY not in repr(spans.records)


def test_a_mounted_application(spans: Recorded) -> None:
    """It answers a request of the outer one: one span, without the inner part of a route."""
    outer = FastAPI()
    outer.mount("/inner", application())
    assert requested(outer, "GET", "/inner/gpu/a").json() == "a"
    assert spans.tree() == ["GET", "  flash.call"]


def test_an_application_below_a_path(spans: Recorded) -> None:
    """Behind a proxy that adds a path, the application knows the whole route."""
    requested(application(), "GET", "/gpu/a", root_path="/proxy")
    assert request_of(spans).attributes["http.route"] == "/gpu/{name}"


def test_an_exception_after_the_response(spans: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    """The span has ended with the response, and stays as it is."""
    app = FastAPI()

    def fail() -> None:
        raise LookupError(CANARY)

    @app.get("/")
    async def root(tasks: BackgroundTasks) -> str:
        tasks.add_task(fail)
        return "answered"

    assert requested(app, "GET", "/").json() == "answered"
    request = request_of(spans)
    assert (request.status, request.attributes["flash.outcome"]) == ("unset", "returned")
    assert [entry.message for entry in caplog.records if "ended span" in entry.message] == []


def test_health_checks_are_left_out(spans: Recorded) -> None:
    """Runpod's load balancer asks for one every few seconds."""
    assert requested(application(), "GET", "/ping").json() == "healthy"
    assert spans.records == []


def test_outside_of_a_worker(spans: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that calls Flash is not Flash's."""
    monkeypatch.delenv("RUNPOD_ENDPOINT_ID")
    requested(application(), "GET", "/gpu/a")
    assert spans.tree() == ["flash.call"]


def test_tracing_that_is_off(spans: Recorded) -> None:
    """After `uninstrument()`, an application answers as before."""
    app = application()
    flash_otel.uninstrument()
    assert requested(app, "GET", "/gpu/a").json() == "a"
    assert spans.records == []


@pytest.fixture
def provider() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    """The application's own provider, and what it exports."""
    exporter = InMemorySpanExporter()
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(made)
    yield made, exporter
    made.shutdown()


class Traced:
    """A middleware of another library, around the application: it makes the SERVER span."""

    def __init__(self, app: Any, provider: TracerProvider) -> None:
        self.app = app
        self.tracer = provider.get_tracer("another")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with self.tracer.start_as_current_span("theirs", kind=trace.SpanKind.SERVER):
            await self.app(scope, receive, send)


HAS_OWN: Final = "telemetry" in inspect.signature(FastAPI).parameters
UNTRACED: Final[dict[str, Any]] = (
    {"telemetry": {"tracing": False, "metrics": False, "logs": False}} if HAS_OWN else {}
)


@pytest.mark.parametrize("is_native", [False, True], ids=["around", "FastAPI's own"])
def test_a_server_span_of_another_library(
    provider: tuple[TracerProvider, InMemorySpanExporter], *, is_native: bool
) -> None:
    """Its span is the request's: none is made here, and the calls are its children."""
    made, exporter = provider
    flash_otel.instrument(legacy_logs=False, store=False)
    if is_native and not HAS_OWN:
        pytest.skip("this FastAPI makes no spans")
    app: Any = application() if is_native else Traced(application(**UNTRACED), made)
    assert requested(app, "GET", "/gpu/a").json() == "a"
    spans = {span.context.span_id: span for span in exporter.get_finished_spans()}
    (server,) = (span for span in spans.values() if span.kind is trace.SpanKind.SERVER)
    assert server.instrumentation_scope is not None
    assert server.instrumentation_scope.name == ("fastapi" if is_native else "another")
    (call,) = (span for span in spans.values() if span.name == "flash.call")
    outer = call
    while outer.parent is not None:
        outer = spans[outer.parent.span_id]
    assert outer is server


class Instrumentation:
    """A middleware as `FastAPIInstrumentor` of a user adds it."""

    __module__ = "opentelemetry.instrumentation.asgi"

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@pytest.mark.parametrize("mark", ["flag", "middleware"])
def test_an_application_that_another_library_traces(spans: Recorded, mark: str) -> None:
    """Its span comes further inside, and none is made here."""
    app = application()
    if mark == "flag":
        vars(app)["_is_instrumented_by_opentelemetry"] = True
    else:
        app.add_middleware(Instrumentation)
    assert requested(app, "GET", "/gpu/a").json() == "a"
    assert spans.tree() == ["flash.call"]


def test_a_client_span_in_the_same_process(spans: Recorded) -> None:
    """A request without a context, made inside a span, is a child of that span."""

    @flash_otel.trace_call
    def caller(function_name: str) -> Any:
        inside = context.get_current()

        async def send() -> Any:
            context.attach(inside)
            transport = httpx.ASGITransport(app=application())
            async with httpx.AsyncClient(transport=transport, base_url="http://w") as client:
                return (await client.get(f"/gpu/{function_name}")).json()

        return asyncio.run(send())

    assert caller("a") == "a"
    assert spans.tree() == ["flash.call", "  GET /gpu/{name}", "    flash.call"]


def test_a_fault_of_ours_does_not_reach_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a span, an application answers as before."""
    from flash_otel.tracing.serving import requests

    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("ours")

    monkeypatch.delenv("FLASH_OTEL_RAISE")
    flash_otel.instrument(legacy_logs=False)
    monkeypatch.setattr(requests, "open_scope", broken)
    assert requested(application(), "GET", "/gpu/a").json() == "a"
    monkeypatch.undo()
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "api0000001")
    monkeypatch.delenv("FLASH_OTEL_RAISE", raising=False)
    monkeypatch.setattr(requests._Request, "_record_response", broken)
    assert requested(application(), "GET", "/gpu/a").json() == "a"
