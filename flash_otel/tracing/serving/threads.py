"""The context of a job or request in the threads that it starts.

The handlers that Flash generates run coroutine functions with `asyncio.run`, in a thread of a
`ThreadPoolExecutor`, which does not inherit the context of the job.
"""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry import context as context_api

from flash_otel import pipeline
from flash_otel.runtime import options as opts
from flash_otel.tracing import scope as scopes

if TYPE_CHECKING:
    from collections.abc import Callable


def in_workers(function: Any) -> Any:
    """Make `ThreadPoolExecutor.submit` keep the context in a worker; elsewhere, change nothing."""
    return wrapt.FunctionWrapper(function, _submit) if opts.in_worker() else function


def _submit(
    wrapped: Callable[..., Any], pool: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if not args or pipeline.is_off() or scopes.current() is None:
        return wrapped(*args, **kwargs)
    # OpenTelemetry's context alone: other context variables belong to the host.
    here = context_api.get_current()
    if not _is_unused(pool):
        return wrapped(_run, here, *args, **kwargs)
    # Without a frame of ours in a traceback, which the generated handlers put into their answer.
    carried = Context()
    carried.run(context_api.attach, here)
    return wrapped(carried.run, *args, **kwargs)


def _is_unused(pool: object) -> bool:
    """Return True if nothing can have set context variables in the threads of a pool."""
    return getattr(pool, "_initializer", pool) is None and not getattr(pool, "_threads", pool)


def _run(
    context: context_api.Context, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    token = context_api.attach(context)
    try:
        return function(*args, **kwargs)
    finally:
        context_api.detach(token)
