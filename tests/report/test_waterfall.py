"""The rows of a trace: what their columns hold at each width, and what stands between them."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.samples import IDS, OTHER, span

from flash_otel import semconv as sc
from flash_otel.records import LINES_SCOPE
from flash_otel.report.layout import ASCII, FAULT_STYLE, UNICODE, Page, Part
from flash_otel.report.overview import Mark, Overview
from flash_otel.report.tree import build_forest, split
from flash_otel.report.view import view_of
from flash_otel.report.waterfall import waterfall_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flash_otel.records import SpanRecord
    from flash_otel.report.layout import Glyphs, Line

DEPLOY: Final = span(1, None, sc.DEPLOY, 0, 4000)
BUILD: Final = span(2, 1, sc.BUILD, 0, 1000)
FAILED: Final = replace(DEPLOY, status="error", status_message="no")
TIMES: Final = UNICODE.times
READ: Final = span(9, None, sc.RUNTIME_FETCH, 64_000, 65_000, trace_id=OTHER)


def lines(
    records: Sequence[SpanRecord],
    width: int | None = None,
    cells: int = 8,
    *,
    glyphs: Glyphs = UNICODE,
    **options: Any,
) -> list[Line]:
    """Return the lines of a trace, whose first record is that of its root, and of linked ones."""
    view = replace(view_of(Page(width, cells, glyphs), records), **options)
    main = records[0].trace_id
    own, linked = split(build_forest(records, set(view.marks), main), main)
    return list(waterfall_lines(own, linked, view))


def drawn(records: Sequence[SpanRecord], width: int | None = None, **options: Any) -> list[str]:
    """Return the lines as plain text."""
    found = lines(records, width, **options)
    return ["".join(part.text for part in line).rstrip() for line in found]


@pytest.mark.parametrize(
    ("width", "ending", "row"),
    [
        (90, "", f"└─ flash.build  1.00 s  {'━' * 15}"),
        (84, "", f"└─ flash.build  1.00 s  {'━' * 15}"),
        (83, "", f"└─ flash.build  1.00 s  {'━' * 15}"),
        (32, "", "└─ flash.build  1.00 s  ━━"),
        (31, "", "└─ build  1.00 s  ━━━"),
        (26, "", "└─ build  1.00 s  ━━"),
        (25, "", "└─ build  1.00 s"),
        (10, "", "└─ build  1.00 s"),
        (40, "  failed", "└─ flash.build  1.00 s  ━━"),
        (39, "  failed", "└─ build  1.00 s  ━━━"),
        (34, "  failed", "└─ build  1.00 s  ━━"),
        (33, "  failed", "└─ build  1.00 s"),
    ],
)
def test_what_fits_into_a_row(width: int, ending: str, row: str) -> None:
    """Sixty cells of bars at most and eight at least; names lose their prefix before bars go."""
    shown = drawn([FAILED if ending else DEPLOY, BUILD], width)
    bars = min(60, width - len(row[: row.rindex("s") + 3]) - len(ending)) if "━" in row else 0
    name = "flash.deploy" if "flash" in row else "deploy"
    label = row.index("1.00 s")
    assert shown[-1] == row
    assert shown[0] == f"{name:<{label}}4.00 s{'  ' if bars else ''}{'━' * bars}{ending}"


@pytest.mark.parametrize(("width", "name"), [(8, "a" * 11 + "…"), (12, "a" * 11 + "…"), (22, "")])
def test_a_label_has_twelve_cells_at_least(width: int, name: str) -> None:
    """On a very narrow terminal the rest of the row is broken, not the label."""
    long = span(1, None, "a" * 30, 0, 4000)
    assert drawn([long], width)[0] == f"{name or 'a' * 13 + '…'}  4.00 s"


def test_a_pipe_has_as_many_bars_as_its_page() -> None:
    """Labels and bars are neither shortened nor left out."""
    long = replace(BUILD, name="flash." + "a" * 50)
    for cells in (0, 4, 12):
        assert drawn([DEPLOY, long], cells=cells) == [
            f"flash.deploy{' ' * 47}  4.00 s{'  ' if cells else ''}{'━' * cells}",
            f"└─ flash.{'a' * 50}  1.00 s{'  ' if cells else ''}{'━' * (cells // 4)}",
        ]


@pytest.mark.parametrize("width", [None, 100])
def test_without_times_there_are_only_labels(width: int | None) -> None:
    """No durations, no bars, and no room for them."""
    untimed = [replace(record, start_ns=0, end_ns=0) for record in (FAILED, BUILD)]
    rows = drawn(untimed, width)
    assert [rows[0], rows[-1]] == ["flash.deploy    failed", "└─ flash.build"]


@pytest.mark.parametrize(
    ("name", "attributes", "label"),
    [
        (sc.PROVISION_ENDPOINT, {"flash.resource_name": "gpu"}, "flash.provision.endpoint gpu"),
        ("flash.call", {"flash.function_name": "predict"}, "flash.call predict"),
        ("flash.graphql", {"graphql.operation.name": "deploy"}, "flash.graphql deploy"),
        ("flash.graphql", {"flash.function_name": "predict"}, "flash.graphql"),
        ("flash.build", {"flash.resource_name": "gpu", "": "x"}, "flash.build"),
        ("a" * 120, {}, "a" * 120),
        ("a" * 121, {}, "a" * 120 + "…"),
        ("a\nb", {}, r"a\nb"),
    ],
)  # fmt: skip
def test_the_label_of_a_span(name: str, attributes: dict[str, str], label: str) -> None:
    """Its name, with what distinguishes spans of one name; on one line that is not too long."""
    assert drawn([span(1, None, name, 0, 4000, attributes=attributes)]) == [
        f"{label}  4.00 s  {'━' * 8}"
    ]


def test_the_labels_of_repeats() -> None:
    """They have their number instead, and what is left of failures is called more."""
    names = {"flash.function_name": "predict"}
    calls = [span(number, 1, sc.CALL, 0, 1000, attributes=names) for number in range(2, 6)]
    assert drawn([DEPLOY, *calls])[1:] == [
        f"└─ flash.call {TIMES}4  1.00 s  ━━        (min 1.00 s, median 1.00 s, max 1.00 s)"
    ]
    failed = [replace(made, status="error", status_message="no") for made in calls]
    assert drawn([DEPLOY, *failed], glyphs=ASCII)[1:] == [
        *["|- flash.call predict  1.00 s  ==        failed", "|     no"] * 3,
        "`- flash.call x1 more  1.00 s  ==        failed",
    ]


def test_bars_of_repeats_are_drawn_together() -> None:
    """Each of the folded spans has its cells on their row."""
    asked = [span(n, 1, "ask", at, at + 500) for n, at in enumerate((0, 1000, 2000, 3500), 2)]
    [row] = drawn([DEPLOY, *asked])[1:]
    assert "  500 ms  ━ ━ ━  ━  (min " in row


def test_an_open_bar_is_drawn_with_another_character() -> None:
    """A span without an end has it; the others of the trace do not."""
    assert drawn([replace(DEPLOY, end_ns=None), BUILD]) == [
        "flash.deploy         ?  ╌╌╌╌╌╌╌╌  unfinished",
        "└─ flash.build  1.00 s  ━━━━━━━━",
    ]


def test_the_guides_of_a_tree() -> None:
    """Lines lead past the rows and their notes to the next sibling of each ancestor."""
    tree = [
        span(1, None, "root", 0, 4000, attributes=IDS),
        span(2, 1, "first", 0, 1000, attributes={**IDS, sc.BUILD_ID: "b1"}),
        span(3, 2, "inner", 0, 1000, attributes={**IDS, sc.BUILD_ID: "b2"}),
        span(4, 3, "inmost", 0, 1000, attributes={**IDS, sc.BUILD_ID: "b3"}),
        span(5, 1, "second", 0, 1000, attributes={**IDS, sc.BUILD_ID: "b4"}),
        span(6, 5, "inner", 0, 1000, attributes={**IDS, sc.BUILD_ID: "b5"}),
    ]
    expected = """\
        root             4.00 s
        │  environment_id=env456 build_id=abc123 endpoint_count=2
        ├─ first         1.00 s
        │  │  build_id=b1
        │  └─ inner      1.00 s
        │     │  build_id=b2
        │     └─ inmost  1.00 s
        │           build_id=b3
        └─ second        1.00 s
           │  build_id=b4
           └─ inner      1.00 s
                 build_id=b5
        """
    assert drawn(tree, cells=0) == dedent(expected).splitlines()


@pytest.mark.parametrize(
    ("linked", "known", "title"),
    [
        ([READ], None, "Linked traces: 1"),
        ([READ], 2, "Linked traces: 1"),
        ([READ], 3, "Linked traces: 1 of 2"),
        ([READ, replace(READ, span_id="a" * 16)], 1002, "Linked traces: 1 of 1,001"),
        ([READ, replace(READ, trace_id="a" * 32)], 3, "Linked traces: 2"),
        ([READ, replace(READ, trace_id="a" * 32, scope_name=LINES_SCOPE)], 9,
         "From other logs and traces"),
    ],
)  # fmt: skip
def test_the_title_of_linked_traces(
    linked: list[SpanRecord], known: int | None, title: str
) -> None:
    """Each is counted once, beside the number that is known; what logs say is no trace."""
    overview = None if known is None else Overview(sc.NONE, "", trace_count=known)
    shown = drawn([DEPLOY, *linked], overview=overview)
    at = shown.index(title)
    assert shown[at - 1] == ""
    assert (shown[:at].count(""), shown[at + 1 :].count("")) == (1, 0)
    assert lines([DEPLOY, *linked], overview=overview)[at] == (Part(title, "bold"),)
    assert [row for row in shown[at:] if row.startswith(sc.RUNTIME_FETCH)]


def test_a_trace_alone_has_no_title() -> None:
    """Nothing follows its rows."""
    assert drawn([DEPLOY]) == [f"flash.deploy  4.00 s  {'━' * 8}"]


def test_parts_of_the_axis_are_named_where_they_have_room() -> None:
    """Above the bars stands what the cells between two marks stand for, if it is shorter."""
    assert drawn([DEPLOY, READ], cells=18)[:2] == [
        f"{' ' * 29}        4.00 s┊",
        "flash.deploy         4.00 s  ━━━━━━━━━━━━━━┊",
    ]
    even = replace(READ, end_ns=READ.start_ns + 4 * 10**9)
    assert drawn([DEPLOY, even], cells=15)[0] == f"{' ' * 29} 4.00 s┊ 4.00 s"
    assert drawn([DEPLOY, even], cells=14)[0] == f"{' ' * 29}      ┊ 4.00 s"
    assert drawn([DEPLOY, even], cells=13)[0] == "flash.deploy         4.00 s  ━━━━━━┊"


def test_marks_of_waiting_stand_on_every_row() -> None:
    """Where waiting is folded, but not on a bar, and in their own style."""
    found = lines([DEPLOY, READ], cells=18)
    rows = [line for line in found if "┊" in [part.text for part in line]]
    assert [[part.style for part in line[-3:]] for line in rows] == [
        ["dim", "dim", "dim"],
        ["green", "dim", "green"],
        ["green", "dim", "green"],
    ]


WAIT: Final = "⋯ worker read 1 min 00 s later"


def test_a_wait_stands_before_the_first_row_behind_it() -> None:
    """It is named once; back at the deployment there is none to name."""
    late = span(3, 1, "late", 64_000, 64_100, trace_id=OTHER)
    inner = replace(late, span_id="8" * 16, parent_span_id=READ.span_id, name="inner")
    rows = drawn([DEPLOY, READ, inner], cells=0)
    assert rows[rows.index("Linked traces: 1") + 1] == WAIT
    assert sum("⋯" in row for row in rows) == 1
    near = replace(DEPLOY, trace_id="a" * 32, name="near")
    back = drawn([DEPLOY, READ, inner, near], cells=0)
    assert sum("⋯" in row for row in back) == 1


@pytest.mark.parametrize(
    ("own", "other", "clock"),
    [
        ("laptop", "laptop", ""),
        ("laptop", "pod", ", by its own clock"),
        ("laptop", None, ", by its own clock"),
        (None, None, ""),
    ],
)
def test_whose_clock_a_wait_was_measured_by(own: str | None, other: str | None, clock: str) -> None:
    """Two machines may disagree by more than the wait."""

    def on(record: SpanRecord, host: str | None) -> SpanRecord:
        return replace(record, resource={"host.name": host} if host else {})

    rows = drawn([on(DEPLOY, own), on(READ, other)], cells=0)
    assert f"{WAIT}{clock}" in rows


@pytest.mark.parametrize(
    ("glyphs", "rows"),
    [
        (UNICODE, ["⋯ worker read 1 min 00 s later,", "  by its own clock"]),
        (ASCII, ["... worker read 1 min 00 s later,", "    by its own clock"]),
    ],
)
def test_the_note_of_a_wait_is_broken_behind_its_sign(glyphs: Glyphs, rows: list[str]) -> None:
    """Its second line begins where the text of the first one does."""
    far = replace(READ, resource={"host.name": "pod"})
    shown = drawn([DEPLOY, far], 33, glyphs=glyphs)
    at = shown.index("Linked traces: 1") + 1
    assert shown[at : at + 2] == rows


def test_the_wait_of_repeats_is_that_of_the_first_and_the_last() -> None:
    """A span without a time among them is not counted."""
    calls = [
        span(n, None, sc.CALL, 60_000 * n, 60_000 * n + 1000, trace_id=f"{n:032x}")
        for n in range(2, 6)
    ]
    assert "⋯ calls 1 min 56 s to 4 min 56 s later" in drawn([DEPLOY, *calls], cells=0)


@pytest.mark.parametrize(
    ("width", "rows"),
    [
        (None, [f"├─ x {TIMES}4          10 ms  ━         (min 10 ms, median 10 ms, max 10 ms)"]),
        (122, [f"├─ x {TIMES}4          10 ms  ━{' ' * 59}  (min 10 ms, median 10 ms, max 10 ms)"]),
        (121, [f"├─ x {TIMES}4          10 ms  ━", "│     (min 10 ms, median 10 ms, max 10 ms)"]),
    ],
)
def test_what_is_folded_stands_behind_its_row(width: int | None, rows: list[str]) -> None:
    """Or, where it does not fit, below it behind the guides."""
    asked = [span(number, 1, "x", 0, 10) for number in range(3, 7)]
    last = replace(BUILD, span_id="f" * 16)
    assert drawn([span(1, None, "root", 0, 10), *asked, last], width)[1:-1] == rows


def fault(record: SpanRecord) -> dict[tuple[str, str], list[Mark]]:
    """Return the evidence that a span shows a fault."""
    return {record.key: [Mark(*record.key, "stale_build", "says", shows_fault=True)]}


@pytest.mark.parametrize(
    ("record", "has_fault", "style"),
    [
        (DEPLOY, False, "green"),
        (DEPLOY, True, FAULT_STYLE),
        (replace(DEPLOY, end_ns=None), False, "yellow"),
        (replace(DEPLOY, end_ns=None), True, FAULT_STYLE),
        (FAILED, False, "bold red"),
        (replace(FAILED, attributes={sc.OUTCOME: sc.CANCELLED}), False, "yellow"),
        (replace(FAILED, attributes={sc.OUTCOME: sc.CANCELLED}), True, "yellow"),
    ],
)
def test_the_style_of_a_bar(record: SpanRecord, style: str, *, has_fault: bool) -> None:
    """That of the outcome, unless a fault shows on what else looks sound."""
    first, *_ = lines([record], marks=fault(record) if has_fault else {})
    label, took, gap, bar, *ending = first
    assert [part.style for part in (label, took, gap)] == ["", "", ""]
    assert bar.text.strip() == ("╌" if record.end_ns is None else "━" * 8)
    assert [part.style for part in (bar, *ending)] == [style] * (1 + len(ending))
    assert bool(ending) == (record is not DEPLOY or has_fault)
