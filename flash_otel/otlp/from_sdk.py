"""Convert the SDK's spans, finished or still running, into span records.

The threads that write spans convert them, not the caller's: a `ReadableSpan` does not change
after its end, and the containers of a running span are copied in one step.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import Link as SdkLink
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from flash_otel import semconv
from flash_otel.records import ANY, LINES_PARTIAL, Attributes, Event, Link, SpanRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event as SdkEvent
    from opentelemetry.sdk.trace import ReadableSpan


_KINDS: Final = {kind: kind.name.lower() for kind in SpanKind}
_STATUSES: Final = {code: code.name.lower() for code in StatusCode}
_SCALARS: Final = frozenset({str, bool, int, float})
# A member of an enumeration that is also a string or a number becomes the plain value.
_EXACTLY: Final[dict[type, Callable[[Any], Any]]] = {
    bool: bool,
    int: int,
    float: float,
    str: str.__str__,
}


def to_record(span: ReadableSpan) -> SpanRecord:
    """Convert a span; the record of a running span has `end_ns` None.

    Raises:
        ValueError: The span has no context, which no tracer produces.
    """
    context: SpanContext | None = span.get_span_context()
    if context is None:
        raise ValueError(f"span {span.name!r} has no context")
    parent, scope, status = span.parent, span.instrumentation_scope, span.status
    events, links = span.events, span.links
    # By position, in the order of the fields: keywords take a third longer.
    return SpanRecord(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        None if parent is None else f"{parent.span_id:016x}",
        span.name,
        _KINDS[span.kind],
        span.start_time or 0,
        span.end_time,
        _STATUSES[status.status_code],
        status.description or "",
        _attributes(span),
        tuple(map(_event, events)) if events else (),
        tuple(map(_link, links)) if links else (),
        _resources.attributes(span.resource),
        "" if scope is None else scope.name,
        ("" if scope is None else scope.version) or "",
        context.trace_state.to_header() if context.trace_state else "",
        context.trace_flags.sampled,
    )


# Shorter limits cut meaningful words, such as outcomes and fault codes.
_LONGEST_WORD: Final = 32


def _attributes(span: ReadableSpan) -> Attributes:
    """Copy a span's attributes, with a mark on those that its provider may have cut.

    `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` cuts the spans of an application's provider. The SDK does
    not distinguish a cut value from one that is as long as the limit.
    """
    attributes = _plain(span.attributes)
    # The bracketed lines, which are written from the span, list the keys of every manifest.
    if attributes.get(semconv.MANIFEST_STATE) == semconv.MANIFEST_COMPLETE:
        attributes.pop(semconv.MANIFEST_KEYS, None)
    limit = getattr(getattr(span, "_attributes", None), "max_value_len", None)
    return attributes if limit is None else marked(attributes, limit)


def marked(attributes: Attributes, limit: int) -> Attributes:
    """Mark texts of at least `limit` characters as partial; leave out lists that contain them."""
    found: dict[str, Any] = {}
    partial = []
    for name, value in attributes.items():
        if isinstance(value, str) and len(value) >= limit:
            partial.append(name)
            found[name] = value + ANY if limit < _LONGEST_WORD else value
        elif not _holds_cut(value, limit):
            found[name] = value
    return {**found, LINES_PARTIAL: tuple(sorted(partial))} if partial else found


def _holds_cut(value: object, limit: int) -> bool:
    items = value if isinstance(value, tuple) else ()
    return any(isinstance(item, str) and len(item) >= limit for item in items)


def _event(event: SdkEvent) -> Event:
    return Event(event.name, event.timestamp, _plain(event.attributes))


def _link(link: SdkLink) -> Link:
    context = link.context
    return Link(f"{context.trace_id:032x}", f"{context.span_id:016x}", _plain(link.attributes))


class _ResourceCache:
    """The last resource that was converted: the spans of a process nearly always share one."""

    def __init__(self) -> None:
        self._last: tuple[Resource, Attributes] | None = None

    def attributes(self, resource: Resource) -> Attributes:
        last = self._last
        # By identity, which is safe because the cache keeps the resource alive. Several threads
        # convert: the pair is replaced as a whole.
        if last is None or last[0] is not resource:
            last = self._last = (resource, _plain(resource.attributes))
        return last[1]


_resources: Final = _ResourceCache()


def _plain(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Copy attributes; bytes and mappings, which newer SDKs allow, become plain values."""
    if not attributes:
        return {}
    # BoundedAttributes.copy() copies its dict at once; iterating calls Python code for each key.
    copied: dict[str, Any]
    copied = attributes.copy() if hasattr(attributes, "copy") else dict(attributes)
    if _SCALARS.issuperset(map(type, copied.values())):
        return copied
    return {key: _plain_value(value) for key, value in copied.items() if value is not None}


def _plain_value(value: Any) -> Any:
    """Return a value that a record can hold; nested values become JSON text."""
    for kind, exactly in _EXACTLY.items():
        if isinstance(value, kind):
            return exactly(value)
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    if isinstance(value, Sequence):
        return tuple(_plain_value(item) for item in value if item is not None)
    return json.dumps(value, default=str)
