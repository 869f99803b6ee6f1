"""A plain HTTP client of the control plane that deploys and reads as Flash does, in small."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx
from support.loopback import NO_AUTHORITIES

from flash_otel import semconv

if TYPE_CHECKING:
    from typing_extensions import Self

    from flash_otel.demo.control_plane import ControlPlane

CARRIER: Final = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "phase": "build"}

_MUTATIONS: Final = re.compile(r"create|Prepare|Finalize|deploy|save|update|delete")


@dataclass
class Outcome:
    """The outcome of a request: its data, or the reason for having none.

    Attributes:
        problem: An HTTP status, `error` or `lost`; None if it was answered.
        data: The answer's data.
    """

    problem: int | str | None
    data: Any = None


@dataclass
class Client:
    """A client of one control plane that remembers the problem of each operation.

    Attributes:
        plane: The control plane.
        problems: Operation -> its problem, for operations that failed.
    """

    plane: ControlPlane
    problems: dict[str, int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._http = httpx.Client(
            base_url=self.plane.base_url,
            headers={"Authorization": f"Bearer {self.plane.api_key}"},
            timeout=30,
            verify=NO_AUTHORITIES,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def graphql(self, operation: str, **variables: Any) -> Any:
        """Run a GraphQL operation and return its data, or None if there is a problem."""
        kind = "mutation" if _MUTATIONS.match(operation) else "query"
        # Without a selection: the stand-in answers with all that it has.
        body = {"query": f"\n  {kind} {operation}($input: X)", "variables": variables}
        outcome = self._ask("POST", "/graphql", json=body)
        if outcome.problem is None:
            outcome = self._unwrap(outcome.data)
        return self._note(operation, outcome)

    def put(self, url: str, content: bytes) -> Any:
        """Upload an artifact to a presigned URL, without the bearer token."""
        outcome = self._ask("PUT", url, content=content, headers={"Authorization": ""})
        return self._note("PUT artifact", outcome)

    def call(self, operation: str, path: str, **options: Any) -> Any:
        """Call an endpoint and return the answer, or None if there is a problem."""
        method = "GET" if path.endswith("/health") else "POST"
        return self._note(operation, self._ask(method, path, **options))

    def _ask(self, method: str, url: str, **options: Any) -> Outcome:
        try:
            response = self._http.request(method, url, **options)
        except httpx.TransportError:
            return Outcome("lost")
        if response.status_code != httpx.codes.OK:
            return Outcome(response.status_code)
        return Outcome(None, response.json())

    def _unwrap(self, answer: Any) -> Outcome:
        return Outcome("error") if "errors" in answer else Outcome(None, answer["data"])

    def _note(self, operation: str, outcome: Outcome) -> Any:
        if outcome.problem is not None:
            self.problems[operation] = outcome.problem
        return outcome.data


@dataclass
class Deployed:
    """The answers that a deployment received; None without an answer."""

    app_id: str = ""
    environment_id: str = ""
    build_id: str | None = None
    object_key: str | None = None
    activated_key: str | None = None
    echoed: Any = None
    endpoint_ids: dict[str, str] = field(default_factory=dict)


def deploy(client: Client, *, app: str = "app", environment: str = "production") -> Deployed:
    """Deploy two endpoints, `api` and `gpu_info`; go on as far as answers allow."""
    received = Deployed(app_id=_app_id(client, app, environment))
    if not received.app_id:
        return received
    by_name = {"flashAppId": received.app_id, "name": environment}
    answer = client.graphql("getFlashEnvironmentByName", input=by_name) or {}
    received.environment_id = (answer.get("flashEnvironmentByName") or {}).get("id", "")
    _upload(client, received)
    if received.build_id:
        _release(client, received)
    return received


def _app_id(client: Client, app: str, environment: str) -> str:
    found = client.graphql("getFlashAppByName", flashAppName=app)
    if found:
        return str(found["flashAppByName"]["id"])
    if client.problems.get("getFlashAppByName") == "error":
        del client.problems[
            "getFlashAppByName"
        ]  # "App not found": a first deployment's normal start
    created = client.graphql("createFlashApp", input={"name": app})
    if not created:
        return ""
    app_id = str(created["createFlashApp"]["id"])
    client.graphql("createFlashEnvironment", input={"flashAppId": app_id, "name": environment})
    return app_id


def _upload(client: Client, received: Deployed) -> None:
    size = {"flashAppId": received.app_id, "tarballSize": 3}
    prepared = client.graphql("PrepareArtifactUpload", input=size)["prepareFlashArtifactUpload"]
    received.object_key = prepared["objectKey"]
    client.put(prepared["uploadUrl"], b"tar")
    manifest = {"resources": {}, semconv.CARRIER_KEY: CARRIER}
    built = {"flashAppId": received.app_id, "objectKey": received.object_key, "manifest": manifest}
    finalized = client.graphql("FinalizeArtifactUpload", input=built)
    if finalized:
        received.build_id = finalized["finalizeFlashArtifactUpload"]["id"]


def _release(client: Client, received: Deployed) -> None:
    given = {"flashEnvironmentId": received.environment_id, "flashBuildId": received.build_id}
    activated = client.graphql("deployBuildToEnvironment", input=given)
    if activated:
        artifact = activated["deployBuildToEnvironment"]["activeArtifact"]
        received.activated_key = artifact["objectKey"]
    for name in ("api", "gpu_info"):
        fields = {"name": name, "type": "QB", "flashEnvironmentId": received.environment_id}
        saved = client.graphql("saveEndpoint", input=fields)
        if saved:
            received.endpoint_ids[name] = saved["saveEndpoint"]["id"]
    manifest = {
        "resources": {},
        "resources_endpoints": {
            name: f"{client.plane.base_url}/v2/{key}" for name, key in received.endpoint_ids.items()
        },
        semconv.CARRIER_KEY: {**CARRIER, "phase": "write"},
    }
    stored = {"flashBuildId": received.build_id, "manifest": manifest}
    written = client.graphql("updateFlashBuildManifest", input=stored)
    if written:
        received.echoed = written["updateFlashBuildManifest"]["manifest"]


@dataclass
class Read:
    """The answers that a worker received; `manifest` is None if it was null or not requested."""

    environment: Any = None
    manifest: Any = None


def read(client: Client, environment_id: str) -> Read:
    """Ask for environment, active build and manifest, as a worker does."""
    received = Read()
    answer = client.graphql("getFlashEnvironment", flashEnvironmentId=environment_id) or {}
    received.environment = answer.get("flashEnvironment")
    build_id = (received.environment or {}).get("activeBuildId")
    if build_id:
        built = client.graphql("getFlashBuild", input=build_id) or {}
        received.manifest = (built.get("flashBuild") or {}).get("manifest")
    return received
