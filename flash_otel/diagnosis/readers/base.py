"""What every source of records is, and what goes wrong with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and the bytes there are (0: unknown)."""


class Source(Protocol):
    """Somewhere that records come from.

    Attributes:
        name: What a person calls it, such as a file's path.
    """

    name: str

    def records(self, progress: Progress | None = None) -> Iterator[SpanRecord]:
        """Yield the records, in flat memory.

        Raises:
            SourceError: The source cannot be read.
        """


class SourceError(Exception):
    """A source cannot be read; the message names it and says what was found."""


class NothingFoundError(SourceError):
    """A source could be read to its end, but holds nothing of flash_otel's."""
