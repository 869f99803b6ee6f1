"""Jobs of a queue-based worker: the span of each, its context, and what it leaves out.

The handlers run as `runpod.serverless.start` runs them; the real one is tested elsewhere.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import json
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import flash_otel
from flash_otel.testing import recording
from flash_otel.tracing.flash import TARGETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from flash_otel.records import SpanRecord
    from flash_otel.testing import Recorded

START: Final = next(target.wrapper for target in TARGETS if target.name == "start")
CANARY: Final = "CANARY0INPUT"
JOB: Final = {"id": "sync-1b-u1", "input": {"text": CANARY}}
TRACE, SPAN = "a" * 32, "b" * 16


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployed worker of the resource `gpu`."""
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "gpu0000001")
    monkeypatch.setenv("FLASH_RESOURCE_NAME", "gpu")


@flash_otel.trace_call
def step(function_name: str) -> str:
    """A span inside a job."""
    return function_name


def plain(job: Any) -> Any:
    return step(job["id"])


def parts(job: Any) -> Iterator[Any]:
    yield "a part"
    yield step(job["id"])


async def awaited(job: Any) -> Any:
    await asyncio.sleep(0)
    return step(job["id"])


async def parts_awaited(job: Any) -> AsyncIterator[Any]:
    yield "a part"
    await asyncio.sleep(0)
    yield step(job["id"])


class Serving:
    def __call__(self, job: Any) -> Any:
        return step(job["id"])


def returning_awaitable(job: Any) -> Any:
    return awaited(job)


async def _listed(stream: AsyncIterator[Any]) -> list[Any]:
    return [part async for part in stream]


async def _run_async(handler: Any, job: Any) -> Any:
    """Run a job as `rp_job.run_job` and `run_job_generator` do, in an event loop."""
    result = handler(job)
    if hasattr(result, "__aiter__"):
        return await _listed(result)
    if hasattr(result, "__await__"):
        return await result
    return list(result) if hasattr(result, "__next__") else result


def served(handler: Any, *jobs: Any) -> list[Any]:
    """Serve jobs, one after another, in one event loop."""

    async def serve(given: Any) -> list[Any]:
        return [await _run_async(given, job) for job in jobs]

    @START
    def start(config: Any) -> Any:
        return asyncio.run(serve(config["handler"]))

    return list(start({"handler": handler}))


def job_of(spans: Recorded) -> SpanRecord:
    (job,) = (record for record in spans.records if record.kind == "consumer")
    return job


@pytest.mark.parametrize(
    ("handler", "answer"),
    [
        (plain, JOB["id"]),
        (awaited, JOB["id"]),
        (parts, ["a part", JOB["id"]]),
        (parts_awaited, ["a part", JOB["id"]]),
        (Serving(), JOB["id"]),
        (functools.partial(plain), JOB["id"]),
        (returning_awaitable, JOB["id"]),
    ],
    ids=["plain", "async", "generator", "async generator", "object", "partial", "awaitable"],
)
def test_each_kind_of_handler(spans: Recorded, handler: Any, answer: Any) -> None:
    """A job is one CONSUMER span, named for its queue; what it does is inside."""
    assert served(handler, JOB) == [answer]
    assert spans.tree() == ["process gpu", "  flash.call"]
    job = job_of(spans)
    assert job.status == "unset"
    assert job.parent_span_id is None
    assert job.attributes == {
        "faas.trigger": "pubsub",
        "faas.invocation_id": "sync-1b-u1",
        "faas.coldstart": True,
        "messaging.system": "runpod",
        "messaging.operation.type": "process",
        "messaging.destination.name": "gpu",
        "flash.outcome": "returned",
    }


def test_only_the_first_job_is_a_cold_start(spans: Recorded) -> None:
    """Each job is a trace of its own; the first one of the process is marked."""
    served(plain, JOB, {**JOB, "id": "sync-2"})
    first, second = (record for record in spans.records if record.kind == "consumer")
    assert first.trace_id != second.trace_id
    assert first.attributes["faas.coldstart"] is True
    assert "faas.coldstart" not in second.attributes
    assert second.attributes["faas.invocation_id"] == "sync-2"


def ship_code() -> None:
    """Give the worker the manifest of a deployment, which lies beside its code."""
    carrier = {
        "v": 1,
        "phase": "build",
        "traceparent": f"00-{TRACE}-{SPAN}-01",
        "deployment_id": SPAN,
        "time_ms": 1_700_000_000_000,
    }
    Path("flash_manifest.json").write_text(json.dumps({"_flash_otel": carrier}))


def test_a_job_links_to_the_deployment_of_its_code(spans: Recorded) -> None:
    """It is a trace of its own, whatever the age of the deployment."""
    ship_code()
    served(plain, JOB)
    job = job_of(spans)
    assert job.trace_id != TRACE
    assert [(link.trace_id, link.span_id) for link in job.links] == [(TRACE, SPAN)]
    assert job.attributes["flash.deploy.trace_id"] == TRACE
    assert job.attributes["flash.code.deployment_id"] == SPAN


def broken(_job: Any) -> Any:
    raise LookupError(CANARY)


async def broken_awaited(_job: Any) -> Any:
    raise LookupError(CANARY)


def broken_parts(_job: Any) -> Iterator[Any]:
    yield 1
    raise LookupError(CANARY)


async def broken_parts_awaited(_job: Any) -> AsyncIterator[Any]:
    yield 1
    raise LookupError(CANARY)


@pytest.mark.parametrize("handler", [broken, broken_awaited, broken_parts, broken_parts_awaited])
def test_an_exception_is_named_but_not_quoted(spans: Recorded, handler: Any) -> None:
    """Its message may quote the input: the span has its class, and where it was raised."""
    with pytest.raises(LookupError, match=CANARY):
        served(handler, JOB)
    job = job_of(spans)
    assert (job.status, job.status_message) == ("error", "LookupError")
    assert job.attributes["error.type"] == "LookupError"
    assert job.attributes["flash.outcome"] == "failed"
    (event,) = job.events
    assert "raise LookupError(CANARY)" in str(event.attributes["exception.stacktrace"])
    assert "exception.message" not in event.attributes
    assert CANARY not in repr(spans.records)


def generated(error: str, trace: Any) -> Callable[[Any], Any]:
    """Return a handler that catches, like those that Flash generates."""
    return lambda _job: {"success": False, "error": error, "traceback": trace}


TRACEBACK: Final = (
    "Traceback (most recent call last):\n"
    '  File "handler_gpu.py", line 40, in handler\n'
    "    result = gpu(**job_input)\n"
    "             ^^^^^^^^^^^^^^^^\n"
)


@pytest.mark.parametrize(
    ("trace", "kind"),
    [
        (f"{TRACEBACK}KeyError: '{CANARY}'\n", "KeyError"),
        (f"{TRACEBACK}app.errors.Refused\n", "app.errors.Refused"),
        (f"{TRACEBACK}ValueError: a\n{CANARY}: b\n", "ValueError"),
        (f"{TRACEBACK}{CANARY} is no class\n", "_OTHER"),
        (TRACEBACK, "_OTHER"),
        (f"{CANARY}: b", "_OTHER"),
        (None, "_OTHER"),
        ({"a": CANARY}, "_OTHER"),
    ],
)
def test_a_failure_that_the_handler_returns(spans: Recorded, trace: Any, kind: str) -> None:
    """The field `error` fails a job; its span has the class of the exception alone."""
    answer = {"success": False, "error": CANARY, "traceback": trace}
    assert served(generated(CANARY, trace), JOB) == [answer]
    job = job_of(spans)
    assert (job.status, job.status_message) == ("error", kind)
    assert job.attributes["error.type"] == kind
    assert job.attributes["flash.outcome"] == "failed"
    assert CANARY not in repr(spans.records)


def test_an_answer_without_an_error(spans: Recorded) -> None:
    """Only a field `error` that says something fails a job, as for Runpod."""
    assert served(lambda _job: {"error": None, "success": False}, JOB)
    assert job_of(spans).status == "unset"


def test_a_stream_of_a_blocking_handler_fails_at_its_first_error(spans: Recorded) -> None:
    """The span has ended before the error is seen, as below."""

    def failing(_job: Any) -> Iterator[Any]:
        yield "a part"
        yield {"error": CANARY}
        yield "never"

    def first_error(handler: Any) -> None:
        stream = handler(JOB)
        assert next(stream) == "a part"
        assert spans.records == []
        assert next(stream) == {"error": CANARY}
        assert job_of(spans).status == "error"
        stream.close()

    START(lambda config: first_error(config["handler"]))({"handler": failing})
    assert job_of(spans).attributes["flash.outcome"] == "failed"


def test_a_part_that_cannot_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is passed on, and the job goes on: its span lasts to the end of the stream."""

    class Odd(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            raise LookupError

    part = Odd()

    def handler(_job: Any) -> Iterator[Any]:
        yield part
        yield "another"

    monkeypatch.delenv("FLASH_OTEL_RAISE")
    with recording() as spans:

        def both(handler: Any) -> None:
            stream = handler(JOB)
            assert next(stream) is part
            assert spans.records == []
            assert list(stream) == ["another"]

        START(lambda config: both(config["handler"]))({"handler": handler})
    assert job_of(spans).status == "unset"


def test_a_deployment_in_a_job(spans: Recorded) -> None:
    """It is related to the code of the worker, and its steps are just steps."""
    ship_code()

    @flash_otel.trace_build
    def build() -> None: ...

    served(lambda _job: flash_otel.trace_deploy(build)(), JOB)
    assert spans.tree() == ["process gpu", "  flash.deploy", "    flash.build"]
    (deployed,), (built,) = spans.named("flash.deploy"), spans.named("flash.build")
    assert [link.trace_id for link in deployed.links] == [TRACE]
    assert deployed.attributes["flash.code.deployment_id"] == SPAN
    assert built.links == ()
    assert "flash.code.deployment_id" not in built.attributes


def test_a_stream_fails_at_its_first_error(spans: Recorded) -> None:
    """Runpod ends a stream with the first error, so the span has ended before it is seen."""
    ended: list[str] = []

    async def failing(_job: Any) -> AsyncIterator[Any]:
        yield "a part"
        yield {"error": CANARY}
        yield "never"

    async def first_error(handler: Any) -> None:
        stream = handler(JOB)
        async for part in stream:
            if isinstance(part, dict):
                ended.extend(record.status for record in spans.records)
                break
        await stream.aclose()

    start = START(lambda config: asyncio.run(first_error(config["handler"])))
    start({"handler": failing})
    assert ended == ["error"]
    assert job_of(spans).attributes["flash.outcome"] == "failed"


def test_a_stream_that_is_left(spans: Recorded) -> None:
    """Its consumer may stop: that is no failure."""

    def first(handler: Any) -> None:
        stream = handler(JOB)
        assert next(stream) == "a part"
        stream.close()

    START(lambda config: first(config["handler"]))({"handler": parts})
    job = job_of(spans)
    assert (job.status, job.attributes["flash.outcome"]) == ("unset", "cancelled")


def test_a_cancelled_job(spans: Recorded) -> None:
    """A job whose task is cancelled is a failure, and the task stays cancelled."""

    async def forever(_job: Any) -> Any:
        await asyncio.Event().wait()

    async def cancel(handler: Any) -> None:
        task = asyncio.ensure_future(handler(JOB))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    START(lambda config: asyncio.run(cancel(config["handler"])))({"handler": forever})
    assert job_of(spans).attributes["flash.outcome"] == "cancelled"


def test_jobs_at_the_same_time(spans: Recorded) -> None:
    """Each of several concurrent jobs has its own context."""

    async def handler(job: Any) -> Any:
        for _ in range(3):
            await asyncio.sleep(0)
        return step(job["id"])

    async def serve(given: Any) -> list[Any]:
        return await asyncio.gather(*(given({"id": f"job-{number}"}) for number in range(5)))

    START(lambda config: asyncio.run(serve(config["handler"])))({"handler": handler})
    names = {
        record.span_id: record.attributes.get("faas.invocation_id") for record in spans.records
    }
    calls = spans.named("flash.call")
    assert len(calls) == 5
    for call in calls:
        assert names[call.parent_span_id or ""] == call.attributes["flash.function_name"]


def in_pool(job: Any) -> Any:
    """Run a coroutine as the handlers that Flash generates do."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return pool.submit(asyncio.run, awaited(job)).result()


async def in_thread(job: Any) -> Any:
    return await asyncio.to_thread(step, job["id"])


async def in_executor(job: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, step, job["id"])


async def gathered(job: Any) -> Any:
    found = await asyncio.gather(awaited(job), asyncio.to_thread(step, job["id"]))
    return found[0]


@pytest.mark.parametrize("handler", [in_pool, in_thread, in_executor, gathered])
def test_context_in_threads(spans: Recorded, handler: Any) -> None:
    """What a job does in threads and tasks is inside its span."""
    assert served(handler, JOB) == [JOB["id"]]
    job = job_of(spans)
    calls = spans.named("flash.call")
    assert calls
    assert {call.parent_span_id for call in calls} == {job.span_id}


def test_nothing_to_run_in_a_thread(spans: Recorded) -> None:
    """Inside of a job, too, a pool refuses a call without a function, at once."""

    def handler(_job: Any) -> Any:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pool.submit()  # type: ignore[call-arg]

    with pytest.raises(TypeError, match="submit"):
        served(handler, JOB)
    assert job_of(spans).attributes["error.type"] == "TypeError"


def test_threads_outside_of_a_job(spans: Recorded) -> None:
    """Threads that no span starts get nothing, and the host's own variables never do."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    variable.set("set")

    def handler(_job: Any) -> Any:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return pool.submit(variable.get).result()

    assert served(handler, JOB) == ["unset"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(step, "outside").result()
        with pytest.raises(TypeError):
            pool.submit()  # type: ignore[call-arg]
    assert spans.named("flash.call")[-1].parent_span_id is None


def test_the_traceback_of_a_thread(spans: Recorded) -> None:
    """The generated handlers answer with it: it has no frame of ours."""

    def handler(_job: Any) -> Any:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            try:
                pool.submit(broken, None).result()
            except LookupError:
                return traceback.format_exc()

    (text,) = served(handler, JOB)
    assert "LookupError" in text
    assert "flash_otel" not in text.replace(str(Path(__file__)), "")
    assert job_of(spans).status == "unset"


def test_the_variables_of_a_pool(spans: Recorded) -> None:
    """What its threads were given, or keep, is still theirs inside of a job."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    def handler(_job: Any) -> Any:
        pools = concurrent.futures.ThreadPoolExecutor
        with pools(1, initializer=variable.set, initargs=("given",)) as pool:
            given = pool.submit(variable.get).result()
        with outer:
            return given, outer.submit(variable.get).result(), outer.submit(step, "in").result()

    outer = concurrent.futures.ThreadPoolExecutor(1)
    outer.submit(variable.set, "kept").result()
    assert served(handler, JOB) == [("given", "kept", "in")]
    assert spans.named("flash.call")[0].parent_span_id == job_of(spans).span_id


@pytest.mark.parametrize(
    "job",
    [None, "text", {}, {"id": None}, {"id": 7}, {"id": f"a {CANARY}"}, {"id": "a" * 129}],
    ids=["null", "text", "empty", "null id", "number", "blanks", "long"],
)
def test_an_odd_job(spans: Recorded, job: Any) -> None:
    """A job without a usable id is a span without one."""
    assert served(lambda _job: "done", job) == ["done"]
    assert "faas.invocation_id" not in job_of(spans).attributes
    assert CANARY not in repr(spans.records)


def test_a_worker_without_a_name(spans: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the name of its resource, the span is named for what it does."""
    monkeypatch.delenv("FLASH_RESOURCE_NAME")
    served(plain, JOB)
    assert job_of(spans).name == "process"
    assert "messaging.destination.name" not in job_of(spans).attributes


def test_a_fault_of_ours_does_not_reach_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a span, every kind of handler answers as before."""
    from flash_otel.tracing.serving import jobs

    def broken_scope(*_: Any, **__: Any) -> Any:
        raise ValueError("ours")

    monkeypatch.delenv("FLASH_OTEL_RAISE")
    monkeypatch.setattr(jobs, "open_scope", broken_scope)
    flash_otel.instrument(legacy_logs=False)
    assert served(lambda _job: {"error": "e"}, JOB) == [{"error": "e"}]
    for handler in (lambda job: job["id"], returning_awaitable):
        assert served(handler, JOB) == [JOB["id"]]
    assert served(parts, JOB) == served(parts_awaited, JOB) == [["a part", JOB["id"]]]
