"""A call to another endpoint: the context in its request, the job id and failure in its answer.

The context goes into the headers of requests to Flash's own hosts. A job's input gets nothing: its
keys are the arguments of the user's function. Queues drop headers, so the two sides of a job are
joined by its id.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opentelemetry import trace as trace_api

from flash_otel import pipeline, semconv
from flash_otel.runtime.process import swallowed
from flash_otel.tracing import attributes, propagation
from flash_otel.tracing import scope as scopes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

# Final states of a job without a result.
_FAILURES: Final = frozenset({"FAILED", "CANCELLED", "TIMED_OUT"})
_FAILED: Final = "FAILED"


async def noting(
    wrapped: Callable[..., Awaitable[Any]],
    _instance: object,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Record the id of a job, and whether it failed, on the call that submitted it."""
    answer = await wrapped(*args, **kwargs)
    try:
        _note(answer)
    except Exception:
        swallowed("the answer of a call")
    return answer


def _note(answer: Any) -> None:
    scope = scopes.current()
    if scope is None or scope.spec.name != semconv.CALL:
        return
    scope.set(attributes.job_id(_field(answer, "id")))
    scope.reported = _failure_in(answer)


def _failure_in(answer: Any) -> str | None:
    """Return the state of a job that failed; None if it did not, or has not ended.

    A generated handler answers with a field `error` (1.0.0-1.21.0).
    """
    status = _field(answer, "status")
    if isinstance(status, str) and status in _FAILURES:
        return status
    has_error = _field(answer, "error") or _field(_field(answer, "output"), "error")
    return _FAILED if has_error else None


def _field(answer: Any, name: str) -> Any:
    if isinstance(answer, Mapping):
        return answer.get(name)
    # runpod-flash's `JobOutput` is an object; an output may be anything.
    return getattr(answer, name, None) if type(answer).__name__ == "JobOutput" else None


def propagating(
    wrapped: Callable[..., Any], _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Add the context to the headers that `SentinelTarget._sentinel_headers` makes (runpod 2).

    It returns a new dict for each request, and only for requests to Flash's own hosts.
    """
    headers = wrapped(*args, **kwargs)
    try:
        _inject(headers)
    except Exception:
        swallowed("the headers of a call")
    return headers


def with_context(
    wrapped: Callable[..., Any], _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Make the client of `get_authenticated_httpx_client` send the context (runpod-flash).

    An event hook sees each request before it is sent, redirected ones included.
    """
    client = wrapped(*args, **kwargs)
    try:
        hooks = client.event_hooks
        client.event_hooks = {**hooks, "request": [*hooks["request"], _before_request]}
    except Exception:
        swallowed("the client of a call")
    return client


async def _before_request(request: Any) -> None:
    try:
        if is_flash_host(str(request.url)):
            _inject(request.headers)
        else:
            _remove(request.headers)
    except Exception:
        swallowed("the headers of a call")


def _inject(headers: MutableMapping[str, str]) -> None:
    if not pipeline.is_off() and trace_api.get_current_span().get_span_context().is_valid:
        propagation.propagator().inject(headers)


def _remove(headers: MutableMapping[str, str]) -> None:
    """Remove the context from a request that an endpoint has redirected elsewhere."""
    for name in propagation.propagator().fields:
        headers.pop(name, None)


def is_flash_host(url: str) -> bool:
    """Return True for URLs of endpoints: the host of all, or that of a load-balanced one.

    `runpod.endpoint_url_base` (RUNPOD_ENDPOINT_BASE_URL) is the address of all endpoints; a
    load-balanced one has a subdomain of its host (runpod-flash 1.0.0-1.21.0, runpod 2).
    """
    base = _host(getattr(sys.modules.get("runpod"), "endpoint_url_base", None))
    host = _host(url)
    return bool(base and host) and (host == base or str(host).endswith(f".{base}"))


def _host(url: Any) -> str | None:
    try:
        return urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:
        return None
