"""Whole traces as literals, with fixed ids and a fixed clock; what spans inherit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.instrumentation import utils as instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import flash_otel
from flash_otel import semconv
from flash_otel._version import __version__
from flash_otel.manifest import digest
from flash_otel.records import SpanRecord
from flash_otel.testing import EPOCH_NS, TICK_NS, FixedClock, FixedIds, Recorded, recording

ENDPOINTS = {"gpu": "https://api.runpod.ai/v2/gpu1", "cpu": "https://api.runpod.ai/v2/cpu1"}


class Deployment:
    """A custom deployment tool, decorated by hand as the targets decorate Flash."""

    build_id = "b-1"

    @flash_otel.trace_deploy
    async def deploy(self, app_name: str, env_name: str) -> dict[str, Any]:
        assert app_name
        archive = self.package()
        await self.upload_artifact(archive)
        await self.activate(self.build_id, "e-1", env_name)
        return {"resources_endpoints": await self.provision()}

    @flash_otel.trace_build(artifact_size=lambda call: len(call.result))
    def package(self) -> bytes:
        return b"x" * 64

    @flash_otel.trace_artifact_upload(
        artifact_size=lambda call: len(call.argument("archive")), object_key="return.key"
    )
    async def upload_artifact(self, archive: bytes) -> dict[str, str]:
        assert archive
        assert not instrumentation.is_http_instrumentation_enabled()
        return {"id": self.build_id, "key": "app/build.tar.gz"}

    @flash_otel.trace_activate
    async def activate(
        self, build_id: str, environment_id: str, environment_name: str
    ) -> dict[str, Any]:
        assert build_id
        assert environment_id
        assert environment_name
        assert instrumentation.is_http_instrumentation_enabled()
        return {"activeArtifact": {"objectKey": "app/build.tar.gz"}}

    @flash_otel.trace_provision
    async def provision(self) -> dict[str, str]:
        made = [self.provision_one(name) for name in ENDPOINTS]
        await asyncio.gather(*made)
        await self.write({"version": "1.0", "resources_endpoints": ENDPOINTS})
        return ENDPOINTS

    @flash_otel.trace_provision_endpoint(
        resource_name="name", action=lambda _: "create", endpoint_id="return"
    )
    async def provision_one(self, name: str) -> str:
        return f"{name}1"

    @flash_otel.trace_upload(manifest="payload", persisted="return", carrier="payload")
    async def write(self, payload: dict[str, Any]) -> dict[str, Any]:
        return payload


def span(number: int, parent: int | None, name: str, ticks: tuple[int, int], **more: Any) -> Any:
    """Write a span of the first trace as a literal."""
    return SpanRecord(
        trace_id=f"{1:032x}",
        span_id=f"{number:016x}",
        parent_span_id=None if parent is None else f"{parent:016x}",
        name=name,
        kind=more.pop("kind", "internal"),
        start_ns=EPOCH_NS + ticks[0] * TICK_NS,
        end_ns=EPOCH_NS + ticks[1] * TICK_NS,
        scope_name="flash_otel",
        scope_version=__version__,
        resource=RESOURCE,
        **more,
    )


RESOURCE: dict[str, Any] = {"service.name": "test"}

IDS = {
    "flash.deployment_id": f"{1:016x}",
    "deployment.environment.name": "production",
}
LATER = {**IDS, "flash.build_id": "b-1", "flash.environment_id": "e-1"}
WRITTEN = {
    "flash.endpoint_count": 2,
    "flash.endpoint_names": ("gpu", "cpu"),
    "flash.endpoint_urls": tuple(ENDPOINTS.values()),
}
RETURNED = {"flash.outcome": "returned"}

WHOLE = [
    span(
        1,
        None,
        "flash.deploy",
        (0, 16),
        attributes={
            **LATER,
            **RETURNED,
            "flash.app_name": "shop",
            "flash.endpoint_count": 2,
            "deployment.status": "succeeded",
        },
    ),
    span(
        2,
        1,
        "flash.build",
        (1, 2),
        attributes={"flash.deployment_id": f"{1:016x}", "flash.artifact.size": 64, **RETURNED},
    ),
    span(
        3,
        1,
        "flash.artifact.upload",
        (3, 4),
        kind="client",
        attributes={
            **IDS,
            **RETURNED,
            "flash.build_id": "b-1",
            "peer.service": "runpod-storage",
            "flash.artifact.size": 64,
            "flash.artifact.object_key": "app/build.tar.gz",
        },
    ),
    span(
        4,
        1,
        "flash.activate",
        (5, 6),
        kind="client",
        attributes={
            **LATER,
            **RETURNED,
            "peer.service": "runpod-api",
            "flash.artifact.object_key": "app/build.tar.gz",
            "flash.active.object_key": "app/build.tar.gz",
        },
    ),
    span(5, 1, "flash.provision", (7, 15), attributes={**LATER, **WRITTEN, **RETURNED}),
    *(
        span(
            number,
            5,
            "flash.provision.endpoint",
            ticks,
            kind="client",
            attributes={
                **LATER,
                **RETURNED,
                "flash.resource_name": name,
                "peer.service": name,
                "flash.endpoint_id": f"{name}1",
                "flash.provision.action": "create",
            },
        )
        for number, name, ticks in ((6, "gpu", (8, 9)), (7, "cpu", (10, 11)))
    ),
    span(
        8,
        5,
        "flash.manifest.upload",
        (12, 14),
        kind="client",
        attributes={
            **LATER,
            **WRITTEN,
            **RETURNED,
            "peer.service": "runpod-state-manager",
            "flash.endpoints_digest": digest(ENDPOINTS),
            "flash.manifest_keys": ("version", "resources_endpoints"),
            "flash.manifest.size": 117,
            "flash.persisted_endpoint_count": 2,
            "flash.persisted_digest": digest(ENDPOINTS),
        },
    ),
]


def test_a_whole_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, ids, times, kinds, parents and attributes of a whole deployment, span by span."""
    from opentelemetry.sdk.resources import Resource

    monkeypatch.setattr(Resource, "create", lambda *_: Resource(RESOURCE))
    with recording() as spans:
        answer = asyncio.run(Deployment().deploy("shop", "production"))
    assert answer == {"resources_endpoints": ENDPOINTS}
    assert spans.records == WHOLE


def test_twice_the_same() -> None:
    """Two recordings of the same calls are equal, span by span."""
    traces = []
    for _ in range(2):
        with recording() as spans:
            asyncio.run(Deployment().deploy("shop", "production"))
        traces.append(
            [(span.key, span.start_ns, span.end_ns, span.attributes) for span in spans.records]
        )
    assert traces[0] == traces[1]


def test_a_failed_deployment(spans: Recorded) -> None:
    """A failed deployment keeps its inherited attributes; parents fail with the child."""

    class Broken(Deployment):
        @flash_otel.trace_provision
        async def provision(self) -> dict[str, str]:
            await self.provision_one("gpu")
            raise OSError("quota exceeded")

    with pytest.raises(OSError, match="quota exceeded"):
        asyncio.run(Broken().deploy("shop", "production"))
    assert spans.tree() == [
        "flash.deploy",
        "  flash.build",
        "  flash.artifact.upload",
        "  flash.activate",
        "  flash.provision",
        "    flash.provision.endpoint",
    ]
    root = spans.records[0]
    assert root.attributes["flash.build_id"] == "b-1"
    assert root.attributes["flash.environment_id"] == "e-1"
    assert root.attributes["deployment.status"] == "failed"
    assert "flash.endpoint_count" not in root.attributes
    assert [span.status for span in spans.records] == [
        "error",
        "unset",
        "unset",
        "unset",
        "error",
        "unset",
    ]


def test_own_arguments_win(spans: Recorded) -> None:
    """A child's own arguments take precedence over inherited attributes."""

    @flash_otel.trace_activate
    def activate(build_id: str, environment_id: str) -> None:
        assert build_id
        assert environment_id

    @flash_otel.trace_provision
    def provision(build_id: str, environment_id: str) -> None:
        assert build_id
        assert environment_id
        activate("b-own", "e-own")

    provision("b-parent", "e-parent")
    child = spans.named("flash.activate")[0]
    assert child.attributes["flash.build_id"] == "b-own"
    assert child.attributes["flash.environment_id"] == "e-own"
    assert spans.records[0].attributes["flash.build_id"] == "b-parent"


def test_a_deployment_inside_a_deployment(spans: Recorded) -> None:
    """Flash's deploy functions call each other: they share one span with the fields of all."""

    @flash_otel.trace_deploy
    def inner(app_name: str, env_name: str) -> dict[str, str]:
        assert app_name
        assert env_name
        return {"build_id": "b-1", "environment_id": "e-1"}

    @flash_otel.trace_deploy
    def outer() -> None:
        inner("shop", "production")

    outer()
    (span_,) = spans.records
    expected = {
        "flash.app_name": "shop",
        "deployment.environment.name": "production",
        "flash.build_id": "b-1",
        "flash.environment_id": "e-1",
    }
    assert expected.items() <= dict(span_.attributes).items()


def test_children_of_the_applications_spans(spans: Recorded) -> None:
    """A span of the application is the parent of the spans inside it."""
    from flash_otel import pipeline

    tracer = pipeline.tracer()
    assert tracer is not None
    with tracer.start_as_current_span("application"):
        asyncio.run(Deployment().activate("b-1", "e-1", "production"))
    (application,), (activated,) = spans.named("application"), spans.named("flash.activate")
    assert activated.parent_span_id == application.span_id
    assert "flash.deployment_id" not in activated.attributes


def test_reads_teach_their_fetch(spans: Recorded) -> None:
    """A runtime fetch inherits the active build from its attempts, failed ones included."""

    @flash_otel.trace_manifest_fetch
    def attempt(flash_environment_id: str) -> tuple[str, dict[str, Any]]:
        assert flash_environment_id
        return "b-active", {"resources_endpoints": ENDPOINTS}

    @flash_otel.trace_runtime_fetch
    def refresh(flash_environment_id: str) -> dict[str, Any]:
        attempt(flash_environment_id)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        refresh("e-1")
    fetch, tried = spans.records
    assert tried.attributes == {
        "flash.environment_id": "e-1",
        "flash.build_id": "b-active",
        "flash.manifest.state": "complete",
        "peer.service": "runpod-state-manager",
        "flash.endpoint_count": 2,
        "flash.endpoint_names": ("gpu", "cpu"),
        "flash.endpoints_digest": digest(ENDPOINTS),
        "flash.outcome": "returned",
    }
    assert fetch.attributes["flash.build_id"] == "b-active"
    assert fetch.attributes["flash.manifest.state"] == "complete"
    assert fetch.attributes["error.type"]


def test_fixed_ids_and_clock() -> None:
    """The public helpers count from 1, and tick from the epoch."""
    ids, clock = FixedIds(), FixedClock()
    assert [ids.generate_trace_id(), ids.generate_trace_id()] == [1, 2]
    assert [ids.generate_span_id(), ids.generate_span_id()] == [1, 2]
    assert [clock(), clock()] == [EPOCH_NS, EPOCH_NS + TICK_NS]


def test_recording_inside_recording() -> None:
    """A second recording raises: its spans would go to the first."""
    with recording(), pytest.raises(RuntimeError, match="already active"), recording():
        pass


def test_the_scope_of_every_span() -> None:
    """Spans carry our scope, its version and the schema URL."""
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    flash_otel.instrument(tracer_provider=provider, legacy_logs=False, store=False)
    flash_otel.trace_deploy(lambda: None)()
    (ended,) = exporter.get_finished_spans()
    scope = ended.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.version, scope.schema_url) == (
        "flash_otel",
        __version__,
        semconv.SCHEMA_URL,
    )
