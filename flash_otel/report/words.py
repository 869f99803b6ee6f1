"""Spans in words: durations, times, outcomes, causes, retries and links.

Those that a traced process needs, too, lie in `flash_otel.wording`. Text from a span passes `clean`
before it is shown, because names, ids and messages in a recording may come from an attacker.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis import tables
from flash_otel.wording import NO_CAUSE, UNFINISHED, cause, clean, duration, encodable, outcome

if TYPE_CHECKING:
    from flash_otel.records import Event, Link, SpanRecord

__all__ = [
    "NO_CAUSE",
    "NO_FAULT",
    "NO_READ",
    "UNFINISHED",
    "cause",
    "clean",
    "doubt",
    "duration",
    "encodable",
    "links",
    "moment",
    "outcome",
    "retries",
    "times",
    "verdict",
]

NO_FAULT: Final = "no fault found"
NO_READ: Final = "no read yet"

# Words that the terminal and the page share; the page gets them in its document `report`.
RESULTS: Final = {
    tables.MATCH: "match",
    tables.MISMATCH: "mismatch",
    tables.PASS: "pass",
    tables.FAIL: "fail",
    tables.UNKNOWN: "?",
}
DIFFERENCES: Final = {
    "environment_id": "another environment",
    "build_id": "not the deployed build",
    "endpoint_count": "not the written endpoints",
}
ARRIVALS: Final = {
    semconv.DEPLOY: "deployment",
    semconv.RUNTIME_FETCH: "worker read",
    semconv.MANIFEST_FETCH: "worker read",
    semconv.CALL: "call",
    # Spans of what a worker serves are named after it: these are values of `faas.trigger`.
    semconv.TRIGGER_QUEUE: "job",
    semconv.TRIGGER_HTTP: "request",
}
OTHER_ARRIVAL: Final = "next span"
BY_OWN_CLOCK: Final = "by its own clock"
UNKNOWN_ORDER: Final = "in an unknown order"


def arrival(record: SpanRecord) -> str:
    """Return what a span that begins after a pause stands for."""
    trigger = str(record.attributes.get(semconv.FAAS_TRIGGER))
    return ARRIVALS.get(record.name) or ARRIVALS.get(trigger, OTHER_ARRIVAL)


def moment(nanoseconds: int, *, has_zone: bool = False) -> str:
    """Format a time (in nanoseconds since the epoch) in the local time zone.

    Args:
        nanoseconds: The time.
        has_zone: Add the name of the zone.
    """
    try:
        local = datetime.fromtimestamp(nanoseconds / 1e9).astimezone()
    except (OverflowError, OSError, ValueError):
        return f"{nanoseconds} ns"
    return f"{local:%Y-%m-%d %H:%M:%S}{f' {local:%Z}' if has_zone else ''}"


def zoned_moment(nanoseconds: int) -> str:
    """Format a time (in nanoseconds since the epoch) in the local time zone, with its offset."""
    try:
        local = datetime.fromtimestamp(nanoseconds / 1e9).astimezone()
    except (OverflowError, OSError, ValueError):
        return f"{nanoseconds} ns"
    offset = f"{local:%z}"
    return f"{local:%Y-%m-%d %H:%M:%S} {offset[:3]}:{offset[3:5]}"


# The least age in seconds from which a unit is used, and its length in seconds.
_AGES: Final = (
    (2 * 365 * 86_400, 365 * 86_400, "years"),
    (2 * 86_400, 86_400, "d"),
    (2 * 3600, 3600, "h"),
    (60, 60, "min"),
    (1, 1, "s"),
)


def age(nanoseconds: int, now_ns: int) -> str:
    """Format the age of a time in one unit; `?` for the time 0, which stands for none.

    Args:
        nanoseconds: The time, in nanoseconds since the epoch.
        now_ns: The present, in the same unit.
    """
    if not nanoseconds:
        return "?"
    seconds = (now_ns - nanoseconds) / 1e9
    # A clock that is ahead by a little must not show up in a list.
    if seconds < -60:  # noqa: PLR2004 - a minute
        return f"in {age(2 * now_ns - nanoseconds, now_ns).removesuffix(' ago')}"
    unit = next(((length, name) for least, length, name in _AGES if seconds >= least), None)
    return f"{int(seconds / unit[0])} {unit[1]} ago" if unit else "just now"


def verdict(code: str, confidence: str = "certain") -> str:
    """Return a verdict as people read it: the code `none` as `no fault found`; and any doubt."""
    return f"{NO_FAULT if code == semconv.NONE else code}{doubt(confidence)}"


def doubt(confidence: str) -> str:
    """Return what follows a verdict that is not certain."""
    return "" if confidence == "certain" else f" ({confidence})"


def retries(record: SpanRecord) -> list[str]:
    """Return a line for each reason that attempts inside a span were repeated for."""
    reasons: dict[str, int] = {}
    for event in record.events:
        if event.name == semconv.RETRY:
            reason = _reason(event)
            reasons[reason] = reasons.get(reason, 0) + 1
    return [f"retried {times(count)}: {reason}" for reason, count in reasons.items()]


def _reason(event: Event) -> str:
    return clean(event.attributes.get(semconv.RETRY_REASON, "no reason was recorded"))


def times(count: int) -> str:
    """Return `once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def links(record: SpanRecord) -> list[str]:
    """Return a line for each trace that a span links to."""
    return [f"{_linked_kind(record, link)} trace {clean(link.trace_id)}" for link in record.links]


def _linked_kind(record: SpanRecord, link: Link) -> str:
    # The attribute mirrors the link to a deployment, because some backends drop link attributes.
    if link.trace_id == record.attributes.get(semconv.DEPLOY_TRACE_ID):
        return "deployment"
    return "build" if record.name == semconv.DEPLOY else "linked"
