"""How far back: `2h`, `30m`, `1.5d`."""

from __future__ import annotations

import re
import time
from typing import Final

from flash_otel.cli.errors import CommandError

UNITS: Final[dict[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhdw])", re.ASCII | re.IGNORECASE)


def age_in_seconds(text: str) -> float:
    """Return the seconds of an age such as `2h`.

    Raises:
        CommandError: It is no number with one of the units s, m, h, d, w.
    """
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise CommandError(
            f"{text!r} is no age.",
            "Give a number and a unit (s, m, h, d or w), for example: --since 2h",
        )
    return float(found[1]) * UNITS[found[2].lower()]


def since_ns(text: str | None) -> int | None:
    """Return when an age ago was, in nanoseconds since the epoch; None stays None."""
    if text is None:
        return None
    return max(0, time.time_ns() - int(age_in_seconds(text) * 1e9))
