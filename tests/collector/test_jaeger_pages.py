"""Jaeger's other pages, by the requests of the UI: Monitor, and System Architecture."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import loopback
from support.otlp import eventually, request, span, trace_id
from support.real_collector import Starter, required

from flash_otel import semconv as sc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from collector.exported import Exported
    from support.real_collector import Collector, Jaeger

CLIENT: Final = 3  # OTLP's number of the span kind
DURATION_MS: Final = 40
BUCKET_MS: Final = (25, 50)  # of otelcol.yaml; Prometheus interpolates within it
SERVICE: Final = "monitored"


@pytest.fixture(scope="module")
def monitored(
    collector_binaries: dict[str, Path],
    running_collector: Collector,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Jaeger]:
    """A Jaeger that reads the metrics of `running_collector` from a Prometheus."""
    prometheus = required("prometheus", "Debian and Ubuntu: apt install prometheus")
    starter = Starter({**collector_binaries, "prometheus": prometheus})
    host = "127.0.0.1"
    targets = {
        "otelcol:8889": f"{host}:{running_collector.ports['OTELCOL_METRICS_PORT']}",
        "otelcol:8888": f"{host}:{running_collector.ports['OTELCOL_TELEMETRY_PORT']}",
        "jaeger:18888": f"{host}:9",
    }
    try:
        scraped = starter.prometheus(tmp_path_factory.mktemp("prometheus"), targets)
        url = scraped.url("PROMETHEUS_PORT")
        yield starter.jaeger(tmp_path_factory.mktemp("monitored"), PROMETHEUS_URL=url)
    finally:
        starter.end()


def send(collector: Collector) -> None:
    """Send a call of known duration, which failed."""
    now = time.time_ns()
    start = str(now - DURATION_MS * 1_000_000)
    times = {"startTimeUnixNano": start, "endTimeUnixNano": str(now)}
    call = span(trace_id(), sc.CALL, kind=CLIENT, status={"code": 2}, **times)
    body = request([call], **{"service.name": SERVICE})
    assert loopback.post(f"{collector.http_url}/v1/traces", json=body, timeout=30).is_success


def asked(jaeger: Jaeger, metric: str, **more: str) -> dict[str, list[float]]:
    """Return the values of a metric by operation, as the tab asks for them."""
    query = {
        "service": SERVICE,
        "spanKind": "client",
        "groupByOperation": "true",
        "endTs": str(int(time.time() * 1000)),
        "lookback": "60000",
        "step": "1000",
        "ratePer": "60000",
        **more,
    }
    answer = loopback.get(f"{jaeger.query_url}/api/metrics/{metric}", params=query, timeout=30)
    assert answer.status_code == 200, answer.text
    return {labels(made)["operation"]: values(made) for made in answer.json()["metrics"]}


def labels(metric: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in metric["labels"]}


def values(metric: dict[str, Any]) -> list[float]:
    found = [float(point["gaugeValue"]["doubleValue"]) for point in metric["metricPoints"]]
    return [value for value in found if not math.isnan(value)]


def test_latencies_are_milliseconds(monitored: Jaeger, running_collector: Collector) -> None:
    """A call of 40 ms is one of 25 to 50 in Jaeger's answer, which the UI shows as milliseconds."""
    found: dict[str, list[float]] = {}

    def has_values() -> bool:
        # A rate needs two scrapes of a series that grows.
        send(running_collector)
        found.update(asked(monitored, "latencies", quantile="0.95"))
        return bool(found.get(sc.CALL))

    eventually(has_values)
    assert found.keys() == {sc.CALL}
    low, high = BUCKET_MS
    assert low < found[sc.CALL][-1] <= high
    assert asked(monitored, "calls")[sc.CALL][-1] > 0
    assert asked(monitored, "errors")[sc.CALL][-1] == 1
    assert asked(monitored, "latencies", quantile="0.95", spanKind="server") == {}


@pytest.mark.flash
def test_the_architecture_is_that_of_joined_traces(exported: Callable[[str], Exported]) -> None:
    """Badger draws an edge where a span and its parent are of two services; a peer is none."""
    made = exported("healthy")
    (root,) = (span for span in made.shown() if span["operationName"] == sc.DEPLOY)
    # Other tests fill the same Jaeger, and Badger reads no more than 100 traces.
    started_ms = root["startTime"] // 1000
    query = {"endTs": str(started_ms + 1), "lookback": "2"}
    answer = loopback.get(f"{made.url}/api/dependencies", params=query, timeout=30).json()
    edges = {(edge["parent"], edge["child"]): edge["callCount"] for edge in answer["data"]}
    assert edges == {("flash-cli", "api"): 1, ("flash-cli", "flash-otel"): 1}
