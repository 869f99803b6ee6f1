"""The wrappers of a worker's functions: when spans are flushed, and what is noted of calls.

The functions here have the signatures of those of runpod, FastAPI and Flash; the real ones are
tested with every version of Flash elsewhere.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest

import flash_otel
from flash_otel import pipeline, semconv
from flash_otel.tracing.flash import TARGETS, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from flash_otel.testing import Recorded

WRAPPERS: Final = {target.name: target.wrapper for target in TARGETS}
JOB: Final = {"id": "job-1"}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens, in order, in a worker whose spans are acknowledged at once."""
    happened: list[str] = []
    acknowledged = threading.Event()
    acknowledged.set()

    def request_flush() -> list[threading.Event]:
        happened.append("flush")
        return [acknowledged]

    monkeypatch.setattr(pipeline, "request_flush", request_flush)
    monkeypatch.setattr(pipeline, "log_unsent", lambda: happened.append("log"))
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "gpu0000001")
    return happened


def started(handler: Any, run: Callable[[Any], Any], **config: Any) -> Any:
    """Run a handler as `runpod.serverless.start` runs that of its configuration."""
    given = {"handler": handler, **config}

    @WRAPPERS["start"]
    def start(config: Any) -> Any:
        assert config is given
        config["started"] = True
        return run(config["handler"])

    try:
        return start(given)
    finally:
        assert given == {"handler": handler, "started": True, **config}


def plain(job: Any) -> Any:
    assert job is JOB
    return "done"


def parts(job: Any) -> Iterator[str]:
    yield job["id"]
    yield "done"


async def awaited(job: Any) -> Any:
    await asyncio.sleep(0)
    return plain(job)


async def parts_awaited(job: Any) -> AsyncIterator[str]:
    yield job["id"]
    yield "done"


async def listed(parts: AsyncIterator[Any]) -> list[Any]:
    return [part async for part in parts]


@pytest.mark.parametrize(
    ("handler", "run", "expected"),
    [
        (plain, lambda handler: handler(JOB), "done"),
        (parts, lambda handler: list(handler(JOB)), ["job-1", "done"]),
        (awaited, lambda handler: asyncio.run(handler(JOB)), "done"),
        (parts_awaited, lambda handler: asyncio.run(listed(handler(JOB))), ["job-1", "done"]),
    ],
)
def test_a_job_ends_with_a_flush(
    log: list[str], handler: Any, run: Callable[[Any], Any], expected: Any
) -> None:
    """Handlers of every kind answer as before, after their spans are flushed."""
    assert started(handler, run) == expected
    assert log == ["flush", "log"]


def broken(_job: Any) -> Any:
    raise LookupError("no")


def broken_parts(_job: Any) -> Iterator[Any]:
    yield 1
    raise LookupError("no")


async def broken_awaited(_job: Any) -> Any:
    raise LookupError("no")


async def broken_parts_awaited(_job: Any) -> AsyncIterator[Any]:
    yield 1
    raise LookupError("no")


@pytest.mark.parametrize(
    ("handler", "run"),
    [
        (broken, lambda handler: handler(JOB)),
        (broken_parts, lambda handler: list(handler(JOB))),
        (broken_awaited, lambda handler: asyncio.run(handler(JOB))),
        (broken_parts_awaited, lambda handler: asyncio.run(listed(handler(JOB)))),
    ],
)
def test_a_failed_job_ends_with_a_flush(
    log: list[str], handler: Any, run: Callable[[Any], Any]
) -> None:
    """The exception is raised after the spans are flushed."""
    with pytest.raises(LookupError, match="no"):
        started(handler, run)
    assert log == ["flush", "log"]


def test_parts_come_before_the_flush(log: list[str]) -> None:
    """A stream is flushed at its end, not before its first part."""

    def run(handler: Any) -> None:
        stream = handler(JOB)
        assert inspect.isgenerator(stream)
        assert next(stream) == "job-1"
        assert log == []
        assert list(stream) == ["done"]

    started(parts, run)
    assert log == ["flush", "log"]


def test_a_stream_that_is_left_is_closed_at_once(log: list[str]) -> None:
    """Closing an asynchronous stream closes the handler's generator, as it would untraced."""

    async def held(job: Any) -> AsyncIterator[str]:
        try:
            yield job["id"]
        finally:
            log.append("closed")

    async def leave(stream: Any) -> list[str]:
        await anext(stream)
        await stream.aclose()
        return list(log)

    assert started(held, lambda handler: asyncio.run(leave(handler(JOB)))) == ["closed"]


def test_what_is_no_workers_handler_stays_as_it_is(
    log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a handler, or outside of a worker, `start` gets what it was given."""
    start = WRAPPERS["start"](lambda *args, **kwargs: (args, kwargs))
    for config in (None, "text", {}, {"handler": None}, {"handler": "text"}):
        assert start(config) == ((config,), {})
        assert start(config=config) == ((), {"config": config})
    assert start() == ((), {})
    monkeypatch.delenv("RUNPOD_ENDPOINT_ID")
    started(plain, lambda handler: handler(JOB))
    assert log == []


def test_a_request_waits_no_longer_than_its_budget(
    log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans that are not acknowledged within the budget are logged, and the answer goes out."""
    waits: list[float | None] = []

    class Never(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            return False

    monkeypatch.setattr(pipeline, "request_flush", lambda: [Never()])
    monkeypatch.setenv("FLASH_OTEL_REQUEST_BUDGET", "0.05")
    assert started(plain, lambda handler: handler(JOB)) == "done"
    (waited,) = waits
    assert waited is not None
    assert 0 <= waited <= 0.05
    assert started(awaited, lambda handler: asyncio.run(handler(JOB))) == "done"
    assert log == ["log", "log"]


def test_an_answer_waits_for_the_acknowledgement(
    log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then nothing is logged; the event loop serves others meanwhile."""
    acknowledged = threading.Event()
    monkeypatch.setattr(pipeline, "request_flush", lambda: [acknowledged])
    monkeypatch.setenv("FLASH_OTEL_REQUEST_BUDGET", "60")

    async def both(handler: Any) -> Any:
        answer = asyncio.ensure_future(handler(JOB))
        for _ in range(5):
            await asyncio.sleep(0.001)
        assert log == []
        acknowledged.set()
        return await answer

    assert started(awaited, lambda handler: asyncio.run(both(handler))) == "done"
    assert log == ["log"]


@pytest.mark.parametrize("handler", [plain, awaited])
def test_a_fault_of_ours_does_not_reach_a_job(
    log: list[str], monkeypatch: pytest.MonkeyPatch, handler: Any
) -> None:
    """An internal error at the end of a request leaves the answer as it is."""

    def request_flush() -> list[threading.Event]:
        raise ValueError("ours")

    monkeypatch.delenv("FLASH_OTEL_RAISE")
    monkeypatch.setattr(pipeline, "request_flush", request_flush)
    run = (lambda made: made(JOB)) if handler is plain else (lambda made: asyncio.run(made(JOB)))
    assert started(handler, run) == "done"
    assert log == []


def served(kind: str, *messages: Any, **more: Any) -> list[Any]:
    """Serve a request whose application sends these messages; return the order of events."""
    seen: list[Any] = more.pop("seen")

    async def send(message: Any) -> None:
        seen.append(message)

    class Starlette:
        @WRAPPERS["Starlette.__call__"]
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            assert (scope, receive) == ({"type": kind}, "receive")
            for message in messages:
                await send(message)

    application = Starlette()
    if more:
        asyncio.run(application({"type": kind}, "receive", send=send))
    else:
        asyncio.run(application({"type": kind}, "receive", send))
    return seen


START: Final = {"type": "http.response.start", "status": 200}
PART: Final = {"type": "http.response.body", "more_body": True}
LAST: Final = {"type": "http.response.body"}


def test_a_response_is_flushed_before_its_last_part(
    log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the last part waits, and only in a worker, for a call of the usual form."""
    expected = [START, PART, "flush", "log", LAST]
    assert served("http", START, PART, LAST, seen=log) == expected
    log.clear()
    ended = {**LAST, "more_body": False}
    assert served("http", ended, seen=log) == ["flush", "log", ended]
    log.clear()
    assert served("websocket", LAST, seen=log) == [LAST]
    log.clear()
    assert served("http", LAST, seen=log, by_name=True) == [LAST]
    log.clear()
    monkeypatch.delenv("RUNPOD_ENDPOINT_ID")
    assert served("http", LAST, seen=log) == [LAST]


def test_an_application_is_flushed_at_its_shutdown(
    log: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All spans are flushed before the end of the shutdown is announced; a fault of ours is not."""
    monkeypatch.setattr(pipeline, "flush", lambda: log.append("all"))
    begun, ended = {"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}
    assert served("lifespan", begun, ended, seen=log) == [begun, "all", ended]
    log.clear()
    failed = {"type": "lifespan.shutdown.failed"}
    assert served("lifespan", {}, failed, seen=log) == [{}, "all", failed]
    log.clear()
    assert served("lifespan", ended, seen=log, by_name=True) == [ended]
    log.clear()

    def flush() -> None:
        raise ValueError("ours")

    monkeypatch.delenv("FLASH_OTEL_RAISE")
    monkeypatch.setattr(pipeline, "flush", flush)
    caplog.set_level("DEBUG")
    assert served("lifespan", ended, seen=log) == [ended]
    assert "the end of an application" in caplog.text


class Registry:
    """Flash's registry, whose answers are given beforehand."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @WRAPPERS["ServiceRegistry.get_routing_info"]
    async def get_routing_info(self, name: str) -> Any:
        assert name == "f"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def routed(answer: Any, spans: Recorded) -> dict[str, Any]:
    """Return what a call's span holds of its route."""

    @flash_otel.trace_call
    async def call(function_name: str) -> Any:
        return await Registry(answer).get_routing_info(function_name)

    asyncio.run(call("f"))
    (span,) = spans.named(semconv.CALL)
    left_out = (semconv.FUNCTION_NAME, semconv.OUTCOME)
    return {name: value for name, value in span.attributes.items() if name not in left_out}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, {"flash.call.route": "local"}),
        ({}, {"flash.call.route": "remote"}),
        (
            {"resource_name": "gpu", "endpoint_url": "https://api.example/v2/qb2?key=1"},
            {
                "flash.call.route": "remote",
                "flash.resource_name": "gpu",
                "peer.service": "gpu",
                "flash.endpoint_url": "https://api.example/v2/qb2",
                "server.address": "api.example",
            },
        ),
        (
            SimpleNamespace(id="qb2"),
            {"flash.call.route": "remote", "flash.endpoint_id": "qb2"},
        ),
        ("text", {"flash.call.route": "remote"}),
    ],
)
def test_the_route_of_a_call(spans: Recorded, answer: Any, expected: dict[str, Any]) -> None:
    """An answer without a route is local; else the span names the endpoint."""
    assert routed(answer, spans) == expected


@pytest.mark.parametrize(
    ("error", "route"), [(ValueError("unknown"), "missing"), (LookupError("other"), None)]
)
def test_the_route_of_a_function_that_is_not_in_the_manifest(
    spans: Recorded, error: Exception, route: str | None
) -> None:
    """Only ValueError means that the function is missing; every error is the caller's."""
    with pytest.raises(type(error), match=str(error)):
        routed(error, spans)
    (span,) = spans.named(semconv.CALL)
    assert span.attributes.get("flash.call.route") == route


def test_a_route_outside_of_a_call(spans: Recorded) -> None:
    """Without an enclosing call nothing is noted, and tracing may be off."""
    assert asyncio.run(Registry(None).get_routing_info("f")) is None
    assert spans.records == []
    flash_otel.uninstrument()
    assert asyncio.run(Registry({}).get_routing_info("f")) == {}


def unset(instance: Any, lookups: int = 1) -> None:
    """Look a manifest up in a registry."""

    class ServiceRegistry:
        def __init__(self) -> None:
            vars(self).update(instance)

        @WRAPPERS["ServiceRegistry._ensure_manifest_loaded"]
        async def _ensure_manifest_loaded(self) -> str:
            return "loaded"

    for _ in range(lookups):
        assert asyncio.run(ServiceRegistry()._ensure_manifest_loaded()) == "loaded"


FETCHES: Final = {
    "_makes_remote_calls": True,
    "_manifest_client": "client",
    "_endpoint_registry_loaded_at": 0.0,
    "cache_ttl": 300,
}


def test_a_lookup_without_an_environment(spans: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one failed fetch per process, with the worker's ids."""
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "gpu0000001")
    unset(FETCHES, lookups=2)
    (span,) = spans.records
    assert span.name == "flash.runtime.fetch"
    assert span.attributes["flash.fault"] == "environment_unset"
    assert span.attributes["flash.worker.endpoint_id"] == "gpu0000001"
    assert "flash.worker.environment_id" not in span.attributes


@pytest.mark.parametrize(
    "changes",
    [
        {"_makes_remote_calls": False},
        {"_manifest_client": None},
        {"_endpoint_registry_loaded_at": time.time() + 10_000},
        {"cache_ttl": 2 * time.time()},
    ],
)
def test_a_lookup_that_would_not_fetch(spans: Recorded, changes: dict[str, Any]) -> None:
    """A registry that is fresh, or that never fetches, lacks no environment."""
    unset({**FETCHES, **changes})
    for name in FETCHES:
        unset({known: value for known, value in FETCHES.items() if known != name})
    assert spans.records == []


def test_a_lookup_with_an_environment(spans: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that is set leads to a fetch of its own."""
    monkeypatch.setenv("FLASH_ENVIRONMENT_ID", "env-1")
    unset(FETCHES)
    assert spans.records == []
    assert worker.worker_identity() == {"flash.worker.environment_id": "env-1"}
