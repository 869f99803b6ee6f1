"""The shipped configurations, in the real binaries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from support.collector import Collector, Jaeger


def test_jaeger_starts_from_its_file(running_jaeger: Jaeger) -> None:
    """Jaeger serves its API from collector/jaeger.yaml, and has loaded the UI's configuration."""
    answer = httpx.get(f"{running_jaeger.query_url}/api/services", timeout=30)
    assert answer.status_code == 200
    assert "Badger storage configuration" in running_jaeger.log
    assert "jaeger-ui.json" in running_jaeger.log


def test_the_collector_starts_from_its_file(running_collector: Collector) -> None:
    """The Collector takes OTLP and serves metrics from collector/otelcol.yaml."""
    sent = httpx.post(f"{running_collector.http_url}/v1/traces", json={}, timeout=30)
    assert sent.status_code == 200
    assert httpx.get(running_collector.metrics_url, timeout=30).status_code == 200
