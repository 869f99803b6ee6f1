"""Read the local store, with every deployment that was recorded on this machine."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from flash_otel.diagnosis.facts import with_host
from flash_otel.diagnosis.readers.input import NothingFoundError, ReaderError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from flash_otel.diagnosis.readers.input import Progress
    from flash_otel.diagnosis.recorded import RecordedSpans
    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore


class StoreReader:
    """Reads the spans of the local store.

    Processes of this machine share its clock. Their records get a host id, which lets diagnosis
    compare their times without allowing for skew.

    Args:
        path: The store's first file; None for the user's default store.
        since_ns: Earliest start, in nanoseconds since the epoch.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, since_ns: int | None = None
    ) -> None:
        from flash_otel.store.store import default_path

        self._path = default_path() if path is None else path
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
        from flash_otel.diagnosis.recorded import RecordedSpans

        with self._opened() as store:
            yield RecordedSpans(store, partial(with_host, host=self._host), self._since_ns)

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
