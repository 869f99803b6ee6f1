"""The requests of a load-balanced worker: a SERVER span around each, and its delivery.

It wraps the call of a FastAPI application. Nothing is recorded of a request but its method, its
path and its route, and nothing of a response but its status. If FastAPI itself (since 0.16x) or an
instrumentation traces the application, its span is the request's, and none is made here.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.trace import SpanKind

from flash_otel import pipeline, semconv
from flash_otel.runtime import options as opts
from flash_otel.runtime.process import guarded, swallowed
from flash_otel.tracing import outcome, propagation
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.serving.delivery import flush_all_async, flush_request_async
from flash_otel.tracing.specs import REQUEST
from flash_otel.tracing.wrapper import open_scope

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[..., Awaitable[None]]

# Those of RFC 9110 and RFC 5789: others are clients' inventions.
_METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
_OTHER_METHOD: Final = "_OTHER"
_SERVER_ERROR: Final = 500

HEALTH_PATH: Final = "/ping"
"""Runpod's load balancer asks it every few seconds; Flash adds it to each application."""

_INSTRUMENTED: Final = "_is_instrumented_by_opentelemetry"
_INSTRUMENTATIONS: Final = "opentelemetry.instrumentation."


async def serve_http(
    wrapped: Application, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Serve a request, and flush its spans before the last part of the response is sent.

    A wrapper of `Starlette.__call__`: `FastAPI.__call__` calls it inside of FastAPI's own span, and
    `FastAPIInstrumentor` drops a wrapper of what `build_middleware_stack` returns (0.66b2).

    All spans are flushed at the application's shutdown: uvicorn then restores the default signal
    handler and raises the signal again, so exit handlers do not run (`Server.capture_signals`).
    """
    match args:
        case [{"type": "http"} as asgi, receive, send] if not kwargs and opts.in_worker():
            request = _begin(instance, asgi)
            await _answer(wrapped, asgi, receive, send, request)
        case [{"type": "lifespan"} as asgi, receive, send] if not kwargs:
            await wrapped(asgi, receive, partial(_send_flushed, send))
        case _:
            await wrapped(*args, **kwargs)


async def _send_flushed(send: Send, message: Message) -> None:
    if str(message.get("type")).startswith("lifespan.shutdown."):
        await flush_all_async()
    await send(message)


@dataclass(slots=True)
class _Request:
    """A traced request.

    Attributes:
        scope: Its open span.
        token: Detaches its context.
        asgi: The scope of the request, in which the router notes the route.
        root_paths: Where the application itself may be mounted.
        status: The status of the response; None before its start.
        is_open: Whether the span is open.
    """

    scope: scopes.Scope
    token: Any
    asgi: MutableMapping[str, Any]
    root_paths: tuple[Any, ...]
    status: int | None = None
    is_open: bool = True

    def end(self, error: BaseException | None) -> bool:
        """Record how the request ended, once; return False if it had ended before."""
        if not self.is_open:
            return False
        self.is_open = False
        try:
            self._record_response()
            if error is None and (self.status or 0) >= _SERVER_ERROR:
                self.scope.reported = _failure_of(self.status)
        except Exception:
            swallowed("the response of a request")
        with guarded("the end of a request"):
            self.scope.end(error)
        return True

    def _record_response(self) -> None:
        # Of a mounted application, the router knows only the last part of the route.
        is_mounted = self.asgi.get("root_path") not in self.root_paths
        route = None if is_mounted else getattr(self.asgi.get("route"), "path", None)
        if isinstance(route, str) and route:
            self.scope.set({semconv.HTTP_ROUTE: route})
            self.scope.span.update_name(f"{_name_of(self.asgi)} {route}")
        if self.status is not None:
            self.scope.set({semconv.HTTP_STATUS_CODE: self.status})


def _failure_of(status: int | None) -> str:
    """Return the class of the exception that a response is made for, or else its status.

    Starlette's `ServerErrorMiddleware` sends the response while it handles the exception.
    """
    error = sys.exc_info()[1]
    return str(status) if error is None else outcome.error_type(error)


def _begin(application: Any, asgi: MutableMapping[str, Any]) -> _Request | None:
    """Open the span of a request, unless another instrumentation or an outer span has it."""
    try:
        if pipeline.is_off() or _is_health_check(asgi) or _is_traced(application):
            return None
        context = propagation.extract(asgi.get("headers") or (), context_api.get_current())
        found = _attributes(asgi)
        opened = open_scope(REQUEST, attributes=found, name=_name_of(asgi), context=context)
        if opened is None:
            return None
        root_paths = (asgi.get("root_path"), getattr(application, "root_path", None))
        return _Request(opened[0], context_api.attach(opened[1]), asgi, root_paths)
    except Exception:
        swallowed("the start of a request")
        return None


def _is_health_check(asgi: MutableMapping[str, Any]) -> bool:
    return asgi.get("path") == HEALTH_PATH and asgi.get("method") == "GET"


def _is_traced(application: Any) -> bool:
    """Return True if a span stands for the request already, or will be made further inside."""
    if getattr(application, _INSTRUMENTED, False) or _has_tracing_middleware(application):
        return True
    enclosing = scopes.current()
    if enclosing is not None:  # an application that is mounted in another one
        return enclosing.spec.name == semconv.REQUEST
    return getattr(trace_api.get_current_span(), "kind", None) is SpanKind.SERVER


def _has_tracing_middleware(application: Any) -> bool:
    """Return True if the user has added an instrumentation as a middleware."""
    return any(
        str(getattr(getattr(added, "cls", None), "__module__", "")).startswith(_INSTRUMENTATIONS)
        for added in getattr(application, "user_middleware", ())
    )


def _name_of(asgi: MutableMapping[str, Any]) -> str:
    method = asgi.get("method")
    return method if method in _METHODS else semconv.REQUEST


def _attributes(asgi: MutableMapping[str, Any]) -> dict[str, Any]:
    method = asgi.get("method")
    return {
        semconv.FAAS_TRIGGER: semconv.TRIGGER_HTTP,
        semconv.HTTP_REQUEST_METHOD: method if method in _METHODS else _OTHER_METHOD,
        semconv.URL_PATH: asgi.get("path"),
        semconv.URL_SCHEME: asgi.get("scheme"),
    }


async def _answer(
    application: Application,
    asgi: MutableMapping[str, Any],
    receive: Any,
    send: Send,
    request: _Request | None,
) -> None:
    async def sending(message: Message) -> None:
        if request is not None and message.get("type") == "http.response.start":
            request.status = message.get("status")
        if _is_last_part(message):
            # The span is delivered, too. It ends here, perhaps in another task than the request's.
            if request is not None:
                request.end(None)
            await flush_request_async()
        await send(message)

    if request is None:
        await application(asgi, receive, sending)
        return
    try:
        await application(asgi, receive, sending)
    except BaseException as error:
        if request.end(error) and isinstance(error, Exception):
            await flush_request_async()
        raise
    else:
        request.end(None)
    finally:
        context_api.detach(request.token)


def _is_last_part(message: Message) -> bool:
    return message.get("type") == "http.response.body" and not message.get("more_body", False)
