"""A GraphQL answer as a span may keep it: its shape, and the values of fields that are no secrets.

An allow-list, not a search for secrets: of every value the kind is kept, and the value itself only
of fields named here, which are those that the guide compares. What is kept is scrubbed as all else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence, Sized
from itertools import islice
from typing import Any, Final

from flash_otel import manifest as manifests
from flash_otel import semconv
from flash_otel.redaction import REDACTED, scrub

SHOWN: Final = frozenset(
    {
        *("id", "name", "state", "version", "type"),
        *("activeBuildId", "objectKey", "createdAt", "updatedAt", "expiresAt"),
        *("flashAppId", "flashBuildId", "flashEnvironmentId", "templateId"),
        # of a manifest
        *("generated_at", "project_name", "python_version", "resource_type", "module"),
        # of its carrier
        *("deployment_id", "build_id", "environment_id", "phase", "time"),
    }
)
"""Fields whose strings and numbers are kept."""

MAPPINGS: Final = frozenset({manifests.ENDPOINTS_KEY, "function_registry"})
"""Fields of a manifest that map names to what a person compares: every string of them is kept."""

FIRST: Final = SHOWN | MAPPINGS | {semconv.CARRIER_KEY}

CLOSED: Final = re.compile(
    r"keys?$|token|secret|passw|credential|signature|auth|^env$", re.IGNORECASE
)
"""Fields of which nothing is kept, whatever is in them; an `objectKey` is named above."""

MAX_LENGTH: Final = 6000
MAX_TEXT: Final = 200
MAX_DEPTH: Final = 12
_ROOM: Final = (400, 100, 25)
"""How many values are kept of an answer; the next where the text becomes too long."""


def redacted(answer: object) -> str | None:
    """Return an answer's shape and allowed values as JSON; None for what is no JSON object.

    Args:
        answer: The `data` of a GraphQL answer.
    """
    if not isinstance(answer, Mapping):
        return None
    text = ""
    for room in _ROOM:
        text = json.dumps(_Reader(room).read(answer, shown=False), ensure_ascii=False)
        if len(text) <= MAX_LENGTH:
            return text
    return text[: MAX_LENGTH - 1] + "…"


class _Reader:
    """Walks one answer until so many values are kept: a server's answer may be huge."""

    def __init__(self, room: int) -> None:
        self._room = room

    def read(self, value: object, *, shown: bool, depth: int = 0) -> Any:
        """Return what is kept of a value; of a mapping, `shown` holds for its own entries."""
        self._room -= 1
        if isinstance(value, Mapping):
            return self._mapping(value, shown=shown, depth=depth + 1)
        if isinstance(value, (list, tuple)):
            return self._sequence(value, depth=depth + 1)
        return _scalar(value, shown=shown)

    def _mapping(self, value: Mapping[Any, Any], *, shown: bool, depth: int) -> Any:
        made: dict[str, Any] = {}
        # What a person looks for comes first, before the room or the reader's screen is full.
        items = sorted(value.items(), key=lambda item: str(item[0]) not in FIRST)
        for key, inner in islice(items, None if depth <= MAX_DEPTH else 0):
            if self._room <= 0:
                break
            name = str(key)
            made[_text(name)] = self._field(name, inner, shown=shown, depth=depth)
        return made if len(made) == len(value) else {**made, "…": _more(value, made)}

    def _field(self, name: str, value: object, *, shown: bool, depth: int) -> Any:
        is_scalar = not isinstance(value, (Mapping, list, tuple))
        if is_scalar and (shown or name in SHOWN):
            return self.read(value, shown=True, depth=depth)
        if CLOSED.search(name[: MAX_TEXT + 1]) and value:
            return REDACTED
        return self.read(value, shown=name in MAPPINGS and not is_scalar, depth=depth)

    def _sequence(self, value: Sequence[Any], *, depth: int) -> Any:
        made: list[Any] = []
        for inner in islice(value, None if depth <= MAX_DEPTH else 0):
            if self._room <= 0:
                break
            made.append(self.read(inner, shown=False, depth=depth))
        return made if len(made) == len(value) else [*made, f"… {_more(value, made)}"]


def _more(value: Sized, made: Sized) -> str:
    return f"{len(value) - len(made)} more"


def _scalar(value: object, *, shown: bool) -> Any:
    if value is None or value == "" or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value) if shown else "<string>"
    if isinstance(value, (int, float)):
        return value if shown else "<number>"
    return f"<{type(value).__name__}>"


def _text(value: str) -> str:
    kept = scrub(value[: 4 * MAX_TEXT])
    return kept if len(kept) <= MAX_TEXT else kept[: MAX_TEXT - 1] + "…"
