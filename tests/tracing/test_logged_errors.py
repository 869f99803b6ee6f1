"""An internal error is logged with the step that failed; the host's result stays as it is."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import pytest

import flash_otel
from flash_otel.runtime import process
from flash_otel.testing import recording
from flash_otel.tracing import builds, calls
from flash_otel.tracing.flash import graphql, worker
from flash_otel.tracing.serving import delivery, jobs, requests

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER: Final = {"id": "a", "error": "reported"}


class Broken(RuntimeError):  # noqa: N818 - what it is
    """An internal error."""


async def answered(*_: Any) -> dict[str, str]:
    """Answer like the function of Flash that is wrapped."""
    await asyncio.sleep(0)
    return ANSWER


def tapped(wrapper: Any) -> Any:
    """Run a wrapper of a coroutine function inside a call."""

    @flash_otel.trace_call
    async def call() -> Any:
        return await wrapper(answered, None, (), {})

    return asyncio.run(call())


def job() -> Any:
    """Run a job whose handler reports an error."""
    return jobs._run_job(lambda _job: ANSWER, None, ({"id": "job-1"},), {})


def awaited_job() -> Any:
    """Run the same job with a coroutine function."""

    async def run() -> Any:
        return await jobs._run_job(answered, None, ({"id": "job-1"},), {})

    return asyncio.run(run())


def request() -> Any:
    """Serve a request; return the messages of its response."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    asgi = {"type": "http", "method": "GET", "path": "/"}
    asyncio.run(requests.serve_http(application, None, (asgi, receive, send), {}))
    return sent


def sent_elsewhere() -> Any:
    """Send a request that is not to Flash."""
    asyncio.run(calls._before_request(None))


def build() -> Any:
    """Build a manifest inside a deployment."""
    carry = builds.carrying("deploy", "module")
    return flash_otel.trace_deploy(lambda: carry(dict, None, (), {}))()


RESPONSE: Final = ["http.response.start", "http.response.body"]

# Step, the function in it that fails (the result of None is broken enough), action, its result.
STEPS: Final[list[tuple[str, str | None, Callable[[], Any], Any]]] = [
    ("the build's carrier", "builds._with_carrier", build, {}),
    ("the answer of a call", "calls._note", lambda: tapped(calls.noting), ANSWER),
    ("the headers of a call", "calls._inject", lambda: calls.propagating(dict, None, (), {}), {}),
    ("the headers of a call", None, sent_elsewhere, None),
    ("the client of a call", None, lambda: calls.with_context(str, None, (), {}), ""),
    ("a call's route", "flash.worker.scopes.current", lambda: tapped(worker.note_route), ANSWER),
    (
        "a lookup without environment",
        "flash.worker._is_skipped",
        lambda: tapped(worker.note_unset),
        ANSWER,
    ),
    (
        "a GraphQL request",
        "flash.graphql._note_request",
        lambda: tapped(graphql.note_answer),
        ANSWER,
    ),
    ("the start of a job", "serving.jobs.open_scope", job, ANSWER),
    ("the answer of a job", "serving.jobs._exception_in", job, ANSWER),
    ("the end of a request", "serving.delivery.pipeline.request_flush", job, ANSWER),
    ("the end of a request", "serving.delivery.pipeline.request_flush", awaited_job, ANSWER),
    ("the start of a request", "serving.requests.open_scope", request, RESPONSE),
    ("the response of a request", "serving.requests._Request._record_response", request, RESPONSE),
    ("the end of a request", "scope.Scope.end", request, RESPONSE),
    (
        "the end of an application",
        "serving.delivery.pipeline.flush",
        lambda: asyncio.run(delivery.flush_all_async()),
        None,
    ),
]


@pytest.mark.parametrize(
    ("step", "fails", "action", "result"), STEPS, ids=[f"{row[0]}, {row[1]}" for row in STEPS]
)
def test_the_log_names_the_step(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    fails: str | None,
    action: Callable[[], Any],
    result: Any,
) -> None:
    """The step of an internal error is in the debug log, and the caller gets its result."""

    def fail(*_: Any, **__: Any) -> Any:
        raise Broken

    monkeypatch.delenv("FLASH_OTEL_RAISE")
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "ep-1")
    process.reset()
    caplog.set_level(logging.DEBUG, logger="flash_otel")
    with recording(), monkeypatch.context() as patched:
        if fails is not None:
            patched.setattr(f"flash_otel.tracing.{fails}", fail)
        assert action() == result
    logged = [entry.message for entry in caplog.records if "internal error" in entry.message]
    assert f"flash_otel: internal error in {step} (ignored)" in logged
