"""The table of bracketed lines: which line is written from which span, and when.

A row's template names fields in braces; `{manifest_keys:NONE}` prints `NONE` for a field that is
not there, `{endpoint_names:EMPTY}` prints `EMPTY` for one that is not there or empty.
`flash_otel.lines.format` writes and reads lines by these rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flash_otel import semconv as sc

START: Final = "start"
END: Final = "end"

Condition = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table.

    Attributes:
        key: The row's name.
        template: The text, with fields in braces.
        known_by: Regular expression for what makes a text this line, however it goes on: a line
            may be cut in half.
        span: Name of the span that the line is written from.
        moment: `START` or `END` of that span.
        when: Tells from the span's attributes whether the line is known.
        level: The level at which a logger gets it; a bare line carries none.
    """

    key: str
    template: str
    known_by: str
    span: str
    moment: str
    when: Condition
    level: int = logging.INFO


# The attribute behind each field; `endpoints` maps the names to these URLs.
ATTRIBUTES: Final = {
    "build_id": sc.BUILD_ID,
    "environment_id": sc.ENVIRONMENT_ID,
    "environment_name": sc.ENVIRONMENT_NAME,
    "worker_environment_id": sc.WORKER_ENVIRONMENT_ID,
    "worker_endpoint_id": sc.WORKER_ENDPOINT_ID,
    "endpoint_count": sc.ENDPOINT_COUNT,
    "endpoint_names": sc.ENDPOINT_NAMES,
    "manifest_keys": sc.MANIFEST_KEYS,
    "endpoints": sc.ENDPOINT_URLS,
}

# What each word in a template stands for.
WORDS: Final[dict[str, tuple[str, ...] | None]] = {"NONE": None, "EMPTY": ()}


def _always(_: Mapping[str, Any]) -> bool:
    return True


def _returned(attributes: Mapping[str, Any]) -> bool:
    return attributes.get(sc.OUTCOME) == sc.RETURNED


def _returned_with_endpoints(attributes: Mapping[str, Any]) -> bool:
    return _returned(attributes) and sc.ENDPOINT_COUNT in attributes


def _environment_read(attributes: Mapping[str, Any]) -> bool:
    # An unknown environment (null) has no active build to speak of: no line, as in Flash's own.
    state = attributes.get(sc.ENVIRONMENT_STATE)
    return sc.BUILD_ID in attributes or state == sc.ENVIRONMENT_NO_ACTIVE_BUILD


def _build_read(attributes: Mapping[str, Any]) -> bool:
    return sc.MANIFEST_STATE in attributes


def _has_manifest(attributes: Mapping[str, Any]) -> bool:
    return bool(attributes.get(sc.MANIFEST_STATE, sc.MANIFEST_NULL) != sc.MANIFEST_NULL)


def _has_endpoints(attributes: Mapping[str, Any]) -> bool:
    return _has_manifest(attributes) and sc.ENDPOINT_COUNT in attributes


def _lacks_endpoints(attributes: Mapping[str, Any]) -> bool:
    return _has_manifest(attributes) and sc.ENDPOINT_COUNT not in attributes


_ACTIVATED = (sc.ACTIVATE, END, _returned)
_UPLOADING = (sc.MANIFEST_UPLOAD, START, _always)
_UPLOADED = (sc.MANIFEST_UPLOAD, END, _returned)
_ASKING = (sc.RUNTIME_FETCH, START, _always)
_ASKED = (sc.RUNTIME_FETCH, END, _has_manifest)

# The lines of one span and moment are written in this order.
LINES: Final[tuple[Line, ...]] = (
    Line(
        "activated",
        "[DEPLOY] Environment {environment_name} activated with build_id={build_id}",
        r"Environment\s.*activated with\b",
        *_ACTIVATED,
    ),
    Line(
        "mapping",
        "[DEPLOY SYNC] resources_endpoints mapping: {endpoints}",
        r"resources_endpoints mapping\b",
        *_UPLOADING,
    ),
    Line(
        "uploading",
        "[DEPLOY SYNC] Uploading manifest to State Manager - "
        "build_id={build_id}, environment_id={environment_id}",
        r"Uploading manifest\b",
        *_UPLOADING,
    ),
    Line(
        "contains",
        "[DEPLOY SYNC] Manifest contains resources_endpoints: {endpoints}",
        r"Manifest contains\b",
        *_UPLOADING,
    ),
    Line(
        "mutation",
        "[STATE MANAGER] GraphQL mutation succeeded for build_id={build_id}",
        r"GraphQL mutation succeeded\b",
        *_UPLOADED,
    ),
    Line(
        "uploaded_keys",
        "[STATE MANAGER] Uploaded manifest with keys: {manifest_keys:NONE}",
        r"Uploaded manifest\b",
        *_UPLOADED,
    ),
    Line(
        "uploaded_endpoints",
        "[STATE MANAGER] Uploaded {endpoint_count} endpoints: {endpoint_names}",
        r"Uploaded \w+ endpoints\b",
        *(sc.MANIFEST_UPLOAD, END, _returned_with_endpoints),
    ),
    Line(
        "querying",
        "[RUNTIME SYNC] Querying State Manager with environment_id={environment_id}",
        r"Querying State\b",
        *_ASKING,
    ),
    Line(
        "worker",
        "[RUNTIME SYNC] FLASH_ENVIRONMENT_ID={worker_environment_id}, "
        "RUNPOD_ENDPOINT_ID={worker_endpoint_id}",
        r"FLASH_ENVIRONMENT_ID=",
        *_ASKING,
    ),
    Line(
        "active_build",
        "[STATE MANAGER] environment_id={environment_id} → activeBuildId={build_id}",
        r"environment_id=",
        *(sc.MANIFEST_FETCH, END, _environment_read),
    ),
    Line(
        "retrieved",
        "[STATE MANAGER] Retrieved build {build_id}, manifest keys: {manifest_keys:NONE}",
        r"Retrieved build\b",
        *(sc.MANIFEST_FETCH, END, _build_read),
    ),
    Line(
        "has_endpoints",
        "[STATE MANAGER] Manifest has {endpoint_count} endpoints: {endpoint_names}",
        r"Manifest has\b",
        *(sc.MANIFEST_FETCH, END, _has_endpoints),
    ),
    Line(
        "missing_endpoints",
        "[STATE MANAGER] Manifest MISSING resources_endpoints! "
        "Full manifest keys: {manifest_keys:NONE}",
        r"Manifest MISSING\b",
        *(sc.MANIFEST_FETCH, END, _lacks_endpoints, logging.WARNING),
    ),
    Line(
        "received",
        "[RUNTIME SYNC] Received manifest with keys: {manifest_keys:NONE}",
        r"Received manifest\b",
        *_ASKED,
    ),
    Line(
        "entries",
        "[RUNTIME SYNC] resources_endpoints contains "
        "{endpoint_count} entries: {endpoint_names:EMPTY}",
        r"resources_endpoints contains\b",
        *_ASKED,
    ),
)
