"""Delivery without a store: spans wait in bounded memory, one queue per destination.

The queue is for workers and for hosts that want nothing on disk. A full queue drops its oldest
healthy span first, because spans that carry a fault are what people look for. The next span that
is sent carries the number of dropped ones.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import StatusCode

from flash_otel import semconv
from flash_otel.export.forwarder import Forwarder, count_spans, describe, finish
from flash_otel.export.sending import Backlog, Placed
from flash_otel.otlp.from_sdk import to_record
from flash_otel.records import SpanRecord
from flash_otel.runtime.process import ForkAware, register_for_forks, swallowed
from flash_otel.runtime.sdk import SpanProcessor, is_ours

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from flash_otel.export.destination import Destination

    Queued = ReadableSpan | SpanRecord
    _Waiting = tuple[int, Queued]

MAX_QUEUED: Final = 4_096

Fallback = Callable[[SpanRecord], None]


class MemoryQueue:
    """A bounded queue of finished spans, and the source of one forwarder.

    Args:
        most: Maximum number of spans.
        fallback: Receives what the queue has no room for, what the server refused and what is
            left at the end, each span once; None loses it.

    Attributes:
        dropped: Number of spans that the queue had no room for.
        rejected: Number of spans that the server refused.
    """

    def __init__(self, most: int = MAX_QUEUED, fallback: Fallback | None = None) -> None:
        self.dropped = 0
        self.rejected = 0
        self._most = most
        self._fallback = fallback
        # Reentrant, because a signal handler may end a span while its thread holds the lock.
        self._lock = threading.RLock()
        self._healthy: deque[_Waiting] = deque()
        self._faulty: deque[_Waiting] = deque()
        self._places = itertools.count()
        self._unreported = 0
        self._reporting = 0
        self._reason = ""
        self._last_written = -1

    def put(self, span: Queued) -> None:
        """Add a span; a full queue drops the oldest healthy one."""
        with self._lock:
            queue = self._healthy if _is_healthy(span) else self._faulty
            queue.append((next(self._places), span))
            dropped = self._drop_if_full()
        if dropped is not None:
            self._fall_back(dropped)

    @contextmanager
    def session(self) -> Iterator[bool]:
        """No other process sends what this one holds."""
        yield True

    def take(self, most: int) -> Sequence[Placed]:
        """Return the next spans in the order in which they ended."""
        with self._lock:
            chosen = list(islice(self._in_order(), most))
            self._reporting = self._unreported
        placed = [(place, _record(span)) for place, span in chosen]
        if placed and self._reporting:
            place, first = placed[0]
            attributes = {**first.attributes, semconv.DROPPED_SPANS: self._reporting}
            placed[0] = (place, replace(first, attributes=attributes))
        return placed

    def settle(self, places: Sequence[int], *, rejected: int = 0, reason: str = "") -> None:
        """Remove spans that the server has accepted or refused; the fallback gets refused ones."""
        removed: list[_Waiting] = []
        with self._lock:
            for queue in (self._healthy, self._faulty):
                while queue and queue[0][0] <= places[-1]:
                    removed.append(queue.popleft())
            self._unreported -= self._reporting
            self._reporting = 0
        self._reason = reason
        self.rejected += rejected
        # A partial success does not name the refused spans (OTLP, "Partial Success").
        for waiting in removed if rejected else ():
            self._fall_back(waiting)

    def fail(self, reason: str, wait_s: float | None = None) -> None:
        """Record the reason; the forwarder keeps to `wait_s` by itself."""
        del wait_s
        self._reason = reason

    def backlog(self) -> Backlog:
        """Return what waits."""
        spans = len(self._healthy) + len(self._faulty)
        return Backlog(spans, bool(self._reason), reason=self._reason)

    def give_up(self) -> int:
        """Pass everything that waits to the fallback; return the number of lost spans."""
        with self._lock:
            left = list(self._in_order())
            self._healthy.clear()
            self._faulty.clear()
        for waiting in left:
            self._fall_back(waiting)
        return 0 if self._fallback is not None else len(left) + self.dropped + self.rejected

    def back_up(self) -> None:
        """Pass a copy of what waits to the fallback, each span once: the process may be frozen."""
        with self._lock:
            unwritten = [item for item in self._in_order() if item[0] > self._last_written]
            places = (place for place, _ in unwritten)
            self._last_written = max(places, default=self._last_written)
        for _, span in unwritten:
            self._write(span)

    def _in_order(self) -> Iterator[_Waiting]:
        return merge(self._healthy, self._faulty, key=itemgetter(0))

    def _drop_if_full(self) -> _Waiting | None:
        if len(self._healthy) + len(self._faulty) <= self._most:
            return None
        self.dropped += 1
        self._unreported += 1
        return (self._healthy or self._faulty).popleft()

    def _fall_back(self, waiting: _Waiting) -> None:
        place, span = waiting
        if place > self._last_written:
            self._write(span)

    def _write(self, span: Queued) -> None:
        if self._fallback is None:
            return
        try:
            self._fallback(_record(span))
        except Exception:
            swallowed("memory queue fallback")


class MemoryDelivery(SpanProcessor, ForkAware):
    """Queues every sampled span of the scope `flash_otel`, and sends it to each destination.

    Args:
        destinations: The receivers.
        fallback: Receives what cannot be sent, each span once; None loses it.
    """

    def __init__(
        self, destinations: Sequence[Destination], fallback: Fallback | None = None
    ) -> None:
        self._destinations = destinations
        self._fallback = fallback
        self._reset()
        register_for_forks(self)

    def _reset(self) -> None:
        """Create the state of one process."""
        # Only the first destination's queue writes to the fallback, or a span would be there once
        # for every destination that fails.
        self.queues = tuple(
            MemoryQueue(fallback=self._fallback if index == 0 else None)
            for index in range(len(self._destinations))
        )
        self.forwarders = tuple(map(Forwarder, self._destinations, self.queues))

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a finished span."""
        try:
            if _is_deliverable(span):
                self.put(span)
        except Exception:
            swallowed("memory queue on_end")

    def put(self, span: Queued) -> None:
        """Queue a span for every destination."""
        for queue, forwarder in zip(self.queues, self.forwarders, strict=True):
            queue.put(span)
            forwarder.wake()

    def request_flush(self) -> list[threading.Event]:
        """Have what waits sent now, where that can succeed.

        Returns:
            Events that are set after the attempts; none for a destination that fails or is still
            busy with an earlier flush.
        """
        able = [
            forwarder
            for forwarder in self.forwarders
            if (backlog := forwarder.backlog()) and backlog.spans and not backlog.is_failing
        ]
        return [each.request_flush().done for each in able if not each.is_flushing()]

    def back_up(self) -> None:
        """Pass a copy of what waits to the fallback, each span once."""
        for queue in self.queues:
            queue.back_up()

    def finish(self, deadline: float) -> str:
        """Send a last time until `deadline` (monotonic, in seconds), and end.

        Returns:
            A warning about lost spans; empty if none are lost.
        """
        waiting = finish(self.forwarders, deadline)
        lost = max(queue.give_up() for queue in self.queues)
        if not lost:
            return ""
        # If nothing waits, the destinations refused spans or the queues had no room for them.
        waiting = waiting or [(each, each.source.backlog()) for each in self.forwarders]
        hosts = " and ".join(describe(*item) for item in waiting)
        return f"{count_spans(lost, 'is', 'are')} lost, as the store is off: not sent to {hosts}"

    def after_fork_in_child(self) -> None:
        """Reset in the child; queued spans belong to the parent."""
        for forwarder in self.forwarders:
            forwarder.after_fork_in_child()
        self._reset()


def _is_deliverable(span: ReadableSpan) -> bool:
    context = span.get_span_context()
    return is_ours(span) and context is not None and context.trace_flags.sampled


def _record(span: Queued) -> SpanRecord:
    return span if isinstance(span, SpanRecord) else to_record(span)


def _is_healthy(span: Queued) -> bool:
    if isinstance(span, SpanRecord):
        has_failed = span.status == StatusCode.ERROR.name.lower()
    else:
        has_failed = span.status.status_code is StatusCode.ERROR
    return not has_failed and semconv.FAULT not in (span.attributes or {})
