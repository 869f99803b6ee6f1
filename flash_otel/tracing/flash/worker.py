"""A worker: its requests, and its endpoint registry.

The platform may freeze a worker as soon as it has responded. Before that, ended spans are stored,
or sent if only memory holds them, and the response waits for them at most
FLASH_OTEL_REQUEST_BUDGET seconds. Spans that are not acknowledged by then are also written to the
worker's log, and remain queued. A response does not wait for a destination that fails, or that is
still busy with an earlier request. A worker without an endpoint writes each span to its log when
it ends, and never waits.

The registry shows the routes of calls, and lookups that have no environment.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import wrapt

from flash_otel import pipeline, semconv
from flash_otel.runtime import options as opts
from flash_otel.runtime.process import guarded, swallowed
from flash_otel.tracing import attributes, links
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.specs import RUNTIME_FETCH
from flash_otel.tracing.wrapper import open_scope

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncGenerator

    Message = MutableMapping[str, Any]
    Send = Callable[[Message], Awaitable[None]]


Method = Callable[..., Awaitable[Any]]

ENVIRONMENT_VARIABLE: Final = links.ENVIRONMENT_VARIABLE
ENDPOINT_VARIABLE: Final = "RUNPOD_ENDPOINT_ID"

# An event loop cannot wait for a thread's event, and the threads of its pool may all be busy.
_POLL_S: Final = 0.002


def serve_queue(
    wrapped: Callable[..., Any], _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Make the handler of `runpod.serverless.start(config)` flush its spans, in a worker."""
    config = kwargs.get("config", args[0] if args else None)
    handler = config.get("handler") if isinstance(config, MutableMapping) else None
    if not opts.in_worker() or not callable(handler) or config is None:
        return wrapped(*args, **kwargs)
    # In place, because `start` also writes to it; restored, because it belongs to the caller.
    config["handler"] = wrapt.FunctionWrapper(handler, _run_job)
    try:
        return wrapped(*args, **kwargs)
    finally:
        config["handler"] = handler


def serve_http(
    wrapped: Callable[..., Any], _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Make the application of `FastAPI.build_middleware_stack` flush its spans."""
    return wrapt.FunctionWrapper(wrapped(*args, **kwargs), _serve)


def _run_job(
    handler: Callable[..., Any], _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run a job: handlers are functions, coroutine functions, or generators of either kind."""
    try:
        result = handler(*args, **kwargs)
    except Exception:
        _flush_request()
        raise
    if inspect.isgenerator(result):
        return _stream(result)
    if inspect.isasyncgen(result):
        return _stream_async(result)
    if inspect.isawaitable(result):
        return _await_result(result)
    _flush_request()
    return result


async def _await_result(result: Awaitable[Any]) -> Any:
    try:
        answer = await result
    except Exception:
        await _flush_request_async()
        raise
    await _flush_request_async()
    return answer


def _stream(result: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from result
    except Exception:
        _flush_request()
        raise
    _flush_request()


async def _stream_async(result: AsyncGenerator[Any, Any]) -> AsyncIterator[Any]:
    try:
        # Closed with its wrapper, as without one; `async for` leaves that to the event loop's end.
        async with aclosing(result):
            async for part in result:
                yield part
    except Exception:
        await _flush_request_async()
        raise
    await _flush_request_async()


async def _serve(
    application: Callable[..., Awaitable[None]],
    _instance: object,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    """Serve a request, and flush its spans before the last part of the response is sent.

    All spans are flushed at the application's shutdown: uvicorn then restores the default signal
    handler and raises the signal again, so exit handlers do not run (`Server.capture_signals`).
    """
    match args:
        case [{"type": "http"} as scope, receive, send] if not kwargs and opts.in_worker():
            await application(scope, receive, _before(_is_last_part, _flush_request_async, send))
        case [{"type": "lifespan"} as scope, receive, send] if not kwargs:
            await application(scope, receive, _before(_is_shut_down, _flush_all_async, send))
        case _:
            await application(*args, **kwargs)


def _before(
    is_moment: Callable[[Message], bool], action: Callable[[], Awaitable[None]], send: Send
) -> Send:
    async def sending(message: Message) -> None:
        if is_moment(message):
            await action()
        await send(message)

    return sending


def _is_last_part(message: Message) -> bool:
    return message.get("type") == "http.response.body" and not message.get("more_body", False)


def _is_shut_down(message: Message) -> bool:
    return str(message.get("type")).startswith("lifespan.shutdown.")


async def _flush_all_async() -> None:
    try:
        await asyncio.to_thread(pipeline.flush)
    except Exception:
        swallowed("the end of an application")


def _flush_request() -> None:
    """Flush spans, and wait in this thread, which only a blocking handler uses."""
    deadline = time.monotonic() + opts.request_budget()
    with guarded("the end of a request"):
        for event in pipeline.request_flush():
            event.wait(max(0.0, deadline - time.monotonic()))
        pipeline.log_unsent()


async def _flush_request_async() -> None:
    """Flush spans and wait while the event loop serves other requests."""
    deadline = time.monotonic() + opts.request_budget()
    try:
        events = pipeline.request_flush()
        while _are_pending(events) and time.monotonic() < deadline:  # noqa: ASYNC110 - set by threads
            await asyncio.sleep(_POLL_S)
        pipeline.log_unsent()
    except Exception:
        swallowed("the end of a request")


def _are_pending(events: list[threading.Event]) -> bool:
    return not all(event.is_set() for event in events)


async def note_route(
    wrapped: Method, _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Record on the enclosing call where its function is routed to.

    `get_routing_info` (1.4 and later) and `get_resource_for_function` (to 1.3) return None for a
    function of this endpoint, and raise ValueError for a function that is not in the manifest.
    """
    try:
        routed = await wrapped(*args, **kwargs)
    except ValueError:
        _note({semconv.CALL_ROUTE: semconv.ROUTE_MISSING})
        raise
    _note({semconv.CALL_ROUTE: semconv.ROUTE_LOCAL} if routed is None else _remote(routed))
    return routed


def _remote(routed: Any) -> dict[str, Any]:
    route = {semconv.CALL_ROUTE: semconv.ROUTE_REMOTE}
    if not isinstance(routed, Mapping):
        return {**route, **attributes.Text(semconv.ENDPOINT_ID)(getattr(routed, "id", None))}
    return {
        **route,
        **attributes.Text(semconv.RESOURCE_NAME, semconv.PEER_SERVICE)(routed.get("resource_name")),
        **attributes.endpoint_url(routed.get("endpoint_url")),
    }


def _note(route: Mapping[str, Any]) -> None:
    try:
        scope = None if pipeline.is_off() else scopes.current()
        call = scope and scope.enclosing(semconv.CALL)
        if call is not None:
            call.set(route)
    except Exception:
        swallowed("a call's route")


async def note_unset(
    wrapped: Method, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Record, once per process, a lookup that is skipped because no environment is set.

    `ServiceRegistry._ensure_manifest_loaded` (1.4.0-1.21.0) then returns silently.
    """
    result = await wrapped(*args, **kwargs)
    try:
        if not pipeline.is_off() and _is_skipped(instance) and not links.has_fetched():
            _record_unset()
    except Exception:
        swallowed("a lookup without environment")
    return result


def _is_skipped(registry: Any) -> bool:
    """Return True if a stale registry would fetch its manifest, were the environment set."""
    if os.environ.get(ENVIRONMENT_VARIABLE):
        return False
    # Private attributes of `ServiceRegistry`; without them, the lookup is not recorded.
    can_fetch = getattr(registry, "_makes_remote_calls", False) and (
        getattr(registry, "_manifest_client", None) is not None
    )
    age_s = time.time() - getattr(registry, "_endpoint_registry_loaded_at", time.time())
    return bool(can_fetch) and age_s > getattr(registry, "cache_ttl", 0)


def _record_unset() -> None:
    opened = open_scope(RUNTIME_FETCH, attributes=worker_identity())
    if opened is not None:
        scope, _ = opened
        scope.fault = semconv.ENVIRONMENT_UNSET
        scope.end(None)


def worker_identity() -> dict[str, str]:
    """Return the worker's endpoint and environment ids, as set in its variables."""
    found = {
        semconv.WORKER_ENDPOINT_ID: os.environ.get(ENDPOINT_VARIABLE),
        semconv.WORKER_ENVIRONMENT_ID: os.environ.get(ENVIRONMENT_VARIABLE),
    }
    return {name: value for name, value in found.items() if value}
