"""Readers of recorded evidence: each yields span records from one kind of place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from flash_otel.diagnosis.readers.input import (
    CHUNK,
    Input,
    Kind,
    NothingFoundError,
    Progress,
    ReaderError,
    description_of,
    kind_of,
)
from flash_otel.diagnosis.readers.log_spans import LogReader
from flash_otel.diagnosis.readers.otlp import OtlpJsonReader, OtlpProtobufReader

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from flash_otel.records import SpanRecord

__all__ = ["NothingFoundError", "Progress", "ReaderError", "RecordReader", "open_reader"]


class RecordReader(Protocol):
    """A place that span records are read from.

    Attributes:
        name: The place for messages, such as a file's path.
    """

    name: str

    def records(self, progress: Progress | None = None) -> Iterator[SpanRecord]:
        """Yield the records, in flat memory.

        Raises:
            ReaderError: The place cannot be read.
            NothingFoundError: It was read to its end and holds no record.
        """


_READERS: Final[dict[Kind, Callable[[Input], RecordReader]]] = {
    Kind.LOG: LogReader,
    Kind.OTLP_JSON: OtlpJsonReader,
    Kind.OTLP_PROTOBUF: OtlpProtobufReader,
}


def open_reader(path: str | os.PathLike[str], chunk: int = CHUNK) -> RecordReader:
    """Open a file, or standard input for `-`, by what its first bytes show.

    Args:
        path: A log, or OTLP as JSON lines, as one JSON document or as protobuf; each may be
            compressed with gzip.
        chunk: Bytes to read at a time.

    Raises:
        ReaderError: It cannot be read; the message names what was found.
    """
    given = Input(path, chunk)
    kind = kind_of(given.head)
    if kind is Kind.SQLITE:
        raise ReaderError(
            f"{given.name} is an SQLite database: if it is flash_otel's store, "
            f"name it by FLASH_OTEL_STORE={given.name} and read it with --from store"
        )
    if kind is None:
        raise ReaderError(
            f"{given.name} is {description_of(given.head)}; "
            "a log or an OTLP file (JSON or protobuf) can be read"
        )
    return _READERS[kind](given)
