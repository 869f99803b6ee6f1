"""Searches a span of time piece by piece, the newest first, whatever a search's limit is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.records import SpanRecord

    Find = Callable[[int, int, int], list[SpanRecord]]

NARROWEST_NS: Final = 1_000_000
_FIRST_NS: Final = 3_600 * 1_000_000_000
_GROWTH: Final = 4


def newest_first(
    find: Find, start_ns: int, end_ns: int, page: int, on_cut: Callable[[], None]
) -> Iterator[list[SpanRecord]]:
    """Yield all that is found between two times, the newest windows first.

    A search that comes back full may have left something out: its window is cut in halves, and
    each is searched by itself.

    Args:
        find: Returns the spans of at most so many traces that began between two times, which are
            in nanoseconds since the epoch.
        start_ns: Earliest start.
        end_ns: Latest start.
        page: How many traces a search returns at most.
        on_cut: Called where the narrowest window is still too full.
    """
    waiting = list(_growing(start_ns, end_ns))
    while waiting:
        low, high = waiting.pop()
        found = find(low, high, page)
        full = len({one.trace_id for one in found}) >= page
        if full and high - low > NARROWEST_NS:
            middle = (low + high) // 2
            waiting += [(low, middle), (middle, high)]
            continue
        if full:
            on_cut()
        if found:
            yield found


def _growing(start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """Return windows that grow with their age, the newest last."""
    windows, width = [(max(start_ns, end_ns - _FIRST_NS), end_ns)], _FIRST_NS
    while windows[-1][0] > start_ns:
        high, width = windows[-1][0], width * _GROWTH
        windows.append((max(start_ns, high - width), high))
    return windows[::-1]
