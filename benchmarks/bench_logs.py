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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import TracerProvider

from flash_otel import semconv as sc
from flash_otel.diagnosis.sources import open_source
from flash_otel.pipeline.legacy import LegacyLogSpanProcessor
from flash_otel.pipeline.legacy_lines import format_lines
from flash_otel.pipeline.legacy_table import END, START

if TYPE_CHECKING:
    from collections.abc import Callable

PAIRS = 15
READ: dict[str, Any] = {
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
KEYS, NAMES = list(READ[sc.MANIFEST_KEYS]), list(READ[sc.ENDPOINT_NAMES])
# The same seven lines as a program without tracing logs them.
TEMPLATES: list[tuple[str, tuple[object, ...]]] = [
    (
        "[RUNTIME SYNC] Querying State Manager with environment_id=%s",
        (READ[sc.ENVIRONMENT_ID],),
    ),
    (
        "[RUNTIME SYNC] FLASH_ENVIRONMENT_ID=%s, RUNPOD_ENDPOINT_ID=%s",
        (READ[sc.WORKER_ENVIRONMENT_ID], READ[sc.WORKER_ENDPOINT_ID]),
    ),
    (
        "[STATE MANAGER] environment_id=%s → activeBuildId=%s",
        (READ[sc.ENVIRONMENT_ID], READ[sc.BUILD_ID]),
    ),
    ("[STATE MANAGER] Retrieved build %s, manifest keys: %s", (READ[sc.BUILD_ID], KEYS)),
    ("[STATE MANAGER] Manifest has %s endpoints: %s", (2, NAMES)),
    ("[RUNTIME SYNC] Received manifest with keys: %s", (KEYS,)),
    ("[RUNTIME SYNC] resources_endpoints contains %s entries: %s", (2, NAMES)),
]
assert [template % values for template, values in TEMPLATES] == LINES


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
                for template, values in TEMPLATES:
                    logger.info(template, *values)

        compare("one bracketed line / logging.info to a FileHandler", ours, peer, "<= 0.35")
    handler.close()


NOISE = {
    "plain": "2026-01-01 10:00:00,123 | INFO  | 200 GET /ping from 10.0.0.1:1234 in 0.4 ms\n",
    "json": '{"time":"2026-01-01T10:00:00Z","level":"INFO","KEY":"n","message":"GET /ping 200"}\n',
}


def searching(folder: Path, kind: str, megabytes: int = 128) -> None:
    """Search a log with few bracketed lines, against `re.match` on each line."""
    path = folder / "worker.log"
    with path.open("w", encoding="utf-8") as stream:
        while stream.tell() < megabytes << 20:
            stream.write(NOISE[kind] * 5000)
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
    compare(
        f"searching a log ({kind} lines) / re.match per line",
        ours,
        peer,
        "<= 0.25 (4 times as fast)",
    )
    tracemalloc.start()
    ours()
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    print(f"  {rate:.0f} MB/s; {peak:.1f} MB of memory at most for {size:.0f} MB of log")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        writing(Path(made))
        for noise in NOISE:
            searching(Path(made), noise)
