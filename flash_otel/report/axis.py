"""One axis of time for a deployment and its workers, with the waiting between them folded.

A worker may read an hour after a deployment of two seconds. Times in which nothing happened, if
they would squeeze the rest, take no cells of the axis; a mark stands in their place.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.store.references import instance_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flash_otel.records import SpanRecord

_MOST_WAITING: Final = 0.5  # of the deployment's duration: all waiting that stays on the axis
_CELLS_A_MARK: Final = 6  # cells of the axis for each mark; further waits have none

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Bar:
    """The position of a span on a time axis, in cells; no cells if its time is unknown."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the axis between two marks.

    Attributes:
        ranges: The times in which something happened.
        offset: Its first cell.
        cells: The number of its cells.
    """

    ranges: tuple[Range, ...]
    offset: int
    cells: int

    @property
    def busy_ns(self) -> int:
        """The nanoseconds that its cells stand for."""
        return _busy(self.ranges)

    def cell(self, number: int, time_ns: int) -> int:
        """Return the cell of a time in one of the ranges."""
        done = _busy(self.ranges[:number]) + time_ns - self.ranges[number][0]
        return self.offset + round(done * self.cells / max(1, self.busy_ns))


@dataclass(frozen=True, slots=True)
class Axis:
    """Ranges of time that are divided into cells.

    Attributes:
        cells: Cells of the whole axis.
        ranges: The times in which something happened, in order; the waiting between is folded.
        stretches: The parts between two marks.
        main: Index of the range that holds the deployment.
        ends: When the processes of unfinished spans were last heard of.
    """

    cells: int
    ranges: tuple[Range, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    main: int = 0
    ends: dict[str, int] = field(default_factory=dict)

    @property
    def marks(self) -> tuple[int, ...]:
        """The cells that stand for folded waiting."""
        return tuple(stretch.offset - 1 for stretch in self.stretches[1:])

    def bar(self, record: SpanRecord) -> Bar:
        """Place a span: at least one cell; to the last sign of its process if it is unfinished."""
        if not self.stretches or not has_time(record):
            return Bar(0, 0)
        number = self.range_of(record)
        for stretch in self.stretches:
            if number < len(stretch.ranges):
                break
            number -= len(stretch.ranges)
        start, end = _limits(record, self.ends)
        last_cell = stretch.offset + stretch.cells - 1
        first = min(stretch.cell(number, start), last_cell)
        return Bar(first, max(1, stretch.cell(number, end) - first))

    def range_of(self, record: SpanRecord) -> int:
        """Return the index of the range that holds a span."""
        return _range_of(self.ranges, record)

    def wait_ns(self, record: SpanRecord) -> int:
        """Return the folded time from the deployment to a span; 0 if none is folded.

        Negative for a span before the deployment.
        """
        number = self.range_of(record)
        if number == self.main:
            return 0
        is_later = number > self.main
        start, end = self.ranges[self.main]
        return record.start_ns - end if is_later else self.ranges[number][1] - start


def has_time(record: SpanRecord) -> bool:
    """Return False for a span that was rebuilt from lines without times."""
    return record.start_ns > 0


def axis_for(
    first: SpanRecord, records: Iterable[SpanRecord], cells: int, now_ns: int | None = None
) -> Axis:
    """Return the axis of spans.

    Args:
        first: The deployment, or whatever else the rest follows.
        records: All spans; those without a time are left out.
        cells: Cells of the axis.
        now_ns: The end of unfinished spans; None for the last sign of their process.
    """
    timed = [record for record in records if has_time(record)]
    if not timed:
        return Axis(cells)
    ends = _ends(timed, now_ns)
    busy = _merged([*(_limits(record, ends) for record in timed), *_whole(first, timed, ends)])
    own_start, own_end = busy[_range_of(busy, first)]
    ranges = _folded(busy, (own_end - own_start) * _MOST_WAITING)
    main = _range_of(ranges, first)
    stretches = _stretches(ranges, main, cells) if cells else ()
    return Axis(cells, ranges, stretches, main, ends)


def _range_of(ranges: Sequence[Range], record: SpanRecord) -> int:
    return max(0, bisect_right(ranges, record.start_ns, key=lambda known: known[0]) - 1)


def _busy(ranges: Iterable[Range]) -> int:
    return sum(end - start for start, end in ranges)


def _limits(record: SpanRecord, ends: dict[str, int]) -> Range:
    end = ends.get(instance_of(record)) if record.end_ns is None else record.end_ns
    return record.start_ns, max(record.start_ns, end or 0)


def _ends(records: Sequence[SpanRecord], now_ns: int | None) -> dict[str, int]:
    """Return when each process was last heard of that has an unfinished span."""
    unfinished = {instance_of(record) for record in records if record.end_ns is None}
    ends: dict[str, int] = {}
    for record in records if unfinished else ():
        instance = instance_of(record)
        if instance in unfinished:
            last = now_ns or max(record.start_ns, record.end_ns or 0)
            ends[instance] = max(last, ends.get(instance, 0))
    return ends


def _merged(limits: Iterable[Range]) -> list[Range]:
    """Return the union of times, in order."""
    merged: list[Range] = []
    for start, end in sorted(limits):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _whole(
    first: SpanRecord, records: Sequence[SpanRecord], ends: dict[str, int]
) -> Iterator[Range]:
    """Yield the time of a deployment as a whole, whose root may be missing or unfinished."""
    steps = [
        _limits(record, ends)
        for record in records
        if record.trace_id == first.trace_id and record.name in semconv.DEPLOY_SIDE
    ]
    if steps:
        yield min(start for start, _ in steps), max(end for _, end in steps)


def _folded(busy: Sequence[Range], room: float) -> tuple[Range, ...]:
    """Join what is separated by short waits, so that only the waits to fold lie between ranges.

    Args:
        busy: The times in which something happened.
        room: The nanoseconds of waiting that may stay on the axis.
    """
    waits = sorted(later[0] - earlier[1] for earlier, later in pairwise(busy))
    totals = dict(zip(waits, accumulate(waits), strict=True))  # of equal ones, that of the last
    longest = max((wait for wait, total in totals.items() if total <= room), default=0)
    ranges = [busy[0]]
    for start, end in busy[1:]:
        if start - ranges[-1][1] <= longest:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((start, end))
    return tuple(ranges)


def _stretches(ranges: Sequence[Range], main: int, cells: int) -> tuple[Stretch, ...]:
    """Divide the cells among the ranges, with a mark between them at the longest waits.

    The waits around the deployment are marked before all others.
    """

    def rank(at: int) -> tuple[bool, int, int]:
        return (at not in (main, main + 1), ranges[at - 1][1] - ranges[at][0], at)

    marked = sorted(sorted(range(1, len(ranges)), key=rank)[: cells // _CELLS_A_MARK])
    bounds = [0, *marked, len(ranges)]
    parts = [tuple(ranges[start:end]) for start, end in pairwise(bounds)]
    sizes = _sizes([_busy(part) for part in parts], bisect_right(marked, main), cells - len(marked))
    offsets = accumulate((size + 1 for size in sizes), initial=0)
    return tuple(
        Stretch(part, offset, size)
        for part, offset, size in zip(parts, offsets, sizes, strict=False)
    )


def _sizes(lengths: Sequence[int], main: int, cells: int) -> list[int]:
    """Divide cells by the lengths: one to each part at least, and half of them to the main one."""
    total = max(1, sum(lengths))
    fair = round(cells * lengths[main] / total)
    own = min(max(fair, cells // 2), cells - (len(lengths) - 1))
    others = [0 if at == main else length for at, length in enumerate(lengths)]
    rest = cells - own - (len(lengths) - 1)
    ends = [round(rest * done / max(1, sum(others))) for done in accumulate(others, initial=0)]
    shares = [end - start for start, end in pairwise(ends)]
    # Without any length, the last of the others gets what is left.
    sizes = [own if at == main else 1 + share for at, share in enumerate(shares)]
    sizes[main] += cells - sum(sizes)
    return sizes
