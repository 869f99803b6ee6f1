"""Logs: what writing a bracketed line costs, and how fast a log is searched.

Run as `python benchmarks/bench_logs.py`. Paired runs (A B A B ...); only ratios hold.
"""

from __future__ import annotations

import logging
import re
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider

from flash_otel import semconv as sc
from flash_otel.diagnosis.sources import open_source
from flash_otel.pipeline.legacy import LegacyLogSpanProcessor
from flash_otel.pipeline.legacy_lines import format_lines
from flash_otel.pipeline.legacy_table import END, START

PAIRS = 15
READ = {
    sc.ENVIRONMENT_ID: "env-456",
    sc.BUILD_ID: "0f9e8d7c-6b5a-4321-8765-0123456789ab",
    sc.WORKER_ENVIRONMENT_ID: "env-456",
    sc.WORKER_ENDPOINT_ID: "abc123def456",
    sc.MANIFEST_STATE: sc.MANIFEST_COMPLETE,
    sc.MANIFEST_KEYS: ("version", "functions", "resources", "resources_endpoints"),
    sc.ENDPOINT_COUNT: 2,
    sc.ENDPOINT_NAMES: ("gpu", "cpu"),
}
LINES = [
    *format_lines(sc.RUNTIME_FETCH, START, READ),
    *format_lines(sc.MANIFEST_FETCH, END, READ),
    *format_lines(sc.RUNTIME_FETCH, END, READ),
]


def seconds(run: Callable[[], object]) -> float:
    """Time one run."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def compare(what: str, ours: Callable[[], object], peer: Callable[[], object], goal: str) -> None:
    """Print the median ratio of paired runs."""
    ours(), peer()
    pairs = [(seconds(ours), seconds(peer)) for _ in range(PAIRS)]
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    print(f"{what}: {ratio:.3f} of the peer (x{1 / ratio:.1f} as fast); goal {goal}")


def writing(folder: Path) -> None:
    """One read's seven lines to a stream, against the same by logging to a file."""
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = provider.get_tracer(sc.SCOPE_NAME)
    fetch = tracer.start_span(sc.RUNTIME_FETCH, attributes=READ)
    attempt = tracer.start_span(sc.MANIFEST_FETCH, attributes=READ)
    handler = logging.FileHandler(folder / "peer.log")
    handler.setFormatter(logging.Formatter("%(asctime)s | %(levelname)-5s | %(message)s"))
    logger = logging.getLogger("bench")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    with (folder / "ours.log").open("w", encoding="utf-8") as stream:
        processor = LegacyLogSpanProcessor(stream)

        def ours() -> None:
            for _ in range(1000):
                processor.on_start(fetch)
                processor.on_end(attempt)
                processor.on_end(fetch)

        def peer() -> None:
            for _ in range(1000):
                for line in LINES:
                    logger.info("%s", line)

        compare("one bracketed line / logging.info to a FileHandler", ours, peer, "<= 0.35")
    handler.close()


def searching(folder: Path, megabytes: int = 128) -> None:
    """Search a log with few bracketed lines, against `re.match` on each line."""
    path = folder / "worker.log"
    noise = "2026-01-01 10:00:00,123 | INFO  | 200 GET /ping from 10.0.0.1:1234 in 0.4 ms\n" * 5000
    with path.open("w", encoding="utf-8") as stream:
        while stream.tell() < megabytes << 20:
            stream.write(noise)
            stream.writelines(f"2026-01-01 10:00:00,123 | INFO  | {line}\n" for line in LINES)
    pattern = re.compile(rb".*?\[(DEPLOY SYNC|DEPLOY|STATE MANAGER|RUNTIME SYNC)\]:? (.*)")

    def ours() -> None:
        for _ in open_source(path).records():
            pass

    def peer() -> None:
        with path.open("rb") as stream:
            for line in stream:
                pattern.match(line)

    size = path.stat().st_size / 1e6
    rate = size / min(seconds(ours) for _ in range(5))
    compare("searching a log / re.match per line", ours, peer, "<= 0.25 (4 times as fast)")
    tracemalloc.start()
    ours()
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    print(f"  {rate:.0f} MB/s; {peak:.1f} MB of memory at most for {size:.0f} MB of log")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        writing(Path(made))
        searching(Path(made))
