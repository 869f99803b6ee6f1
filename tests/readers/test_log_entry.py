"""The times of log entries, in all their spellings, and the names of their writers."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Final

import pytest

from flash_otel.diagnosis.readers.log_entry import NEEDLES, has_needle, joined, time_in, time_of

SECOND: Final = 10**9
NOON_NS: Final = 1_795_867_209 * SECOND  # 2026-11-28T12:00:09Z


def utc_ns(*numbers: int) -> int:
    """Return a time of the UTC in nanoseconds."""
    whole = datetime(*numbers, tzinfo=timezone.utc) - datetime(1970, 1, 1, tzinfo=timezone.utc)  # type: ignore[misc,arg-type]  # a year, a month, a day and a clock's numbers
    return (whole.days * 86_400 + whole.seconds) * SECOND


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-28T12:00:09Z", (NOON_NS, True)),
        ("2026-11-28 12:00:09", (NOON_NS, False)),
        ("2026/11/28 12:00:09.25 UTC", (NOON_NS + SECOND // 4, True)),
        ("2026-11-28 12:00:09,000000001 GMT", (NOON_NS + 1, True)),
        ("2026-11-28T17:30:09+05:30", (NOON_NS, True)),
        ("2026-11-28T08:15:09-0345", (NOON_NS, True)),
        ("1970-01-01T00:00:00Z", (0, True)),
        ("1970-01-03T00:00:01Z", (172_801 * SECOND, True)),
        ("1969-12-31T23:59:59Z", (0, True)),
        ("[x] at 2026-11-28T12:00:09Z, not 2026-11-29T12:00:09Z", (NOON_NS, True)),
        ("2026-13-28T12:00:09Z", (None, False)),
        ("2026-11-28T12:60:09Z", (None, False)),
        ("2026-11-28", (None, False)),
        ("", (None, False)),
    ],
)
def test_a_time_with_its_year_first(text: str, expected: tuple[int | None, bool]) -> None:
    """The first time of a text is read to the nanosecond, less its offset from UTC."""
    assert time_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("28/11/2026 12:00:09", (NOON_NS, False)),
        ("28/11/2026, 12:00:09 Z", (NOON_NS, True)),
        ("11/28/2026T12:00:09 Z", (NOON_NS, True)),
        ("11/28/2026 12:00:09.5+02:00", (NOON_NS - 7_200 * SECOND + SECOND // 2, True)),
        # Both may be a month: the day is taken to be first, and the zone is not relied on.
        ("10/12/2026 00:00:00 Z", (utc_ns(2026, 12, 10), False)),
        ("12/10/2026 00:00:00 Z", (utc_ns(2026, 10, 12), False)),
        ("12/12/2026 00:00:00 Z", (utc_ns(2026, 12, 12), True)),
        ("12/13/2026 00:00:00 Z", (utc_ns(2026, 12, 13), True)),
        ("13/12/2026 00:00:00 Z", (utc_ns(2026, 12, 13), True)),
        ("1/2/2026 00:00:00", (utc_ns(2026, 2, 1), False)),
        # Halves of a day, and years of two digits, are written where the month is first.
        ("10/12/2026 00:30:00 AM Z", (utc_ns(2026, 10, 12, 0, 30), False)),
        ("11/28/2026, 12:00:09 AM Z", (utc_ns(2026, 11, 28, 0, 0, 9), True)),
        ("11/28/2026, 12:00:09 pm", (NOON_NS, False)),
        ("11/28/2026, 01:00:09PM", (NOON_NS + 3_600 * SECOND, False)),
        ("28/11/2026, 11:00:09 a.", (NOON_NS - 3_600 * SECOND, False)),
        ("10/12/26 00:00:00 Z", (utc_ns(2026, 10, 12), False)),
        ("11/28/26 12:00:09 Z", (NOON_NS, True)),
        ("28/11/26 12:00:09 Z", (NOON_NS, True)),
        ("13/13/2026 12:00:09 Z", (None, False)),
        # A time that has its year first is surer.
        ("1/2/2026 00:00:00 or 2026-11-28T12:00:09Z", (NOON_NS, True)),
    ],
)
def test_a_time_with_slashes(text: str, expected: tuple[int | None, bool]) -> None:
    """Day and month are told apart by their sizes, by a half of the day and by a short year."""
    assert time_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nov 28, 2026 @ 12:00:09.250", (NOON_NS + SECOND // 4, False)),
        ("Nov 28, 2026 12:00:09 Z", (NOON_NS, True)),
        ("Jan  2 03:04:05 vm app", (utc_ns(2000, 1, 2, 3, 4, 5), False)),
        ("Dec 31 23:59:59", (utc_ns(2000, 12, 31, 23, 59, 59), False)),
        ("Feb 29 00:00:00", (utc_ns(2000, 2, 29), False)),
        ("28/Nov/2026:14:00:09 +0200", (NOON_NS, True)),
        ("28 Nov 2026 12:00:09", (NOON_NS, False)),
        ("2 Jan 2026 03:04:05 UTC", (utc_ns(2026, 1, 2, 3, 4, 5), True)),
        ("Feb 30 00:00:00", (None, False)),
        ("Nov 2026", (None, False)),
        ("Nov 27 1:2:3", (None, False)),
    ],
)
def test_a_time_with_the_name_of_its_month(text: str, expected: tuple[int | None, bool]) -> None:
    """The name is in front of the day or behind it; syslog's times are of a leap year."""
    assert time_of(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1795867209", NOON_NS),
        ("17958672090", 10 * NOON_NS),
        ("1795867209.000000001", NOON_NS + 1),
        ("179586720900", NOON_NS // 10),
        ("1795867209000", NOON_NS),
        ("17958672090000", 10 * NOON_NS),
        ("1795867209000.25", NOON_NS + 250_000),
        ("1795867209000.1234567", NOON_NS + 123_456),
        ("179586720900000", NOON_NS // 10),
        ("1795867209000000", NOON_NS),
        ("17958672090000000", 10 * NOON_NS),
        ("179586720900000000", NOON_NS // 10),
        ("1795867209000000001", NOON_NS + 1),
        ("1795867209000000001.9", NOON_NS + 1),
        (1795867209, NOON_NS),
        (1795867209.5, NOON_NS + SECOND // 2),
        (1795867209e9, NOON_NS),
        ([1795867209000], NOON_NS),
    ],
    ids=repr,
)
def test_a_number_since_the_epoch(value: object, expected: int) -> None:
    """Its digits show its unit: seconds, milliseconds, microseconds or nanoseconds."""
    assert time_in(value) == (expected, True)


@pytest.mark.parametrize(
    "value",
    [
        "123456789", "12345678901234567890", "1795867209.", "-1795867209", "", [], {},
        [1795867209, 1795867209], False, None, b"1795867209", 0, 1.5,
        {"at": "2026-11-28T12:00:09Z"}, ["2026-11-28T12:00:09Z", "2026-11-28T12:00:09Z"],
    ],
    ids=repr,
)  # fmt: skip
def test_a_value_that_is_no_time(value: object) -> None:
    """Too few or too many digits, and what is neither a text nor a number, are none."""
    assert time_in(value) == (None, False)


@pytest.mark.parametrize("needle", NEEDLES)
def test_a_text_with_a_needle(needle: str) -> None:
    """Each needle is found anywhere, in its own letters only."""
    assert has_needle(f"x{needle}x")
    assert has_needle(needle)
    assert not has_needle(needle[:-1])
    assert not has_needle(needle.swapcase())


def test_the_name_of_a_writer_within_another() -> None:
    """Names are joined by slashes, from the outside to the inside; empty ones are left out."""
    assert joined("pod", "", "app") == "pod/app"
    assert joined("", "app") == "app"
    assert joined("", "") == ""
