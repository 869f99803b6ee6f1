"""The texts of a row: how long its spans took, how they ended, and what is folded into it."""

from __future__ import annotations

from statistics import median_low
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.report import words
from flash_otel.report.axis import has_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flash_otel.report.tree import Row
    from flash_otel.report.view import View

_ARRIVALS: Final[dict[str, str]] = {
    semconv.DEPLOY: "deployment",
    semconv.RUNTIME_FETCH: "worker read",
    semconv.MANIFEST_FETCH: "worker read",
    semconv.CALL: "call",
}
_FAULT: Final = "fault"


def duration(row: Row, view: View) -> str:
    """Return how long a span took, of folded ones their median; empty without clocks."""
    record = row.node.record
    if not has_time(record):
        return ""
    if record.end_ns is None:
        return "?" if view.now_ns is None else words.duration(view.now_ns - record.start_ns)
    return words.duration(median_low(_durations(row)))


def _durations(row: Row) -> list[int]:
    return [node.record.duration_ns or 0 for node in row.nodes]


def ending(row: Row, view: View) -> str:
    """Return how a span ended unless it returned, and whether it shows a fault."""
    outcome = words.outcome(row.node.record)
    if outcome == words.UNFINISHED and view.now_ns is not None:
        return "running"
    if outcome != semconv.RETURNED:
        return outcome
    return _FAULT if shows_fault(row, view) else ""


def shows_fault(row: Row, view: View) -> bool:
    """Return True if a fault is visible on a span of the row."""
    return any(
        mark.shows_fault for node in row.nodes for mark in view.marks.get(node.record.key, ())
    )


def waited(row: Row, waits: Sequence[int]) -> str:
    """Describe how long after the deployment the spans of a row began.

    Args:
        row: The row.
        waits: Nanoseconds, of the first span first; negative before the deployment.
    """
    what = _ARRIVALS.get(row.node.record.name, "next span")
    side = "later" if waits[0] > 0 else "earlier"
    first, last = (words.duration(abs(wait)) for wait in (waits[0], waits[-1]))
    if len(waits) == 1:
        return f"{what} {first} {side}"
    return f"{what}s {first}{f' to {last}' if first != last else ''} {side}"


def folded(row: Row) -> str:
    """Describe the hidden rows of a row, in brackets."""
    hidden = []
    if len(row.nodes) > 1 and has_time(row.node.record):
        durations = _durations(row)
        limits = (("min", min), ("median", median_low), ("max", max))
        hidden += [f"{name} {words.duration(pick(durations))}" for name, pick in limits]
    if row.hidden:
        hidden.append(f"{row.hidden} more span{'s' if row.hidden > 1 else ''} inside")
    return f"({', '.join(hidden)})" if hidden else ""
