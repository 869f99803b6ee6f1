"""Forwarding for a provider of our own: from its store if it has one, else from memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel.export.from_memory import MemoryForwarding
from flash_otel.export.from_store import StoreForwarding
from flash_otel.export.memory_queue import MemoryQueue
from flash_otel.runtime import options as opts
from flash_otel.store.processor import StoreSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import SpanProcessor

    from flash_otel.export.destination import Destination
    from flash_otel.export.forwarder import Forwarder
    from flash_otel.export.source import Backlog

_PUSH: Final = "flash-otel push"
_NO_ANSWER: Final = "no answer yet"
_NO_TIME: Final = "there was no time for more"

Forwarding = StoreForwarding | MemoryForwarding


def begin(destinations: Sequence[Destination], processors: Sequence[SpanProcessor]) -> Forwarding:
    """Make what forwards; `processors` are those of the provider so far."""
    for processor in processors:
        if isinstance(processor, StoreSpanProcessor):
            forwarding = StoreForwarding(destinations)
            processor.follow(forwarding)
            return forwarding
    if not opts.in_worker():
        return MemoryForwarding(destinations)
    from flash_otel.export.worker_log import write

    return MemoryForwarding(destinations, write)


def flush(forwarding: Forwarding, deadline: float) -> bool:
    """Have everything tried once; tell whether nothing waits any more.

    Args:
        forwarding: What `begin` returned.
        deadline: Until when to wait at most, on the monotonic clock, in seconds.
    """
    asked = [forwarder.ask() for forwarder in forwarding.forwarders]
    return all(tuple(request.wait(deadline) for request in asked))


def finish(forwarding: Forwarding, deadline: float) -> str:
    """Have everything tried a last time, and end.

    Returns:
        What there is to tell of what did not get out, in one line; else an empty string.
    """
    asked = [(one, one.ask(last=True), one.patience(deadline)) for one in forwarding.forwarders]
    left = [one for one, request, until in asked if not request.wait(until)]
    waiting = [(one, backlog) for one in left if (backlog := one.backlog()) and backlog.spans]
    if isinstance(forwarding, MemoryForwarding):
        return _lost(forwarding.give_up(), waiting or _refused(forwarding))
    stored = [one for one in waiting if not isinstance(one[0].source, MemoryQueue)]
    told = "; ".join(
        f"{_spans(backlog.spans, 'waits', 'wait')} for {_whom(one, backlog)}"
        for one, backlog in stored
    )
    return f"{told}: the next run sends them, or: {_PUSH}" if told else ""


def _refused(forwarding: MemoryForwarding) -> list[tuple[Forwarder, Backlog]]:
    return [(one, one.source.backlog()) for one in forwarding.forwarders]


def _lost(count: int, waiting: list[tuple[Forwarder, Backlog]]) -> str:
    if not count:
        return ""
    whom = " and ".join(_whom(*one) for one in waiting)
    return f"{_spans(count, 'is', 'are')} lost, as the store is off: not sent to {whom}"


def _whom(forwarder: Forwarder, backlog: Backlog) -> str:
    """Name a destination and why it did not get all; that it never answered is noted."""
    reason = backlog.reason
    if not reason and forwarder.has_delivered:
        reason = _NO_TIME
    elif not reason:
        reason = _NO_ANSWER
        forwarder.source.fail(reason)
    return f"{forwarder.destination.host} ({reason})"


def _spans(count: int, one: str, many: str) -> str:
    return f"{count} span {one}" if count == 1 else f"{count} spans {many}"


__all__ = ["Forwarding", "begin", "finish", "flush"]
