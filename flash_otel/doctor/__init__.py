"""Check an installation: the result of a check, and the verdict on several.

Each module holds the checks of a topic; `cli/doctor.py` lists them.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

OK: Final = "ok"
NOTE: Final = "note"
PROBLEM: Final = "problem"
UNKNOWN: Final = "unknown"

WORST_FIRST: Final = (PROBLEM, UNKNOWN, NOTE, OK)
# Shells cannot set or unset other names, but `env` and containers can.
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """The result of one check.

    Attributes:
        name: The check's name, such as `store_rights`.
        result: `ok`, `note`, `problem` or `unknown`.
        text: The finding, in one sentence.
        next_step: What to do about it, in words; empty if `command` is enough.
        command: A shell command that fixes it, or an empty string.
    """

    name: str
    result: str
    text: str
    next_step: str = ""
    command: str = ""


def verdict(checks: Iterable[DoctorCheck]) -> str:
    """Return the worst result, or `ok` without any checks."""
    found = {check.result for check in checks}
    return next((result for result in WORST_FIRST if result in found), OK)


def unset(*names: str) -> str:
    """Return the command that unsets variables."""
    if all(map(_IDENTIFIER.fullmatch, names)):
        return f"unset {' '.join(names)}"
    options = " ".join(f"-u {shlex.quote(name)}" for name in names)
    return f"env {options} flash-otel doctor"


def export(name: str, value: str) -> str:
    """Return the command that sets a variable."""
    return f"export {name}={shlex.quote(value)}"
