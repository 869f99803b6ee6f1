"""How lines are broken to fit a terminal."""

from __future__ import annotations

import shlex
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report.terminals import printed
from rich.cells import cell_len

from flash_otel.report import wrapping
from flash_otel.report.layout import COMMAND, WHOLE, Line, Part
from flash_otel.report.wrapping import print_wrapped, wrapped_lines
from flash_otel.runtime import suggestions

if TYPE_CHECKING:
    from collections.abc import Sequence

UUID = "2a5c26b1-e8c0-4dca-99df-0f25256d47c1"


def broken(line: Line, width: int) -> list[str]:
    """Return the texts of the lines that a line is broken into."""
    return ["".join(part.text for part in found) for found in wrapped_lines([line], width)]


def test_without_a_width_nothing_is_broken() -> None:
    """A pipe gets each line as it is, however long."""
    line = (Part("word " * 100),)
    assert list(wrapped_lines([line, ()], None)) == [line, ()]


def test_lines_break_between_words_with_a_hanging_indent() -> None:
    """The continuation is indented, and keeps the styles of its parts."""
    line = (Part("  What: ", "bold", 4), Part("one two three four five six", "dim"))
    assert list(wrapped_lines([line], 20)) == [
        (Part("  "), Part("What: ", "bold", 4), Part("one two", "dim")),
        (Part("    "), Part("three four five", "dim")),
        (Part("    "), Part("six", "dim")),
    ]


def command(text: str) -> Part:
    """Return a command of a line."""
    return Part(text, breaks=COMMAND)


@pytest.mark.parametrize(
    ("line", "width", "lines"),
    [
        pytest.param((Part("one two three four fi"),), 21, ["one two three four fi"], id="fits"),
        pytest.param((Part("one two three four fi"),), 20, ["one two three four", "fi"], id="not"),
        pytest.param((Part("one two three four fi"),), 5, ["one two three four", "fi"], id="least"),
        pytest.param(
            (Part("   one two three four fi", hang=5),), 20, ["   one two three", "     four fi"],
            id="its own indent",
        ),
        pytest.param((Part("one", hang=17), Part(" two three four fiv")), 20,
                     ["one two three four", "                 fiv"], id="a deep indent"),
        pytest.param((Part("one", hang=17), Part(" two three four five")), 20,
                     ["one two three four", "                five"], id="a word needs the room"),
        pytest.param((Part(" " * 30),), 20, [""], id="only spaces"),
        pytest.param((Part("one"), Part(" " * 30)), 20, ["one"], id="spaces behind"),
        pytest.param((Part(" " * 30), Part("one")), 20, [" " * 17 + "one"], id="spaces before"),
        pytest.param((Part("two parts "), Part("of a"), Part("word here")), 20,
                     ["two parts of aword", "here"], id="a word of two parts"),
        pytest.param((Part("two parts of "), Part("a"), Part("words here")), 20,
                     ["two parts of awords", "here"], id="a word of two parts, to the end"),
        pytest.param((Part("see " + "a" * 25, hang=3),), 20, ["see", "a" * 20, "   aaaaa"],
                     id="a word longer than a line"),
        pytest.param((Part(f"see {'a' * 10}/{'b' * 9}"),), 20, ["see", f"{'a' * 10}/{'b' * 9}"],
                     id="a path as long as a line"),
        pytest.param((Part("模" * 15),), 20, ["模" * 10, "模" * 5], id="wide"),
        pytest.param((Part("a" + "模" * 15),), 20, ["a" + "模" * 9, "模" * 6], id="wide, odd"),
    ],
)  # fmt: skip
def test_where_a_line_is_broken(line: Line, width: int, lines: list[str]) -> None:
    """Between words, of which a line holds as many as fit, and twenty cells at least."""
    assert broken(line, width) == lines


@pytest.mark.parametrize(
    ("word", "first"),
    [
        *[(f"{'a' * 15}{joint}{'b' * 15}", f"{'a' * 15}{joint}") for joint in "/&?,;:="],
        (f"{'a' * 15}-{'b' * 15}", f"{'a' * 15}-bbbb"),
        (f"/{'b' * 30}", f"/{'b' * 19}"),
        (f"a/{'b' * 30}", "a/"),
        (f"a/{'b' * 5}/c?{'d' * 30}", f"a/{'b' * 5}/c?"),
        (f"{'a' * 19}/{'b' * 30}", f"{'a' * 19}/"),
        (f"{'a' * 20}/{'b' * 30}", "a" * 20),
    ],
)
def test_a_long_word_is_broken_behind_its_last_joint(word: str, first: str) -> None:
    """That fits on the line, but not behind its first character; else wherever the line ends."""
    lines = broken((Part(word),), 20)
    assert (lines[0], "".join(lines)) == (first, word)


@pytest.mark.parametrize(
    ("line", "width", "lines"),
    [
        pytest.param((Part("Next:"), command(" flash deploy --app shop --env x")), 24,
                     ["Next: flash deploy \\", "--app shop --env x"], id="a space before it"),
        pytest.param((Part("Next one:"), command(" flash-deploy --app shop")), 20,
                     ["Next one:", "flash-deploy --app \\", "shop"], id="a break before it"),
        pytest.param((Part("Next: "), command("flash deploy --app a"), Part(" and wait")), 26,
                     ["Next: flash deploy --app a", "and wait"], id="a break behind it"),
        pytest.param((Part("Next: "), command("flash deploy --app a"), Part(" and wait")), 25,
                     ["Next: flash deploy \\", "--app a and wait"], id="a word behind it"),
        pytest.param((Part("Next: "), command("flash deploy --app a b c")), 26,
                     ["Next: flash deploy --app \\", "a b c"], id="room for the backslash"),
        pytest.param((Part("Next: "), command("flash deploy --app a b c")), 25,
                     ["Next: flash deploy \\", "--app a b c"], id="no room for it"),
        pytest.param((Part("Next: "), command("flash deploy "), Part("x" * 30)), 20,
                     ["Next: flash deploy \\", "x" * 20, "x" * 10], id="a long word behind it"),
        pytest.param((Part("Next: ", hang=4), command(f"flash {'x' * 17} deploy")), 20,
                     ["Next: flash \\", f" {'x' * 17} \\", "    deploy"], id="less indent"),
        pytest.param((Part("Next: ", hang=4), command(f"flash deploy {'x' * 17}")), 20,
                     ["Next: flash deploy \\", f"   {'x' * 17}"], id="its last word"),
        pytest.param((Part("Next: "), command("flash deploy 'a\tb c' \"d e\" f")), 20,
                     ["Next: flash deploy \\", "'a\tb c' \"d e\" f"], id="quoted"),
        pytest.param((Part("Next: "), command("flash deploy 'four quoted words here'")), 20,
                     ["Next: flash deploy \\", "'four quoted words here'"], id="long and quoted"),
        pytest.param((command("flash deploy"), Part(" or "), command("flash build --app x")), 20,
                     ["flash deploy or", "flash build --app x"], id="two"),
    ],
)  # fmt: skip
def test_where_a_command_is_broken(line: Line, width: int, lines: list[str]) -> None:
    """Between its words, with a backslash wherever the shell must read on."""
    assert broken(line, width) == lines


def test_the_parts_of_a_broken_command_keep_their_styles() -> None:
    """The backslash has none."""
    line = (Part("Next: ", "bold", 2), Part("flash deploy --app a b c", "dim", 0, COMMAND))
    assert list(wrapped_lines([line], 25)) == [
        (Part("Next: ", "bold", 2), Part("flash deploy", "dim", 0, COMMAND), Part(" \\")),
        (Part("  "), Part("--app a b c", "dim", 0, COMMAND)),
    ]


def test_no_backslash_continues_a_command_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its shells do not know it."""
    monkeypatch.setattr(wrapping, "os", SimpleNamespace(name="nt"))
    line = (Part("Next: "), command("flash deploy --app shop --env production"))
    assert broken(line, 25) == ["Next: flash deploy --app", "shop --env production"]


@pytest.mark.parametrize("width", [None, 80])
def test_a_command_is_that_of_this_program(
    width: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it works when it is pasted; what a sentence says of it is not changed."""
    monkeypatch.setattr(suggestions, "own_command", lambda: "/opt/flash-otel")
    said, shown = (
        Part("`flash-otel show` has all: "),
        Part("flash-otel show last", "dim", 3, COMMAND),
    )
    assert list(wrapped_lines([(said,), (said, shown)], width)) == [
        (said,),
        (said, replace(shown, text="/opt/flash-otel show last")),
    ]


def test_spaces_inside_a_whole_part_stay() -> None:
    """Those around it may be left out where the line is broken."""
    line = (Part("a read of"), Part("  3 min  12 s ", breaks=WHOLE), Part("later"))
    assert broken(line, 26) == ["a read of  3 min  12 s", "later"]
    assert broken(line, 21) == ["a read of", "3 min  12 s later"]
    empty = (Part("one"), Part("  ", breaks=WHOLE), Part("two " * 5))
    assert broken(empty, 20) == ["one  two two two two", "two"]


def test_an_id_moves_left_rather_than_being_broken() -> None:
    """A word that the hanging indent leaves no room for gets a smaller one."""
    line = (Part("  +0.71 s  deployment  ", hang=23), Part(f"the build {UUID} is active"))
    assert broken(line, 40) == [
        "  +0.71 s  deployment  the build",
        f"    {UUID}",
        "                       is active",
    ]


def test_a_path_longer_than_a_line_is_broken_behind_a_slash() -> None:
    """What fits on no line is broken where it hurts least."""
    line = (Part("see /home/me/projects/shop/deploy.log:12"),)
    assert broken(line, 20) == ["see", "/home/me/projects/", "shop/deploy.log:12"]
    assert broken((Part("x" * 45),), 20) == ["x" * 20, "x" * 20, "x" * 5]


def test_a_whole_part_stays_on_one_line() -> None:
    """A number and its unit are not separated."""
    line = (Part("a read of the build"), Part("  3.46 ms", breaks=WHOLE))
    assert broken(line, 25) == ["a read of the build", "3.46 ms"]


def test_a_command_is_continued_as_a_shell_continues_it() -> None:
    """Each line but the last ends with a backslash; quoted words are not broken."""
    command = f"flash-otel verify --app 'my own shop' --env {UUID}"
    lines = broken((Part("Next: ", hang=2), Part(command, breaks=COMMAND)), 50)
    assert lines == [
        "Next: flash-otel verify --app 'my own shop' \\",
        f"  --env {UUID}",
    ]


def test_a_word_of_a_command_is_never_broken() -> None:
    """A path that is longer than a line stays whole, because it would not work in pieces."""
    command = f"/opt/{'x' * 60}/flash-otel show last"
    assert broken((Part("Next: "), Part(command, breaks=COMMAND)), 40) == [
        "Next:",
        f"/opt/{'x' * 60}/flash-otel \\",
        "show last",
    ]


def test_escaped_characters_are_counted() -> None:
    """A character that the encoding lacks takes the cells of its escape."""
    import io

    from rich.console import Console

    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", newline="")
    console = Console(file=stream, width=30, force_terminal=True, color_system=None)
    print_wrapped([(Part("模型 " * 6),)], console)
    stream.flush()
    assert raw.getvalue().decode().splitlines() == ["\\u6a21\\u578b \\u6a21\\u578b"] * 3


words = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1)
lines_of_words = st.lists(st.lists(words, min_size=1).map(" ".join), min_size=1, max_size=4)


@given(lines_of_words, st.integers(20, 100), st.integers(0, 30))
def test_any_line_fits_and_loses_nothing(texts: Sequence[str], width: int, hang: int) -> None:
    """No line is longer than the width, and no word that fits is broken."""
    line = (Part(f"{texts[0]} ", "bold", hang), *(Part(f"{text} ", "dim") for text in texts[1:]))
    found = broken(line, width)
    given_words = " ".join(texts).split()
    assert all(cell_len(text.rstrip()) <= width for text in found)
    assert "".join("".join(found).split()) == "".join(given_words)
    if all(cell_len(word) <= width for word in given_words):
        assert " ".join(found).split() == given_words


@given(st.lists(st.text("abc '\"$/-=", min_size=1), min_size=1, max_size=12), st.integers(20, 60))
def test_a_broken_command_is_the_same_command(arguments: list[str], width: int) -> None:
    """A shell reads the lines as the words that were given."""
    command = shlex.join(["flash-otel", *arguments])
    found = broken((Part("Next: ", hang=2), Part(command, breaks=COMMAND)), width)
    pasted = "\n".join(found).removeprefix("Next:").lstrip()
    assert shlex.split(pasted.replace("\\\n", " ")) == ["flash-otel", *arguments]


def test_a_console_gets_lines_of_its_width() -> None:
    """A terminal gets broken lines, a pipe whole ones."""
    line = (Part("word " * 30),)
    assert max(map(len, printed(lambda it: print_wrapped([line], it), 60).splitlines())) <= 60
    piped = printed(lambda it: print_wrapped([line], it), 60, terminal=False)
    assert piped == f"{('word ' * 30).rstrip()}\n"
