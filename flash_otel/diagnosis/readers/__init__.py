"""Readers of recorded evidence: each yields span records from one kind of place."""

from __future__ import annotations

import shlex
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from flash_otel.diagnosis.facts import with_host
from flash_otel.diagnosis.readers.archive import ZipReader
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

    from flash_otel.diagnosis.recorded import RecordedSpans
    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore

__all__ = [
    "NothingFoundError",
    "Progress",
    "ReaderError",
    "RecordReader",
    "StoreReader",
    "open_reader",
]


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


_ZIP: Final = b"PK\x03\x04"
_READERS: Final[dict[Kind, Callable[[Input], RecordReader]]] = {
    Kind.LOG: LogReader,
    Kind.OTLP_JSON: OtlpJsonReader,
    Kind.OTLP_PROTOBUF: OtlpProtobufReader,
}


def open_reader(path: str | os.PathLike[str], chunk: int = CHUNK) -> RecordReader:
    """Open a file, or standard input for `-`, by what its first bytes show.

    Args:
        path: A log, or OTLP as JSON lines, as one JSON document or as protobuf; each may be
            compressed with gzip, or be in a zip archive with other files.
        chunk: Bytes to read at a time.

    Raises:
        ReaderError: It cannot be read; the message names what was found.
    """
    given = Input(path, chunk)
    if given.head.startswith(_ZIP) and given.size and zipfile.is_zipfile(path):
        return ZipReader(path, chunk, lambda inner: _reader_of(inner).records())
    return _reader_of(given)


def _reader_of(given: Input) -> RecordReader:
    kind = kind_of(given.head)
    if kind is Kind.SQLITE:
        raise ReaderError(
            f"{given.name} is an SQLite database",
            f"If it is flash_otel's store, read it with: --store {shlex.quote(given.name)}",
        )
    if kind is None:
        raise ReaderError(
            f"{given.name} is {description_of(given.head)}; "
            "a log or an OTLP file (JSON or protobuf) can be read"
        )
    return _READERS[kind](given)


class StoreReader:
    """Reads the spans of the local store.

    Processes of this machine share its clock. Their records get a host id, which lets diagnosis
    compare their times without allowing for skew.

    Args:
        path: The store's first file; None for the user's default store.
        since_ns: Earliest start, in nanoseconds since the epoch.

    Raises:
        ReaderError: There is no place for a store.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, since_ns: int | None = None
    ) -> None:
        from flash_otel.store.store import StoreError, locate

        try:
            self._path = locate(path)
        except StoreError as error:
            raise ReaderError(str(error)) from error
        self._since_ns = since_ns
        self._host = f"store {self._path}"
        self.name = "store"

    def records(self, progress: Progress | None = None) -> Iterator[SpanRecord]:
        """Yield the records, in the order of their start.

        Raises:
            NothingFoundError: There is no store yet.
            ReaderError: The store cannot be read.
        """
        with self._opened() as store:
            for number, record in enumerate(store.spans(since_ns=self._since_ns), 1):
                if progress is not None and number % 1_000 == 0:
                    progress(number, 0)
                yield with_host(record, self._host)

    @contextmanager
    def recorded(self) -> Iterator[RecordedSpans]:
        """Open the store for lookups, which read only what a question needs.

        Raises:
            NothingFoundError: There is no store yet.
            ReaderError: The store cannot be read.
        """
        from flash_otel.diagnosis.recorded import local_spans

        with self._opened() as store:
            yield local_spans(store, self._since_ns)

    @contextmanager
    def _opened(self) -> Iterator[SpanStore]:
        from flash_otel.store.store import StoreError, open_for_reading

        try:
            opened = open_for_reading(self._path)
            if opened is None:
                raise NothingFoundError(f"nothing is recorded in {self._path}")
            with opened as store:
                yield store
        except StoreError as error:
            raise ReaderError(str(error)) from error
