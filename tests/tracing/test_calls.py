"""A call to another endpoint: its context in headers, the id and failure of its job."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from opentelemetry import trace

import flash_otel
from flash_otel.tracing import calls
from flash_otel.tracing.flash import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.records import SpanRecord
    from flash_otel.testing import Recorded

WRAPPERS: Final = {target.name: target.wrapper for target in TARGETS}
CANARY: Final = "CANARY0OUTPUT"
BASE: Final = "https://api.runpod.example/v2"


@pytest.fixture(autouse=True)
def runpod(monkeypatch: pytest.MonkeyPatch) -> None:
    """The imported runpod, which knows the address of all endpoints."""
    monkeypatch.setitem(sys.modules, "runpod", SimpleNamespace(endpoint_url_base=BASE))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{BASE}/flash/runsync", True),
        ("https://api.runpod.example", True),
        ("https://flash.api.runpod.example/gpu", True),
        ("https://ab12.API.runpod.example:8443/gpu?x=1", True),
        ("http://api.runpod.example/", True),
        ("https://evilapi.runpod.example/", False),
        ("https://runpod.example/", False),
        ("https://api.runpod.example.evil.example/", False),
        ("https://user@evil.example/api.runpod.example", False),
        ("https://api.runpod.example@evil.example/", False),
        ("https://[::1/", False),
        ("/v2", False),
        ("", False),
    ],
)
def test_flash_hosts(url: str, *, expected: bool) -> None:
    """The host of all endpoints and its subdomains are Flash's own; nothing else is."""
    assert calls.is_flash_host(url) is expected


@pytest.mark.parametrize("module", [None, SimpleNamespace(), SimpleNamespace(endpoint_url_base="")])
def test_without_an_address(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    """As long as the address of the endpoints is unknown, no host is Flash's."""
    monkeypatch.setitem(sys.modules, "runpod", module)
    assert not calls.is_flash_host(BASE)
    assert not calls.is_flash_host("")


class Hosts:
    """A server on the loopback interface under two names: Flash's, and that of another host.

    Attributes:
        flash: The address of the endpoints.
        foreign: The address of another host.
        headers: The headers of each request.
        bodies: Its body.
    """

    def __init__(self) -> None:
        self.headers: list[Any] = []
        self.bodies: list[bytes] = []
        hosts = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hosts.headers.append(self.headers)
                hosts.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                target = self.path.partition("?to=")[2]
                self.send_response(307 if target else 200)
                self.send_header("Content-Length", "0")
                if target:
                    self.send_header("Location", target)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        port = self.server.server_address[1]
        self.flash = f"http://127.0.0.1:{port}/v2"
        self.foreign = f"http://localhost:{port}/"

    @property
    def parents(self) -> list[list[str] | None]:
        """The `traceparent` headers of each request."""
        return [headers.get_all("traceparent") for headers in self.headers]


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """Both hosts, of which runpod knows Flash's."""
    made = Hosts()
    monkeypatch.setitem(sys.modules, "runpod", SimpleNamespace(endpoint_url_base=made.flash))
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


async def post(url: str) -> None:
    """Send a request with a client like Flash's."""

    @WRAPPERS["get_authenticated_httpx_client"]
    def get_authenticated_httpx_client() -> httpx.AsyncClient:
        return httpx.AsyncClient(follow_redirects=True, trust_env=False)

    async with get_authenticated_httpx_client() as client:
        (await client.post(url, json={"input": {"text": 1}})).raise_for_status()


@flash_otel.trace_call
async def call(function_name: str) -> None:
    """Send it as a call."""
    await post(function_name)


def test_the_context_goes_to_flash(spans: Recorded, hosts: Hosts) -> None:
    """A request has one header, with the call as the parent; the body has nothing of ours."""
    asyncio.run(call(f"{hosts.flash}/flash/runsync"))
    (span,) = spans.named("flash.call")
    assert hosts.parents == [[f"00-{span.trace_id}-{span.span_id}-01"]]
    assert json.loads(hosts.bodies[0]) == {"input": {"text": 1}}


def test_the_context_goes_nowhere_else(spans: Recorded, hosts: Hosts) -> None:
    """Neither directly nor after a redirection; back at Flash's host it is there again."""
    asyncio.run(call(hosts.foreign))
    asyncio.run(call(f"{hosts.flash}/run?to={hosts.foreign}"))
    asyncio.run(call(f"{hosts.foreign}?to={hosts.flash}/run"))
    assert [bool(parents) for parents in hosts.parents] == [False, True, False, False, True]
    assert len(spans.named("flash.call")) == 3


def test_the_context_of_the_application(spans: Recorded, hosts: Hosts) -> None:
    """Outside of a call, a span of the application's own is passed on, if there is one."""
    url = f"{hosts.flash}/ab12/run"
    asyncio.run(post(url))
    context = trace.SpanContext(1, 2, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        asyncio.run(post(url))
        flash_otel.uninstrument()
        asyncio.run(post(url))
    assert hosts.parents == [None, [f"00-{1:032x}-{2:016x}-01"], None]
    assert spans.records == []


class JobOutput:
    """The answer of runpod-flash's own client."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


def answered(spans: Recorded, answer: Any, raises: Exception | None = None) -> SpanRecord:
    """Return the span of a call with this answer."""

    @WRAPPERS["ServerlessResource.runsync"]
    async def runsync() -> Any:
        return answer

    @flash_otel.trace_call
    async def caller(function_name: str) -> str:
        assert await runsync() is answer
        if raises is not None:
            raise raises
        return function_name

    if raises is None:
        asyncio.run(caller("f"))
    else:
        with pytest.raises(type(raises), match=str(raises)):
            asyncio.run(caller("f"))
    (span,) = spans.named("flash.call")
    return span


def plain(**fields: Any) -> Any:
    return fields


@pytest.mark.parametrize("make", [plain, JobOutput])
@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"status": "COMPLETED", "output": {"error": ""}}, None),
        ({"status": "IN_PROGRESS"}, None),
        ({"status": "IN_PROGRESS", "output": CANARY, "error": None}, None),
        ({"status": "FAILED", "error": CANARY}, "FAILED"),
        ({"status": "TIMED_OUT"}, "TIMED_OUT"),
        ({"status": "CANCELLED"}, "CANCELLED"),
        ({"status": CANARY, "error": CANARY}, "FAILED"),
        ({"status": "COMPLETED", "output": {"error": CANARY}}, "FAILED"),
    ],
)
def test_the_job_of_a_call(
    spans: Recorded, make: Callable[..., Any], fields: dict[str, Any], kind: str | None
) -> None:
    """The call has the id of its job, and has failed if the job has; nothing of its output."""
    span = answered(spans, make(id="sync-1-u1", **fields))
    assert span.attributes["faas.invocation_id"] == "sync-1-u1"
    assert span.status == ("unset" if kind is None else "error")
    assert span.attributes.get("error.type") == kind
    assert CANARY not in repr(spans.records)


def test_an_exception_that_quotes_the_job(spans: Recorded) -> None:
    """What Flash raises for a failed job holds the job's error: the span has its class alone."""
    answer = JobOutput(id="sync-1-u1", status="FAILED", error=CANARY)
    span = answered(spans, answer, LookupError(f"failed: {CANARY}"))
    assert (span.status_message, span.attributes["error.type"]) == ("LookupError", "LookupError")
    assert CANARY not in repr(spans.records)


def test_an_exception_that_quotes_no_job(spans: Recorded) -> None:
    """Flash's own messages are kept: they name the endpoint that is missing."""
    span = answered(spans, {"id": "sync-1-u1"}, LookupError("No endpoint URL"))
    assert span.status_message == "LookupError: No endpoint URL"


@pytest.mark.parametrize(
    "answer", [None, "text", [], {"id": 7}, {"id": f"a {CANARY}"}, SimpleNamespace(id="a")]
)
def test_an_answer_without_a_job(spans: Recorded, answer: Any) -> None:
    """An answer of another kind is no job, and its fields are not looked at."""
    span = answered(spans, answer)
    assert "faas.invocation_id" not in span.attributes
    assert span.status == "unset"


def test_a_job_outside_of_a_call(spans: Recorded) -> None:
    """Without a call, or with tracing off, an answer is just passed on."""

    @WRAPPERS["ServerlessResource.runsync"]
    async def runsync() -> Any:
        return {"id": "a"}

    assert asyncio.run(runsync()) == {"id": "a"}
    flash_otel.uninstrument()
    assert asyncio.run(runsync()) == {"id": "a"}
    assert spans.records == []


def test_a_fault_of_ours_does_not_reach_a_call(
    monkeypatch: pytest.MonkeyPatch, hosts: Hosts
) -> None:
    """Without headers and without an id, the request is sent and answered as before."""

    def broken(*_: Any) -> Any:
        raise ValueError("ours")

    monkeypatch.delenv("FLASH_OTEL_RAISE")
    flash_otel.instrument(legacy_logs=False)
    monkeypatch.setattr(calls, "_inject", broken)
    monkeypatch.setattr(calls, "_note", broken)
    asyncio.run(call(f"{hosts.flash}/run"))
    assert hosts.parents == [None]
    headers = calls.propagating(lambda: {"X": "1"}, None, (), {})
    assert headers == {"X": "1"}
    assert calls.with_context(lambda: "no client", None, (), {}) == "no client"
    assert asyncio.run(calls.noting(_answer, None, (), {})) == {"id": "a"}


async def _answer() -> Any:
    return {"id": "a"}
