"""Where the spans go: the application's provider, whenever it was set, or a private one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flash_otel import semconv
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from support.site import Site

pytestmark = pytest.mark.flash

STEPS = [
    semconv.DEPLOY,
    semconv.BUILD,
    semconv.ARTIFACT_UPLOAD,
    semconv.ACTIVATE,
    semconv.PROVISION,
    semconv.PROVISION_ENDPOINT,
    semconv.PROVISION_ENDPOINT,
    semconv.MANIFEST_UPLOAD,
]

SET_LATE = """
    import flash_otel
    from child import flash, tell

    flash_otel.instrument(legacy_logs=False)
    import runpod_flash.cli.main
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "the user's"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    status = flash("deploy", "--no-deps")
    spans = exporter.get_finished_spans()
    tell(
        status=status,
        names=[one.name for one in sorted(spans, key=lambda one: one.start_time)],
        traces=sorted({f"{one.context.trace_id:032x}" for one in spans}),
        services=sorted({one.resource.attributes["service.name"] for one in spans}),
        same=trace.get_tracer_provider() is provider,
    )
"""
NEVER_SET = """
    import flash_otel
    from child import flash, tell

    flash_otel.instrument()
    status = flash("deploy", "--no-deps")
    from opentelemetry import trace

    provider = trace.get_tracer_provider()
    span = trace.get_tracer("the user's").start_span("theirs")
    tell(status=status, provider=type(provider).__name__, recording=span.is_recording())
"""


def test_provider_that_is_set_after_flash_is_imported(site: Site) -> None:
    """The user's provider gets each span once, and so does the store; it stays the user's."""
    run = site.python(SET_LATE)
    assert run.exit_code == 0, run.output
    assert run.seen["status"] == 0
    assert run.seen["names"] == STEPS
    assert run.seen["services"] == ["the user's"]
    assert run.seen["same"]
    (trace,) = run.seen["traces"]
    with SpanStore(site.store) as store:
        assert [one.name for one in store.trace(trace)] == STEPS
        assert len(list(store.spans())) == len(STEPS)


@pytest.mark.parametrize("version", ["1.14.0", "1.21.0"])
def test_no_provider_stays_no_provider(site: Site) -> None:
    """Without a provider of the user's, the global one still records nothing after a deployment."""
    run = site.python(NEVER_SET)
    assert run.seen == {"status": 0, "provider": "ProxyTracerProvider", "recording": False}
    with SpanStore(site.store) as store:
        stored = list(store.spans())
    assert [one.name for one in stored] == STEPS
    (resource,) = {tuple(sorted(one.resource.items())) for one in stored}
    told = dict(resource)
    assert told["service.name"] == "flash-cli"
    assert told["service.version"] == told["flash.version"] == site.environment.version
    assert told["service.instance.id"]
