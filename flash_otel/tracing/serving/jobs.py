"""The jobs of a queue-based worker: a CONSUMER span around each run of its handler.

A span shows that a job ran, for how long, and which exception ended it. Nothing of the job is
recorded but its id. The handlers that Flash generates catch what the user's function raises, and
return it as the field `error`, by which Runpod knows a failed job (`rp_job.run_job`).
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping, MutableMapping
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Final

import wrapt
from opentelemetry import context as context_api

from flash_otel import pipeline, semconv
from flash_otel.runtime import options as opts
from flash_otel.runtime.process import swallowed
from flash_otel.tracing import attributes
from flash_otel.tracing.attributes import NO_FIELDS
from flash_otel.tracing.extractors import Call, Parameters
from flash_otel.tracing.running import UNTRACED, Dropped, Running, Untraced, drive, drive_async
from flash_otel.tracing.serving.delivery import flush_request, flush_request_async
from flash_otel.tracing.specs import JOB
from flash_otel.tracing.wrapper import open_scope

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator

RESOURCE_VARIABLE: Final = "FLASH_RESOURCE_NAME"

_NOTHING: Final = Parameters(lambda: None, bound=False)
_TRACEBACK: Final = "Traceback (most recent call last):"
_EXCEPTION: Final = re.compile(r"[A-Za-z_][\w.]{0,127}(?=:|$)")
# The value of `error.type` for an error without a class (OpenTelemetry's conventions).
_OTHER: Final = "_OTHER"


def serve_queue(
    wrapped: Callable[..., Any], _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Trace the jobs of the handler of `runpod.serverless.start(config)`, in a worker."""
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


def _run_job(
    handler: Callable[..., Any], _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run a job: handlers are functions, coroutine functions, or generators of either kind."""
    running = _begin(args, kwargs)
    try:
        result = handler(*args, **kwargs)
    except BaseException as error:
        running.end(error)
        if isinstance(error, Exception):
            flush_request()
        raise
    for is_kind, run in _RUN_LATER:
        if is_kind(result):
            running.pause()
            return run(result, running)
    _note_failure(running, result)
    running.returned(result)
    flush_request()
    return result


def _begin(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Running | Untraced:
    """Open the span of a job, and enter its context."""
    try:
        if pipeline.is_off():
            return UNTRACED
        # Without the job: only its id leaves this function.
        call = Call(_NOTHING, None, (), {})
        resource = os.environ.get(RESOURCE_VARIABLE, "")
        known = _attributes(resource, *args, *kwargs.values())
        opened = open_scope(JOB, call, NO_FIELDS, known, name=f"{semconv.JOB} {resource}".strip())
        if opened is None:
            return UNTRACED
        scope, context = opened
        return Running(scope, call, NO_FIELDS, context, context_api.attach(context))
    except Exception:
        swallowed("the start of a job")
        return UNTRACED


def _attributes(resource: str, job: Any = None, *_: Any) -> dict[str, Any]:
    return {
        semconv.FAAS_TRIGGER: semconv.TRIGGER_QUEUE,
        **attributes.job_id(job.get("id") if isinstance(job, Mapping) else None),
        semconv.MESSAGING_SYSTEM: semconv.QUEUE_SYSTEM,
        semconv.MESSAGING_OPERATION: semconv.JOB,
        **({semconv.MESSAGING_DESTINATION: resource} if resource else {}),
    }


async def _await_result(result: Awaitable[Any], running: Running | Untraced) -> Any:
    running.resume()
    try:
        answer = await result
    except BaseException as error:
        running.end(error)
        if isinstance(error, Exception):
            await flush_request_async()
        raise
    _note_failure(running, answer)
    running.returned(answer)
    await flush_request_async()
    return answer


def _stream(
    result: Generator[Any, Any, Any], running: Running | Untraced
) -> Generator[Any, Any, None]:
    try:
        with closing(drive(_beginning(result, running))) as parts:
            for part in parts:
                if _note_failure(running, part):
                    running.end(None)  # Runpod ends a stream with the first error
                    flush_request()
                yield part
    except Exception:
        flush_request()
        raise
    flush_request()


async def _stream_async(
    result: AsyncGenerator[Any, Any], running: Running | Untraced
) -> AsyncIterator[Any]:
    try:
        # Closed with its wrapper, as without one; `async for` leaves that to the event loop's end.
        async with aclosing(drive_async(_beginning(result, running))) as parts:
            async for part in parts:
                if _note_failure(running, part):
                    running.end(None)
                    await flush_request_async()
                yield part
    except Exception:
        await flush_request_async()
        raise
    await flush_request_async()


def _beginning(
    result: Any, running: Running | Untraced
) -> Callable[[], tuple[Any, Dropped | None]]:
    dropped = None
    if isinstance(running, Running):
        running.yields, dropped = True, Dropped(running)
    return lambda: (result, dropped)


_RUN_LATER: Final[tuple[tuple[Callable[[Any], bool], Callable[..., Any]], ...]] = (
    (inspect.isgenerator, _stream),
    (inspect.isasyncgen, _stream_async),
    (inspect.isawaitable, _await_result),
)


def _note_failure(running: Running | Untraced, answer: Any) -> bool:
    """Note the failure that an answer, or a part of it, reports; return whether there is one."""
    try:
        if not isinstance(running, Running) or not isinstance(answer, dict):
            return False
        if not answer.get("error"):
            return False
        running.scope.reported = _exception_in(answer.get("traceback"))
    except Exception:
        swallowed("the answer of a job")
        return False
    return True


def _exception_in(stack: object) -> str:
    """Return the class of the first exception of a printed traceback, or `_OTHER`.

    Python indents everything between the head of a traceback and the name of the class: what the
    exception quotes comes later, and is not looked at.
    """
    if not isinstance(stack, str) or not stack.startswith(_TRACEBACK):
        return _OTHER
    lines = stack.splitlines()[1:]
    raised = next((line for line in lines if not line.startswith(" ")), "")
    match = _EXCEPTION.match(raised)
    return match[0] if match else _OTHER
