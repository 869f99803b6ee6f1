from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_otel.cli.app import CommandError
from flash_otel.cli.sources import UNITS, age_in_seconds, since_ns


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5d", 129_600), ("1w", 604_800), (" 2 H ", 7200)],
)
def test_ages(text: str, seconds: float) -> None:
    """An age is a number and a unit, in either case, with optional blanks."""
    assert age_in_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "2y", "2h30m", "٢h", "1e3s", "nan s"])
def test_an_invalid_age_is_an_error(text: str) -> None:
    """A mistyped age is an error with an example; it never means another age."""
    with pytest.raises(CommandError, match="invalid age"):
        age_in_seconds(text)


@given(st.integers(0, 10**9 - 1), st.sampled_from(sorted(UNITS)))
def test_every_whole_number_of_a_unit_is_an_age(number: int, unit: str) -> None:
    """Every age that the help describes is valid, and none lies before the epoch."""
    assert age_in_seconds(f"{number}{unit}") == number * UNITS[unit]
    assert (since_ns(f"{number}{unit}") or 0) >= 0


@given(st.text())
def test_any_text_is_an_age_or_a_command_error(text: str) -> None:
    """No text raises anything but CommandError."""
    with contextlib.suppress(CommandError):
        assert age_in_seconds(text) >= 0
