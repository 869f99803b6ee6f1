"""Forwarding without a store: a worker's spans, or those of a host that wants nothing on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

from flash_otel import semconv
from flash_otel.export.forwarder import Forwarder
from flash_otel.export.memory_queue import MemoryQueue
from flash_otel.runtime import forks
from flash_otel.runtime.guard import swallowed

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from flash_otel.export.destination import Destination
    from flash_otel.export.memory_queue import Fallback


class MemoryForwarding(SpanProcessor, forks.ForkAware):
    """Queues every sampled span of the scope `flash_otel` in memory, once per destination.

    Args:
        destinations: Where to.
        fallback: Takes what cannot be sent, once; None loses it.
    """

    def __init__(
        self, destinations: Sequence[Destination], fallback: Fallback | None = None
    ) -> None:
        self._destinations = destinations
        self._fallback = fallback
        self._begin()
        forks.register(self)

    def _begin(self) -> None:
        """Set up what one process has of its own."""
        # What one destination misses, another may have got: only the first one's is written down.
        fallbacks = [self._fallback, *[None] * len(self._destinations)]
        queues = [MemoryQueue(fallback=one) for one in fallbacks[: len(self._destinations)]]
        self.queues = tuple(queues)
        self.forwarders = tuple(map(Forwarder, self._destinations, queues))

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a finished span."""
        try:
            if _is_ours(span):
                for queue, forwarder in zip(self.queues, self.forwarders, strict=True):
                    queue.put(span)
                    forwarder.wake()
        except Exception:
            swallowed("memory queue on_end")

    def hand_over(self) -> list[threading.Event]:
        """Have what waits sent now, where that may succeed.

        Returns:
            What is set when it was tried; none for a destination that fails, or is busy still.
        """
        able = [
            one
            for one in self.forwarders
            if (backlog := one.backlog()) and backlog.spans and not backlog.is_failing
        ]
        return [one.ask().done for one in able if not one.is_asked()]

    def back_up(self) -> None:
        """Hand a copy of what waits to the fallback."""
        for queue in self.queues:
            queue.back_up()

    def give_up(self) -> int:
        """Hand what waits to the fallback; return how many spans are lost for good."""
        return max(queue.give_up() for queue in self.queues)

    def after_fork_in_child(self) -> None:
        """Begin anew: what is queued is the parent's to send."""
        for forwarder in self.forwarders:
            forwarder.after_fork()
        self._begin()


def _is_ours(span: ReadableSpan) -> bool:
    scope, context = span.instrumentation_scope, span.get_span_context()
    if scope is None or scope.name != semconv.SCOPE_NAME or context is None:
        return False
    return context.trace_flags.sampled
