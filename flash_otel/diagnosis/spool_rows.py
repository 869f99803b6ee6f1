"""A record as rows of the spool: what it is looked up by, and its body."""

from __future__ import annotations

import marshal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flash_otel import semconv as sc
from flash_otel.diagnosis import facts
from flash_otel.diagnosis.collect import DEPLOY_SIDE
from flash_otel.diagnosis.facts import origin, shows_worker
from flash_otel.diagnosis.matching import id_in
from flash_otel.diagnosis.values import text, texts
from flash_otel.records import Event, Link, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST: Final = 2**63 - 1

_TOLD: Final = (
    sc.ENVIRONMENT_ID,
    sc.APP_NAME,
    sc.ENVIRONMENT_NAME,
    sc.BUILD_ID,
    sc.DEPLOYMENT_ID,
    sc.CODE_DEPLOYMENT_ID,
    sc.ACTIVE_DEPLOYMENT_ID,
)
_DEPLOYMENT: Final = _TOLD.index(sc.DEPLOYMENT_ID)
FETCHES: Final = frozenset({sc.RUNTIME_FETCH, sc.MANIFEST_FETCH})
_SOUND: Final = frozenset({None, sc.MANIFEST_COMPLETE})


def endpoint(endpoint_id: str) -> str:
    """Return what a span of an endpoint is named by."""
    return f"endpoint {endpoint_id}"


def alias(deployment_id: str) -> str:
    """Return what the root of a deployment is named by."""
    return f"alias {deployment_id}"


class Row(NamedTuple):
    """A row of `spans`, without its id."""

    trace: str
    name: str
    start: int
    file: str
    line: int
    deploying: bool
    odd: bool
    lines: bool
    environment: str | None
    app: str | None
    label: str | None
    build: str | None
    deployment: str | None
    code: str | None
    active: str | None
    instance: str

    @classmethod
    def of(cls, record: SpanRecord) -> Row:
        """Return what a record is looked up by."""
        said = record.attributes
        file, line = "", 0
        if record.origin:
            place = origin(record)
            file, line = stored(place.file), place.line
        told = [value if isinstance(value := said.get(one), str) else None for one in _TOLD]
        rebuilt = facts.by_lines(record)
        state = said.get(sc.MANIFEST_STATE) if record.name in FETCHES else None
        fields = (
            record.trace_id,
            record.name,
            min(max(record.start_ns, 0), _LARGEST),
            file,
            line,
            record.name in DEPLOY_SIDE and (bool(told[_DEPLOYMENT]) or not shows_worker(record)),
            record.status == "error" or sc.FAULT in said or rebuilt or state not in _SOUND,
            rebuilt,
            *(stored(one) if one else None for one in told),
            stored(facts.instance_of(record)),
        )
        return cls._make(fields)


def names(record: SpanRecord) -> Iterator[str]:
    """Yield the names that a record may be known by: its endpoints, its aliases."""
    said = record.attributes
    for name in (sc.ENDPOINT_ID, sc.WORKER_ENDPOINT_ID):
        if name in said and (found := text(said, name)):
            yield endpoint(found)
    if sc.ENDPOINT_URLS in said and record.name in DEPLOY_SIDE:
        yield from (
            endpoint(found) for url in texts(said, sc.ENDPOINT_URLS) or () if (found := id_in(url))
        )
    if record.name == sc.DEPLOY:
        yield alias(record.span_id)
        yield from (alias(link.span_id) for link in record.links)


def stored(value: str) -> str:
    """Return a text that a UTF-8 database can hold."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def resource_of(record: SpanRecord) -> tuple[int, bytes]:
    """Return the key of a record's resource, and its body."""
    body = marshal.dumps(dict(record.resource))
    return int.from_bytes(blake2b(body, digest_size=8).digest(), "big", signed=True), body


def body_of(record: SpanRecord) -> bytes:
    """Return a record without its resource, as bytes."""
    return marshal.dumps(
        (
            record.trace_id,
            record.span_id,
            record.parent_span_id,
            record.name,
            record.kind,
            record.start_ns,
            record.end_ns,
            record.status,
            record.status_message,
            dict(record.attributes),
            [(one.name, one.time_ns, dict(one.attributes)) for one in record.events],
            [(one.trace_id, one.span_id, dict(one.attributes)) for one in record.links],
            record.scope_name,
            record.scope_version,
            record.trace_state,
            record.sampled,
            record.origin,
        )
    )


def record_of(body: bytes, resource: bytes) -> SpanRecord:
    """Return the record of a body and a resource."""
    *head, events, links, scope, version, state, sampled, place = _loads(body)
    made = (tuple(Event(*one) for one in events), tuple(Link(*one) for one in links))
    fields = (*head, *made, _loads(resource), scope, version, state, sampled, place)
    return SpanRecord(*fields)


def _loads(body: bytes) -> Any:
    return marshal.loads(body)  # noqa: S302 - written by this process, into a file without a name
