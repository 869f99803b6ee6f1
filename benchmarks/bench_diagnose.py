"""Diagnosis of up to a million spans: its time against one plain read, and its memory.

Run as `python benchmarks/bench_diagnose.py [DEPLOYMENTS ...]`; by default 1,000, 10,000 and 100,000
deployments of ten spans each, over a tenth as many environments (at most 1,000), read from a store,
an OTLP file and a log. Of the store, the diagnosis of a single environment is measured as well: it
looks spans up by indices, so that its time must not grow with the store. Each figure is that of a
process of its own; read and diagnosis take turns. Only ratios hold. The largest run needs about
4 GB in TMPDIR.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flash_otel import semconv as sc
from flash_otel.diagnosis import Diagnosis, diagnose
from flash_otel.diagnosis.readers import StoreReader, open_reader
from flash_otel.lines.format import format_lines
from flash_otel.lines.table import END, START
from flash_otel.otlp.encode import encode_json
from flash_otel.records import SpanRecord
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator

PAIRS = 3
GOAL = 3.0
ENVIRONMENTS = 1_000
EPOCH_NS = 1_760_000_000 * 10**9
FIRST_ENVIRONMENT = "env-00000000"
HELD = {
    sc.ENDPOINT_COUNT: 2,
    sc.ENDPOINT_NAMES: ("gpu", "web"),
    sc.MANIFEST_KEYS: ("version", "functions", "resources", "resources_endpoints"),
}
CLI = {
    sc.SERVICE_NAME: "flash-cli",
    sc.FLASH_VERSION: "1.14.0",
    sc.HOST_NAME: "runner",
}


def spans(number: int, environments: int) -> Iterator[SpanRecord]:
    """Yield the ten spans of one deployment, its worker's read and its call."""
    environment = number % environments
    ids = {
        sc.APP_NAME: f"app-{environment // 10}",
        sc.ENVIRONMENT_ID: f"env-{environment:08}",
        sc.ENVIRONMENT_NAME: f"stage-{environment % 10}",
        sc.BUILD_ID: f"build-{number:012}",
    }
    own = {**ids, sc.DEPLOYMENT_ID: f"{number * 16 + 1:016x}", sc.OUTCOME: sc.RETURNED}
    urls = tuple(f"https://api.test/v2/{name}{environment:08}" for name in ("gpu", "web"))
    process = {**CLI, sc.SERVICE_INSTANCE_ID: f"cli-{number}"}
    begun = EPOCH_NS + number * 60 * 10**9
    trace = f"{number + 1:032x}"

    def span(at: int, name: str, ms: float, facts: dict[str, Any], **more: Any) -> SpanRecord:
        start = begun + int(ms * 1e6)
        made: dict[str, Any] = {"parent_span_id": f"{number * 16 + 1:016x}", "resource": process}
        return SpanRecord(
            trace_id=trace,
            span_id=f"{number * 16 + at:016x}",
            name=name,
            kind="client",
            start_ns=start,
            end_ns=start + 900_000_000,
            attributes=facts,
            scope_name=sc.SCOPE_NAME,
            **{**made, **more},
        )

    worker = {
        sc.SERVICE_NAME: "web",
        sc.FAAS_NAME: "web",
        sc.SERVICE_INSTANCE_ID: f"worker-{number}",
    }
    answer = {
        sc.ENVIRONMENT_ID: ids[sc.ENVIRONMENT_ID],
        sc.BUILD_ID: ids[sc.BUILD_ID],
        sc.OUTCOME: sc.RETURNED,
        sc.MANIFEST_STATE: sc.MANIFEST_COMPLETE,
        sc.CODE_DEPLOYMENT_ID: f"{number * 16 + 1:016x}",
        **HELD,
    }
    if number % 10 == 0:  # every tenth worker read in the open window
        answer |= {sc.MANIFEST_STATE: sc.MANIFEST_INCOMPLETE, sc.ENDPOINT_COUNT: 0}
        answer[sc.ENDPOINT_NAMES] = ()
    read_ms = 4_000 if number % 10 == 0 else 20_000
    attempt = f"{number * 16 + 9:016x}"
    yield span(1, sc.DEPLOY, 0, own, parent_span_id=None)
    yield span(2, sc.BUILD, 10, own)
    yield span(3, sc.ARTIFACT_UPLOAD, 1_000, own)
    yield span(4, sc.ACTIVATE, 2_000, own)
    yield span(5, sc.PROVISION, 3_000, {**own, **HELD})
    yield span(6, sc.PROVISION_ENDPOINT, 3_100, {**own, sc.ENDPOINT_ID: f"gpu{environment:08}"})
    yield span(7, sc.PROVISION_ENDPOINT, 3_200, {**own, sc.ENDPOINT_ID: f"web{environment:08}"})
    yield span(8, sc.MANIFEST_UPLOAD, 10_000, {**own, **HELD, sc.ENDPOINT_URLS: urls})
    yield span(9, sc.RUNTIME_FETCH, read_ms, answer, resource=worker)
    yield span(10, sc.MANIFEST_FETCH, read_ms + 1, answer, resource=worker, parent_span_id=attempt)


def recorded(deployments: int) -> Iterator[SpanRecord]:
    """Yield the spans of many deployments."""
    environments = max(1, min(ENVIRONMENTS, deployments // 10))
    for number in range(deployments):
        yield from spans(number, environments)


def write_store(path: Path, deployments: int) -> None:
    """Write them into a store."""
    with SpanStore(path) as store:
        store.write(recorded(deployments))


def write_otlp(path: Path, deployments: int) -> None:
    """Write them as the collector's file exporter does: one request to a line."""
    with path.open("w", encoding="utf-8") as stream:
        made = recorded(deployments)
        while batch := list(islice(made, 200)):
            stream.write(f"{json.dumps(encode_json(batch))}\n")


def write_log(path: Path, deployments: int) -> None:
    """Write the bracketed lines of them all, each with a time before it."""
    with path.open("w", encoding="utf-8") as stream:
        for record in recorded(deployments):
            for phase, at in ((START, record.start_ns), (END, record.end_ns or 0)):
                when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at // 10**9))
                lines = format_lines(record.name, phase, record.attributes)
                stream.writelines(f"{when} {line}\n" for line in lines)


WRITERS = {"store": write_store, "otlp": write_otlp, "log": write_log}


def records(kind: str, path: str) -> Iterator[SpanRecord]:
    """Read a source."""
    return (StoreReader(path) if kind == "store" else open_reader(path)).records()


def measure(kind: str, what: str, path: str) -> None:
    """Read or diagnose in this process; print seconds, CPU seconds, megabytes and the outcome."""
    begin = time.perf_counter()
    begin_cpu = time.process_time()
    if what == "read":
        out: object = sum(1 for _ in records(kind, path))
    else:
        found = diagnosed(kind, path, FIRST_ENVIRONMENT if what == "environment" else None)
        out = f"{found.verdict}, {len(found.judged) + sum(n for _, n in found.left_out)} judged"
    took, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([took, cpu, peak, out]))


def diagnosed(kind: str, path: str, environment: str | None) -> Diagnosis:
    """Diagnose a source as the command does."""
    if kind != "store":
        return diagnose(records(kind, path), environment=environment)
    with StoreReader(path).recorded() as spans:
        return diagnose(spans, environment=environment)


def measured(kind: str, what: str, path: Path) -> list[Any]:
    """Return what `measure` prints in a process of its own."""
    command = [sys.executable, __file__, "--measure", kind, what, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


def compare(kind: str, deployments: int, folder: Path) -> None:
    """Print the ratio of diagnosis and plain read, and the memory of both."""
    path = folder / f"{kind}-{deployments}"
    WRITERS[kind](path, deployments)
    best: dict[str, list[Any]] = {}
    asked = ("read", "diagnose", "environment") if kind == "store" else ("read", "diagnose")
    for _ in range(PAIRS if deployments <= 10_000 else 1):
        for what in asked:
            figures = measured(kind, what, path)
            best[what] = min(best.get(what, figures), figures)
    (read, read_cpu, read_mb, count), (took, cpu, mb, verdict) = best["read"], best["diagnose"]
    size = path.stat().st_size / 1e6
    print(
        f"{kind:5} {deployments:>7} deployments, {count:>9} records, {size:6.0f} MB: "
        f"diagnose {took:.1f} s = {took / read:.2f} reads ({cpu / read_cpu:.2f} by CPU; "
        f"goal <= {GOAL:g}); peak {mb:.0f} MB (read {read_mb:.0f} MB); {verdict}",
        flush=True,
    )
    if kind == "store":
        took, cpu, mb, verdict = best["environment"]
        print(
            f"      one environment of them: {took:.3f} s = 1/{read / took:.0f} of a read "
            f"(1/{read_cpu / cpu:.0f} by CPU); peak {mb:.0f} MB; {verdict}",
            flush=True,
        )
    path.unlink()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:])
    else:
        with tempfile.TemporaryDirectory() as made:
            for kind in WRITERS:
                for number in map(int, sys.argv[1:] or ("1000", "10000", "100000")):
                    compare(kind, number, Path(made))
