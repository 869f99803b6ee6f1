"""A trace in one line: what `flash-otel traces` shows, computed by the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """What a trace is about.

    Attributes:
        trace_id: 32 lower-case hex digits.
        root_name: Name of the root: the earliest span whose parent is not in the store.
        start_ns: Start of the earliest span, in nanoseconds since the epoch.
        end_ns: End of the latest span; None while a span is unfinished.
        span_count: How many spans are in the store.
        error_count: How many of them have failed.
        status: The root's status: unset, ok or error.
        app_name: Name of the Flash app, from the root or else from another span.
        environment_id: Id of the environment, in the same way.
        environment_name: Name of the environment, in the same way.
        build_id: Id of the build, in the same way.
        unfinished: Whether a span has begun and, as far as the store knows, not ended.
    """

    trace_id: str
    root_name: str
    start_ns: int
    end_ns: int | None
    span_count: int
    error_count: int
    status: str
    app_name: str | None
    environment_id: str | None
    environment_name: str | None
    build_id: str | None
    unfinished: bool


_TOTALS: Final = """
    SELECT min(start_ns), max(end_ns), count(*), sum(status = 'error'), sum(end_ns IS NULL),
        max(app_name), max(environment_id), max(environment_name), max(build_id)
    FROM spans WHERE trace_id = ?"""
_ROOT: Final = """
    SELECT name, status, app_name, environment_id, environment_name, build_id
    FROM spans AS one WHERE trace_id = ? AND NOT EXISTS (
        SELECT 1 FROM spans AS parent
        WHERE parent.trace_id = one.trace_id AND parent.span_id = one.parent_span_id
    ) ORDER BY start_ns, id LIMIT 1"""
# Of spans that are each other's parents, any is as good a root.
_ANY: Final = """
    SELECT name, status, app_name, environment_id, environment_name, build_id
    FROM spans WHERE trace_id = ? ORDER BY start_ns, id LIMIT 1"""


def summary(connection: sqlite3.Connection, trace_id: str) -> TraceSummary:
    """Summarize a trace that is in the store."""
    totals = connection.execute(_TOTALS, (trace_id,)).fetchone()
    start_ns, end_ns, spans, errors, unfinished, *anywhere = totals
    root = connection.execute(_ROOT, (trace_id,)).fetchone()
    name, status, *own = root or connection.execute(_ANY, (trace_id,)).fetchone()
    fields = (
        trace_id,
        name,
        start_ns,
        None if unfinished else end_ns,
        spans,
        errors,
        status,
        *(here or there for here, there in zip(own, anywhere, strict=True)),
        bool(unfinished),
    )
    return TraceSummary(*fields)


def trace_ids(
    connection: sqlite3.Connection, where: str, values: tuple[object, ...], limit: int
) -> list[str]:
    """Return the ids of the traces in which a matching span began last, the newest first.

    Walks the index of starts from its end and stops at the limit: grouping all spans first would
    cost a second among a million.
    """
    found: dict[str, None] = {}
    query = f"SELECT trace_id FROM spans {where} ORDER BY start_ns DESC, id DESC"  # noqa: S608 - `where` holds placeholders
    rows = connection.execute(query, values)
    for (trace_id,) in rows if limit > 0 else ():
        found.setdefault(trace_id)
        if len(found) >= limit:
            break
    rows.close()
    return list(found)
