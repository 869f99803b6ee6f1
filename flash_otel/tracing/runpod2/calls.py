"""The trace context in the headers of a call through the sentinel."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from flash_otel import pipeline, semconv
from flash_otel.runtime.process import swallowed
from flash_otel.tracing import scope as scopes

if TYPE_CHECKING:
    from collections.abc import Callable


_W3C: Final = TraceContextTextMapPropagator()
# The global propagator. Its import raises for some variables, so it is used if it is there.
_GLOBAL: Final = "opentelemetry.propagate"


def propagating(
    wrapped: Callable[..., Any], _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Add the context of the call to the headers that `SentinelTarget._sentinel_headers` makes.

    It returns a new dict for each request, and only for requests to Flash's own hosts. The job's
    input gets nothing: its keys are the arguments of the user's function.
    """
    headers = wrapped(*args, **kwargs)
    try:
        scope = None if pipeline.is_off() else scopes.current()
        if scope is not None and scope.spec.name == semconv.CALL:
            getattr(sys.modules.get(_GLOBAL), "inject", _W3C.inject)(headers)
    except Exception:
        swallowed("the headers of a call")
    return headers
