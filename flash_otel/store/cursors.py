"""Per-destination delivery cursors, stored beside the spans.

Spans are sent in the order in which they ended, which is the order of their ids; a cursor is the
last id that a destination has answered for. Spans that were not sampled are not forwarded, nor are
those of another provider than flash_otel's own: its exporters send them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel.store.rows import SELECT, from_row
from flash_otel.store.schema import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from flash_otel.records import SpanRecord

MOST_COUNTED: Final = 100_000

_FORGET_REJECTIONS: Final = (
    "DELETE FROM rejections WHERE destination = (SELECT id FROM destinations WHERE name = ?)"
)
# As `pipeline.resource` sets it, in the compact JSON of the store.
_OWN: Final = '%"telemetry.distro.name":"flash-otel"%'
_DUE: Final = (
    "spans.id > ? AND sampled = 1 AND end_ns IS NOT NULL "
    "AND resource_id IN (SELECT id FROM resources WHERE attributes LIKE ?)"
)


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """The state of delivery to one destination.

    Attributes:
        name: The destination's name (`Destination.name`).
        waiting: Number of waiting spans, counted up to `MOST_COUNTED`.
        waiting_since_ns: End of the first waiting span, in nanoseconds since the epoch, or None.
        reason: Why the last attempt failed; empty if it did not, or if there was none.
        failing_since_ns: Time of the first failed attempt since the last success, or None.
        acknowledged_ns: Time of the last accepted batch, or None.
        retry_ns: Time until which the server asked to wait; 0 if it did not.
        rejected: Number of spans that were refused for good and are still in the store.
        rejected_reason: Why the last of them were refused.
    """

    name: str
    waiting: int = 0
    waiting_since_ns: int | None = None
    reason: str = ""
    failing_since_ns: int | None = None
    acknowledged_ns: int | None = None
    retry_ns: int = 0
    rejected: int = 0
    rejected_reason: str = ""


def register(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    """Register destinations; a new one receives what is stored from now on."""
    with transaction(connection):
        connection.executemany(
            "INSERT OR IGNORE INTO destinations (name, cursor) "
            "VALUES (?, (SELECT coalesce(max(id), 0) FROM spans))",
            [(name,) for name in names],
        )


def due(connection: sqlite3.Connection, name: str, most: int) -> list[tuple[int, SpanRecord]]:
    """Return the next spans for a destination with their ids, in the order of sending."""
    cursor = _cursor(connection, name)
    if cursor is None:  # forgotten in the meantime
        return []
    # The id goes last, because `from_row` reads a row from its beginning.
    query = SELECT.replace(" FROM spans ", ", spans.id FROM spans ", 1)
    rows = connection.execute(
        f"{query} WHERE {_DUE} ORDER BY spans.id LIMIT ?",
        (cursor, _OWN, most),
    )
    return [(place, from_row(tuple(row))) for *row, place in rows]


def advance(
    connection: sqlite3.Connection,
    name: str,
    places: Sequence[int],
    *,
    rejected: int = 0,
    reason: str = "",
) -> None:
    """Record that a destination has answered for a batch.

    Args:
        connection: A connection to the store.
        name: The destination's name.
        places: The ids of the batch's spans.
        rejected: Number of spans that were refused for good.
        reason: Why they were refused.
    """
    now = time.time_ns()
    with transaction(connection):
        connection.execute(
            "UPDATE destinations SET cursor = max(cursor, ?), reason = '', "
            "failing_since_ns = NULL, retry_ns = 0, "
            "acknowledged_ns = CASE WHEN ? THEN ? ELSE acknowledged_ns END WHERE name = ?",
            (places[-1], len(places) > rejected, now, name),
        )
        if rejected:
            connection.execute(
                "INSERT INTO rejections (destination, at_ns, spans, first, last, reason) "
                "SELECT id, ?, ?, ?, ?, ? FROM destinations WHERE name = ?",
                (now, rejected, places[0], places[-1], reason, name),
            )


def fail(connection: sqlite3.Connection, name: str, reason: str, retry_ns: int = 0) -> None:
    """Record why a destination accepted nothing, and until when it asked to wait."""
    with transaction(connection):
        connection.execute(
            "UPDATE destinations SET reason = ?, retry_ns = ?, "
            "failing_since_ns = coalesce(failing_since_ns, ?) WHERE name = ?",
            (reason, retry_ns, time.time_ns(), name),
        )


def rewind(connection: sqlite3.Connection, name: str, *, to_rejected: bool) -> None:
    """Move a cursor back and forget the rejections.

    Args:
        connection: A connection to the store.
        name: The destination's name.
        to_rejected: Go back to the first rejected span; otherwise to the store's beginning.
    """
    earliest = (
        "SELECT min(first) - 1 FROM rejections WHERE destination = destinations.id"
        if to_rejected
        else "SELECT 0"
    )
    with transaction(connection):
        connection.execute(
            f"UPDATE destinations SET cursor = min(cursor, coalesce(({earliest}), cursor)), "  # noqa: S608 - constants only
            "retry_ns = 0 WHERE name = ?",
            (name,),
        )
        connection.execute(_FORGET_REJECTIONS, (name,))


def forget(connection: sqlite3.Connection, name: str) -> None:
    """Remove a destination; its spans stay in the store, but no longer wait for it."""
    with transaction(connection):
        connection.execute(_FORGET_REJECTIONS, (name,))
        connection.execute("DELETE FROM destinations WHERE name = ?", (name,))


def delivery_statuses(connection: sqlite3.Connection) -> list[DeliveryStatus]:
    """Return the status of every registered destination, in the order of registration."""
    names = connection.execute("SELECT name FROM destinations ORDER BY id").fetchall()
    found = (delivery_status(connection, name) for (name,) in names)
    return [status for status in found if status is not None]


def delivery_status(connection: sqlite3.Connection, name: str) -> DeliveryStatus | None:
    """Return the status of a destination; None if it is not registered."""
    query = (
        "SELECT id, cursor, reason, failing_since_ns, acknowledged_ns, retry_ns "
        "FROM destinations WHERE name = ?"
    )
    row = connection.execute(query, (name,)).fetchone()
    if row is None:
        return None
    number, cursor, reason, failing_since_ns, acknowledged_ns, retry_ns = row
    waiting, since_ns = connection.execute(
        f"SELECT count(*), min(end_ns) FROM (SELECT end_ns FROM spans WHERE {_DUE} LIMIT ?)",  # noqa: S608 - constants only
        (cursor, _OWN, MOST_COUNTED),
    ).fetchone()
    rejected, why = connection.execute(
        "SELECT coalesce(sum(spans), 0), coalesce((SELECT reason FROM rejections "
        "WHERE destination = ?1 ORDER BY id DESC LIMIT 1), '') "
        "FROM rejections WHERE destination = ?1",
        (number,),
    ).fetchone()
    return DeliveryStatus(
        name=name,
        waiting=waiting,
        waiting_since_ns=since_ns,
        reason=reason,
        failing_since_ns=failing_since_ns,
        acknowledged_ns=acknowledged_ns,
        retry_ns=retry_ns,
        rejected=rejected,
        rejected_reason=why,
    )


def waiting_in(
    connection: sqlite3.Connection, traces: str, values: Mapping[str, int]
) -> Iterator[tuple[str, int]]:
    """Yield each destination that spans of some traces wait for, and their number.

    Args:
        connection: A connection to the store.
        traces: A query for the ids of the traces, with named placeholders.
        values: The values of the placeholders.
    """
    due = _DUE.replace("?", ":cursor", 1).replace("?", ":own", 1)
    query = f"SELECT count(*) FROM spans WHERE {due} AND trace_id IN ({traces})"  # noqa: S608 - constants only
    found = connection.execute("SELECT name, cursor FROM destinations ORDER BY id").fetchall()
    for name, cursor in found:
        bound = {**values, "cursor": cursor, "own": _OWN}
        (count,) = connection.execute(query, bound).fetchone()
        if count:
            yield name, count


def _cursor(connection: sqlite3.Connection, name: str) -> int | None:
    query = "SELECT cursor FROM destinations WHERE name = ?"
    found = connection.execute(query, (name,)).fetchone()
    return int(found[0]) if found else None
