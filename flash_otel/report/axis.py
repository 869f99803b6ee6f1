"""The time axis that all bars of a rendered trace share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flash_otel.records import SpanRecord

STRETCH: Final = 4  # how many lengths of its first span an axis may grow to either side


@dataclass(frozen=True, slots=True)
class Bar:
    """Where a span lies on the axis, in cells.

    Attributes:
        offset: Empty cells before the bar.
        length: Cells of the bar; 0 where the span lies outside of the axis.
        outside: -1 if the span lies before the axis, 1 if after it, else 0.
    """

    offset: int
    length: int
    outside: int = 0


@dataclass(frozen=True, slots=True)
class Axis:
    """A span of time (nanoseconds since the epoch) over a number of cells."""

    start_ns: int
    end_ns: int
    cells: int

    def bar(self, record: SpanRecord) -> Bar:
        """Place a span; it takes at least one cell, an unfinished one lasts until the end."""
        if record.start_ns > self.end_ns:
            return Bar(self.cells, 0, 1)
        end = self.end_ns if record.end_ns is None else record.end_ns
        if end < self.start_ns:
            return Bar(0, 0, -1)
        first = min(self._cell(record.start_ns), self.cells - 1)
        return Bar(first, max(1, self._cell(end) - first))

    def _cell(self, time_ns: int) -> int:
        length = max(1, self.end_ns - self.start_ns)
        cell = (time_ns - self.start_ns) * self.cells / length
        return max(0, min(self.cells, round(cell)))


def axis_for(first: SpanRecord, records: Iterable[SpanRecord], cells: int) -> Axis:
    """Return the axis of a trace whose first span is `first`.

    It holds the records, but grows no longer than a few lengths of the first span to either side:
    a worker that reads an hour after the deployment must not squeeze the deployment into a dot.
    """
    times = [_limits(record) for record in records]
    start, end = _limits(first)
    if first.end_ns is None:
        end = max((late for _, late in times), default=end)
    room = STRETCH * max(1, end - start)
    earliest = min((early for early, _ in times if early >= start - room), default=start)
    latest = max((late for _, late in times if late <= end + room), default=end)
    return Axis(min(start, earliest), max(end, latest), cells)


def _limits(record: SpanRecord) -> tuple[int, int]:
    end = record.start_ns if record.end_ns is None else record.end_ns
    return record.start_ns, max(record.start_ns, end)
