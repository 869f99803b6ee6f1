"""A record as a row of the store, and back.

Attributes, events and links are JSON texts that SQLite's own JSON functions can read, so numbers
that JSON does not know (NaN, infinities) are kept as their names. Rows are read defensively: a
person may have edited them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from flash_otel import semconv
from flash_otel.records import Attributes, Event, Link, SpanRecord

_COLUMNS: Final = (
    "trace_id", "span_id", "parent_span_id", "name", "kind", "start_ns", "end_ns", "status",
    "status_message", "app_name", "environment_id", "environment_name", "build_id", "attributes",
    "events", "links", "trace_state", "sampled", "scope_name", "scope_version", "resource_id",
)  # fmt: skip
_UPDATED: Final = _COLUMNS[2:]

# A row whose key is stored already is left out. Nearly no row is, and an upsert of all of them
# takes two and a half times as long (24 against 10 us a row): SQLite keeps a journal per statement
# for one that may change rows.
_INSERT: Final = (
    f"INSERT INTO spans ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "  # noqa: S608 - constants only
    "ON CONFLICT (trace_id, span_id) DO "
)
INSERT_NEW: Final = f"{_INSERT}NOTHING"

# A finished row replaces a started one, never the reverse; the same one twice changes nothing.
# Its new id puts it last: who reads in the order of ids has not seen its end yet.
UPSERT: Final = (
    f"{_INSERT}UPDATE SET id = (SELECT max(id) + 1 FROM spans), "  # noqa: S608 - constants only
    f"{', '.join(f'{name} = excluded.{name}' for name in _UPDATED)} "
    "WHERE spans.end_ns IS NULL AND excluded.end_ns IS NOT NULL"
)

SELECT: Final = (
    f"SELECT {', '.join(_COLUMNS[:9])}, spans.attributes, events, links, trace_state, sampled, "  # noqa: S608 - constants only
    "scope_name, scope_version, resources.attributes "
    "FROM spans LEFT JOIN resources ON resources.id = resource_id "
)

Row = tuple[Any, ...]

_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def to_row(record: SpanRecord, resource_id: int) -> Row:
    """Return the values of `UPSERT` for a record."""
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
        _text(attributes.get(semconv.APP_NAME)),
        _text(attributes.get(semconv.ENVIRONMENT_ID)),
        _text(attributes.get(semconv.ENVIRONMENT_NAME)),
        _text(attributes.get(semconv.BUILD_ID)),
        dumps(attributes),
        dumps([_event(one) for one in record.events]) if record.events else "[]",
        dumps([_link(one) for one in record.links]) if record.links else "[]",
        record.trace_state,
        record.sampled,
        record.scope_name,
        record.scope_version,
        resource_id,
    )


def from_row(row: Row) -> SpanRecord:
    """Return the record of a row of `SELECT`."""
    *head, attributes, events, links, trace_state, sampled, scope, version, resource = row
    fields = (
        *head,
        _attributes(attributes),
        tuple(_events(events)),
        tuple(_links(links)),
        _attributes(resource),
        scope,
        version,
        trace_state,
        bool(sampled),
    )
    return SpanRecord(*fields)


def linked_traces(record: SpanRecord) -> set[str]:
    """Return the other traces that a span points to, by a link or by a mirrored one."""
    found = {link.trace_id for link in record.links}
    mirrored = record.attributes.get(semconv.DEPLOY_TRACE_ID)
    if isinstance(mirrored, str):
        found.add(mirrored)
    found.discard(record.trace_id)
    return found


def dumps(value: object) -> str:
    """Return compact JSON that a UTF-8 database can hold."""
    try:
        return _encoder.encode(value)
    except (ValueError, TypeError):
        return _encoder.encode(_sound(value))


def scrubbed(row: Row) -> Row:
    """Return a row whose texts are valid UTF-8: a lone surrogate cannot be stored."""
    return tuple(
        value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for value in row
    )


def _sound(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _sound(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_sound(one) for one in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _event(event: Event) -> dict[str, object]:
    return {"name": event.name, "time_ns": event.time_ns, "attributes": event.attributes}


def _link(link: Link) -> dict[str, object]:
    return {
        "trace_id": link.trace_id,
        "span_id": link.span_id,
        "attributes": link.attributes,
    }


def _attributes(value: object) -> Attributes:
    found = _loads(value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        return {}
    return {
        key: tuple(one) if isinstance(one, list) else one
        for key, one in found.items()
        if isinstance(one, str | int | float | list)
    }


def _events(text: object) -> Iterator[Event]:
    for one in _objects(text):
        name, time_ns = one.get("name"), one.get("time_ns")
        if isinstance(name, str) and isinstance(time_ns, int):
            yield Event(name, time_ns, _attributes(one.get("attributes")))


def _links(text: object) -> Iterator[Link]:
    for one in _objects(text):
        trace_id, span_id = one.get("trace_id"), one.get("span_id")
        if isinstance(trace_id, str) and isinstance(span_id, str):
            yield Link(trace_id, span_id, _attributes(one.get("attributes")))


def _objects(text: object) -> list[dict[str, Any]]:
    found = _loads(text)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _loads(text: object) -> object:
    if text == "[]" or not isinstance(text, str):
        return []
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
