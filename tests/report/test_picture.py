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
from flash_otel.diagnosis.picture_events import READ
from flash_otel.report.layout import UNICODE, Page, page_for, print_lines
from flash_otel.report.picture import LEAST_WIDTH, _Canvas, picture_lines

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
