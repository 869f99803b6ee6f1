"""From the SDK's span to the plain record, for finished and for started spans alike.

Converting is left to the threads that write: a `ReadableSpan` does not change after its end, and
the containers of a running span are copied in one step.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import SpanKind, StatusCode

from flash_otel.records import Event, Link, SpanRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event as SdkEvent
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Link as SdkLink
    from opentelemetry.trace import SpanContext

    from flash_otel.records import Attributes

_KINDS: Final = {kind: kind.name.lower() for kind in SpanKind}
_STATUSES: Final = {code: code.name.lower() for code in StatusCode}
_SCALARS: Final = frozenset({str, bool, int, float})
# An enumeration's member is also a string or a number, and becomes that alone.
_EXACTLY: Final[dict[type, Callable[[Any], Any]]] = {
    bool: bool,
    int: int,
    float: float,
    str: str.__str__,
}

# Spans of one process share one resource object: the last one converted is nearly always the next.
_last_resource: tuple[Resource, Attributes] | None = None


def to_record(span: ReadableSpan) -> SpanRecord:
    """Convert a span; one that has not ended yet becomes a record with `end_ns` None.

    Raises:
        ValueError: The span has no context (no tracer makes such a span).
    """
    context: SpanContext | None = span.get_span_context()
    if context is None:
        raise ValueError(f"span {span.name!r} has no context")
    parent, scope, status = span.parent, span.instrumentation_scope, span.status
    return SpanRecord(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_span_id=None if parent is None else f"{parent.span_id:016x}",
        name=span.name,
        kind=_KINDS[span.kind],
        start_ns=span.start_time or 0,
        end_ns=span.end_time,
        status=_STATUSES[status.status_code],
        status_message=status.description or "",
        attributes=_plain(span.attributes),
        events=tuple(map(_event, span.events)),
        links=tuple(map(_link, span.links)),
        resource=_resource(span.resource),
        scope_name="" if scope is None else scope.name,
        scope_version=("" if scope is None else scope.version) or "",
        trace_state=context.trace_state.to_header() if context.trace_state else "",
        sampled=context.trace_flags.sampled,
    )


def _event(event: SdkEvent) -> Event:
    return Event(event.name, event.timestamp, _plain(event.attributes))


def _link(link: SdkLink) -> Link:
    context = link.context
    return Link(f"{context.trace_id:032x}", f"{context.span_id:016x}", _plain(link.attributes))


def _resource(resource: Resource) -> Attributes:
    global _last_resource
    last = _last_resource
    if last is None or last[0] is not resource:
        last = _last_resource = (resource, _plain(resource.attributes))
    return last[1]


def _plain(attributes: Mapping[str, Any] | None) -> Attributes:
    """Copy attributes, bringing what newer SDKs also allow (bytes, mappings) to plain values."""
    if not attributes:
        return {}
    # BoundedAttributes copies in one step; iterating over it costs a lookup in Python per key.
    copied = attributes.copy() if hasattr(attributes, "copy") else dict(attributes)
    if _SCALARS.issuperset(map(type, copied.values())):
        return copied
    return {key: _plain_value(value) for key, value in copied.items() if value is not None}


def _plain_value(value: Any) -> Any:
    """Bring any value to one that a record holds; what is nested becomes text."""
    for kind, exactly in _EXACTLY.items():
        if isinstance(value, kind):
            return exactly(value)
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    if isinstance(value, Sequence):
        return tuple(_plain_value(one) for one in value if one is not None)
    return json.dumps(value, default=str)
