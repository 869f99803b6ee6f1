"""The prefixes that precede each row of a log in columns, and where they are not."""

from __future__ import annotations

from typing import Final

import pytest

from flash_otel.diagnosis.readers.log_prefixes import Prefixes, prefixes_of, writer_in

TIMED: Final = ["[10:00:00] INFO     one", "           WARNING  two", " " * 20 + "three"]
LEVELLED: Final = ["INFO     one", "WARNING  two", "         three", "         four"]
BARE: Final = ["[10:00:00] one", "[10:00:01] two"]
REST: Final = " " * 9 + "three"


def behind(prefix: str, rows: list[str]) -> list[str]:
    """Return rows behind a prefix."""
    return [f"{prefix}{row}" for row in rows]


@pytest.mark.parametrize(
    "prefix",
    [
        "worker-1  | ", "[pod/w-7f/main] ", "job\tRun x\t2026-11-28T12:00:09Z ", "w: ", "(a+b) ",
        "2026-11-28 12:00:09 ", f"({'x' * 290}) ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("rows", [TIMED, LEVELLED, BARE], ids=["timed", "levelled", "bare"])
def test_rows_behind_a_prefix_are_split(prefix: str, rows: list[str]) -> None:
    """Each row is split where the prefix ends; blank lines between them do not count."""
    found = prefixes_of([*behind(prefix, rows), *["", "  "] * 4])
    assert [found.split(prefix + row) for row in rows] == [(prefix, row) for row in rows]
    assert found.split("printed past the runtime")[0] == ""


@pytest.mark.parametrize(
    "rows",
    [
        [],
        ["", "  "],
        ["one", "two"],
        TIMED,
        LEVELLED,
        # Rich's own time, which the other rows of a message lack.
        ["10:00:00 INFO     one", "         INFO     two", *[" " * 18 + "three"] * 2],
        behind("w: ", LEVELLED[:2]),
        behind("w: ", [REST] * 4),
        behind("w: ", ["one", "two"]),
        behind("WARNING  ", BARE),
        behind(f"({'x' * 310}) ", TIMED),
    ],
)
def test_rows_without_a_prefix_are_whole(rows: list[str]) -> None:
    """Nothing is taken off where no time follows it, nor both levels and the rests of messages."""
    found = prefixes_of(rows)
    assert [found.split(row) for row in rows] == [("", row) for row in rows]


@pytest.mark.parametrize(("own", "is_known"), [(4, True), (5, False)])
def test_most_rows_have_the_prefix(own: int, *, is_known: bool) -> None:
    """A few rows may be printed past the runtime: four of twenty, but not five."""
    rows = behind("w-1  | ", TIMED * 6)[: 20 - own]
    found = prefixes_of([*rows, *["printed"] * own])
    assert found.split(rows[0])[0] == ("w-1  | " if is_known else "")


@pytest.mark.parametrize(("lacking", "is_known"), [(0, True), (1, True), (2, False)])
def test_most_rests_of_messages_have_the_prefix(lacking: int, *, is_known: bool) -> None:
    """What precedes a level in half of the messages only is a part of these messages."""
    rows = [*behind("w: ", ["INFO     one"] * 8 + [REST] * 2), *[REST] * lacking]
    assert prefixes_of(rows).split(rows[0])[0] == ("w: " if is_known else "")


def test_prefixes_of_several_writers() -> None:
    """Each of their shapes is taken off, whatever the words in it are."""
    rows = [row for before in ("w-1  | ", "b22 | ", "a/b: ") for row in behind(before, TIMED)]
    found = prefixes_of(rows)
    for known in ("w-1  | ", "deploy-4 | ", "c44  | ", "c/d: "):
        assert found.split(f"{known}x") == (known, "x")
    assert found.split("e.f: x") == ("", "e.f: x")


def test_the_longest_shape_is_taken_off() -> None:
    """A prefix that begins like a shorter one, which is more common, is taken off whole."""
    rows = behind("a: ", TIMED * 3) + behind("a: b: ", TIMED)
    assert prefixes_of(rows).split("a: b: c") == ("a: b: ", "c")


@pytest.mark.parametrize(
    ("prefix", "writer"),
    [
        ("w-1  | ", "w-1  | "),
        ("w-1 | 2026-11-28T12:00:09.123Z ", "w-1 |  "),
        ("w-1 | 2026/11/28 12:00:09,5 +02:00 ", "w-1 |  "),
        ("Nov 28 12:00:09 vm app[42]: ", "vm app[42]: "),
        ("Nov  8 12:00:09 UTC vm ", " vm "),
        ("1795867209123 w ", " w "),
        ("42 w ", "42 w "),
        ("", ""),
    ],
)
def test_a_writer_is_a_prefix_without_times(prefix: str, writer: str) -> None:
    """The rows of one writer have the same, whenever it wrote them."""
    assert writer_in(prefix) == writer


def test_without_shapes_there_is_no_prefix() -> None:
    """A row is whole; with shapes, the first that fits is taken off."""
    assert Prefixes().split("w-1  | x") == ("", "w-1  | x")
    assert Prefixes([r"\w+: ", r"\w+ "]).split("a b: c") == ("a ", "b: c")
