"""Suggestions for mistyped names."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_CUTOFF: Final = 0.6
_LEAST_PART: Final = 3  # characters of a name that are enough to recognize it


def closest(given: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, or None.

    Args:
        given: What the user typed.
        known: The valid names.
    """
    by_spelling = {_plain(name): name for name in known}
    typed = _plain(given)
    # A part of a name, such as `stale` for `stale_build`, is too different for difflib.
    found = [name for name in by_spelling if len(typed) >= _LEAST_PART and typed in name]
    found = found or get_close_matches(typed, by_spelling, n=1, cutoff=_CUTOFF)
    return by_spelling[found[0]] if found else None


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return `Did you mean NAME?`, or an empty string if no known name is similar."""
    name = closest(given, known)
    return f"Did you mean {name}?" if name else ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
