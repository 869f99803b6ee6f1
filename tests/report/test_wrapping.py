"""How lines are broken to fit a terminal."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from report.terminals import printed
from rich.cells import cell_len

from flash_otel.report.layout import COMMAND, WHOLE, Line, Part
from flash_otel.report.wrapping import print_wrapped, wrapped_lines

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
