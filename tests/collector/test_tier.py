"""The whole tier beyond one machine: agent, gateways, Kafka, Jaeger and OpenSearch, all real."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest
from load.copies import Copies, shapes
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from support import loopback
from support.otlp import spans_of, wait_for_spans
from support.real_collector import Starter, find_binaries
from support.senders import Load
from support.tier import PRODUCTION, PROGRAMS, Tier, start_tier, start_without_kafka

from flash_otel.cli.app import status_of as run
from flash_otel.demo.scenarios import SCENARIOS
from flash_otel.export.destination import Destination
from flash_otel.export.forwarder import transport_to
from flash_otel.export.sending import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from load.copies import Shape
    from support.real_collector import Access

Ids = dict[str, set[str]]

_OTLP: Final = {"Content-Type": "application/x-protobuf"}
# No gateway leaves out a trace with a failure.
_FAILED: Final = {"status": {"code": Status.STATUS_CODE_ERROR}}
# Not the gateways, which hold in memory the traces that wait for a decision.
_KILLED: Final = ("kafka", "producer", "ingester")


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
    """Send a copy of a recording; return its last deployment's trace id, and the ids to be kept.

    Of a healthy worker, the calls may be left out.
    """
    copies, sent = Copies(shape), Ids()
    deployments = copies.deployment(time.time_ns() - 10**9)
    *_, trace_id = ids_of(deployments)
    for body in (deployments, copies.worker()):
        url = f"{tier.agent.http_url}/v1/traces"
        answer = loopback.post(url, content=body, headers=_OTLP, timeout=60)
        assert answer.status_code == 200, answer.text
        for trace, spans in ids_of(body).items():
            if shape.scenario != "healthy" or trace == trace_id:
                sent.setdefault(trace, set()).update(spans)
    return trace_id, sent


def test_the_faults_are_named_from_opensearch(
    tier: Tier, capsys: pytest.CaptureFixture[str]
) -> None:
    """Recorded deployments pass through every program, and diagnosis names each one's fault."""
    recorded = {shape.scenario: shape for shape in shapes() if shape.scenario in SCENARIOS}
    assert len(recorded) == 5
    sent = {name: send(tier, shape) for name, shape in recorded.items()}
    for _, traces in sent.values():
        for trace, spans in traces.items():
            wait_for_spans(tier.ingester, trace, spans)
    for name, (trace_id, _) in sent.items():
        capsys.readouterr()
        run(["diagnose", "--json", f"--from=jaeger={tier.ingester.query_url}", "--trace", trace_id])
        assert json.loads(capsys.readouterr().out)["verdict"] == SCENARIOS[name].fault, name
    # What Jaeger answers could come from another storage, if the files named one.
    tier.wait_for(set().union(*(spans for _, ids in sent.values() for spans in ids.values())))


def test_every_acknowledged_span_is_stored_in_the_end(tier: Tier) -> None:
    """SIGKILL of Kafka, of both Jaegers and of the agent, under load: no id is lost.

    OpenSearch may lack what the ingester held in memory, until the topic is read again. What it
    then has twice, Jaeger shows once.
    """
    load = Load(tier.agent, pause_s=0.3, fields=_FAILED)
    with load.sending():
        load.wait_for(80)
        for name in _KILLED:
            tier.programs[name].kill()
        load.wait_for(load.count + 80)
        tier.agent.kill()
        tier.agent.start()
        tier.start_again(_KILLED)
        load.wait_for(load.count + 80)
    tier.read_again("once-more")
    tier.wait_for(load.ids)
    trace, ids = next(iter(load.acknowledged.items()))
    shown = [span["spanId"] for span in spans_of(wait_for_spans(tier.ingester, trace, ids))]
    assert sorted(shown) == sorted(ids)


def test_spans_of_a_gateway_that_left_go_to_the_other(tier: Tier) -> None:
    """What a dead gateway did not take waits at the agent, and goes to those that it finds later.

    It finds them by DNS here: one that is left.
    """
    left, dead = tier.gateways
    static = tier.agent.configs
    dead.kill()
    load = Load(tier.agent, batches=3, fields=_FAILED)
    with load.sending():
        pass
    tier.agent.stop()
    tier.agent.configs = [PRODUCTION / "agent.yaml", PRODUCTION / "gateways-dns.yaml"]
    port = left.grpc.rpartition(":")[2]
    tier.agent.variables.update(GATEWAY_HOST="127.0.0.1", GATEWAY_PORT=port)
    tier.agent.start()
    try:
        tier.wait_for(load.ids)
    finally:
        tier.agent.stop()
        tier.agent.configs = static
        tier.agent.start()
        dead.start()


def test_without_kafka_every_replica_serves_what_any_stores(
    tier: Tier, starter: Starter, tmp_path: Path
) -> None:
    """A Jaeger on OpenSearch alone takes OTLP, and another one answers with what it stored."""
    replica = start_without_kafka(starter, tmp_path / "jaeger", tier.opensearch)
    body = Copies(shapes()[0]).deployment(time.time_ns())
    with closing(transport_to(Destination("grpc", f"http://{replica.otlp}"))) as transport:
        assert transport.send_encoded(body).verdict == Verdict.DELIVERED
    for trace, spans in ids_of(body).items():
        wait_for_spans(tier.ingester, trace, spans)
