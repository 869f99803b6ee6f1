"""Check an installation: the result of a check, and the verdict on several.

Each module holds the checks of a topic; `cli/doctor.py` lists them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

OK: Final = "ok"
NOTE: Final = "note"
PROBLEM: Final = "problem"
UNKNOWN: Final = "unknown"

_WORST_FIRST: Final = (PROBLEM, UNKNOWN, NOTE, OK)


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """The result of one check.

    Attributes:
        name: The check's name, such as `store_rights`.
        result: `ok`, `note`, `problem` or `unknown`.
        text: What was found, in one sentence.
        next_step: What to do about it; empty if there is nothing to do.
    """

    name: str
    result: str
    text: str
    next_step: str = ""


def verdict(checks: Iterable[DoctorCheck]) -> str:
    """Return the worst result, or `ok` without any checks."""
    found = {check.result for check in checks}
    return next((result for result in _WORST_FIRST if result in found), OK)
