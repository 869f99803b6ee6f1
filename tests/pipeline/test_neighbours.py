"""Beside logfire, ddtrace and Sentry in one process: each span once, under its parent."""

from __future__ import annotations

import json
import os
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.interpreter import run_python
from support.neighbours import find_neighbours

if TYPE_CHECKING:
    from pathlib import Path

# `seen` holds what the neighbour got: name, span id, parent's id, and whether the span failed.
BEFORE: Final = """
    import asyncio, json, os
    seen = []
"""
LOGFIRE: Final = """
    import logfire
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.trace import StatusCode

    exporter = InMemorySpanExporter()
    logfire.configure(
        send_to_logfire=False,
        console=False,
        inspect_arguments=False,
        additional_span_processors=[SimpleSpanProcessor(exporter)],
    )
    pipeline = lambda: logfire.span("pipeline")

    def collect():
        for span in exporter.get_finished_spans():
            parent = span.parent and span.parent.span_id
            failed = span.status.status_code is StatusCode.ERROR
            seen.append((span.name, span.context.span_id, parent, failed))
"""
DDTRACE: Final = """
    os.environ["DD_TRACE_OTEL_ENABLED"] = "true"
    os.environ["DD_INSTRUMENTATION_TELEMETRY_ENABLED"] = "false"
    os.environ["DD_REMOTE_CONFIGURATION_ENABLED"] = "false"
    from ddtrace.trace import TraceFilter, tracer

    class Keep(TraceFilter):
        def process_trace(self, trace):
            for span in trace:
                seen.append((span.resource, span.span_id, span.parent_id, bool(span.error)))

    tracer.configure(trace_processors=[Keep()])
    from ddtrace.opentelemetry import TracerProvider
    from opentelemetry import trace

    trace.set_tracer_provider(TracerProvider())
    pipeline = lambda: tracer.trace("pipeline")
    collect = tracer.flush
"""
SENTRY: Final = """
    import sentry_sdk
    from sentry_sdk.transport import Transport

    class Keep(Transport):
        def capture_envelope(self, envelope):
            for item in envelope.items:
                if item.type == "transaction":
                    whole = item.payload.json
                    root = {**whole["contexts"]["trace"], "op": whole["transaction"]}
                    for span in (root, *whole["spans"]):
                        ids = (int(span["span_id"], 16), int(span["parent_span_id"] or "0", 16))
                        seen.append((span["op"], *ids, span.get("status") == "internal_error"))

    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, instrumenter="otel", transport=Keep
    )
    from opentelemetry import trace
    from opentelemetry.propagate import set_global_textmap
    from opentelemetry.sdk.trace import TracerProvider
    from sentry_sdk.integrations.opentelemetry import SentryPropagator, SentrySpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(SentrySpanProcessor())
    trace.set_tracer_provider(provider)
    set_global_textmap(SentryPropagator())
    pipeline = lambda: trace.get_tracer("app").start_as_current_span("pipeline")
    collect = sentry_sdk.flush
"""
NEIGHBOURS: Final = {"logfire": LOGFIRE, "ddtrace": DDTRACE, "Sentry": SENTRY}
INSTRUMENT: Final = """
    import flash_otel
    flash_otel.instrument(store="spans.db")
"""
DEPLOY: Final = """
    from contextlib import suppress

    @flash_otel.trace_deploy
    async def deploy(app_name, env_name):
        activate("b-1", "e-1")
        await provision("b-1", "e-1")

    @flash_otel.trace_activate
    def activate(build_id, environment_id):
        pass

    @flash_otel.trace_provision
    async def provision(build_id, environment_id):
        await asyncio.gather(endpoint("a"), endpoint("b"))

    @flash_otel.trace_provision_endpoint
    async def endpoint(resource_name):
        await asyncio.sleep(0)
        if resource_name == "b":
            raise ValueError("refused")

    with pipeline():
        with suppress(ValueError):
            asyncio.run(deploy("shop", "prod"))
    flash_otel.flush(30)
    collect()
    kept = []
    if os.path.exists("spans.db"):
        from flash_otel.store.store import SpanStore
        with SpanStore("spans.db") as store:
            kept = [(span.name, int(span.span_id, 16), int(span.parent_span_id or "0", 16),
                     span.status == "error") for span in store.spans()]
    print("FOUND", json.dumps([seen, kept]))
"""
TREE: Final = [
    ("flash.activate", "flash.deploy", False),
    ("flash.deploy", "pipeline", True),
    ("flash.provision", "flash.deploy", True),
    ("flash.provision.endpoint", "flash.provision", False),
    ("flash.provision.endpoint", "flash.provision", True),
]

Row = tuple[str, int, int | None, bool]


@pytest.fixture(scope="module")
def neighbours() -> Path:
    """Return the folder of the neighbours' packages."""
    return find_neighbours()


def run(folder: Path, packages: Path, *parts: str) -> list[list[Row]]:
    """Run the parts as one script; return the spans that the neighbour got, and the store's."""
    path = os.pathsep.join((str(packages), os.environ.get("PYTHONPATH", "")))
    script = "".join(dedent(part) for part in (BEFORE, *parts, DEPLOY))
    done = run_python(script, folder, {"PYTHONPATH": path})
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    found: list[list[Any]] = json.loads(line.removeprefix("FOUND "))
    return [[(row[0], row[1], row[2], row[3]) for row in rows] for rows in found]


def tree(rows: list[Row], names: dict[int, str]) -> list[tuple[str, str | None, bool]]:
    """Return name, parent's name and failure of our spans, sorted."""
    ours = [row for row in rows if row[0].startswith("flash.")]
    return sorted((name, names.get(parent or 0), failed) for name, _, parent, failed in ours)


@pytest.mark.parametrize("is_first", [True, False], ids=["ours first", "theirs first"])
@pytest.mark.parametrize("name", NEIGHBOURS)
def test_each_span_once(name: str, is_first: bool, neighbours: Path, tmp_path: Path) -> None:
    """The neighbour gets each span once, below its own, in either order of the set-up."""
    parts = [INSTRUMENT, NEIGHBOURS[name]] if is_first else [NEIGHBOURS[name], INSTRUMENT]
    seen, kept = run(tmp_path, neighbours, *parts)
    names = {span_id: name for name, span_id, _, _ in seen}
    assert len(names) == len(seen) == len(TREE) + 1
    assert tree(seen, names) == TREE
    assert tree(kept, names) == TREE
    assert {row[1] for row in kept} < names.keys()
