"""Ids that are shortened: how far, and where the whole ones stand."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_otel.diagnosis.tables import Match
from flash_otel.report.ids import ShortIds, beginnings, ids_lines
from flash_otel.report.layout import ASCII, UNICODE, Page

FIRST: Final = "2a5c26b1-e8c0-4dca-99df-0f25256d47c1"
SECOND: Final = "62280830-3651-4e4c-b570-56f4784e980b"


@pytest.mark.parametrize(
    ("ids", "short"),
    [
        ([FIRST, SECOND], ["2a5c26b1", "62280830"]),
        ([FIRST, FIRST], ["2a5c26b1", "2a5c26b1"]),
        (["abcdefghijkl"], ["abcdefghijkl"]),
        (["abcdefghijklm"], ["abcdefgh"]),
        (["abcdefgh-one-", "abcdefgh-two-"], ["abcdefgh-o", "abcdefgh-t"]),
        (["abcdefg-one--", "abcdefg+two--"], ["abcdefg-", "abcdefg+"]),
        (
            ["abcdefgh-two-3", "b" * 13, "abcdefgh-one--", "abcdefgh-two-4"],
            ["abcdefgh-two-3", "bbbbbbbb", "abcdefgh-o", "abcdefgh-two-4"],
        ),
        (["c" * 13, "c" * 14], ["c" * 13, "c" * 14]),
        (["c" * 13, "c" * 15], ["c" * 13, "c" * 14]),
    ],
    ids=[
        *("apart", "the same", "short", "just long", "alike at first", "apart at the eighth"),
        *("among others", "one begins the other", "one begins a longer one"),
    ],
)
def test_an_id_is_as_short_as_it_can_be_told_apart(ids: list[str], short: list[str]) -> None:
    """At least eight characters are left, and those that others share with one more."""
    known = ShortIds(ids)
    assert [known.of(identifier) for identifier in ids] == short
    cut = [whole for whole, found in zip(ids, short, strict=True) if whole != found]
    assert list(known.used) == list(dict.fromkeys(cut))


def test_other_ids_stay_whole() -> None:
    """Only ids of the report are shortened, and noted when they are."""
    known = ShortIds([FIRST])
    assert known.of(SECOND) == SECOND
    assert known.within(f"build {SECOND}, {FIRST[:-1]}") == f"build {SECOND}, {FIRST[:-1]}"
    assert list(known.used) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"build {FIRST}, not {SECOND}.", "build 2a5c26b1, not 62280830."),
        ("build 2a5c26b1… is active", "build 2a5c26b1 is active"),
        ("build 2a5c26b1 is active", "build 2a5c26b1 is active"),
        ("build 2a5c26b… is active", "build 2a5c26b… is active"),
        (f"({FIRST})", "(2a5c26b1)"),
    ],
    ids=["whole", "shortened before", "without a mark", "too short", "in brackets"],
)
def test_the_ids_in_a_text(text: str, expected: str) -> None:
    """Whole ids in a sentence are shortened, and those that it has shortened lose their mark."""
    assert ShortIds([FIRST, SECOND]).within(text) == expected


def test_a_text_of_a_report_without_ids() -> None:
    """A sentence keeps its own short forms where nothing is known to replace them."""
    assert ShortIds().within(f"build {FIRST[:8]}…") == f"build {FIRST[:8]}…"


@given(st.lists(st.text("ab-", min_size=1, max_size=20), unique=True))
def test_short_ids_differ(ids: list[str]) -> None:
    """Different ids have different short forms, each the beginning of its id."""
    known = ShortIds(ids)
    short = [known.of(identifier) for identifier in ids]
    assert len(set(short)) == len(ids)
    assert all(whole.startswith(found) for whole, found in zip(ids, short, strict=True))


@pytest.mark.parametrize(
    ("length", "kept", "expected"),
    [
        (3, 0, ["abc", "abc~", "abc~"]),
        (3, 4, ["abc", "abcd", "abc~"]),
        (4, 3, ["abc", "abcd", "abcd~"]),
    ],
)
def test_beginnings(length: int, kept: int, expected: list[str]) -> None:
    """An id that is hardly longer than its beginning stays whole; a mark shows a cut."""
    ids = ["abc", "abcd", "abcde"]
    assert beginnings(ids, length, "~", kept) == dict(zip(ids, expected, strict=True))


def table(matches: list[Match], width: int) -> list[str]:
    """Return the lines of a table on a page of a width."""
    lines = ids_lines(matches, Page(width, 12, ASCII))
    return ["".join(part.text for part in line).rstrip() for line in lines]


def test_a_table_is_shortened_once_it_is_too_wide() -> None:
    """The widest result needs its room beside the ids, whether it stands there or not."""
    rows = [Match("build_id", FIRST, FIRST, "match")]
    whole = 2 + len("build_id") + 2 + len(FIRST) + 2 + len(FIRST) + 2 + len("MISMATCH")
    assert table(rows, whole)[1:] == [f"  build_id  {FIRST}  {FIRST}  MATCH"]
    assert table(rows, whole - 1)[1:] == [
        f"  build_id  {FIRST[:8]}~  {FIRST[:8]}~  MATCH",
        "",
        f"  build_id  {FIRST}",
    ]


@pytest.mark.parametrize(
    ("width", "deployed", "read"),
    [
        (64, "0123456789012345", "0123456789abcdef"),
        (63, "01234567890~", "0123456789a~"),
        (56, "01234567890~", "0123456789a~"),
        (55, "~89012345", "~89abcdef"),
        (50, "~89012345", "~89abcdef"),
    ],
)
def test_ids_that_begin_alike(width: int, deployed: str, read: str) -> None:
    """Their beginnings are shown if they differ and fit, else their ends."""
    ids = ("0123456789012345", "0123456789abcdef")
    row = table([Match("build_identifier", *ids, "mismatch")], width)[1]
    assert row.split() == ["build_identifier", deployed, read, "MISMATCH"]


def test_a_short_id_keeps_its_beginning_where_others_show_their_ends() -> None:
    """Twelve characters stay whole in any case."""
    ids = ("0123456789012345", "0123456789abcdef")
    rows = [
        Match("build_identifier", *ids, "mismatch"),
        Match("digest", "123456789012", None, "unknown"),
    ]
    assert table(rows, 53)[1:3] == [
        "  build_identifier  ~89012345     ~89abcdef  MISMATCH",
        "  digest            123456789012  -          ?",
    ]


@pytest.mark.parametrize("result", ["match", "mismatch", "pass", "fail", "unknown"])
def test_a_result_in_words(result: str) -> None:
    """A result is in capitals; what could not be compared has a question mark."""
    words = "?" if result == "unknown" else result.upper()
    [_, row] = table([Match("build_id", "b", None, result)], 100)
    assert row.split() == ["build_id", "b", "-", words]


def test_hostile_ids() -> None:
    """Control characters of ids are spelled out, and what the encoding lacks is escaped."""
    page = Page(None, 12, UNICODE, "ascii")
    [_, row] = ids_lines([Match("a\x07", "b\x1b", "größe", "match")], page)
    assert row[0].text.split() == [r"a\x07", r"b\x1b", r"gr\xf6\xdfe"]
