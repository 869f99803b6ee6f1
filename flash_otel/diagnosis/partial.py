"""Resolve partial values: ids and names that a log cut off, broke or masked.

A partial value that fits exactly one whole value of its kind, in all of the evidence, is that
value. Otherwise it is unknown, and the attribute is left out: what is missing of a value must not
prove that it differs.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.lines.values import ANY, matches
from flash_otel.records import LINES_PARTIAL, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flash_otel.records import SpanRecord

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
