"""Sends spans until a Collector has acknowledged them, as the forwarder of flash_otel does."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx
from support import loopback
from support.otlp import request, span, trace_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.real_collector import Collector

SENDERS: Final = 4
SPANS: Final = 10
"""Spans of a batch, which is a trace of its own."""

# A batch that nobody takes for so long is the Collector's fault, not the machine's.
PATIENCE_SECONDS: Final = 120.0
_RETRY_SECONDS: Final = 0.02


@dataclass
class Load:
    """What is sent to a Collector while its surroundings fail.

    Attributes:
        collector: Who is sent to.
        batches: Number of batches of a sender; None to send until the load is over.
        pause_s: Seconds between two batches of a sender.
        fields: Further fields of every span, as OTLP JSON has them.
        acknowledged: Ids of the acknowledged spans, by trace.
    """

    collector: Collector
    batches: int | None = None
    pause_s: float = 0.0
    fields: Mapping[str, Any] = field(default_factory=dict)
    acknowledged: dict[str, set[str]] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def ids(self) -> set[str]:
        """Ids of all acknowledged spans."""
        with self._changed:
            return set().union(*self.acknowledged.values())

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send while the block runs; then finish the batches that were begun, or all of a number.

        Raises:
            AssertionError: A batch was not acknowledged in time.
        """
        self._over.clear()
        with ThreadPoolExecutor(SENDERS) as threads:
            running = [threads.submit(self._send) for _ in range(SENDERS)]
            try:
                yield
            finally:
                self._over.set()
            for future in running:
                future.result()

    @property
    def count(self) -> int:
        """The number of acknowledged spans."""
        return SPANS * len(self.acknowledged)

    def wait_for(self, count: int) -> None:
        """Wait until this number of spans is acknowledged."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, PATIENCE_SECONDS)

    def _send(self) -> None:
        sent = 0
        while sent < self.batches if self.batches else not self._over.is_set():
            self._deliver()
            sent += 1
            time.sleep(self.pause_s)

    def _deliver(self) -> None:
        trace = trace_id()
        spans = [span(trace, **self.fields) for _ in range(SPANS)]
        body, deadline = request(spans), time.monotonic() + PATIENCE_SECONDS
        while not self._taken(body):
            assert time.monotonic() < deadline, "nobody takes the batch"
            time.sleep(_RETRY_SECONDS)
        with self._changed:
            self.acknowledged[trace] = {span["spanId"] for span in spans}
            self._changed.notify_all()

    def _taken(self, body: object) -> bool:
        try:
            url = f"{self.collector.http_url}/v1/traces"
            return loopback.post(url, json=body, timeout=10).status_code == 200
        except httpx.TransportError:
            return False
