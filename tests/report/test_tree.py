from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import OTHER, failed_deployment, healthy_deployment, raised, span

from flash_otel.report.tree import Node, Row, build_forest, root_cause, rows, split, walk

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord


def outline(forest: list[Node]) -> list[str]:
    """Return the rows of a forest as indented names, with what is folded."""
    return [_line(row) for row in rows(forest)]


def _line(row: Row) -> str:
    count = f" x{len(row.nodes)}" if len(row.nodes) > 1 or row.is_rest else ""
    hidden = f" +{row.hidden}" if row.hidden else ""
    return f"{'  ' * (len(row.lasts) - 1)}{row.node.record.name}{count}{hidden}"


def test_children_follow_their_parent_in_order_of_their_start() -> None:
    """Records may come in any order; children are sorted by time."""
    assert outline(build_forest(reversed(healthy_deployment()))) == [
        "flash.deploy",
        "  flash.build",
        "  flash.artifact.upload",
        "  flash.activate",
        "  flash.provision",
        "    flash.provision.endpoint",
        "    flash.provision.endpoint",
        "    flash.manifest.upload",
    ]


def test_a_span_without_its_parent_is_an_orphaned_root() -> None:
    """A missing parent, or one in another trace, does not hide its children."""
    forest = build_forest(
        [span(2, 1, "lost", 0, 1), span(1, None, "elsewhere", 5, 6, trace_id=OTHER)]
    )
    assert [(node.record.name, node.is_orphan) for node in forest] == [
        ("lost", True),
        ("elsewhere", False),
    ]


def job(number: int, job_id: str, *, trace_id: str = OTHER) -> SpanRecord:
    """Return the span of a job, in the trace of the worker that ran it."""
    known = {"faas.invocation_id": job_id, "faas.trigger": "pubsub"}
    made = span(number, None, "process gpu", 2, 3, trace_id=trace_id, attributes=known)
    return replace(made, kind="consumer")


def test_a_job_lies_below_its_call() -> None:
    """No header reaches a queue's worker; the id of the job joins the two traces."""
    calls = [
        span(2, 1, "flash.call", 1, 4, attributes={"faas.invocation_id": "job-1"}),
        span(3, 1, "flash.call", 5, 6, attributes={"faas.invocation_id": "job-2"}),
    ]
    made = [job(7, "job-1"), *calls, span(1, None, "GET /gpu", 0, 7), job(8, "job-3")]
    assert outline(build_forest(made, main=calls[0].trace_id)) == [
        "GET /gpu",
        "  flash.call",
        "    process gpu",
        "  flash.call",
        "process gpu",
    ]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"kind": "server"}, id="a request of the same id"),
        pytest.param({"attributes": {}}, id="a job without an id"),
        pytest.param({"attributes": {"faas.invocation_id": ""}}, id="an empty id"),
        pytest.param({"attributes": {"faas.invocation_id": "job-2"}}, id="another job"),
        pytest.param({"parent_span_id": "0000000000000009"}, id="a job of a lost parent"),
    ],
)
def test_what_is_no_job_of_a_call_lies_beside_it(other: dict[str, Any]) -> None:
    """Only a queue's job without a parent is joined to a call, and by its id alone."""
    call = span(2, None, "flash.call", 0, 4, attributes={"faas.invocation_id": "job-1"})
    unnamed = span(3, None, "flash.call", 5, 6, attributes={"faas.invocation_id": ""})
    forest = build_forest([call, unnamed, replace(job(7, "job-1"), **other)])
    assert outline(forest) == ["flash.call", "process gpu", "flash.call"]
    assert [node.is_orphan for node in forest] == [False, "parent_span_id" in other, False]


def test_a_job_belongs_to_the_first_of_two_calls() -> None:
    """Calls that share an id, and other spans that carry it, do not take its job."""
    said = {"faas.invocation_id": "job-1"}
    names = {2: "GET /gpu", 3: "flash.call", 4: "flash.call"}
    calls = [span(number, None, name, number, 9, attributes=said) for number, name in names.items()]
    assert outline(build_forest([*calls, job(7, "job-1")])) == [
        *("GET /gpu", "flash.call", "  process gpu", "flash.call")
    ]


def test_the_main_trace_stays_a_root() -> None:
    """The job whose trace is shown comes first, and its caller's trace beside it."""
    caller = span(1, None, "flash.call", 0, 4, attributes={"faas.invocation_id": "job-1"})
    forest = build_forest([job(7, "job-1"), caller], main=OTHER)
    assert sorted(outline(forest)) == ["flash.call", "process gpu"]


def test_spans_that_are_their_own_ancestors_are_shown_once() -> None:
    """A circle of parents in a damaged file neither hangs nor loses a span."""
    circle = [span(1, 2, "a", 0, 9), span(2, 1, "b", 1, 8), span(3, 3, "self", 2, 3)]
    assert outline(build_forest(circle)) == ["a", "  b", "self"]
    assert outline(build_forest(circle[::-1])) == ["a", "  b", "self"]


def test_a_circle_is_broken_at_its_first_span() -> None:
    """It becomes a root whose parent is missing, and its own parent keeps its other children."""
    circle = [span(3, 2, "c", 5, 6), span(2, 1, "b", 2, 9), span(1, 3, "a", 1, 9)]
    forest = build_forest([*circle, span(4, 3, "d", 7, 8), span(5, None, "root", 0, 9)])
    assert outline(forest) == ["root", "a", "  b", "    c", "      d"]
    assert [(node.parent, node.is_orphan) for node in forest] == [(None, False), (None, True)]
    parents = {node.record.name: node.parent for node in walk(forest)}
    named = {name: node.record.name for name, node in parents.items() if node}
    assert named == {"b": "a", "c": "b", "d": "c"}


def test_a_finished_record_replaces_the_started_one() -> None:
    """The start record and the end record of a span are one node."""
    started, ended = span(1, None, "flash.deploy", 0, None), span(1, None, "flash.deploy", 0, 9)
    for records in ([started, ended], [ended, started]):
        assert [node.record for node in build_forest(records)] == [ended]


def test_of_equal_records_the_first_stays() -> None:
    """A second record of a span that says no more of its end changes nothing."""
    for end in (None, 9):
        first, second = (span(1, None, name, 0, end) for name in ("first", "second"))
        assert [node.record for node in build_forest([first, second])] == [first]


def test_a_forest_is_split_by_the_trace_of_its_roots() -> None:
    """The trace that is shown comes first; a job below its call belongs to its caller's."""
    call = span(2, None, "flash.call", 0, 4, attributes={"faas.invocation_id": "job-1"})
    forest = build_forest([job(7, "job-1"), job(8, "job-2"), call])
    own, linked = split(forest, call.trace_id)
    assert (outline(own), outline(linked)) == (["flash.call", "  process gpu"], ["process gpu"])


def test_a_trace_deeper_than_the_stack_is_walked() -> None:
    """Depth is not limited by the interpreter's recursion limit."""
    chain = [span(n, n - 1 or None, "step", n, 10_000) for n in range(1, 5001)]
    forest = build_forest(chain)
    assert forest[0].size == 5000
    assert len(list(rows(forest))) == 2  # the long healthy branch below the root is folded
    assert root_cause(forest) is None


def test_more_than_three_alike_are_folded_into_one() -> None:
    """Three similar siblings have a row each; four share one row with their number."""
    root = span(1, None, "flash.provision", 0, 100)
    siblings = [span(n, 1, "flash.provision.endpoint", n, 50) for n in range(2, 6)]
    assert outline(build_forest([root, *siblings[:3]])) == [
        "flash.provision",
        *["  flash.provision.endpoint"] * 3,
    ]
    assert outline(build_forest([root, *siblings])) == [
        "flash.provision",
        "  flash.provision.endpoint x4",
    ]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"name": "flash.activate"}, id="name"),
        pytest.param({"attributes": {"flash.environment_id": "env-2"}}, id="environment"),
        pytest.param({"attributes": {"flash.build_id": "build-2"}}, id="build"),
        pytest.param({"attributes": {"flash.endpoint_count": 1}}, id="endpoints"),
        pytest.param({"end_ns": None}, id="outcome"),
        pytest.param({"status": "error", "status_message": "quota"}, id="failure"),
    ],
)
def test_only_what_is_alike_is_folded(other: dict[str, Any]) -> None:
    """A span of another name, outcome or id has a row of its own; other attributes do not count."""
    asked = [span(n, 1, "flash.graphql", n, 50, attributes={"line": n}) for n in range(2, 7)]
    different = replace(span(7, 1, "flash.graphql", 7, 50), **other)
    root = span(1, None, "root", 0, 100)
    assert outline(build_forest([root, *asked, different])) == [
        *("root", "  flash.graphql x5", f"  {different.name}")
    ]


def test_failures_are_alike_by_their_cause() -> None:
    """Of each cause, three failures are shown, whatever else they did."""
    causes = ["quota", "timeout"] * 4
    asked = [
        span(number, 1, "e", number, 50, error=cause, attributes={"line": number})
        for number, cause in enumerate(causes, 2)
    ]
    root = span(1, None, "root", 0, 100, error="x")
    assert outline(build_forest([root, *asked])) == ["root", *["  e"] * 6, "  e x1", "  e x1"]


def test_a_folded_row_counts_what_is_below_it() -> None:
    """Repeats hide their children, also at the top and in the rest of some failures."""
    traces = [f"{number:032x}" for number in range(5)]
    steps = [
        made
        for trace in traces
        for made in (
            span(1, None, "read", 0, 9, trace_id=trace),
            span(2, 1, "ask", 1, 2, trace_id=trace),
            span(3, 2, "send", 1, 2, trace_id=trace),
        )
    ]
    assert outline(build_forest(steps)) == ["read x5 +10"]
    assert outline(build_forest(steps[:9])) == ["read", "  ask", "    send"] * 3
    failed = [replace(made, status="error") if made.name == "read" else made for made in steps]
    assert outline(build_forest(failed)) == [*["read", "  ask", "    send"] * 3, "read x2 +4"]
    assert outline(build_forest(failed[:12])) == [*["read", "  ask", "    send"] * 3, "read x1 +2"]


def test_a_long_healthy_root_stays_open() -> None:
    """Only branches are folded, and those with eight spans inside are not long."""
    names = [span(n, 1, f"step {n}", n, n + 1) for n in range(2, 12)]
    assert len(outline(build_forest([span(1, None, "root", 0, 99), *names]))) == 11
    inner = [span(n, 2, f"step {n}", n, n + 1) for n in range(3, 11)]
    branch = [span(1, None, "root", 0, 99), span(2, 1, "branch", 1, 90), *inner]
    assert len(outline(build_forest(branch))) == 10


def test_rows_know_which_branches_end() -> None:
    """The lines of a tree lead on past a row whose ancestors have further siblings."""
    parents = {2: 1, 3: 2, 4: 1, 5: 4}
    spans = [span(n, parent, f"step {n}", n, 90) for n, parent in parents.items()]
    shown = list(rows(build_forest([span(1, None, "root", 0, 99), *spans])))
    assert [row.lasts for row in shown] == [
        (True,),
        (True, False),
        (True, False, True),
        (True, True),
        (True, True, True),
    ]
    assert [row.is_open for row in shown] == [True, True, False, True, False]


def test_failures_among_repeats_stay_open() -> None:
    """A failed sibling is folded neither with healthy ones nor with other failures."""
    root = span(1, None, "flash.provision", 0, 100, error="x")
    siblings = [
        span(n, 1, "flash.provision.endpoint", n, 50, error={7: "quota", 8: "timeout"}.get(n))
        for n in range(2, 10)
    ]
    assert outline(build_forest([root, *siblings])) == [
        "flash.provision",
        "  flash.provision.endpoint x6",
        "  flash.provision.endpoint",
        "  flash.provision.endpoint",
    ]


def test_equal_failures_beyond_three_are_counted() -> None:
    """Of many failures with one cause, three are shown, and the rest is counted."""
    root = span(1, None, "flash.provision", 0, 100, error="x")
    siblings = [span(n, 1, "flash.provision.endpoint", n, 50, error="quota") for n in range(2, 12)]
    assert outline(build_forest([root, *siblings])) == [
        "flash.provision",
        *["  flash.provision.endpoint"] * 3,
        "  flash.provision.endpoint x7",
    ]


def test_a_single_failure_beyond_three_is_still_marked_as_more() -> None:
    """The fourth of four equal failures is marked as belonging to those above."""
    root = span(1, None, "flash.provision", 0, 100, error="x")
    siblings = [span(n, 1, "e", n, 50, error="quota") for n in range(2, 6)]
    assert outline(build_forest([root, *siblings])) == ["flash.provision", *["  e"] * 3, "  e x1"]


def test_long_healthy_branches_are_folded_and_failed_ones_are_not() -> None:
    """A healthy branch of more than eight spans is one row; a failure opens it."""
    names = [span(n, 2, f"step {n}", n, n + 1) for n in range(3, 12)]
    records = [span(1, None, "root", 0, 99), span(2, 1, "branch", 1, 90), *names]
    assert outline(build_forest(records)) == ["root", "  branch +9"]
    failing = [*records[:-1], span(11, 2, "step 11", 11, 12, error="x")]
    assert len(outline(build_forest(failing))) == 11


def test_marked_spans_are_never_folded() -> None:
    """Evidence must be seen: neither repeats nor long branches hide it, nor the branch itself."""
    asked = [span(n, 2, "flash.graphql", n, n + 1) for n in range(3, 12)]
    records = [span(1, None, "root", 0, 99), span(2, 1, "branch", 1, 90), *asked]
    every = {record.key for record in asked}
    assert outline(build_forest(records, every)) == ["root", "  branch", *["    flash.graphql"] * 9]
    one = {asked[4].key}
    assert outline(build_forest(records, one)) == [
        "root",
        "  branch",
        "    flash.graphql x8",
        "    flash.graphql",
    ]


def test_spans_without_times_keep_the_order_of_their_file() -> None:
    """Bracketed lines without timestamps are shown in the order in which they were logged."""
    records = [
        replace(span(9 - line, None, f"line {line}", 0, 0), start_ns=0, origin=f"deploy.log:{line}")
        for line in (2, 10, 1)
    ]
    assert outline(build_forest(records)) == ["line 1", "line 2", "line 10"]


def test_the_innermost_failure_is_the_cause() -> None:
    """Parents that failed because of their child are not the cause."""
    found = root_cause(build_forest(failed_deployment()))
    assert found is not None
    assert found.record.name == "flash.manifest.upload"


def test_cancelled_siblings_are_not_the_cause() -> None:
    """The failed task is the cause, even if a cancelled one ended before it."""
    cancelled = {"flash.outcome": "cancelled"}
    records = [
        span(1, None, "flash.provision", 0, 9, error="x"),
        span(2, 1, "flash.provision.endpoint", 1, 2, error="cancelled", attributes=cancelled),
        span(3, 1, "flash.provision.endpoint", 1, 5, error="quota"),
    ]
    found = root_cause(build_forest(records))
    assert found is not None
    assert found.record.status_message == "quota"


def test_an_interrupt_is_the_cause_if_nothing_failed() -> None:
    """The innermost interrupted step, or the killed one, is the cause."""
    cancelled = {"flash.outcome": "cancelled"}
    records = [
        span(1, None, "flash.deploy", 0, 9, error="x", attributes=cancelled),
        span(2, 1, "flash.build", 1, 9, error="x", attributes=cancelled),
    ]
    interrupted = root_cause(build_forest(records))
    killed = root_cause(build_forest([span(1, None, "flash.deploy", 0, None)]))
    assert interrupted is not None
    assert interrupted.record.name == "flash.build"
    assert killed is not None
    assert killed.record.name == "flash.deploy"


CANCELLED = {"flash.outcome": "cancelled"}
UNKNOWN = {"flash.outcome": "unknown"}


@pytest.mark.parametrize(
    ("first", "second", "cause"),
    [
        pytest.param((2, 5, "x", {}), (1, 6, "x", {}), "first", id="the first to end"),
        pytest.param((1, 5, "x", {}), (1, 5, "x", {}), "first", id="at the same time"),
        pytest.param((1, 9, "x", {}), (1, 5, "x", CANCELLED), "first", id="failed"),
        pytest.param((8, 9, "x", CANCELLED), (1, None, None, {}), "first", id="ended"),
        pytest.param((1, None, None, {}), (2, None, None, {}), "first", id="the first to begin"),
        pytest.param((1, 6, "x", UNKNOWN), (1, 5, None, {}), "first", id="unknown"),
        pytest.param((1, 6, None, {}), (1, 5, "x", UNKNOWN), "second", id="only the second"),
    ],
)
def test_the_cause_among_two_steps(
    first: tuple[float, float | None, str | None, dict[str, str]],
    second: tuple[float, float | None, str | None, dict[str, str]],
    cause: str,
) -> None:
    """A failure counts more than an interruption, and that more than a missing end."""
    root = span(1, None, "flash.deploy", 0, None)
    steps = [
        span(number, 1, name, start, end, error=error, attributes=said)
        for number, (name, (start, end, error, said)) in enumerate(
            (("first", first), ("second", second)), 2
        )
    ]
    for records in ([root, *steps], [*steps[::-1], root]):
        found = root_cause(build_forest(records))
        assert found is not None
        assert found.record.name == cause


def test_a_failure_far_below_is_the_cause() -> None:
    """Healthy spans may lie between the step that failed and what failed because of it."""
    records = [
        span(1, None, "flash.deploy", 0, 9, error="x"),
        span(2, 1, "flash.provision", 1, 9),
        span(3, 2, "inner", 1, 9),
        span(4, 3, "flash.graphql", 8, 9, error="quota"),
    ]
    found = root_cause(build_forest(records))
    assert found is not None
    assert found.record.name == "flash.graphql"


def _records(draw: st.DrawFn) -> list[SpanRecord]:
    ids = st.integers(0, 12)
    number = draw(st.integers(0, 25))
    return [
        span(
            draw(ids),
            draw(st.none() | ids),
            draw(st.sampled_from(["flash.deploy", "flash.call", "x"])),
            draw(st.integers(-10, 10)),
            draw(st.none() | st.integers(-10, 10)),
            trace_id=draw(st.sampled_from(["a" * 32, "b" * 32])),
            error=draw(st.none() | st.sampled_from(["quota", "timeout"])),
            events=tuple(draw(st.lists(st.just(raised("E", "x")), max_size=1))),
        )
        for _ in range(number)
    ]


@given(st.composite(_records)())
def test_every_span_is_accounted_for_exactly_once(records: list[SpanRecord]) -> None:
    """Each span of any recording is shown, counted in a fold, or hidden beneath one."""
    forest = build_forest(records)
    keys = {record.key for record in records}
    assert sorted(node.record.key for node in walk(forest)) == sorted(keys)
    assert sum(node.size for node in forest) == len(keys)
    shown = [node.record.key for row in rows(forest) for node in row.nodes]
    hidden = sum(row.hidden for row in rows(forest))
    assert len(shown) == len(set(shown))
    assert len(shown) + hidden == len(keys)
    unhealthy = any(not node.is_healthy for node in forest)
    assert (root_cause(forest) is not None) == unhealthy


def test_the_first_failure_to_end_is_the_cause() -> None:
    """What began earlier and failed later may have failed because of it."""
    records = [
        span(1, None, "flash.provision", 0, 9, error="x"),
        span(2, 1, "flash.provision.endpoint", 1, 8, error="later"),
        span(3, 1, "flash.provision.endpoint", 2, 5, error="first"),
    ]
    found = root_cause(build_forest(records))
    assert found is not None
    assert found.record.status_message == "first"
