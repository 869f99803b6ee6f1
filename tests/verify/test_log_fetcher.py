"""Where the logs of workers are fetched from, and what is read: on modules made by hand.

The real versions of Flash are tested elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import metadata
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from verify.sessions import (
    ADDRESS,
    API_KEY,
    ENDPOINT,
    Answer,
    Client,
    Session,
    know_address,
    log_url,
    metrics_url,
    source,
)

from flash_otel.diagnosis.readers.input import ReaderError
from flash_otel.pipeline import resource
from flash_otel.verify import client as clients
from flash_otel.verify import log_fetcher
from flash_otel.verify.client import VerifyError
from flash_otel.verify.log_fetcher import (
    MOST_WORKERS,
    LogFetcher,
    LogSource,
    NoEndpointError,
    log_source,
)
from flash_otel.verify.successor import AppsClient
from flash_otel.verify.worker_logs import WorkerReader

if TYPE_CHECKING:
    from typing_extensions import Self

MODULES = {
    False: "runpod_flash.core.resources.request_logs",
    True: "runpod.apps.logs",
}


def install(monkeypatch: pytest.MonkeyPatch, *, is_successor: bool, **names: Any) -> None:
    """Let a Flash be installed whose module of logs has these names."""
    client = AppsClient(None, "key") if is_successor else SimpleNamespace(api_key="key")
    monkeypatch.setattr(clients, "make_client", lambda: client)
    module = ModuleType(MODULES[is_successor])
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delenv("RUNPOD_HAPI_URL", raising=False)


@pytest.mark.parametrize("name", ["RUNPOD_HAPI_URL", "HAPI_BASE"])
@pytest.mark.parametrize("end", ["", "/"])
def test_the_address_of_newer_versions(
    monkeypatch: pytest.MonkeyPatch, name: str, end: str
) -> None:
    """A module names it, with or without a slash at the end."""
    install(monkeypatch, is_successor=name == "HAPI_BASE", **{name: f"{ADDRESS}{end}"})
    assert log_source().logs == ADDRESS


def test_the_address_of_older_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable names it, else a function of Flash returns it."""
    install(monkeypatch, is_successor=False, _resolve_hapi_base_url=lambda: f"{ADDRESS}/own")
    assert log_source().logs == f"{ADDRESS}/own"
    monkeypatch.setenv("RUNPOD_HAPI_URL", f"{ADDRESS}/")
    assert log_source().logs == ADDRESS


@pytest.mark.parametrize("is_successor", [False, True])
def test_a_version_without_logs(monkeypatch: pytest.MonkeyPatch, *, is_successor: bool) -> None:
    """The error names the installed package and its version, and those that can."""
    install(monkeypatch, is_successor=is_successor)
    monkeypatch.setattr(resource, "flash_version", lambda: None)
    with pytest.raises(VerifyError) as raised:
        log_source()
    package = "runpod" if is_successor else "runpod-flash"
    assert raised.value.message == (f"{package} (unknown version) cannot fetch the logs of workers")
    assert raised.value.next_step == (
        "Upgrade it: runpod-flash 1.12 and later can, and so can runpod 2."
    )


class Api:
    """The client of runpod 2, with given answers."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    async def endpoint_workers(self, endpoint_id: str) -> Any:
        assert endpoint_id == "ep1"
        return self._answers["workers"]

    async def get_app_by_name(self, name: str) -> Any:
        assert name == "shop"
        return self._answers["app"]

    async def list_apps(self) -> Any:
        return self._answers["apps"]


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        (
            {"workers": [], "summary": {"total": 3, "initializing": 2, "throttled": 1, "idle": 0}},
            " (2 initializing, 1 throttled)",
        ),
        ({"readyWorkers": [], "workers": {"total": 1, "initializing": 1}}, " (1 initializing)"),
        ({"readyWorkers": [], "workers": {"total": 0, "initializing": 0}}, ""),
        ({"workers": []}, ""),
        ({}, ""),
        ("text", ""),
    ],
)
def test_an_endpoint_without_a_ready_worker(answer: Any, counted: str) -> None:
    """The error counts the workers in each state, as far as the answer does."""
    source = LogSource(AppsClient(Api(workers=answer), "key"), ADDRESS)
    with pytest.raises(VerifyError) as raised:
        asyncio.run(LogFetcher(source, "ep1", "gpu", print).fetch())
    assert raised.value.message == f"no worker of gpu is ready{counted}, so there is no log"


def test_an_error_quotes_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library's message may hold a password or a token of the process's variables."""
    token = "canary-of-the-shop-51c9"

    class Refusing(Api):
        async def endpoint_workers(self, endpoint_id: str) -> Any:
            raise OSError(f"{endpoint_id} was refused to {token} by the gateway")

    install(monkeypatch, is_successor=True, HAPI_BASE=ADDRESS)
    monkeypatch.setattr(clients, "make_client", lambda: AppsClient(Refusing(), "key"))
    monkeypatch.setenv("SHOP_GATEWAY_TOKEN", token)
    with pytest.raises(ReaderError) as raised:
        list(WorkerReader("ep1", {}).records())
    assert "ep1 was refused to " in str(raised.value)
    assert token not in str(raised.value)


def test_an_app_of_runpod_2() -> None:
    """It has its builds, which only the list of all apps has, and its environments by id."""
    environments = [{"id": "e-1", "name": "production"}, "text"]
    app = {"id": "a-1", "name": "shop", "flashEnvironments": environments}
    apps = [{"id": "a-0", "flashBuilds": ["b-0"]}, {"id": "a-1", "flashBuilds": ["b-1"]}]
    client = AppsClient(Api(app=app, apps=apps), "key")

    async def ask() -> list[Any]:
        async with client:
            return [
                await client.get_flash_app_by_name("shop"),
                await client.list_flash_apps(),
                await client.get_flash_environment({"flashEnvironmentId": "e-1"}),
                await client.get_flash_environment({"flashEnvironmentId": "e-2"}),
            ]

    assert asyncio.run(ask()) == [{**app, "flashBuilds": ["b-1"]}, apps, environments[0], None]
    unknown = AppsClient(Api(app=None, apps=apps), "key")
    assert asyncio.run(unknown.get_flash_app_by_name("shop")) is None


@pytest.mark.parametrize(
    "app",
    [None, [], {"id": "a-9", "flashEnvironments": None}, {"id": "a-9", "flashEnvironments": {}}],
    ids=["no app", "no object", "no environments", "environments of another type"],
)
def test_an_app_of_any_shape(app: Any) -> None:
    """It has no environment, and no builds if the list of apps lacks it."""
    client = AppsClient(Api(app=app, apps=[{"id": "a-1", "flashBuilds": ["b-1"]}]), "key")
    found = asyncio.run(client.get_flash_app_by_name("shop"))
    assert found == ({**app, "flashBuilds": None} if app else app)
    asked = client.get_flash_environment({"flashEnvironmentId": "None"})
    assert asyncio.run(asked) is None


def test_the_session_of_runpod_2() -> None:
    """There is one, with the key, which ends with the client."""

    async def sessions() -> list[Any]:
        async with AppsClient(None, "key") as client:
            found = [await clients.session_of(client) for _ in range(2)]
            assert not found[0].closed
        async with AppsClient(None, "key"):
            return found

    first, second = asyncio.run(sessions())
    assert first is second
    assert first.headers["Authorization"] == "Bearer key"
    assert first.closed


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.7.13", False),
        ("1", False),
        ("2", True),
        ("2.0.0rc2", True),
        ("3.0", True),
        (None, False),
    ],
)
def test_which_runpod_is_a_flash(
    monkeypatch: pytest.MonkeyPatch, version: str | None, *, expected: bool
) -> None:
    """Without runpod-flash, runpod has one from version 2 on."""

    def version_of(name: str) -> str:
        assert name == "runpod"
        if version is None:
            raise metadata.PackageNotFoundError
        return version

    monkeypatch.setattr(clients, "_has_flash", lambda: False)
    monkeypatch.setattr(metadata, "version", version_of)
    assert clients.is_installed() is expected


GENERATIONS = pytest.mark.parametrize(
    "is_successor", [False, True], ids=["runpod-flash", "runpod 2"]
)
ASKED_WORKERS = {False: metrics_url(), True: f"workers of {ENDPOINT}"}


@pytest.fixture(autouse=True)
def _address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runpod name the address of its endpoints."""
    know_address(monkeypatch)


def ready(*workers: str, is_successor: bool = False) -> dict[str, Any]:
    """Return an answer in which these workers have logs."""
    if is_successor:
        return {"workers": [{"id": worker, "status": "RUNNING"} for worker in workers]}
    return {"readyWorkers": list(workers)}


def logged(*lines: object) -> Answer:
    """Return the answer with a log of these lines."""
    return Answer({"container": list(lines), "system": ["pulling the image"]})


def fetched(found: LogSource) -> tuple[dict[str, bytes], list[str]]:
    """Fetch the logs of an endpoint, and return them with the notes."""
    notes: list[str] = []
    logs = asyncio.run(LogFetcher(found, ENDPOINT, "gpu", notes.append).fetch())
    return logs, notes


def refused(found: LogSource) -> VerifyError:
    """Return the error of fetching the logs of an endpoint."""
    with pytest.raises(VerifyError) as raised:
        fetched(found)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    return raised.value


@GENERATIONS
def test_logs_by_the_ids_of_the_workers(*, is_successor: bool) -> None:
    """The workers are asked for once, then the log of each; an empty log is left out."""
    found, session = source(
        ready("w1", "w-2", "w_3", is_successor=is_successor),
        {"w1": logged("one", "two"), "w-2": logged(), "w_3": logged("three")},
        is_successor=is_successor,
    )
    assert fetched(found) == ({"w1": b"one\ntwo", "w_3": b"three"}, [])
    logs = [log_url(worker) for worker in ("w1", "w-2", "w_3")]
    assert session.asked == [ASKED_WORKERS[is_successor], *logs]


@pytest.mark.parametrize(
    ("answer", "workers"),
    [
        ({"readyWorkers": ["w1", "", None, 2, "w/3", "w4?"]}, ["w1", "2"]),
        ({"readyWorkers": ["w1"], "workers": [{"id": "w2", "status": "idle"}]}, ["w1"]),
        ({"readyWorkers": {}, "workers": [{"id": "w2", "status": "idle"}]}, ["w2"]),
        (
            {
                "workers": [
                    {"id": "w1", "status": "Running"},
                    {"id": "w2", "status": "idle"},
                    {"id": "w3", "status": "UNHEALTHY"},
                    {"id": "w4", "status": "initializing"},
                    {"id": "w5", "status": "throttled"},
                    {"id": "w6"},
                    {"id": "w/7", "status": "idle"},
                    "idle",
                ]
            },
            ["w1", "w2", "w3"],
        ),
    ],
    ids=["ready ones", "both forms", "no list of ready ones", "by their states"],
)
def test_workers_that_have_a_log(answer: Any, workers: list[str]) -> None:
    """A worker that has started has one; what is no id is not put into a URL."""
    logs = {worker: logged("line") for worker in workers}
    assert list(fetched(source(answer, logs, is_successor=True)[0])[0]) == workers


@pytest.mark.parametrize(
    ("answer", "log"),
    [
        (logged("one\n", "", None, 7, "two\n\n", " three "), b"one\n7\ntwo\n three "),
        (logged(f"a={API_KEY} b={API_KEY}"), b"a=[redacted] b=[redacted]"),
        (logged("\ud800 caf\u00e9"), "? caf\u00e9".encode()),
    ],
    ids=["lines of any kind", "the key", "what cannot be encoded"],
)
def test_the_text_of_a_log(answer: Answer, log: bytes) -> None:
    """It has a line for each that is not empty, and never the key."""
    assert fetched(source(ready("w1"), {"w1": answer})[0])[0] == {"w1": log}


@pytest.mark.parametrize(
    "body", [{}, {"container": "text"}, {"container": None}, ["container"], None]
)
def test_workers_without_a_log_yet(body: object) -> None:
    """The error names all of them, whatever was answered in place of a log."""
    error = refused(source(ready("w1", "w2"), {"w1": Answer(body), "w2": logged("")})[0])
    assert error.message == "no worker of gpu has logs yet (w1, w2)"
    assert (error.next_step, error.code) == ("Try again in a minute.", None)


@pytest.mark.parametrize(
    ("number", "notes"),
    [
        (MOST_WORKERS, []),
        (MOST_WORKERS + 1, ["gpu has 21 workers; the logs of 20 are read"]),
    ],
)
def test_the_logs_of_twenty_workers_are_read(number: int, notes: list[str]) -> None:
    """The others are not asked for, which is noted."""
    workers = [f"w{index}" for index in range(number)]
    found, session = source(ready(*workers), {worker: logged("line") for worker in workers})
    logs, noted = fetched(found)
    assert (list(logs), noted) == (workers[:20], notes)
    assert len(session.asked) == 1 + 20


def padded(size: int) -> Answer:
    """Return the answer with a log of one line, of a size in bytes."""
    body = json.dumps({"container": ["line"]}).encode()
    return Answer(body + b" " * (size - len(body)))


LEFT_OUT = "the log of worker {} of gpu was left out: with those before, it is larger than 64 MiB"


@pytest.mark.parametrize(
    ("sizes", "read", "left_out"),
    [
        ((99_000, 60_000, 41_000), ["w0", "w1", "w2"], []),
        ((99_000, 60_000, 41_001), ["w0", "w1"], ["w2"]),
        ((99_000, 102_000, 41_000), ["w0", "w2"], ["w1"]),
        ((200_000, 100), ["w0"], ["w1"]),
        ((200_001, 100), ["w1"], ["w0"]),
    ],
    ids=["all", "all but the last", "all but a large one", "the first alone", "all but the first"],
)
def test_the_size_of_all_logs_is_bounded(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...], read: list[str], left_out: list[str]
) -> None:
    """A log that no longer fits is left out, which is noted, and the next may fit."""
    monkeypatch.setattr(log_fetcher, "MOST_BYTES", 200_000)
    answers = {f"w{index}": padded(size) for index, size in enumerate(sizes)}
    workers = ready(*answers, is_successor=True)
    logs, notes = fetched(source(workers, answers, is_successor=True)[0])
    assert list(logs) == read
    assert notes == [LEFT_OUT.format(worker) for worker in left_out]


@GENERATIONS
def test_a_worker_that_ends_meanwhile(*, is_successor: bool) -> None:
    """Its log is gone, which is noted; if no other log is left, that is the error."""
    gone = "the log of worker w1 of gpu is gone"
    workers = ready("w1", "w2", is_successor=is_successor)
    logs = {"w1": Answer(status=404), "w2": logged("line")}
    found = source(workers, logs, is_successor=is_successor)[0]
    assert fetched(found) == ({"w2": b"line"}, [gone])
    logs["w2"] = Answer(status=404)
    error = refused(source(workers, logs, is_successor=is_successor)[0])
    assert error.message == f"{gone}; the log of worker w2 of gpu is gone"
    assert error.next_step == "Try again in a minute."


class UnknownError(Exception):
    """An error of runpod 2's client."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"HTTP {status_code}")
        self.status_code = status_code


@GENERATIONS
@pytest.mark.parametrize("status", [404, 403, 500])
def test_an_endpoint_that_the_server_does_not_know(status: int, *, is_successor: bool) -> None:
    """Only a 404 says so; any other refusal is an error of the query."""
    workers = UnknownError(status) if is_successor else Answer(status=status)
    found = source(workers, {}, is_successor=is_successor)[0]
    if status == 404:
        with pytest.raises(NoEndpointError):
            fetched(found)
    else:
        expected = f"the query for the workers of gpu failed: HTTP {status}"
        assert refused(found).message.endswith(expected)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(status=204), "HTTP 204"),
        (Answer(status=302), "HTTP 302"),
        (Answer(status=401), "HTTP 401"),
        (Answer(status=500), "HTTP 500"),
        (
            Answer(b"{"),
            "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
    ],
    ids=["no content", "a redirect", "a refused key", "an error of the server", "no JSON"],
)
def test_a_log_that_cannot_be_read(answer: Answer, reason: str) -> None:
    """The error names the worker, and no log is read."""
    error = refused(source(ready("w1", "w2"), {"w1": logged("line"), "w2": answer})[0])
    assert error.message.endswith(f"the query for the log of worker w2 failed: {reason}")


def test_a_client_that_cannot_be_opened() -> None:
    """Before the first request, the connection is what failed."""

    class Closed(Client):
        async def __aenter__(self) -> Self:
            raise OSError("no such host")

    error = refused(LogSource(Closed(Session({})), ADDRESS))
    assert error.message == "the connection failed: no such host"
