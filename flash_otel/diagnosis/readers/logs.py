"""Logs as a source: of a deployment, of workers, of containers, in any mix."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flash_otel.diagnosis.readers.base import NothingFoundError
from flash_otel.diagnosis.readers.log_groups import Grouper
from flash_otel.diagnosis.readers.log_spans import RecordQueue
from flash_otel.diagnosis.readers.log_text import Found, LogLines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.readers.base import Progress
    from flash_otel.diagnosis.readers.input import Input
    from flash_otel.records import SpanRecord


class LogFile:
    """A log of any size: spans that a worker wrote into it, and bracketed lines."""

    def __init__(self, given: Input) -> None:
        self.name = given.name
        self._input = given

    def records(self, progress: Progress | None = None) -> Iterator[SpanRecord]:
        """Yield the log's spans, and records rebuilt from its bracketed lines.

        Raises:
            SourceError: It cannot be read, or holds neither.
        """
        grouper, queue, found = Grouper(), RecordQueue(self.name), False
        for said in LogLines().read(self._input.chunks(progress)):
            found = True
            if isinstance(said, Found):
                begun = grouper.add(said)
                if begun is not None:
                    yield from queue.add(begun)
            else:
                number, record = said
                yield from queue.add(replace(record, origin=f"{self.name}:{number}"))
        yield from queue.rest()
        if not found:
            raise NothingFoundError(
                f"{self.name} is text without a bracketed line or a span of flash_otel"
            )
