"""The embedded store of spans: one SQLite file, written by any number of processes.

A person can look into it with `sqlite3`: `SELECT * FROM readable ORDER BY started DESC`.
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel.store import retention, schema
from flash_otel.store.errors import StoreCorruptError, StoreError, translated
from flash_otel.store.insert import insert
from flash_otel.store.paths import default_path, files_to_write, numbered, numbers, prepare
from flash_otel.store.rows import SELECT, from_row
from flash_otel.store.summary import TraceSummary, summary, trace_ids

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from os import PathLike
    from types import TracebackType

    from typing_extensions import Self

    from flash_otel.records import SpanRecord

__all__ = [
    "SpanStore",
    "StoreCorruptError",
    "StoreError",
    "TraceSummary",
    "default_path",
    "newest",
    "open_for_writing",
]

BUSY_MS: Final = 5_000
BATCH: Final = 1_000

_KEY_DIGITS: Final = frozenset("0123456789abcdef")
_BY_ENVIRONMENT: Final = "(environment_id = ? OR environment_name = ?)"


class SpanStore:
    """The spans in one file; it is created where it is missing.

    One thread at a time may use it. Every method raises `StoreError` where the file cannot be
    read or written.

    Args:
        path: The database file.
        busy_ms: How long to wait for another process's lock, in milliseconds.

    Raises:
        StoreError: The file cannot be used; the message says why.
    """

    def __init__(self, path: str | PathLike[str], *, busy_ms: int = BUSY_MS) -> None:
        self.path = Path(path)
        with translated(self.path):
            prepare(self.path)
        self._connection = schema.connect(self.path, busy_ms)
        with translated(self.path):
            self._found = self._connection.execute("SELECT max(id) FROM spans").fetchone()[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for what is kept beside the spans (`forward_cursor`)."""
        return self._connection

    def close(self) -> None:
        """Close the file; a closed store cannot be used any more."""
        self._connection.close()

    def write(self, records: Iterable[SpanRecord]) -> None:
        """Keep records, each once: a finished one replaces a started one, never the reverse."""
        rest = iter(records)
        while batch := list(islice(rest, BATCH)):
            with translated(self.path), schema.transaction(self._connection):
                insert(self._connection, batch)

    def trace(self, trace_id_prefix: str) -> list[SpanRecord]:
        """Return the spans of a trace in the order of their start; none of an unknown one.

        Args:
            trace_id_prefix: The trace id in hex, or enough first digits of it to be unique.

        Raises:
            StoreError: Several traces begin so.
        """
        trace_id = self._full(trace_id_prefix.strip().lower())
        if trace_id is None:
            return []
        return list(self._records("WHERE trace_id = ? ORDER BY start_ns, spans.id", trace_id))

    def traces(
        self, limit: int = 20, environment: str | None = None, since_ns: int | None = None
    ) -> list[TraceSummary]:
        """Summarize the traces in which something began last, the newest first.

        Args:
            limit: How many at most.
            environment: Id or name of the environment that a trace must have to do with.
            since_ns: Only traces in which a span began at or after this time, in nanoseconds
                since the epoch.
        """
        where, values = _conditions(environment=environment, since_ns=since_ns)
        with translated(self.path):
            found = trace_ids(self._connection, where, values, limit)
            return [summary(self._connection, one) for one in found]

    def latest_trace_id(self) -> str | None:
        """Return the id of the trace in which a span began last, or None."""
        with translated(self.path):
            return next(iter(trace_ids(self._connection, "", (), 1)), None)

    def spans(
        self,
        *,
        environment: str | None = None,
        build_id: str | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> Iterator[SpanRecord]:
        """Stream the spans that meet all conditions, in the order of their start.

        Args:
            environment: Id or name of an environment.
            build_id: Id of a build.
            since_ns: Earliest start, in nanoseconds since the epoch.
            until_ns: Start before this, in nanoseconds since the epoch.
        """
        where, values = _conditions(
            environment=environment, build_id=build_id, since_ns=since_ns, until_ns=until_ns
        )
        return self._records(f"{where} ORDER BY start_ns, spans.id", *values)

    def linked(self, trace_id: str) -> list[SpanRecord]:
        """Return the spans of other traces that point to this one, by link or by attribute."""
        where = "WHERE spans.id IN (SELECT span FROM span_links WHERE linked_trace_id = ?)"
        return list(self._records(f"{where} ORDER BY start_ns, spans.id", trace_id))

    def prune(
        self, *, max_age_s: float = retention.MAX_AGE_S, max_bytes: int = retention.MAX_BYTES
    ) -> int:
        """Delete what is older than `max_age_s` seconds or exceeds `max_bytes`, oldest first.

        Age is counted back from the newest span that this store held when it was opened: what was
        recorded last stays, even if nothing has been recorded since for a long time, and a clock
        that runs ahead makes nothing old on its own word.

        Returns:
            How many spans were deleted; one call deletes 10,000 at most, to be short.
        """
        with translated(self.path):
            now_ns = time.time_ns()
            query = "SELECT max(start_ns) FROM spans WHERE start_ns <= ? AND id <= ?"
            (latest_ns,) = self._connection.execute(query, (now_ns, self._found)).fetchone()
            # Where everything is yet to come, the clock was set back: nothing is old then.
            before_ns = None if latest_ns is None else latest_ns - int(max_age_s * 1e9)
            return retention.prune(
                self._connection, before_ns=before_ns, now_ns=now_ns, max_bytes=max_bytes
            )

    def _full(self, prefix: str) -> str | None:
        if not prefix or not _KEY_DIGITS.issuperset(prefix):
            return None
        # 'g' follows every hex digit: all ids that begin with the prefix lie below.
        query = (
            "SELECT DISTINCT trace_id FROM spans WHERE trace_id >= ? AND trace_id < ? "
            "ORDER BY trace_id LIMIT 2"
        )
        with translated(self.path):
            found = self._connection.execute(query, (prefix, f"{prefix}g")).fetchall()
        if len(found) > 1:
            raise StoreError(
                f"several traces begin with {prefix}, such as {found[0][0]} and {found[1][0]}: "
                "give more digits"
            )
        return str(found[0][0]) if found else None

    def _records(self, rest: str, *values: object) -> Iterator[SpanRecord]:
        with translated(self.path):
            for row in self._connection.execute(SELECT + rest, values):
                yield from_row(row)


def newest(path: str | PathLike[str]) -> Path | None:
    """Return the newest readable file of a store, or None where there is none.

    A writer that finds `spans.db` damaged leaves it and goes on in `spans.1.db`, and so on.
    """
    files = (numbered(Path(path), number) for number in numbers(Path(path)))
    return next((file for file in files if schema.check(file)), None)


def open_for_writing(
    path: str | PathLike[str], *, busy_ms: int = BUSY_MS, damaged: Path | None = None
) -> SpanStore:
    """Open the newest file of a store, or a fresh one beside it where that is damaged.

    Args:
        path: The store's first file, such as `spans.db`.
        busy_ms: How long to wait for another process's lock, in milliseconds.
        damaged: A file of this store that turned out to be damaged while it was in use.

    Raises:
        StoreError: No file can be used there.
    """
    found: StoreError = StoreError(f"{path}: every file beside it is damaged")
    for file in files_to_write(Path(path), damaged):
        try:
            return SpanStore(file, busy_ms=busy_ms)
        except StoreCorruptError as error:
            found = error
    raise found


def _conditions(
    *,
    environment: str | None = None,
    build_id: str | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> tuple[str, tuple[object, ...]]:
    asked: tuple[tuple[str, object, int], ...] = (
        (_BY_ENVIRONMENT, environment, 2),
        ("build_id = ?", build_id, 1),
        ("start_ns >= ?", since_ns, 1),
        ("start_ns < ?", until_ns, 1),
    )
    given = [(text, [value] * times) for text, value, times in asked if value is not None]
    where = " AND ".join(text for text, _ in given)
    return (f"WHERE {where}" if where else "", tuple(one for _, each in given for one in each))
