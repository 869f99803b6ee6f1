"""The logs of workers as a source of records, from scripted answers.

The real versions of Flash are tested elsewhere.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
from readers.scenes import BUILD, read
from verify.sessions import ENDPOINT, Answer, Session, know_address, log_url, metrics_url, source

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers.input import NothingFoundError, ReaderError
from flash_otel.verify import worker_logs
from flash_otel.verify.client import VerifyError
from flash_otel.verify.worker_logs import SECONDS, WorkerReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_otel.verify.log_fetcher import LogSource

COPY: Final = (
    "Or copy the worker's log from Runpod's console (Serverless, the endpoint, Workers, the "
    "worker's logs) into a file, and run: flash-otel diagnose --from store worker.log"
)
PLAIN: Final = Answer({"container": ["started", "ready"]})


@pytest.fixture(autouse=True)
def _address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runpod name the address of its endpoints."""
    know_address(monkeypatch)


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Session]:
    """Call it with what the server answers to let that be fetched; it returns the session."""

    def serve(workers: object, **logs: Answer) -> Session:
        found, session = source(workers, logs)
        monkeypatch.setattr(worker_logs, "log_source", lambda: found)
        return session

    return serve


def logged(build: str = BUILD) -> Answer:
    """Return the answer with the log of a worker that reads a build's manifest."""
    return Answer({"container": [line for text in read(build) for line in text.split("\n")]})


def ready(*workers: str) -> dict[str, Any]:
    """Return an answer in which these workers are ready."""
    return {"readyWorkers": list(workers)}


def refused(reader: WorkerReader) -> tuple[str, list[str]]:
    """Return the message of a source that cannot be read, and the next steps."""
    with pytest.raises(ReaderError) as raised:
        list(reader.records())
    assert not isinstance(raised.value, NothingFoundError)
    assert raised.value.__suppress_context__
    return str(raised.value), raised.value.next_step.split("\n")


def test_the_records_of_all_logs(offer: Callable[..., Session]) -> None:
    """Each has its worker and its line as its origin; a log without records has none."""
    offer(ready("w1", "w2", "w3"), w1=logged(), w2=PLAIN, w3=logged("b-9"))
    steps: list[tuple[int, int]] = []
    records = list(WorkerReader(ENDPOINT, {}).records(lambda *step: steps.append(step)))
    fetches = [record for record in records if record.name == sc.RUNTIME_FETCH]
    builds = [record.attributes[sc.BUILD_ID] for record in fetches]
    assert builds == [BUILD, "b-9"]
    places = [record.origin.rpartition(":")[0] for record in fetches]
    assert places == ["worker:ep1/w1", "worker:ep1/w3"]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert list(WorkerReader(ENDPOINT, {}).records()) == records


def test_logs_without_any_record(offer: Callable[..., Session]) -> None:
    """The message names the workers, and quotes no log."""
    offer(ready("w1", "w2"), w1=PLAIN, w2=PLAIN)
    with pytest.raises(NothingFoundError) as raised:
        list(WorkerReader(ENDPOINT, {}).records())
    assert str(raised.value) == (
        "no log of worker:ep1 (w1, w2) holds a bracketed line or a span of flash_otel"
    )


def test_an_endpoint_by_the_name_of_its_resource(offer: Callable[..., Session]) -> None:
    """The recorded id is asked for, and every sentence has the given name."""
    notes: list[str] = []
    session = offer(ready("w1", "w2"), w1=logged(), w2=Answer(status=404))
    reader = WorkerReader("gpu", {"cpu": "ep2", "gpu": ENDPOINT}, on_note=notes.append)
    assert reader.name == "worker:gpu"
    assert list(reader.records())
    assert session.asked == [metrics_url(), log_url("w1"), log_url("w2")]
    assert notes == ["the log of worker w2 of worker:gpu is gone"]


def test_notes_are_optional(offer: Callable[..., Session]) -> None:
    """Without a listener, a log that is gone goes unmentioned."""
    offer(ready("w1", "w2"), w1=logged(), w2=Answer(status=404))
    assert list(WorkerReader(ENDPOINT, {}).records())


RECORDED: Final = (
    "The last recorded deployment has: gpu, cpu. "
    "Try: flash-otel diagnose --from store --from worker:gpu"
)
BY_ID: Final = "Give the endpoint's id, which its URL holds: --from worker:ID"


@pytest.mark.parametrize(
    ("recorded", "step"),
    [
        ({}, BY_ID),
        (
            {"gpu": "ep8", "cpu": "ep9"},
            RECORDED,
        ),
    ],
    ids=["nothing recorded", "a recorded deployment"],
)
def test_an_endpoint_that_runpod_does_not_know(
    offer: Callable[..., Session], recorded: dict[str, str], step: str
) -> None:
    """The recorded ones are offered."""
    offer(Answer(status=404))
    assert refused(WorkerReader(ENDPOINT, recorded)) == (
        "Runpod knows no endpoint 'ep1'",
        [step, COPY],
    )


@pytest.mark.parametrize(
    ("endpoint", "recorded"),
    [("no/id?", {}), ("", {}), ("x" * 65, {}), ("gpu", {"gpu": "no/id"})],
    ids=["other characters", "empty", "too long", "recorded"],
)
def test_what_is_no_id_is_not_sent(
    offer: Callable[..., Session], endpoint: str, recorded: dict[str, str]
) -> None:
    """It could be a path of another address."""
    session = offer(ready("w1"), w1=logged())
    message, _ = refused(WorkerReader(endpoint, recorded))
    assert message == f"Runpod knows no endpoint {endpoint!r}"
    assert session.asked == []


def test_an_error_has_its_own_step_before_the_way_to_copy_the_log(
    offer: Callable[..., Session],
) -> None:
    """No worker is ready: a request starts one."""
    offer(ready())
    assert refused(WorkerReader(ENDPOINT, {})) == (
        "no worker of worker:ep1 is ready, so there is no log",
        ["Send it a request, which starts a worker, and repeat this command.", COPY],
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (VerifyError("broken."), ("broken", [COPY])),
        (VerifyError("broken", "Mend it."), ("broken", ["Mend it.", COPY])),
    ],
    ids=["without a step", "with a step"],
)
def test_a_client_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, error: VerifyError, expected: tuple[str, list[str]]
) -> None:
    """The message has no full stop, and the last step is to copy the log."""

    def fail() -> LogSource:
        raise error

    monkeypatch.setattr(worker_logs, "log_source", fail)
    assert refused(WorkerReader(ENDPOINT, {})) == expected


@pytest.mark.parametrize(
    ("make", "seconds", "shown"),
    [(WorkerReader, SECONDS, "30"), (partial(WorkerReader, seconds=2.5), 2.5, "2.5")],
    ids=["by default", "given"],
)
def test_a_server_that_does_not_answer_in_time(
    offer: Callable[..., Session],
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[..., WorkerReader],
    seconds: float,
    shown: str,
) -> None:
    """The error names the limit and the pending request."""
    offer(ready())
    limits: list[float] = []

    def end(seconds: float, _: object) -> None:
        limits.append(seconds)
        raise asyncio.TimeoutError

    monkeypatch.setattr(worker_logs, "run_within", end)
    assert refused(make(ENDPOINT, {})) == (
        f"no answer within {shown} s: the connection was still pending",
        ["Check the network and Runpod's status, and try again.", COPY],
    )
    assert limits == [seconds]
