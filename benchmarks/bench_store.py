"""What the embedded store takes and gives, beside the SDK's own pipeline.

The SDK's peer is a batch processor with the OTLP/HTTP exporter and a sink on loopback in a process
of its own; its queue is made large enough to lose nothing. Both sides get the same finished spans.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import AT_LEAST, Row, paired, row, seconds
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flash_otel.otlp.from_sdk import to_record
from flash_otel.store.processor import StoreSpanProcessor
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.records import SpanRecord

ROUNDS = 9
SPANS = 7 * 2_857  # deployments of seven spans
MILLION = 1_000_000
ENVIRONMENTS = 50_000

# A process of its own: it must not share an interpreter with what is measured.
SINK = Path(__file__).parents[1] / "tests/support/scripted_collector.py"


@contextmanager
def sink() -> Iterator[str]:
    """Run a collector that keeps what it gets until it is asked how much; give its endpoint."""
    with subprocess.Popen([sys.executable, str(SINK)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1/traces"
        finally:
            process.kill()


def make(provider: TracerProvider) -> None:
    """Make deployments of seven spans, each with the attributes that ours have."""
    tracer = provider.get_tracer("flash_otel", "0.1")
    for number in range(SPANS // 7):
        attributes: dict[str, str | int] = {
            "flash.app_name": "demo",
            "flash.build_id": f"b-{number:08x}",
            "flash.environment_id": f"e-{number % 100:08x}",
            "deployment.environment.name": "production",
            "flash.endpoint_count": 2,
            "flash.outcome": "returned",
        }
        with tracer.start_as_current_span("flash.deploy", attributes=attributes):
            for _ in range(6):
                tracer.start_span("flash.activate", attributes=attributes).end()


def make_spans() -> list[ReadableSpan]:
    """Return finished spans of an SDK."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    make(provider)
    return list(exporter.get_finished_spans())


FINISHED = make_spans()
Feed = Callable[[SpanProcessor], None]


def delivered(endpoint: str) -> int:
    """Return how many spans the collector has got since the last question."""
    with urllib.request.urlopen(endpoint) as answer:  # noqa: S310 - our own sink on loopback
        return int(answer.read())


def replay(processor: SpanProcessor) -> None:
    """Hand over finished spans, as if they had ended now."""
    for span in FINISHED:
        processor.on_end(span)


def create(processor: SpanProcessor) -> None:
    """Make the spans, too: what a program that is traced really does."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    make(provider)


def through_sdk(feed: Feed, endpoint: str) -> float:
    """Return how many spans a second reach the collector, none of them lost."""
    processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint), max_queue_size=2 * SPANS)

    def run() -> None:
        feed(processor)
        processor.force_flush(60_000)

    took = seconds(run)
    processor.shutdown()
    # A peer that lost spans would be no peer.
    assert delivered(endpoint) == SPANS
    return SPANS / took


def through_store(feed: Feed, path: Path) -> float:
    """Return how many spans a second are committed, none of them lost."""
    processor = StoreSpanProcessor(path)

    def run() -> None:
        feed(processor)
        assert processor.force_flush(60_000)

    took = seconds(run)
    processor.shutdown()
    with SpanStore(path) as store:
        assert sum(1 for _ in store.spans()) == SPANS
    return SPANS / took


def throughput(folder: Path) -> Iterator[Row]:
    """Compare how many spans a second each side brings to its end, losing none."""
    feeds: dict[str, tuple[Feed, float | None]] = {
        "finished spans": (replay, 2.0),
        "created and finished spans": (create, None),
    }
    with sink() as endpoint:
        for name, (feed, goal) in feeds.items():
            files = (folder / f"{feed.__name__}{number}.db" for number in count())
            yield paired(
                f"store: {name} per second",
                "SDK, batch processor and OTLP/HTTP",
                partial(_into_next, feed, files),
                partial(through_sdk, feed, endpoint),
                rounds=ROUNDS,
                relation=AT_LEAST,
                goal=goal,
                note="{:,.0f} against {:,.0f} spans/s",
            )


def _into_next(feed: Feed, files: Iterator[Path]) -> float:
    return through_store(feed, next(files))


def burst(folder: Path) -> Iterator[Row]:
    """Count what a burst of 20,000 spans loses, each side at its defaults."""
    lost = []
    processor = StoreSpanProcessor(folder / "burst.db")
    replay(processor)
    assert processor.force_flush(60_000)
    processor.shutdown()
    with SpanStore(folder / "burst.db") as store:
        lost.append(SPANS - sum(1 for _ in store.spans()))
    with sink() as endpoint:
        batch = BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint))
        replay(batch)
        batch.force_flush(60_000)
        batch.shutdown()
        theirs = (SPANS - delivered(endpoint)) / SPANS
    yield row(
        f"spans lost in a burst of {SPANS:,}",
        "spans",
        lost,
        goal=0,
        note=f"SDK's defaults lose {theirs:.0%}",
    )


def fill(path: Path, sample: SpanRecord) -> None:
    """Write a million spans, twenty of each environment."""

    def records() -> Iterator[SpanRecord]:
        for number in range(MILLION):
            environment = f"e-{number % ENVIRONMENTS:08x}"
            yield replace(
                sample,
                trace_id=f"{number // 7 + 1:032x}",
                span_id=f"{number + 1:016x}",
                start_ns=sample.start_ns + number,
                end_ns=sample.start_ns + number + 1_000,
                attributes={**sample.attributes, "flash.environment_id": environment},
            )

    with SpanStore(path) as store:
        store.write(records())


def lookups(folder: Path) -> Iterator[Row]:
    """Time what a person asks of a store with a million spans."""
    path = folder / "million.db"
    fill(path, to_record(FINISHED[0]))
    with SpanStore(path) as store:
        questions: dict[str, Callable[[int], object]] = {
            "spans of one environment": lambda n: list(store.spans(environment=f"e-{n:08x}")),
            "one trace": lambda n: store.trace(f"{n + 1:032x}"),
            "traces of one environment": lambda n: store.traces(environment=f"e-{n:08x}"),
            "the newest 20 traces": lambda _: store.traces(),
        }
        for name, ask in questions.items():
            times = [seconds(partial(ask, number * 17)) * 1000 for number in range(200)]
            yield row(f"store: {name} among a million", "ms", times, goal=2)


def rows() -> Iterator[Row]:
    """Fill stores, then ask one."""
    os.environ.pop("OTEL_EXPORTER_OTLP_ENDPOINT", None)
    with tempfile.TemporaryDirectory() as folder:
        yield from throughput(Path(folder))
        yield from burst(Path(folder))
        yield from lookups(Path(folder))
