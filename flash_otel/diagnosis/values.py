"""Attributes of a span, read defensively: a value of another type is no value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flash_otel.records import Attributes


def text(attributes: Attributes, name: str) -> str | None:
    """Return a string that is not empty, or None."""
    value = attributes.get(name)
    return value if isinstance(value, str) and value else None


def number(attributes: Attributes, name: str) -> int | None:
    """Return a whole number that is not negative, or None."""
    value = attributes.get(name)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if is_number and int(value) >= 0 else None  # type: ignore[arg-type]  # narrowed by is_number


def texts(attributes: Attributes, name: str) -> tuple[str, ...] | None:
    """Return a list of strings as a tuple, or None."""
    value = attributes.get(name)
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        return None
    return tuple(one if isinstance(one, str) else str(one) for one in value)
