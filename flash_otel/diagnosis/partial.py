"""Complete partial values: ids and names that a log cuts off, breaks or masks.

If a partial value fits exactly one whole value of its kind in all of the evidence, it counts as
that value. Otherwise it is unknown, and the attribute is left out: a missing part must not prove a
difference.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.lines.values import BROKEN_UUID, UUID, as_glob, matches
from flash_otel.records import ANY, LINES_BUILD, LINES_PARTIAL, LINES_SCOPE, text, texts
from flash_otel.store.references import instance_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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
            doubtful |= _keys_of([record])
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
    if name not in record.attributes:  # most spans lack most ids
        return ()
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
    return _keys_of(
        record
        for record in _reads(kept)
        if (build_id := text(record.attributes, sc.BUILD_ID))
        and not any(matches(glob, build_id) for glob in globs)
    )


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
    return _keys_of(
        record for record in _reads(kept) if text(record.attributes, sc.ENVIRONMENT_ID) not in known
    )


def _reads(records: Iterable[SpanRecord]) -> Iterator[SpanRecord]:
    return (record for record in records if record.name in _READS)


def _keys_of(reads: Iterable[SpanRecord]) -> set[tuple[str, str]]:
    """Return the keys of reads, and of the refreshes that they are attempts of."""
    return {
        key
        for record in reads
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
        elif name == sc.BUILD_ID and record.name in _WRITES and _is_apart(glob, fitting):
            attributes[LINES_BUILD] = str(glob)
    return replace(record, attributes=attributes)


def _is_apart(glob: object, fitting: set[str]) -> bool:
    """Return True if enough of an id is known to show that it is none of the whole ids."""
    return isinstance(glob, str) and not fitting and len(glob.replace(ANY, "")) >= _LEAST_KNOWN


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
