"""Complete what a log cut: partial values, and reads whose pieces stand in several places.

A log may cut off, break or mask an id or a name. A partial value that fits exactly one whole value
of its kind, in all of the evidence, is that value. Otherwise it is unknown, and the attribute is
left out: what is missing of a value must not prove that it differs.

A worker writes the lines of a read beside its span. A log may be divided anywhere, so that one file
ends with a question and another one begins with its answer.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.lines.values import matches
from flash_otel.records import ANY, LINES_PARTIAL, text, texts

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
}
_READS: Final = frozenset({sc.RUNTIME_FETCH, sc.MANIFEST_FETCH})
_WRITES: Final = frozenset({sc.ACTIVATE, sc.MANIFEST_UPLOAD})
_LEAST_KNOWN: Final = 4
"""Characters that must be known: fewer would fit anything."""


def resolved(records: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Return the records with their partial values replaced by whole ones, or left out.

    A read of an unknown environment or build is left out: it would seem to agree with anything.
    """
    given = list(records)
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
    doubtful |= _of_other_builds(given, kept)
    return [record for record in kept if record.key not in doubtful]


def _of_other_builds(given: list[SpanRecord], kept: list[SpanRecord]) -> set[tuple[str, str]]:
    """Return the reads of builds that are not what is known of the deployed one.

    They would prove another build if that were whole; as it is not, they prove nothing.
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


def _deployed(records: Iterable[SpanRecord]) -> set[str]:
    """Return the environments that were deployed to, as far as their ids are known."""
    partial = LINES_PARTIAL
    return {
        value
        for record in records
        if record.name in _WRITES and sc.ENVIRONMENT_ID not in record.attributes.get(partial, ())  # type: ignore[operator]  # a tuple of names
        if (value := text(record.attributes, sc.ENVIRONMENT_ID))
    }


def _is_known(record: SpanRecord, found: SpanRecord, deployed: set[str]) -> bool:
    """Return True if nothing that a read is judged by is unknown."""
    lost = set(texts(record.attributes, LINES_PARTIAL) or ()) - found.attributes.keys()
    environment_id = text(found.attributes, sc.ENVIRONMENT_ID)
    if sc.BUILD_ID in lost:
        # Whatever build it read, it asked for another environment.
        return environment_id is not None and bool(deployed) and environment_id not in deployed
    return sc.ENVIRONMENT_ID not in lost


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
    values = {value for kind in kinds for value in known.get(kind, ())}
    if ANY not in glob:
        # It is whole, unless it is the beginning of another value and nowhere proven to be whole.
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
