"""Trace summaries, computed by the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3


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
    FROM spans AS child WHERE trace_id = ? AND NOT EXISTS (
        SELECT 1 FROM spans AS parent
        WHERE parent.trace_id = child.trace_id AND parent.span_id = child.parent_span_id
    ) ORDER BY start_ns, id LIMIT 1"""
# The root of spans that are each other's parents: the earliest of them.
_EARLIEST: Final = """
    SELECT name, status, app_name, environment_id, environment_name, build_id
    FROM spans WHERE trace_id = ? ORDER BY start_ns, id LIMIT 1"""


def summarize(connection: sqlite3.Connection, trace_id: str) -> TraceSummary:
    """Summarize a trace that is in the store."""
    totals = connection.execute(_TOTALS, (trace_id,)).fetchone()
    root = (
        connection.execute(_ROOT, (trace_id,)).fetchone()
        or connection.execute(_EARLIEST, (trace_id,)).fetchone()
    )
    start_ns, end_ns, spans, errors, unfinished, *anywhere = totals
    name, status, *own = root
    fields = (
        trace_id,
        name,
        start_ns,
        None if unfinished else end_ns,
        spans,
        errors,
        status,
        *(of_root or of_any for of_root, of_any in zip(own, anywhere, strict=True)),
        bool(unfinished),
    )
    return TraceSummary(*fields)


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
        found.setdefault(trace_id)
        if len(found) >= limit:
            break
    rows.close()
    return list(found)
