"""Spans as plain records: the form that the store, files and diagnosis share.

This module imports neither flash_otel nor OpenTelemetry: reporting and diagnosing a recording
require no SDK.
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

LINES_SCOPE = "flash_otel.lines"
"""Scope of records that were rebuilt from bracketed lines.

They hold only what the lines hold, their ids are made up, and their times are 0 if the log has no
timestamps.
"""

LINES_STREAM = "flash_otel.lines.stream"
"""Resource attribute of a rebuilt record: the worker that logged it, if the log identifies it."""

LOGGED = "flash_otel.logged"
"""Resource attribute of a span that a worker wrote into its own log."""

LINES_CLOCK = "flash_otel.lines.clock"
"""Resource attribute of a rebuilt record: "zoned" if its times have a UTC offset, else "naive"."""


ANY = "*"
"""Stands for the unknown part of a partial value."""

LINES_PARTIAL = "flash_otel.lines.partial"
"""Attribute of a record: names of its attributes that a log or a provider kept only in part.

Their values have `ANY` in place of each unknown part. A value without it is whole, or a beginning.
`diagnosis.partial` resolves them; nothing else may compare them.
"""

LINES_BUILD = "flash_otel.lines.build"
"""Attribute of a record of a deployment: its build's partial id, if no whole id is known for it.

It tells deployments apart, and proves nothing else.
"""

LINES_LOOSE_COUNT = "flash_otel.lines.loose_count"
"""Attribute of a rebuilt record: the number of endpoints in lines that name no build.

They may belong to any build, so they cannot prove a healthy read, but may prove a fault.
"""

LINES_TORN = "flash_otel.lines.torn"
"""Attribute of a rebuilt record: the lines of an operation that is split between two logs.

`diagnosis.mending` joins them with the rest of the operation in the other log.
"""


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a span, at `time_ns` nanoseconds since the epoch."""

    name: str
    time_ns: int
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a span of this or another trace (ids in lower-case hex)."""

    trace_id: str
    span_id: str
    attributes: Attributes = field(default_factory=dict)


@dataclass(slots=True)
class SpanRecord:
    """A span, finished or (with `end_ns` None) still open when it was recorded.

    Records are not modified. They are not frozen, because that would make construction eight times
    as slow (2.4 against 0.3 us), and a diagnosis constructs a million of them.

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
        resource: The attributes of the resource that produced the span.
        scope_name: Name of the instrumentation scope.
        scope_version: Version of the instrumentation scope.
        trace_state: The W3C tracestate header, or an empty string.
        sampled: The W3C sampled flag.
        origin: Where the record was read, such as "deploy.log:12"; empty in the process that
            recorded it.
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
        """Trace id and span id, which identify a span in every source."""
        return (self.trace_id, self.span_id)

    @property
    def duration_ns(self) -> int | None:
        """Nanoseconds between start and end; None while the span is unfinished."""
        return None if self.end_ns is None else self.end_ns - self.start_ns


# --- attributes; a value of an unexpected type counts as missing ----------------------------------


def text(attributes: Attributes, name: str) -> str | None:
    """Return a string that is not empty, or None."""
    value = attributes.get(name)
    return value if isinstance(value, str) and value else None


def number(attributes: Attributes, name: str) -> int | None:
    """Return a whole number that is not negative, or None."""
    value = attributes.get(name)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if is_number and int(value) >= 0 else None  # type: ignore[arg-type]  # narrowed by is_number


def texts(attributes: Attributes, name: str) -> tuple[str, ...] | None:
    """Return a list of strings as a tuple, or None."""
    value = attributes.get(name)
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        return None
    return tuple(item if isinstance(item, str) else str(item) for item in value)
