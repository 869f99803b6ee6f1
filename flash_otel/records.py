"""The plain form of a span, as the store keeps it, files carry it and diagnosis reads it.

It imports nothing of ours and nothing of OpenTelemetry, so that a report or a diagnosis of a
recording needs no SDK.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

AttributeValue = (
    str | bool | int | float | Sequence[str] | Sequence[bool] | Sequence[int] | Sequence[float]
)
Attributes = Mapping[str, AttributeValue]

KINDS = ("internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")

# Scope of records that were rebuilt from bracketed lines: they hold only what lines hold, their
# ids are made up, and without timestamps in the log their times are 0.
LINES_SCOPE = "flash_otel.lines"
# Attributes of such a record's resource: which worker of its log it came from, as far as the log
# says so, and whether its times name their offset from UTC ("zoned") or not ("naive").
LINES_STREAM = "flash_otel.lines.stream"
LINES_CLOCK = "flash_otel.lines.clock"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened within a span, at `time_ns` nanoseconds since the epoch."""

    name: str
    time_ns: int
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """A pointer to a span of this or another trace (ids in lower-case hex)."""

    trace_id: str
    span_id: str
    attributes: Attributes = field(default_factory=dict)


@dataclass(slots=True)
class SpanRecord:
    """One span, finished or (with `end_ns` None) still open when it was recorded.

    Nobody changes one; it is not frozen only because that would make it eight times as slow to
    make (2.4 against 0.3 us), and a diagnosis makes a million of them.

    Attributes:
        trace_id: 32 lower-case hex digits.
        span_id: 16 lower-case hex digits.
        parent_span_id: 16 lower-case hex digits, or None for a root.
        name: The span's name (see `flash_otel.semconv.SPANS`).
        kind: One of `KINDS`.
        start_ns: Nanoseconds since the epoch.
        end_ns: Nanoseconds since the epoch; None while the span is unfinished.
        status: One of `STATUSES`.
        status_message: The status's description; empty unless status is error.
        attributes: The span's attributes.
        events: In the order in which they happened.
        links: In the order in which they were added.
        resource: The attributes of the resource that made the span.
        scope_name: Name of the instrumentation scope.
        scope_version: Version of the instrumentation scope.
        trace_state: The W3C tracestate header, or an empty string.
        sampled: The W3C sampled flag.
        origin: Where the record was read from ("" where it was made), such as "deploy.log:12".
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: str
    start_ns: int
    end_ns: int | None
    status: str = "unset"
    status_message: str = ""
    attributes: Attributes = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    resource: Attributes = field(default_factory=dict)
    scope_name: str = ""
    scope_version: str = ""
    trace_state: str = ""
    sampled: bool = True
    origin: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What makes a span unique wherever it went: its trace id and span id."""
        return (self.trace_id, self.span_id)

    @property
    def duration_ns(self) -> int | None:
        """Nanoseconds between start and end; None while the span is unfinished."""
        return None if self.end_ns is None else self.end_ns - self.start_ns
