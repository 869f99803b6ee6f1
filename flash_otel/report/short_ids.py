"""Ids on a terminal: as short as they can be told apart, with the whole ones in a list."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHORTEST: Final = 8  # characters, as in the sentences of a diagnosis
_KEPT: Final = 12  # ids of this length are hardly longer than their beginning
# An id, or the beginning of one that a sentence has shortened already.
_TOKEN: Final = re.compile(rf"[0-9A-Za-z][0-9A-Za-z_-]{{{_SHORTEST - 1},}}…?")


class ShortIds:
    """The ids of a report, each with the shortest beginning that no other one has.

    Args:
        ids: The ids; short ones stay whole.
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        ordered = sorted({known for known in ids if len(known) > _KEPT})
        shared = [_shared(*pair) for pair in pairwise(ordered)]
        lengths = (max(pair) + 1 for pair in zip([0, *shared], [*shared, 0], strict=False))
        self._short = {
            known: known[: max(_SHORTEST, length)]
            for known, length in zip(ordered, lengths, strict=False)
        }
        self._whole = {f"{known[:_SHORTEST]}…": known for known in ordered}
        self.used: dict[str, None] = {}

    def of(self, identifier: str) -> str:
        """Return the short form of an id; an unknown id stays whole."""
        short = self._short.get(identifier, identifier)
        if short != identifier:
            self.used[identifier] = None
        return short

    def within(self, text: str) -> str:
        """Return a text with the short forms of all ids in it."""
        if not self._short:
            return text
        return _TOKEN.sub(lambda found: self.of(self._whole.get(found[0], found[0])), text)


def _shared(first: str, second: str) -> int:
    """Return how many characters two texts begin with alike."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(first), len(second)))
