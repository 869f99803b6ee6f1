"""Logs: what writing a bracketed line costs, and how fast a log is searched."""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import AT_LEAST, Row, paired, seconds
from opentelemetry.sdk.trace import TracerProvider

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers import open_reader
from flash_otel.lines.format import format_lines
from flash_otel.lines.processor import LegacyLogSpanProcessor
from flash_otel.lines.table import END, START

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def writing(folder: Path) -> Iterator[Row]:
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

        yield paired(
            "bracketed lines to a stream",
            "`logging.info` to a FileHandler",
            lambda: seconds(ours) / 7_000 * 1e6,
            lambda: seconds(peer) / 7_000 * 1e6,
            rounds=PAIRS,
            goal=0.35,
            note="{:.2f} against {:.2f} µs a line",
        )
    handler.close()


NOISE = {
    "plain": "2026-01-01 10:00:00,123 | INFO  | 200 GET /ping from 10.0.0.1:1234 in 0.4 ms\n",
    "json": '{"time":"2026-01-01T10:00:00Z","level":"INFO","KEY":"n","message":"GET /ping 200"}\n',
}


def searching(folder: Path, kind: str, megabytes: int = 64) -> Iterator[Row]:
    """Search a log with few bracketed lines, against `re.match` on each line."""
    path = folder / "worker.log"
    with path.open("w", encoding="utf-8") as stream:
        while stream.tell() < megabytes << 20:
            stream.write(NOISE[kind] * 5000)
            stream.writelines(f"2026-01-01 10:00:00,123 | INFO  | {line}\n" for line in LINES)
    pattern = re.compile(rb".*?\[(DEPLOY SYNC|DEPLOY|STATE MANAGER|RUNTIME SYNC)\]:? (.*)")

    def ours() -> None:
        for _ in open_reader(path).records():
            pass

    def peer() -> None:
        with path.open("rb") as stream:
            for line in stream:
                pattern.match(line)

    size = path.stat().st_size / 1e6
    yield paired(
        f"searching a log ({kind} lines), MB a second",
        "`re.match` per line",
        lambda: size / seconds(ours),
        lambda: size / seconds(peer),
        rounds=PAIRS,
        relation=AT_LEAST,
        goal=4,
        note="{:.0f} against {:.0f} MB/s",
    )


def rows() -> Iterator[Row]:
    """Write lines, then search logs."""
    with tempfile.TemporaryDirectory() as made:
        yield from writing(Path(made))
        for noise in NOISE:
            yield from searching(Path(made), noise)
