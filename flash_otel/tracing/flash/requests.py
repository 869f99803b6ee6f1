"""The requests of a worker: its spans are flushed before it responds.

The platform may freeze a worker as soon as it has responded. Before that, ended spans are stored,
or sent if only memory holds them, and the response waits for them at most
FLASH_OTEL_REQUEST_BUDGET seconds. Spans that are not acknowledged by then are also written to the
worker's log, and remain queued. A response does not wait for a destination that fails, or that is
still busy with an earlier request. A worker without an endpoint writes each span to its log when
it ends, and never waits.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, Final

import wrapt

from flash_otel.pipeline import pipeline
from flash_otel.runtime import options as opts
from flash_otel.runtime.guard import guarded, swallowed

if TYPE_CHECKING:
    import threading

    Message = MutableMapping[str, Any]
    Send = Callable[[Message], Awaitable[None]]

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
    # In place, because `start` writes to it, too; restored, because it belongs to the caller.
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


async def _stream_async(result: AsyncIterator[Any]) -> AsyncIterator[Any]:
    try:
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
    """Flush spans and wait in this thread, which a blocking handler has to itself."""
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
