"""The wrappers of runpod 2, on functions with the signatures of its own.

What the calls and the late root of a deployment record; the real runpod is tested elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest

import flash_otel
from flash_otel import semconv
from flash_otel.testing import recording
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.runpod2 import TARGETS, late_root

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.testing import Recorded

WRAPPERS: Final = {target.name: target.wrapper for target in TARGETS}


def resource(kind: str) -> Any:
    """Return a resource of an app."""
    return SimpleNamespace(spec=SimpleNamespace(kind=SimpleNamespace(value=kind)))


@pytest.mark.parametrize(
    ("base", "api", "queue"),
    [
        (
            "https://api.runpod.example/v2",
            "https://ab12.api.runpod.example",
            "https://api.runpod.example/v2/cd34",
        ),
        (
            "http://127.0.0.1:8443/a/v2/",
            "http://ab12.127.0.0.1:8443",
            "http://127.0.0.1:8443/a/v2/cd34",
        ),
    ],
)
def test_the_urls_of_saved_endpoints(
    spans: Recorded, monkeypatch: pytest.MonkeyPatch, base: str, api: str, queue: str
) -> None:
    """A load-balanced endpoint has a subdomain, a queue a path below the address of all."""
    monkeypatch.setitem(sys.modules, "runpod", SimpleNamespace(endpoint_url_base=base))

    @WRAPPERS["reconcile_endpoints"]
    async def reconcile_endpoints(app: Any, environment: Any) -> dict[str, str]:
        assert app.resources
        assert environment.id
        return {"web": "ab12", "gpu": "cd34"}

    app = SimpleNamespace(resources={"web": resource("api"), "gpu": resource("queue")})
    environment = SimpleNamespace(id="e-1", name="production")
    asyncio.run(reconcile_endpoints(app, environment))
    (span,) = spans.named(semconv.PROVISION)
    assert span.attributes[semconv.ENDPOINT_NAMES] == ("web", "gpu")
    assert span.attributes[semconv.ENDPOINT_URLS] == (api, queue)
    assert span.attributes[semconv.ENVIRONMENT_ID] == "e-1"
    assert span.attributes[semconv.ENVIRONMENT_NAME] == "production"


@pytest.mark.parametrize(
    ("given", "action"), [({}, semconv.ACTION_CREATE), ({"id": "ab12"}, semconv.ACTION_UPDATE)]
)
def test_what_happens_to_an_endpoint(spans: Recorded, given: dict[str, str], action: str) -> None:
    """It is updated if its input has an id, else created."""

    @WRAPPERS["AppsApiClient.save_endpoint"]
    async def save_endpoint(endpoint_input: dict[str, str]) -> Any:
        return {"id": "ab12", **endpoint_input}

    asyncio.run(save_endpoint({**given, "name": "gpu", "flashEnvironmentId": "e-1"}))
    (span,) = spans.named(semconv.PROVISION_ENDPOINT)
    expected = {
        semconv.PROVISION_ACTION: action,
        semconv.RESOURCE_NAME: "gpu",
        semconv.ENVIRONMENT_ID: "e-1",
        semconv.ENDPOINT_ID: "ab12",
    }
    assert expected.items() <= dict(span.attributes).items()


@pytest.mark.parametrize("name", ["invoke", "submit", "request"])
def test_a_call(spans: Recorded, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It is remote, and has its target, and the build of the worker that makes it."""
    monkeypatch.setenv("RUNPOD_BUILD_ID", "b-own")

    class SentinelTarget:
        app_name, env_name, resource_name = "shop", "production", "gpu"

        @WRAPPERS[f"SentinelTarget.{name}"]
        async def call(self, method: str = "GET") -> str:
            return method

    asyncio.run(SentinelTarget().call())
    (span,) = spans.named(semconv.CALL)
    expected = {
        semconv.APP_NAME: "shop",
        semconv.ENVIRONMENT_NAME: "production",
        semconv.RESOURCE_NAME: "gpu",
        semconv.BUILD_ID: "b-own",
        semconv.CALL_ROUTE: "remote",
    }
    assert expected.items() <= dict(span.attributes).items()
    assert (semconv.HTTP_REQUEST_METHOD in span.attributes) is (name == "request")


def test_the_steps_of_an_upload(spans: Recorded, tmp_path: Path) -> None:
    """One span has the size, the key, the build, and how many endpoints the server stored."""
    artifact = tmp_path / "app.tar.gz"
    artifact.write_bytes(b"12345")
    stored = {
        "resources": [{"kind": "queue", "name": "gpu"}, {"kind": "api"}, {"kind": "task"}, "text"]
    }

    @WRAPPERS["build_artifact"]
    def build_artifact(folder: Path) -> Path:
        return folder / "app.tar.gz"

    @WRAPPERS["AppsApiClient.prepare_artifact_upload"]
    async def prepare(tarball_size: int) -> dict[str, str]:
        return {"objectKey": f"key-{tarball_size}"}

    @WRAPPERS["AppsApiClient.upload_tarball"]
    async def upload(url: str) -> str:
        return url

    @WRAPPERS["AppsApiClient.finalize_artifact_upload"]
    async def finalize(key: str) -> dict[str, Any]:
        return {"id": key.replace("key", "b"), "manifest": stored}

    @flash_otel.trace_deploy
    async def deploy() -> list[Any]:
        build_artifact(tmp_path)
        prepared = await prepare(5)
        return [await upload("https://storage"), await finalize(prepared["objectKey"])]

    assert asyncio.run(deploy()) == ["https://storage", {"id": "b-5", "manifest": stored}]
    (build,), (uploaded,) = spans.named(semconv.BUILD), spans.named(semconv.ARTIFACT_UPLOAD)
    assert build.attributes[semconv.ARTIFACT_SIZE] == 5
    expected = {
        semconv.ARTIFACT_SIZE: 5,
        semconv.ARTIFACT_OBJECT_KEY: "key-5",
        semconv.BUILD_ID: "b-5",
        semconv.PERSISTED_ENDPOINT_COUNT: 2,
    }
    assert expected.items() <= dict(uploaded.attributes).items()


def test_a_repeated_upload(spans: Recorded, tmp_path: Path) -> None:
    """The second attempt is an event of the upload, with the reason of the first one."""
    outcomes: list[Exception | None] = [ConnectionError("reset"), None]

    @WRAPPERS["AppsApiClient._put_tarball"]
    async def put_tarball(path: Path) -> None:
        assert path.name
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    @WRAPPERS["AppsApiClient.upload_tarball"]
    async def upload_tarball(path: Path) -> None:
        with pytest.raises(ConnectionError):
            await put_tarball(path)
        await put_tarball(path)

    @flash_otel.trace_deploy
    async def deploy() -> None:
        await upload_tarball(tmp_path)

    asyncio.run(deploy())
    (uploaded,) = spans.named(semconv.ARTIFACT_UPLOAD)
    (event,) = uploaded.events
    assert event.name == semconv.RETRY
    assert event.attributes == {
        "http.request.resend_count": 1,
        "flash.retry.reason": "ConnectionError: reset",
    }


# --- the late root -------------------------------------------------------------------------------

DEPLOYMENT: Final = """
async def deploy_app(app, *, env_name=None, end):
    local = "not an argument"
    build_environment()
    return await end()

async def build_app(app, *, env_name=None, end):
    build_environment()
    return await end()
"""


def bound_early(name: str = "deploy_app", module: str = "runpod.apps.deploy") -> Any:
    """Return a function of runpod 2 that was imported before tracing began."""
    build_environment = WRAPPERS["build_environment"](lambda: None)
    names: dict[str, Any] = {"__name__": module, "build_environment": build_environment}
    exec(DEPLOYMENT, names)  # noqa: S102 - a function of a module by its name
    return names[name]


async def succeeds() -> Any:
    """End like a deployment that succeeds."""
    await asyncio.sleep(0)
    return SimpleNamespace(build_id="b-1", environment_id="e-1")


async def fails() -> Any:
    """End like a deployment that fails."""
    await asyncio.sleep(0)
    raise LookupError("no app")


async def is_cancelled() -> Any:
    """End like a deployment that is cancelled."""
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("end", "raised", "expected"),
    [
        (
            succeeds,
            None,
            {"flash.build_id": "b-1", "flash.environment_id": "e-1", "flash.outcome": "returned"},
        ),
        (fails, LookupError, {"error.type": "LookupError", "flash.outcome": "failed"}),
        (is_cancelled, asyncio.CancelledError, {"flash.outcome": "cancelled"}),
    ],
)
def test_a_root_that_opens_late(
    spans: Recorded, end: Any, raised: type[BaseException] | None, expected: dict[str, str]
) -> None:
    """It opens with the build, has the arguments of the deployment, and ends as its task does."""
    deploy_app = bound_early()
    app = SimpleNamespace(name="shop", env="staging")
    deployment = deploy_app(app, env_name="production", end=end)
    if raised is None:
        asyncio.run(deployment)
    else:
        with pytest.raises(raised):
            asyncio.run(deployment)
    (root,) = spans.named(semconv.DEPLOY)
    assert root.attributes["flash.app_name"] == "shop"
    assert root.attributes["deployment.environment.name"] == "production"
    assert expected.items() <= dict(root.attributes).items()
    assert scopes.claim_root(semconv.DEPLOY) is None


def test_the_environment_of_the_app(spans: Recorded) -> None:
    """Without the option, the environment is that of the app."""
    asyncio.run(bound_early()(SimpleNamespace(name="shop", env="staging"), end=succeeds))
    (root,) = spans.named(semconv.DEPLOY)
    assert root.attributes["deployment.environment.name"] == "staging"


def test_a_deployment_in_a_task_of_other_code(spans: Recorded) -> None:
    """The end of that task is not the deployment's: the root ends with tracing, as unknown."""

    async def other() -> str:
        await bound_early()(SimpleNamespace(name="shop", env="staging"), end=succeeds)
        return "other"

    assert asyncio.run(other()) == "other"
    assert spans.records == []
    scopes.abandon_root()
    (root,) = spans.named(semconv.DEPLOY)
    assert root.attributes["flash.outcome"] == "unknown"


@pytest.mark.parametrize("name", ["deploy_app", "build_app"])
def test_no_second_root(spans: Recorded, name: str) -> None:
    """None opens inside a span, or for a function that only builds."""
    run = bound_early(name)(SimpleNamespace(name="shop", env="staging"), end=succeeds)

    @flash_otel.trace_deploy
    async def deploy() -> None:
        await run

    asyncio.run(deploy() if name == "deploy_app" else run)
    assert [span.name for span in spans.records if span.name == semconv.DEPLOY] == (
        [semconv.DEPLOY] if name == "deploy_app" else []
    )


@pytest.mark.parametrize(
    ("name", "module"), [("build_app", "runpod.apps.deploy"), ("deploy_app", "mine")]
)
def test_what_is_no_deployment(spans: Recorded, name: str, module: str) -> None:
    """A function of another name, or of another module, opens no root."""
    asyncio.run(bound_early(name, module)(SimpleNamespace(name="a", env="b"), end=succeeds))
    assert spans.records == []


@pytest.mark.parametrize(
    ("place", "step"), [("_open", "a late root"), ("Running", "the end of a late root")]
)
def test_a_fault_of_ours_does_not_reach_a_deployment(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, place: str, step: str
) -> None:
    """It ends as before, and the debug log has the step that failed."""

    def broken(*_: Any) -> Any:
        raise ValueError("ours")

    monkeypatch.delenv("FLASH_OTEL_RAISE")
    monkeypatch.setattr(late_root, place, broken)
    caplog.set_level(logging.DEBUG, logger="flash_otel")
    app = SimpleNamespace(name="shop", env="staging")
    with recording():
        assert asyncio.run(bound_early()(app, end=succeeds)).build_id == "b-1"
    logged = [entry.message for entry in caplog.records if "internal error" in entry.message]
    assert logged == [f"flash_otel: internal error in {step} (ignored)"]


def test_tracing_that_is_off() -> None:
    """Without tracing, a deployment just runs."""
    result = asyncio.run(bound_early()(SimpleNamespace(name="shop", env="staging"), end=succeeds))
    assert result.build_id == "b-1"
    assert scopes.claim_root(semconv.DEPLOY) is None
