"""Look up recorded spans in a store by its indices, in memory that does not grow with the store.

The store is the local one, or a temporary one with the records of other sources.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flash_otel import semconv as sc
from flash_otel.diagnosis.collect import is_fuller, unique
from flash_otel.diagnosis.facts import origin, with_host
from flash_otel.records import LINES_SCOPE
from flash_otel.store import references as refs
from flash_otel.store.errors import translated
from flash_otel.store.rows import SELECT, from_row
from flash_otel.store.store import temporary_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore

_T = TypeVar("_T")

_BATCH: Final = 1_000
_MOST_KNOWN: Final = 10_000
_MOST_FOUND: Final = 100_000
_SELECT: Final = f"SELECT spans.id, {SELECT.removeprefix('SELECT ')}"
_CHUNK: Final = 400  # values in one query: SQLite binds at least 999
_AFTER_ALL: Final = "\U0010ffff"  # sorts after every other character


def _attribute(name: str) -> str:
    return f"json_extract(spans.attributes, '$.\"{name}\"')"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


DEPLOYING: Final = (
    f"spans.name IN ({_quoted(sc.DEPLOY_SIDE)}) AND NOT EXISTS (SELECT 1 FROM span_references "  # noqa: S608 - constants only
    f"WHERE reference = '{refs.BY_WORKER}:' || spans.name AND span = spans.id)"
)
"""Condition for a span that a deployment made."""

RUNNING: Final = f"NOT ({DEPLOYING})"
"""Condition for a span that a worker or another caller made."""

ODD: Final = (
    f"(spans.status = 'error' OR spans.scope_name = '{LINES_SCOPE}' "
    f"OR {_attribute(sc.FAULT)} IS NOT NULL "
    f"OR (spans.name IN ({_quoted((sc.RUNTIME_FETCH, sc.MANIFEST_FETCH))}) "
    f"AND coalesce({_attribute(sc.MANIFEST_STATE)}, '{sc.MANIFEST_COMPLETE}') "
    f"!= '{sc.MANIFEST_COMPLETE}'))"
)
"""Condition for a span that may show a fault."""

REFERRING: Final = (
    "SELECT spans.id FROM span_references CROSS JOIN spans ON spans.id = span WHERE reference "
)

# Where a temporary store keeps the origin of a record, with its line in sortable form.
_ORIGIN: Final = "flash_otel.origin"
_LINE_DIGITS: Final = 12


class RecordedSpans:
    """The spans of a store, as the records of a source.

    It remembers what it has looked up, as the lookups around two deployments overlap: one object
    shows the store as it was, and serves one command or request.

    Args:
        store: The store.
        restore: Turns a stored record into the source's own.
        since_ns: Earliest start, in nanoseconds since the epoch.
        place: SQL expression that orders spans with the same start.
    """

    def __init__(
        self,
        store: SpanStore,
        restore: Callable[[SpanRecord], SpanRecord] = lambda record: record,
        since_ns: int | None = None,
        place: str = "spans.id",
    ) -> None:
        self._store = store
        self._restore = restore
        self._known: dict[int, SpanRecord] = {}
        self._found: dict[tuple[str, tuple[object, ...]], list[tuple[Any, ...]]] = {}
        self._found_rows = 0
        self._since = "" if since_ns is None else f" AND spans.start_ns >= {since_ns}"
        self.first = f"ORDER BY spans.start_ns, {place}, spans.id LIMIT"
        self.last = f"ORDER BY spans.start_ns DESC, {place} DESC, spans.id DESC LIMIT"

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query; the same ones if it is repeated."""
        key = (query, values)
        if key not in self._found:
            if self._found_rows > _MOST_FOUND:
                self._found.clear()
                self._found_rows = 0
            self._found[key] = self._execute(query, values)
            self._found_rows += 1 + len(self._found[key])
        return self._found[key]

    def _execute(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        # A command line may hold bytes that are not UTF-8, which SQLite cannot bind.
        bound = [
            value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
            for value in values
        ]
        with translated(self._store.path):
            return self._store.connection.execute(query, bound).fetchall()

    def where(self, condition: str, *values: object, order: str = "") -> list[SpanRecord]:
        """Return the spans that meet a condition.

        Args:
            condition: SQL on `spans`.
            values: Values of its placeholders.
            order: `first` or `last` with a number of spans.
        """
        query = f"SELECT spans.id FROM spans WHERE {condition}{self._since} {order}"  # noqa: S608 - `condition` holds placeholders
        return self._records(query, *values)

    def in_traces(
        self, trace_ids: Iterable[str], rest: str = "", order: str = ""
    ) -> list[SpanRecord]:
        """Return the spans of traces that meet a further condition."""
        found: list[SpanRecord] = []
        for chunk in _chunks(trace_ids):
            marks = ", ".join("?" * len(chunk))
            found += self.where(f"trace_id IN ({marks}) {rest}", *chunk, order=order)
        return found

    def referring(
        self, reference: str, rest: str = "", *values: object, order: str = ""
    ) -> list[SpanRecord]:
        """Return the spans with a reference.

        Args:
            reference: As `flash_otel.store.references.reference` returns it.
            rest: Further conditions on `spans`.
            values: Values of its placeholders.
            order: An order of `span_references.span`, and a number of spans.
        """
        return self._records(f"{REFERRING} = ? {rest}{self._since} {order}", reference, *values)

    def environments_referring(self, reference: str, order: str) -> set[str]:
        """Return the ids of the environments that the spans with a reference name.

        Args:
            reference: As for `referring`.
            order: An order of `span_references.span`, and a number of spans.
        """
        spans = f"{REFERRING} = ?{self._since} {order}"
        query = f"SELECT DISTINCT environment_id FROM spans WHERE id IN ({spans})"  # noqa: S608 - constants only
        return {found for (found,) in self.rows(query, reference) if isinstance(found, str)}

    def referring_to_any(self, references: Iterable[str], order: str) -> list[SpanRecord]:
        """Return the spans with one of some references."""
        found: list[SpanRecord] = []
        for chunk in _chunks(references):
            marks = ", ".join("?" * len(chunk))
            found += self._records(f"{REFERRING} IN ({marks}){self._since} {order}", *chunk)
        return found

    def referring_from(self, prefix: str, order: str) -> list[SpanRecord]:
        """Return the spans with a reference that begins with a prefix."""
        query = f"{REFERRING} >= ? AND reference < ?{self._since} {order}"
        return self._records(query, prefix, prefix + _AFTER_ALL)

    def references(self, prefix: str) -> Iterator[str]:
        """Yield the distinct references that begin with a prefix, in alphabetical order."""
        return self._distinct("reference", "span_references", prefix)

    def environments(self) -> Iterator[str]:
        """Yield the ids of the environments that were deployed to, in alphabetical order."""
        for environment_id in self._distinct("environment_id", "spans", ""):
            if self.deployed_ns(environment_id) is not None:
                yield environment_id

    def environments_of(self, build_id: str) -> list[tuple[str | None, str | None, str | None]]:
        """Return id, name and app of the environments that a build was deployed to."""
        columns = "environment_id, environment_name, app_name"
        query = f"SELECT DISTINCT {columns} FROM spans WHERE id IN ({REFERRING} = ?)"  # noqa: S608 - constants only
        return self.rows(query, f"{refs.BUILD}:{build_id}")

    def deployed_ns(self, environment_id: str) -> int | None:
        """Return the start of the last span that deployed to an environment, or None."""
        condition = f"environment_id = ? AND {DEPLOYING}{self._since}"
        query = f"SELECT start_ns FROM spans WHERE {condition} ORDER BY start_ns DESC LIMIT 1"  # noqa: S608 - constants only
        found = self.rows(query, environment_id)
        return found[0][0] if found else None

    def environment_names(self) -> Iterator[str]:
        """Yield the ids and the names of all environments, in alphabetical order each."""
        yield from self._distinct("environment_id", "spans", "")
        yield from self._distinct("environment_name", "spans", "")

    def names_of(self, environment_id: str) -> tuple[str | None, str | None]:
        """Return an environment's name and its app, as the last spans that know them have them."""
        query = (
            "SELECT {0} FROM spans WHERE environment_id = ? AND {0} IS NOT NULL "
            "ORDER BY start_ns DESC LIMIT 1"
        )
        name, app = (
            next((str(found) for (found,) in self.rows(query.format(column), environment_id)), None)
            for column in ("environment_name", "app_name")
        )
        return name, app

    def apps(self) -> Iterator[str]:
        """Yield the names of the apps that deployments or calls name, more than once."""
        for kind in (refs.PLACE, refs.CALL):
            for place in self.references(f"{kind}:"):
                if app := place.rpartition("/")[2]:
                    yield app
        yield from (app.partition(":")[2] for app in self.references(f"{refs.UNPLACED}:"))

    def nameless(self) -> Iterator[tuple[str, str]]:
        """Yield name and app of the environments of which nothing recorded knows the id."""
        apps: dict[str, list[str]] = defaultdict(list)
        for place in self.references(f"{refs.PLACE}:"):
            name, _, app = place.partition(":")[2].rpartition("/")
            apps[name].append(app)
        for name, known in apps.items():
            if self.deployed_ns(name) is not None:
                continue
            in_apps = [app for app in known if app]
            unknown = [app for app in known if not self._is_identified(f"{name}/{app}")]
            if len(in_apps) > 1:
                yield from ((name, app) for app in unknown if app)
            # A name without an app is that of the app, or may be that of any of several.
            elif unknown == known and not self._is_read(name):
                yield name, "".join(in_apps)

    def _is_identified(self, place: str) -> bool:
        """Return True if a deployment to a place, or another one of its build, knows its id."""
        known = "AND environment_id IS NOT NULL"
        if self.rows(f"{REFERRING} = ? {known} LIMIT 1", f"{refs.PLACE}:{place}"):
            return True
        own = f"{REFERRING} = ?"
        builds = f"SELECT 'build:' || build_id FROM spans WHERE id IN ({own})"  # noqa: S608 - constants only
        return bool(
            self.rows(f"{REFERRING} IN ({builds}) {known} LIMIT 1", f"{refs.PLACE}:{place}")
        )

    def _is_read(self, name: str) -> bool:
        """Return True if a read knows the name of an environment that was deployed to by its id."""
        condition = f"environment_name = ? AND environment_id IS NOT NULL AND {RUNNING}"
        query = f"SELECT environment_id FROM spans WHERE {condition} LIMIT 1"  # noqa: S608 - constants only
        return any(self.deployed_ns(found) is not None for (found,) in self.rows(query, name))

    def _distinct(self, column: str, table: str, prefix: str) -> Iterator[str]:
        """Look up each distinct value after the one before it, without a walk over all rows."""
        query = f"SELECT min({column}) FROM {table} WHERE {column} {{}} ? AND {column} < ?"  # noqa: S608 - constants only
        high = prefix + _AFTER_ALL
        ((value,),) = self.rows(query.format(">="), prefix, high)
        while value is not None:
            yield str(value)
            ((value,),) = self.rows(query.format(">"), value, high)

    def _records(self, ids: str, *values: object) -> list[SpanRecord]:
        found = [id_ for (id_,) in self.rows(ids, *values)]
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        for chunk in _chunks(id_ for id_ in found if id_ not in self._known):
            marks = ", ".join("?" * len(chunk))
            query = f"{_SELECT}WHERE spans.id IN ({marks})"
            for id_, *row in self._execute(query, tuple(chunk)):
                self._known[id_] = self._restore(from_row(tuple(row)))
        return [self._known[id_] for id_ in found]


def local_spans(store: SpanStore, since_ns: int | None = None) -> RecordedSpans:
    """Return the spans of the local store, whose processes share the clock of this machine.

    Args:
        store: The store.
        since_ns: Earliest start, in nanoseconds since the epoch.
    """
    return RecordedSpans(store, partial(with_host, host=f"store {store.path}"), since_ns)


@contextmanager
def laid_out(records: Iterable[SpanRecord]) -> Iterator[RecordedSpans]:
    """Write records of any sources into a temporary store, the fullest record of each span.

    Raises:
        StoreError: The disk is full, or the temporary folder cannot be written to.
    """
    with temporary_store() as store:
        left = iter(records)
        while batch := list(islice(left, _BATCH)):
            fullest = unique(batch)
            for known in _stored(store, fullest):
                record = fullest.get(known.key)
                if record is not None and is_fuller(record, known):
                    _delete(store, known)
                else:
                    fullest.pop(known.key, None)
            store.write(_with_attribute(record) for record in fullest.values())
        yield RecordedSpans(store, _with_origin, place=_attribute(_ORIGIN))


def _stored(store: SpanStore, keys: Iterable[tuple[str, str]]) -> list[SpanRecord]:
    # Not shared by batches: it remembers records by ids, which a deletion makes free again.
    spans = RecordedSpans(store, _with_origin)
    found: list[SpanRecord] = []
    for chunk in _chunks(keys):
        marks = ", ".join(["(?, ?)"] * len(chunk))
        values = [part for key in chunk for part in key]
        found += spans.where(f"(trace_id, span_id) IN (VALUES {marks})", *values)
    return found


def _delete(store: SpanStore, record: SpanRecord) -> None:
    query = "DELETE FROM spans WHERE trace_id = ? AND span_id = ?"
    with translated(store.path):
        store.connection.execute(query, record.key)


def _with_attribute(record: SpanRecord) -> SpanRecord:
    if not record.origin:
        return record
    place = origin(record)
    sortable = f"{place.file}:{place.line:0{_LINE_DIGITS}}" if place.line else place.file
    return replace(record, attributes={**record.attributes, _ORIGIN: sortable})


def _with_origin(record: SpanRecord) -> SpanRecord:
    sortable = record.attributes.get(_ORIGIN)
    if not isinstance(sortable, str):
        return record
    attributes = {key: value for key, value in record.attributes.items() if key != _ORIGIN}
    file, _, line = sortable.rpartition(":")
    has_line = len(line) == _LINE_DIGITS and line.isdecimal()
    place = f"{file}:{int(line)}" if has_line else sortable
    return replace(record, attributes=attributes, origin=place)


def _chunks(values: Iterable[_T]) -> Iterator[list[_T]]:
    left = iter(dict.fromkeys(values))
    while chunk := list(islice(left, _CHUNK)):
        yield chunk
