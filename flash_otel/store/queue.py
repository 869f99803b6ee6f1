"""The queue between the threads that end spans and the thread that stores them."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.otlp.from_sdk import to_record
from flash_otel.runtime.process import swallowed

if TYPE_CHECKING:
    from typing import TypeAlias

    from opentelemetry.sdk.trace import ReadableSpan, Span

    from flash_otel.records import SpanRecord

    _Item: TypeAlias = "ReadableSpan | StartedSpan | Gap | FlushMark"

BATCH: Final = 1_000
INTERVAL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class StartedSpan:
    """A local root that has started; stored as such if it still runs when it is dequeued."""

    span: Span


@dataclass(frozen=True, slots=True)
class Gap:
    """A number of spans that were lost here, because the queue was full."""

    count: int


@dataclass(slots=True)
class FlushMark:
    """A place in the queue that a flush waits for.

    Attributes:
        is_last: Whether the writer ends here.
        is_stored: Whether everything before the mark was stored when it was reached.
        reached: Set when the writer has reached the mark.
    """

    is_last: bool = False
    is_stored: bool = False
    reached: threading.Event = field(default_factory=threading.Event)

    def settle(self, *, is_stored: bool) -> None:
        """Record the outcome and wake the thread that waits here."""
        self.is_stored = is_stored
        self.reached.set()


@dataclass(slots=True)
class PendingBatch:
    """Records to be stored in one go.

    Attributes:
        records: The records.
        marks: The marks that are reached once the records are stored.
        lost: Number of spans that were lost between the records.
        gap: Number of spans that were lost before the next record.
    """

    records: list[SpanRecord] = field(default_factory=list)
    marks: list[FlushMark] = field(default_factory=list)
    lost: int = 0
    gap: int = 0

    def add(self, item: _Item) -> None:
        """Add an item of the queue; a span that cannot be converted is left out."""
        if isinstance(item, FlushMark):
            self.marks.append(item)
        elif isinstance(item, Gap):
            self.gap += item.count
            self.lost += item.count
        else:
            try:
                self._add_span(item)
            except Exception:
                swallowed("store conversion")

    def _add_span(self, item: ReadableSpan | StartedSpan) -> None:
        if isinstance(item, StartedSpan):
            record = to_record(item.span)
            # A span that has ended meanwhile is queued again as such.
            if record.end_ns is None:
                self.records.append(record)
            return
        record = to_record(item)
        if self.gap:
            gap, self.gap = self.gap, 0
            record = replace(record, attributes={**record.attributes, semconv.DROPPED_SPANS: gap})
        self.records.append(record)


class SpanQueue:
    """A bounded queue of spans with one reader.

    Args:
        most: Maximum number of waiting spans; spans beyond it are lost and counted.
    """

    def __init__(self, most: int) -> None:
        # A signal handler may call SimpleQueue.put even if it interrupted another put; Queue.put
        # and Event.set would deadlock (docs.python.org/3/library/queue.html#queue.SimpleQueue).
        self._items: SimpleQueue[_Item] = SimpleQueue()
        self._urgent: SimpleQueue[None] = SimpleQueue()
        self._first: _Item | None = None
        self._most = most
        self._lost = 0
        self._gap = 0

    def empty(self) -> bool:
        """Return True if nothing waits."""
        return self._items.empty()

    def put_started(self, span: Span) -> None:
        """Add a span that has just started, unless it will probably end before it is dequeued."""
        if self._items.qsize() < BATCH:
            self._items.put(StartedSpan(span))

    def put(self, item: ReadableSpan, waiting: int = 0) -> None:
        """Add a finished span; it is lost if too many wait.

        Args:
            item: The span.
            waiting: Number of spans that wait elsewhere for the same reader.
        """
        if self._items.qsize() + waiting >= self._most:
            self._lost += 1
            return
        if self._lost:
            self._put_gap()
        self._items.put(item)

    def mark(self, *, is_last: bool = False) -> FlushMark:
        """Add a mark, and have the reader come to it at once."""
        if self._lost:
            self._put_gap()
        mark = FlushMark(is_last)
        self._items.put(mark)
        self._urgent.put(None)
        return mark

    def wait(self, seconds: float | None) -> None:
        """Wait for an item, at most this long, then a moment for others to come with it."""
        with suppress(Empty):
            self._first = self._items.get(timeout=seconds)
        with suppress(Empty):
            self._urgent.get(timeout=INTERVAL_S)

    def take(self) -> PendingBatch:
        """Return the next items, converted; a batch without records ends the queue."""
        batch = PendingBatch(gap=self._gap)
        item, self._first = self._first, None
        with suppress(Empty):
            while len(batch.records) < BATCH:
                batch.add(self._items.get_nowait() if item is None else item)
                item = None
        self._gap = batch.gap
        return batch

    def _put_gap(self) -> None:
        lost, self._lost = self._lost, 0
        self._items.put(Gap(lost))
