"""What a check found, in one sentence, with the next step where there is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

OK: Final = "ok"
NOTE: Final = "note"
PROBLEM: Final = "problem"
UNKNOWN: Final = "unknown"

# The first of these that a check came to is the verdict on all.
_WORST_FIRST: Final = (PROBLEM, UNKNOWN, NOTE, OK)


@dataclass(frozen=True, slots=True)
class Check:
    """One check's result.

    Attributes:
        name: The check's name, such as `store_rights`.
        result: `ok`, `note`, `problem` or `unknown`.
        says: What was found.
        next_step: What to do about it; empty where there is nothing to do.
    """

    name: str
    result: str
    says: str
    next_step: str = ""


def verdict(checks: Iterable[Check]) -> str:
    """Return the worst result, `ok` where there is none."""
    found = {check.result for check in checks}
    return next((result for result in _WORST_FIRST if result in found), OK)
