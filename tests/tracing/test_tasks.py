"""Coroutines that run later, elsewhere or never; threads; loops inside loops."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace as trace_api

import flash_otel
from flash_otel.testing import Recorded, recording

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


@flash_otel.trace_provision_endpoint
async def provision_one(resource_name: str) -> str:
    """Provision, in two steps."""
    await asyncio.sleep(0)
    return resource_name


def test_created_now_gathered_later(spans: Recorded) -> None:
    """A span opens when its coroutine runs, in its own task, under the current parent."""

    @flash_otel.trace_provision
    async def provision() -> list[str]:
        made = [provision_one(name) for name in ("gpu", "cpu", "lb")]
        assert trace_api.get_current_span().get_span_context().span_id == 1
        names = await asyncio.wait_for(asyncio.gather(*made), 600)
        assert trace_api.get_current_span().get_span_context().span_id == 1
        return names

    assert asyncio.run(provision()) == ["gpu", "cpu", "lb"]
    assert spans.tree() == [
        "flash.provision",
        *["  flash.provision.endpoint"] * 3,
    ]
    parent, *children = spans.records
    assert {child.parent_span_id for child in children} == {parent.span_id}
    assert all(child.start_ns > parent.start_ns for child in children)
    assert [child.attributes["flash.resource_name"] for child in children] == ["gpu", "cpu", "lb"]


def test_made_outside_run_inside(spans: Recorded) -> None:
    """A coroutine that is created before its parent's span still gets that parent."""

    @flash_otel.trace_provision
    async def provision(coroutine: Coroutine[Any, Any, str]) -> str:
        return await coroutine

    asyncio.run(provision(provision_one("gpu")))
    assert spans.tree() == ["flash.provision", "  flash.provision.endpoint"]


def test_siblings_that_outlive_their_parent(
    spans: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    """Siblings cancelled after the parent's end are recorded as cancelled; nothing is logged."""
    caplog.set_level(logging.WARNING)

    @flash_otel.trace_provision_endpoint
    async def fail(resource_name: str) -> None:
        assert resource_name
        raise ValueError("no capacity")

    @flash_otel.trace_provision_endpoint
    async def wait(resource_name: str) -> None:
        assert resource_name
        await asyncio.Event().wait()

    @flash_otel.trace_provision
    async def provision(build_id: str) -> None:
        assert build_id
        await asyncio.gather(wait("cpu"), fail("gpu"))

    with pytest.raises(ValueError, match="no capacity"):
        asyncio.run(provision("b-1"))
    (parent,) = spans.named("flash.provision")
    waiting, failed = spans.named("flash.provision.endpoint")
    assert parent.end_ns is not None
    assert waiting.end_ns is not None
    assert waiting.end_ns > parent.end_ns
    assert waiting.parent_span_id == failed.parent_span_id == parent.span_id
    assert waiting.attributes["flash.build_id"] == "b-1"
    assert waiting.attributes["flash.outcome"] == "unknown"
    assert failed.attributes["flash.outcome"] == "failed"
    assert caplog.records == []


@pytest.mark.parametrize("tracing", [True, False])
@pytest.mark.parametrize("shape", ["async", "sync", "method"])
def test_never_awaited(shape: str, *, tracing: bool) -> None:
    """A coroutine that is never awaited warns once, under the user's name; its span ends."""

    class Releases:
        @flash_otel.trace_activate
        async def promote(self) -> None: ...

    async def promote() -> None: ...

    def start() -> Coroutine[Any, Any, None]:
        return promote()

    forgotten: Callable[[], object] = {
        "async": flash_otel.trace_activate(promote),
        "sync": flash_otel.trace_activate(start),
        "method": Releases().promote,
    }[shape]
    with (
        recording() if tracing else nullcontext(Recorded()) as spans,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        forgotten()
        gc.collect()
        (warning,) = caught
        assert "promote' was never awaited" in str(warning.message)
        # The warning keeps its coroutine alive.
        del warning
        caught.clear()
        gc.collect()
        outcomes = [span.attributes["flash.outcome"] for span in spans.records]
    assert outcomes == (["unknown"] if tracing and shape == "sync" else [])


def test_a_joined_coroutine_that_is_never_awaited(spans: Recorded) -> None:
    """A deployment stays open if a call that joined it is never awaited."""

    async def inner() -> None: ...

    @flash_otel.trace_deploy
    def start() -> Coroutine[Any, Any, None]:
        return inner()

    def forget() -> None:
        _ = start()
        del _
        gc.collect()

    @flash_otel.trace_deploy
    def deploy(app_name: str) -> None:
        assert app_name
        with pytest.warns(RuntimeWarning, match="never awaited"):
            forget()

    deploy("shop")
    (span,) = spans.records
    assert span.attributes["flash.outcome"] == "returned"


def test_a_closed_coroutine_leaves_no_context(spans: Recorded) -> None:
    """A coroutine that is closed early detaches its context."""
    before = context_api.get_current()
    coroutine = provision_one("gpu")
    coroutine.send(None)
    assert context_api.get_current() is not before
    coroutine.close()
    assert context_api.get_current() is before
    (span,) = spans.records
    assert span.attributes["flash.outcome"] == "unknown"
    assert span.attributes["error.type"] == "GeneratorExit"


def test_a_coroutine_closed_elsewhere(spans: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    """A coroutine closed by the garbage collector leaves the other context alone, silently."""
    coroutine = provision_one("gpu")
    contextvars.copy_context().run(coroutine.send, None)
    before = context_api.get_current()
    coroutine.close()
    assert context_api.get_current() is before
    assert len(spans.records) == 1
    assert caplog.records == []


def test_the_context_is_put_back(spans: Recorded) -> None:
    """The caller's context is the same after every kind of call."""

    @flash_otel.trace_activate
    def fails() -> None:
        raise ValueError

    @flash_otel.trace_activate
    def works() -> None: ...

    before = context_api.get_current()
    works()
    assert context_api.get_current() is before
    with pytest.raises(ValueError, match=r"^$"):
        fails()
    assert context_api.get_current() is before
    assert len(spans.records) == 2


@flash_otel.trace_activate
def activate(build_id: str) -> None:
    """Activate; the build id may be inherited."""
    assert build_id


@flash_otel.trace_upload
def upload() -> None:
    """Upload; all attributes are inherited."""


def test_threads(spans: Recorded) -> None:
    """`asyncio.to_thread` propagates the context; a bare executor starts a new trace."""

    @flash_otel.trace_deploy
    async def deploy(app_name: str) -> None:
        assert app_name
        await asyncio.to_thread(activate, "b-1")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(activate, "b-2").result()
            copied = contextvars.copy_context()
            pool.submit(copied.run, upload).result()

    asyncio.run(deploy("shop"))
    assert spans.tree() == [
        "flash.deploy",
        "  flash.activate",
        "flash.activate",
        "  flash.manifest.upload",
    ]
    deployed, activated, alone, uploaded = spans.records
    assert activated.trace_id == uploaded.trace_id == deployed.trace_id != alone.trace_id
    assert uploaded.attributes["flash.build_id"] == "b-1"
    assert "flash.deployment_id" not in alone.attributes


def test_a_loop_inside_a_loop(spans: Recorded) -> None:
    """A second event loop in a thread keeps its given context."""

    @flash_otel.trace_provision
    async def provision() -> None:
        await asyncio.to_thread(asyncio.run, provision_one("gpu"))

    asyncio.run(provision())
    assert spans.tree() == ["flash.provision", "  flash.provision.endpoint"]


def test_many_threads_at_once(spans: Recorded) -> None:
    """Traces of threads that deploy at the same time do not mix."""
    barrier = threading.Barrier(8)

    @flash_otel.trace_deploy
    def deploy(app_name: str) -> None:
        barrier.wait(60)
        activate(f"b-{app_name}")
        upload()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deploy, [str(number) for number in range(8)]))
    for root in spans.named("flash.deploy"):
        members = [span for span in spans.records if span.trace_id == root.trace_id]
        expected = f"b-{root.attributes['flash.app_name']}"
        assert [member.attributes["flash.build_id"] for member in members] == [expected] * 3
        assert {member.attributes["flash.deployment_id"] for member in members} == {root.span_id}


def test_a_sync_function_that_returns_a_coroutine(spans: Recorded) -> None:
    """The span is current while the coroutine runs, and not between its steps."""

    async def work() -> str:
        activate("b-1")
        return "done"

    @flash_otel.trace_deploy
    def start() -> Coroutine[Any, Any, str]:
        return work()

    started = start()
    assert not trace_api.get_current_span().get_span_context().is_valid
    assert asyncio.run(started) == "done"
    assert spans.tree() == ["flash.deploy", "  flash.activate"]


def test_late_attributes_of_an_orphan(spans: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    """Attributes and events after a span's end are dropped without a warning."""
    from flash_otel.tracing import scope as scopes
    from flash_otel.tracing.extractors import ENDED

    kept: list[Any] = []

    @flash_otel.trace_call
    def call() -> None:
        kept.append(scopes.current())

    call()
    (scope,) = kept
    scope.set({"flash.call.route": "remote"})
    scope.add_event("flash.retry", {})
    assert scope.call is ENDED
    assert spans.records[0].events == ()
    assert "flash.call.route" not in spans.records[0].attributes
    assert caplog.records == []
