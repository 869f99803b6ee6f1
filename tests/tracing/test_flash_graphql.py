"""The wrappers of Flash's client and deployment, on functions with their signatures.

What a request, its retries and its answer leave on spans; the real Flash is tested elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest
import typer

import flash_otel
from flash_otel import semconv
from flash_otel.testing import recording
from flash_otel.tracing.decorators import wrap
from flash_otel.tracing.flash import COMMANDS, TARGETS, graphql

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.records import SpanRecord
    from flash_otel.testing import Recorded

WRAPPERS: Final = {target.name: target.wrapper for target in TARGETS}
QUERY: Final = "query getFlashBuild($id: ID!) { id }"
DEPLOY_MODULE: Final = "runpod_flash.cli.commands.deploy"


class RejectedError(Exception):
    """An error of Flash's client, with the status of the answer or its errors."""

    def __init__(self, message: str, **more: Any) -> None:
        super().__init__(message)
        vars(self).update(more)


class Client:
    """Flash's client: each request is tried until one of the given outcomes is an answer."""

    api_key = "rpa_0123456789ABCDEF"

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)

    @WRAPPERS["RunpodGraphQLClient._execute_graphql"]
    async def _execute_graphql(self, query: str = QUERY, variables: Any = None) -> Any:
        while True:
            try:
                return await self._execute_graphql_once(query, variables)
            except ConnectionError:
                continue

    @WRAPPERS["RunpodGraphQLClient._execute_graphql_once"]
    async def _execute_graphql_once(self, query: str, variables: Any) -> Any:
        assert query
        assert variables is None or isinstance(variables, dict)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @flash_otel.trace_upload
    async def update_build_manifest(self, build_id: str, manifest: Any) -> Any:
        """Upload a manifest with two requests."""
        assert (build_id, manifest) == ("b-1", {})
        await self._execute_graphql()
        return await self._execute_graphql(query="mutation m { id }", variables={"a": 1})


def retries(span: SpanRecord) -> list[dict[str, Any]]:
    """Return the attributes of a span's retries."""
    return [dict(event.attributes) for event in span.events if event.name == semconv.RETRY]


def test_repeated_requests_are_events(spans: Recorded) -> None:
    """Each attempt after the first is an event with its number and why the last one failed."""
    client = Client(ConnectionError("first"), ConnectionError("second"), {}, ConnectionError(), {})
    asyncio.run(client.update_build_manifest("b-1", {}))
    (span,) = spans.named(semconv.MANIFEST_UPLOAD)
    assert retries(span) == [
        {"http.request.resend_count": 1, "flash.retry.reason": "ConnectionError: first"},
        {"http.request.resend_count": 2, "flash.retry.reason": "ConnectionError: second"},
        {"http.request.resend_count": 1, "flash.retry.reason": "ConnectionError"},
    ]


@pytest.mark.parametrize("place", ["api_key", "_api_key", "runpod"])
def test_the_key_of_a_client_is_secret(
    spans: Recorded, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The API key is redacted from what is recorded later, wherever the client keeps it."""
    key = "key0of0the0client"
    client = Client({}, LookupError(f"no build for {key}"))
    monkeypatch.delattr(Client, "api_key")
    if place == "runpod":
        monkeypatch.setitem(sys.modules, "runpod", SimpleNamespace(api_key=key))
    else:
        setattr(client, place, key)
    with pytest.raises(LookupError, match=key):
        asyncio.run(client.update_build_manifest("b-1", {}))
    (span,) = spans.named(semconv.MANIFEST_UPLOAD)
    assert span.status_message == "LookupError: no build for [redacted]"
    assert key not in repr(spans.records)


def test_a_request_by_keyword(spans: Recorded) -> None:
    """Its operation and variables are noted, however they are passed."""

    class Manager:
        @WRAPPERS["ResourceManager.get_or_deploy_resource"]
        async def get_or_deploy_resource(self, config: Any) -> Any:
            query = "mutation saveEndpoint { id }"
            await Client({})._execute_graphql(query=query, variables={"input": {"id": config}})

    asyncio.run(Manager().get_or_deploy_resource("e-1"))
    (span,) = spans.named(semconv.PROVISION_ENDPOINT)
    assert span.attributes[semconv.PROVISION_ACTION] == semconv.ACTION_UPDATE


def test_requests_outside_of_a_span(spans: Recorded) -> None:
    """They are passed on, with or without tracing."""
    assert asyncio.run(Client(ConnectionError(), {"a": 1})._execute_graphql()) == {"a": 1}
    flash_otel.uninstrument()
    assert asyncio.run(Client(ConnectionError(), ["a"])._execute_graphql()) == ["a"]
    assert spans.records == []


class Capturing:
    """A client of which each request is a span."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    async def _execute_graphql_once(self, query: str, variables: Any = None) -> Any:
        assert query or variables
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def captured(outcome: Any, query: str = QUERY, **variables: Any) -> dict[str, Any]:
    """Send a request; return the attributes of its span that are about the request."""
    plain = Capturing._execute_graphql_once
    traced = wrap(plain, graphql.captured(plain))
    with recording() as spans:
        if isinstance(outcome, Exception):
            with pytest.raises(type(outcome)):
                asyncio.run(traced(Capturing(outcome), query, **variables))
        else:
            assert asyncio.run(traced(Capturing(outcome), query, **variables)) is outcome
    (span,) = spans.named(semconv.GRAPHQL)
    ours = ("graphql.", "http.", "flash.graphql")
    return {name: value for name, value in span.attributes.items() if name.startswith(ours)}


def test_a_request_as_a_span() -> None:
    """It has the operation, both sizes, the status and the redacted answer."""
    answer = {"flashBuild": {"id": "b-1", "secret": "é"}}
    assert captured(answer, variables={"id": "b-1"}) == {
        "graphql.operation.name": "getFlashBuild",
        "graphql.operation.type": "query",
        "http.request.body.size": len(
            json.dumps({"query": QUERY, "variables": {"id": "b-1"}}).encode()
        ),
        "http.response.body.size": len(json.dumps({"data": answer}).encode()),
        "http.response.status_code": 200,
        "flash.graphql.answer": '{"flashBuild": {"id": "b-1", "secret": "[redacted]"}}',
    }
    whole = captured({"data": answer}, variables={"id": "b-1"})  # as the function of runpod 2
    assert whole["flash.graphql.answer"] == captured(answer)["flash.graphql.answer"]
    assert whole["http.response.body.size"] == len(json.dumps({"data": answer}).encode())
    bare = captured({}, "{ id }")
    assert "graphql.operation.name" not in bare
    assert bare["http.request.body.size"] == len('{"query": "{ id }", "variables": {}}')


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RejectedError("no", status_code=503), 503),
        (RejectedError("no", errors=["no"]), 200),
        (RejectedError("no"), None),
    ],
)
def test_a_failed_request_as_a_span(error: Exception, status: int | None) -> None:
    """The status is that of the answer; without one there is none, and no answer is shown."""
    found = captured(error)
    assert found.get("http.response.status_code") == status
    assert "flash.graphql.answer" not in found


class ResourceManager:
    """Deploys resources with the requests that are given."""

    @WRAPPERS["ResourceManager.get_or_deploy_resource"]
    async def get_or_deploy_resource(self, config: Any) -> Any:
        """Send the requests of the resource."""
        client = Client(*({} for _ in config.requests))
        for operation, given in config.requests:
            await client._execute_graphql(f"mutation {operation} {{ id }}", given)
        if config.fails:
            raise RuntimeError("no capacity")
        return config


SAVE: Final = ("saveEndpoint", {"input": {"name": "gpu"}})
AGAIN: Final = ("saveEndpoint", {"input": {"id": "qb2", "name": "gpu"}})
OTHER: Final = ("saveTemplate", {"input": {"id": "t-1"}})


@pytest.mark.parametrize(
    ("requests", "fails", "action"),
    [
        ([], False, "reuse"),
        ([OTHER], False, "reuse"),
        ([OTHER, SAVE], False, "create"),
        ([AGAIN], False, "update"),
        ([SAVE], True, "create"),
        ([OTHER], True, None),
    ],
)
def test_what_happened_to_an_endpoint(
    spans: Recorded, requests: list[Any], *, fails: bool, action: str | None
) -> None:
    """The request that saves it shows whether it was created, updated or left as it was."""
    config = SimpleNamespace(requests=requests, fails=fails, flashEnvironmentId="env-1")
    if fails:
        with pytest.raises(RuntimeError, match="no capacity"):
            asyncio.run(ResourceManager().get_or_deploy_resource(config))
    else:
        asyncio.run(ResourceManager().get_or_deploy_resource(config))
    (span,) = spans.named(semconv.PROVISION_ENDPOINT)
    assert span.attributes.get(semconv.PROVISION_ACTION) == action
    assert span.attributes[semconv.ENVIRONMENT_ID] == "env-1"


class ManifestBuilder:
    """Flash's builder of manifests."""

    @WRAPPERS["ManifestBuilder.build"]
    def build(self, made: Any) -> Any:
        """Return the manifest."""
        return made


def test_the_manifest_of_a_build_carries_its_deployment(spans: Recorded) -> None:
    """Inside a span the manifest is copied with a carrier; elsewhere it is the same object."""
    plain: dict[str, Any] = {"resources": {"gpu": {}}}

    @flash_otel.trace_deploy
    def deploy() -> Any:
        assert ManifestBuilder().build("text") == "text"
        return ManifestBuilder().build(plain)

    carried = deploy()
    (root,) = spans.named(semconv.DEPLOY)
    assert carried["resources"] == plain["resources"]
    assert carried[semconv.CARRIER_KEY]["phase"] == "build"
    assert carried[semconv.CARRIER_KEY]["deployment_id"] == root.span_id
    assert carried[semconv.CARRIER_KEY]["traceparent"].split("-")[1:3] == [
        root.trace_id,
        root.span_id,
    ]
    assert semconv.CARRIER_KEY not in plain
    assert ManifestBuilder().build(plain) is plain
    assert len(spans.records) == 1
    flash_otel.uninstrument()
    assert deploy() is plain


@pytest.mark.parametrize(
    ("module", "function", "opens"),
    [
        (DEPLOY_MODULE, "deploy_command", True),
        (DEPLOY_MODULE, "send_command", False),
        ("app", "deploy_command", False),
    ],
)
def test_a_deployment_that_runs_when_tracing_begins(
    module: str, function: str, *, opens: bool
) -> None:
    """Its root opens at the build; a command that only builds opens none."""
    names: dict[str, Any] = {"__name__": module, "build": ManifestBuilder().build}
    exec(f"def {function}(made):\n    return build(made)", names)  # noqa: S102 - a function of a module by its name
    with recording() as spans:
        made = names[function]({})
        assert (semconv.CARRIER_KEY in made) is opens
        if opens:
            # The next traced function of that deployment takes the root over.
            @flash_otel.trace_deploy
            def resolve_and_deploy() -> None:
                return None

            resolve_and_deploy()
    assert [span.name for span in spans.records] == ["flash.deploy"] * opens
    if opens:
        assert made[semconv.CARRIER_KEY]["deployment_id"] == spans.records[0].span_id


def test_the_size_of_an_artifact(spans: Recorded, tmp_path: Path) -> None:
    """The sizes are those of the files that were built and uploaded."""
    artifact = tmp_path / "artifact.tar.gz"
    artifact.write_bytes(b"12345")

    @WRAPPERS["run_build"]
    def run_build(project_dir: Any) -> Any:
        return project_dir / "artifact.tar.gz"

    class FlashApp:
        @WRAPPERS["FlashApp.upload_build"]
        async def upload_build(self, tar_path: Any) -> None:
            assert tar_path == str(artifact)

    run_build(tmp_path)
    asyncio.run(FlashApp().upload_build(str(artifact)))
    sizes = [span.attributes[semconv.ARTIFACT_SIZE] for span in spans.records]
    assert sizes == [5, 5]


def test_what_typer_holds_is_wrapped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and those of groups are the wrapped functions while tracing is active, only."""

    def deploy_command() -> str:
        return "deployed"

    def other_command() -> str:
        return "other"

    app, group = typer.Typer(), typer.Typer()
    app.command("deploy")(deploy_command)
    app.command("other")(other_command)
    group.command("send")(deploy_command)
    app.add_typer(group, name="group")
    deploy_module, main_module = ModuleType(DEPLOY_MODULE), ModuleType(COMMANDS[0].module)
    vars(deploy_module)["deploy_command"] = deploy_command
    vars(main_module)[COMMANDS[0].name] = app
    for module in (deploy_module, main_module):
        monkeypatch.setitem(sys.modules, module.__name__, module)

    def held() -> list[Any]:
        commands = (*app.registered_commands, *group.registered_commands)
        return [command.callback for command in commands]

    before = held()
    # The first time by import hooks, unless this process has them already; then without.
    for _ in range(2):
        with recording() as spans:
            deploy, other, send = held()
            assert deploy is send is vars(deploy_module)["deploy_command"] is not deploy_command
            assert other is other_command
            assert send() == "deployed"
        assert [span.name for span in spans.records] == ["flash.deploy"]
        # A wrapper equals what it wraps.
        assert list(map(id, held())) == list(map(id, before))
        assert vars(deploy_module)["deploy_command"] is deploy_command


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("_sentinel_qb_post", {"app": "shop", "env": "production", "endpoint_name": "gpu"}),
        (
            "sentinel_lb_request",
            {"method": "GET", "app": "shop", "env": "production", "endpoint_name": "gpu"},
        ),
    ],
)
def test_a_call_that_the_server_routes(spans: Recorded, name: str, given: dict[str, str]) -> None:
    """It is remote, and has the target that the client names."""

    async def post(
        method: str = "POST", app: str = "", env: str = "", endpoint_name: str = ""
    ) -> Any:
        return {"id": f"{method}-{app}-{env}-{endpoint_name}"}

    asyncio.run(WRAPPERS[name](post)(**given))
    (span,) = spans.named(semconv.CALL)
    expected = {
        semconv.APP_NAME: "shop",
        semconv.ENVIRONMENT_NAME: "production",
        semconv.RESOURCE_NAME: "gpu",
        semconv.CALL_ROUTE: "remote",
        **({semconv.HTTP_REQUEST_METHOD: "GET"} if "method" in given else {}),
    }
    assert expected.items() <= dict(span.attributes).items()
    assert (semconv.HTTP_REQUEST_METHOD in span.attributes) is ("method" in given)


def test_capturing_wraps_the_request_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `capture_graphql` a request has a span, and a retry is still an event around it."""

    class RunpodGraphQLClient:
        def __init__(self) -> None:
            self.outcomes: list[Any] = [ConnectionError("first"), {}]

        async def _execute_graphql(self, query: str) -> Any:
            while True:
                try:
                    return await self._execute_graphql_once(query)
                except ConnectionError:
                    continue

        async def _execute_graphql_once(self, query: str) -> Any:
            outcome = self.outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return {query: outcome}

        async def update_build_manifest(self, build_id: str, manifest: Any) -> Any:
            return await self._execute_graphql(f"mutation {build_id} {{ {len(manifest)} }}")

    module = ModuleType("runpod_flash.core.api.runpod")
    vars(module)["RunpodGraphQLClient"] = RunpodGraphQLClient
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with recording(capture_graphql=True) as spans:
        asyncio.run(RunpodGraphQLClient().update_build_manifest("b", {}))
    upload, *requests = spans.records
    assert [span.name for span in requests] == ["flash.graphql", "flash.graphql"]
    assert retries(upload) == [
        {"http.request.resend_count": 1, "flash.retry.reason": "ConnectionError: first"}
    ]
    with recording() as spans:
        asyncio.run(RunpodGraphQLClient().update_build_manifest("b", {}))
    assert [span.name for span in spans.records] == ["flash.manifest.upload"]


URL: Final = "https://api.example:8443/graphql"


@pytest.mark.parametrize("place", ["class", "module"])
def test_the_server_of_a_request_is_on_its_span(
    place: str, spans: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's class names the API's URL, or (from 1.15) its module does."""
    monkeypatch.setattr(
        Client if place == "class" else sys.modules[__name__], "GRAPHQL_URL", URL, raising=False
    )
    asyncio.run(Client({}, {}).update_build_manifest("b-1", {}))
    (span,) = spans.named(semconv.MANIFEST_UPLOAD)
    assert span.attributes[semconv.SERVER_ADDRESS] == "api.example"


@pytest.mark.parametrize("url", [None, "", 7, "https://[", "no url"])
def test_an_unusable_url_names_no_server(
    url: Any, spans: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the attribute is missing, and the request is passed on."""
    monkeypatch.setattr(Client, "GRAPHQL_URL", url, raising=False)
    asyncio.run(Client({}, {}).update_build_manifest("b-1", {}))
    (span,) = spans.named(semconv.MANIFEST_UPLOAD)
    assert semconv.SERVER_ADDRESS not in span.attributes
