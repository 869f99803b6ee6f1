"""How far each destination is, kept in the store beside the spans.

Spans go out in the order in which they ended, which is that of their ids; a cursor holds the last
id that a destination has answered for. Not forwarded are spans that were not sampled, and those of
a provider that is not ours: its own exporters send them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel.store.rows import SELECT, from_row
from flash_otel.store.schema import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from flash_otel.records import SpanRecord

MOST_COUNTED: Final = 100_000

# Written by `resource.create`, compact as the store writes JSON.
_OWN: Final = '%"telemetry.distro.name":"flash-otel"%'
_DUE: Final = (
    "spans.id > ? AND sampled = 1 AND end_ns IS NOT NULL "
    "AND resource_id IN (SELECT id FROM resources WHERE attributes LIKE ?)"
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a destination stands.

    Attributes:
        name: What it is known by (`Destination.name`).
        waiting: How many spans wait, counted up to `MOST_COUNTED`.
        waiting_since_ns: When the first of them ended, in nanoseconds since the epoch, or None.
        reason: Why they wait, as far as an attempt has told; empty where there was none.
        failing_since_ns: When attempts began to fail, or None.
        acknowledged_ns: When spans were last taken, or None.
        retry_ns: Before when the server asked to send nothing; 0 where it did not.
        rejected: How many spans were refused for good and are still in the store.
        rejected_reason: Why the last of them were.
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
    """Make destinations known; a new one gets what is stored from now on."""
    with transaction(connection):
        connection.executemany(
            "INSERT OR IGNORE INTO destinations (name, cursor) "
            "VALUES (?, (SELECT coalesce(max(id), 0) FROM spans))",
            [(name,) for name in names],
        )


def due(connection: sqlite3.Connection, name: str, most: int) -> list[tuple[int, SpanRecord]]:
    """Return the next spans for a destination, each with its place, in the order of sending."""
    # The id goes last: a row is read from its beginning.
    query = SELECT.replace(" FROM spans ", ", spans.id FROM spans ", 1)
    rows = connection.execute(
        f"{query} WHERE {_DUE} ORDER BY spans.id LIMIT ?",
        (_cursor(connection, name), _OWN, most),
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
    """Note that a destination has answered for the spans at these places.

    Args:
        connection: A connection to the store.
        name: The destination's.
        places: Where the spans of the batch are.
        rejected: How many of them it refused for good.
        reason: Why it did.
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
    """Note why a destination took nothing, and how long it asked to be left alone."""
    with transaction(connection):
        connection.execute(
            "UPDATE destinations SET reason = ?, retry_ns = ?, "
            "failing_since_ns = coalesce(failing_since_ns, ?) WHERE name = ?",
            (reason, retry_ns, time.time_ns(), name),
        )


def rewind(connection: sqlite3.Connection, name: str, *, to_rejected: bool) -> None:
    """Let a destination begin again.

    Args:
        connection: A connection to the store.
        name: The destination's.
        to_rejected: Only from the first rejected span on; else from the store's beginning.
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
        connection.execute(
            "DELETE FROM rejections "
            "WHERE destination = (SELECT id FROM destinations WHERE name = ?)",
            (name,),
        )


def standings(connection: sqlite3.Connection) -> list[Standing]:
    """Tell where every known destination stands, in the order in which they became known."""
    names = connection.execute("SELECT name FROM destinations ORDER BY id").fetchall()
    found = (standing(connection, name) for (name,) in names)
    return [one for one in found if one is not None]


def standing(connection: sqlite3.Connection, name: str) -> Standing | None:
    """Tell where a destination stands; None where it is not known."""
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
    return Standing(
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


def _cursor(connection: sqlite3.Connection, name: str) -> int:
    query = "SELECT cursor FROM destinations WHERE name = ?"
    found = connection.execute(query, (name,)).fetchone()
    return int(found[0]) if found else 0
