"""What a terminal of any width gets of a diagnosis or a verification."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from diagnosis.recordings import NOW_NS
from diagnosis.scenes import SCENES
from report.terminals import WIDTHS, printed, with_long_ids
from rich.cells import cell_len
from verify.cases import CASES

from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.tables import Match
from flash_otel.report.diagnosis import render_diagnosis
from flash_otel.report.ids import ids_lines
from flash_otel.report.layout import ASCII, UNICODE, Page
from flash_otel.report.verification import render_verification
from flash_otel.verify.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

STYLE = re.compile(r"\x1b\[[0-9;]*m")
ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[0-9a-f]{16,32}\b")


def of_scene(scene: str) -> Callable[[Console], None]:
    """Return what prints the diagnosis of a scene, with ids of a real length."""
    found = diagnose(with_long_ids(SCENES[scene].make()), limits=Limits(now_ns=NOW_NS))
    return lambda console: render_diagnosis(found, console)


def of_case(name: str) -> Callable[[Console], None]:
    """Return what prints the verification of a case."""
    case = CASES[name]
    found = judge(case.subject, case.recorded, case.version)
    return lambda console: render_verification(found, console)


REPORTS = {
    **{f"diagnose: {scene}": (of_scene, scene) for scene in SCENES},
    **{f"verify: {case}": (of_case, case) for case in CASES},
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_fits_and_keeps_its_ids(name: str) -> None:
    """No line is longer than the terminal, and each id of the piped report stands in one piece.

    A pipe gets the same unbroken lines at any width, without escape sequences.
    """
    make, case = REPORTS[name]
    render = make(case)
    (piped,) = {printed(render, width, terminal=False) for width in WIDTHS}
    assert "\x1b" not in piped
    for width in WIDTHS:
        plain, coloured = (printed(render, width, color=color) for color in (False, True))
        assert max(map(cell_len, plain.splitlines())) <= width
        assert set(ID.findall(piped)) <= set(ID.findall(plain))
        assert STYLE.sub("", coloured) == plain


LONG = "2a5c26b1-e8c0-4dca-99df-0f25256d47c1"
OTHER = "62280830-3651-4e4c-b570-56f4784e980b"


def table(matches: list[Match], page: Page) -> list[str]:
    """Return the lines of a table of ids."""
    return ["".join(part.text for part in line).rstrip() for line in ids_lines(matches, page)]


def test_ids_stand_whole_where_they_fit() -> None:
    """A wide terminal, like a pipe, gets one row for each id, with its result."""
    rows = [
        Match("build_id", LONG, OTHER, "mismatch"),
        Match("endpoint_count", "2", None, "unknown"),
    ]
    expected = [
        f"                  {'deployed':<36}  read",
        f"  build_id        {LONG}  {OTHER}  MISMATCH",
        f"  endpoint_count  {'2':<36}  {'-':<36}  ?",
    ]
    assert table(rows, Page(140, 24, UNICODE)) == expected
    assert table(rows, Page(None, 24, UNICODE)) == expected


def test_short_ids_keep_their_result_beside_them() -> None:
    """On a narrow terminal, the whole ids follow below the table, equal ones once."""
    rows = [
        Match("environment_id", LONG, LONG, "match"),
        Match("build_id", LONG, OTHER, "mismatch"),
        Match("endpoints_digest", "fe42d7c262cab8a2", "fe42d7c262cab8a2", "match"),
        Match("code_deployment", None, OTHER, "unknown"),
    ]
    assert table(rows, Page(80, 12, ASCII)) == [
        "                    deployed          read",
        "  environment_id    2a5c26b1~         2a5c26b1~         MATCH",
        "  build_id          2a5c26b1~         62280830~         MISMATCH",
        "  endpoints_digest  fe42d7c262cab8a2  fe42d7c262cab8a2  MATCH",
        "  code_deployment   -                 62280830~         ?",
        "",
        f"  environment_id    {LONG}",
        f"  build_id          {LONG}",
        f"                    {OTHER}",
        f"  code_deployment   {OTHER}",
    ]


def test_ids_that_begin_alike_are_shown_so_that_they_differ() -> None:
    """More digits are shown if they fit; if they do not, the ends of the ids."""
    page = Page(60, 0, UNICODE)
    first, second = (f"build-2026-11-{day}-one-two-three-four" for day in (29, 30))
    assert table([Match("build_id", first, second, "mismatch")], page)[1] == (
        "  build_id  build-2026-11-2…  build-2026-11-3…  MISMATCH"
    )
    first, second = (f"{'e' * 30}-{end}" for end in ("one", "two"))
    assert table([Match("environment_id", first, second, "mismatch")], page)[1] == (
        "  environment_id  …eeee-one  …eeee-two  MISMATCH"
    )
    first, second = (f"{'b' * 20}{digit}{'b' * 20}" for digit in (1, 2))
    assert table([Match("build_id", first, second, "mismatch")], page)[1:] == [
        "  build_id  bbbbbbbb…  bbbbbbbb…  MISMATCH",
        "",
        f"  build_id  {first}",
        f"            {second}",
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_last_command_of_a_verification_can_be_pasted(width: int) -> None:
    """It names the given program and store, and is continued where it does not fit."""
    case = CASES["a record that agrees"]
    found = judge(case.subject, case.recorded, case.version)
    command = "/opt/a long path/to/python -m flash_otel diagnose --env {} --store 'my spans.db'"
    lines = printed(lambda console: render_verification(found, console, command), width)
    pasted = lines[lines.index("More: ") :].removeprefix("More: ").replace("\\\n", "")
    assert shlex.split(pasted) == shlex.split(command.format("env-1"))
    assert max(map(len, lines.splitlines())) <= width
