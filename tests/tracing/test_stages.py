"""One span over functions that are called one after another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import flash_otel
from flash_otel import semconv
from flash_otel.tracing.decorators import trace_artifact_upload
from flash_otel.tracing.stages import staged

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord
    from flash_otel.testing import Recorded


async def prepare(size: int) -> dict[str, str]:
    """Take the first step of an upload."""
    assert size
    await asyncio.sleep(0)
    return {"key": "k-1"}


def put(*, fails: bool) -> str:
    """Take the second step."""
    if fails:
        raise ConnectionResetError("reset")
    return "stored"


async def finalize(key: str) -> dict[str, str]:
    """Take the last step."""
    assert key
    await asyncio.sleep(0)
    return {"id": "b-1"}


PREPARE = staged(trace_artifact_upload, artifact_size="size", object_key="return.key")(prepare)
PUT = staged(trace_artifact_upload)(put)
FINALIZE = staged(trace_artifact_upload, is_last=True)(finalize)


@flash_otel.trace_deploy
async def deploy(*, fails: bool = False, ends_early: bool = False) -> str:
    """Upload in three steps."""
    upload = await PREPARE(5)
    assert PUT(fails=fails) == "stored"
    return "" if ends_early else str((await FINALIZE(upload["key"]))["id"])


def upload_of(spans: Recorded) -> SpanRecord:
    """Return the only span of an upload."""
    (found,) = (record for record in spans.records if record.name == semconv.ARTIFACT_UPLOAD)
    return found


def test_each_step_adds_its_fields(spans: Recorded) -> None:
    """The span lasts from the first call to the last, and has the fields of all of them."""
    assert asyncio.run(deploy()) == "b-1"
    assert sorted(spans.tree()) == ["  flash.artifact.upload", "flash.deploy"]
    known = {
        semconv.ARTIFACT_SIZE: 5,
        semconv.ARTIFACT_OBJECT_KEY: "k-1",
        semconv.BUILD_ID: "b-1",
        semconv.OUTCOME: semconv.RETURNED,
    }
    attributes = upload_of(spans).attributes
    assert {name: attributes.get(name) for name in known} == known


def test_step_that_raises_ends_the_span(spans: Recorded) -> None:
    """The exception leaves unchanged, the span has failed, and the next upload has another one."""
    with pytest.raises(ConnectionResetError):
        asyncio.run(deploy(fails=True))
    upload = upload_of(spans)
    assert upload.status == "error"
    assert upload.attributes[semconv.OUTCOME] == semconv.UNKNOWN
    assert asyncio.run(deploy()) == "b-1"
    statuses = [found.status for found in spans.records if found.name == semconv.ARTIFACT_UPLOAD]
    assert statuses == ["error", "unset"]


def test_steps_that_never_come(spans: Recorded) -> None:
    """If the span around it ends in between, the outcome is unknown."""
    asyncio.run(deploy(ends_early=True))
    assert upload_of(spans).attributes[semconv.OUTCOME] == semconv.UNKNOWN
    assert semconv.BUILD_ID not in upload_of(spans).attributes


def test_steps_outside_of_a_deployment(spans: Recorded) -> None:
    """Nothing tells when such an upload ends, so it is just called."""
    asyncio.run(PREPARE(5))
    assert asyncio.run(FINALIZE("k-1")) == {"id": "b-1"}
    assert spans.records == []


def test_steps_inside_a_span_of_their_name(spans: Recorded) -> None:
    """A function that contains all steps has one span, its own."""

    @flash_otel.trace_artifact_upload
    async def upload() -> Any:
        await PREPARE(5)
        PUT(fails=False)
        return await FINALIZE("k-1")

    asyncio.run(upload())
    assert spans.tree() == ["flash.artifact.upload"]
    assert upload_of(spans).attributes[semconv.BUILD_ID] == "b-1"
