"""The tables of the store, their versions, and the connections to them.

`PRAGMA application_id` marks a file as a store of flash_otel; `PRAGMA user_version` holds its
version. Older files are migrated step by step in one transaction; newer ones are refused.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from flash_otel.store.errors import (
    StoreEmptyError,
    StoreError,
    StoreNewerError,
    StoreOutdatedError,
    translated,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

APPLICATION_ID: Final = 0x464F5445  # "FOTE"

_CHECK_BUSY_MS: Final = 5_000

_SETTINGS: Final = (
    "PRAGMA journal_mode = WAL",
    # In WAL mode, NORMAL survives the death of the process; a power cut may cost the last commits
    # (sqlite.org/pragma.html#pragma_synchronous).
    "PRAGMA synchronous = NORMAL",
    f"PRAGMA journal_size_limit = {16 * 2**20}",
    # In pages of 4 KiB, as large as the journal may stay. Each checkpoint waits for the disk and
    # rewrites index pages that the next one rewrites again.
    "PRAGMA wal_autocheckpoint = 4096",
)

_V1: Final = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    # All spans of a process share one resource, so it is stored once.
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
    # Every insert pays for each index: there is none by name, build or sampling, because no query
    # of flash_otel filters by these alone.
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
    """CREATE VIEW readable AS SELECT
        strftime('%Y-%m-%dT%H:%M:%fZ', start_ns / 1e9, 'unixepoch') AS started,
        (end_ns - start_ns) / 1e6 AS duration_ms,
        name, status, status_message, app_name, environment_name, environment_id, build_id,
        spans.attributes, events, links, resources.attributes AS resource,
        trace_id, span_id, parent_span_id, kind, sampled
        FROM spans JOIN resources ON resources.id = resource_id""",
    # The ids by which a span is found from elsewhere (`references`): far fewer rows than an index
    # of each such attribute would have entries.
    """CREATE TABLE span_references (
        reference TEXT NOT NULL,
        span INTEGER NOT NULL REFERENCES spans (id),
        PRIMARY KEY (reference, span)
    ) WITHOUT ROWID""",
    "CREATE INDEX span_references_span ON span_references (span)",
    # Enforced foreign keys would cascade, too, but make each insert two thirds more expensive.
    """CREATE TRIGGER span_deleted AFTER DELETE ON spans BEGIN
        DELETE FROM span_references WHERE span = old.id;
    END""",
    # A span that was stored as started gets a new id when it ends; otherwise a delivery cursor
    # that has passed the old id would skip it.
    """CREATE TRIGGER span_ended AFTER UPDATE OF id ON spans BEGIN
        UPDATE span_references SET span = new.id WHERE span = old.id;
    END""",
    # One delivery cursor per destination: span ids grow in the order in which spans end.
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
)

# The statements that lead to each version from the one before. A released entry never changes:
# files of its version exist.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_V1,)
VERSION: Final = len(MIGRATIONS)
# Those with rows of their own: a trigger empties `span_references` with `spans`.
TABLES: Final = ("spans", "resources", "rejections", "destinations")
# Code that runs when a table is read or written. In a received file, a view in place of a table
# could run forever.
_CODE: Final = (
    "SELECT sql FROM sqlite_master WHERE type IN ('view', 'trigger') OR sql LIKE 'CREATE VIRTUAL%'"
)
_OWN_STATEMENTS: Final = frozenset(statement for version in MIGRATIONS for statement in version)


def connect(path: Path, busy_ms: int) -> sqlite3.Connection:
    """Open the database at `path` for writing, creating or migrating its tables.

    Args:
        path: An existing file; an empty one is a new database.
        busy_ms: How long to wait for another process's lock, in milliseconds.

    Raises:
        StoreError: The file belongs to another program, has a newer version, is damaged or locked.
    """
    with translated(path):
        return _open(str(path), busy_ms, path, _prepare_for_writing)


def connect_read_only(path: Path, busy_ms: int) -> sqlite3.Connection:
    """Open the database at `path` without changing it.

    Args:
        path: An existing file.
        busy_ms: How long to wait for another process's lock, in milliseconds.

    Raises:
        StoreOutdatedError: The file has an older version; `connect` migrates it.
        StoreEmptyError: Nothing has been written to the file yet.
        StoreError: As `connect`; also if the file is missing.
    """
    # Only a URI can open a file without creating it (sqlite.org/uri.html).
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with translated(path):
        try:
            return _open(uri, busy_ms, path, _require_current)
        except sqlite3.OperationalError as error:
            if not _lacks_shared_memory(error, path):
                raise
            return _open(f"{uri}&immutable=1", busy_ms, path, _require_current)


def is_readable(path: Path) -> bool:
    """Return True if `path` is a store of this version or an older one."""
    try:
        with closing(connect_read_only(path, _CHECK_BUSY_MS)) as connection, translated(path):
            connection.execute("SELECT id FROM spans LIMIT 1").fetchall()
    except StoreOutdatedError:
        return True
    except StoreError:
        return False
    return True


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block in one write transaction; roll it back if anything raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _open(
    database: str,
    busy_ms: int,
    path: Path,
    set_up: Callable[[sqlite3.Connection, Path], None],
) -> sqlite3.Connection:
    connection = sqlite3.connect(
        database,
        timeout=busy_ms / 1000,
        isolation_level=None,
        # The writer's thread opens it, but the thread that forks closes it.
        check_same_thread=False,
        uri=database.startswith("file:"),
    )
    try:
        set_up(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare_for_writing(connection: sqlite3.Connection, path: Path) -> None:
    version = _refuse_unknown(connection, path)
    if version == 0:
        # Takes effect only before the first table, and before WAL is on
        # (sqlite.org/pragma.html#pragma_auto_vacuum).
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    for setting in _SETTINGS:
        connection.execute(setting)
    if version < VERSION:
        _migrate(connection, path)


def _require_current(connection: sqlite3.Connection, path: Path) -> None:
    version = _refuse_unknown(connection, path)
    if version == 0:
        raise StoreEmptyError(f"{path} is empty")
    if version < VERSION:
        raise StoreOutdatedError(f"{path} has version {version}, older than {VERSION}")


def _lacks_shared_memory(error: sqlite3.OperationalError, path: Path) -> bool:
    """Return True if the database can be read as an immutable one only.

    WAL mode needs `-shm`. Where it is missing and cannot be created, SQLite reads a database only
    if that is declared immutable (sqlite.org/wal.html#readonly); it then ignores `-wal`, which
    must therefore hold nothing.
    """
    if not any(text in str(error) for text in ("readonly database", "unable to open")):
        return False
    journal = path.with_name(f"{path.name}-wal")
    return not journal.exists() or journal.stat().st_size == 0


def _refuse_unknown(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of a store; refuse a newer one and another program's database."""
    version: int
    # One statement reads one snapshot: between several, another process may create the tables.
    version, application_id, tables = connection.execute(
        "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_master)"
        " FROM pragma_user_version, pragma_application_id"
    ).fetchone()
    if application_id != APPLICATION_ID and (version or tables):
        raise StoreError(f"{path} is the database of another program: it is left alone")
    if version > VERSION:
        raise StoreNewerError(
            f"{path} has version {version}, this flash_otel knows {VERSION}: upgrade flash-otel, "
            "or name another file in FLASH_OTEL_STORE"
        )
    if not {sql for (sql,) in connection.execute(_CODE)}.issubset(_OWN_STATEMENTS):
        raise StoreError(f"{path} holds views or triggers of another program: it is left alone")
    return version


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection):
        # Read again under the lock: another process may have migrated it meanwhile.
        for version in range(_refuse_unknown(connection, path), VERSION):
            for statement in MIGRATIONS[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
