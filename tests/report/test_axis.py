from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import EPOCH_NS, span

from flash_otel.report.layout import Axis, Bar, axis_for

TEN = Axis(EPOCH_NS, EPOCH_NS + 1_000_000_000, 10)


@pytest.mark.parametrize(
    ("start", "end", "bar"),
    [
        (0, 1000, Bar(0, 10)),
        (0, 500, Bar(0, 5)),
        (500, 1000, Bar(5, 5)),
        (300, 301, Bar(3, 1)),
        (1000, 1000, Bar(9, 1)),
        (600, None, Bar(6, 4)),
        (-500, 200, Bar(0, 2)),
        (1001, 2000, Bar(10, 0, 1)),
        (-500, -1, Bar(0, 0, -1)),
        (500, 400, Bar(5, 1)),
    ],
)
def test_bars(start: float, end: float | None, bar: Bar) -> None:
    """A bar lies where its span lay, takes at least one cell, and knows its side if outside."""
    assert TEN.bar(span(1, None, "x", start, end)) == bar


def test_the_axis_holds_the_whole_trace() -> None:
    """A worker that reads right after the deployment is on the same axis."""
    deploy, fetch = span(1, None, "flash.deploy", 0, 1000), span(2, 1, "x", 3000, 3100)
    axis = axis_for(deploy, [deploy, fetch], 10)
    assert (axis.start_ns, axis.end_ns) == (deploy.start_ns, fetch.end_ns)


def test_a_far_away_span_does_not_squeeze_the_rest() -> None:
    """A read an hour later, or earlier by a wrong clock, is marked at the edge."""
    deploy = span(1, None, "flash.deploy", 0, 1000)
    late, early = span(2, 1, "x", 3_600_000, 3_600_100), span(3, 1, "x", -600_000, -599_000)
    axis = axis_for(deploy, [deploy, late, early], 10)
    assert (axis.start_ns, axis.end_ns) == (deploy.start_ns, deploy.end_ns)
    assert axis.bar(late).outside == 1
    assert axis.bar(early).outside == -1


def test_an_unfinished_deployment_lasts_until_its_last_span() -> None:
    """The axis of a killed deployment ends with its last recorded span."""
    deploy, build = span(1, None, "flash.deploy", 0, None), span(2, 1, "flash.build", 0, 800)
    axis = axis_for(deploy, [deploy, build], 8)
    assert axis.bar(deploy) == axis.bar(build) == Bar(0, 8)


@given(*[st.integers(-(2**62), 2**62)] * 4, st.integers(1, 50))
def test_every_bar_fits(first: int, second: int, third: int, fourth: int, cells: int) -> None:
    """For any times, a bar begins and ends on its axis."""
    records = [span(1, None, "x", first, second), span(2, 1, "y", third, fourth)]
    axis = axis_for(records[0], records, cells)
    for record in records:
        bar = axis.bar(record)
        assert 0 <= bar.offset <= cells
        assert 0 <= bar.length <= cells - bar.offset
        assert (bar.length == 0) == (bar.outside != 0)
