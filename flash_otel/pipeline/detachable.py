"""A span processor that can be switched off: the SDK cannot take one away from a provider."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span


class Switches:
    """The one switch of each provider, found by identity: a provider need not be hashable."""

    def __init__(self) -> None:
        self._held: list[tuple[Callable[[], object], Switch]] = []

    def of(self, provider: Any) -> Switch:
        """Return the provider's switch; the first time, give it one."""
        self._held = [one for one in self._held if one[0]() is not None]
        for known, switch in self._held:
            if known() is provider:
                return switch
        switch = Switch()
        provider.add_span_processor(switch)
        self._held.append((_reference(provider), switch))
        return switch


def _reference(provider: object) -> Callable[[], object]:
    """Refer to a provider weakly; one with slots may not allow that, and lives on."""
    try:
        return weakref.ref(provider)
    except TypeError:
        return lambda: provider


class Switch(SpanProcessor):
    """Passes spans on to `processors`; to none of them once these are emptied."""

    def __init__(self) -> None:
        self.processors: tuple[SpanProcessor, ...] = ()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Pass on a span that starts."""
        for processor in self.processors:
            processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Pass on a span that has ended."""
        for processor in self.processors:
            processor.on_end(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the processors, one after another."""
        return all(processor.force_flush(timeout_millis) for processor in self.processors)

    def shutdown(self) -> None:
        """End the processors with the application's provider."""
        for processor in self.processors:
            processor.shutdown()
