"""What came of sending a batch, in the terms of OTLP, whatever carried it.

The rules are those of the OTLP specification (opentelemetry.io/docs/specs/otlp): what may be
repeated, what must not be, what a partial success means.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flash_otel.records import SpanRecord

LONGEST_WAIT_S: Final = 3600.0
"""A server that asks for more patience than this gets this much."""


class Verdict(Enum):
    """What is to be done with a batch that was sent."""

    DELIVERED = "delivered"
    WAIT = "wait"
    REJECTED = "rejected"
    TOO_LARGE = "too large"


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one request.

    Attributes:
        verdict: What is to be done with the batch.
        reason: Why, in words; empty if all of it was taken.
        rejected: Of a delivered batch: how many spans the server did not take.
        wait_s: Of a batch that has to wait: how long the server asked to, in seconds.
    """

    verdict: Verdict
    reason: str = ""
    rejected: int = 0
    wait_s: float | None = None


class Transport(Protocol):
    """Sends batches to one destination; one thread at a time may use it."""

    def send(self, records: Iterable[SpanRecord]) -> Answer:
        """Send a batch and wait for the answer; raises nothing that a network can cause."""

    def carry(self, body: bytes) -> Answer:
        """Send a batch that is encoded as protobuf already; otherwise the same."""

    def close(self) -> None:
        """Let the connection go."""


def taken(response: bytes, *, is_json: bool = False) -> Answer:
    """Return the answer of a server that took a batch, perhaps not all of it."""
    from google.protobuf.json_format import (  # type: ignore[import-untyped]  # ships no types
        Parse,
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceResponse,
    )

    try:
        found = ExportTraceServiceResponse()
        if is_json:
            Parse(response or b"{}", found, ignore_unknown_fields=True)
        else:
            found.ParseFromString(response)
    except Exception:
        # Success it is, whatever a proxy put into the body of its 200.
        return Answer(Verdict.DELIVERED)
    partial = found.partial_success
    return Answer(
        Verdict.DELIVERED, str(partial.error_message), max(0, int(partial.rejected_spans))
    )
