"""Queries for traces: by their place in the list, by conditions, and in summary."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.records import LINES_SCOPE
from flash_otel.store.errors import AmbiguousTraceError
from flash_otel.store.references import PLACE
from flash_otel.store.rows import read_attributes, text, whole

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from flash_otel.records import Attributes

_TOTALS: Final = """
    SELECT min(start_ns), max(end_ns), count(*), sum(status = 'error'), sum(end_ns IS NULL),
        max(scope_name = ?2),
        max(app_name), max(environment_id), max(environment_name), max(build_id)
    FROM spans WHERE trace_id = ?1"""
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


_LISTED: Final = "SELECT value FROM json_each(?)"
_IDS_OF_NAME: Final = (
    "SELECT DISTINCT environment_id FROM spans "
    "WHERE environment_name = ? AND environment_id IS NOT NULL"
)
_PLACES: Final = (
    "SELECT DISTINCT reference FROM span_references WHERE reference >= ? AND reference < ?"
)
_IDS_OF_PLACE: Final = (
    "SELECT DISTINCT environment_id FROM span_references CROSS JOIN spans ON spans.id = span "
    "WHERE reference = ? AND environment_id IS NOT NULL"
)
_OF_APP: Final = (
    "SELECT 1 FROM spans WHERE trace_id = ? "  # noqa: S608 - constants only
    f"AND (app_name = ? OR environment_id IN ({_LISTED})) LIMIT 1"
)
# A person may have edited the texts, and `json_each` raises for one that is not JSON.
_HAS_ATTRIBUTE: Final = (
    "EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid({0}) THEN {0} ELSE '{{}}' END) "
    "WHERE key = ?2 AND CASE type "
    "WHEN 'array' THEN EXISTS (SELECT 1 FROM json_each(json_each.value) AS item "
    "WHERE CAST(item.value AS TEXT) = ?3) "
    "WHEN 'true' THEN ?3 = 'true' WHEN 'false' THEN ?3 = 'false' "
    "ELSE CAST(value AS TEXT) = ?3 END)"
)
_WITH_ATTRIBUTE: Final = (
    "SELECT 1 FROM spans LEFT JOIN resources ON resources.id = resource_id WHERE trace_id = ?1 "  # noqa: S608 - constants only
    f"AND ({_HAS_ATTRIBUTE.format('spans.attributes')} "
    f"OR {_HAS_ATTRIBUTE.format('resources.attributes')}) LIMIT 1"
)


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
        rebuilt: Whether the spans were rebuilt from bracketed lines, so that their ids are made up.
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
    rebuilt: bool = False


def summarize(connection: sqlite3.Connection, trace_id: str) -> TraceSummary:
    """Summarize a trace that is in the store."""
    totals = connection.execute(_TOTALS, (trace_id, LINES_SCOPE)).fetchone()
    root = (
        connection.execute(_ROOT, (trace_id,)).fetchone()
        or connection.execute(_EARLIEST, (trace_id,)).fetchone()
    )
    start_ns, end_ns, spans, errors, unfinished, rebuilt, *anywhere = totals
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
        bool(rebuilt),
    )
    return TraceSummary(*fields)


def _outcome(status: object, attributes: Attributes) -> str:
    # Spans that were read from lines may have no outcome.
    return str(
        attributes.get(semconv.OUTCOME)
        or (semconv.FAILED if status == "error" else semconv.RETURNED)
    )


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """Conditions on a trace, each of which any of its spans may meet.

    Attributes:
        environment: Id or name of an environment. A span that knows only the id has each name
            that other spans know for it.
        app: Name of an app: of the span itself, or of the environment that it names.
        since_ns: Earliest start, in nanoseconds since the epoch.
        where: Names and values of attributes, of the span or its resource. A list has each of its
            items as a value, and booleans are `true` and `false`.
    """

    environment: str | None = None
    app: str | None = None
    since_ns: int | None = None
    where: tuple[tuple[str, str], ...] = ()


ALL: Final = TraceFilter()


def matching_traces(connection: sqlite3.Connection, asked: TraceFilter = ALL) -> Iterator[str]:
    """Yield the ids of the traces that meet all conditions, the latest span start first.

    Walks the index of starts from its end: grouping all spans first takes a second among a million.
    """
    where, values = _walked(connection, asked)
    conditions = [*_conditions(connection, asked)]
    seen: set[str] = set()
    query = f"SELECT trace_id FROM spans {where} ORDER BY start_ns DESC, id DESC"  # noqa: S608 - constants only, with placeholders
    for (trace_id,) in connection.execute(query, values):
        if isinstance(trace_id, str) and trace_id not in seen:
            seen.add(trace_id)
            if all(
                connection.execute(condition, (trace_id, *bound)).fetchone()
                for condition, bound in conditions
            ):
                yield trace_id


def _walked(connection: sqlite3.Connection, asked: TraceFilter) -> tuple[str, list[object]]:
    """Return the spans to walk: those of an environment have an index."""
    conditions, values = [], list[object]()
    if asked.environment is not None:
        conditions.append(f"(environment_name = ? OR environment_id IN ({_LISTED}))")
        values += [asked.environment, _list(_environment_ids(connection, asked.environment))]
    if asked.since_ns is not None:
        conditions.append("start_ns >= ?")
        values.append(asked.since_ns)
    return (f"WHERE {' AND '.join(conditions)}" if conditions else "", values)


def _conditions(
    connection: sqlite3.Connection, asked: TraceFilter
) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield conditions on a trace as queries of its id, with the values of what follows."""
    if asked.app is not None:
        yield _OF_APP, (asked.app, _list(_environments_of_app(connection, asked.app)))
    for name, value in asked.where:
        yield _WITH_ATTRIBUTE, (name, value)


def _environment_ids(connection: sqlite3.Connection, environment: str) -> set[str]:
    """Return the ids of environments with this id or name."""
    found = connection.execute(_IDS_OF_NAME, (environment,))
    return {environment, *(id_ for (id_,) in found if isinstance(id_, str))}


def _environments_of_app(connection: sqlite3.Connection, app: str) -> set[str]:
    """Return the ids of an app's environments, by the references of its deployments."""
    places = connection.execute(_PLACES, (f"{PLACE}:", f"{PLACE};"))
    own = [place for (place,) in places if place.endswith(f"/{app}")]
    return {
        id_
        for place in own
        for (id_,) in connection.execute(_IDS_OF_PLACE, (place,))
        if isinstance(id_, str)
    }


def _list(values: Iterable[str]) -> str:
    return json.dumps(sorted(values))


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
        name: `last`, `last^1` and so on, in the order of `matching_traces`; or a trace id in hex,
            or enough first digits of it to be unique.

    Raises:
        AmbiguousTraceError: Several traces begin with the digits.
    """
    position = trace_position(name)
    if position is not None:
        return next(islice(matching_traces(connection), position, None), None)
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
