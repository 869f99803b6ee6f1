"""The retention of spans: which are deleted by themselves, and which on request.

Old and surplus spans are deleted in short transactions, between other writers' own, and in the
order in which they were stored, because a clock may jump: a span is old if it was stored before the
first young span. The file shrinks as its pages become free.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel.store.cursors import waiting_in
from flash_otel.store.schema import transaction

if TYPE_CHECKING:
    import sqlite3

MAX_AGE_S: Final = 30 * 24 * 3600
MAX_BYTES: Final = 256 * 2**20

_CHUNK: Final = 2_000
_MAX_CHUNKS: Final = 5
# A margin below the limit, or every later write would have to delete again.
_FILLED_AFTER: Final = 0.9
_VACUUM_PAGES: Final = 2_000

# The last id stays. SQLite would assign it again (sqlite.org/autoinc.html), and a cursor that has
# passed it would skip the next span.
_OLDEST: Final = (
    "DELETE FROM spans WHERE id IN (SELECT id FROM spans WHERE id < ? "
    "AND id < (SELECT max(id) FROM spans) ORDER BY id LIMIT ?)"
)
# `+` keeps SQLite from using the index on starts: the first young span comes after a few rows, or
# after all old ones.
_FIRST_YOUNG: Final = (
    "SELECT id FROM spans WHERE +start_ns >= ? AND +start_ns <= ? ORDER BY id LIMIT 1"
)
_ANY_TIME: Final = 2**63 - 1
_ANY_ID: Final = 2**63 - 1
_UNUSED_RESOURCES: Final = (
    "DELETE FROM resources WHERE last_start_ns < (SELECT coalesce(min(start_ns), ?) FROM spans)"
)
_OLD_REJECTIONS: Final = "DELETE FROM rejections WHERE last < (SELECT min(id) FROM spans)"


def prune(
    connection: sqlite3.Connection,
    *,
    before_ns: int | None,
    now_ns: int,
    max_bytes: int = MAX_BYTES,
) -> int:
    """Delete spans older than a time, and the oldest ones while the database is too large.

    Args:
        connection: A connection to a store.
        before_ns: Nanoseconds since the epoch; None if no span counts as old.
        now_ns: Nanoseconds since the epoch; later starts come from a fast clock.
        max_bytes: Maximum size of the database, in bytes.

    Returns:
        Number of deleted spans.
    """
    deleted, target = 0, max_bytes
    young = connection.execute(_FIRST_YOUNG, (before_ns, now_ns)).fetchone()
    before = 0 if young is None else young[0]
    for _ in range(_MAX_CHUNKS):
        count = _delete(connection, before)
        if not count and _used_bytes(connection) > target:
            target = int(max_bytes * _FILLED_AFTER)
            count = _delete(connection, _ANY_ID)
        if not count:
            break
        deleted += count
    if deleted:
        with transaction(connection):
            connection.execute(_UNUSED_RESOURCES, (_ANY_TIME,))
            connection.execute(_OLD_REJECTIONS)
        # Not `execute`, which steps once: this pragma frees one page per step.
        connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
    return deleted


def _used_bytes(connection: sqlite3.Connection) -> int:
    """Return the size of the pages in use, in bytes."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _delete(connection: sqlite3.Connection, before: int) -> int:
    with transaction(connection):
        return connection.execute(_OLDEST, (before, _CHUNK)).rowcount


# --- on request -----------------------------------------------------------------------------------

# Whole traces: of a deployment whose worker still reads, nothing is old.
_OLD_TRACES: Final = (
    "SELECT trace_id FROM spans GROUP BY trace_id HAVING max(start_ns) < :before AND max(id) <= :to"
)
_DELETE_TRACES: Final = (
    "DELETE FROM spans WHERE trace_id IN (SELECT value FROM json_each(?)) "
    "AND trace_id NOT IN (SELECT trace_id FROM spans WHERE id > ?)"
)
_TRACES_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Surplus:
    """The traces of a store that a person wants to delete.

    Attributes:
        before_ns: All spans of each trace started before this time, in nanoseconds since the
            epoch.
        last_id: No span has a higher id: later ones stay.
        traces: Number of traces.
        spans: Number of their spans.
        first_ns: Start of the first span, in nanoseconds since the epoch; None without spans.
        last_ns: Start of the last span.
        kept: Number of other traces.
        waiting: Number of spans that still wait, by the name of the destination.
    """

    before_ns: int
    last_id: int
    traces: int = 0
    spans: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    kept: int = 0
    waiting: tuple[tuple[str, int], ...] = ()


def surplus(connection: sqlite3.Connection, before_ns: int = _ANY_TIME) -> Surplus:
    """Count the traces whose spans all started before a time (nanoseconds since the epoch)."""
    (last_id,) = connection.execute("SELECT coalesce(max(id), 0) FROM spans").fetchone()
    bounds = {"before": before_ns, "to": last_id}
    traces, spans, first_ns, last_ns = connection.execute(
        "SELECT count(DISTINCT trace_id), count(*), min(start_ns), max(start_ns) FROM spans "  # noqa: S608 - constants only
        f"WHERE trace_id IN ({_OLD_TRACES})",
        bounds,
    ).fetchone()
    (total,) = connection.execute("SELECT count(DISTINCT trace_id) FROM spans").fetchone()
    waiting = waiting_in(connection, _OLD_TRACES, bounds)
    return Surplus(
        before_ns, last_id, traces, spans, first_ns, last_ns, total - traces, tuple(waiting)
    )


def delete(connection: sqlite3.Connection, chosen: Surplus) -> int:
    """Delete traces, in short transactions, and overwrite what the file held of them.

    No process may be sending from the store, whose cursors may have to begin again.

    Args:
        connection: A connection to the store.
        chosen: The traces; those that have got later spans since then stay.

    Returns:
        Number of deleted spans.
    """
    connection.execute("PRAGMA secure_delete = ON")
    (highest,) = connection.execute("SELECT max(id) FROM spans").fetchone()
    bounds = {"before": chosen.before_ns, "to": chosen.last_id}
    traces = [trace_id for (trace_id,) in connection.execute(_OLD_TRACES, bounds)]
    deleted = 0
    for start in range(0, len(traces), _TRACES_AT_ONCE):
        chunk = json.dumps(traces[start : start + _TRACES_AT_ONCE])
        with transaction(connection):
            deleted += connection.execute(_DELETE_TRACES, (chunk, chosen.last_id)).rowcount
            _keep_ids_growing(connection, highest)
    with transaction(connection):
        connection.execute("DELETE FROM resources WHERE id NOT IN (SELECT resource_id FROM spans)")
        connection.execute(
            "DELETE FROM rejections WHERE last < (SELECT coalesce(min(id), ?) FROM spans)",
            (_ANY_ID,),
        )
    connection.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")
    return deleted


def _keep_ids_growing(connection: sqlite3.Connection, highest: int | None) -> None:
    """Keep later spans from getting ids that a delivery cursor has passed."""
    (last,) = connection.execute("SELECT max(id) FROM spans").fetchone()
    if last is None:
        connection.execute("UPDATE destinations SET cursor = 0")
    elif highest is not None and last < highest:
        # A destination may get this span twice, which is harmless: it is unique by its ids.
        connection.execute("UPDATE spans SET id = ? WHERE id = ?", (highest, last))
