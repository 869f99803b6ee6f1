"""Pages and consoles: their width, their characters, and how lines reach them."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import pytest
from report.terminals import printed
from rich.cells import cell_len

from flash_otel import wording
from flash_otel.report.color import VARIABLES, Color, chosen
from flash_otel.report.layout import (
    ASCII,
    UNICODE,
    Glyphs,
    Page,
    Part,
    ReportConsole,
    fitted,
    page_for,
    print_lines,
    texts,
    wrapped,
)
from flash_otel.runtime import process

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Closed(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


class _Bare:
    def write(self, _: str) -> int:
        return 0


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (*VARIABLES, "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    yield
    process.reset()


@pytest.mark.parametrize(
    ("columns", "width"),
    [("77", 77), ("1", 1), ("999999", 999_999), ("²", 80), ("", 80), ("1234567", 80), ("-5", 80)],
)
def test_the_width_of_a_console(columns: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable `COLUMNS` has it, if it is a number; else the usual one is taken."""
    monkeypatch.setenv("COLUMNS", columns)
    for name in ("LINES", "JUPYTER_COLUMNS", "JUPYTER_LINES"):
        monkeypatch.setenv(name, "²")
    assert ReportConsole(file=io.StringIO()).width == width
    assert ReportConsole(file=io.StringIO(), width=60).width == 60
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name)
    assert ReportConsole(file=io.StringIO(), force_jupyter=True).is_jupyter


def test_a_reader_that_has_gone_is_an_error() -> None:
    """What prints a report sees that nobody reads it any more."""
    console = ReportConsole(file=_Closed())
    with pytest.raises(BrokenPipeError):
        print_lines([(Part("text"),)], console)


@pytest.mark.parametrize(
    ("options", "is_terminal"),
    [
        pytest.param({"file": io.StringIO()}, False, id="a file"),
        pytest.param({"file": io.StringIO(), "force_terminal": True}, True, id="forced"),
        pytest.param({"file": _Terminal()}, True, id="a terminal"),
        pytest.param({"file": _Terminal(), "force_terminal": False}, False, id="not one by force"),
        pytest.param({"file": _Bare()}, False, id="a stream that cannot tell"),
        pytest.param(
            {"file": _Terminal(), "stderr": True}, True, id="the file, not standard error"
        ),
        pytest.param({"stderr": True}, True, id="standard error"),
        pytest.param({}, False, id="standard output"),
    ],
)
def test_only_a_terminal_has_colours(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool
) -> None:
    """The stream that the console writes to decides, unless the user has chosen colours."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", _Terminal())
    assert (ReportConsole(**options).color_system is not None) is is_terminal
    chosen.value = Color.ALWAYS
    assert ReportConsole(**options).color_system is not None


@pytest.mark.parametrize(("width", "cells"), [(63, 0), (64, 12), (89, 12), (90, 24), (200, 24)])
def test_the_page_of_a_console(width: int, cells: int) -> None:
    """A pipe has bars by the width of its console, too, but its lines are never cut."""
    terminal = ReportConsole(file=io.StringIO(), width=width, force_terminal=True)
    assert page_for(terminal) == Page(width, cells, UNICODE, "utf-8")
    pipe = ReportConsole(file=io.StringIO(), width=width, force_terminal=False)
    assert page_for(pipe) == Page(None, cells, UNICODE, "utf-8")


@pytest.mark.parametrize(
    ("encoding", "glyphs", "text"),
    [
        ("utf-8", UNICODE, "é模"),
        ("ascii", ASCII, r"\xe9\u6a21"),
        ("latin-1", ASCII, r"é\u6a21"),
        ("no-such-encoding", ASCII, r"\xe9\u6a21"),
    ],
)
def test_the_characters_of_a_console(
    encoding: str, glyphs: Glyphs, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that its encoding has; an unknown one is taken for ASCII."""
    console = ReportConsole(file=io.StringIO(), width=80)
    monkeypatch.setattr(ReportConsole, "encoding", encoding)
    page = page_for(console)
    assert (page.glyphs, page.encoding, page.clean("é模")) == (glyphs, encoding, text)
    assert [line.plain for line in texts([(Part("é"), Part("模"))], console)] == [text]
    assert page.clean("a\nb") == wording.clean("a\nb")


def test_lines_are_printed_as_they_are() -> None:
    """However long or many, without markup, and without spaces at their ends."""
    lines = [(Part(f"{number} [bold]"), Part("word " * 30, "bold")) for number in range(250)]
    expected = "".join(f"{number} [bold]{('word ' * 30).rstrip()}\n" for number in range(250))
    assert printed(lambda console: print_lines(lines, console), 60) == expected
    assert printed(lambda console: print_lines([(), *lines[:1], ()], console), 60) == (
        f"\n{expected.splitlines()[0]}\n\n"
    )
    assert printed(lambda console: print_lines([], console), 60) == ""


def test_parts_keep_their_styles() -> None:
    """Each part of a line has its own."""
    line = (Part("a", "bold"), Part("b"), Part("c", "dim"))
    coloured = printed(lambda console: print_lines([line], console), 60, color=True)
    assert coloured == "\x1b[1ma\x1b[0mb\x1b[2mc\x1b[0m\n"


@pytest.mark.parametrize(
    ("text", "cells", "expected"),
    [
        ("abc", 5, "abc  "),
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("模型", 4, "模型"),
        ("模型x", 4, "模 …"),
        ("模型", 3, "模…"),
        ("", 2, "  "),
    ],
)
def test_a_cell_is_filled(text: str, cells: int, expected: str) -> None:
    """Padded, or cut with a mark; a wide character is cut as a whole."""
    assert fitted(text, cells, UNICODE) == expected
    assert cell_len(fitted(text, cells, ASCII)) == cells


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("  one  two ", ["one two"]),
        ("one two three", ["one two", "three"]),
        ("one twoo", ["one", "twoo"]),
        ("longer-than-a-line is", ["longer-than-a-line", "is"]),
        ("a longer-than-a-line", ["a", "longer-than-a-line"]),
        ("模型 模型 a", ["模型", "模型 a"]),
    ],
)
def test_texts_are_broken_at_spaces(text: str, lines: list[str]) -> None:
    """Lines are filled with as many words as fit; a longer word stands alone."""
    assert wrapped(text, 7) == lines
