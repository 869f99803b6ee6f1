"""The picture of a fault as text: literal for the guide's scenarios, and limits for all scenes."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import product
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.recordings import NOW_NS
from diagnosis.scenes import SCENES
from rich.cells import cell_len
from rich.console import Console

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.evidence import Origin
from flash_otel.diagnosis.picture import ManifestState, Picture, PictureMark
from flash_otel.diagnosis.picture_events import ACTIVATION, CALL, READ, STEP
from flash_otel.diagnosis.tables import DEPLOYMENT, RUNTIME, Match
from flash_otel.report.layout import ASCII, UNICODE, Page, Part, page_for, print_lines
from flash_otel.report.picture import LEAST_WIDTH, _Canvas, _short_names, picture_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flash_otel.diagnosis.judge import Judged
    from flash_otel.records import SpanRecord

WIDTHS: Final = (80, 100, 140, 200)
ENCODINGS: Final = ("utf-8", "ascii")
LONG: Final = {
    "build-1": "cmdq3v0xk00019k7h2f4t1a1a",
    "build-2": "cmdq3v0xk00029k7h2f4t2b2b",
    "build-7": "cmdq3v0xk00079k7h2f4t7c7c",
    "env-prod": "cmdp8s1zz000e1prod5j3q9x2",
    "env-stag": "cmdp8s1zz000e2stag5j3q9x2",
}


def judged(recording: Iterable[SpanRecord]) -> Judged:
    """Return the first result of a diagnosis."""
    return diagnose(recording, limits=Limits(now_ns=NOW_NS)).judged[0]


def drawn(result: Judged, width: int, encoding: str = "utf-8", *, terminal: bool = True) -> str:
    """Return the picture as a console of this width and encoding gets it."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    console = Console(
        file=stream,
        width=width,
        force_terminal=terminal,
        color_system=None,
        legacy_windows=False,
    )
    print_lines(picture_lines(result, page_for(console)), console)
    stream.flush()
    return raw.getvalue().decode(encoding)


def with_long_ids(recording: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Return a recording with ids as long as Runpod's."""

    def changed(value: Any) -> Any:
        return LONG.get(value, value) if isinstance(value, str) else value

    return [
        replace(record, attributes={name: changed(v) for name, v in record.attributes.items()})
        for record in recording
    ]


SCENARIOS: Final = {
    "a worker asks for an environment that exists": """
        What the State Manager held, and who read it
                      deployment               State Manager          workers
                                             │ not recorded
             +0.00 s  started                │
             +3.20 s  activated build    ──▶ ├ build-1 (deployed)
                      build-1                │ no endpoints
             +5.80 s  wrote the          ──▶ ├ build-1 (deployed)
                      manifest, 2            │ 2 endpoints
                      endpoints              │
           ~+10.05 s                         │                        read build
                                             │                        build-2, 1
                                             │                        endpoint, of
                                             │                        staging (env-stag)
                                             │                        FAULT: another
                                             │                        environment
          ~ by another machine's clock
        """,
    "the replaced build is still active for an older worker, on one clock": """
        What the State Manager held, and who read it
                      deployment               State Manager          workers
                                             │ build-7
             +0.00 s  started                │
             +3.20 s  activated build    ──▶ ├ build-1 (deployed)
                      build-1                │ no endpoints
             +5.80 s  wrote the          ──▶ ├ build-1 (deployed)
                      manifest, 2            │ 2 endpoints
                      endpoints              │
                      ╌╌╌ 14.25 s later ╌╌╌
            +20.05 s                         ├ build-7            ──▶ read build
                                             │ 2 endpoints, as        build-7, 2
                                             │ read                   endpoints
                                             │                        FAULT: not the
                                             │                        deployed build
        """,
    "a write is dropped, on one clock": """
        What the State Manager held, and who read it
                      deployment               State Manager          workers
                                             │ not recorded
             +0.00 s  started                │
             +3.20 s  activated build    ──▶ ├ build-1 (deployed)
                      build-1                │ no endpoints
             +5.80 s  wrote the          ──▶ ├ build-1 (deployed)
                      manifest, 2            │ 2 endpoints
                      endpoints              │
             +7.05 s                         ├ build-1 (deployed) ──▶ read build
                                             │ no endpoints, as       build-1, no
                                             │ read                   endpoints
                                             │                        FAULT: not the
                                             │                        written endpoints
        """,
    "a read in the open window, on one clock": """
        What the State Manager held, and who read it
                      deployment               State Manager          workers
                                             │ not recorded
             +0.00 s  started                │
             +3.20 s  activated build    ──▶ ├ build-1 (deployed)
                      build-1                │ no endpoints
             +4.05 s                         │                    ──▶ read build
                                             │                        build-1, no
                                             │                        endpoints
                                             │                        FAULT: not the
                                             │                        written endpoints
             +5.80 s  wrote the          ──▶ ├ build-1 (deployed)
                      manifest, 2            │ 2 endpoints
                      endpoints              │
        """,
}


@pytest.mark.parametrize("scene", SCENARIOS)
def test_the_scenarios_of_the_guide(scene: str) -> None:
    """The whole picture, literally, on the narrowest terminal that gets one."""
    assert drawn(judged(SCENES[scene].make()), LEAST_WIDTH) == dedent(SCENARIOS[scene])


def test_ids_that_do_not_fit_are_shortened() -> None:
    """Short forms differ from each other, and full ids stand below; wide pages have room."""
    scene = "the replaced build is read within the skew of the activation"
    result = judged(with_long_ids(SCENES[scene].make()))
    narrow, wide = drawn(replace(result, matches=()), 80), drawn(result, 140)
    assert "├ cmdq3v0xk0001…" in narrow
    assert "  cmdq3v0xk0001… is cmdq3v0xk00019k7h2f4t1a1a\n" in narrow
    assert "  cmdq3v0xk0007… is cmdq3v0xk00079k7h2f4t7c7c\n" in narrow
    assert " is cmdq" not in drawn(result, 80), "the table of ids has them in full"
    assert "├ cmdq3v0xk00019k7h2f4t1a1a (deployed)" in wide
    assert "…" not in wide


@pytest.mark.parametrize("number", [5, 6])
def test_a_long_text_has_five_lines(number: int) -> None:
    """The last one ends with a mark if words are left out."""
    page = Page(LEAST_WIDTH, 20, UNICODE)
    canvas = _Canvas(8, page, {}, "FAULT", "")
    text = " ".join(f"word-{index}" for index in range(number))
    lines = [f"word-{index}" for index in range(5)]
    assert canvas._text(text) == (lines if number == 5 else [*lines[:4], "word-4 …"])


@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_fits(scene: str) -> None:
    """No line is wider than the page, and no id is broken, at any width, in any encoding."""
    for recording in (SCENES[scene].make(), with_long_ids(SCENES[scene].make())):
        result = judged(recording)
        picture = result.picture
        whole = {known for match in result.matches for known in (match.deployed, match.read)}
        for width, encoding in product(WIDTHS, ENCODINGS):
            text = drawn(result, width, encoding)
            assert max(map(cell_len, text.splitlines()), default=0) <= width, encoding
            if text and picture and picture.build_id:
                known = picture.build_id in text or picture.build_id in whole
                assert known, (width, encoding)


@pytest.mark.parametrize("scene", SCENES)
def test_who_gets_a_picture(scene: str) -> None:
    """Faults and open questions, on terminals that are wide enough."""
    result = judged(SCENES[scene].make())
    assert drawn(result, LEAST_WIDTH, terminal=False) == ""
    assert drawn(result, LEAST_WIDTH - 1) == ""
    if SCENES[scene].verdict == sc.NONE:
        assert drawn(result, LEAST_WIDTH) == ""


def test_ids_of_an_attacker() -> None:
    """Control characters are spelled out, and ids that are too alike have no picture."""
    recording = SCENES["the first build stays active, with endpoints"].make()

    def attacked(value: Any, ids: dict[str, str]) -> Any:
        return ids.get(value, value) if isinstance(value, str) else value

    for ids, has_picture in (
        ({"build-1": "\x1b[2J", "build-2": "\u202eb"}, True),
        ({"build-1": "ab" * 30 + "1", "build-2": "ab" * 30 + "2"}, False),
    ):
        hostile = [
            replace(
                record,
                attributes={name: attacked(v, ids) for name, v in record.attributes.items()},
            )
            for record in recording
        ]
        text = drawn(judged(hostile), 80)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert bool(text) == has_picture
        assert max(map(cell_len, text.splitlines()), default=0) <= 80


@pytest.mark.parametrize("build_id", ["build-1", None])
@pytest.mark.parametrize("endpoint_count", [2, None])
def test_an_answer_has_an_arrow(build_id: str | None, endpoint_count: int | None) -> None:
    """A read with a build or with endpoints was answered; one with neither was not."""
    picture = judged(SCENES["the first build stays active, with endpoints"].make()).picture
    assert picture is not None
    mark = next(mark for mark in picture.marks if mark.kind == READ)
    mark = replace(mark, build_id=build_id, endpoint_count=endpoint_count, differs=())
    canvas = _Canvas(8, Page(LEAST_WIDTH, 20, UNICODE), {}, "FAULT", "")
    is_answered = build_id is not None or endpoint_count is not None
    drawing = canvas.drawing
    expected = drawing.arrow if is_answered else drawing.broken
    assert canvas._arrows(mark, None) == ("", expected)


NARROW: Final = Page(80, 12, UNICODE)
WIDE: Final = Page(140, 12, UNICODE)
TIMES: Final = UNICODE.times
ORIGIN: Final = Origin()
BEFORE: Final = ManifestState("build-0", 1, has_build=True)
ACTIVE: Final = ManifestState("build-1", 0, has_build=True, is_deployed=True)
PLAIN: Final = judged(SCENES["the first build stays active, with endpoints"].make())


def of(*marks: PictureMark, verdict: str = sc.STALE_BUILD, **options: Any) -> Judged:
    """Return a result whose picture has these marks."""
    known = {"build_id": "build-1", "environment_id": "env-1", "endpoint_count": 2}
    made = Picture(**{**known, "before": BEFORE, "marks": marks, **options})
    decisive = replace(PLAIN.findings[0], code=verdict)
    return replace(PLAIN, picture=made, findings=(decisive,), matches=())


def did(text: str, kind: str = STEP, **options: Any) -> PictureMark:
    """Return a mark of the deployment, two seconds after its start."""
    values = {"lane": DEPLOYMENT, "origin": ORIGIN, "seconds": 2.0, "state": BEFORE, **options}
    return PictureMark(text=text, kind=kind, **values)


def got(text: str, **options: Any) -> PictureMark:
    """Return a mark of a worker's read."""
    values = {"lane": RUNTIME, "build_id": "build-1", **options}
    return did(text, READ, **values)


def styled(result: Judged, page: Page = NARROW) -> list[str]:
    """Return the lines of a picture below its title, with the styles of their parts in braces."""
    lines = list(picture_lines(result, page))
    assert lines[:2] == [(), (Part("What the State Manager held, and who read it", "bold"),)]
    rows = [[(part.style, part.text) for part in line if part.text.strip()] for line in lines[2:]]
    return ["".join(f"{{{style}}}{text.rstrip()}" for style, text in row) for row in rows]


HEAD: Final = ["{bold}deployment{bold}  State Manager{bold}workers"]


def test_all_parts_of_a_picture() -> None:
    """Times, arrows and states, each in its style; what the verdict rests on has its own."""
    result = of(
        did("started"),
        did("activated build build-1", ACTIVATION, is_marked=True, state=ACTIVE),
        got("read build build-1", seconds=15.5, wait_s=13.5, same_clock=False, state=ACTIVE),
        got(
            "read nothing", build_id=None, state=ACTIVE, seconds=None, count=3, last_seconds=20.0,
            is_ordered=False, is_marked=True, differs=("endpoint_count", "build_id"),
        ),
        got("read more", is_ordered=False, count=2, state=None),
        left_out=1,
    )  # fmt: skip
    assert styled(result) == [
        *HEAD,
        "{}│ build-0",
        "{}│ 1 endpoint",
        "{dim}     +2.00 s{}started{}│",
        "{dim}     +2.00 s{bold red}activated build{dim} ──▶{}├ build-1 (deployed)",
        "{bold red}build-1{}│ no endpoints",
        "{bold red}FAULT{}│",
        "{dim}              ╌╌╌ 13.50 s later ╌╌╌",
        "{dim}   ~+15.50 s{}│{dim} ──▶{}read build build-1",
        "{dim}              ╌╌╌ in an unknown order ╌╌╌",
        f"{{dim}}           ?{{}}│{{dim}} ──✕{{bold red}}read nothing {TIMES}3,",
        "{}│{bold red}until +20.00 s",
        "{}│{bold red}FAULT: not the",
        "{}│{bold red}deployed build",
        f"{{dim}}     +2.00 s{{}}│{{dim}} ──▶{{}}read more {TIMES}2",
        "{dim}  ~ by another machine's clock",
        "{dim}  1 more read not shown",
    ]


def test_the_picture_of_an_open_question() -> None:
    """Its marks are called open, and have the style of doubts; plain characters draw it, too."""
    read = got("read build build-1", is_marked=True, state=ACTIVE)
    result = of(read, read, verdict=sc.INCONCLUSIVE)
    assert styled(result, Page(80, 12, ASCII)) == [
        *HEAD,
        "{}| build-0",
        "{}| 1 endpoint",
        "{dim}     +2.00 s{}+ build-1 (deployed){dim} -->{bold yellow}read build build-1",
        "{}| no endpoints{bold yellow}OPEN",
        "{dim}     +2.00 s{}|{dim} -->{bold yellow}read build build-1",
        "{}|{bold yellow}OPEN",
    ]


@pytest.mark.parametrize(
    ("changes", "arrows"),
    [
        pytest.param({}, ("", "──▶"), id="a read"),
        pytest.param({"build_id": None}, ("", "──✕"), id="a read without answer"),
        pytest.param({"differs": ("environment_id",)}, ("", ""), id="of another environment"),
        pytest.param({"differs": ("build_id",)}, ("", "──▶"), id="of another build"),
        pytest.param({"kind": CALL}, ("", ""), id="a call"),
        pytest.param({"lane": DEPLOYMENT}, ("", ""), id="a step"),
    ],
)
def test_who_gets_an_arrow(changes: dict[str, Any], arrows: tuple[str, str]) -> None:
    """What changes the state, and what reads that of the deployed environment."""
    canvas = _Canvas(18, Page(LEAST_WIDTH, 20, UNICODE), {}, "FAULT", "")
    mark = replace(got("x"), **changes)
    assert canvas._arrows(mark, None) == arrows
    changed = ("──▶", "") if mark.lane == DEPLOYMENT else arrows
    assert canvas._arrows(mark, ACTIVE) == changed


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"seconds": 2}, "     +2.00 s"),
        ({"seconds": -2.5}, "     -2.50 s"),
        ({"seconds": 0.0}, "     +0.00 s"),
        ({"seconds": None}, "           ?"),
        ({"seconds": 2, "same_clock": False}, "    ~+2.00 s"),
        ({"seconds": 999_999.5}, "+999999.50 s"),
        ({"seconds": 9_999_999.5}, "  +1.0e+07 s"),
        ({"seconds": 99_999.5, "same_clock": False}, "~+99999.50 s"),
        ({"seconds": 999_999.5, "same_clock": False}, " ~+1.0e+06 s"),
    ],
)
def test_the_time_of_a_mark(changes: dict[str, Any], text: str) -> None:
    """Seconds since the start, with a mark of another clock; short, if it does not fit."""
    lines = styled(of(got("read", state=ACTIVE, **changes)))
    assert f"{{dim}}{text}{{}}├ build-1 (deployed){{dim}} ──▶{{}}read" in lines


@pytest.mark.parametrize(
    ("count", "last", "text"),
    [
        (1, None, "read"),
        (1, 20.0, "read"),
        (2, None, f"read {TIMES}2"),
        (2, 20.0, f"read {TIMES}2, until +20.00 s"),
        (2, -1.0, f"read {TIMES}2, until -1.00 s"),
    ],
)
def test_the_text_of_repeated_reads(count: int, last: float | None, text: str) -> None:
    """Their number, and when the last one was, if that is known."""
    result = of(got("read", count=count, last_seconds=last))
    assert text in styled(result, WIDE)[3]
    assert styled(result, WIDE)[3].endswith(f"}}{text}")


@pytest.mark.parametrize(
    ("changes", "has_picture"),
    [
        pytest.param({}, True, id="a known state"),
        pytest.param({"before": ManifestState()}, False, id="none"),
        pytest.param({"before": ManifestState(has_build=False)}, True, id="no build before"),
        pytest.param({"before": ManifestState(), "marks": (got("x", state=ACTIVE),)}, True,
                     id="only after a mark"),
        pytest.param({"before": ManifestState(), "marks": (got("x", state=None),)}, False,
                     id="unknown to the mark"),
        pytest.param({"before": ManifestState(), "marks": (got("x", state=ManifestState()),)},
                     False, id="unknown after the mark"),
    ],
)  # fmt: skip
def test_a_picture_needs_a_state(changes: dict[str, Any], *, has_picture: bool) -> None:
    """Without one there is nothing to look at."""
    result = of(did("started"), **({"marks": (did("started", state=None),)} | changes))
    assert bool(drawn(result, 80)) is has_picture
    assert not drawn(replace(result, picture=None), 80)


def test_a_page_of_any_width_beyond_the_widest_has_the_same_picture() -> None:
    """Its lines do not become too long to be read."""
    result = of(did("started"), got("read build build-1", state=ACTIVE))
    assert drawn(result, 140) == drawn(result, 200) != drawn(result, 139 - 2)
    assert drawn(result, 141) == drawn(result, 140)


@pytest.mark.parametrize(
    ("ids", "short"),
    [
        pytest.param(("a" * 15,), (), id="fits"),
        pytest.param(("a" * 16,), ("aaaaaaaa…",), id="does not fit"),
        pytest.param(("a" * 16, "b" * 15), ("aaaaaaaa…", "bbbbbbbb…"), id="all or none"),
        pytest.param(("a" * 16, "b" * 8), ("aaaaaaaa…",), id="a short one stays"),
        pytest.param(("aaaaaaaaaaaa1" + "x" * 9, "aaaaaaaaaaaa2" + "x" * 9),
                     ("aaaaaaaaaaaa1…", "aaaaaaaaaaaa2…"), id="alike"),
        pytest.param(("a" * 13 + "1" + "x" * 9, "a" * 13 + "2" + "x" * 9),
                     ("a" * 13 + "1…", "a" * 13 + "2…"), id="very alike"),
        pytest.param(("a" * 14 + "1" + "x" * 9, "a" * 14 + "2" + "x" * 9), None, id="too alike"),
    ],
)  # fmt: skip
def test_the_short_forms_of_ids(ids: tuple[str, ...], short: tuple[str, ...] | None) -> None:
    """As short as they can be told apart, and only where an id does not fit into its column."""
    values = {"build_id": ids[0], "environment_id": "env-1"}
    result = of(got("read", state=ManifestState(ids[-1], 1, has_build=True)), **values)
    assert bool(drawn(result, 80)) is (short is not None)
    picture = result.picture
    assert picture is not None
    names = _short_names(picture, 18, Page(80, 12, UNICODE))
    assert (None if names is None else tuple(names.values())) == short


@pytest.mark.parametrize("place", ["build", "environment", "before", "read", "asked", "held"])
def test_ids_of_every_place_are_shortened(place: str) -> None:
    """Whichever part of the picture they belong to."""
    long = "id-0123456789-0123456789"
    mark = got(
        "x",
        build_id=long if place == "read" else None,
        environment_id=long if place == "asked" else None,
        state=ManifestState(long, 1, has_build=True) if place == "held" else None,
    )
    picture = of(
        mark,
        build_id=long if place == "build" else None,
        environment_id=long if place == "environment" else None,
        before=ManifestState(long if place == "before" else None, 1, has_build=True),
    ).picture
    assert picture is not None
    assert _short_names(picture, 18, Page(80, 12, UNICODE)) == {long: "id-01234…"}


def test_short_ids_are_explained_below() -> None:
    """Those that were drawn, unless the report has them in full elsewhere."""
    one, two, three = (f"{number}-build-of-someone-else" for number in (1, 2, 3))
    result = of(
        got(f"read {one}", build_id=one), got("read", build_id=two),
        build_id=three, before=ManifestState(three, 1, has_build=True),
    )  # fmt: skip
    assert [line for line in styled(result) if " is " in line] == [
        f"{{dim}}  3-build-… is {three}",
        f"{{dim}}  1-build-… is {one}",
    ]
    for match in (Match("build_id", three, None, "match"), Match("build_id", None, three, "match")):
        known = replace(result, matches=(match,))
        assert [line for line in styled(known) if " is " in line] == [
            f"{{dim}}  1-build-… is {one}"
        ]


def test_an_id_that_begins_with_another_is_shortened_first() -> None:
    """The shorter one is not replaced within the longer one."""
    names = {"abcdefgh-1": "abcd…", "abcdefgh-1-2": "efgh…"}
    canvas = _Canvas(30, Page(LEAST_WIDTH, 20, UNICODE), names, "FAULT", "")
    assert canvas._text("abcdefgh-1-2 and abcdefgh-1") == ["efgh… and abcd…"]
    assert canvas._text("a\tb") == [r"a\tb"]
    assert canvas._text("a" * 31) == ["a" * 29 + "…"]
