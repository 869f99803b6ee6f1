"""The retention of spans: which are deleted, and when.

Old and surplus spans are deleted in short transactions, between other writers' own, and in the
order in which they were stored, because a clock may jump: a span is old if it was stored before the
first young span. The file shrinks as its pages become free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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
