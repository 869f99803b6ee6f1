"""Complete partial values, and put together reads that are recorded in several pieces.

A log may cut off, break or mask an id or a name. If a partial value fits exactly one whole value of
its kind in all of the evidence, it counts as that value. Otherwise it is unknown, and the attribute
is left out: a missing part must not prove a difference.

A worker writes the lines of a read beside its span. A log may be split anywhere: one file may end
with a request, and another begin with its response.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.lines.values import BROKEN_UUID, UUID, as_glob, matches
from flash_otel.records import ANY, LINES_PARTIAL, LINES_SCOPE, text, texts
from flash_otel.store.references import instance_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flash_otel.diagnosis.evidence import EndpointSet, Origin, RuntimeFetch
    from flash_otel.records import SpanRecord


# --- partial values -------------------------------------------------------------------------------

# Attributes whose values are compared with each other. A deployment by id prints the id as its
# environment's name, and Flash up to 1.3 asked for its endpoint's id instead of its environment's.
_ENVIRONMENTS: Final = (sc.ENVIRONMENT_ID, sc.WORKER_ENVIRONMENT_ID)
_ENDPOINTS: Final = (sc.WORKER_ENDPOINT_ID, sc.ENDPOINT_ID)
_SAME_KIND: Final[dict[str, tuple[str, ...]]] = {
    sc.BUILD_ID: (sc.BUILD_ID,),
    sc.ENVIRONMENT_ID: (*_ENVIRONMENTS, sc.WORKER_ENDPOINT_ID),
    sc.WORKER_ENVIRONMENT_ID: _ENVIRONMENTS,
    sc.ENVIRONMENT_NAME: (sc.ENVIRONMENT_NAME, *_ENVIRONMENTS),
    sc.WORKER_ENDPOINT_ID: _ENDPOINTS,
    # Nothing: completed by the id of another deployment, it would prove a takeover.
    sc.ENDPOINT_ID: (),
    sc.PREVIOUS_BUILD_ID: (sc.BUILD_ID,),
    sc.CODE_DEPLOYMENT_ID: (sc.DEPLOYMENT_ID,),
    sc.ACTIVE_DEPLOYMENT_ID: (sc.DEPLOYMENT_ID,),
    sc.PERSISTED_DIGEST: (sc.ENDPOINTS_DIGEST,),
}
# The ids of spans that a diagnosis compares, by kind. CI masks them, and limits cut them.
_IDS: Final = (
    (sc.BUILD_ID, sc.PREVIOUS_BUILD_ID),
    (*_ENVIRONMENTS, sc.WORKER_ENDPOINT_ID, sc.ENDPOINT_ID),
    (sc.DEPLOYMENT_ID, sc.CODE_DEPLOYMENT_ID, sc.ACTIVE_DEPLOYMENT_ID),
    (sc.ENDPOINTS_DIGEST, sc.PERSISTED_DIGEST),
    (sc.ENDPOINT_URL, sc.ENDPOINT_URLS),
)
_SHAPED: Final = frozenset({sc.BUILD_ID, *_ENVIRONMENTS})
_BETWEEN: Final = re.compile(r"[/.:]+")
"""Separates the parts of a URL, one of which is the endpoint's id."""
_LEAST_BEGINNING: Final = 8
"""Length of a beginning that identifies its id."""
_WHOLE: Final = re.compile(rf"{UUID.pattern}|[a-z0-9]{{14,}}|https?://.+")
"""The forms of ids (of Flash, Runpod and OpenTelemetry) and of URLs."""
_READS: Final = frozenset({sc.RUNTIME_FETCH, sc.MANIFEST_FETCH})
_WRITES: Final = frozenset({sc.ACTIVATE, sc.MANIFEST_UPLOAD})
_LEAST_KNOWN: Final = 4
"""Number of characters that must be known: fewer would fit anything."""


def resolved(records: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Return the records with their partial values replaced by whole ones, or left out.

    A read of an unknown environment or build is left out, because it would seem to agree with
    anything. Its worker's calls are left out, too, because they would seem to lack the read.
    """
    given = _with_partial_ids(list(records))
    if not any(LINES_PARTIAL in record.attributes for record in given):
        return given
    known = _whole_values(given)
    deployed = _deployed(given)
    kept, doubtful = [], set()
    for record in given:
        if LINES_PARTIAL not in record.attributes:
            kept.append(record)
            continue
        found = _resolved(record, known)
        if record.name in _READS and not _is_known(record, found, deployed):
            doubtful |= {record.key, (record.trace_id, record.parent_span_id or "")}
        kept.append(found)
    doubtful |= _of_other_builds(given, kept) | _of_other_environments(given, kept)
    workers = {instance_of(record) for record in kept if record.key in doubtful}
    return [
        record
        for record in kept
        if record.key not in doubtful
        and not (record.name == sc.CALL and instance_of(record) in workers)
    ]


def _with_partial_ids(records: list[SpanRecord]) -> list[SpanRecord]:
    """Mark the ids of spans that are masked, or merely begin another id of their kind."""
    globs = {name: found for names in _IDS if (found := _globs(records, names)) for name in names}
    return [_noted(record, globs) for record in records] if globs else records


def _globs(records: Sequence[SpanRecord], names: tuple[str, ...]) -> dict[str, str]:
    """Return the partial ids of a kind, with `*` for each missing part."""
    ids = {value for record in records for name in names for value in _values(record, name)}
    found = {value: glob for value in ids if (glob := as_glob(value)) is not None}
    found |= {value: value + ANY for value in ids if BROKEN_UUID.fullmatch(value)}
    for value, following in pairwise(sorted(ids - found.keys())):
        is_cut = len(value) >= _LEAST_BEGINNING and _WHOLE.fullmatch(following) is not None
        if is_cut and following.startswith(value) and len(following) > len(value) + 1:
            found[value] = value + ANY
    return {**_misshapen(records, names, ids), **found}


def _misshapen(
    records: Sequence[SpanRecord], names: tuple[str, ...], ids: set[str]
) -> dict[str, str]:
    """Return the builds and environments in lines that are not UUIDs, if others are.

    Such a text may be a mask of an unknown form. Ids of endpoints and names of environments are
    exempt, because workers have asked for these by mistake.
    """
    if not any(map(UUID.fullmatch, ids)):
        return {}
    whole = {
        part
        for record in records
        for name in (*_ENDPOINTS, sc.ENVIRONMENT_NAME, sc.ENDPOINT_URL, sc.ENDPOINT_URLS)
        for value in _values(record, name)
        for part in (value, *_BETWEEN.split(value))
    }
    shaped = [name for name in names if name in _SHAPED]
    written = {
        value
        for record in records
        if record.scope_name == LINES_SCOPE
        for name in shaped
        for value in _values(record, name)
    }
    return {value: ANY for value in written - whole if UUID.fullmatch(value) is None}


def _values(record: SpanRecord, name: str) -> tuple[str, ...]:
    value = text(record.attributes, name)
    return (texts(record.attributes, name) or ()) if value is None else (value,)


def _noted(record: SpanRecord, globs: Mapping[str, Mapping[str, str]]) -> SpanRecord:
    """Mark the partial ids of a record; a list that contains a partial id is unknown as a whole."""
    attributes = dict(record.attributes)
    partial = list(texts(attributes, LINES_PARTIAL) or ())
    for name in sorted(globs.keys() & attributes.keys()):
        found = [glob for value in _values(record, name) if (glob := globs[name].get(value))]
        if not found:
            continue
        partial += [name] if name not in partial else []
        attributes[name] = found[0]
    if not partial:
        return record
    return replace(record, attributes={**attributes, LINES_PARTIAL: tuple(partial)})


def _of_other_builds(given: list[SpanRecord], kept: list[SpanRecord]) -> set[tuple[str, str]]:
    """Return the reads of builds that do not fit the partial id of the deployed build.

    They would prove a different build if that id were whole.
    """
    whole = {text(record.attributes, sc.BUILD_ID) for record in kept if record.name in _WRITES}
    globs = [
        glob
        for record in given
        if record.name in _WRITES
        and sc.BUILD_ID in (texts(record.attributes, LINES_PARTIAL) or ())
        and (glob := text(record.attributes, sc.BUILD_ID))
    ]
    if not globs or whole - {None}:
        return set()
    return {
        key
        for record in kept
        if record.name in _READS and (build_id := text(record.attributes, sc.BUILD_ID))
        if not any(matches(glob, build_id) for glob in globs)
        for key in (record.key, (record.trace_id, record.parent_span_id or ""))
    }


def _of_other_environments(given: list[SpanRecord], kept: list[SpanRecord]) -> set[tuple[str, str]]:
    """Return the reads of environments that may be the unknown environment of a deployment."""
    writes = [pair for pair in zip(given, kept, strict=True) if pair[0].name in _WRITES]
    builds = {
        text(found.attributes, sc.BUILD_ID)
        for _, found in writes
        if sc.ENVIRONMENT_ID in found.attributes
    }
    if not any(
        sc.ENVIRONMENT_ID in _lost(record, found)
        and text(found.attributes, sc.BUILD_ID) not in builds - {None}
        for record, found in writes
    ):
        return set()
    known = {None, *_deployed(kept)}
    return {
        key
        for record in kept
        if record.name in _READS and text(record.attributes, sc.ENVIRONMENT_ID) not in known
        for key in (record.key, (record.trace_id, record.parent_span_id or ""))
    }


def _deployed(records: Iterable[SpanRecord]) -> set[str]:
    """Return the environments that were deployed to, if their ids are known."""
    partial = LINES_PARTIAL
    return {
        value
        for record in records
        if record.name in _WRITES and sc.ENVIRONMENT_ID not in record.attributes.get(partial, ())  # type: ignore[operator]  # a tuple of names
        if (value := text(record.attributes, sc.ENVIRONMENT_ID))
    }


def _lost(record: SpanRecord, found: SpanRecord) -> set[str]:
    """Return the attributes of a record that could not be resolved."""
    return set(texts(record.attributes, LINES_PARTIAL) or ()) - found.attributes.keys()


def _is_known(record: SpanRecord, found: SpanRecord, deployed: set[str]) -> bool:
    """Return True if everything that a read is judged by is known."""
    unknown = _lost(record, found)
    environment_id = text(found.attributes, sc.ENVIRONMENT_ID)
    if sc.BUILD_ID in unknown:
        # It asked for a different environment, so its build does not matter.
        return environment_id is not None and bool(deployed) and environment_id not in deployed
    return sc.ENVIRONMENT_ID not in unknown


def _whole_values(records: Iterable[SpanRecord]) -> Mapping[str, set[str]]:
    wanted = {name for names in _SAME_KIND.values() for name in names}
    known: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        partial = texts(record.attributes, LINES_PARTIAL) or ()
        for name in wanted & record.attributes.keys():
            value = text(record.attributes, name)
            if value is not None and name not in partial:
                known[name].add(value)
    return known


def _resolved(record: SpanRecord, known: Mapping[str, set[str]]) -> SpanRecord:
    attributes = dict(record.attributes)
    del attributes[LINES_PARTIAL]
    for name in texts(record.attributes, LINES_PARTIAL) or ():
        glob = attributes.pop(name, None)
        fitting = _fitting(glob, known, name) if isinstance(glob, str) else set()
        if len(fitting) == 1:
            attributes[name] = fitting.pop()
    return replace(record, attributes=attributes)


def _fitting(glob: str, known: Mapping[str, set[str]], name: str) -> set[str]:
    """Return the whole values that a partial one may be."""
    kinds = _SAME_KIND.get(name, (name,))
    if not kinds:
        return set()
    values = {value for kind in kinds for value in known.get(kind, ())}
    if ANY not in glob:
        # It is whole, unless it begins another value and no record proves it whole.
        longer = {value for value in values if value.startswith(glob)}
        if glob in values or not longer:
            return {glob}
        return longer if len(glob) >= _LEAST_KNOWN else set()
    if len(glob.replace(ANY, "")) < _LEAST_KNOWN:
        return set()
    return {value for value in values if matches(glob, value)}


def fuller(endpoints: EndpointSet, other: EndpointSet) -> EndpointSet:
    """Return the endpoints, or the other ones if nothing is known of them."""
    return other if endpoints.count is None else endpoints


# --- a read as a span and as lines ----------------------------------------------------------------

_Gist = tuple[str | None, str | None, bool, int | None]


def merged(reads: Sequence[RuntimeFetch]) -> list[RuntimeFetch]:
    """Make one read of a span and of the lines of the same read, which knows what both hold."""
    spans = [read for read in reads if not read.by_lines]
    of_gist: dict[_Gist, list[int]] = defaultdict(list)
    for position, read in enumerate(spans):
        of_gist[_gist(read)].append(position)
    alone = []
    for lines in (read for read in reads if read.by_lines):
        alike = of_gist.get(_gist(lines))
        if alike is None:
            alone.append(lines)
            continue
        nearest = min(alike, key=lambda position: _distance(spans[position], lines))
        spans[nearest] = filled(spans[nearest], lines)
    return [*spans, *alone]


def _gist(read: RuntimeFetch) -> _Gist:
    is_missing = read.manifest_state == sc.MANIFEST_NULL
    return (read.environment_id, read.build_id, is_missing, read.held)


def _distance(read: RuntimeFetch, lines: RuntimeFetch) -> tuple[int, int, Origin]:
    """Order reads by how near they are to lines: by time if the lines have one, then by place."""
    apart_ns = abs((read.start_ns or 0) - lines.start_ns) if lines.start_ns else 0
    is_beside = read.origin.file == lines.origin.file
    apart = abs(read.origin.line - lines.origin.line) if is_beside else sys.maxsize
    return (apart_ns, apart, read.origin)


def filled(read: RuntimeFetch, lines: RuntimeFetch) -> RuntimeFetch:
    """Fill what a span does not hold from its lines: it may have been cut, or be an attempt's."""
    return replace(
        read,
        environment_state=read.environment_state or lines.environment_state,
        manifest_state=read.manifest_state or lines.manifest_state,
        endpoints=fuller(read.endpoints, lines.endpoints),
        worker_environment_id=read.worker_environment_id or lines.worker_environment_id,
        worker_endpoint_id=read.worker_endpoint_id or lines.worker_endpoint_id,
        fault=read.fault or lines.fault,
        bare=read.bare and lines.bare,
        in_log=True,
    )


# --- a read in several pieces ---------------------------------------------------------------------


def joined(reads: Sequence[RuntimeFetch]) -> list[RuntimeFetch]:
    """Join the pieces of a read at the borders of divided logs, where only one way is possible."""
    by_file: dict[str, list[RuntimeFetch]] = defaultdict(list)
    for read in reads:
        if read.in_log:
            by_file[read.origin.file].append(read)
    if len(by_file) <= 1:
        return list(reads)
    for pieces in by_file.values():
        pieces.sort(key=lambda piece: piece.origin)
    parts = [_with_whole_start(pieces) for pieces in by_file.values()]
    _join_parts(parts)
    elsewhere = [read for read in reads if not read.in_log]
    return [*elsewhere, *(piece for pieces in parts for piece in pieces)]


def _with_whole_start(pieces: list[RuntimeFetch]) -> list[RuntimeFetch]:
    """Join an attempt and the refresh around it whose first lines stand in another file."""
    first = [piece for piece in pieces[:2] if piece.by_lines]
    attempts = [piece for piece in first if piece.bare]
    refreshes = [piece for piece in first if not piece.bare and piece.environment_id is None]
    if len(attempts) != 1 or len(refreshes) != 1 or not _agree(refreshes[0], attempts[0]):
        return pieces
    return [_together(refreshes[0], attempts[0]), *pieces[2:]]


def _join_parts(parts: list[list[RuntimeFetch]]) -> None:
    """Join each question at the end of a file with the only answer that begins another one."""
    asked = [pieces for pieces in parts if _is_question(pieces[-1])]
    answered = [pieces for pieces in parts if _is_rest(pieces[0])]
    pairs = [
        (head, rest)
        for head in asked
        for rest in answered
        if head is not rest and _agree(head[-1], rest[0])
    ]
    for head, rest in pairs:
        is_only = sum(1 for pair in pairs if pair[0] is head or pair[1] is rest) == 1
        if is_only:
            rest[0] = _together(head.pop(), rest[0])


def _is_question(read: RuntimeFetch) -> bool:
    is_asked = read.by_lines and not read.bare and read.environment_id is not None
    return is_asked and read.held is None


def _is_rest(read: RuntimeFetch) -> bool:
    """Return True if the first lines of a read may stand in another file."""
    is_headless = not read.by_lines or read.bare or read.environment_id is None
    return is_headless and (read.build_id is not None or read.held is not None)


def _agree(read: RuntimeFetch, other: RuntimeFetch) -> bool:
    """Return True if nothing that both pieces hold differs."""
    pairs: Iterable[tuple[object, object]] = (
        (read.environment_id, other.environment_id),
        (read.build_id, other.build_id),
        (read.held, other.held),
        (read.endpoints.names, other.endpoints.names),
    )
    return all(mine == theirs or mine is None or theirs is None for mine, theirs in pairs)


def _together(read: RuntimeFetch, rest: RuntimeFetch) -> RuntimeFetch:
    """Return a refresh whose lines stand in two pieces, or whose span stands in the second."""
    if not rest.by_lines:
        return filled(rest, read)
    whole = filled(read, rest)
    return replace(
        whole,
        environment_id=read.environment_id or rest.environment_id,
        build_id=read.build_id or rest.build_id,
        outcome=rest.outcome if rest.returned else read.outcome,
        end_ns=rest.end_ns or read.end_ns,
        attempts=(*read.attempts, *rest.attempts),
    )
