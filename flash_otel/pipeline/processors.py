"""The span processors of a pipeline: bracketed lines, and the store or the worker's log.

A provider of the application gets them behind a `DetachableProcessor`, because the SDK cannot
remove a processor from a provider.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor

from flash_otel.runtime.exit import warn_once
from flash_otel.runtime.guard import swallowed

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from flash_otel.runtime.options import Options


class DetachableProcessor(SpanProcessor):
    """Delegates to `processors`; an empty tuple detaches it."""

    def __init__(self) -> None:
        self.processors: tuple[SpanProcessor, ...] = ()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Delegate the start of a span."""
        for processor in self.processors:
            processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Delegate the end of a span."""
        for processor in self.processors:
            processor.on_end(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the processors in turn."""
        return all(processor.force_flush(timeout_millis) for processor in self.processors)

    def shutdown(self) -> None:
        """Shut the processors down with the application's provider."""
        for processor in self.processors:
            processor.shutdown()


# Compared by identity: a provider need not be hashable (logfire's is a dataclass).
_attached: list[tuple[Callable[[], object], DetachableProcessor]] = []


def detachable_processor(provider: Any) -> DetachableProcessor:
    """Return the detachable processor of a provider, which the first call adds to it."""
    _attached[:] = [entry for entry in _attached if entry[0]() is not None]
    for reference, processor in _attached:
        if reference() is provider:
            return processor
    processor = DetachableProcessor()
    provider.add_span_processor(processor)
    _attached.append((_reference(provider), processor))
    return processor


def _reference(provider: object) -> Callable[[], object]:
    """Refer to a provider weakly, or strongly if its class has slots and forbids that."""
    try:
        return weakref.ref(provider)
    except TypeError:
        return lambda: provider


def make(options: Options) -> list[SpanProcessor]:
    """Make the processors; a failure costs that processor only."""
    made: list[SpanProcessor] = []
    for factory in (lines, recording):
        try:
            made += factory(options)
        except Exception:
            swallowed(f"the set-up of {factory.__name__}")
    return made


def lines(options: Options) -> list[SpanProcessor]:
    """Make the processor of bracketed lines, unless they are off."""
    if options.legacy_logs is False:
        return []
    from flash_otel.lines.processor import LegacyLogSpanProcessor

    return [LegacyLogSpanProcessor(options.legacy_logs)]


def recording(options: Options) -> list[SpanProcessor]:
    """Make the processor that keeps spans: in the store, or in a worker's own log."""
    if options.has_store:
        from flash_otel.store.paths import default_path
        from flash_otel.store.processor import StoreSpanProcessor

        return [StoreSpanProcessor(options.store or default_path(), warn=warn_once)]
    from flash_otel.export import configured
    from flash_otel.export.worker_log import WorkerLogSpanProcessor

    # The platform keeps a worker's log, and `flash-otel diagnose` reads spans from it.
    if options.store is False or configured.configured():
        return []
    return [WorkerLogSpanProcessor()]
