"""At the end of a worker's request its spans get out: the worker may be frozen right after it.

Before the answer leaves, what has ended is stored, or sent where only memory holds it; the answer
waits for that no longer than FLASH_OTEL_REQUEST_BUDGET. What is not acknowledged by then is also
written to the worker's log, and goes on being sent. Where a destination fails, or is still busy
with what an earlier request left, nobody waits. A worker without an endpoint has written each span
to its log when it ended: there is nothing to wait for.
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

# A loop cannot wait for a thread's event, and a pool's thread may be kept busy by the host.
_LOOK_S: Final = 0.002


def serve_queue(
    wrapped: Callable[..., Any], _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Let the handler of `runpod.serverless.start(config)` see to its spans, in a worker."""
    config = kwargs.get("config", args[0] if args else None)
    handler = config.get("handler") if isinstance(config, MutableMapping) else None
    if not opts.in_worker() or not callable(handler) or config is None:
        return wrapped(*args, **kwargs)
    # In place, for `start` writes into it, too; put back, for it is the caller's.
    config["handler"] = wrapt.FunctionWrapper(handler, _handle)
    try:
        return wrapped(*args, **kwargs)
    finally:
        config["handler"] = handler


def serve_http(
    wrapped: Callable[..., Any], _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Let the application that `FastAPI.build_middleware_stack` makes see to its spans."""
    return wrapt.FunctionWrapper(wrapped(*args, **kwargs), _answer)


def _handle(
    handler: Callable[..., Any], _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run a job: `runpod` takes functions, coroutine functions and generators of both kinds."""
    try:
        result = handler(*args, **kwargs)
    except Exception:
        _get_out()
        raise
    if inspect.isgenerator(result):
        return _stream(result)
    if inspect.isasyncgen(result):
        return _stream_later(result)
    if inspect.isawaitable(result):
        return _later(result)
    _get_out()
    return result


async def _later(result: Awaitable[Any]) -> Any:
    try:
        answer = await result
    except Exception:
        await _get_out_later()
        raise
    await _get_out_later()
    return answer


def _stream(result: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from result
    except Exception:
        _get_out()
        raise
    _get_out()


async def _stream_later(result: AsyncIterator[Any]) -> AsyncIterator[Any]:
    try:
        async for part in result:
            yield part
    except Exception:
        await _get_out_later()
        raise
    await _get_out_later()


async def _answer(
    application: Callable[..., Awaitable[None]],
    _instance: object,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    """Serve a request, and have its spans out before the last part of its answer leaves.

    At the end of the application everything goes out: uvicorn gives a signal back to its default
    and dies of it, without exit handlers (`Server.capture_signals`).
    """
    match args:
        case [{"type": "http"} as scope, receive, send] if not kwargs and opts.in_worker():
            await application(scope, receive, _before(_is_last_part, _get_out_later, send))
        case [{"type": "lifespan"} as scope, receive, send] if not kwargs:
            await application(scope, receive, _before(_is_shut_down, _flush_later, send))
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


async def _flush_later() -> None:
    try:
        await asyncio.to_thread(pipeline.flush)
    except Exception:
        swallowed("the end of an application")


def _get_out() -> None:
    """Have the spans out, waiting in this thread: a function that blocks has it for itself."""
    deadline = time.monotonic() + opts.request_budget()
    with guarded("the end of a request"):
        for event in pipeline.request_flush():
            event.wait(max(0.0, deadline - time.monotonic()))
        pipeline.log_unsent()


async def _get_out_later() -> None:
    """Have the spans out, while the loop serves others."""
    deadline = time.monotonic() + opts.request_budget()
    try:
        events = pipeline.request_flush()
        while _are_awaited(events) and time.monotonic() < deadline:  # noqa: ASYNC110 - threads set these
            await asyncio.sleep(_LOOK_S)
        pipeline.log_unsent()
    except Exception:
        swallowed("the end of a request")


def _are_awaited(events: list[threading.Event]) -> bool:
    return not all(event.is_set() for event in events)
