"""Queries over all spans of a store: summaries of traces, and the retention of spans.

Old and surplus spans are deleted in short transactions, between other writers' own, and in the
order in which they were stored, because a clock may jump: a span is old if it was stored before the
first young span. The file shrinks as its pages become free.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.store.errors import AmbiguousTraceError
from flash_otel.store.rows import read_attributes, text, whole
from flash_otel.store.schema import transaction

if TYPE_CHECKING:
    import sqlite3

    from flash_otel.records import Attributes

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

_TOTALS: Final = """
    SELECT min(start_ns), max(end_ns), count(*), sum(status = 'error'), sum(end_ns IS NULL),
        max(app_name), max(environment_id), max(environment_name), max(build_id)
    FROM spans WHERE trace_id = ?"""
_ROOT: Final = """
    SELECT name, status, attributes, app_name, environment_id, environment_name, build_id
    FROM spans AS child WHERE trace_id = ? AND NOT EXISTS (
        SELECT 1 FROM spans AS parent
        WHERE parent.trace_id = child.trace_id AND parent.span_id = child.parent_span_id
    ) ORDER BY start_ns, id LIMIT 1"""
# The root of spans that are each other's parents: the earliest of them.
_EARLIEST: Final = """
    SELECT name, status, attributes, app_name, environment_id, environment_name, build_id
    FROM spans WHERE trace_id = ? ORDER BY start_ns, id LIMIT 1"""


_LAST: Final = re.compile(r"last(?P<mark>[\^~](?P<before>[0-9]{1,9})?)?")
_HEX_DIGITS: Final = frozenset("0123456789abcdef")
_BEGINNING: Final = (
    "SELECT DISTINCT trace_id FROM spans WHERE trace_id >= ? AND trace_id < ? "
    "ORDER BY trace_id LIMIT 2"
)
_BEFORE: Final = "SELECT max(trace_id) FROM spans WHERE trace_id < ?"
_AFTER: Final = "SELECT min(trace_id) FROM spans WHERE trace_id > ?"
_SHORT_ID: Final = 8  # digits; git's default length, so that ids rarely get longer later


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One line of `flash-otel traces`.

    Attributes:
        trace_id: 32 lower-case hex digits.
        root_name: Name of the root: the earliest span whose parent is not in the store.
        start_ns: Start of the earliest span, in nanoseconds since the epoch.
        end_ns: End of the latest span; None while a span is unfinished.
        span_count: Number of spans in the store.
        error_count: Number of failed spans among them.
        status: The root's status: unset, ok or error.
        outcome: The root's outcome: returned, failed, cancelled, or unknown (its end was not
            observed, or its answer was lost); unfinished if the trace is.
        app_name: Name of the Flash app, from the root or else from another span.
        environment_id: Id of the environment, in the same way.
        environment_name: Name of the environment, in the same way.
        build_id: Id of the build, in the same way.
        unfinished: Whether the store holds a span that has started but not ended.
    """

    trace_id: str
    root_name: str
    start_ns: int
    end_ns: int | None
    span_count: int
    error_count: int
    status: str
    outcome: str
    app_name: str | None
    environment_id: str | None
    environment_name: str | None
    build_id: str | None
    unfinished: bool


def summarize(connection: sqlite3.Connection, trace_id: str) -> TraceSummary:
    """Summarize a trace that is in the store."""
    totals = connection.execute(_TOTALS, (trace_id,)).fetchone()
    root = (
        connection.execute(_ROOT, (trace_id,)).fetchone()
        or connection.execute(_EARLIEST, (trace_id,)).fetchone()
    )
    start_ns, end_ns, spans, errors, unfinished, *anywhere = totals
    name, status, attributes, *own = root
    fields = (
        trace_id,
        text(name) or "",
        whole(start_ns) or 0,
        None if unfinished else whole(end_ns),
        spans,
        errors,
        text(status) or "",
        "unfinished" if unfinished else _outcome(status, read_attributes(attributes)),
        *(text(of_root or of_any) for of_root, of_any in zip(own, anywhere, strict=True)),
        bool(unfinished),
    )
    return TraceSummary(*fields)


def _outcome(status: object, attributes: Attributes) -> str:
    # Spans that were read from lines may have no outcome.
    return str(
        attributes.get(semconv.OUTCOME)
        or (semconv.FAILED if status == "error" else semconv.RETURNED)
    )


def trace_ids(
    connection: sqlite3.Connection, where: str, values: tuple[object, ...], limit: int
) -> list[str]:
    """Return the traces with the latest matching spans, the newest first.

    Walks the index of starts from its end and stops at the limit: grouping all spans first takes a
    second among a million.
    """
    found: dict[str, None] = {}
    query = f"SELECT trace_id FROM spans {where} ORDER BY start_ns DESC, id DESC"  # noqa: S608 - `where` holds placeholders
    rows = connection.execute(query, values)
    for (trace_id,) in rows if limit > 0 else ():
        if isinstance(trace_id, str):
            found.setdefault(trace_id)
        if len(found) >= limit:
            break
    rows.close()
    return list(found)


def trace_position(name: str) -> int | None:
    """Return the place that a name such as `last` or `last^2` has in the list of all traces.

    Returns:
        0 for `last`, 1 for `last^1` (or `last^`, or `last~1`, as `^` is a pattern in some shells)
        and so on; None for any other name.
    """
    found = _LAST.fullmatch(name.strip().lower())
    if found is None:
        return None
    return int(found["before"] or 1) if found["mark"] else 0


def trace_id_named(connection: sqlite3.Connection, name: str) -> str | None:
    """Return the id of the trace that a person names, or None.

    Args:
        connection: A connection to a store.
        name: `last`, `last^1` and so on, in the order of `trace_ids`; or a trace id in hex, or
            enough first digits of it to be unique.

    Raises:
        AmbiguousTraceError: Several traces begin with the digits.
    """
    position = trace_position(name)
    if position is not None:
        newest = trace_ids(connection, "", (), position + 1)
        return newest[position] if position < len(newest) else None
    prefix = name.strip().lower()
    if not prefix or not _HEX_DIGITS.issuperset(prefix):
        return None
    # 'g' follows every hex digit: all ids with this prefix lie below.
    found = connection.execute(_BEGINNING, (prefix, f"{prefix}g")).fetchall()
    if len(found) > 1:
        raise AmbiguousTraceError(
            f"several traces begin with {prefix}, such as {found[0][0]} and {found[1][0]}: "
            "give more digits"
        )
    return str(found[0][0]) if found else None


def short_trace_id(connection: sqlite3.Connection, trace_id: str) -> str:
    """Return the first digits of a stored trace's id that no other trace begins with."""
    neighbours = (
        connection.execute(query, (trace_id,)).fetchone()[0] for query in (_BEFORE, _AFTER)
    )
    shared = (
        next((at for at, digit in enumerate(trace_id) if digit != other[at : at + 1]), 0)
        for other in neighbours
        if isinstance(other, str)
    )
    return trace_id[: max(_SHORT_ID, 1 + max(shared, default=0))]


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
