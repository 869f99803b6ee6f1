"""The positions of the columns of a log that Rich printed, and what its rows hold."""

from __future__ import annotations

from typing import Final

import pytest

from flash_otel.diagnosis.readers.log_layout import Layout, layout_of, would_fit

WIDTH: Final = 50
TIME: Final = "[10:00:00] "
PLACE: Final = "state.py:88"
LEVELLED: Final = Layout(level=11, message=20, width=WIDTH)
TIMED: Final = Layout(level=None, message=11, width=WIDTH)
LATER: Final = Layout(level=None, message=13, width=WIDTH)
BARE: Final = Layout(level=None, message=0, width=WIDTH)


def row(before: str, text: str, place: str = "", width: int = WIDTH) -> str:
    """Return a row with a source location at its right edge."""
    return f"{before}{text:{width - len(before) - len(place)}}{place}".rstrip()


@pytest.mark.parametrize(
    ("layout", "text", "expected"),
    [
        (LEVELLED, f"{TIME}INFO     one", True),
        (LEVELLED, f"{TIME}CRITICAL one", True),
        (LEVELLED, f"{TIME}TRACE    one", True),
        (LEVELLED, f"{' ' * 11}WARNING  one", True),
        (LEVELLED, f"{TIME}info     one", False),
        (LEVELLED, f"{TIME}INFOs    one", False),
        (LEVELLED, f"{TIME}IT       one", False),
        (LEVELLED, f"[10:00:00]-INFO     {PLACE}", False),
        (LEVELLED, " " * 20 + "one", False),
        (LEVELLED, "", False),
        (Layout(level=0, message=9, width=WIDTH), "INFO     one", True),
        (TIMED, f"{TIME}one", True),
        (TIMED, row("", "one", PLACE), True),
        (TIMED, row("", "one", PLACE, WIDTH - 1), False),
        (TIMED, "one at 10:00:00", False),
        (TIMED, "[10] one", False),
    ],
)
def test_the_first_row_of_a_message(layout: Layout, text: str, *, expected: bool) -> None:
    """It has a level in the level's column or, without levels, a time or a source location."""
    assert layout.begins(text) is expected


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (PLACE, PLACE),
        ("<stdin>:1", "<stdin>:1"),
        ("a-b.pyx:7", "a-b.pyx:7"),
        ("state.py:", ""),
        ("state.py", ""),
        ("[state.py:88", ""),
        ("state.js:88", ""),
    ],
)
def test_the_source_location_of_a_row(place: str, expected: str) -> None:
    """It is a file of Python, or what stands for one, with the number of its line."""
    text = row(TIME, "one", place)
    assert LEVELLED.place_in(text) == expected
    assert LEVELLED.place_in(f"{text} ") == expected
    assert LEVELLED.place_in(f" {text}") == ""


def test_the_part_of_a_message_in_a_row() -> None:
    """It ends at the source location, or at the end of the row, without spaces."""
    text = row(f"{TIME}INFO     ", "one two", PLACE)
    assert LEVELLED.message_in(text, PLACE) == "one two"
    assert LEVELLED.message_in(text) == text[20:]
    assert LEVELLED.message_in(f"{' ' * 20}  one  ") == "  one"
    assert LEVELLED.message_in("short") == ""


@pytest.mark.parametrize(
    ("layout", "text", "before", "expected"),
    [
        (LEVELLED, " " * 20 + "two", "one", True),
        (LEVELLED, " " * 20 + "two", "x" * 30, True),
        (LEVELLED, " " * 19 + "xtwo", "one", False),
        (LEVELLED, "", "one", True),
        (Layout(level=None, message=1, width=WIDTH), " two", "one", True),
        (BARE, "two", "one", False),
        (BARE, "two", "x" * 26, False),
        (BARE, "two", "x" * 27, True),
        (BARE, "x" * WIDTH, "one", True),
        (BARE, "x" * (WIDTH + 1), "one", True),
        (BARE, "two" + " " * (WIDTH - 3), "one", True),
        (BARE, "two" + " " * (WIDTH - 4), "one", False),
    ],
)
def test_a_row_that_continues_a_message(
    layout: Layout, text: str, before: str, *, expected: bool
) -> None:
    """Its other columns are blank or, without such columns, its first word had no room before."""
    assert layout.continues(text, before, 30) is expected


@pytest.mark.parametrize(
    ("before", "text", "room", "expected"),
    [
        ("one", "two three four", 7, True),
        ("one", "two three four", 6, False),
        ("", "two", 4, True),
        ("", "two", 3, False),
        ("one", "  two", 7, True),
        ("one", "", 4, True),
        ("one", "", 3, False),
    ],
)
def test_a_word_that_would_have_fitted(
    before: str, text: str, room: int, *, expected: bool
) -> None:
    """The first word of a row fits into the previous row behind a space."""
    assert would_fit(before, text, room) is expected


FIRST: Final = row(f"{TIME}INFO     ", "one", PLACE)
SECOND: Final = row(f"{' ' * 11}WARNING  ", "two", "state.py:9")
REST: Final = " " * 20 + "three"
OTHER: Final = row("10:00:00 INFO     ", "four", PLACE, WIDTH - 3)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([FIRST, SECOND], LEVELLED),
        ([FIRST, REST, "printed past the columns " * 3, SECOND], LEVELLED),
        ([f"{FIRST}  ", SECOND], LEVELLED),
        ([FIRST, OTHER, SECOND, OTHER, FIRST], LEVELLED),
        ([FIRST, OTHER, SECOND, OTHER, OTHER], Layout(level=9, message=18, width=WIDTH - 3)),
        (
            [row("INFO     ", "one", PLACE), row("WARNING  ", "two", PLACE)],
            Layout(level=0, message=9, width=WIDTH),
        ),
        ([FIRST], None),
        ([FIRST, OTHER], None),
        ([row(TIME, "one", PLACE), row(" " * 11, "two", PLACE)], TIMED),
        ([row(f"{TIME}INFO   one", "", PLACE), row(TIME, "two", PLACE)], TIMED),
        ([row(f"{TIME} ", "one", PLACE)] + [row("[0:10:00:00] ", "two", PLACE)] * 2, LATER),
        ([row("", "one", PLACE), row("", "two", PLACE)], BARE),
        # A list of files ends like a column, but there are longer rows.
        ([row("", "one", PLACE), row("", "two", PLACE), "x" * (WIDTH + 1)], None),
        ([row("", "one", PLACE), row("", "two", PLACE), "x" * WIDTH + "  "], BARE),
        (["one", "two"], None),
        ([], None),
    ],
)
def test_the_layout_of_rows(rows: list[str], expected: Layout | None) -> None:
    """Levels and source locations of several rows show the columns, the most common ones."""
    assert layout_of(rows) == expected


LONG: Final = "x" * 15


@pytest.mark.parametrize(
    ("rows", "width"),
    [
        ([f"{TIME}INFO     one {LONG}", f"{' ' * 20}{LONG}"], 39),
        ([f"{TIME}INFO     one {LONG}", f"{' ' * 20}{LONG}", " " * 40, "printed " * 9], 40),
        ([f"{TIME}INFO     one {LONG}", f"{' ' * 20}{LONG}", f"{' ' * 20}{LONG * 3}"], None),
        # The first word would have fitted: the rows are messages of their own.
        ([f"{TIME}INFO     one", f"{' ' * 20}two", f"{TIME}INFO     {LONG}"], None),
        ([f"{TIME}INFO     one {LONG}", f"{' ' * 21}{LONG}"], None),
        ([f"{TIME}INFO     one {LONG}", f"{' ' * 19}x{LONG}"], None),
        ([f"{TIME}INFO     one {LONG}", f"{TIME}INFO     {LONG}"], None),
        ([f"{TIME}INFO     one {LONG}", " " * 25], None),
        ([f"{' ' * 20}one {LONG}", f"{' ' * 20}{LONG}", f"{TIME}INFO     one"], None),
        ([f"{TIME}INFO     one {LONG}"], None),
    ],
)
def test_the_layout_of_rows_without_source_locations(rows: list[str], width: int | None) -> None:
    """A message that was broken off at the right edge shows the columns and their width."""
    expected = None if width is None else Layout(level=11, message=20, width=width)
    assert layout_of(rows) == expected
