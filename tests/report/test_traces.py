"""The list of traces, at any width."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from diagnosis.recordings import NOW_NS as SCENES_NOW_NS
from diagnosis.scenes import SCENES
from hypothesis import given
from hypothesis import strategies as st
from report.terminals import WIDTHS, printed, with_long_ids
from rich.cells import cell_len
from support.samples import EPOCH_NS, TRACE

from flash_otel import semconv
from flash_otel.diagnosis import Limits
from flash_otel.diagnosis.recorded import local_spans
from flash_otel.report import traces, words
from flash_otel.report.entry import TraceEntry
from flash_otel.report.layout import ASCII, FAULT_STYLE, UNICODE, Page, page_for, print_lines
from flash_otel.report.listing import Wanted, list_traces
from flash_otel.report.traces import STYLES, Column, style_of, table_lines
from flash_otel.store.store import temporary_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

NOW_NS = EPOCH_NS + 125 * 10**9
STARTED = words.zoned_moment(EPOCH_NS)
BUILD = "2a5c26b1-e8c0-4dca-99df-0f25256d47c1"
ENVIRONMENT = "a2d0a0ff-ee7f-4b81-9dae-61745b5ae8de"
SECOND_NS = 10**9
STYLE = re.compile(r"\x1b\[[0-9;]*m")


def entry(**changes: object) -> TraceEntry:
    """Return the entry of a healthy deployment, with changes."""
    values: dict[str, object] = {
        "trace_id": TRACE,
        "short_id": TRACE[:8],
        "kind": "deploy",
        "deployment_duration_ns": 4 * SECOND_NS,
        "deployment_id": "d1",
        "result": "returned",
        "failed_step": None,
        "verdict": "none",
        "confidence": "certain",
        "sentence": "",
        "is_unread": False,
        "root_name": "flash.deploy",
        "start_ns": EPOCH_NS,
        "end_ns": EPOCH_NS + 9 * SECOND_NS,
        "span_count": 8,
        "error_count": 0,
        "outcome": "returned",
        "status": "unset",
        "app_name": "shop",
        "environment_id": ENVIRONMENT,
        "environment_name": "prod",
        "build_id": BUILD,
        "unfinished": False,
    }
    return TraceEntry(**{**values, **changes})  # type: ignore[arg-type]  # values of many types


HEALTHY = entry()
FAULTY = entry(verdict="stale_build", confidence="likely", build_id=None)
RUNNING = entry(verdict="inconclusive", result="running", deployment_duration_ns=None, end_ns=None)
KILLED = entry(
    verdict="inconclusive", result="unfinished", deployment_duration_ns=None, end_ns=None
)
BROKEN = entry(verdict="inconclusive", result="failed", failed_step="flash.build")
CANCELLED = entry(verdict="inconclusive", result="cancelled")
READ = entry(
    verdict="none", kind="read", root_name="flash.runtime.fetch", deployment_id=None,
    deployment_duration_ns=None, environment_name=None, app_name=None,
)  # fmt: skip
FOREIGN = entry(
    verdict=None, confidence=None, kind="other", root_name="GET /", deployment_id=None,
    deployment_duration_ns=None, environment_id=None, environment_name=None, app_name=None,
    build_id=None,
)  # fmt: skip
ENTRIES = (HEALTHY, FAULTY, RUNNING, KILLED, BROKEN, CANCELLED, READ, FOREIGN)


def text(entries: Sequence[TraceEntry], width: int | None = None) -> str:
    """Return the table as plain text."""
    lines = table_lines(entries, Page(width, 12, UNICODE), NOW_NS)
    return "".join("".join(part.text for part in line).rstrip() + "\n" for line in lines)


def test_sixty_columns_hold_what_is_essential() -> None:
    """Id, age, duration, environment and verdict; durations are those of the deployments."""
    assert text([known for known in ENTRIES if known is not RUNNING], 60) == dedent("""\
        TRACE     KIND    AGE    TOOK    ENV       VERDICT
        0af76519  deploy  2 min  4.00 s  prod      no fault
        0af76519  deploy  2 min  4.00 s  prod      stale_build
        0af76519  deploy  2 min  ?       prod      unfinished
        0af76519  deploy  2 min  4.00 s  prod      failed: build
        0af76519  deploy  2 min  4.00 s  prod      cancelled
        0af76519  read    2 min  9.00 s  a2d0a0ff  no fault
        0af76519  GET /   2 min  9.00 s            returned
        """)


def test_eighty_columns_add_app_and_build() -> None:
    """A list of deployments alone needs no column for their kind."""
    assert text(ENTRIES[:3], 80) == dedent("""\
        TRACE     AGE        TOOK         APP   ENV   BUILD     VERDICT
        0af76519  2 min ago  4.00 s       shop  prod  2a5c26b1  no fault
        0af76519  2 min ago  4.00 s       shop  prod            stale_build (likely)
        0af76519  2 min ago  2 min 05 s+  shop  prod  2a5c26b1  running
        """)


def test_a_wide_terminal_has_exact_times_and_full_ids() -> None:
    """The start stands with its offset from UTC, and the trace's id in full."""
    head, row = text([HEALTHY], 140).splitlines()
    assert head.split() == [
        *("TRACE", "AGE", "STARTED", "TOOK", "APP", "ENV", "BUILD", "SPANS", "VERDICT")
    ]
    assert row.startswith(f"{TRACE}  2 min ago  {STARTED}  4.00 s  shop  prod  ")


def test_a_pipe_gets_everything() -> None:
    """Each column in its full form, whatever the values are, for grep."""
    long = entry(app_name="a" * 100, confidence="likely", verdict="stale_build")
    pad = " " * (len(STARTED) - len("STARTED"))
    assert text([HEALTHY, READ]) == dedent(f"""\
        TRACE                             KIND                 AGE        STARTED{pad}  TOOK    APP   ENV                                          BUILD                                 SPANS  VERDICT
        {TRACE}  flash.deploy         2 min ago  {STARTED}  4.00 s  shop  prod ({ENVIRONMENT})  {BUILD}  8      no fault
        {TRACE}  flash.runtime.fetch  2 min ago  {STARTED}  9.00 s        {ENVIRONMENT}         {BUILD}  8      no fault
        """)  # noqa: E501 - a table as it is printed
    assert "a" * 100 in text([long])
    assert text([long]).endswith("stale_build (likely)\n")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_fits(width: int, encoding: str) -> None:
    """Long names are cut with a mark, the longest verdict and every id stay whole."""
    longest = max(semconv.FAULTS, key=len)
    long = entry(
        app_name="app " * 30, environment_name="環境" * 30, build_id="build" * 30, verdict=longest
    )
    glyphs = UNICODE if encoding == "utf-8" else ASCII
    lines = table_lines([*ENTRIES, long], Page(width, 12, glyphs), NOW_NS)
    rows = ["".join(part.text for part in line) for line in lines]
    assert max(map(cell_len, rows)) <= width
    assert longest in rows[-1]
    assert glyphs.cut in rows[-1]
    assert all(row.startswith("0af76519") for row in rows[1:])


def forms(column: Column, **changes: object) -> list[str]:
    """Return the forms of an entry's cell, from the shortest to the fullest."""
    return [read(entry(**changes), NOW_NS) for read in column.forms]


@pytest.mark.parametrize(
    ("changes", "took"),
    [
        ({}, "4.00 s"),
        ({"deployment_duration_ns": 0}, "0.00 ms"),
        ({"deployment_duration_ns": None}, "?"),
        ({"deployment_duration_ns": None, "result": "running"}, "2 min 05 s+"),
        (
            {"deployment_duration_ns": None, "result": "running", "start_ns": NOW_NS + 10**12},
            "0.00 ms+",
        ),
        ({"deployment_duration_ns": None, "deployment_id": None}, "9.00 s"),
        ({"deployment_duration_ns": None, "deployment_id": None, "end_ns": None}, "?"),
        ({"deployment_duration_ns": None, "deployment_id": None, "start_ns": 0}, "?"),
    ],
    ids=[
        *("deployed", "at once", "not ended", "running", "running by a clock that is ahead"),
        *("a read", "an open read", "a read without a time"),
    ],
)
def test_how_long_a_trace_took(changes: dict[str, object], took: str) -> None:
    """It is the deployment's duration, so far if it runs; of other traces that of their spans."""
    assert forms(traces.TOOK, **changes) == [took]


@pytest.mark.parametrize(
    ("column", "changes", "expected"),
    [
        (traces.TRACE, {}, [TRACE[:8], TRACE]),
        (traces.KIND, {}, ["deploy", "flash.deploy"]),
        (traces.KIND, {"kind": "other", "root_name": "GET /"}, ["GET /", "GET /"]),
        (traces.AGE, {}, ["2 min", "2 min ago"]),
        (traces.STARTED, {}, [STARTED]),
        (traces.STARTED, {"start_ns": 0}, ["?"]),
        (traces.APP, {"app_name": None}, [""]),
        (traces.ENVIRONMENT, {}, ["prod", f"prod ({ENVIRONMENT})"]),
        (traces.ENVIRONMENT, {"environment_id": None}, ["prod", "prod"]),
        (traces.ENVIRONMENT, {"environment_name": None}, [ENVIRONMENT[:8], ENVIRONMENT]),
        (traces.ENVIRONMENT, {"environment_name": ENVIRONMENT}, [ENVIRONMENT, ENVIRONMENT]),
        (traces.ENVIRONMENT, {"environment_name": None, "environment_id": None}, ["", ""]),
        (traces.BUILD, {}, [BUILD[:8], BUILD]),
        (traces.BUILD, {"build_id": "0af7651916cd43dd"}, ["0af76519", "0af7651916cd43dd"]),
        (traces.BUILD, {"build_id": "0af7651916cd43ddx"}, ["0af7651916cd43ddx"] * 2),
        (traces.BUILD, {"build_id": None}, ["", ""]),
        (traces.SPANS, {}, ["8"]),
        (traces.VERDICT, {}, ["no fault", "no fault"]),
        (traces.VERDICT, {"confidence": "likely"}, ["no fault", "no fault"]),
        (traces.VERDICT, {"verdict": "stale_build"}, ["stale_build", "stale_build"]),
        (
            traces.VERDICT,
            {"verdict": "stale_build", "confidence": "likely"},
            ["stale_build", "stale_build (likely)"],
        ),
    ],
)
def test_the_forms_of_a_cell(
    column: Column, changes: dict[str, object], expected: list[str]
) -> None:
    """Short forms leave out what a list rarely needs; what is not known is empty."""
    assert forms(column, **changes) == expected


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (28, "TRACE AGE VERDICT"),
        (38, "TRACE AGE ENV VERDICT"),
        (46, "TRACE AGE TOOK ENV VERDICT"),
        (54, "TRACE KIND AGE TOOK ENV VERDICT"),
        (60, "TRACE KIND AGE TOOK APP ENV VERDICT"),
        (70, "TRACE KIND AGE TOOK APP ENV BUILD VERDICT"),
        (74, "TRACE KIND AGE TOOK APP ENV BUILD VERDICT"),
        (83, "TRACE KIND AGE TOOK APP ENV BUILD VERDICT"),
        (111, "TRACE KIND AGE STARTED TOOK APP ENV BUILD VERDICT"),
        (135, "TRACE KIND AGE STARTED TOOK APP ENV BUILD VERDICT"),
        (142, "TRACE KIND AGE STARTED TOOK APP ENV BUILD SPANS VERDICT"),
        (170, "TRACE KIND AGE STARTED TOOK APP ENV BUILD SPANS VERDICT"),
        (205, "TRACE KIND AGE STARTED TOOK APP ENV BUILD SPANS VERDICT"),
    ],
)
def test_a_wider_terminal_has_more(width: int, columns: str) -> None:
    """The most important column or form comes first, as soon as it fills the width exactly."""
    shown = (HEALTHY, FAULTY, READ)
    head, *rows = text(shown, width).splitlines()
    assert head.split() == columns.split()
    assert max(map(cell_len, rows)) == width
    assert max(map(cell_len, text(shown, width - 1).splitlines())) < width


def test_names_share_the_room_that_is_left() -> None:
    """The first name gets what it needs beyond twelve cells, the next one what is left then."""
    later = NOW_NS + 125 * SECOND_NS
    long = entry(app_name="a" * 16, environment_name="e" * 40, start_ns=later)
    cells = [TRACE[:8], "in 2 min", "4.00 s", "{app}", "{env}", BUILD[:8], "no fault"]
    others = sum(map(len, cells)) - len("{app}{env}") + 2 * (len(cells) - 1)
    for room, app, env in (
        (24, "a" * 11 + "…", "e" * 11 + "…"),
        (26, "a" * 13 + "…", "e" * 11 + "…"),
        (28, "a" * 16, "e" * 11 + "…"),
        (30, "a" * 16, "e" * 13 + "…"),
    ):
        _, row = text([long], others + room).splitlines()
        assert row == "  ".join(cells).format(app=app, env=env)


@pytest.mark.parametrize("name", SCENES)
def test_every_scene_fits(name: str) -> None:
    """No line of any scene's list is longer than the terminal, and no id and verdict is broken."""
    with temporary_store() as store:
        store.write(with_long_ids(SCENES[name].make()))
        spans = local_spans(store)
        listing = list_traces(store, spans, Wanted(limit=100), Limits(now_ns=SCENES_NOW_NS))

    def render(console: Console) -> None:
        lines = table_lines(listing.entries, page_for(console), SCENES_NOW_NS)
        print_lines(lines, console)

    for width in WIDTHS:
        plain, coloured = (printed(render, width, color=color) for color in (False, True))
        assert STYLE.sub("", coloured) == plain
        _, *rows = plain.splitlines()
        for entry, row in zip(listing.entries, rows, strict=True):
            assert cell_len(row) <= width
            assert row.split()[0] in (entry.short_id, entry.trace_id)
            assert entry.label in row


@pytest.mark.parametrize("width", WIDTHS)
def test_colours_are_those_of_the_verdicts(width: int) -> None:
    """A coloured terminal gets the same text; a pipe gets no escape sequence."""

    def render(console: Console) -> None:
        print_lines(table_lines(ENTRIES, page_for(console), NOW_NS), console)

    coloured = printed(render, width, color=True)
    assert coloured.startswith("\x1b[1mTRACE")
    assert "\x1b[1;31mstale_build" in coloured
    assert "\x1b[32mno fault" in coloured
    assert "\x1b[36mrunning" in coloured
    assert "\x1b[1;31mfailed: build" in coloured
    assert "\x1b" not in printed(render, width, terminal=False)


def test_every_fault_stands_out() -> None:
    """No fault code is by accident the label of a better state."""
    codes = {*semconv.FAULTS} - {semconv.NONE, semconv.INCONCLUSIVE}
    assert {style_of(code) for code in codes} == {FAULT_STYLE}
    assert FAULT_STYLE not in STYLES.values()


def test_hostile_names_stay_in_their_cell() -> None:
    """Escape sequences and newlines in a name neither end its line nor reach the terminal."""
    found = text([entry(app_name="\x1b[2J\nx", environment_name="[red]")], 100)
    assert len(found.splitlines()) == 2
    assert r"\x1b[2J\nx" in found
    assert "[red]" in found


@given(
    entries=st.lists(
        st.builds(
            entry,
            app_name=st.none() | st.text(),
            environment_name=st.none() | st.text(),
            build_id=st.none() | st.text(),
            start_ns=st.integers(0, 2**63),
        )
    ),
    width=st.integers(47, 200),
)
def test_any_names_fit(entries: list[TraceEntry], width: int) -> None:
    """From the narrowest useful terminal on, no line is longer than it."""
    for line in text(entries, width).splitlines():
        assert cell_len(line) <= width


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "just now"), (0.9, "just now"), (1, "1 s ago"), (59.9, "59 s ago"), (60, "1 min ago"),
        (3599, "59 min ago"), (7199, "119 min ago"), (7200, "2 h ago"), (172_799, "47 h ago"),
        (172_800, "2 d ago"), (729 * 86_400, "729 d ago"), (730 * 86_400, "2 years ago"),
        (-60, "just now"), (-61, "in 1 min"), (-7200, "in 2 h"),
    ],
)  # fmt: skip
def test_ages(seconds: float, expected: str) -> None:
    """One unit, rounded down; a clock that is ahead by less than a minute does not show."""
    assert words.age(EPOCH_NS - round(seconds * 1e9), EPOCH_NS) == expected


def test_a_time_without_a_clock_has_no_age() -> None:
    """Lines of a log without times start at 0."""
    assert words.age(0, EPOCH_NS) == "?"
