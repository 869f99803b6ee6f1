"""Printed lines that fit a terminal, with commands that stay pasteable."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_otel.wording import fitted_line

PROGRAM = "/home/me/projects/shop/.venv/bin/flash-otel"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("short and plain", ["short and plain"]),
        ("a sentence that is long", ["a sentence that is", "    long"]),
        ("  an indent that it keeps", ["  an indent that it", "    keeps"]),
        ("List: flash-otel traces --env x", ["List: flash-otel \\", "    traces --env x"]),
        ("Do: env A=1 flash-otel push", ["Do: env A=1 \\", "    flash-otel push"]),
        ("A=1 flash-otel traces --all", ["A=1 flash-otel \\", "    traces --all"]),
        ("note: /some/file is no recording", ["note: /some/file is", "    no recording"]),
        ("see http://h/flash-otel now", ["see", " http://h/flash-otel", "    now"]),
    ],
)
def test_a_line_is_broken_at_words_and_a_command_continued(line: str, expected: list[str]) -> None:
    """Only a command behind a label, or alone, ends its lines with a backslash."""
    assert list(fitted_line(line, 20)) == expected


def test_without_a_width_a_line_stays_whole() -> None:
    """What is piped is one line, whatever its length."""
    line = f"Record one: {PROGRAM} run -- flash deploy   (or try: {PROGRAM} demo)"
    assert list(fitted_line(line, None)) == [line]


def test_what_follows_a_command_is_text_again() -> None:
    """The remark stands on a line of its own, outside of what a person pastes."""
    line = f"Record one: {PROGRAM} run -- flash deploy   (or try: {PROGRAM} demo)"
    assert list(fitted_line(line, 60)) == [
        f"Record one: {PROGRAM} \\",
        "    run -- flash deploy",
        f"    (or try: {PROGRAM}",
        "    demo)",
    ]


def test_a_word_longer_than_the_line_stays_whole() -> None:
    """A path in pieces would not work; it begins as far left as it must."""
    path = f"/{'x' * 60}/flash-otel"
    assert list(fitted_line(f"See: {path} show --help", 40)) == [
        "See:",
        f"{path} \\",
        "    show --help",
    ]


@given(st.lists(st.text("abc '\"$-=模", min_size=1), max_size=12), st.integers(40, 140))
def test_a_broken_command_is_the_same_command(arguments: list[str], width: int) -> None:
    """A shell reads the lines as the words that were given, and only a long word exceeds them."""
    words = [PROGRAM, *arguments]
    lines = list(fitted_line(f"Try: {shlex.join(words)}", width))
    pasted = "\n".join(lines).removeprefix("Try:").lstrip()
    assert shlex.split(pasted.replace("\\\n", " ")) == words
    long = [line for line in lines if len(line) > width]
    assert all(len(shlex.split(line.removesuffix("\\").removeprefix("Try:"))) == 1 for line in long)
