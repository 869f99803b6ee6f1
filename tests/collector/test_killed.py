"""What was acknowledged is in Jaeger in the end, whoever is killed in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from support import loopback
from support.otlp import request, span, trace_id, wait_for_spans
from support.senders import SENDERS, SPANS, Load

if TYPE_CHECKING:
    from pathlib import Path

    from support.real_collector import Starter

BATCHES: Final = 40


def test_every_acknowledged_span_arrives(starter: Starter, tmp_path: Path) -> None:
    """SIGKILL of the Collector under load, then of Jaeger, then of both: no id is lost."""
    jaeger = starter.jaeger(tmp_path / "jaeger")
    collector = starter.collector(tmp_path / "collector", jaeger.otlp)
    load, whole = Load(collector, BATCHES), SENDERS * BATCHES * SPANS
    with load.sending():
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
