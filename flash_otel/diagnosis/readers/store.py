"""Reader of the local store: the deployments that were recorded on this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis.readers.input import NothingFoundError, ReaderError
from flash_otel.diagnosis.values import text

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from flash_otel.diagnosis.readers.input import Progress
    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore

HOST_ID: Final = "host.id"
_HOST_KEYS: Final = (HOST_ID, "host.name")
# Workers write to no store, so spans with these attributes were imported from other machines.
_WORKER_KEYS: Final = (semconv.FAAS_INSTANCE, semconv.FAAS_NAME)


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
        self.name = "store"

    def records(self, progress: Progress | None = None) -> Iterator[SpanRecord]:
        """Yield the records, in the order of their start.

        Raises:
            NothingFoundError: There is no store yet.
            ReaderError: The store cannot be read.
        """
        from flash_otel.store.store import StoreError, open_for_reading

        try:
            opened = open_for_reading(self._path)
            if opened is None:
                raise NothingFoundError(f"nothing is recorded in {self._path}")
            with opened as store:
                yield from self._records(store, progress)
        except StoreError as error:
            raise ReaderError(str(error)) from error

    def _records(self, store: SpanStore, progress: Progress | None) -> Iterator[SpanRecord]:
        host = f"store {self._path}"
        for number, record in enumerate(store.spans(since_ns=self._since_ns), 1):
            if progress is not None and number % 1_000 == 0:
                progress(number, 0)
            yield _with_host(record, host)


def _with_host(record: SpanRecord, host: str) -> SpanRecord:
    if any(text(record.resource, key) for key in (*_HOST_KEYS, *_WORKER_KEYS)):
        return record
    return replace(record, resource={**record.resource, HOST_ID: host})
