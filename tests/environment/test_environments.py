"""No variable breaks the host, loses spans in silence, or is ignored without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.environments import SPANS, ForkServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """A fork server for all tests of this module."""
    with ForkServer(tmp_path_factory.mktemp("environments")) as running:
        yield running


BROKEN = [
    "OTEL_PROPAGATORS=tracecontext,baggage,b3",
    "OTEL_PROPAGATORS=,",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=-1",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=abc",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=-1 OTEL_PROPAGATORS=jaeger",
    "OTEL_SPAN_EVENT_COUNT_LIMIT=abc",
    "OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=10",
    "OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=nan",
    "OTEL_TRACES_SAMPLER=sometimes",
    "OTEL_PYTHON_ID_GENERATOR=missing",
    "OTEL_PYTHON_TRACER_PROVIDER=missing",
    "OTEL_PYTHON_TRACER_PROVIDER=",
    "OTEL_PYTHON_TRACER_PROVIDER=sdk_tracer_provider OTEL_ATTRIBUTE_COUNT_LIMIT=-1",
    "OTEL_PYTHON_METER_PROVIDER=missing",
    "OTEL_PYTHON_CONTEXT=missing",
    "OTEL_RESOURCE_ATTRIBUTES=garbage",
    "OTEL_RESOURCE_ATTRIBUTES==,a=\udcff,b=%ff",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS=missing,process",
    "OTEL_SDK_DISABLED=yes",
    "OTEL_TRACES_EXPORTER=console OTEL_BSP_MAX_QUEUE_SIZE=256",
    "OTEL_TRACES_EXPORTER=console OTEL_BSP_MAX_QUEUE_SIZE=-1",
    "OTEL_TRACES_EXPORTER=console OTEL_BSP_SCHEDULE_DELAY=0",
    "OTEL_TRACES_EXPORTER=console OTEL_BSP_MAX_EXPORT_BATCH_SIZE=99999999999999999999",
    "OTEL_TRACES_EXPORTER=console OTEL_BSP_EXPORT_TIMEOUT=x",
    "OTEL_LOG_LEVEL=LOUD",
    "OTEL_SERVICE_NAME=\x1b[31m\x07\udcff",
    "OTEL_CONFIG_FILE=/nonexistent",
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED=maybe",
    "FLASH_OTEL_PROPAGATION=sideways",
    "FLASH_OTEL_EXIT_BUDGET=nan",
    "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 TRACESTATE=\udcff",
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_variable_costs_nothing(server: ForkServer, text: str) -> None:
    """The host's code runs, its spans are stored, and nothing is written to standard error."""
    observed = server.run(dict(pair.split("=", 1) for pair in text.split(" ")))
    assert observed.raised == ""
    assert observed.returned == "shop production"
    assert observed.spans == SPANS
    assert observed.errors == []


def test_megabytes(server: ForkServer) -> None:
    """A value of a megabyte is cut, and so is a list of many names."""
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_PROPAGATORS"):
        for value in ("x" * 1_000_000, ",".join(f"{number}=v" for number in range(100_000))):
            observed = server.run({name: value})
            assert (observed.raised, observed.spans, observed.errors) == ("", SPANS, [])


def test_an_exporter_that_is_missing(server: ForkServer) -> None:
    """What a missing exporter costs is one line at exit; the spans are in the store."""
    observed = server.run({"OTEL_TRACES_EXPORTER": "zipkin,otlp,missing"})
    assert (observed.raised, observed.spans) == ("", SPANS)
    (line,) = observed.errors
    assert "OTEL_TRACES_EXPORTER: nothing is installed for zipkin; zipkin gets no spans" in line
    assert line.endswith("(and 1 more): flash-otel doctor")
