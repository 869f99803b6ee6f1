"""Replays recorded deployments against an OTLP endpoint, and counts the answers.

Nothing is stored: a request that the endpoint does not accept is retried until the time is over.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from load.copies import Copies, Shape, shapes

from flash_otel.export.forwarder import transport_to
from flash_otel.export.sending import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.export.destination import Destination
    from flash_otel.export.sending import Transport

FAULTY_EVERY: Final = 20
"""Every twentieth deployment has a fault, each recorded fault in turn."""

_SENDERS: Final = 4
_PAUSE_S: Final = 0.2
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """The load to send.

    Attributes:
        deployments: Number of deployments.
        workers: Number of workers of each deployment.
        rate: Maximum rate in spans per second; 0 for no limit.
        seconds: Time limit in seconds.
        batch: Minimum number of spans in a request; 1 sends one request per process.
    """

    deployments: int = 100
    workers: int = 10
    rate: float = 0.0
    seconds: float = 60.0
    batch: int = 512


@dataclass(slots=True)
class LoadReport:
    """The outcome of sending a load.

    Attributes:
        deployments: Deployments that were sent.
        workers: Workers that were sent.
        sent: Spans that were sent at least once.
        acknowledged: Spans that the endpoint accepted.
        refused: Spans that the endpoint rejected permanently.
        requests: Requests with a final answer.
        repeated: Attempts that got a retryable answer or none.
        bytes: Size of all sent spans before compression.
        seconds: Duration.
        reason: Reason of the last rejection or retry; empty without any.
    """

    deployments: int = 0
    workers: int = 0
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    requests: int = 0
    repeated: int = 0
    bytes: int = 0
    seconds: float = 0.0
    reason: str = ""

    @property
    def unanswered(self) -> int:
        """Sent spans without a final answer."""
        return self.sent - self.acknowledged - self.refused

    @property
    def rate(self) -> float:
        """Acknowledged spans per second."""
        return self.acknowledged / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """The encoded spans of one request."""

    body: bytes
    spans: int
    deployments: int
    workers: int


def run(
    load: Load,
    destination: Destination,
    on_progress: Callable[[LoadReport], None] = lambda _: None,
) -> LoadReport:
    """Send a load and wait for the answers.

    Args:
        load: What to send.
        destination: Where to send it.
        on_progress: Called after each batch with the report so far.
    """
    senders = _Senders(load, destination)
    senders.start()
    try:
        senders.feed(batches(load), on_progress)
    finally:
        senders.end()
    return senders.report


def batches(load: Load) -> Iterator[EncodedBatch]:
    """Yield a load's spans in requests of at least `load.batch` spans."""
    parts: list[EncodedBatch] = []
    for part in _parts(load):
        parts.append(part)
        if sum(part.spans for part in parts) >= load.batch:
            yield _joined(parts)
            parts = []
    if parts:
        yield _joined(parts)


def _parts(load: Load) -> Iterator[EncodedBatch]:
    """Yield each deployment and each worker separately, as its process would send it."""
    healthy, *faulty = map(Copies, shapes())
    faults = itertools.cycle(faulty)
    for number in range(1, load.deployments + 1):
        copies = next(faults) if number % FAULTY_EVERY == 0 else healthy
        shape: Shape = copies.shape
        yield EncodedBatch(copies.deployment(time.time_ns()), shape.deployment.spans, 1, 0)
        for _ in range(load.workers):
            yield EncodedBatch(copies.worker(), shape.worker.spans, 0, 1)


def _joined(parts: list[EncodedBatch]) -> EncodedBatch:
    # Concatenated protobuf messages are one message with all their repeated fields
    # (protobuf.dev/programming-guides/encoding, "Last One Wins").
    return EncodedBatch(
        b"".join(part.body for part in parts),
        sum(part.spans for part in parts),
        sum(part.deployments for part in parts),
        sum(part.workers for part in parts),
    )


@dataclass
class _Senders:
    """Threads that send queued batches, each over a connection of its own."""

    load: Load
    destination: Destination
    report: LoadReport = field(default_factory=LoadReport)
    _queue: queue.Queue[EncodedBatch | None] = field(
        default_factory=lambda: queue.Queue(2 * _SENDERS)
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(_SENDERS)]
        for thread in self._threads:
            thread.start()

    def feed(
        self, found: Iterator[EncodedBatch], on_progress: Callable[[LoadReport], None]
    ) -> None:
        """Queue batches at the load's rate until all are queued or the time is over."""
        fed = 0
        for batch in found:
            due = self._began + fed / self.load.rate if self.load.rate else 0.0
            if not self._wait_until(due) or not self._put(batch):
                return
            fed += batch.spans
            on_progress(self._so_far())

    def end(self) -> None:
        """Wait for the threads until the time is over, and record the duration."""
        for _ in self._threads:
            self._put(None)
        for thread in self._threads:
            thread.join(max(0.0, self._left()) + self.destination.timeout_s)
        self._over.set()
        self._so_far()

    def _left(self) -> float:
        return self._began + self.load.seconds - time.monotonic()

    def _wait_until(self, due: float) -> bool:
        while self._left() > 0 and (ahead := due - time.monotonic()) > 0:
            time.sleep(min(ahead, _POLL_S))
        return self._left() > 0

    def _put(self, batch: EncodedBatch | None) -> bool:
        while self._left() > 0:
            try:
                self._queue.put(batch, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        self._over.set()
        return False

    def _so_far(self) -> LoadReport:
        self.report.seconds = time.monotonic() - self._began
        return self.report

    def _send(self) -> None:
        transport = transport_to(self.destination)
        try:
            while not self._over.is_set():
                try:
                    batch = self._queue.get(timeout=_POLL_S)
                except queue.Empty:
                    continue
                if batch is None:
                    return
                self._deliver(batch, transport)
        finally:
            transport.close()

    def _deliver(self, batch: EncodedBatch, transport: Transport) -> None:
        with self._lock:
            self.report.sent += batch.spans
            self.report.deployments += batch.deployments
            self.report.workers += batch.workers
            self.report.bytes += len(batch.body)
        while True:
            answer = transport.send_encoded(batch.body)
            with self._lock:
                self.report.reason = answer.reason or self.report.reason
                if answer.verdict is not Verdict.WAIT:
                    taken = batch.spans if answer.verdict is Verdict.DELIVERED else 0
                    self.report.requests += 1
                    self.report.acknowledged += taken - answer.rejected
                    self.report.refused += batch.spans - taken + answer.rejected
                    return
                self.report.repeated += 1
            if self._left() <= 0 or self._over.wait(min(answer.wait_s or _PAUSE_S, self._left())):
                return
