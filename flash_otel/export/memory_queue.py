"""Where there is no disk: finished spans wait in memory, bounded, for one destination.

When there are too many, the oldest healthy ones go first: those that tell of a fault are what
somebody will look for. How many went is told by the next span that gets out.
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
from flash_otel.export.source import Backlog, Placed
from flash_otel.otlp.from_sdk import to_record
from flash_otel.records import SpanRecord
from flash_otel.runtime.guard import swallowed

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    Queued = ReadableSpan | SpanRecord
    _Waiting = tuple[int, Queued]

MAX_QUEUED: Final = 4_096

Fallback = Callable[[SpanRecord], None]


class MemoryQueue:
    """A bounded queue of finished spans, and the source of one forwarder.

    Args:
        most: How many may wait.
        fallback: Takes what the queue has no room for, and what is left at its end; None loses it.

    Attributes:
        dropped: How many spans the queue had no room for.
        rejected: How many the server refused.
    """

    def __init__(self, most: int = MAX_QUEUED, fallback: Fallback | None = None) -> None:
        self.dropped = 0
        self.rejected = 0
        self._most = most
        self._fallback = fallback
        # Reentrant: a signal handler may end a span while its thread is in here.
        self._lock = threading.RLock()
        self._healthy: deque[_Waiting] = deque()
        self._faulty: deque[_Waiting] = deque()
        self._places = itertools.count()
        self._untold = 0
        self._told = 0
        self._reason = ""
        self._written = -1

    def put(self, span: Queued) -> None:
        """Add a span; the oldest healthy one makes room for it if there is none."""
        with self._lock:
            line = self._healthy if _is_healthy(span) else self._faulty
            line.append((next(self._places), span))
            gone = self._evicted()
        if gone is not None:
            self._fall_back(gone)

    def _evicted(self) -> _Waiting | None:
        if len(self._healthy) + len(self._faulty) <= self._most:
            return None
        self.dropped += 1
        self._untold += 1
        return (self._healthy or self._faulty).popleft()

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Nobody else sends what this process holds."""
        yield True

    def take(self, most: int) -> Sequence[Placed]:
        """Return the next spans in the order in which they ended."""
        with self._lock:
            chosen = list(islice(merge(self._healthy, self._faulty, key=itemgetter(0)), most))
            self._told = self._untold
        placed = [(place, _record(span)) for place, span in chosen]
        if placed and self._told:
            place, first = placed[0]
            told = {**first.attributes, semconv.DROPPED_SPANS: self._told}
            placed[0] = (place, replace(first, attributes=told))
        return placed

    def settle(self, places: Sequence[int], *, rejected: int = 0, reason: str = "") -> None:
        """Let go of what the server has answered for; what it refused goes to the fallback."""
        gone: list[_Waiting] = []
        with self._lock:
            for line in (self._healthy, self._faulty):
                while line and line[0][0] <= places[-1]:
                    gone.append(line.popleft())
            self._untold -= self._told
            self._told = 0
        self._reason = reason
        self.rejected += rejected
        # Which of them it refused, no server says.
        for waiting in gone if rejected else ():
            self._fall_back(waiting)

    def fail(self, reason: str, wait_s: float | None = None) -> None:
        """Keep the reason."""
        del wait_s
        self._reason = reason

    def backlog(self) -> Backlog:
        """Tell what waits."""
        return Backlog(
            len(self._healthy) + len(self._faulty), bool(self._reason), reason=self._reason
        )

    def give_up(self) -> int:
        """Hand everything that waits to the fallback; return how many spans are lost for good."""
        with self._lock:
            left = list(merge(self._healthy, self._faulty, key=itemgetter(0)))
            self._healthy.clear()
            self._faulty.clear()
        for waiting in left:
            self._fall_back(waiting)
        return 0 if self._fallback is not None else len(left) + self.dropped + self.rejected

    def back_up(self) -> None:
        """Hand a copy of what waits to the fallback, each span once: the process may be frozen."""
        with self._lock:
            waiting = list(merge(self._healthy, self._faulty, key=itemgetter(0)))
            unwritten = [one for one in waiting if one[0] > self._written]
            self._written = max((place for place, _ in unwritten), default=self._written)
        for _, span in unwritten:
            self._hand_over(span)

    def _fall_back(self, waiting: _Waiting) -> None:
        place, span = waiting
        if place > self._written:
            self._hand_over(span)

    def _hand_over(self, span: Queued) -> None:
        if self._fallback is None:
            return
        try:
            self._fallback(_record(span))
        except Exception:
            swallowed("memory queue fallback")


def _record(span: Queued) -> SpanRecord:
    return span if isinstance(span, SpanRecord) else to_record(span)


def _is_healthy(span: Queued) -> bool:
    if isinstance(span, SpanRecord):
        has_failed = span.status == StatusCode.ERROR.name.lower()
    else:
        has_failed = span.status.status_code is StatusCode.ERROR
    return not has_failed and semconv.FAULT not in (span.attributes or {})
