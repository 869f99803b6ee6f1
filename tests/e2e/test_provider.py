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
    from child import flash, report

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
    report(
        status=status,
        names=[span.name for span in sorted(spans, key=lambda span: span.start_time)],
        traces=sorted({f"{span.context.trace_id:032x}" for span in spans}),
        services=sorted({span.resource.attributes["service.name"] for span in spans}),
        same=trace.get_tracer_provider() is provider,
    )
"""
NEVER_SET = """
    import flash_otel
    from child import flash, report

    flash_otel.instrument()
    status = flash("deploy", "--no-deps")
    from opentelemetry import trace

    provider = trace.get_tracer_provider()
    span = trace.get_tracer("the user's").start_span("theirs")
    report(status=status, provider=type(provider).__name__, recording=span.is_recording())
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
        assert [record.name for record in store.trace(trace)] == STEPS
        assert len(list(store.spans())) == len(STEPS)


@pytest.mark.parametrize("version", ["1.14.0", "1.21.0"])
def test_no_provider_stays_no_provider(site: Site) -> None:
    """Without a provider of the user's, the global one still records nothing after a deployment."""
    run = site.python(NEVER_SET)
    assert run.seen == {"status": 0, "provider": "ProxyTracerProvider", "recording": False}
    with SpanStore(site.store) as store:
        stored = list(store.spans())
    assert [span.name for span in stored] == STEPS
    (resource,) = {tuple(sorted(span.resource.items())) for span in stored}
    attributes = dict(resource)
    assert attributes["service.name"] == "flash-cli"
    assert attributes["service.version"] == site.environment.version
    assert attributes["service.instance.id"]


# One value of each kind that OpenTelemetry cannot use.
BROKEN_VARIABLES = {
    "OTEL_PROPAGATORS": "tracecontext,baggage,b3",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "abc",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "-1",
    "OTEL_TRACES_SAMPLER": "traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "10",
    "OTEL_BSP_MAX_QUEUE_SIZE": "-1",
    "OTEL_PYTHON_ID_GENERATOR": "missing",
    "OTEL_PYTHON_TRACER_PROVIDER": "missing",
    "OTEL_PYTHON_METER_PROVIDER": "missing",
    "OTEL_PYTHON_CONTEXT": "missing",
    "OTEL_RESOURCE_ATTRIBUTES": "garbage",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "missing",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "brotli",
    "OTEL_SDK_DISABLED": "yes",
    "OTEL_SERVICE_NAME": "\x1b[31mshop\x07",
}


@pytest.mark.parametrize("version", ["1.14.0", "1.21.0"])
def test_variables_that_opentelemetry_cannot_use(site: Site) -> None:
    """A deployment under all of them at once succeeds, and is in the store as any other."""
    code = """
        import flash_otel
        from child import flash, report

        flash_otel.instrument()
        report(status=flash("deploy", "--no-deps"))
    """
    run = site.python(code, **BROKEN_VARIABLES)
    assert run.exit_code == 0, run.output
    assert run.seen["status"] == 0
    assert "Traceback" not in run.output
    with SpanStore(site.store) as store:
        assert [span.name for span in store.spans()] == STEPS
