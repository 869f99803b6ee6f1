from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import EPOCH_NS, OTHER, span

from flash_otel.report.axis import Bar, axis_for

DEPLOY = span(1, None, "flash.deploy", 0, 1000)
READ = span(2, None, "flash.runtime.fetch", 61_000, 61_100, trace_id=OTHER)
SECOND = 10**9


@pytest.mark.parametrize(
    ("start", "end", "bar"),
    [
        (0, 1000, Bar(0, 10)),
        (0, 500, Bar(0, 5)),
        (500, 1000, Bar(5, 5)),
        (300, 301, Bar(3, 1)),
        (1000, 1000, Bar(9, 1)),
        (500, 400, Bar(5, 1)),
    ],
)
def test_bars(start: float, end: float, bar: Bar) -> None:
    """A bar lies where its span lay, and takes at least one cell."""
    record = span(2, 1, "x", start, end)
    assert axis_for(DEPLOY, [DEPLOY, record], 10).bar(record) == bar


def test_a_short_wait_stays_on_the_axis() -> None:
    """A worker that reads right after the deployment is shown to scale."""
    read = span(2, 1, "x", 1400, 1500)
    axis = axis_for(DEPLOY, [DEPLOY, read], 15)
    assert axis.ranges == ((EPOCH_NS, EPOCH_NS + 3 * SECOND // 2),)
    assert (axis.bar(DEPLOY), axis.bar(read)) == (Bar(0, 10), Bar(14, 1))
    assert axis.wait_ns(read) == 0


def test_a_long_wait_is_folded() -> None:
    """A read a minute later lies behind a mark, and its wait is known."""
    axis = axis_for(DEPLOY, [DEPLOY, READ], 24)
    assert axis.marks == (21,)
    assert (axis.bar(DEPLOY), axis.bar(READ)) == (Bar(0, 21), Bar(22, 2))
    assert axis.wait_ns(READ) == 60 * SECOND
    assert axis.wait_ns(DEPLOY) == 0


def test_a_span_before_the_deployment_is_earlier() -> None:
    """By a clock that is behind, or of the deployment before, a wait is negative."""
    early = span(2, None, "x", -61_000, -60_900, trace_id=OTHER)
    axis = axis_for(DEPLOY, [DEPLOY, early], 24)
    assert axis.wait_ns(early) == -int(60.9 * SECOND)
    assert axis.bar(early).offset < axis.marks[0] < axis.bar(DEPLOY).offset


def test_the_deployment_has_half_of_the_axis() -> None:
    """A call of minutes does not squeeze a deployment of a second into a dot."""
    call = span(2, None, "flash.call", 61_000, 361_000, trace_id=OTHER)
    axis = axis_for(DEPLOY, [DEPLOY, call], 41)
    assert axis.bar(DEPLOY) == Bar(0, 20)
    assert axis.bar(call) == Bar(21, 20)


def test_of_many_waits_those_around_the_deployment_are_marked() -> None:
    """Twelve reads, five minutes apart, take few cells; all of them lie on the axis."""
    reads = [
        span(n, None, "x", 300_000 * n, 300_000 * n + 20, trace_id=f"{n:032x}")
        for n in range(2, 14)
    ]
    axis = axis_for(DEPLOY, [DEPLOY, *reads], 24)
    assert len(axis.ranges) == 13
    assert len(axis.marks) == 4
    assert axis.bar(DEPLOY).offset + axis.bar(DEPLOY).length == axis.marks[0]
    assert [axis.range_of(read) for read in reads] == list(range(1, 13))
    assert axis.bar(reads[-1]) == Bar(23, 1)


def test_both_waits_around_the_deployment_are_marked_first() -> None:
    """The one before it and the one after it, though a third one is longer."""
    spans = [
        span(number, None, "x", start, start + 20, trace_id=f"{number:032x}")
        for number, start in ((2, -1_000_000), (3, -60_000), (4, 60_000))
    ]
    axis = axis_for(DEPLOY, [DEPLOY, *spans], 12)
    assert len(axis.ranges) == 4
    assert [len(stretch.ranges) for stretch in axis.stretches] == [2, 1, 1]


def test_an_unfinished_span_lasts_until_the_last_sign_of_its_process() -> None:
    """The bar of a killed deployment ends with its last span; that of a running one is now."""
    deploy, build = span(1, None, "flash.deploy", 0, None), span(2, 1, "flash.build", 0, 800)
    axis = axis_for(deploy, [deploy, build, READ], 12)
    assert axis.bar(deploy) == axis.bar(build)
    running = axis_for(deploy, [deploy, build], 10, EPOCH_NS + 8 * SECOND)
    assert (running.bar(deploy), running.bar(build)) == (Bar(0, 10), Bar(0, 1))


def test_spans_without_times_are_not_on_the_axis() -> None:
    """What was read from lines without timestamps has no bar, and does not begin in 1970."""
    untimed = replace(span(3, None, "x", 0, 0), start_ns=0, end_ns=0)
    axis = axis_for(DEPLOY, [DEPLOY, untimed], 10)
    assert axis.bar(untimed) == Bar(0, 0)
    assert axis.bar(DEPLOY) == Bar(0, 10)
    assert axis_for(untimed, [untimed], 10).bar(untimed) == Bar(0, 0)


@given(
    st.lists(
        st.tuples(st.integers(-(2**62), 2**62), st.none() | st.integers(-(2**62), 2**62)),
        min_size=1,
        max_size=40,
    ),
    st.integers(0, 60),
)
def test_every_bar_fits(times: list[tuple[int, int | None]], cells: int) -> None:
    """For any times, a bar begins and ends on the axis, and never on a mark."""
    records = [
        replace(span(number, None, "x", 0, 0), start_ns=start, end_ns=end)
        for number, (start, end) in enumerate(times)
    ]
    axis = axis_for(records[0], records, cells)
    stretches = axis.stretches
    assert sum(stretch.cells for stretch in stretches) + len(axis.marks) in (0, cells)
    for record in records:
        bar = axis.bar(record)
        if not cells or record.start_ns <= 0:
            assert bar == Bar(0, 0)
            continue
        assert bar.length >= 1
        assert 0 <= bar.offset <= bar.offset + bar.length <= cells
        assert not set(axis.marks) & set(range(bar.offset, bar.offset + bar.length))
