"""Where the logs of workers are fetched from, and runpod 2's client, on modules made by hand.

The real versions of Flash are tested elsewhere.
"""

from __future__ import annotations

import asyncio
import sys
from importlib import metadata
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from flash_otel.diagnosis.readers.input import ReaderError
from flash_otel.pipeline import resource
from flash_otel.verify import client as clients
from flash_otel.verify.client import VerifyError
from flash_otel.verify.log_fetcher import LogFetcher, LogSource, log_source
from flash_otel.verify.successor import AppsClient
from flash_otel.verify.worker_logs import WorkerReader

ADDRESS = "https://hapi.example"
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
    ("version", "expected"), [("1.7.13", False), ("2.0.0rc2", True), ("3.0", True), (None, False)]
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
