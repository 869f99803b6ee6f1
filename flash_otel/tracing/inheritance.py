"""The attributes of one span, and what the spans of its trace inherit from each other.

Flash passes few ids down to the functions that need them: the upload of a manifest gets no app,
a retry gets no build. A span publishes such attributes, and later spans of its trace inherit them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flash_otel import semconv
from flash_otel.redaction import MAX_ENTRIES, scrub_value

if TYPE_CHECKING:
    from collections.abc import Mapping


class SpanAttributes(dict[str, Any]):
    """The attributes that have been set on a span, each of them scrubbed.

    Attributes:
        shared: What the spans of this trace have published: one mapping for all of them.
    """

    __slots__ = ("shared",)

    def __init__(self, shared: dict[str, Any]) -> None:
        self.shared = shared

    def inherit(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Copy published attributes that this span does not have; return those copied."""
        if not self.shared:
            return {}
        shared = self.shared
        copied = {name: shared[name] for name in names if name not in self and name in shared}
        self.update(copied)
        return copied

    def publish(self, names: tuple[str, ...]) -> None:
        """Let other spans of the trace inherit the attributes of these names."""
        for name in names:
            if name in self:
                self.shared[name] = self[name]

    def merge(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Scrub and add attributes; return those that changed."""
        found: dict[str, Any] = {}
        self.scrub(attributes, found)
        return self.merge_clean(found)

    def merge_clean(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Add attributes that are scrubbed already; return those that changed."""
        changed = {name: value for name, value in found.items() if self.get(name) != value}
        self.update(changed)
        return changed

    def scrub(self, attributes: Mapping[str, Any], found: dict[str, Any]) -> None:
        """Add scrubbed attributes to `found`, with the names of the lists that were cut."""
        for name, value in attributes.items():
            clean = scrub_value(value)
            if clean is None:
                continue
            found[name] = clean
            if isinstance(clean, tuple) and len(value) > MAX_ENTRIES:
                cut = self.get(semconv.TRUNCATED, ()) + found.get(semconv.TRUNCATED, ())
                found[semconv.TRUNCATED] = tuple(dict.fromkeys((*cut, name)))
