"""The embedded span store: one SQLite file that any number of processes write to.

People can query it with `sqlite3`: `SELECT * FROM readable ORDER BY started DESC`.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from flash_otel.store import files, queries, retention, schema
from flash_otel.store.errors import (
    StoreCorruptError,
    StoreEmptyError,
    StoreError,
    StoreOutdatedError,
    translated,
)
from flash_otel.store.location import locate, locate_demo
from flash_otel.store.queries import TraceFilter, TraceSummary
from flash_otel.store.references import JOB, TRACE, reference
from flash_otel.store.rows import SELECT, from_row, insert

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator
    from os import PathLike

    from typing_extensions import Self

    from flash_otel.records import SpanRecord


__all__ = [
    "SpanStore",
    "StoreCorruptError",
    "StoreError",
    "TraceFilter",
    "TraceSummary",
    "locate",
    "locate_demo",
    "newest",
    "open_existing",
    "open_for_reading",
    "open_for_writing",
]

BUSY_MS: Final = 5_000
BATCH: Final = 1_000
_JOINED: Final = f"""
    SELECT other.trace_id FROM spans AS own
    JOIN span_references AS mine ON mine.span = own.id
    JOIN span_references AS theirs ON theirs.reference = mine.reference
    JOIN spans AS other ON other.id = theirs.span
    WHERE own.trace_id = ?1 AND other.trace_id != ?1
    AND mine.reference >= '{JOB}:' AND mine.reference < '{JOB};'
    GROUP BY other.trace_id ORDER BY min(other.start_ns)"""  # noqa: S608 - constants only


class SpanStore:
    """The spans in one file.

    Only one thread at a time may use it. Every method raises `StoreError` if the file cannot be
    read or written.

    Args:
        path: The database file; created if it is missing, unless it is only read.
        busy_ms: How long to wait for another process's lock, in milliseconds.
        is_read_only: Open an existing file without changing anything.

    Raises:
        StoreError: The file cannot be used; the message gives the cause.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        busy_ms: int = BUSY_MS,
        is_read_only: bool = False,
    ) -> None:
        self.path = Path(path)
        with translated(self.path):
            files.refuse_unsafe(self.path) if is_read_only else files.prepare(self.path)
        connect = schema.connect_read_only if is_read_only else schema.connect
        self._connection = connect(self.path, busy_ms)
        try:
            with translated(self.path):
                query = "SELECT max(id) FROM spans"
                self._last_id = self._connection.execute(query).fetchone()[0]
        except StoreError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for the tables beside the spans (`cursors`)."""
        return self._connection

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        self._connection.close()

    def write(self, records: Iterable[SpanRecord]) -> None:
        """Store each record once: a finished span replaces a started one, never the reverse."""
        rest = iter(records)
        while batch := list(islice(rest, BATCH)):
            with translated(self.path), schema.transaction(self._connection):
                insert(self._connection, batch)

    def replace(self, records: Iterable[SpanRecord]) -> None:
        """Store records in place of everything in the file, in one transaction.

        Readers see the former spans until it ends, and keep them if it is interrupted; a second
        writer waits.
        """
        rest = iter(records)
        with translated(self.path), schema.transaction(self._connection):
            for table in schema.TABLES:
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constants only
            while batch := list(islice(rest, BATCH)):
                insert(self._connection, batch)

    def trace_id(self, name: str) -> str | None:
        """Return the id of the trace that a person names; None if there is none.

        Args:
            name: The trace id in hex, or enough first digits of it to be unique; or a place in the
                list of `traces`: `last`, `last^1` for the one before it, `last^2` and so on.

        Raises:
            AmbiguousTraceError: Several traces begin with the digits.
        """
        with translated(self.path):
            return queries.trace_id_named(self._connection, name)

    def trace(self, name: str) -> list[SpanRecord]:
        """Return the spans of a trace by start time; an empty list for an unknown trace.

        Args:
            name: As for `trace_id`.

        Raises:
            AmbiguousTraceError: Several traces begin with the digits.
        """
        trace_id = self.trace_id(name)
        if trace_id is None:
            return []
        return list(self._records("WHERE trace_id = ? ORDER BY start_ns, spans.id", trace_id))

    def traces(self, limit: int = 20, asked: TraceFilter = queries.ALL) -> list[TraceSummary]:
        """Summarize the traces with the latest span starts, the newest first.

        Args:
            limit: Maximum number of traces.
            asked: Conditions on them.
        """
        return list(islice(self.matching_traces(asked), limit))

    def matching_traces(self, asked: TraceFilter) -> Iterator[TraceSummary]:
        """Summarize the traces that meet conditions, one at a time, in the order of `traces`."""
        with translated(self.path):
            for trace_id in queries.matching_traces(self._connection, asked):
                yield queries.summarize(self._connection, trace_id)

    def summary(self, trace_id: str) -> TraceSummary:
        """Summarize a trace that is in the store."""
        with translated(self.path):
            return queries.summarize(self._connection, trace_id)

    def short_trace_id(self, trace_id: str) -> str:
        """Return the first digits of a stored trace's id that no other trace begins with."""
        with translated(self.path):
            return queries.short_trace_id(self._connection, trace_id)

    def extent(self) -> tuple[int | None, int | None]:
        """Return the lowest and the highest id of a span, which change with every write."""
        with translated(self.path):
            query = "SELECT (SELECT min(id) FROM spans), (SELECT max(id) FROM spans)"
            low, high = self._connection.execute(query).fetchone()
        return low, high

    def latest_trace_id(self) -> str | None:
        """Return the id of the trace whose span started last, or None."""
        with translated(self.path):
            return next(queries.matching_traces(self._connection), None)

    def spans(self, since_ns: int | None = None) -> Iterator[SpanRecord]:
        """Stream the spans by start time.

        Args:
            since_ns: Earliest start, in nanoseconds since the epoch.
        """
        order = "ORDER BY start_ns, spans.id"
        if since_ns is None:
            return self._records(order)
        return self._records(f"WHERE start_ns >= ? {order}", since_ns)

    def linked(self, trace_id: str) -> list[SpanRecord]:
        """Return the spans of other traces that refer to this one, by link or by attribute."""
        where = "WHERE spans.id IN (SELECT span FROM span_references WHERE reference = ?)"
        made = reference(TRACE, trace_id)
        return list(self._records(f"{where} ORDER BY start_ns, spans.id", made))

    def joined(self, trace_id: str) -> list[str]:
        """Return the other traces that jobs join with this one: that of the caller, or callee."""
        with translated(self.path):
            return [str(found) for (found,) in self._connection.execute(_JOINED, (trace_id,))]

    def prune(
        self, *, max_age_s: float = retention.MAX_AGE_S, max_bytes: int = retention.MAX_BYTES
    ) -> int:
        """Delete what is older than `max_age_s` seconds or exceeds `max_bytes`, oldest first.

        Age counts back from the newest span that the store held when it was opened: the last
        recording stays however long ago it was made, and a fast clock alone cannot expire spans.

        Returns:
            Number of deleted spans; one call deletes at most 10,000, to stay short.
        """
        with translated(self.path):
            now_ns = time.time_ns()
            query = "SELECT max(start_ns) FROM spans WHERE start_ns <= ? AND id <= ?"
            (latest_ns,) = self._connection.execute(query, (now_ns, self._last_id)).fetchone()
            # If all spans are in the future, the clock was set back: then nothing is old.
            before_ns = None if latest_ns is None else latest_ns - int(max_age_s * 1e9)
            return retention.prune(
                self._connection, before_ns=before_ns, now_ns=now_ns, max_bytes=max_bytes
            )

    def _records(self, rest: str, *values: object) -> Iterator[SpanRecord]:
        with translated(self.path):
            for row in self._connection.execute(SELECT + rest, values):
                yield from_row(row)


def newest(path: str | PathLike[str]) -> Path | None:
    """Return the newest readable file of a store, or None.

    A writer that finds `spans.db` damaged leaves it and continues in `spans.1.db`, and so on.
    """
    found = (files.numbered(Path(path), number) for number in files.numbers(Path(path)))
    return next((file for file in found if schema.is_readable(file)), None)


def open_for_reading(path: str | PathLike[str], *, adopts: bool = True) -> SpanStore | None:
    """Open the newest readable file of a store read-only; None if nothing was recorded yet.

    Args:
        path: The store's first file, such as `spans.db`.
        adopts: First take in the spans that were set aside beside the store, if it can be
            written to. There may be no others, if it was locked from the beginning.

    Raises:
        StoreError: None of the store's files can be read; the error of the newest is raised.
    """
    if adopts and any(files.waiting(Path(path))):
        with suppress(StoreError), open_for_writing(path) as writable:
            files.adopt(writable.write, Path(path))
    problem: StoreError | None = None
    for number in files.numbers(Path(path)):
        try:
            return _open_read_only(files.numbered(Path(path), number))
        except StoreEmptyError:
            continue
        except StoreError as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return None


def open_existing(
    path: str | PathLike[str], prepare: Callable[[SpanStore], None]
) -> SpanStore | None:
    """Open the newest readable file of a store for writing; None if nothing was recorded yet.

    Args:
        path: The store's first file, such as `spans.db`.
        prepare: Called with the store before it takes in the spans set aside beside it.

    Raises:
        StoreError: The store cannot be read or written.
    """
    readable = open_for_reading(path, adopts=False)
    if readable is not None:
        readable.close()
        store = SpanStore(readable.path)
    elif any(files.waiting(Path(path))):
        store = open_for_writing(path)
    else:
        return None
    try:
        prepare(store)
        with suppress(StoreError):
            files.adopt(store.write, Path(path))
    except BaseException:
        store.close()
        raise
    return store


def open_for_writing(
    path: str | PathLike[str], *, busy_ms: int = BUSY_MS, damaged: Path | None = None
) -> SpanStore:
    """Open the newest file of a store, or a fresh one beside it if that is damaged.

    Args:
        path: The store's first file, such as `spans.db`.
        busy_ms: How long to wait for another process's lock, in milliseconds.
        damaged: A file of this store that turned out to be damaged while in use.

    Raises:
        StoreError: No file can be used there.
    """
    problem = StoreError(f"{path}: every file beside it is damaged")
    for file in files.files_to_write(Path(path), damaged):
        try:
            return SpanStore(file, busy_ms=busy_ms)
        except StoreCorruptError as error:
            problem = error
    raise problem


def _open_read_only(file: Path) -> SpanStore:
    try:
        return SpanStore(file, is_read_only=True)
    except StoreOutdatedError:
        SpanStore(file).close()
        return SpanStore(file, is_read_only=True)


# Nothing in the file must survive the process: it needs no journal and never waits for the disk.
_SETTINGS: Final = (
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    f"PRAGMA cache_size = -{32 * 1024}",  # KiB
)


@contextmanager
def temporary_store() -> Iterator[SpanStore]:
    """Open an empty store in a private folder, which is removed after the block.

    Raises:
        StoreError: The temporary folder cannot be written to.
    """
    try:
        with (
            TemporaryDirectory(prefix="flash-otel-", ignore_cleanup_errors=True) as folder,
            SpanStore(Path(folder) / "spans.db") as store,
        ):
            for setting in _SETTINGS:
                store.connection.execute(setting)
            yield store
    except (StoreError, OSError) as error:
        raise StoreError(
            f"the records could not be laid out on disk ({error}); TMPDIR may name another folder"
        ) from error
