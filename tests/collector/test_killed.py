"""What was acknowledged is in Jaeger in the end, whoever is killed in between."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
from support import loopback
from support.otlp import request, span, trace_id, wait_for_spans

if TYPE_CHECKING:
    from pathlib import Path

    from support.real_collector import Collector, Starter

SENDERS = 4
BATCHES = 40
SPANS = 10
# A batch that nobody takes for so long is the Collector's fault, not the machine's.
PATIENCE_SECONDS = 120.0


@dataclass
class Load:
    """Senders that retry until everything is acknowledged, as flash_otel's forwarder does.

    Attributes:
        collector: Who is sent to.
        acknowledged: Ids of the acknowledged spans, by trace.
    """

    collector: Collector
    acknowledged: dict[str, set[str]] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def count(self) -> int:
        """The number of acknowledged spans."""
        return sum(map(len, self.acknowledged.values()))

    def send(self, _number: int) -> None:
        """Send the batches of a sender, each as a trace of its own, until they are acknowledged."""
        for _ in range(BATCHES):
            trace = trace_id()
            spans = [span(trace) for _ in range(SPANS)]
            body, deadline = request(spans), time.monotonic() + PATIENCE_SECONDS
            while not self._taken(body):
                assert time.monotonic() < deadline, "nobody takes the batch"
                time.sleep(0.02)
            with self._changed:
                self.acknowledged[trace] = {span["spanId"] for span in spans}
                self._changed.notify_all()

    def _taken(self, body: object) -> bool:
        try:
            url = f"{self.collector.http_url}/v1/traces"
            return loopback.post(url, json=body, timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    def wait_for(self, count: int) -> None:
        """Wait until so many spans are acknowledged."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, PATIENCE_SECONDS)


def test_every_acknowledged_span_arrives(starter: Starter, tmp_path: Path) -> None:
    """SIGKILL of the Collector under load, then of Jaeger, then of both: no id is lost."""
    jaeger = starter.jaeger(tmp_path / "jaeger")
    collector = starter.collector(tmp_path / "collector", jaeger.otlp)
    load, whole = Load(collector), SENDERS * BATCHES * SPANS
    with ThreadPoolExecutor(SENDERS) as senders:
        running = [senders.submit(load.send, number) for number in range(SENDERS)]
        load.wait_for(whole // 8)
        collector.kill()
        collector.start()
        load.wait_for(whole // 4)
        jaeger.kill()
        # The Collector goes on taking spans while Jaeger is away, and is killed with them.
        load.wait_for(whole // 2)
        collector.kill()
        collector.start()
        jaeger.start()
        load.wait_for(whole * 3 // 4)
        jaeger.kill()
        collector.kill()
        jaeger.start()
        collector.start()
        for future in running:
            future.result()
    assert load.count == whole
    for trace, ids in load.acknowledged.items():
        wait_for_spans(jaeger, trace, ids)


def test_stored_spans_survive_jaegers_death(starter: Starter, tmp_path: Path) -> None:
    """After a SIGKILL, Jaeger shows its traces again, from its Badger folder."""
    jaeger = starter.jaeger(tmp_path / "jaeger")
    collector = starter.collector(tmp_path / "collector", jaeger.otlp)
    trace = trace_id()
    spans = [span(trace) for _ in range(SPANS)]
    body = request(spans)
    assert (
        loopback.post(f"{collector.http_url}/v1/traces", json=body, timeout=30).status_code == 200
    )
    ids = [span["spanId"] for span in spans]
    wait_for_spans(jaeger, trace, ids)
    collector.stop()  # nobody sends anything again
    jaeger.kill()
    jaeger.start()
    wait_for_spans(jaeger, trace, ids)
