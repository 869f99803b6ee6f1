"""The context of a call in HTTP headers, through the application's global propagator."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator

# The default of OTEL_PROPAGATORS, as far as it concerns traces.
_W3C: Final = TraceContextTextMapPropagator()
# Its import raises for some variables, so the global propagator is used if it is there.
_GLOBAL: Final = "opentelemetry.propagate"

_MAX_HEADER: Final = 8192
"""Bytes of a header that is looked at; web servers refuse longer ones, too."""


def propagator() -> TextMapPropagator:
    """Return the global propagator, or that of W3C Trace Context if there is none."""
    find = getattr(sys.modules.get(_GLOBAL), "get_global_textmap", None)
    return _W3C if find is None else find()


def extract(headers: Iterable[tuple[bytes, bytes]], context: Context) -> Context:
    """Return a context with the span that the headers of an ASGI request name, if any.

    Args:
        headers: Names and values; only those of the propagator are decoded.
        context: The context to start from.
    """
    used = propagator()
    wanted = {name.lower().encode("latin-1"): name for name in used.fields}
    carrier: dict[str, Any] = {}
    for field, value in headers:
        name = wanted.get(field.lower())
        if name is not None and len(value) <= _MAX_HEADER:
            text = value.decode("latin-1")
            # Several `tracestate` are one list (W3C Trace Context, 3.3.1); two parents are none.
            carrier[name] = f"{carrier[name]},{text}" if name in carrier else text
    return used.extract(carrier, context) if carrier else context
