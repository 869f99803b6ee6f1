"""Cut a JSON document to a size, for readers that pay for each word."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST: Final = 4_000  # characters of a string
_MARK: Final = "…"


def bounded(document: Any, most: int) -> tuple[Any, list[str]]:
    """Return a document of limited size, and sentences about what was left out.

    What comes first is kept: every list keeps its first items, until the rest of the document has
    no more room. Keys and short values are kept always, so that the shape of a document is.

    Args:
        document: JSON values.
        most: Maximum length of the text, in characters. The keys alone may exceed it.
    """
    cutter = _Cutter(most)
    return cutter.value(document, ""), cutter.notes


class _Cutter:
    """What is left of the room, and what was left out so far."""

    def __init__(self, most: int) -> None:
        self._left = most
        self.notes: list[str] = []

    def value(self, value: Any, path: str) -> Any:
        """Return a value as far as there is room for it."""
        if isinstance(value, dict):
            return dict(self._members(value, path))
        if isinstance(value, list):
            return list(self._items(value, path))
        if isinstance(value, str):
            value = self._text(value, path)
        self._left -= len(json.dumps(value)) + 2
        return value

    def _members(self, members: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
        for name, member in members.items():
            self._left -= len(name) + 4
            yield name, self.value(member, f"{path}.{name}" if path else name)

    def _items(self, items: list[Any], path: str) -> Iterator[Any]:
        for number, item in enumerate(items):
            if self._left <= 0:
                place = path or "the list"
                self.notes.append(f"{place}: {number} of {len(items)} items are shown.")
                return
            yield self.value(item, f"{path}[{number}]")

    def _text(self, text: str, path: str) -> str:
        if len(text) <= LONGEST:
            return text
        self.notes.append(f"{path}: {LONGEST} of {len(text)} characters are shown.")
        return text[:LONGEST] + _MARK
