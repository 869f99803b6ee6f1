"""What waits to be stored: spans in their order, gaps, and marks that somebody waits at."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.otlp.from_sdk import to_record
from flash_otel.runtime.guard import swallowed

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from flash_otel.records import SpanRecord

BATCH: Final = 1_000
INTERVAL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Started:
    """A local root that has started; it is stored as such if it still runs when its turn comes."""

    span: Span


@dataclass(frozen=True, slots=True)
class Gap:
    """So many spans are lost here: the queue was full."""

    count: int


@dataclass(slots=True)
class Mark:
    """A place in the queue; `stored` says whether all before it was stored when it was reached."""

    last: bool = False
    stored: bool = False
    reached: threading.Event = field(default_factory=threading.Event)

    def settle(self, *, stored: bool) -> None:
        """Wake up who waits here."""
        self.stored = stored
        self.reached.set()


@dataclass(slots=True)
class Batch:
    """What is stored in one go; `gap` is what was lost before the next record."""

    records: list[SpanRecord] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    lost: int = 0
    gap: int = 0


class SpanQueue:
    """A bounded queue of spans for one reader.

    Args:
        most: How many may wait; what exceeds it is lost and counted.
    """

    def __init__(self, most: int) -> None:
        # SimpleQueue.put, unlike that of a Queue or the set of an Event, may be called by a
        # signal handler that interrupted another put.
        self._items: SimpleQueue[ReadableSpan | Started | Gap | Mark] = SimpleQueue()
        self._hurry: SimpleQueue[None] = SimpleQueue()
        self._first: ReadableSpan | Started | Gap | Mark | None = None
        self._most = most
        self._lost = 0
        self._gap = 0

    def empty(self) -> bool:
        """Tell whether nothing waits."""
        return self._items.empty()

    def put_started(self, span: Span) -> None:
        """Add a span that has just started, unless so much waits that it will soon have ended."""
        if self._items.qsize() < BATCH:
            self._items.put(Started(span))

    def put(self, item: ReadableSpan, waiting: int = 0) -> None:
        """Add a finished span, unless too many wait here and elsewhere (`waiting`) already."""
        if self._items.qsize() + waiting >= self._most:
            self._lost += 1
            return
        if self._lost:
            self._put_gap()
        self._items.put(item)

    def mark(self, *, last: bool = False) -> Mark:
        """Add a mark, and let the reader come to it at once."""
        if self._lost:
            self._put_gap()
        mark = Mark(last)
        self._items.put(mark)
        self._hurry.put(None)
        return mark

    def wait(self, seconds: float | None) -> None:
        """Wait for something, at most so long, and then a moment for what comes with it."""
        with suppress(Empty):
            self._first = self._items.get(timeout=seconds)
        with suppress(Empty):
            self._hurry.get(timeout=INTERVAL_S)

    def take(self) -> Batch:
        """Take what is next, converted; a batch without records ends the queue."""
        batch = Batch(gap=self._gap)
        item, self._first = self._first, None
        with suppress(Empty):
            while len(batch.records) < BATCH:
                _add(batch, self._items.get_nowait() if item is None else item)
                item = None
        self._gap = batch.gap
        return batch

    def _put_gap(self) -> None:
        lost, self._lost = self._lost, 0
        self._items.put(Gap(lost))


def _add(batch: Batch, item: ReadableSpan | Started | Gap | Mark) -> None:
    if isinstance(item, Mark):
        batch.marks.append(item)
    elif isinstance(item, Gap):
        batch.gap += item.count
        batch.lost += item.count
    else:
        try:
            _add_record(batch, item)
        except Exception:
            swallowed("store conversion")


def _add_record(batch: Batch, item: ReadableSpan | Started) -> None:
    if isinstance(item, Started):
        record = to_record(item.span)
        # One that has ended by now comes as such.
        if record.end_ns is None:
            batch.records.append(record)
        return
    record = to_record(item)
    if batch.gap:
        gap, batch.gap = batch.gap, 0
        record = replace(record, attributes={**record.attributes, semconv.DROPPED_SPANS: gap})
    batch.records.append(record)
