"""A log entry without its wrapping: its text, its writer and its time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from flash_otel.lines.table import STEMS
from flash_otel.otlp.encode import LOG_MARK

# Each bracketed line holds one of the stems, and each of a worker's spans the last needle.
NEEDLES: Final = (*STEMS, f"{LOG_MARK}{{")


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A log line without its wrapping.

    Attributes:
        text: What the program wrote, including the prefix of its own logger.
        stream: Which of several writers it came from, or empty.
        time_ns: Nanoseconds since the epoch, or None if no time was given.
        zoned: Whether that time named its offset from UTC.
        partial: Whether the line continues in the next one of its stream; None if unknown.
        cut: Whether the end of the text is missing.
    """

    text: str
    stream: str = ""
    time_ns: int | None = None
    zoned: bool = False
    partial: bool | None = None
    cut: bool = False


def has_needle(text: str) -> bool:
    """Return True if a text may hold a bracketed line or a worker's span."""
    return any(needle in text for needle in NEEDLES)


def joined(*streams: str) -> str:
    """Return the name of a writer within another one."""
    return "/".join(filter(None, streams))


# --- times -------------------------------------------------------------------------------------

_CLOCK: Final = r"(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
_ZONE: Final = r"\s?(Z|UTC|GMT|[+-]\d\d:?\d\d)?"
_TIME: Final = re.compile(rf"(\d{{4}})[-/](\d\d)[-/](\d\d)[T ]{_CLOCK}{_ZONE}")
# Spreadsheets and consoles: the order of day and month depends on the country.
_SLASHED: Final = re.compile(
    rf"\b(\d{{1,2}})/(\d{{1,2}})/(\d{{4}}|\d\d),?[T ]{_CLOCK}(?: ?([AaPp])[Mm])?{_ZONE}"
)
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_MONTH: Final = rf"({'|'.join(_MONTHS)})"
# Kibana and Datadog (`Nov 28, 2026 @ 10:00:09.000`), web servers (`28/Nov/2026:10:00:09 +0000`),
# and syslog, which writes no year.
_NAMED: Final = re.compile(
    rf"\b{_MONTH} {{1,2}}(\d{{1,2}})(?:, (\d{{4}}))?(?: @)? {_CLOCK}{_ZONE}"
    rf"|\b(\d{{1,2}})[/ ]{_MONTH}[/ ](\d{{4}})[: ]{_CLOCK}{_ZONE}"
)
# Syslog's times are compared within their own file only; a leap year takes every date.
_NO_YEAR: Final = 2000
_CENTURY: Final = 20
_MOST_MONTHS: Final = 12
_NANOS: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
EPOCH_NUMBER: Final = re.compile(r"\d{10,19}(?:\.\d{1,9})?")
# A number of digits means seconds, milliseconds, microseconds or nanoseconds since the epoch.
_UNITS: Final = ((10, 11, 9), (12, 14, 6), (15, 17, 3), (18, 19, 0))


def time_of(text: str) -> tuple[int | None, bool]:
    """Return the first time in a text (None without one), and whether it names its offset."""
    match = _TIME.search(text)
    if match is not None:
        return _nanoseconds(*match.groups())
    match = _SLASHED.search(text)
    if match is not None:
        return _of_slashed(*match.groups())
    match = _NAMED.search(text)
    if match is None:
        return None, False
    if match[1] is not None:
        month, day, year, *rest = match.groups()[:8]
    else:
        day, month, year, *rest = match.groups()[8:]
    number = _MONTHS.index(month) + 1
    return _nanoseconds(year or _NO_YEAR, number, day, *rest)


def _of_slashed(*parts: Any) -> tuple[int | None, bool]:
    """Return the time of a date with slashes; where its order is unclear, not as a zoned one."""
    first, second, year, hour, minute, second_, fraction, half, zone = parts
    is_short = len(year) < len(str(_NO_YEAR))
    # Python's `%x`, which Rich's handler of logs uses, writes `month/day/year` in two digits each.
    is_month_first = half is not None or is_short
    is_day_first = int(first) > _MOST_MONTHS or (int(second) <= _MOST_MONTHS and not is_month_first)
    day, month = (first, second) if is_day_first else (second, first)
    if half is not None:
        hour = int(hour) % 12 + (12 if half.upper() == "P" else 0)
    year = f"{_CENTURY}{year}" if is_short else year
    time_ns, zoned = _nanoseconds(year, month, day, hour, minute, second_, fraction, zone)
    is_clear = first == second or max(int(first), int(second)) > _MOST_MONTHS
    return time_ns, zoned and is_clear


def _nanoseconds(*parts: Any) -> tuple[int | None, bool]:
    *numbers, fraction, zone = parts
    try:
        whole = datetime(*map(int, numbers), tzinfo=timezone.utc) - _EPOCH  # type: ignore[misc,arg-type]  # six numbers, by the patterns
    except ValueError:
        return None, False
    seconds = whole.days * 86400 + whole.seconds - _offset(zone)
    return max(seconds * _NANOS + int((fraction or "0").ljust(9, "0")), 0), zone is not None


def _offset(zone: str | None) -> int:
    if zone is None or zone[0].isalpha():
        return 0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds


def time_in(value: object) -> tuple[int | None, bool]:
    """Return the time that a field holds: a text, or a number since the epoch."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = f"{value:.9f}" if isinstance(value, float) else str(value)
    if not isinstance(value, str):
        return None, False
    if EPOCH_NUMBER.fullmatch(value) is None:
        return time_of(value)
    whole, _, fraction = value.partition(".")
    for shortest, longest, zeros in _UNITS:
        if shortest <= len(whole) <= longest:
            return int(whole + fraction.ljust(zeros, "0")[:zeros]), True
    return None, False
