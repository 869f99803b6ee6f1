"""What Jaeger's HTTP API answers: traces as OTLP/JSON, and lists of names.

Jaeger wraps a trace as `{"result": {"resourceSpans": [...]}}`. A storage of its version 1 model
(Badger, Elasticsearch, Cassandra) keeps a list as its JSON text, and no attributes of links.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv
from flash_otel.otlp.decode import decode

if TYPE_CHECKING:
    from flash_otel.records import Attributes, AttributeValue, SpanRecord

LISTS: Final = frozenset({semconv.ENDPOINT_NAMES, semconv.ENDPOINT_URLS, semconv.MANIFEST_KEYS})
"""Attributes whose value is a list of strings."""


def records_of(answer: object) -> Iterator[SpanRecord]:
    """Yield the spans of an answer with traces.

    Args:
        answer: What a JSON parser returned.

    Raises:
        ValueError: It is not of the form that Jaeger answers in. Malformed spans within one that
            is are left out without an error.
    """
    result = answer.get("result") if isinstance(answer, Mapping) else None
    if not isinstance(result, Mapping):
        raise ValueError("there is no object 'result'")  # noqa: TRY004 - data, not an argument
    # Protobuf's JSON leaves an empty list out.
    groups = result.get("resourceSpans", [])
    for record in decode({"resourceSpans": groups}):
        yield replace(record, attributes=_with_lists(record.attributes))


def names_of(answer: object, field: str, name: str = "") -> list[str]:
    """Return the names in an answer: texts, or objects that have one.

    Args:
        answer: What a JSON parser returned.
        field: Where the list is; an answer without any names has no such field.
        name: The field of an object that holds its name; empty where names are texts.

    Raises:
        ValueError: It is not of the form that Jaeger answers in.
    """
    known = isinstance(answer, Mapping) and set(answer) <= {field}
    found = answer.get(field, []) if isinstance(answer, Mapping) and known else None
    if not isinstance(found, list):
        raise ValueError(f"there is no list {field!r}")  # noqa: TRY004 - data, not an argument
    named = (one.get(name) if name and isinstance(one, Mapping) else one for one in found)
    return [one for one in named if isinstance(one, str)]


def error_in(text: str) -> str | None:
    """Return the message of an error as Jaeger's API puts it; None for any other text."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    error = answer.get("error") if isinstance(answer, Mapping) else None
    said = error.get("message") if isinstance(error, Mapping) else None
    return said if isinstance(said, str) else None


def _with_lists(attributes: Attributes) -> dict[str, AttributeValue]:
    return {
        key: _listed(value) if key in LISTS and isinstance(value, str) else value
        for key, value in attributes.items()
    }


def _listed(text: str) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return tuple(map(str, found)) if isinstance(found, list) else text
