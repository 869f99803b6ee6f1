"""When reports are coloured: what the user chose, environment variables, and the terminal.

The first that applies decides: `--color always` or `never`; `NO_COLOR`, if it is not empty
(https://no-color.org); `CLICOLOR_FORCE` or `FORCE_COLOR`, if it is neither empty nor `0`;
`CLICOLOR=0` (https://bixense.com/clicolors); else only a terminal gets colours.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import Final

from flash_otel.runtime.process import ProcessVar

# Consumed here: Rich would take a piped report for one on a terminal, and cut its lines.
VARIABLES: Final = ("NO_COLOR", "FORCE_COLOR")
_FORCING: Final = ("CLICOLOR_FORCE", "FORCE_COLOR")


class Color(str, Enum):
    """The values of `--color`."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


chosen: Final = ProcessVar(lambda: Color.AUTO)


def color_system(*, is_terminal: bool) -> str | None:
    """Return Rich's name for the colours of a stream; None for no escape sequences at all."""
    wanted = _wanted()
    if wanted is Color.ALWAYS and not (is_terminal and _has_colors()):
        return "standard"  # where Rich would detect none; reports use no other colours
    return "auto" if is_terminal and wanted is not Color.NEVER else None


def _has_colors() -> bool:
    return os.environ.get("TERM", "dumb").lower() not in {"dumb", "unknown"}


def _wanted() -> Color:
    if chosen.value is not Color.AUTO:
        return chosen.value
    if os.environ.get("NO_COLOR"):
        return Color.NEVER
    if any(os.environ.get(name, "0") not in {"", "0"} for name in _FORCING):
        return Color.ALWAYS
    return Color.NEVER if os.environ.get("CLICOLOR") == "0" else Color.AUTO
