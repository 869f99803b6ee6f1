"""What is fetched, in which order, and where a health request goes."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from dataclasses import replace
from importlib import util
from types import ModuleType
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from verify.cases import recorded, span
from verify.sessions import API_ADDRESS, know_address
from verify.subjects import REAL, URLS, manifest, subject

from flash_otel import semconv
from flash_otel.manifest import digest
from flash_otel.pipeline import resource
from flash_otel.redaction import scrub
from flash_otel.store.store import SpanStore
from flash_otel.verify import _recorded, run_within, silenced, verify
from flash_otel.verify import client as errors
from flash_otel.verify.client import MOST_ENVIRONMENTS, Fetcher, _endpoint_to_call
from flash_otel.verify.snapshot import (
    EndpointCall,
    FetchedBuild,
    FetchedEnvironment,
    LocalManifest,
    Ref,
    Snapshot,
    resource_names,
)
from flash_otel.verify.successor import AppsClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from typing_extensions import Self

BOTH_WAYS = ["health", "sentinel"]
LISTED = [{"id": "lb1", "name": "api"}, {"id": "qb2", "name": "gpu-fb"}]
STORED = manifest(URLS)
PRODUCTION = {"activeBuildId": "build-2", "endpoints": LISTED}
APP = {
    "id": "app-1",
    "flashEnvironments": [{"id": "env-1", "name": "production"}, {"id": "env-2"}, {"name": "x"}],
    "flashBuilds": [{"id": "build-1"}, {"id": "build-2", "createdAt": "2026-01-02"}, None],
}


class Client:
    """Answers queries from dictionaries by id, and keeps the queries."""

    def __init__(
        self,
        environments: dict[str, Any],
        app: Any = None,
        apps: Any = (),
        builds: dict[str, Any] | None = None,
    ) -> None:
        self.queries: list[str] = []
        self._environments = environments
        self._app = APP if app is None else app
        self._apps = apps
        self._builds = {"build-2": {"manifest": STORED}} if builds is None else builds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get_flash_app_by_name(self, name: str) -> Any:
        """Return the app."""
        self.queries.append(f"app {name}")
        if isinstance(self._app, Exception):
            raise self._app
        return self._app

    async def list_flash_apps(self) -> Any:
        """Return all apps."""
        return list(self._apps)

    async def get_flash_environment(self, asked: dict[str, Any]) -> Any:
        """Return an environment."""
        known = asked["flashEnvironmentId"]
        self.queries.append(f"environment {known}")
        return self._environments.get(known)

    async def get_flash_build(self, known: str) -> Any:
        """Return a build."""
        self.queries.append(f"build {known}")
        return self._builds.get(known)

    async def _get_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers={"Authorization": "Bearer key"})
        return self._session


def fetch(
    client: Client, environment: str | None = "production", **how: bool
) -> tuple[Snapshot, str]:
    """Fetch a snapshot; return it with the last step in words."""
    fetcher = Fetcher(client, "shop", environment)
    how = {"call": False, "sentinel": False, **how}
    return run_within(10.0, lambda: fetcher.fetch(**how)), fetcher.step


def test_the_snapshot_holds_all_that_was_answered() -> None:
    """Each part of the answers is kept; items without an id are left out."""
    client = Client({"env-1": PRODUCTION})
    found, step = fetch(client)
    assert client.queries == ["app shop", "environment env-1", "build build-2"]
    assert step == "the query for build build-2"
    assert found.app == Ref("app-1", "shop")
    assert found.environments == (Ref("env-1", "production"), Ref("env-2", "env-2"))
    assert found.builds == (FetchedBuild("build-1", ""), FetchedBuild("build-2", "2026-01-02"))
    assert found.environment == FetchedEnvironment("env-1", "production", True, "build-2", REAL)  # noqa: FBT003 - is_known
    assert found.manifest == STORED
    assert (found.elsewhere, found.calls) == ({}, ())
    span = found.record
    assert (len(span.trace_id), len(span.span_id)) == (32, 16)
    assert (span.name, span.kind, span.parent_span_id) == ("flash.manifest.fetch", "client", None)
    assert (span.origin, span.scope_name) == ("read back", "flash_otel")
    assert span.resource["service.name"] == "flash-cli"
    assert span.end_ns is not None
    assert span.end_ns >= span.start_ns > 0
    assert span.attributes == {
        "flash.environment_id": "env-1",
        "flash.environment.state": "active",
        "flash.build_id": "build-2",
        "flash.manifest.state": "complete",
        "flash.manifest_keys": ("resources", "resources_endpoints"),
        "flash.endpoint_count": 2,
        "flash.endpoint_names": ("api", "gpu"),
        "flash.endpoints_digest": digest(URLS),
        "flash.outcome": "returned",
    }


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, FetchedEnvironment("env-1", "production", is_known=False)),
        ({}, FetchedEnvironment("env-1", "production")),
        ({"activeBuildId": ""}, FetchedEnvironment("env-1", "production")),
        ({"activeBuildId": 7, "endpoints": "no"}, FetchedEnvironment("env-1", "production")),
        ({"endpoints": []}, FetchedEnvironment("env-1", "production", endpoints=())),
    ],
)
def test_an_environment_without_an_active_build(answer: Any, expected: FetchedEnvironment) -> None:
    """What an answer lacks stays unknown, and no build is queried without an id."""
    client = Client({"env-1": answer})
    found, step = fetch(client)
    assert found.environment == expected
    assert found.manifest is None
    assert client.queries == ["app shop", "environment env-1"]
    assert step == "the query for environment 'production'"
    assert "flash.manifest" not in found.record.attributes


@pytest.mark.parametrize("build", [None, {}, {"manifest": None}, {"manifest": []}, []])
def test_a_build_without_a_manifest(build: Any) -> None:
    """An answer without an object is no manifest."""
    found, _ = fetch(Client({"env-1": PRODUCTION}, builds={"build-2": build}))
    assert found.manifest is None


def test_a_lost_endpoint_is_searched_in_the_other_environments() -> None:
    """Only then are other environments queried, and no more than a limit."""
    more = [{"id": f"env-{number}", "name": f"n{number}"} for number in range(2, 30)]
    app = {**APP, "flashEnvironments": [{"id": "env-1", "name": "production"}, *more]}
    lost = {**PRODUCTION, "endpoints": LISTED[:1]}
    client = Client({"env-1": lost, "env-3": {"endpoints": LISTED[1:]}}, app)
    found, _ = fetch(client)
    assert found.elsewhere == {"qb2": "n3"}
    assert client.queries[3:] == [f"environment env-{n}" for n in range(2, 2 + MOST_ENVIRONMENTS)]
    unlisted = Client({"env-1": {"activeBuildId": "build-2"}})
    assert fetch(unlisted)[0].elsewhere == {}
    assert len(unlisted.queries) == 3


class Successor(Client):
    """A client of runpod 2, which has no query for a manifest."""

    has_manifests = False


OF_SUCCESSOR = {"resources": [{"name": "api"}]}


@pytest.mark.parametrize(
    ("client", "builds", "manifest_of"),
    [
        (Successor, [], None),
        (Client, ["build build-2"], OF_SUCCESSOR),
    ],
    ids=["by runpod 2", "by runpod-flash"],
)
def test_an_environment_of_runpod_2(
    client: type[Client], builds: list[str], manifest_of: dict[str, Any] | None
) -> None:
    """No manifest names its endpoints, so none is missing there, whoever asks."""
    asked = client({"env-1": PRODUCTION}, builds={"build-2": {"manifest": OF_SUCCESSOR}})
    found, _ = fetch(asked)
    assert asked.queries == ["app shop", "environment env-1", *builds]
    assert (found.has_mapping, found.manifest, found.elsewhere) == (False, manifest_of, {})
    assert not [name for name in found.record.attributes if name.startswith("flash.manifest")]


def test_a_query_that_fails_is_named() -> None:
    """Whatever is raised for an app that may exist is the error of its query."""
    with pytest.raises(errors.VerifyError) as caught:
        fetch(Client({}, LookupError("no route")))
    assert caught.value.message == "the query for app 'shop' failed: no route"
    assert not isinstance(caught.value, errors.WrongNameError)


def test_a_client_that_cannot_be_opened() -> None:
    """Before the first query, the connection is what failed."""

    class Closed(Client):
        async def __aenter__(self) -> Self:
            raise OSError("no such host")

    with pytest.raises(errors.VerifyError) as caught:
        fetch(Closed({}))
    assert caught.value.message == "the connection failed: no such host"


def asked(
    endpoints: dict[str, str] | None, real: tuple[Ref, ...] | None
) -> tuple[str, Ref | None] | None:
    """Return the endpoint to call in an environment."""
    return _endpoint_to_call(subject(manifest(endpoints), real=real).snapshot)


def test_the_endpoint_to_call() -> None:
    """A queue-based endpoint comes first; only an id that the environment lists is addressed."""
    api, gpu = REAL
    assert asked(URLS, REAL) == ("gpu", gpu)
    assert asked({"api": URLS["api"]}, REAL) == ("api", api)
    assert asked(URLS, (api,)) == ("api", api)
    assert asked(URLS, ()) == ("api", None)
    assert asked(URLS, None) == ("api", None)
    assert asked(None, REAL) is None
    odd = {"gpu": "https://api.example/v2/q%3Fb"}
    assert asked(odd, (Ref("q%3Fb", "gpu"),)) == ("gpu", None)


def test_the_endpoint_to_call_where_no_manifest_names_one() -> None:
    """It is the first that the environment lists with an id that can be addressed."""
    odd, api = Ref("q%3Fb", "gpu"), REAL[0]

    def chosen(*real: Ref) -> tuple[str, Ref | None] | None:
        return _endpoint_to_call(subject(None, real=real, has_mapping=False).snapshot)

    assert chosen(odd, api, REAL[1]) == ("api", api)
    assert chosen(odd) is None
    assert _endpoint_to_call(subject(None, real=None, has_mapping=False).snapshot) is None


async def _answer(request: web.Request) -> web.Response:
    seen = request.app[SEEN]
    names = [value for name, value in request.headers.items() if name.startswith("X-Flash-")]
    seen.append((request.path, request.headers.get("Authorization"), *names))
    if request.path == "/v2/qb2/health":
        return web.Response(status=302, headers={"Location": "/elsewhere"})
    return web.Response(status=204)


KEY_ORDER = (
    "Run `flash login`, or set RUNPOD_API_KEY. A key in the environment (or in a .env file of this "
    "folder) wins over the login: unset it if it is old."
)
SEEN: web.AppKey[list[Any]] = web.AppKey("seen", list)


async def _served(work: Callable[[str], Awaitable[Any]]) -> tuple[Any, list[Any]]:
    """Run a coroutine with the address of a server; return its result, and the requests."""
    app = web.Application()
    seen: list[Any] = []
    app[SEEN] = seen
    app.router.add_get("/{path:.*}", _answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        return await work(f"http://{host}:{port}"), seen
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("sentinel", [False, True])
def test_health_requests(monkeypatch: pytest.MonkeyPatch, *, sentinel: bool) -> None:
    """Requests go below Flash's base URL with the key; a redirect is not followed."""

    async def work(url: str) -> Snapshot:
        # The real runpod is only in environments with Flash; nothing but its base URL is read.
        module = ModuleType("runpod")
        module.endpoint_url_base = f"{url}/v2/"  # type: ignore[attr-defined]  # an attribute of runpod's
        monkeypatch.setitem(sys.modules, "runpod", module)
        fetcher = Fetcher(Client({"env-1": PRODUCTION}), "shop", "env-1")
        found = await fetcher.fetch(call=True, sentinel=sentinel)
        way = "the sentinel's" if sentinel else "the"
        assert fetcher.step == f"{way} health request to endpoint 'gpu'"
        return found

    found, seen = run_within(10.0, lambda: _served(work))
    calls = [EndpointCall("gpu", "health", 302), EndpointCall("gpu", "sentinel", 204)]
    requests = [
        ("/v2/qb2/health", "Bearer key"),
        ("/v2/flash/health", "Bearer key", "shop", "production", "gpu"),
    ]
    assert found.calls == tuple(calls[: 1 + sentinel])
    assert seen == requests[: 1 + sentinel]


def test_a_health_request_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is the problem of the call, not of the snapshot."""
    module = ModuleType("runpod")
    module.endpoint_url_base = "http://127.0.0.1:1/v2"  # type: ignore[attr-defined]  # an attribute of runpod's
    monkeypatch.setitem(sys.modules, "runpod", module)
    (call,) = fetch(Client({"env-1": PRODUCTION}), call=True)[0].calls
    assert (call.name, call.by, call.status) == ("gpu", "health", None)
    assert "127.0.0.1:1" in call.problem
    lost = Client({"env-1": PRODUCTION}, builds={})
    assert fetch(lost, call=True)[0].calls == ()


def test_a_health_request_that_fails_without_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The problem is the name of the error."""
    know_address(monkeypatch)

    class Broken(Client):
        async def _get_session(self) -> Any:
            return self

        def get(self, url: str, **_: object) -> None:
            assert url == f"{API_ADDRESS}/qb2/health"
            raise ConnectionResetError

    (call,) = fetch(Broken({"env-1": PRODUCTION}), call=True)[0].calls
    assert call == EndpointCall("gpu", "health", None, "ConnectionResetError")


@pytest.mark.parametrize(
    ("app", "apps", "message"),
    [
        (Exception("App NOT found"), [{"id": "a", "name": "blog"}], "It knows: blog."),
        (Exception("app not found"), [], "It knows none for this API key."),
        ([], [{"id": "a"}], "It knows: a."),
    ],
)
def test_an_app_that_does_not_exist(app: Any, apps: Any, message: str) -> None:
    """The error names the apps that exist."""
    with pytest.raises(errors.WrongNameError) as caught:
        fetch(Client({}, app, apps))
    assert caught.value.message == f"Runpod knows no app 'shop'. {message}"


@pytest.mark.parametrize(
    ("make", "given", "message", "step"),
    [
        (
            errors.missing_key,
            (),
            "there is no Runpod API key, so nothing can be read back.",
            KEY_ORDER,
        ),
        (
            errors.unknown_app,
            ("shop", []),
            "Runpod knows no app 'shop'. It knows none for this API key.",
            "Flash uses the folder's name unless `--app` is given. Pass another: --app NAME",
        ),
        (
            errors.unknown_app,
            ("shop", ["blog", "shp", "shops"]),
            "Runpod knows no app 'shop'. It knows: blog, shp, shops.",
            "Did you mean shops? Pass it: --app shops",
        ),
        (
            errors.unknown_environment,
            ("shop", "prod", ["a", "b"]),
            "app 'shop' has no environment 'prod'. It has: a, b.",
            "Try: flash-otel verify --app shop --env a",
        ),
        (
            errors.unknown_environment,
            ("shop", "prod", ["a", "prd", "prods"]),
            "app 'shop' has no environment 'prod'. It has: a, prd, prods.",
            "Did you mean prods? Try: flash-otel verify --app shop --env prods",
        ),
        (
            errors.unknown_environment,
            ("shop", "prod", []),
            "app 'shop' has no environment 'prod'. It has none.",
            "Run: flash deploy",
        ),
        (
            errors.choose_environment,
            ("shop", []),
            "app 'shop' has no environment.",
            "Run: flash deploy",
        ),
        (
            errors.choose_environment,
            ("shop", ["a", "b"]),
            "app 'shop' has 2 environments: a, b.",
            "Choose one: flash-otel verify --app shop --env a",
        ),
        (
            errors.out_of_time,
            (2.5, "the query"),
            "no answer within 2.5 s: the query was still pending.",
            "Check the network and Runpod's status, or give it longer: --timeout SECONDS",
        ),
        (
            errors.query_error,
            (KeyError(), "the query"),
            "the query failed: KeyError",
            "Try again; `flash env list` asks Runpod the same way.",
        ),
        (
            errors.query_error,
            (Exception(" no\n  answer "), "the query"),
            "the query failed: no answer",
            "Try again; `flash env list` asks Runpod the same way.",
        ),
        (
            errors.query_error,
            (Exception("GraphQL request failed: 429 - {}"), "the query"),
            "the query failed: GraphQL request failed: 429 - {}",
            "Check the network and Runpod's status, and try again.",
        ),
    ],
)
def test_each_error(
    make: Callable[..., errors.VerifyError], given: tuple[Any, ...], message: str, step: str
) -> None:
    """An error has a sentence, a next step, and no fault if none is proven."""
    error = make(*given)
    assert (str(error), error.message, error.next_step, error.code) == (
        message,
        message,
        step,
        None,
    )


@pytest.mark.parametrize(
    ("text", "code", "message", "step"),
    [
        (
            "HTTP 401",
            semconv.UNAUTHORIZED,
            "the API key was rejected; the query failed: HTTP 401",
            KEY_ORDER,
        ),
        (
            "GraphQL request failed: 503 - {}",
            semconv.STATE_MANAGER_UNAVAILABLE,
            "the query failed: GraphQL request failed: 503 - {}",
            "Check the network and Runpod's status, and try again.",
        ),
    ],
    ids=["a refused key", "an error of the server"],
)
def test_a_query_whose_error_proves_a_fault(text: str, code: str, message: str, step: str) -> None:
    """A refused key and an error of the server have the code of their fault."""
    error = errors.query_error(Exception(text), "the query")
    assert (error.message, error.next_step, error.code) == (message, step, code)


@pytest.mark.parametrize(("number", "expected"), [(0, ""), (1, "0"), (10, ", ".join("0123456789"))])
def test_a_short_list_is_whole(number: int, expected: str) -> None:
    """Up to ten names are listed without an ending."""
    assert errors.listing([str(index) for index in range(number)]) == expected
    assert errors.listing([str(index) for index in range(11)]).endswith("8, 9 and 1 more")


@pytest.mark.parametrize("has_handler", [False, True])
def test_flashs_log_is_silenced(*, has_handler: bool) -> None:
    """Nothing is logged meanwhile, and the root logger is as before afterwards."""
    root = logging.getLogger()
    before, disabled = root.handlers[:], root.manager.disable
    stream = io.StringIO()
    root.handlers[:] = [logging.StreamHandler(stream)] if has_handler else []
    handlers = root.handlers[:]
    try:
        with silenced():
            assert root.handlers
            root.critical("hidden")
        assert (root.handlers, root.manager.disable) == (handlers, disabled)
        with pytest.raises(LookupError), silenced():
            raise LookupError
        assert (root.handlers, root.manager.disable) == (handlers, disabled)
    finally:
        root.handlers[:] = before
    assert stream.getvalue() == ""


def test_resource_names() -> None:
    """A manifest of any shape has the names of its resources, or none."""
    assert resource_names(STORED) == ("api", "gpu")
    others: tuple[object, ...] = (None, [], {}, {"resources": ["api"]})
    for other in others:
        assert resource_names(other) == ()


class RunpodAPIKeyError(Exception):
    """Named like Flash's."""


@pytest.fixture
def flash(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of Flash's client; the real Flash is not installed beside these tests."""
    names = ("runpod_flash", "runpod_flash.core", "runpod_flash.core.api")
    module = ModuleType("runpod_flash.core.api.runpod")
    for name in (*names, module.__name__):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_0123456789ABCDEF")
    return module


def offer(flash: ModuleType, make: Callable[[], Any]) -> None:
    """Let the module make its client by this function."""
    flash.RunpodGraphQLClient = make  # type: ignore[attr-defined]  # an attribute of the module


def keyed(client: Client) -> Client:
    """Return a client with an API key."""
    client.api_key = "rpa_0123456789ABCDEF"  # type: ignore[attr-defined]  # an attribute of Flash's
    return client


@pytest.fixture
def successor(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of runpod 2, beside which no runpod-flash is installed."""
    module, api = ModuleType("runpod"), ModuleType("runpod.apps.api")
    vars(module)["api_key"] = "canary-of-runpod-2"
    vars(api)["AppsApiClient"] = lambda: "the client of runpod 2"
    monkeypatch.setattr(errors, "_has_flash", lambda: False)
    for known in (module, ModuleType("runpod.apps"), api):
        monkeypatch.setitem(sys.modules, known.__name__, known)
    return module


def test_the_client_of_runpod_2(successor: ModuleType) -> None:
    """It is made with the key that runpod itself uses, and no text shows that key."""
    client = errors.make_client()
    assert isinstance(client, AppsClient)
    assert (client._api, client.api_key) == ("the client of runpod 2", "canary-of-runpod-2")
    assert client.has_manifests is False
    assert scrub("refused: canary-of-runpod-2") == "refused: [redacted]"
    vars(successor)["api_key"] = None
    with pytest.raises(errors.VerifyError, match="there is no Runpod API key"):
        errors.make_client()


def test_the_client_of_runpod_flash(flash: ModuleType) -> None:
    """It is made by its own class, and no text shows its key."""
    client = Client({})
    client.api_key = "canary-of-runpod-flash"  # type: ignore[attr-defined]  # an attribute of Flash's
    offer(flash, lambda: client)
    assert errors.make_client() is client
    assert scrub("refused: canary-of-runpod-flash") == "refused: [redacted]"


@pytest.mark.parametrize(
    ("loaded", "spec", "expected"),
    [(True, None, True), (False, None, False), (False, "a spec", True)],
    ids=["imported", "not installed", "installed"],
)
def test_whether_flash_is_installed(
    monkeypatch: pytest.MonkeyPatch, *, loaded: bool, spec: str | None, expected: bool
) -> None:
    """A module that is loaded counts, and so does one that could be."""
    names: list[str] = []

    def find_spec(name: str) -> str | None:
        names.append(name)
        return spec

    monkeypatch.setattr(util, "find_spec", find_spec)
    monkeypatch.setattr(errors, "_has_successor", lambda: False)
    if loaded:
        monkeypatch.setitem(sys.modules, "runpod_flash", ModuleType("runpod_flash"))
    else:
        monkeypatch.delitem(sys.modules, "runpod_flash", raising=False)
    assert errors.is_installed() is expected
    assert names == ([] if loaded else ["runpod_flash"])


def test_verify_from_end_to_end(flash: ModuleType, tmp_path: Path) -> None:
    """The folder's manifest, the record of the write path and the expected build all count."""
    offer(flash, lambda: keyed(Client({"env-1": PRODUCTION})))
    local = tmp_path / ".flash" / "flash_manifest.json"
    local.parent.mkdir()
    local.write_text(json.dumps({"project_name": "shop", "resources_endpoints": URLS}))
    with SpanStore(tmp_path / "spans.db") as store:
        store.write(recorded())
        found = verify("shop", "env-1", expected_build="build-2", folder=tmp_path, store=store)
        assert (found.verdict, found.was_recorded) == ("none", True)
        names = {check.name: check.result for check in found.checks}
        assert names["local_agrees"] == names["build_expected"] == "pass"
        store.write([replace(recorded()[0], attributes={}, trace_id="b" * 32)])
        other = verify("shop", "production", folder=tmp_path, expected_build="b-9", store=store)
        assert (other.verdict, other.subject.expected_build) == ("stale_build", "b-9")
    alone = verify("shop", "env-1", folder=tmp_path / ".flash")
    assert (alone.was_recorded, alone.subject.local) == (False, None)


def test_the_working_folder_is_compared_by_default(
    flash: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its manifest counts unless another folder is named."""
    offer(flash, lambda: keyed(Client({"env-1": PRODUCTION})))
    monkeypatch.setattr(resource, "flash_version", lambda: None)
    local = tmp_path / ".flash" / "flash_manifest.json"
    local.parent.mkdir()
    local.write_text(json.dumps({"project_name": "here"}))
    monkeypatch.chdir(tmp_path)
    found = verify("shop", "env-1")
    assert found.subject.local == LocalManifest("here")
    assert found.flash_version == ""
    assert verify("shop", "env-1", folder=local.parent).subject.local is None


def test_an_error_quotes_no_secret_of_the_environment(
    flash: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library's message may hold a password or a token of the process's variables."""
    token = "canary-of-a-verification-77d2"
    offer(flash, lambda: keyed(Client({}, OSError(f"refused to {token}"))))
    monkeypatch.setenv("SHOP_GATEWAY_TOKEN", token)
    with pytest.raises(errors.VerifyError) as caught:
        verify("shop", folder=tmp_path)
    assert caught.value.message == "the query for app 'shop' failed: refused to [redacted]"


def test_only_the_write_path_of_a_record_counts(flash: ModuleType, tmp_path: Path) -> None:
    """What workers read before is no evidence of what they would read now."""
    offer(flash, lambda: keyed(Client({"env-1": PRODUCTION})))
    stale = span(semconv.RUNTIME_FETCH, 40, build_id="build-1")
    with SpanStore(tmp_path / "spans.db") as store:
        store.write([*recorded(), stale])
        assert [record.name for record in _recorded(store, "env-1")] == [
            "flash.deploy",
            "flash.activate",
            "flash.manifest.upload",
        ]
        assert _recorded(store, "env-2") == []
        assert verify("shop", "env-1", folder=tmp_path, store=store).verdict == "none"


def test_verify_without_a_key_or_in_time(flash: ModuleType, tmp_path: Path) -> None:
    """A missing key, another error of the client, and a pending query are told apart."""

    def refuse() -> Any:
        raise RunpodAPIKeyError("no key")

    offer(flash, refuse)
    with pytest.raises(errors.VerifyError) as caught:
        verify("shop", folder=tmp_path)
    assert caught.value.message == errors.missing_key().message

    def fail() -> Any:
        raise LookupError("other")

    offer(flash, fail)
    with pytest.raises(LookupError, match="other"):
        verify("shop", folder=tmp_path)

    class Slow(Client):
        async def get_flash_build(self, known: str) -> Any:
            await asyncio.sleep(60)
            return known

    offer(flash, lambda: keyed(Slow({"env-1": PRODUCTION})))
    with pytest.raises(errors.VerifyError) as caught:
        verify("shop", "env-1", folder=tmp_path, seconds=0.1)
    assert caught.value.message == (
        "no answer within 0.1 s: the query for build build-2 was still pending."
    )


@pytest.mark.parametrize(
    ("version", "ways"), [("1.14.99", ["health"]), ("1.15", BOTH_WAYS), ("1.21.0", BOTH_WAYS)]
)
def test_verify_asks_the_sentinel_of_newer_versions(
    flash: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    ways: list[str],
) -> None:
    """Versions whose workers read no manifest route calls by name, so that way is asked, too."""
    module = ModuleType("runpod")
    module.endpoint_url_base = "http://127.0.0.1:1/v2"  # type: ignore[attr-defined]  # an attribute of runpod's
    monkeypatch.setitem(sys.modules, "runpod", module)
    monkeypatch.setattr(resource, "flash_version", lambda: version)
    offer(flash, lambda: keyed(Client({"env-1": PRODUCTION})))
    found = verify("shop", "env-1", call=True, folder=tmp_path)
    assert [call.by for call in found.subject.snapshot.calls] == ways
    assert found.flash_version == version
    assert verify("shop", "env-1", folder=tmp_path).subject.snapshot.calls == ()
