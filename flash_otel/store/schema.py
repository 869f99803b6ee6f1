"""The database of the store: its tables, its versions, and how a connection to it is opened.

`PRAGMA application_id` says that a file is ours and `PRAGMA user_version` which version it has.
An older one is brought up to date step by step in one transaction; a newer one is left alone.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from flash_otel.store.errors import StoreError, StoreNewerError, translated

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION_ID: Final = 0x464F5445  # "FOTE"

# Committed data survives the death of the process with NORMAL; only a power cut may cost the last.
_SETTINGS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    f"PRAGMA journal_size_limit = {16 * 2**20}",
    # In pages of 4 KiB: as much as the journal may keep. Each checkpoint waits for the disk, and
    # writes pages of the indices that the next one writes again.
    "PRAGMA wal_autocheckpoint = 4096",
)

_V1: Final = (
    # Every span of a process has the same resource: it is written once, not with each of them.
    """CREATE TABLE resources (
        id INTEGER PRIMARY KEY,
        attributes TEXT NOT NULL UNIQUE,
        last_start_ns INTEGER NOT NULL
    )""",
    """CREATE TABLE spans (
        id INTEGER PRIMARY KEY,
        trace_id TEXT NOT NULL,
        span_id TEXT NOT NULL,
        parent_span_id TEXT,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        start_ns INTEGER NOT NULL,
        end_ns INTEGER,
        status TEXT NOT NULL,
        status_message TEXT NOT NULL,
        app_name TEXT,
        environment_id TEXT,
        environment_name TEXT,
        build_id TEXT,
        attributes TEXT NOT NULL,
        events TEXT NOT NULL,
        links TEXT NOT NULL,
        trace_state TEXT NOT NULL,
        sampled INTEGER NOT NULL,
        scope_name TEXT NOT NULL,
        scope_version TEXT NOT NULL,
        resource_id INTEGER NOT NULL REFERENCES resources (id)
    )""",
    "CREATE UNIQUE INDEX spans_key ON spans (trace_id, span_id)",
    "CREATE INDEX spans_start ON spans (start_ns)",
    (
        "CREATE INDEX spans_environment_id ON spans (environment_id, start_ns) "
        "WHERE environment_id IS NOT NULL"
    ),
    (
        "CREATE INDEX spans_environment_name ON spans (environment_name, start_ns) "
        "WHERE environment_name IS NOT NULL"
    ),
    "CREATE INDEX spans_build_id ON spans (build_id, start_ns) WHERE build_id IS NOT NULL",
    "CREATE INDEX spans_name ON spans (name, start_ns)",
    "CREATE INDEX spans_unsampled ON spans (start_ns) WHERE sampled = 0",
    """CREATE VIEW readable AS SELECT
        strftime('%Y-%m-%dT%H:%M:%fZ', start_ns / 1e9, 'unixepoch') AS started,
        (end_ns - start_ns) / 1e6 AS duration_ms,
        name, status, status_message, app_name, environment_name, environment_id, build_id,
        spans.attributes, events, links, resources.attributes AS resource,
        trace_id, span_id, parent_span_id, kind, sampled
        FROM spans JOIN resources ON resources.id = resource_id""",
)

_V2: Final = (
    # Which spans point to a trace: a worker's read names its deployment by link and by attribute.
    """CREATE TABLE span_links (
        linked_trace_id TEXT NOT NULL,
        span INTEGER NOT NULL REFERENCES spans (id),
        PRIMARY KEY (linked_trace_id, span)
    ) WITHOUT ROWID""",
    "CREATE INDEX span_links_span ON span_links (span)",
    # Enforced foreign keys would cascade as well, and cost each insert two thirds more.
    """CREATE TRIGGER span_deleted AFTER DELETE ON spans BEGIN
        DELETE FROM span_links WHERE span = old.id;
    END""",
)


def _fill_links(connection: sqlite3.Connection) -> None:
    rows = connection.execute("SELECT id, attributes, links FROM spans").fetchall()
    connection.executemany(
        "INSERT OR IGNORE INTO span_links (linked_trace_id, span) VALUES (?, ?)",
        [(linked, span) for span, *texts in rows for linked in _linked(*texts)],
    )


def _linked(attributes: str, links: str) -> Iterator[str]:
    # As version 2 was written: a migration must not change when the code around it does.
    try:
        mirrored = json.loads(attributes).get("flash.deploy.trace_id")
        found = [mirrored, *(link["trace_id"] for link in json.loads(links))]
    except (ValueError, TypeError, KeyError, AttributeError):
        return
    yield from (one for one in found if isinstance(one, str))


_V3: Final = (
    # Who gets the spans, and how far each of them is: ids grow in the order of ending.
    """CREATE TABLE destinations (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        cursor INTEGER NOT NULL,
        reason TEXT NOT NULL DEFAULT '',
        failing_since_ns INTEGER,
        acknowledged_ns INTEGER,
        retry_ns INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE rejections (
        id INTEGER PRIMARY KEY,
        destination INTEGER NOT NULL REFERENCES destinations (id),
        at_ns INTEGER NOT NULL,
        spans INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        reason TEXT NOT NULL
    )""",
    # A span that was stored as started gets a new id when it ends, or cursors would pass it by.
    """CREATE TRIGGER span_ended AFTER UPDATE OF id ON spans BEGIN
        UPDATE span_links SET span = new.id WHERE span = old.id;
    END""",
)

# Nobody asks by name or for what is unsampled: each index costs every insert.
_V4: Final = ("DROP INDEX IF EXISTS spans_name", "DROP INDEX IF EXISTS spans_unsampled")

_Step = str | Callable[[sqlite3.Connection], None]

MIGRATIONS: Final[tuple[tuple[_Step, ...], ...]] = (
    (f"PRAGMA application_id = {APPLICATION_ID}", *_V1),
    (*_V2, _fill_links),
    _V3,
    _V4,
)
VERSION: Final = len(MIGRATIONS)


def connect(path: Path, busy_ms: int) -> sqlite3.Connection:
    """Open the database at `path`, creating or updating its tables.

    Args:
        path: An existing file (an empty one is a new database).
        busy_ms: How long to wait for another process's lock, in milliseconds.

    Raises:
        StoreError: The file is not ours, is newer than this code, is damaged or locked.
    """
    with translated(path):
        # The writer's thread opens it; a fork closes it from the forking thread.
        connection = sqlite3.connect(
            path, timeout=busy_ms / 1000, isolation_level=None, check_same_thread=False
        )
        try:
            _set_up(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def check(path: Path) -> bool:
    """Tell, without changing anything, whether there is a store at `path` that can be read."""
    try:
        # Through a URI, as only there a file can be opened without being created.
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error:
        return False
    try:
        _refuse_others(connection, path)
        connection.execute("SELECT id FROM spans LIMIT 1").fetchall()
    except (sqlite3.Error, StoreError):
        return False
    finally:
        connection.close()
    return True


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block in one write transaction; undo all of it if anything raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    _refuse_others(connection, path)
    if _pragma(connection, "user_version") == 0:
        # Has an effect only before the first table, and none any more once WAL is on.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    for setting in _SETTINGS:
        connection.execute(setting)
    if _pragma(connection, "user_version") < VERSION:
        _migrate(connection, path)


def _refuse_others(connection: sqlite3.Connection, path: Path) -> None:
    version = _pragma(connection, "user_version")
    ours = _pragma(connection, "application_id") == APPLICATION_ID
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not ours and (version or tables):
        raise StoreError(f"{path} is a database of another program: it is left alone")
    if version > VERSION:
        raise StoreNewerError(
            f"{path} has version {version}, this flash_otel knows {VERSION}: upgrade flash-otel, "
            "or name another file in FLASH_OTEL_STORE"
        )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection):
        # Another process may have been faster: what counts is read under the lock.
        _refuse_others(connection, path)
        for version in range(_pragma(connection, "user_version"), VERSION):
            for step in MIGRATIONS[version]:
                connection.execute(step) if isinstance(step, str) else step(connection)
            connection.execute(f"PRAGMA user_version = {version + 1}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
