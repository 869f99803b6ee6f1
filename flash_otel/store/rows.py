"""Span records as rows of the store, and back.

Attributes, events and links are JSON texts that SQLite's JSON functions can read; floats that JSON
lacks (NaN, infinities) are stored as their names. Reading tolerates rows that a person has edited.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from flash_otel import semconv
from flash_otel.records import Attributes, Event, Link, SpanRecord
from flash_otel.runtime.process import swallowed
from flash_otel.store.references import references

_COLUMNS: Final = (
    "trace_id", "span_id", "parent_span_id", "name", "kind", "start_ns", "end_ns", "status",
    "status_message", "app_name", "environment_id", "environment_name", "build_id", "attributes",
    "events", "links", "trace_state", "sampled", "scope_name", "scope_version", "resource_id",
)  # fmt: skip
_UPDATED: Final = _COLUMNS[2:]

_INSERT: Final = (
    f"INSERT INTO spans ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "  # noqa: S608 - constants only
    "ON CONFLICT (trace_id, span_id) DO "
)
# Nearly all rows are new. Upserting all of them takes two and a half times as long (24 against
# 10 us a row), because SQLite keeps a statement journal for an upsert that may change rows
# (sqlite.org/tempfiles.html, 2.3).
_INSERT_NEW: Final = f"{_INSERT}NOTHING"

# A finished row replaces a started one, never the reverse; a repeated one changes nothing. The new
# id puts it last, because readers that go by ids may have passed the old one already.
_UPSERT: Final = (
    f"{_INSERT}UPDATE SET id = (SELECT max(id) + 1 FROM spans), "  # noqa: S608 - constants only
    f"{', '.join(f'{name} = excluded.{name}' for name in _UPDATED)} "
    "WHERE spans.end_ns IS NULL AND excluded.end_ns IS NOT NULL"
)

SELECT: Final = (
    f"SELECT {', '.join(_COLUMNS[:9])}, spans.attributes, events, links, trace_state, sampled, "  # noqa: S608 - constants only
    "scope_name, scope_version, resources.attributes "
    "FROM spans LEFT JOIN resources ON resources.id = resource_id "
)

_REFER: Final = "INSERT OR IGNORE INTO span_references (reference, span) VALUES (?, ?)"
_REFER_BY_KEY: Final = (
    "INSERT OR IGNORE INTO span_references (reference, span) "
    "SELECT ?, id FROM spans WHERE trace_id = ? AND span_id = ?"
)

_LARGEST: Final = 2**63 - 1

# Raised by binding a value, or by a column's constraint, if a value cannot be stored.
_UNSTORABLE: Final = (
    ValueError,
    OverflowError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)

_Row = tuple[Any, ...]

_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def insert(connection: sqlite3.Connection, batch: list[SpanRecord]) -> None:
    """Insert spans, their resources and their links, within the caller's transaction."""
    resources = _insert_resources(connection, batch)
    rows = [_to_row(record, resources[id(record.resource)]) for record in batch]
    is_new = False
    try:
        is_new = connection.executemany(_INSERT_NEW, rows).rowcount == len(rows)
        if not is_new:
            connection.executemany(_UPSERT, rows)
    except _UNSTORABLE:
        _insert_singly(connection, rows)
    if is_new:
        # Rows that were all new have consecutive ids, which need not be looked up.
        last = connection.execute("SELECT last_insert_rowid()").fetchone()[0]
        spans = enumerate(batch, last - len(batch) + 1)
        found = [(text, span) for span, record in spans for text in references(record)]
        _insert_references(connection, _REFER, found)
    else:
        keyed = [(text, *record.key) for record in batch for text in references(record)]
        _insert_references(connection, _REFER_BY_KEY, keyed)


def _insert_references(connection: sqlite3.Connection, query: str, rows: list[_Row]) -> None:
    try:
        connection.executemany(query, rows)
    except _UNSTORABLE:
        connection.executemany(query, map(_scrubbed, rows))


def from_row(row: _Row) -> SpanRecord:
    """Return the record of a row of `SELECT`."""
    *head, attributes, events, links, trace_state, sampled, scope, version, resource = row
    if tuple(map(type, head)) not in _USUAL_TYPES:
        head = [column(value) for column, value in zip(_HEAD, head, strict=True)]
    fields = (
        *head,
        read_attributes(attributes),
        tuple(_events(events)),
        tuple(_links(links)),
        read_attributes(resource),
        text(scope) or "",
        text(version) or "",
        text(trace_state) or "",
        bool(sampled),
    )
    return SpanRecord(*fields)


def text(value: object) -> str | None:
    """Return a value of a text column, which in an edited row may be of any type."""
    return value if value is None or isinstance(value, str) else str(value)


def whole(value: object) -> int | None:
    """Return a value of an integer column, which in an edited row may be of any type."""
    if value is None or isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and math.isfinite(value) else 0


def _required(value: object) -> str:
    return text(value) or ""


_HEAD: Final[tuple[Callable[[object], object], ...]] = (
    *(_required, _required, text, _required, _required),
    *(lambda value: whole(value) or 0, whole, _required, _required),
)
# The types of nearly all rows, which need no conversion.
_USUAL_TYPES: Final = frozenset(
    (str, str, parent, str, str, int, end, str, str)
    for parent in (str, type(None))
    for end in (int, type(None))
)


def _to_row(record: SpanRecord, resource_id: int) -> _Row:
    attributes = record.attributes
    return (
        record.trace_id,
        record.span_id,
        record.parent_span_id,
        record.name,
        record.kind,
        record.start_ns,
        record.end_ns,
        record.status,
        record.status_message,
        text(attributes.get(semconv.APP_NAME)),
        text(attributes.get(semconv.ENVIRONMENT_ID)),
        text(attributes.get(semconv.ENVIRONMENT_NAME)),
        text(attributes.get(semconv.BUILD_ID)),
        _dumps(attributes),
        _dumps([_from_event(event) for event in record.events]) if record.events else "[]",
        _dumps([_from_link(link) for link in record.links]) if record.links else "[]",
        record.trace_state,
        record.sampled,
        record.scope_name,
        record.scope_version,
        resource_id,
    )


def _insert_singly(connection: sqlite3.Connection, rows: list[_Row]) -> None:
    """Insert the rows that can be stored: an impossible value must not cost the other spans."""
    for row in rows:
        try:
            connection.execute(_UPSERT, _scrubbed(row))
        except _UNSTORABLE:
            swallowed("store row")


def _insert_resources(connection: sqlite3.Connection, batch: list[SpanRecord]) -> dict[int, int]:
    """Insert the resources of a batch; return each row id by the identity of the mapping."""
    texts: dict[int, str] = {}
    latest: dict[str, int] = {}
    for record in batch:
        key = id(record.resource)
        text = texts.get(key)
        if text is None:
            text = texts[key] = _scrubbed((_dumps(record.resource),))[0]
        latest[text] = max(latest.get(text, 0), min(record.start_ns, _LARGEST))
    ids = {text: _insert_resource(connection, text, start_ns) for text, start_ns in latest.items()}
    return {key: ids[text] for key, text in texts.items()}


def _insert_resource(connection: sqlite3.Connection, text: str, last_start_ns: int) -> int:
    connection.execute(
        "INSERT INTO resources (attributes, last_start_ns) VALUES (?, ?) "
        "ON CONFLICT (attributes) DO UPDATE "
        "SET last_start_ns = max(last_start_ns, excluded.last_start_ns)",
        (text, last_start_ns),
    )
    query = "SELECT id FROM resources WHERE attributes = ?"
    return int(connection.execute(query, (text,)).fetchone()[0])


def _scrubbed(row: _Row) -> _Row:
    """Return a row whose texts are valid UTF-8: SQLite cannot store a lone surrogate."""
    return tuple(
        value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for value in row
    )


def _dumps(value: object) -> str:
    try:
        return _encoder.encode(value)
    except (ValueError, TypeError):
        return _encoder.encode(_encodable(value))


def _encodable(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_encodable(item) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def _from_event(event: Event) -> dict[str, object]:
    return {"name": event.name, "time_ns": event.time_ns, "attributes": event.attributes}


def _from_link(link: Link) -> dict[str, object]:
    return {
        "trace_id": link.trace_id,
        "span_id": link.span_id,
        "attributes": link.attributes,
    }


def read_attributes(value: object) -> Attributes:
    """Return the attributes in a column, or in a value of its JSON."""
    found = _loads(value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        return {}
    return {
        key: tuple(item) if isinstance(item, list) else item
        for key, item in found.items()
        if isinstance(item, str | int | float | list)
    }


def _events(text: object) -> Iterator[Event]:
    for event in _objects(text):
        name, time_ns = event.get("name"), event.get("time_ns")
        if isinstance(name, str) and isinstance(time_ns, int):
            yield Event(name, time_ns, read_attributes(event.get("attributes")))


def _links(text: object) -> Iterator[Link]:
    for link in _objects(text):
        trace_id, span_id = link.get("trace_id"), link.get("span_id")
        if isinstance(trace_id, str) and isinstance(span_id, str):
            yield Link(trace_id, span_id, read_attributes(link.get("attributes")))


def _objects(text: object) -> list[dict[str, Any]]:
    found = _loads(text)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _loads(text: object) -> object:
    if text == "[]" or not isinstance(text, str):
        return []
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
