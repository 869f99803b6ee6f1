"""What a row of a trace says beside its bar, and in the notes below it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.samples import EPOCH_NS, IDS, OTHER, TRACE, raised, retried, span

from flash_otel import semconv as sc
from flash_otel.records import LINES_SCOPE, Link
from flash_otel.report import row_text, words
from flash_otel.report.ids import ShortIds
from flash_otel.report.layout import FAULT_STYLE, UNICODE, WHOLE, Page, Part
from flash_otel.report.overview import Mark, Overview
from flash_otel.report.tree import build_forest, rows
from flash_otel.report.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flash_otel.records import SpanRecord
    from flash_otel.report.row_text import Note
    from flash_otel.report.tree import Row

PAGE: Final = Page(None, 12, UNICODE)
VIEW: Final = View(PAGE)
NOW_NS: Final = EPOCH_NS + 3 * 10**9
UNTIMED: Final = replace(span(1, None, "x", 0, 0), start_ns=0, end_ns=0)
READ: Final = span(1, None, sc.RUNTIME_FETCH, 0, 9)


def row_of(*records: SpanRecord, name: str | None = None) -> Row:
    """Return the row of a name, else the first one."""
    found = rows(build_forest(records))
    return next(row for row in found if name in (None, row.node.record.name))


def repeats(*durations: float, **options: Any) -> Row:
    """Return the row that siblings of these durations are folded into."""
    siblings = [
        span(number, 1, "x", 0, duration, **options) for number, duration in enumerate(durations, 2)
    ]
    return row_of(span(1, None, "root", 0, 100), *siblings, name="x")


def view_with(*marks: Mark, **options: Any) -> View:
    """Return a view of a page that is not cut, with the evidence of the first span."""
    return View(PAGE, marks={READ.key: marks}, **options)


def mark(code: str, says: str, *, shows_fault: bool = True) -> Mark:
    """Return evidence that the first span is."""
    return Mark(*READ.key, code, says, shows_fault)


def noted(
    record: SpanRecord, view: View = VIEW, children: Sequence[SpanRecord] = (), main: str = TRACE
) -> list[Note]:
    """Return the notes of a span."""
    return list(row_text.notes(row_of(record, *children), view, main))


@pytest.mark.parametrize(
    ("record", "now_ns", "text"),
    [
        (span(1, None, "x", 0, 500), None, "500 ms"),
        (span(1, None, "x", 0, 500), NOW_NS, "500 ms"),
        (span(1, None, "x", 1000, None), None, "?"),
        (span(1, None, "x", 1000, None), NOW_NS, "2.00 s"),
        (UNTIMED, None, ""),
        (replace(UNTIMED, end_ns=None), NOW_NS, ""),
    ],
    ids=["ended", "ended before now", "unfinished", "running", "untimed", "untimed, open"],
)
def test_the_duration_of_a_span(record: SpanRecord, now_ns: int | None, text: str) -> None:
    """An open span lasts until now, if it runs; without a clock, nothing is known."""
    assert row_text.duration(row_of(record), replace(VIEW, now_ns=now_ns)) == text


def test_repeats_have_their_median() -> None:
    """It is a duration that was measured, the lower one of the two in the middle."""
    row = repeats(40, 10, 20, 30)
    assert row_text.duration(row, VIEW) == "20 ms"
    assert row_text.folded(row) == "(min 10 ms, median 20 ms, max 40 ms)"


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (0, "(min 50 ms, median 50 ms, max 50 ms)"),
        (1, "(min 50 ms, median 50 ms, max 50 ms, 1 more span inside)"),
        (2, "(min 50 ms, median 50 ms, max 50 ms, 2 more spans inside)"),
    ],
)
def test_what_is_folded_into_repeats(inside: int, text: str) -> None:
    """Their durations, and the number of the spans below them."""
    siblings = [span(number, 1, "x", 0, 50) for number in range(2, 6)]
    below = [span(number, 3, "y", 0, 50) for number in range(10, 10 + inside)]
    root = span(1, None, "root", 0, 100)
    assert row_text.folded(row_of(root, *siblings, *below, name="x")) == text


def test_what_is_folded_into_one_span() -> None:
    """A long branch has the number of its spans alone; a whole row nothing."""
    below = [span(number, 2, f"step {number}", 0, 5) for number in range(3, 12)]
    branch = [span(1, None, "root", 0, 100), span(2, 1, "x", 0, 50)]
    assert row_text.folded(row_of(*branch, *below, name="x")) == "(9 more spans inside)"
    assert row_text.folded(row_of(*branch, name="x")) == ""


def test_repeats_without_times_have_no_durations() -> None:
    """Nothing is computed from the times of lines that have none."""
    siblings = [
        replace(UNTIMED, span_id=f"{number:016x}", parent_span_id=f"{1:016x}")
        for number in range(2, 6)
    ]
    assert row_text.folded(row_of(span(1, None, "root", 0, 9), *siblings, name="x")) == ""


def test_repeats_that_did_not_end_have_no_durations() -> None:
    """Nor are they said to have taken no time."""
    siblings = [span(number, 1, "x", 0, None) for number in range(2, 8)]
    shown = rows(build_forest([span(1, None, "root", 0, 9), *siblings]))
    assert [row_text.folded(row) for row in shown] == [""] * 5


@pytest.mark.parametrize(
    ("record", "marks", "now_ns", "text"),
    [
        (READ, [], None, ""),
        (READ, [mark("stale_build", "x")], None, "fault"),
        (READ, [mark("stale_build", "x", shows_fault=False)], None, ""),
        (replace(READ, end_ns=None), [], None, "unfinished"),
        (replace(READ, end_ns=None), [], NOW_NS, "running"),
        (replace(READ, status="error"), [mark("stale_build", "x")], NOW_NS, "failed"),
        (replace(READ, attributes={sc.OUTCOME: "cancelled"}), [], NOW_NS, "cancelled"),
    ],
)  # fmt: skip
def test_the_ending_of_a_span(
    record: SpanRecord, marks: list[Mark], now_ns: int | None, text: str
) -> None:
    """What returned has none unless it shows a fault; an open span may be running."""
    assert row_text.ending(row_of(record), view_with(*marks, now_ns=now_ns)) == text


def test_a_fault_of_one_repeat_shows_on_their_row() -> None:
    """Whichever of the folded spans it is."""
    row = repeats(1, 2, 3, 4)
    last = row.nodes[-1].record.key
    assert row_text.shows_fault(row, View(PAGE, marks={last: [mark("stale_build", "x")]}))
    assert not row_text.shows_fault(row, view_with(mark("stale_build", "x")))


@pytest.mark.parametrize(
    ("waits", "text"),
    [
        ([5], "worker read 5.00 s later"),
        ([-5], "worker read 5.00 s earlier"),
        ([5, 7, 9], "worker reads 5.00 s to 9.00 s later"),
        ([-9, -5], "worker reads 9.00 s to 5.00 s earlier"),
        ([5, 5], "worker reads 5.00 s later"),
    ],
)
def test_how_long_after_the_deployment(waits: list[int], text: str) -> None:
    """One wait, or the first and the last of several, unless they are equal in words."""
    assert row_text.waited(row_of(READ), [wait * 10**9 for wait in waits]) == text


def plain(text: str, style: str = "dim") -> Note:
    """Return a note of one part."""
    return (Part(text, style, 2),)


LINE: Final = replace(READ, scope_name=LINES_SCOPE, origin="worker.log:3")


@pytest.mark.parametrize(
    ("record", "notes"),
    [
        pytest.param(READ, [], id="the shown trace"),
        pytest.param(LINE, [plain("read from worker.log:3")], id="a line"),
        pytest.param(replace(LINE, origin=""), [], id="a line of unknown origin"),
        pytest.param(
            replace(LINE, trace_id=OTHER), [plain("read from worker.log:3")], id="another log"
        ),
        pytest.param(
            replace(READ, trace_id=OTHER),
            [
                (
                    Part(f"trace {OTHER}", "", 2, WHOLE),
                    Part(f"  {words.moment(EPOCH_NS)}", breaks=WHOLE),
                )
            ],
            id="a linked trace",
        ),
        pytest.param(
            replace(READ, trace_id=OTHER, start_ns=0),
            [(Part(f"trace {OTHER}", "", 2, WHOLE), Part("", breaks=WHOLE))],
            id="a linked trace without times",
        ),
        pytest.param(
            replace(READ, parent_span_id="9" * 16),
            [plain("its parent span is not in this recording")],
            id="an orphan",
        ),
    ],
)
def test_where_a_root_comes_from(record: SpanRecord, notes: list[Note]) -> None:
    """The place of a line in a log, the id and the start of another trace, a missing parent."""
    assert noted(record) == notes


def test_spans_below_a_root_do_not_repeat_where_it_comes_from() -> None:
    """Neither the trace nor the log of their root."""
    for root in (replace(READ, trace_id=OTHER), LINE):
        child = replace(root, span_id="2" * 16, parent_span_id=root.span_id, name="child")
        assert list(row_text.notes(row_of(root, child, name="child"), VIEW, TRACE)) == []


def id_note(*texts: str, style: str = "cyan") -> Note:
    """Return a note of ids."""
    parts = [(Part(text, style, 2, WHOLE), Part(" ")) for text in texts]
    return tuple(part for pair in parts for part in pair)[:-1]


SHOWN_IDS: Final = id_note("environment_id=env456", "build_id=abc123", "endpoint_count=2")


@pytest.mark.parametrize(
    ("name", "own", "notes"),
    [
        pytest.param("x", {}, [], id="none"),
        pytest.param("x", IDS, [], id="those of its parent"),
        pytest.param("x", {**IDS, sc.BUILD_ID: "b"}, [id_note("build_id=b")], id="another one"),
        pytest.param("x", {sc.ENDPOINT_COUNT: 0}, [id_note("endpoint_count=0")], id="zero"),
        pytest.param(sc.RUNTIME_FETCH, IDS, [SHOWN_IDS], id="a read has all"),
        pytest.param(sc.DEPLOY, IDS, [SHOWN_IDS], id="a deployment has all"),
    ],
)
def test_the_ids_of_a_span(name: str, own: dict[str, str | int], notes: list[Note]) -> None:
    """Those that differ from its parent's; of deployments and reads all that are known."""
    parent = span(1, None, "root", 0, 9, attributes=IDS)
    child = span(2, 1, name, 1, 2, attributes=own)
    assert list(row_text.notes(row_of(parent, child, name=name), VIEW, TRACE)) == notes
    assert noted(parent) == [SHOWN_IDS]


def test_ids_that_were_not_deployed_stand_out() -> None:
    """Each beside the one that was; what is unknown of the deployment is not compared."""
    read = replace(READ, attributes=IDS)

    def shown(**known: Any) -> Note:
        [note] = noted(read, replace(VIEW, overview=Overview(sc.NONE, "", **known)))
        return note

    assert shown(environment_id="env456", build_id="abc123", endpoint_count=2) == SHOWN_IDS
    assert shown() == SHOWN_IDS
    foreign = shown(environment_id="e", build_id="b", endpoint_count=0)
    assert foreign == id_note(
        "environment_id=env456 (deployed: e)",
        "build_id=abc123 (deployed: b)",
        "endpoint_count=2 (deployed: 0)",
        style="bold yellow",
    )


def test_long_ids_are_shown_by_their_beginnings() -> None:
    """As far as they differ, and with the whole ids below the trace."""
    deployed, other = "0483bffc-9a48-4e1b", "0483bffc-9b48-4e1b"
    ids = ShortIds([deployed, other])
    view = replace(VIEW, ids=ids, overview=Overview(sc.NONE, "", environment_id=deployed))
    read = replace(READ, attributes={sc.ENVIRONMENT_ID: other})
    text = "environment_id=0483bffc-9b (deployed: 0483bffc-9a)"
    assert noted(read, view) == [id_note(text, style="bold yellow")]
    assert list(ids.used) == [other, deployed]


def test_repeats_have_the_ids_that_they_share_alone() -> None:
    """No cause, no retry and no link of one of them, which the others may not have."""
    links = (Link(OTHER, "1" * 16),)
    row = repeats(1, 2, 3, 4, attributes=IDS, links=links, events=(retried("x"),))
    assert list(row_text.notes(row, VIEW, TRACE)) == [SHOWN_IDS]
    failed = [span(n, 1, "x", n, 9, error="quota", attributes=IDS) for n in range(2, 6)]
    forest = build_forest([span(1, None, "root", 0, 9), *failed])
    assert [list(row_text.notes(row, VIEW, TRACE)) for row in rows(forest)] == [
        [],
        *[[SHOWN_IDS, plain("quota", "bold red")]] * 3,
        [SHOWN_IDS],
    ]


def fault_note(code: str, says: str) -> Note:
    """Return the note of a fault at the span that shows it."""
    return (Part(f"✗ {code}: ", FAULT_STYLE, 2), Part(says, FAULT_STYLE))


def bullet(says: str, style: str = "") -> Note:
    """Return the note of evidence."""
    return (Part("• ", style, 2), Part(says, style))


STALE: Final = "stale_build"


@pytest.mark.parametrize(
    ("marks", "notes"),
    [
        pytest.param([mark(STALE, "says")], [fault_note(STALE, "says")], id="a fault"),
        pytest.param(
            [mark(STALE, "read: says"), mark(STALE, "read: more")],
            [fault_note(STALE, "says"), bullet("more")],
            id="twice",
        ),
        pytest.param(
            [mark(STALE, "says"), mark("unauthorized", "more"), mark(STALE, "again")],
            [fault_note(STALE, "says"), fault_note("unauthorized", "more"), bullet("again")],
            id="two faults",
        ),
        pytest.param(
            [mark(STALE, "says", shows_fault=False), mark(STALE, "more")],
            [bullet("says"), bullet("more")],
            id="evidence beside it",
        ),
        pytest.param(
            [mark(sc.INCONCLUSIVE, "read: says read: x", shows_fault=False)],
            [bullet("says read: x", "yellow")],
            id="a doubt",
        ),
    ],
)
def test_the_evidence_that_a_span_is(marks: list[Mark], notes: list[Note]) -> None:
    """A fault has its code in red, once; other evidence a bullet, doubts in yellow."""
    assert noted(READ, view_with(*marks)) == notes


CAUSE: Final = raised("aiohttp.ClientError", "HTTP 500")
SAID: Final = "ClientError: HTTP 500"
BROKEN: Final = replace(READ, status="error", events=(CAUSE,))
CANCELLED: Final = replace(BROKEN, attributes={sc.OUTCOME: sc.CANCELLED})


def below(number: int = 2, **options: Any) -> SpanRecord:
    """Return a span below the first one."""
    return span(number, 1, "below", 1, 2, **options)


@pytest.mark.parametrize(
    ("record", "children", "notes"),
    [
        pytest.param(BROKEN, [], [plain(SAID, "bold red")], id="failed"),
        pytest.param(CANCELLED, [], [plain(SAID, "yellow")], id="cancelled"),
        pytest.param(replace(BROKEN, status="unset"), [], [], id="returned"),
        pytest.param(replace(BROKEN, end_ns=None), [], [], id="unfinished"),
        pytest.param(BROKEN, [below()], [plain(SAID, "bold red")], id="a healthy child"),
        pytest.param(BROKEN, [below(error="x", events=(CAUSE,))], [], id="that of its child"),
        pytest.param(
            BROKEN, [below(error="quota")], [plain(SAID, "bold red")], id="another than its child's"
        ),
        pytest.param(
            replace(READ, status="error"), [], [plain("no cause was recorded", "bold red")],
            id="unknown",
        ),
        pytest.param(
            replace(READ, status="error"), [below(error="quota")], [], id="known of its child"
        ),
        pytest.param(
            replace(READ, status="error"), [below()], [plain("no cause was recorded", "bold red")],
            id="unknown, with a healthy child",
        ),
    ],
)  # fmt: skip
def test_the_cause_of_a_failure(
    record: SpanRecord, children: list[SpanRecord], notes: list[Note]
) -> None:
    """It stands once, at the innermost span that has it."""
    assert noted(record, children=children) == notes


@pytest.mark.parametrize(
    ("fault", "marks", "has_cause"),
    [
        pytest.param(None, [mark(STALE, "x")], True, id="another sentence"),
        pytest.param(None, [mark(STALE, f"the upload: {SAID}")], False, id="its own words"),
        pytest.param(
            None, [mark(STALE, "x"), mark(STALE, SAID, shows_fault=False)], False, id="beside it"
        ),
        pytest.param(STALE, [mark(STALE, "x")], False, id="its own fault"),
        pytest.param(STALE, [mark(STALE, "x", shows_fault=False)], True, id="evidence of it"),
        pytest.param(STALE, [mark("unauthorized", "x")], True, id="another fault"),
        pytest.param(STALE, [], True, id="nothing"),
    ],
)
def test_a_fault_is_not_said_twice(
    fault: str | None, marks: list[Mark], *, has_cause: bool
) -> None:
    """The cause of a failure is left out where the evidence has said it."""
    record = BROKEN if fault is None else replace(BROKEN, attributes={sc.FAULT: fault})
    notes = noted(record, view_with(*marks))
    cause = SAID if fault is None else f"{STALE}: {sc.FAULTS[STALE]}"
    assert notes[len(marks) :] == ([plain(cause, "bold red")] if has_cause else [])


@pytest.mark.parametrize("length", [2000, 2001])
def test_a_very_long_sentence_is_cut(length: int) -> None:
    """It says how long it was, and where all of it is."""
    record = replace(READ, status="error", status_message="a" * length)
    said = "a" * 2000
    long = f"{said}… (2,001 characters; --json has all)"
    assert noted(record) == [plain(said if length == 2000 else long, "bold red")]
    (note,) = noted(READ, view_with(mark(STALE, "a" * length)))
    assert note[1].text == (said if length == 2000 else long)


def test_retries_links_and_answers_follow() -> None:
    """In this order, below the cause; responses only if they are asked for."""
    record = replace(
        BROKEN,
        events=(retried("ConnectionError"), CAUSE),
        links=(Link(OTHER, "1" * 16),),
        attributes={sc.GRAPHQL_ANSWER: "{}", sc.DEPLOY_TRACE_ID: OTHER},
    )
    notes = [
        plain(SAID, "bold red"),
        plain("retried once: ConnectionError", "yellow"),
        plain(f"→ deployment trace {OTHER}"),
    ]
    assert noted(record) == notes
    assert noted(record, replace(VIEW, has_answers=True)) == [*notes, plain("answer {}")]
    assert noted(replace(BROKEN, events=()), replace(VIEW, has_answers=True)) == [
        plain("no cause was recorded", "bold red")
    ]


def test_links_to_what_is_shown_are_left_out() -> None:
    """So are those that a child has, which may say more."""
    third = "ab" * 16
    links = (Link(OTHER, "1" * 16), Link(third, "1" * 16))
    record = replace(READ, links=links)
    both = [plain(f"→ linked trace {trace}") for trace in (OTHER, third)]
    assert noted(record) == both
    assert noted(record, replace(VIEW, traces=frozenset({OTHER}))) == both[1:]
    assert noted(record, children=[below(links=links[1:])]) == both[:1]
