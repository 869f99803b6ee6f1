"""Tail sampling past one machine: agent, two gateways and Jaeger, all of them real."""

from __future__ import annotations

import random
import re
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from load.copies import Copies, shapes
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from support import loopback
from support.real_collector import BUNDLE

from flash_otel.export.destination import Destination
from flash_otel.export.http import HttpTransport
from flash_otel.export.sending import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.real_collector import Collector, Jaeger, Starter

PRODUCTION = BUNDLE / "production"
LONG_S = 120.0
HEALTHY_WORKERS = 100
FAULTY_WORKERS = 5
PERCENT = 30

# What is sent, by what a trace holds; the rule is said here once more, in the test's own words.
WRITTEN = {
    "flash.deploy",
    "flash.build",
    "flash.artifact.upload",
    "flash.activate",
    "flash.provision",
    "flash.provision.endpoint",
    "flash.manifest.upload",
}


@dataclass
class Sent:
    """The sent spans: how many each trace has, and which traces must be kept."""

    spans: dict[str, int]
    promised: set[str]

    def note(self, body: bytes) -> None:
        """Count the spans of a request."""
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            for span in (found for scope in group.scope_spans for found in scope.spans):
                trace = span.trace_id.hex()
                self.spans[trace] = self.spans.get(trace, 0) + 1
                told = {attribute.key: attribute.value for attribute in span.attributes}
                first = "faas.coldstart" in told and told["faas.coldstart"].bool_value
                failed = span.status.code == Status.STATUS_CODE_ERROR
                if first or failed or span.name in WRITTEN or "flash.fault" in told:
                    self.promised.add(trace)

    @property
    def healthy(self) -> set[str]:
        """The traces of which only a share is kept."""
        return self.spans.keys() - self.promised


class Cluster:
    """An agent, two gateways, and the Jaeger behind them."""

    def __init__(self, starter: Starter, jaeger: Jaeger, folder: Path, **variables: str) -> None:
        config = [PRODUCTION / "gateway.yaml"]
        self.jaeger = jaeger
        self.gateways = [
            starter.collector(folder / name, jaeger.otlp, config, **variables)
            for name in ("gateway-1", "gateway-2")
        ]
        self.agent = starter.agent(folder / "agent", self.gateways)
        url = f"{self.agent.http_url}/v1/traces"
        self._transport = HttpTransport(Destination("http/protobuf", url, compression="gzip"))

    def send(self, body: bytes) -> None:
        """Send a request, which the agent must accept."""
        answer = self._transport.send_encoded(body)
        assert (answer.verdict, answer.rejected) == (Verdict.DELIVERED, 0), answer

    def close(self) -> None:
        """Close the connection to the agent."""
        self._transport.close()

    def decided(self) -> list[int]:
        """Return the number of traces that each gateway has decided on."""
        return [sum(counters(gateway, DECISIONS)) for gateway in self.gateways]

    def stored(self, trace: str) -> int:
        """Return the number of spans that Jaeger has of a trace."""
        answer = loopback.get(f"{self.jaeger.query_url}/api/traces/{trace}", timeout=60)
        if answer.status_code == 404:
            return 0
        return sum(len(trace["spans"]) for trace in answer.json()["data"])


DECISIONS = "otelcol_processor_tail_sampling_global_count_traces_sampled"


def counters(gateway: Collector, name: str) -> list[int]:
    text = loopback.get(gateway.url("OTELCOL_TELEMETRY_PORT", "/metrics"), timeout=60).text
    rows = re.findall(rf"^{name}\w*(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    return [int(float(row)) for row in rows]


def wait_for(done: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + LONG_S
    while not done():
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)


def times(count: int, make: Callable[[], bytes]) -> list[bytes]:
    return [make() for _ in range(count)]


def own_first_read(chance: random.Random) -> bytes:
    """Make a first read with its own trace, as if the deployment were too old."""
    copies = Copies(shapes()[0], chance)
    copies.deployment(time.time_ns())
    request = ExportTraceServiceRequest.FromString(copies.worker())
    trace = chance.randbytes(16)
    (group,) = request.resource_spans
    (scope,) = group.scope_spans
    reads = [span for span in scope.spans if span.name.endswith(".fetch")][:2]
    for span in reads:
        span.trace_id = trace
    reads[0].ClearField("parent_span_id")
    del scope.spans[:]
    scope.spans.extend(reads)
    encoded: bytes = request.SerializeToString()
    return encoded


def test_what_is_kept(starter: Starter, loaded_jaeger: Jaeger, tmp_path: Path) -> None:
    """Faults, failures, deployments and first reads are all kept, whole; of the rest, a share.

    Each trace is decided by one gateway alone, and both take part.
    """
    chance = random.Random(5)  # noqa: S311 - the same ids, and so the same share, in every run
    variables = {"TAIL_WAIT": "3s", "HEALTHY_PERCENT": str(PERCENT)}
    with closing(Cluster(starter, loaded_jaeger, tmp_path, **variables)) as cluster:
        check(cluster, chance)


def check(cluster: Cluster, chance: random.Random) -> None:
    sent = Sent({}, set())
    healthy, *faulty = (Copies(shape, chance) for shape in shapes())
    # Deployment and workers are processes of their own, and so are their requests.
    bodies = [own_first_read(chance)]
    for copies in faulty:
        bodies += [copies.deployment(time.time_ns()), *times(FAULTY_WORKERS, copies.worker)]
    bodies += [healthy.deployment(time.time_ns()), *times(HEALTHY_WORKERS, healthy.worker)]
    for body in bodies:
        sent.note(body)
        cluster.send(body)

    wait_for(lambda: sum(cluster.decided()) >= len(sent.spans), lambda: str(cluster.decided()))
    assert sum(cluster.decided()) == len(sent.spans)
    assert min(cluster.decided()) > 0

    # A worker that starts late: its first read belongs to a trace that was decided long ago.
    late = healthy.worker()
    sent.note(late)
    cluster.send(late)
    wait_for(lambda: sum(cluster.decided()) >= len(sent.spans), lambda: str(cluster.decided()))

    def missing() -> dict[str, int]:
        found = {trace: cluster.stored(trace) for trace in sent.promised}
        return {trace: n for trace, n in found.items() if n != sent.spans[trace]}

    wait_for(lambda: not missing(), lambda: f"not whole in Jaeger: {missing()}")
    kept = {trace for trace in sent.healthy if cluster.stored(trace)}
    assert len(sent.healthy) == HEALTHY_WORKERS + 1
    assert 0.1 < len(kept) / len(sent.healthy) < 0.6
