"""The table of bracketed lines: everything that is known of each line, in one row.

`format` writes and parses lines by these rows, and the log readers group lines into spans by them.
The bytes are a contract with everybody who greps for them; they come from Flash's own diagnostic
logging guide.
"""

from __future__ import annotations

import logging
import re
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
        template: The text, with fields in braces. `{manifest_keys:NONE}` prints `NONE` for a
            missing field, `{endpoint_names:EMPTY}` prints `EMPTY` for a missing or empty one.
        pattern: Regular expression that recognises the text behind the mark by its beginning: a
            log may have cut the rest off.
        span: Name of the span that the line is written from.
        moment: `START` or `END` of that span.
        when: Returns True if the span's attributes make the line known.
        proves_return: Whether the line is written only if the call returned.
        level: The level at which a logger gets it; a bare line carries none.
        instead_of: Key of the row in whose place this one is written, or empty.
    """

    key: str
    template: str
    pattern: str
    span: str
    moment: str
    when: Condition
    proves_return: bool = False
    level: int = logging.INFO
    instead_of: str = ""

    @property
    def mark(self) -> str:
        """The words within the brackets, such as `DEPLOY SYNC`."""
        return self.template[1 : self.template.index("]")]

    @property
    def is_mapping(self) -> bool:
        """Whether it holds a JSON object, and so goes on over several lines."""
        return "{endpoints}" in self.template


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

# The value that each word in a template stands for.
WORDS: Final[dict[str, tuple[str, ...] | None]] = {"NONE": None, "EMPTY": ()}


def _always(_: Mapping[str, Any]) -> bool:
    return True


def _returned(attributes: Mapping[str, Any]) -> bool:
    return attributes.get(sc.OUTCOME) == sc.RETURNED


def _returned_with_endpoints(attributes: Mapping[str, Any]) -> bool:
    return _returned(attributes) and sc.ENDPOINT_COUNT in attributes


def _environment_read(attributes: Mapping[str, Any]) -> bool:
    # No line for an unknown environment (null), which has no active build: Flash writes none.
    state = attributes.get(sc.ENVIRONMENT_STATE)
    return sc.BUILD_ID in attributes or state == sc.ENVIRONMENT_NO_ACTIVE_BUILD


def _build_read(attributes: Mapping[str, Any]) -> bool:
    return sc.MANIFEST_STATE in attributes


def _has_manifest(attributes: Mapping[str, Any]) -> bool:
    return bool(attributes.get(sc.MANIFEST_STATE, sc.MANIFEST_NULL) != sc.MANIFEST_NULL)


def _has_endpoints(attributes: Mapping[str, Any]) -> bool:
    return _has_manifest(attributes) and _is_mapping(attributes)


def _lacks_endpoints(attributes: Mapping[str, Any]) -> bool:
    return _has_manifest(attributes) and not _is_mapping(attributes)


def _is_mapping(attributes: Mapping[str, Any]) -> bool:
    # A manifest without the key has a count, too, which is 0.
    return sc.ENDPOINT_NAMES in attributes or bool(attributes.get(sc.ENDPOINT_COUNT))


# The columns from `span` to `proves_return`, which rows share.
_ACTIVATED = (sc.ACTIVATE, END, _returned, True)
_UPLOADING = (sc.MANIFEST_UPLOAD, START, _always, False)
_UPLOADED = (sc.MANIFEST_UPLOAD, END, _returned, True)
_ASKING = (sc.RUNTIME_FETCH, START, _always, False)
_ASKED = (sc.RUNTIME_FETCH, END, _has_manifest, True)

# In the order in which the lines of a span are written.
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
        r"Uploaded \S{1,60} endpoints\b",
        *(sc.MANIFEST_UPLOAD, END, _returned_with_endpoints, True),
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
        *(sc.MANIFEST_FETCH, END, _has_endpoints, True),
    ),
    Line(
        "missing_endpoints",
        "[STATE MANAGER] Manifest MISSING resources_endpoints! "
        "Full manifest keys: {manifest_keys:NONE}",
        r"Manifest MISSING\b",
        *(sc.MANIFEST_FETCH, END, _lacks_endpoints, True, logging.WARNING),
        instead_of="has_endpoints",
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

ROWS: Final = {line.key: line for line in LINES}

# --- marks -------------------------------------------------------------------------------------

MARKS: Final = tuple(dict.fromkeys(line.mark for line in LINES))
# Searching for these finds every mark: `DEPLOY` is a part of `DEPLOY SYNC`.
STEMS: Final = tuple(
    mark for mark in MARKS if not any(mark != other and mark.startswith(other) for other in MARKS)
)
# `[DEPLOY]`, `[RUNTIME SYNC]:` or, in logs of early Flash versions, `📤 DEPLOY:`. The longest mark
# first, or `DEPLOY` would hide `DEPLOY SYNC`.
MARK: Final = re.compile(rf"(?:{'|'.join(sorted(MARKS, key=len, reverse=True))})(?:\]:?|:)")

# --- the place of a line among those of its span -----------------------------------------------

_PLACES: Final = {line.key: place for place, line in enumerate(LINES)}
# A line that is written instead of another has the other's place.
RANKS: Final = {line.key: _PLACES[line.instead_of or line.key] for line in LINES}
_SPAN_RANKS: Final = {
    span: sorted(RANKS[line.key] for line in LINES if line.span == span)
    for span in {line.span for line in LINES}
}
# Keys of the lines that are the first, and the last, of their span.
FIRST: Final = frozenset(key for key in RANKS if RANKS[key] == _SPAN_RANKS[ROWS[key].span][0])
LAST: Final = frozenset(key for key in RANKS if RANKS[key] == _SPAN_RANKS[ROWS[key].span][-1])
