"""Real uses of the public face: a type checker must accept every one, and infer what it should."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import TracerProvider
from typing_extensions import assert_type

import flash_otel
from flash_otel import (
    Call,
    FlashInstrumentor,
    trace_activate,
    trace_artifact_upload,
    trace_build,
    trace_call,
    trace_deploy,
    trace_manifest_fetch,
    trace_provision,
    trace_provision_endpoint,
    trace_runtime_fetch,
    trace_upload,
)
from flash_otel.records import SpanRecord
from flash_otel.testing import Recorded, fixed, recording

if TYPE_CHECKING:
    from collections.abc import Coroutine


@dataclass
class Artifact:
    """What a build gives."""

    id: str
    path: Path


def environment_of(call: Call) -> str | None:
    """Find the environment where only this application knows it to be."""
    found: str | None = call.instance.environment
    return found if call.returned or call.args else None


class Deployment:
    """A deployment tool of one's own."""

    environment = "e-1"

    @trace_deploy
    async def run(self, app_name: str, env_name: str = "production") -> dict[str, str]:
        artifact = self.build(Path())
        await self.upload(artifact)
        await self.activate(artifact.id)
        endpoints = await self.provision(build_id=artifact.id)
        await self.write({"resources_endpoints": endpoints}, artifact)
        return {app_name: env_name}

    @trace_build(artifact_size=lambda call: call.result.path.stat().st_size)
    def build(self, folder: Path) -> Artifact:
        return Artifact("b-1", folder)

    @trace_artifact_upload(build_id="artifact.id", object_key=["return", "artifact.path.name"])
    async def upload(self, artifact: Artifact) -> str:
        return artifact.path.name

    @trace_activate(environment_id=environment_of)
    async def activate(self, build_id: str) -> None:
        await asyncio.sleep(0 * len(build_id))

    @trace_provision()
    async def provision(self, *, build_id: str) -> dict[str, str]:
        return {"gpu": await self.provision_one("gpu") + build_id[:0]}

    @trace_provision_endpoint
    async def provision_one(self, resource_name: str) -> str:
        return f"https://api.runpod.ai/v2/{resource_name}"

    @trace_upload(manifest="payload", build_id="artifact.id", carrier="payload")
    async def write(self, payload: dict[str, Any], artifact: Artifact) -> None:
        await asyncio.sleep(0 * len(payload) * len(artifact.id))

    @trace_runtime_fetch(endpoints="return")
    @classmethod
    def refresh(cls) -> dict[str, str]:
        return {cls.environment: cls.read("e-1")[0]}

    @staticmethod
    @trace_manifest_fetch(build_id="return.0", manifest="return.1")
    def read(environment_id: str) -> tuple[str, dict[str, Any]]:
        return environment_id, {}


@trace_call(function_name=lambda _call: "add")
def add(first: int, other: int) -> int:
    """Call a function of another endpoint."""
    return first + other


def types_stay() -> None:
    """A decorated function has the type that it had."""
    assert_type(add(1, 2), int)
    assert_type(trace_deploy(add)(1, 2), int)
    deployment = Deployment()
    assert_type(deployment.build(Path()), Artifact)
    coroutine: Coroutine[Any, Any, dict[str, str]] = deployment.run("shop")
    assert_type(asyncio.run(coroutine), dict[str, str])
    assert_type(Deployment.refresh(), dict[str, str])
    assert_type(Deployment.read("e-1"), tuple[str, dict[str, Any]])


def switch_on_and_off() -> None:
    """Every argument of `instrument()`, in each of its kinds."""
    flash_otel.instrument()
    flash_otel.instrument(tracer_provider=TracerProvider())
    flash_otel.instrument(legacy_logs=True, propagation="link", store=False)
    flash_otel.instrument(legacy_logs="my.logger", propagation="auto", store="spans.db")
    flash_otel.instrument(legacy_logs=io.StringIO(), propagation="parent", store=Path("spans.db"))
    flash_otel.instrument(store=True, capture_graphql=True)
    assert_type(flash_otel.flush(), bool)
    assert_type(flash_otel.flush(seconds=0.5), bool)
    flash_otel.uninstrument()
    FlashInstrumentor().instrument(tracer_provider=TracerProvider())
    assert_type(flash_otel.__version__, str)


def tests_of_traced_code() -> None:
    """What a test of an application writes."""
    with recording(legacy_logs=io.StringIO()) as spans:
        add(1, 2)
    assert_type(spans, Recorded)
    assert_type(spans.records, list[SpanRecord])
    assert_type(spans.tree(), list[str])
    assert_type(spans.named("flash.call")[0].duration_ns, int | None)
    with fixed():
        add(1, 2)
