"""Inserting a batch of records: the spans, their resources, and which traces they point to."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from flash_otel.runtime.guard import swallowed
from flash_otel.store.rows import INSERT_NEW, UPSERT, dumps, linked_traces, scrubbed, to_row

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord
    from flash_otel.store.rows import Row

_LARGEST: Final = 2**63 - 1

# What binding a value, or a column's constraint, raises for a value that cannot be stored.
_UNSTORABLE: Final = (
    ValueError,
    OverflowError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)


def insert(connection: sqlite3.Connection, batch: list[SpanRecord]) -> None:
    """Insert records within a transaction of the caller's."""
    resources = _resources(connection, batch)
    rows = [to_row(one, resources[id(one.resource)]) for one in batch]
    try:
        if connection.executemany(INSERT_NEW, rows).rowcount < len(rows):
            connection.executemany(UPSERT, rows)
    except _UNSTORABLE:
        _write_singly(connection, rows)
    links = [(to, *one.key) for one in batch for to in linked_traces(one)]
    if not links:
        return
    connection.executemany(
        "INSERT OR IGNORE INTO span_links (linked_trace_id, span) "
        "SELECT ?, id FROM spans WHERE trace_id = ? AND span_id = ?",
        [scrubbed(link) for link in links],
    )


def _write_singly(connection: sqlite3.Connection, rows: list[Row]) -> None:
    """Write what can be written: one impossible value must not cost the other spans."""
    for row in rows:
        try:
            connection.execute(UPSERT, scrubbed(row))
        except _UNSTORABLE:
            swallowed("store row")


def _resources(connection: sqlite3.Connection, batch: list[SpanRecord]) -> dict[int, int]:
    """Write the resources of a batch; return the row of each by the identity of its mapping."""
    texts: dict[int, str] = {}
    latest: dict[str, int] = {}
    for one in batch:
        key = id(one.resource)
        text = texts.get(key)
        if text is None:
            text = texts[key] = scrubbed((dumps(one.resource),))[0]
        latest[text] = max(latest.get(text, 0), min(one.start_ns, _LARGEST))
    rows = {text: _resource(connection, text, start_ns) for text, start_ns in latest.items()}
    return {key: rows[text] for key, text in texts.items()}


def _resource(connection: sqlite3.Connection, text: str, last_start_ns: int) -> int:
    connection.execute(
        "INSERT INTO resources (attributes, last_start_ns) VALUES (?, ?) "
        "ON CONFLICT (attributes) DO UPDATE "
        "SET last_start_ns = max(last_start_ns, excluded.last_start_ns)",
        (text, last_start_ns),
    )
    query = "SELECT id FROM resources WHERE attributes = ?"
    return int(connection.execute(query, (text,)).fetchone()[0])
