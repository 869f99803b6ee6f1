"""What every benchmark shares: pairs of measurements, and rows with a goal.

Two peers are measured in turn (A B A B ...) in one run, and only the ratio of each pair counts: a
machine that slows down slows both. What is printed is the median of the ratios and their quartiles.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Measure = Callable[[], float]

AT_MOST: Final = "<="
AT_LEAST: Final = ">="


@dataclass(frozen=True)
class Row:
    """One figure beside its goal.

    Attributes:
        what: What was measured.
        peer: What stands on the other side of the ratio; the unit where there is no ratio.
        found: The median.
        spread: The quartiles.
        relation: How the figure relates to the goal (`AT_MOST` or `AT_LEAST`).
        goal: The goal; None for a figure that stands beside another one.
        note: What else was measured, such as both sides in their own unit.
    """

    what: str
    peer: str
    found: float
    spread: tuple[float, float]
    relation: str = AT_MOST
    goal: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the goal is met, in one word."""
        if self.goal is None:
            return ""
        met = self.found <= self.goal if self.relation == AT_MOST else self.found >= self.goal
        return "met" if met else "missed"

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        low, high = self.spread
        goal = "" if self.goal is None else f"{self.relation} {self.goal:g}"
        spread = f"{low:.3g} to {high:.3g}"
        return (self.what, self.peer, f"{self.found:.3g}", spread, goal, self.verdict, self.note)


def paired(
    what: str,
    peer: str,
    ours: Measure,
    theirs: Measure,
    *,
    rounds: int,
    relation: str = AT_MOST,
    goal: float | None = None,
    note: str = "{:.3g} against {:.3g}",
) -> Row:
    """Measure two peers in turn and return the median of `ours / theirs`.

    Args:
        what: What is measured.
        peer: The other side.
        ours: Measures our side once.
        theirs: Measures the other side once.
        rounds: How many pairs, after one that does not count.
        relation: See `Row`.
        goal: See `Row`.
        note: Format of the two medians.
    """
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    both = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratios = [mine / other for mine, other in pairs]
    return row(what, peer, ratios, relation=relation, goal=goal, note=note.format(*both))


def row(
    what: str,
    peer: str,
    found: Sequence[float],
    *,
    relation: str = AT_MOST,
    goal: float | None = None,
    note: str = "",
) -> Row:
    """Return the row of a figure that was measured several times."""
    low, median, high = statistics.quantiles(found, n=4) if len(found) > 1 else [*found] * 3
    return Row(what, peer, median, (low, high), relation, goal, note)


def per_call(run: Callable[[], object], calls: int) -> float:
    """Return the microseconds of CPU that the calling thread spends per call.

    Not the time on the wall: other processes, and exporters' threads, have their share of that.
    """
    begin = time.thread_time()
    run()
    return (time.thread_time() - begin) / calls * 1e6


def seconds(run: Callable[[], object]) -> float:
    """Return the seconds on the wall that a run takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin
