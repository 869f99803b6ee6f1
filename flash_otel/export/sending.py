"""Sending spans from a source over a transport, and the contracts of both.

The rules for responses are those of the OTLP specification (opentelemetry.io/docs/specs/otlp):
which batches may be sent again, and the meaning of a partial success.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from flash_otel.records import SpanRecord

Placed: TypeAlias = "tuple[int, SpanRecord]"

MAX_BATCH: Final = 512

LONGEST_WAIT_S: Final = 3600.0
"""The longest wait, in seconds, that a server is granted."""


class Verdict(Enum):
    """How to proceed with a batch that was sent."""

    DELIVERED = "delivered"
    WAIT = "wait"
    REJECTED = "rejected"
    TOO_LARGE = "too large"


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The outcome of one request.

    Attributes:
        verdict: How to proceed with the batch.
        reason: Why, in words; empty if the server accepted the whole batch.
        rejected: Number of spans of a delivered batch that the server did not accept.
        wait_s: Seconds that the server asked to wait before the batch is sent again, or None.
    """

    verdict: Verdict
    reason: str = ""
    rejected: int = 0
    wait_s: float | None = None


class Transport(Protocol):
    """Sends batches to one destination; only one thread at a time may use it."""

    def send(self, records: Iterable[SpanRecord]) -> ExportResult:
        """Send a batch and wait for the response; raises no error of the network."""

    def send_encoded(self, body: bytes) -> ExportResult:
        """Send a batch that is already encoded as protobuf; otherwise the same."""

    def close(self) -> None:
        """Close the connection; the next batch opens another."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The transport for an unusable address: nothing is sent, and every batch waits.

    Attributes:
        reason: Why nothing is sent there.
    """

    reason: str

    def send(self, _: Iterable[SpanRecord]) -> ExportResult:
        """Send nothing."""
        return ExportResult(Verdict.WAIT, self.reason)

    def send_encoded(self, _: bytes) -> ExportResult:
        """Send nothing."""
        return ExportResult(Verdict.WAIT, self.reason)

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The spans that wait for a destination.

    Attributes:
        spans: Number of spans.
        is_failing: Whether the last attempt, perhaps of an earlier process, failed.
        may_send: Whether no server's request to wait is in force.
        reason: Why they wait, as far as known.
    """

    spans: int
    is_failing: bool = False
    may_send: bool = True
    reason: str = ""


class SpanSource(Protocol):
    """Spans for one destination, in the order of sending; only one thread may take them."""

    def session(self) -> AbstractContextManager[bool]:
        """Keep other senders out inside the block; yield False if another one is active."""

    def take(self, most: int) -> Sequence[Placed]:
        """Return the next spans with their places; they stay until they are settled."""

    def settle(self, places: Sequence[int], *, rejected: int = 0, reason: str = "") -> None:
        """Record that the server has answered for the spans at these places."""

    def fail(self, reason: str, wait_s: float | None = None) -> None:
        """Record why the server accepted nothing, and how long it asked to wait."""

    def backlog(self) -> Backlog:
        """Return what waits."""


@dataclass(slots=True)
class Tally:
    """The result of sending the spans of a source.

    Attributes:
        delivered: Number of spans that the server accepted.
        rejected: Number of spans that it refused for good.
        rejection: Why it refused the last of them.
        trouble: Why the remaining spans wait; None if none remain.
    """

    delivered: int = 0
    rejected: int = 0
    rejection: str = ""
    trouble: ExportResult | None = None


def send_all(
    source: SpanSource, transport: Transport, progress: Callable[[Tally], None] | None = None
) -> Tally:
    """Send batch after batch until nothing waits or a batch has to; call it within a session.

    A batch that is too large is sent again with half of its spans; a single span that is too
    large counts as rejected.

    Args:
        source: The spans.
        transport: The connection to their destination.
        progress: Called after each batch that the server has answered for.
    """
    tally, most = Tally(), MAX_BATCH
    while batch := source.take(most):
        result = transport.send([record for _, record in batch])
        if result.verdict is Verdict.TOO_LARGE and len(batch) > 1:
            most = len(batch) // 2
            continue
        if result.verdict is Verdict.WAIT:
            source.fail(result.reason, result.wait_s)
            tally.trouble = result
            break
        _settle(source, batch, result, tally)
        if progress is not None:
            progress(tally)
    return tally


def _settle(
    source: SpanSource, batch: Sequence[Placed], result: ExportResult, tally: Tally
) -> None:
    is_delivered = result.verdict is Verdict.DELIVERED
    rejected = min(result.rejected, len(batch)) if is_delivered else len(batch)
    source.settle([place for place, _ in batch], rejected=rejected, reason=result.reason)
    tally.delivered += len(batch) - rejected
    tally.rejected += rejected
    tally.rejection = result.reason if rejected else tally.rejection


def parse_response(body: bytes, *, is_json: bool = False) -> ExportResult:
    """Return the result of a successful response, which may be a partial success."""
    from google.protobuf.json_format import (  # type: ignore[import-untyped]  # ships no types
        Parse,
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceResponse,
    )

    try:
        response = ExportTraceServiceResponse()
        if is_json:
            Parse(body or b"{}", response, ignore_unknown_fields=True)
        else:
            response.ParseFromString(body)
    except Exception:
        # Still a success: a proxy may put anything into the body of its 200.
        return ExportResult(Verdict.DELIVERED)
    partial = response.partial_success
    rejected = max(0, int(partial.rejected_spans))
    return ExportResult(Verdict.DELIVERED, str(partial.error_message), rejected)
