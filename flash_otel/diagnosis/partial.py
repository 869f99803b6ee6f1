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
_LEAST_KNOWN: Final = 3
"""Characters that must be known: fewer would fit anything."""


def resolved(records: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Return the records with their partial values replaced by whole ones, or left out."""
    given = list(records)
    if not any(LINES_PARTIAL in record.attributes for record in given):
        return given
    known = _whole_values(given)
    return [
        _resolved(record, known) if LINES_PARTIAL in record.attributes else record
        for record in given
    ]


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
    if len(glob.replace(ANY, "")) < _LEAST_KNOWN:
        return set()
    kinds = _SAME_KIND.get(name, (name,))
    return {value for kind in kinds for value in known.get(kind, ()) if matches(glob, value)}
