"""What each program takes on this machine: the figures of docs/production.md.

    python benchmarks/production.py [--seconds 20] [--only tier]

The real programs run from the shipped files; `make load` sends. CPU time is the process's own
(/proc/PID/stat): the sender beside it on the same cores does not count. Absolute figures are this
machine's; take what matters to you on yours. Needs `make collector engines`.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from load.copies import Copies, shapes
from load.generator import Load, LoadReport, batches, run
from support import engines
from support.certificates import make_access
from support.real_collector import BUNDLE, Program, Starter, find_binaries
from support.tier import PROGRAMS, SPANS, start_ingester, start_producer

from flash_otel.export.destination import Destination

MIB = 1024 * 1024
NOWHERE = "127.0.0.1:9"
ROOMY = {"OTELCOL_MEMORY_MIB": "4000"}
FOREVER = 10_000_000
# As a server is run, other than in the tests.
SERVER = "-XX:+UseG1GC -Xmx1g"
GATEWAY = [BUNDLE / "production/gateway.yaml"]
# What takes everything and keeps nothing, in the backend's place.
SINK = (
    "service: {pipelines: {traces: {processors: [memory_limiter], "
    "exporters: [spanmetrics, spanmetrics/monitor]}}}"
)


def main() -> None:
    """Measure everything once, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--only", choices=PARTS, help="measure a part")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {options.seconds:.0f} s each, load {os.getloadavg()}\n")
    wire()
    starter = Starter(find_binaries(*PROGRAMS))
    try:
        with tempfile.TemporaryDirectory() as folder:
            for part in [options.only] if options.only else PARTS:
                PARTS[part](starter, Path(folder) / part, options.seconds)
    finally:
        starter.end()
    print(f"\nload {os.getloadavg()}")


def wire() -> None:
    """Bytes of a span on the wire: a worker by itself, and a batch of many."""
    single = Copies(shapes()[0])
    single.deployment(time.time_ns())
    worker, spans = single.worker(), shapes()[0].worker.spans
    (batch, *_) = batches(Load(deployments=100, workers=10, batch=512))
    for what, body, count in (("one worker", worker, spans), ("batch", batch.body, batch.spans)):
        packed = len(gzip.compress(body)) / count
        print(f"wire, {what} of {count} spans: {len(body) / count:.0f} B/span, gzip {packed:.0f}")


def measure(starter: Starter, folder: Path, seconds: float) -> None:
    """Measure each role of the Collector by itself, and Jaeger with Badger."""
    folder.mkdir()
    (folder / "sink.yaml").write_text(SINK)
    backend = starter.collector(folder / "backend", NOWHERE, [folder / "sink.yaml"], **ROOMY).grpc
    plain = starter.collector(folder / "plain", backend, **ROOMY)
    report("bundled Collector, batches of 512", plain, sent(plain, seconds))
    report("bundled Collector, each process by itself", plain, sent(plain, seconds, batch=1))
    plain.stop()
    gateway = starter.collector(folder / "behind", backend, GATEWAY, **ROOMY)
    agent = starter.agent(folder / "agent", [gateway], **ROOMY)
    report("agent, batches of 512", agent, sent(agent, seconds))
    report("agent, each process by itself", agent, sent(agent, seconds, batch=1))
    agent.kill()
    gateway.kill()
    window(starter, folder, seconds)
    for share in ("0", "5", "100"):
        deciding(starter, folder / share, backend, seconds, share)
    badger(starter, folder, seconds)


def window(starter: Starter, folder: Path, seconds: float) -> None:
    """A gateway that decides nothing while it is measured: what a waiting trace takes in memory."""
    variables = {"TAIL_WAIT": "10m", "TAIL_TRACES": "10000000", "OTELCOL_MEMORY_MIB": "8000"}
    gateway = starter.collector(folder / "window", NOWHERE, GATEWAY, **variables)
    sent(gateway, 2)
    before, spans_before, traces_before = heap(gateway), accepted(gateway), waiting(gateway)
    done = sent(gateway, seconds)
    spans, held = accepted(gateway) - spans_before, waiting(gateway) - traces_before
    grown = heap(gateway) - before
    print(
        f"tail window: {held:.0f} traces of {spans / held:.1f} spans, "
        f"{grown / held / 1024:.1f} KiB a trace, {grown / spans / 1024:.2f} KiB a span"
    )
    report("gateway, nothing decided yet", gateway, done)
    gateway.kill()


def deciding(starter: Starter, folder: Path, backend: str, seconds: float, share: str) -> None:
    """A gateway that decides: its CPU time is taken when no trace waits any more."""
    variables = {"TAIL_WAIT": "1s", "HEALTHY_PERCENT": share, **ROOMY}
    gateway = starter.collector(folder, backend, GATEWAY, **variables)
    before = cpu(gateway.pid)
    done, _ = sent(gateway, seconds)
    deadline = time.monotonic() + 60
    while waiting(gateway) and time.monotonic() < deadline:
        time.sleep(0.5)
    kept = metric(gateway, "otelcol_processor_tail_sampling_global_count_traces_sampled", "true")
    all_traces = metric(gateway, "otelcol_processor_tail_sampling_global_count_traces_sampled")
    what = f"gateway, {share}% of the healthy, {100 * kept / all_traces:.0f}% of the traces kept"
    report(what, gateway, (done, cpu(gateway.pid) - before))
    gateway.kill()


def badger(starter: Starter, folder: Path, seconds: float) -> None:
    """Jaeger with Badger: spans it stores, and what they take on disk."""
    jaeger = starter.jaeger(folder / "jaeger")
    spent = cpu(jaeger.pid)
    destination = Destination("grpc", f"http://{jaeger.otlp}", timeout_s=60)
    done = run(Load(deployments=FOREVER, seconds=seconds), destination)
    report("Jaeger with Badger, synchronous writes", jaeger, (done, cpu(jaeger.pid) - spent))
    jaeger.stop()
    size = allocated(folder / "jaeger/data", "**/*")
    print(f"Badger on disk: {size / done.acknowledged:.0f} B/span ({size / MIB:.0f} MiB)")


def tier(starter: Starter, folder: Path, seconds: float) -> None:
    """Jaeger, Kafka and OpenSearch: first into the topic, then out of it into the index."""
    folder.mkdir()
    kafka = engines.start_kafka(starter, folder / "kafka", make_access(folder), SERVER)
    opensearch = engines.start_opensearch(starter, folder / "opensearch", SERVER)
    producer = start_producer(starter, folder / "producer", kafka)
    before = [cpu(program.pid) for program in (producer, kafka)]
    destination = Destination("grpc", f"http://{producer.otlp}", timeout_s=60)
    done = run(Load(deployments=FOREVER, seconds=seconds), destination)
    report("Jaeger before Kafka", producer, (done, cpu(producer.pid) - before[0]))
    report("Kafka, written to", kafka, (done, cpu(kafka.pid) - before[1]))
    before = [cpu(program.pid) for program in (kafka, opensearch)]
    began = time.monotonic()
    ingester = start_ingester(starter, folder / "ingester", kafka, opensearch)
    while opensearch.count(SPANS) < done.acknowledged and time.monotonic() < began + 600:
        time.sleep(0.5)
    read = replace(done, seconds=time.monotonic() - began)
    report("Jaeger behind Kafka", ingester, (read, cpu(ingester.pid)))
    report("Kafka, read from", kafka, (read, cpu(kafka.pid) - before[0]))
    report("OpenSearch", opensearch, (read, cpu(opensearch.pid) - before[1]))
    index = opensearch.merged_bytes(SPANS) / done.acknowledged
    topic = allocated(kafka.folder / "data", "flash-spans-*/*.log") / done.acknowledged
    print(f"OpenSearch on disk, a copy: {index:.0f} B/span; Kafka's topic: {topic:.0f} B/span")


def sent(program: Program, seconds: float, batch: int = 512) -> tuple[LoadReport, float]:
    """Load a Collector; return the report, and the CPU seconds that it took."""
    url = program.url("OTELCOL_HTTP_PORT", "/v1/traces")
    destination = Destination("http/protobuf", url, compression="gzip", timeout_s=60)
    before = cpu(program.pid)
    done = run(Load(deployments=FOREVER, seconds=seconds, batch=batch), destination)
    return done, cpu(program.pid) - before


def report(what: str, program: Program, measured: tuple[LoadReport, float]) -> None:
    """Print a row."""
    done, spent = measured
    refused = done.refused + done.unanswered
    print(
        f"{what}: {done.rate:.0f} spans/s acknowledged, {done.acknowledged / spent:.0f} per CPU "
        f"second, {refused} not, {resident(program.pid):.0f} MiB resident"
    )


def cpu(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def allocated(folder: Path, pattern: str) -> int:
    """Bytes on disk: Badger and Kafka make files larger beforehand than what is in them."""
    return sum(file.stat().st_blocks * 512 for file in folder.glob(pattern) if file.is_file())


def resident(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def metric(program: Program, name: str, label: str = "") -> float:
    """Sum of a metric of the Collector's own, or of its series with this label's value."""
    text = httpx.get(program.url("OTELCOL_TELEMETRY_PORT", "/metrics"), timeout=60).text
    rows = re.findall(rf"^{name}\w*(\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
    return sum(float(value) for labels, value in rows if f'"{label}' in labels or not label)


def heap(program: Program) -> float:
    """Bytes of the heap in use; the garbage of now included, so take differences of many."""
    return metric(program, "otelcol_process_runtime_heap_alloc_bytes")


def accepted(program: Program) -> float:
    """Spans that were taken."""
    return metric(program, "otelcol_receiver_accepted_spans")


def waiting(program: Program) -> float:
    """Traces that wait for a decision."""
    return metric(program, "otelcol_processor_tail_sampling_sampling_traces_on_memory")


PARTS = {"collector": measure, "tier": tier}

if __name__ == "__main__":
    main()
