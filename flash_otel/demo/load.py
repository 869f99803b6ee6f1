"""What `flash-otel demo --load` does: replays recorded deployments against an OTLP endpoint.

Nothing is kept: what the endpoint does not take is asked for again until the time is over, and then
told as not acknowledged.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flash_otel.demo.load_shapes import Copies, Shape, shapes
from flash_otel.export.forwarder import transport_to
from flash_otel.export.outcome import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.export.destination import Destination
    from flash_otel.export.outcome import Transport

FAULTY_EVERY: Final = 20
"""Each twentieth deployment is one of those with a fault, in turn."""

_SENDERS: Final = 4
_PAUSE_S: Final = 0.2
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be sent.

    Attributes:
        deployments: How many deployments.
        workers: How many workers each of them has.
        rate: Spans in a second at most; 0 for as many as go.
        seconds: When to stop, whatever has been sent.
        batch: How many spans go in one request, at least; 1 sends each process's by themselves.
    """

    deployments: int = 100
    workers: int = 10
    rate: float = 0.0
    seconds: float = 60.0
    batch: int = 512


@dataclass(slots=True)
class Report:
    """What came of it.

    Attributes:
        deployments: Deployments that were sent.
        workers: Workers that were sent.
        sent: Spans that went out at least once.
        acknowledged: Spans that the endpoint has taken.
        refused: Spans that it refused for good.
        requests: Requests that were answered with a decision.
        repeated: Requests that were asked to come again, or met no answer.
        bytes: Bytes of all these spans before compression.
        seconds: How long it took.
        reason: Why the last request was refused or repeated; empty if none was.
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
        """Spans of which nobody knows."""
        return self.sent - self.acknowledged - self.refused

    @property
    def rate(self) -> float:
        """Acknowledged spans in a second."""
        return self.acknowledged / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Spans of one request, encoded."""

    body: bytes
    spans: int
    deployments: int
    workers: int


def run(
    load: Load,
    destination: Destination,
    on_progress: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Send a load, and wait for the answers.

    Args:
        load: What is sent.
        destination: Where to.
        on_progress: Called now and then with what has come of it so far.
    """
    sending = _Sending(load, destination)
    sending.start()
    try:
        sending.feed(batches(load), on_progress)
    finally:
        sending.end()
    return sending.report


def batches(load: Load) -> Iterator[Batch]:
    """Yield a load's spans in requests of at least `load.batch` spans."""
    parts: list[Batch] = []
    for part in _parts(load):
        parts.append(part)
        if sum(one.spans for one in parts) >= load.batch:
            yield _joined(parts)
            parts = []
    if parts:
        yield _joined(parts)


def _parts(load: Load) -> Iterator[Batch]:
    """Yield each deployment and each worker by itself, as its process would send it."""
    healthy, *faulty = map(Copies, shapes())
    others = itertools.cycle(faulty)
    for number in range(1, load.deployments + 1):
        copies = next(others) if number % FAULTY_EVERY == 0 else healthy
        shape: Shape = copies.shape
        yield Batch(copies.deployment(time.time_ns()), shape.deployment.spans, 1, 0)
        for _ in range(load.workers):
            yield Batch(copies.worker(), shape.worker.spans, 0, 1)


def _joined(parts: list[Batch]) -> Batch:
    # Requests that are strung together are one request with the groups of all of them
    # (protobuf.dev/programming-guides/encoding, "Last One Wins": repeated fields are joined).
    return Batch(
        b"".join(one.body for one in parts),
        sum(one.spans for one in parts),
        sum(one.deployments for one in parts),
        sum(one.workers for one in parts),
    )


@dataclass
class _Sending:
    """A few threads that send what is put in front of them, each over a connection of its own."""

    load: Load
    destination: Destination
    report: Report = field(default_factory=Report)
    _waiting: queue.Queue[Batch | None] = field(default_factory=lambda: queue.Queue(2 * _SENDERS))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(_SENDERS)]
        for thread in self._threads:
            thread.start()

    def feed(self, found: Iterator[Batch], on_progress: Callable[[Report], None]) -> None:
        """Put batches in front of the senders, no faster than the rate, until time is over."""
        fed = 0
        for batch in found:
            due = self._began + fed / self.load.rate if self.load.rate else 0.0
            if not self._wait_until(due) or not self._put(batch):
                return
            fed += batch.spans
            on_progress(self._so_far())

    def end(self) -> None:
        """Let the senders finish what they have, until time is over, and note how long it took."""
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

    def _put(self, batch: Batch | None) -> bool:
        while self._left() > 0:
            try:
                self._waiting.put(batch, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        self._over.set()
        return False

    def _so_far(self) -> Report:
        self.report.seconds = time.monotonic() - self._began
        return self.report

    def _send(self) -> None:
        transport = transport_to(self.destination)
        try:
            while not self._over.is_set():
                try:
                    batch = self._waiting.get(timeout=_POLL_S)
                except queue.Empty:
                    continue
                if batch is None:
                    return
                self._deliver(batch, transport)
        finally:
            transport.close()

    def _deliver(self, batch: Batch, transport: Transport) -> None:
        with self._lock:
            self.report.sent += batch.spans
            self.report.deployments += batch.deployments
            self.report.workers += batch.workers
            self.report.bytes += len(batch.body)
        while True:
            answer = transport.carry(batch.body)
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
