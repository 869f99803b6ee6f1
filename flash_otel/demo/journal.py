"""The wire journal of the stand-in: what was asked of it, in the order of arrival."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

_SECRET_KEYS: Final = frozenset({"aiKey", "RUNPOD_API_KEY"})
_REDACTED: Final = "***"


@dataclass
class Entry:
    """One request.

    Attributes:
        method: HTTP method.
        path: Path without the query string (a presigned query is a credential).
        operation: GraphQL operation, or the stand-in's name of another route.
        variables: GraphQL variables, or the JSON body and routing headers of a call.
        bearer: Whether an Authorization header with a bearer token was sent.
        status: HTTP status of the answer; 0 if the connection was closed without one.
    """

    method: str
    path: str
    operation: str
    variables: dict[str, Any]
    bearer: bool
    status: int = 0


@dataclass
class Journal:
    """All requests so far, with the values of secret keys left out."""

    entries: list[Entry] = field(default_factory=list)

    def arrived(self, entry: Entry) -> Entry:
        """Append a request; its status is filled in when it is answered."""
        entry.variables = _without_secrets(entry.variables)
        self.entries.append(entry)
        return entry

    @property
    def operations(self) -> list[str]:
        """Names of the operations, in the order of arrival."""
        return [entry.operation for entry in self.entries]

    def of(self, operation: str) -> list[Entry]:
        """Return the requests of one operation."""
        return [entry for entry in self.entries if entry.operation == operation]

    def write(self, path: Path) -> None:
        """Write the journal as JSON lines."""
        lines = (json.dumps(asdict(entry), sort_keys=True) for entry in self.entries)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("key") in _SECRET_KEYS and "value" in value:  # an entry of a template's env
        return {**value, "value": _REDACTED}
    return {
        key: _REDACTED if key in _SECRET_KEYS else _without_secrets(item)
        for key, item in value.items()
    }
