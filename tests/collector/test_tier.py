"""The whole tier beyond one machine: agent, gateways, Kafka, Jaeger and OpenSearch, all real."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

import pytest
from load.copies import Copies, shapes
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support import loopback
from support.otlp import wait_for_spans
from support.real_collector import Starter, find_binaries
from support.tier import PROGRAMS, SPANS, Tier, start_tier

from flash_otel.cli.app import status_of as run
from flash_otel.demo.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from load.copies import Shape
    from support.real_collector import Access

_OTLP: Final = {"Content-Type": "application/x-protobuf"}
Ids = dict[str, set[str]]


@pytest.fixture(scope="module")
def tier(access: Access, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tier]:
    """The running tier, for the tests of this module, each of which leaves it running."""
    starter = Starter(find_binaries(*PROGRAMS))
    try:
        # Traces are whole at once here, and nobody waits ten seconds for them.
        yield start_tier(starter, tmp_path_factory.mktemp("tier"), access, TAIL_WAIT="1s")
    finally:
        starter.end()


def ids_of(body: bytes) -> Ids:
    """Return the span ids of a request, by trace."""
    found: Ids = {}
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        for span in (span for scope in group.scope_spans for span in scope.spans):
            found.setdefault(span.trace_id.hex(), set()).add(span.span_id.hex())
    return found


def send(tier: Tier, shape: Shape) -> tuple[str, Ids]:
    """Send a copy of a recording; return the trace id of its last deployment, and all span ids."""
    copies, sent = Copies(shape), Ids()
    deployments = copies.deployment(time.time_ns() - 10**9)
    *_, trace_id = ids_of(deployments)
    for body in (deployments, copies.worker()):
        url = f"{tier.agent.http_url}/v1/traces"
        answer = loopback.post(url, content=body, headers=_OTLP, timeout=60)
        assert answer.status_code == 200, answer.text
        for trace, spans in ids_of(body).items():
            sent.setdefault(trace, set()).update(spans)
    return trace_id, sent


def test_the_faults_are_named_from_opensearch(
    tier: Tier, capsys: pytest.CaptureFixture[str]
) -> None:
    """Recorded deployments pass through every program, and diagnosis names each one's fault."""
    recorded = {shape.scenario: shape for shape in shapes() if shape.scenario in SCENARIOS}
    assert len(recorded) == 5
    sent = {name: send(tier, shape) for name, shape in recorded.items()}
    for name, (_, traces) in sent.items():
        for trace, spans in traces.items():
            # Of the healthy, only the deployment's trace is kept for certain.
            if name != "healthy" or trace == sent[name][0]:
                wait_for_spans(tier.ingester, trace, spans)
    for name, (trace_id, _) in sent.items():
        capsys.readouterr()
        run(["diagnose", "--json", f"--from=jaeger={tier.ingester.query_url}", "--trace", trace_id])
        assert json.loads(capsys.readouterr().out)["verdict"] == SCENARIOS[name].fault, name
    assert tier.opensearch.count(SPANS) >= 70
