from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import EPOCH_NS, OTHER, span

from flash_otel.report.axis import Axis, Bar, axis_for, has_time

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord

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


SECONDS = ((0, 1), (100, 101), (300, 301), (600, 601))
EVEN = ((0, 1), (100, 101), (200, 201), (300, 301))
UNLIKE = ((0, 4), (100, 101), (300, 303))


@pytest.mark.parametrize(
    ("times", "main", "cells", "bars", "marks"),
    [
        pytest.param(SECONDS, 0, 5, [(0, 1), (1, 1), (2, 2), (4, 1)], (), id="no room for a mark"),
        pytest.param(SECONDS, 0, 6, [(0, 2), (3, 1), (4, 1), (5, 1)], (2,), id="six cells"),
        pytest.param(SECONDS, 0, 11, [(0, 5), (6, 2), (8, 1), (9, 2)], (5,), id="one mark"),
        pytest.param(SECONDS, 0, 12, [(0, 5), (6, 2), (8, 1), (10, 2)], (5, 9), id="then longest"),
        pytest.param(SECONDS, 0, 18, [(0, 7), (8, 3), (12, 2), (15, 3)], (7, 11, 14), id="all"),
        pytest.param(SECONDS, 3, 6, [(0, 1), (1, 1), (2, 1), (4, 2)], (3,), id="before the last"),
        pytest.param(SECONDS, 3, 12, [(0, 2), (2, 1), (4, 2), (7, 5)], (3, 6), id="last, longest"),
        pytest.param(SECONDS, 2, 6, [(0, 1), (1, 2), (3, 1), (5, 1)], (4,), id="longer of two"),
        pytest.param(SECONDS, 2, 12, [(0, 2), (2, 1), (4, 5), (10, 2)], (3, 9), id="around it"),
        pytest.param(SECONDS, 2, 18, [(0, 3), (4, 2), (7, 7), (15, 3)], (3, 6, 14), id="around"),
        pytest.param(EVEN, 0, 12, [(0, 5), (6, 2), (9, 2), (11, 1)], (5, 8), id="equal: the first"),
        pytest.param(UNLIKE, 0, 24, [(0, 11), (12, 3), (16, 8)], (11, 15), id="by their length"),
        pytest.param(UNLIKE, 1, 24, [(0, 6), (7, 11), (19, 5)], (6, 18), id="a short deployment"),
        pytest.param(UNLIKE, 2, 24, [(0, 8), (9, 3), (13, 11)], (8, 12), id="the last of three"),
        pytest.param(
            ((0, 10), (100, 101), (300, 301)), 0, 24, [(0, 18), (19, 2), (22, 2)], (18, 21),
            id="a long deployment has more than half",
        ),
        pytest.param(
            ((0, 0), (100, 100), (300, 300)), 0, 24, [(0, 1), (21, 1), (23, 1)], (20, 22),
            id="nothing lasts",
        ),
        pytest.param(
            ((0, 0), (100, 130), (300, 310)), 0, 24, [(0, 1), (12, 8), (21, 3)], (11, 20),
            id="half for a deployment that lasts no time",
        ),
    ],
)  # fmt: skip
def test_cells_are_divided_among_the_parts(
    times: tuple[tuple[int, int], ...],
    main: int,
    cells: int,
    bars: list[tuple[int, int]],
    marks: tuple[int, ...],
) -> None:
    """Every six cells allow a mark: first around the deployment, then at the longest waits.

    The deployment has half of the cells or more, the others theirs by their length.
    """
    spans = [
        span(1, None, "x", start * 1000, end * 1000, trace_id=f"{number:032x}")
        for number, (start, end) in enumerate(times, 1)
    ]
    axis = axis_for(spans[main], spans, cells)
    assert [axis.bar(record) for record in spans] == [Bar(*bar) for bar in bars]
    assert axis.marks == marks
    begin, end = times[main]
    assert [axis.wait_ns(record) for record in spans] == [
        0 if at == main else (times[at][0] - end if at > main else times[at][1] - begin) * SECOND
        for at in range(len(spans))
    ]


def test_the_shortest_spans_have_their_share_of_the_cells() -> None:
    """Nanoseconds are divided as seconds are."""
    deploy = replace(DEPLOY, end_ns=EPOCH_NS + 2)
    read = replace(READ, end_ns=READ.start_ns + 1)
    axis = axis_for(deploy, [deploy, read], 12)
    assert (axis.bar(deploy), axis.bar(read)) == (Bar(0, 7), Bar(8, 4))


@pytest.mark.parametrize(
    ("waits", "is_folded"),
    [
        ([500], [False]),
        ([501], [True]),
        ([200, 300], [False, False]),
        ([300, 201], [True, False]),
        ([251, 250], [True, False]),
        ([250, 250], [False, False]),
        ([251, 251], [True, True]),
        ([400, 100, 100], [True, False, False]),
    ],
    ids=str,
)
def test_half_of_the_deployments_time_may_be_waiting(
    waits: list[int], is_folded: list[bool]
) -> None:
    """The shortest waits stay on the axis, equal ones together, up to that sum."""
    start, spans = 1000, [DEPLOY]
    for wait in waits:
        spans.append(span(1, None, "x", start + wait, start + wait + 10, trace_id=OTHER))
        start += wait + 10
    axis = axis_for(DEPLOY, spans, 60)
    ranges = [axis.range_of(record) for record in spans]
    assert [later > earlier for earlier, later in pairwise(ranges)] == is_folded


def test_a_deployment_that_takes_no_time_leaves_no_room_for_waiting() -> None:
    """The shortest wait behind it is folded."""
    deploy = span(1, None, "flash.deploy", 0, 0)
    read = replace(READ, start_ns=EPOCH_NS + 1, end_ns=EPOCH_NS + 2)
    axis = axis_for(deploy, [deploy, read], 12)
    assert axis.wait_ns(read) == 1


STEPS = [span(2, 1, "flash.build", 0, 100), span(3, 1, "flash.manifest.upload", 900, 1000)]


@pytest.mark.parametrize(
    ("records", "parts"),
    [
        pytest.param(STEPS, 1, id="steps of one deployment"),
        pytest.param([STEPS[0], replace(STEPS[1], name="flash.call")], 2, id="another span"),
        pytest.param([STEPS[0], replace(STEPS[1], trace_id=OTHER)], 2, id="another trace"),
        pytest.param([replace(step, trace_id=OTHER) for step in STEPS], 2, id="of another root"),
    ],
)
def test_no_wait_within_a_deployment_is_folded(records: list[SpanRecord], parts: int) -> None:
    """Its steps belong together, though the root around them is not recorded."""
    first = replace(STEPS[0], name="flash.call")
    assert len(axis_for(first, [first, *records], 24).ranges) == parts


def test_a_part_names_the_time_that_it_stands_for() -> None:
    """The waiting that is folded without a mark is not counted."""
    spans = [
        span(1, None, "x", start * 1000, end * 1000, trace_id=f"{number:032x}")
        for number, (start, end) in enumerate(SECONDS)
    ]
    stretches = axis_for(spans[0], spans, 12).stretches
    assert [stretch.busy_ns for stretch in stretches] == [SECOND, 2 * SECOND, SECOND]


def test_without_cells_the_waits_are_known() -> None:
    """A narrow terminal has no bars, but the time between a deployment and a read."""
    axis = axis_for(DEPLOY, [DEPLOY, READ], 0)
    assert (axis.cells, axis.stretches, axis.marks) == (0, (), ())
    assert axis.wait_ns(READ) == 60 * SECOND
    assert axis.bar(READ) == Bar(0, 0)


def test_an_unfinished_span_lasts_until_the_last_sign_of_its_process() -> None:
    """The bar of a killed deployment ends with its last span; that of a running one is now."""
    deploy, build = span(1, None, "flash.deploy", 0, None), span(2, 1, "flash.build", 0, 800)
    axis = axis_for(deploy, [deploy, build, READ], 12)
    assert axis.bar(deploy) == axis.bar(build)
    running = axis_for(deploy, [deploy, build], 10, EPOCH_NS + 8 * SECOND)
    assert (running.bar(deploy), running.bar(build)) == (Bar(0, 10), Bar(0, 1))
    begun = span(2, 1, "flash.build", 800, None)
    assert axis_for(deploy, [deploy, begun], 10).bar(deploy) == Bar(0, 10)
    alone = axis_for(deploy, [deploy, READ], 12, EPOCH_NS + SECOND)
    assert (alone.bar(deploy), alone.bar(READ)) == (Bar(0, 10), Bar(11, 1))


def test_other_processes_do_not_prolong_an_unfinished_span() -> None:
    """A worker that was heard of later says nothing of a killed deployment."""
    deploy, build = span(1, None, "flash.deploy", 0, None), span(2, 1, "flash.build", 0, 500)
    spans = [deploy, build, span(3, 1, "flash.activate", 100, 200)]
    other = span(4, None, "x", 600, 1000, trace_id=OTHER)
    axis = axis_for(deploy, [*spans, other], 10)
    assert axis.ends == {f"trace {deploy.trace_id}": EPOCH_NS + SECOND // 2}
    assert (axis.bar(deploy), axis.bar(other)) == (Bar(0, 5), Bar(6, 4))


@pytest.mark.parametrize(("start_ns", "is_known"), [(-1, False), (0, False), (1, True)])
def test_only_a_positive_start_is_a_time(start_ns: int, *, is_known: bool) -> None:
    """Lines without a clock start at zero, and nothing starts before the epoch."""
    assert has_time(replace(DEPLOY, start_ns=start_ns)) is is_known


def test_spans_without_times_are_not_on_the_axis() -> None:
    """What was read from lines without timestamps has no bar, and does not begin in 1970."""
    untimed = replace(span(3, None, "x", 0, 0), start_ns=0, end_ns=0)
    axis = axis_for(DEPLOY, [DEPLOY, untimed], 10)
    assert axis.bar(untimed) == Bar(0, 0)
    assert axis.bar(DEPLOY) == Bar(0, 10)
    assert axis_for(untimed, [untimed], 10) == Axis(10)
    assert Axis(10).bar(untimed) == Axis(10).bar(DEPLOY) == Bar(0, 0)
    assert Axis(10).wait_ns(DEPLOY) == 0


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
