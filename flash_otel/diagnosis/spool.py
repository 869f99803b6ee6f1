"""Records on disk, looked up by what they have in common: evidence of any size in flat memory.

The database is SQLite's own temporary one. It has no name that could be left behind, whatever ends
the process, and lies where SQLITE_TMPDIR or TMPDIR say.
"""

from __future__ import annotations

import sqlite3
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.spool_rows import (
    FETCHES,
    Row,
    body_of,
    names,
    record_of,
    resource_of,
    stored,
)
from flash_otel.diagnosis.spool_schema import INDEXES, INSERT, SELECT, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from typing_extensions import Self

    from flash_otel.records import SpanRecord

BATCH: Final = 2_000
CHUNK: Final = 500
"""Values in one lookup: SQLite binds 999 at least."""

_CACHE_KIB: Final = 32 * 1024

_NO_READ: Final = f"""NOT EXISTS (SELECT 1 FROM spans AS other WHERE
    other.instance = spans.instance AND NOT other.deploying AND
    other.name IN ('{sc.RUNTIME_FETCH}', '{sc.MANIFEST_FETCH}', '{sc.CALL}'))"""  # noqa: S608 - constants only


class Spool:
    """Records that were written once, and are then looked up."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._resources: dict[int, None] = {}
        self._strays: list[SpanRecord] | None = None
        self._next = 1
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self._connection.execute(f"PRAGMA {setting}")
        for table in TABLES:
            self._connection.execute(table)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def write(self, records: Iterable[SpanRecord]) -> None:
        """Write all records, in one go; after that they can be looked up."""
        self._connection.execute("BEGIN")
        rest = iter(records)
        while batch := list(islice(rest, BATCH)):
            self._write(batch)
        for index in INDEXES:
            self._connection.execute(index)
        self._connection.execute("COMMIT")
        self._connection.execute("PRAGMA analysis_limit = 1000")
        self._connection.execute("ANALYZE")

    def _write(self, batch: list[SpanRecord]) -> None:
        rows: dict[str, list[tuple[object, ...]]] = {table: [] for table in INSERT}
        latest: dict[str, int] = {}
        for record in batch:
            self._add(record, rows, latest)
        rows["environments"] += latest.items()
        if len(self._resources) > BATCH:
            self._resources.clear()
        for table, insert in INSERT.items():
            self._connection.executemany(insert, rows[table])

    def _add(
        self,
        record: SpanRecord,
        rows: dict[str, list[tuple[object, ...]]],
        latest: dict[str, int],
    ) -> None:
        resource, body = resource_of(record)
        if resource not in self._resources:
            self._resources[resource] = None
            rows["resources"].append((resource, body))
        row = Row.of(record)
        rows["spans"].append((self._next, *row))
        rows["bodies"].append((self._next, resource, body_of(record)))
        rows["names"] += ((stored(one), self._next) for one in names(record))
        self._next += 1
        if row.deploying:
            if row.environment:
                latest[row.environment] = max(latest.get(row.environment, 0), row.start)
                if row.build:
                    rows["made"].append((row.build, row.environment))
            if row.label:
                place = (row.app or "", row.label, row.build or "", row.environment or "")
                rows["places"].append((*place, row.start))
        elif record.name == sc.CALL and row.label:
            rows["called"].append((row.app or "", row.label))
        elif record.name in FETCHES and row.file:
            told = (("environment", row.environment), ("build", row.build))
            rows["asked"] += (one for one in told if one[1])

    def rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query on `spans` and `names`."""
        yield from self._connection.execute(query, values)

    def where(self, condition: str, *values: object) -> Iterator[SpanRecord]:
        """Yield the records that meet a condition on `spans`."""
        for body, resource in self._connection.execute(f"{SELECT}WHERE {condition}", values):
            yield record_of(body, resource)

    def among(self, column: str, values: Iterable[str], rest: str = "") -> Iterator[SpanRecord]:
        """Yield the records whose column has one of some values.

        Args:
            column: A column of `spans`.
            values: The values, any number.
            rest: A further condition and, for each lookup, an order and a limit.
        """
        for some in chunks(values):
            marks = ", ".join("?" * len(some))
            yield from self.where(f"{column} IN ({marks}) {rest}", *some)

    def named(self, values: Iterable[str], rest: str = "") -> Iterator[SpanRecord]:
        """Yield the records that are known by one of some names (`endpoint`, `alias`)."""
        inner = "spans.id IN (SELECT span FROM names WHERE value IN ({}))"
        for some in chunks(values):
            marks = ", ".join("?" * len(some))
            yield from self.where(f"{inner.format(marks)} {rest}", *some)

    def strays(self, most: int) -> list[SpanRecord]:
        """Return what workers wrote, and provisioned without a read or call of their own."""
        if self._strays is None:
            made = "NOT deploying AND name = ? AND code IS NULL"
            rest = f"ORDER BY start LIMIT {most}"
            self._strays = [
                *self.where(f"{made} AND {_NO_READ} {rest}", sc.PROVISION_ENDPOINT),
                *self.where(f"{made} {rest}", sc.MANIFEST_UPLOAD),
            ]
        return self._strays


def chunks(values: Iterable[str]) -> Iterator[Sequence[str]]:
    """Yield values in as many at a time as one lookup takes, each once."""
    rest = iter(dict.fromkeys(map(stored, values)))
    while some := list(islice(rest, CHUNK)):
        yield some
