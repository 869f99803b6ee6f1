"""Copies of the spans of a provider that takes no processors, for the lines and the store.

A provider may implement OpenTelemetry's API alone, as ddtrace's does: it records and sends spans,
but nothing of the SDK sees them. Each span then has a copy with the same ids, which goes to the
processors of the pipeline and nowhere else.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Span, Tracer

from flash_otel import semconv
from flash_otel._version import __version__
from flash_otel.runtime.process import swallowed
from flash_otel.runtime.sdk import IdGenerator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanContext


class MirroringTracer(Tracer):
    """Starts each span twice: with the application's tracer, and as a copy.

    Args:
        tracer: The application's tracer.
        make_provider: Makes the SDK's provider of the copies, with the generator of their ids.
    """

    def __init__(
        self, tracer: Tracer, make_provider: Callable[[IdGenerator], TracerProvider]
    ) -> None:
        self._tracer = tracer
        self._ids = _GivenIds()
        provider = make_provider(self._ids)
        self._copies = provider.get_tracer(semconv.SCOPE_NAME, __version__, semconv.SCHEMA_URL)

    def start_span(
        self, name: str, context: Context | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Start a span and its copy, as `Tracer.start_span` does."""
        span = self._tracer.start_span(name, context, *args, **kwargs)
        # As with the SDK: what the application does not record has no lines and no rows.
        if not span.is_recording():
            return span
        try:
            with self._ids.of(span.get_span_context()):
                return MirroredSpan(span, self._copies.start_span(name, context, *args, **kwargs))
        except Exception:
            swallowed("the copy of a span")
            return span

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        """Start a span without a copy: flash_otel does not use this method."""
        return self._tracer.start_as_current_span(*args, **kwargs)


class _GivenIds(IdGenerator):
    """Generates the ids of the span that the current thread copies."""

    def __init__(self) -> None:
        self._current = threading.local()

    @contextmanager
    def of(self, context: SpanContext) -> Iterator[None]:
        """Give the next span these ids."""
        self._current.context = context
        try:
            yield
        finally:
            del self._current.context

    def generate_span_id(self) -> int:
        """Return the id of the copied span."""
        return int(self._current.context.span_id)

    def generate_trace_id(self) -> int:
        """Return the trace of the copied span."""
        return int(self._current.context.trace_id)


def _both(name: str) -> Any:
    """Make a method that calls the method of this name of a span and of its copy."""

    def call(self: MirroredSpan, *args: Any, **kwargs: Any) -> None:
        getattr(self.original, name)(*args, **kwargs)
        try:
            getattr(self.copy, name)(*args, **kwargs)
        except Exception:
            swallowed("the copy of a span")

    return call


class MirroredSpan(Span):
    """A span and its copy.

    Attributes:
        original: The span of the application's provider: only this one belongs into a context.
        copy: The copy.
    """

    def __init__(self, original: Span, copy: Span) -> None:
        self.original = original
        self.copy = copy

    def get_span_context(self) -> SpanContext:
        """Return the ids, which the two share."""
        return self.original.get_span_context()

    def is_recording(self) -> bool:
        """Return whether the span has not ended."""
        return self.original.is_recording()

    end = _both("end")
    set_attributes = _both("set_attributes")
    set_attribute = _both("set_attribute")
    add_event = _both("add_event")
    add_link = _both("add_link")
    update_name = _both("update_name")
    set_status = _both("set_status")
    record_exception = _both("record_exception")

    @property
    def links(self) -> Any:
        """The links so far, as the SDK's span has them."""
        return getattr(self.copy, "links", ())
