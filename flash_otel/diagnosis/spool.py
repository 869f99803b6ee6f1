"""Records on disk, looked up by what they have in common: evidence of any size in flat memory.

The database is SQLite's own temporary one. It has no name that could be left behind, whatever ends
the process, and lies where SQLITE_TMPDIR or TMPDIR say.
"""

from __future__ import annotations

import marshal
import sqlite3
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flash_otel import semconv as sc
from flash_otel.diagnosis import facts
from flash_otel.diagnosis.belonging import id_in
from flash_otel.diagnosis.collecting import DEPLOY_SIDE, origin, shows_worker
from flash_otel.diagnosis.reading import text, texts
from flash_otel.records import Event, Link, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from typing_extensions import Self

BATCH: Final = 2_000
CHUNK: Final = 500
"""Values in one lookup: SQLite binds 999 at least."""

_CACHE_KIB: Final = 32 * 1024
_LARGEST: Final = 2**63 - 1

_TABLES: Final = (
    """CREATE TABLE spans (
        id INTEGER PRIMARY KEY, trace TEXT, name TEXT, start INTEGER, file TEXT, line INTEGER,
        deploying INTEGER, odd INTEGER, lines INTEGER, environment TEXT, app TEXT, label TEXT,
        build TEXT, deployment TEXT, code TEXT, active TEXT, instance TEXT
    )""",
    # Apart, so that what is searched stays small.
    "CREATE TABLE bodies (id INTEGER PRIMARY KEY, resource INTEGER, body BLOB)",
    "CREATE TABLE resources (id INTEGER PRIMARY KEY, body BLOB)",
    # What a span may be known by in several ways: an endpoint's id, an alias of a deployment.
    "CREATE TABLE names (value TEXT, span INTEGER, PRIMARY KEY (value, span)) WITHOUT ROWID",
    "CREATE TABLE environments (value TEXT PRIMARY KEY, last INTEGER) WITHOUT ROWID",
    """CREATE TABLE made (
        build TEXT, environment TEXT, PRIMARY KEY (build, environment)
    ) WITHOUT ROWID""",
    """CREATE TABLE places (
        app TEXT, label TEXT, build TEXT, environment TEXT, last INTEGER,
        PRIMARY KEY (app, label, environment, build)
    ) WITHOUT ROWID""",
    # Names of environments of which no deployment learned the id.
    """CREATE VIEW nameless AS SELECT * FROM places WHERE environment = ''
        AND NOT EXISTS (SELECT 1 FROM made WHERE made.build = places.build)
        AND NOT EXISTS (SELECT 1 FROM places AS other WHERE other.app = places.app
            AND other.label = places.label AND other.environment != '')
        AND (app != '' OR NOT EXISTS (SELECT 1 FROM places AS other
            WHERE other.app != '' AND other.label = places.label))""",
    # Where calls go by name, and the names among these that nobody deployed to.
    "CREATE TABLE called (app TEXT, label TEXT, PRIMARY KEY (app, label)) WITHOUT ROWID",
    """CREATE VIEW astray AS SELECT * FROM called WHERE NOT EXISTS (SELECT 1 FROM places
        WHERE places.app = called.app AND places.label = called.label)""",
    # What reads in files ask for: environments, and the builds that they were answered.
    "CREATE TABLE asked (kind TEXT, value TEXT, PRIMARY KEY (kind, value)) WITHOUT ROWID",
)
_INDEXES: Final = (
    "CREATE INDEX by_trace ON spans (trace)",
    *(
        f"CREATE INDEX by_{one} ON spans ({one}, deploying, start) WHERE {one} IS NOT NULL"
        for one in ("environment", "build", "deployment", "code", "active", "instance")
    ),
    "CREATE INDEX by_label ON spans (label, app, deploying, start) WHERE label IS NOT NULL",
    "CREATE INDEX by_making ON spans (start, file, line) WHERE deploying",
    "CREATE INDEX by_place ON spans (start) WHERE deploying AND lines AND build IS NULL",
    "CREATE INDEX by_odd ON spans (environment, start) WHERE odd",
    "CREATE INDEX by_stray ON spans (name) WHERE NOT deploying AND code IS NULL",
)
_INSERT: Final = {
    "resources": "INSERT OR IGNORE INTO resources VALUES (?, ?)",
    "spans": "INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "bodies": "INSERT INTO bodies VALUES (?, ?, ?)",
    "names": "INSERT OR IGNORE INTO names VALUES (?, ?)",
    "environments": "INSERT INTO environments VALUES (?, ?) "
    "ON CONFLICT DO UPDATE SET last = max(last, excluded.last)",
    "made": "INSERT OR IGNORE INTO made VALUES (?, ?)",
    "places": "INSERT OR IGNORE INTO places VALUES (?, ?, ?, ?, ?)",
    "asked": "INSERT OR IGNORE INTO asked VALUES (?, ?)",
    "called": "INSERT OR IGNORE INTO called VALUES (?, ?)",
}
_SELECT: Final = (
    "SELECT bodies.body, resources.body FROM spans JOIN bodies USING (id) "
    "JOIN resources ON resources.id = resource "
)

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


_NO_READ: Final = f"""NOT EXISTS (SELECT 1 FROM spans AS other WHERE
    other.instance = spans.instance AND NOT other.deploying AND
    other.name IN ('{sc.RUNTIME_FETCH}', '{sc.MANIFEST_FETCH}', '{sc.CALL}'))"""  # noqa: S608 - constants only


def endpoint(endpoint_id: str) -> str:
    """Return what a span of an endpoint is named by."""
    return f"endpoint {endpoint_id}"


def alias(deployment_id: str) -> str:
    """Return what the root of a deployment is named by."""
    return f"alias {deployment_id}"


class Spool:
    """Records that were written once, and are then looked up."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._resources: dict[int, None] = {}
        self._strays: list[SpanRecord] | None = None
        self._next = 1
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self._connection.execute(f"PRAGMA {setting}")
        for table in _TABLES:
            self._connection.execute(table)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def write(self, records: Iterable[SpanRecord]) -> None:
        """Write all records, in one go; after that they can be looked up."""
        self._connection.execute("BEGIN")
        rest = iter(records)
        while batch := list(islice(rest, BATCH)):
            self._write(batch)
        for index in _INDEXES:
            self._connection.execute(index)
        self._connection.execute("COMMIT")
        self._connection.execute("PRAGMA analysis_limit = 1000")
        self._connection.execute("ANALYZE")

    def _write(self, batch: list[SpanRecord]) -> None:
        rows: dict[str, list[tuple[object, ...]]] = {table: [] for table in _INSERT}
        latest: dict[str, int] = {}
        for record in batch:
            self._add(record, rows, latest)
        rows["environments"] += latest.items()
        if len(self._resources) > BATCH:
            self._resources.clear()
        for table, insert in _INSERT.items():
            self._connection.executemany(insert, rows[table])

    def _add(
        self,
        record: SpanRecord,
        rows: dict[str, list[tuple[object, ...]]],
        latest: dict[str, int],
    ) -> None:
        resource, body = _resource(record)
        if resource not in self._resources:
            self._resources[resource] = None
            rows["resources"].append((resource, body))
        row = _Row.of(record)
        rows["spans"].append((self._next, *row))
        rows["bodies"].append((self._next, resource, _body(record)))
        rows["names"] += ((_stored(one), self._next) for one in _names(record))
        self._next += 1
        if row.deploying:
            if row.environment:
                latest[row.environment] = max(latest.get(row.environment, 0), row.start)
                if row.build:
                    rows["made"].append((row.build, row.environment))
            if row.label:
                place = (row.app or "", row.label, row.build or "", row.environment or "")
                rows["places"].append((*place, row.start))
        elif record.name == sc.CALL and row.label:
            rows["called"].append((row.app or "", row.label))
        elif record.name in FETCHES and row.file:
            told = (("environment", row.environment), ("build", row.build))
            rows["asked"] += (one for one in told if one[1])

    def rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query on `spans` and `names`."""
        yield from self._connection.execute(query, values)

    def where(self, condition: str, *values: object) -> Iterator[SpanRecord]:
        """Yield the records that meet a condition on `spans`."""
        for body, resource in self._connection.execute(f"{_SELECT}WHERE {condition}", values):
            yield _record(body, resource)

    def among(self, column: str, values: Iterable[str], rest: str = "") -> Iterator[SpanRecord]:
        """Yield the records whose column has one of some values.

        Args:
            column: A column of `spans`.
            values: The values, any number.
            rest: A further condition and, for each lookup, an order and a limit.
        """
        for some in chunks(values):
            marks = ", ".join("?" * len(some))
            yield from self.where(f"{column} IN ({marks}) {rest}", *some)

    def named(self, values: Iterable[str], rest: str = "") -> Iterator[SpanRecord]:
        """Yield the records that are known by one of some names (`endpoint`, `alias`)."""
        inner = "spans.id IN (SELECT span FROM names WHERE value IN ({}))"
        for some in chunks(values):
            marks = ", ".join("?" * len(some))
            yield from self.where(f"{inner.format(marks)} {rest}", *some)

    def strays(self, most: int) -> list[SpanRecord]:
        """Return what workers wrote, and provisioned without a read or call of their own."""
        if self._strays is None:
            made = "NOT deploying AND name = ? AND code IS NULL"
            rest = f"ORDER BY start LIMIT {most}"
            self._strays = [
                *self.where(f"{made} AND {_NO_READ} {rest}", sc.PROVISION_ENDPOINT),
                *self.where(f"{made} {rest}", sc.MANIFEST_UPLOAD),
            ]
        return self._strays


def chunks(values: Iterable[str]) -> Iterator[Sequence[str]]:
    """Yield values in as many at a time as one lookup takes, each once."""
    rest = iter(dict.fromkeys(map(_stored, values)))
    while some := list(islice(rest, CHUNK)):
        yield some


class _Row(NamedTuple):
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
    def of(cls, record: SpanRecord) -> _Row:
        """Return what a record is looked up by."""
        said = record.attributes
        file, line = "", 0
        if record.origin:
            place = origin(record)
            file, line = _stored(place.file), place.line
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
            *(_stored(one) if one else None for one in told),
            _stored(facts.instance_of(record)),
        )
        return cls._make(fields)


def _names(record: SpanRecord) -> Iterator[str]:
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


def _stored(value: str) -> str:
    """Return a text that a UTF-8 database can hold."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _resource(record: SpanRecord) -> tuple[int, bytes]:
    body = marshal.dumps(dict(record.resource))
    return int.from_bytes(blake2b(body, digest_size=8).digest(), "big", signed=True), body


def _body(record: SpanRecord) -> bytes:
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


def _record(body: bytes, resource: bytes) -> SpanRecord:
    *head, events, links, scope, version, state, sampled, place = _loads(body)
    made = (tuple(Event(*one) for one in events), tuple(Link(*one) for one in links))
    fields = (*head, *made, _loads(resource), scope, version, state, sampled, place)
    return SpanRecord(*fields)


def _loads(body: bytes) -> Any:
    return marshal.loads(body)  # noqa: S302 - written by this process, into a file without a name
