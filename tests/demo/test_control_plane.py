from __future__ import annotations

import json
from dataclasses import asdict

import httpx
import pytest
from support import loopback
from support.client import Client, deploy, read

from flash_otel.demo import graphql
from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.state import AI_KEY_CANARY, CREDENTIAL_CANARY, SIGNATURE_CANARY


def ask(plane: ControlPlane, query: str, **variables: object) -> httpx.Response:
    """Send one GraphQL document with the right key."""
    return loopback.post(
        f"{plane.base_url}/graphql",
        json={"query": query, "variables": variables},
        headers={"Authorization": f"Bearer {plane.api_key}"},
    )


def test_it_listens_on_loopback_only(control_plane: ControlPlane) -> None:
    """The stand-in is reachable from this machine alone, on a port the system chose."""
    url = httpx.URL(control_plane.base_url)
    assert url.host == "127.0.0.1"
    assert url.port not in (None, 0)


def test_two_run_side_by_side() -> None:
    """Planes do not share ports or state."""
    with ControlPlane() as first, ControlPlane() as second:
        with Client(first) as client:
            deploy(client)
        assert first.base_url != second.base_url
        assert second.state.apps == {}


@pytest.mark.parametrize("key", [None, "", "Bearer wrong", "wrong"])
def test_only_the_right_key_is_let_in(control_plane: ControlPlane, key: str | None) -> None:
    """Without the right bearer token nothing takes effect and the answer is 401."""
    headers = {} if key is None else {"Authorization": key}
    body = {"query": "mutation createFlashApp { x }", "variables": {"input": {"name": "x"}}}
    response = loopback.post(f"{control_plane.base_url}/graphql", json=body, headers=headers)
    assert response.status_code == 401
    assert response.json()["errors"]
    assert control_plane.state.apps == {}
    assert control_plane.journal.entries[0].status == 401


def test_an_artifact_needs_its_presigned_query(control_plane: ControlPlane) -> None:
    """An upload without the signature in its query string is refused, whatever its headers."""
    with Client(control_plane) as client:
        client.put(f"{control_plane.base_url}/artifacts/a/b.tar.gz", b"tar")
    assert client.problems == {"PUT artifact": 401}
    assert control_plane.state.artifacts == {}


def test_presigned_url_is_a_credential_that_the_journal_leaves_out(
    control_plane: ControlPlane,
) -> None:
    """The upload URL carries canaries in its query; the journal keeps the path alone."""
    with Client(control_plane) as client:
        deployed = deploy(client)
        given = {"flashAppId": deployed.app_id, "tarballSize": 3}
        url = client.graphql("PrepareArtifactUpload", input=given)["prepareFlashArtifactUpload"]
    assert SIGNATURE_CANARY in url["uploadUrl"]
    assert CREDENTIAL_CANARY in url["uploadUrl"]
    (entry,) = control_plane.journal.of("PUT artifact")
    assert entry.path == f"/artifacts/{deployed.object_key}"
    assert not entry.bearer


def test_first_deployment_asks_for_an_app_that_is_not_found(control_plane: ControlPlane) -> None:
    """An unknown app is a GraphQL error with Flash's own wording, not an HTTP error."""
    response = ask(control_plane, "query getFlashAppByName { x }", flashAppName="nope")
    assert response.status_code == 200
    assert response.json() == {"errors": [{"message": "App not found"}]}


def test_unknown_operation_and_empty_document_are_errors(control_plane: ControlPlane) -> None:
    """What the stand-in does not know is refused by name, never answered with nothing."""
    for query in ("query doSomethingElse { x }", "", "{ anonymous }"):
        assert "errors" in ask(control_plane, query).json()


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("query getFlashBuild($input: String!) { x }", "getFlashBuild"),
        ("\n    mutation\n  saveEndpoint(...) {}", "saveEndpoint"),
        ("query{x}", ""),
    ],
)
def test_operation_name(query: str, name: str) -> None:
    """The first words of a document name its operation."""
    assert graphql.operation_name(query) == name


def test_unknown_environment_and_build_are_null(control_plane: ControlPlane) -> None:
    """The API answers null for ids that it does not know, with status 200."""
    with Client(control_plane) as client:
        assert read(client, "nope").environment is None
        assert client.graphql("getFlashBuild", input="nope") == {"flashBuild": None}
    assert client.problems == {}


def test_finalize_needs_the_upload(control_plane: ControlPlane) -> None:
    """A build cannot be finalized before its artifact is there."""
    with Client(control_plane) as client:
        app_id = deploy(client).app_id
        given = {"flashAppId": app_id, "objectKey": "not/uploaded", "manifest": {}}
        assert client.graphql("FinalizeArtifactUpload", input=given) is None
    assert client.problems == {"FinalizeArtifactUpload": "error"}


def test_answers_do_not_alias_the_state(control_plane: ControlPlane) -> None:
    """Changing what was sent or answered does not change what is stored."""
    state = control_plane.state
    app = state.create_app("app")
    build = state.create_build(app.id, "key", {"resources": {}})
    answer = graphql.execute(state, "getFlashBuild", {"input": build.id})
    answer["flashBuild"]["manifest"]["resources"]["x"] = 1
    assert build.manifest == {"resources": {}}


def test_saving_an_endpoint_again_updates_it(control_plane: ControlPlane) -> None:
    """With an id, `saveEndpoint` keeps id, key and template, and raises the version."""
    fields = {
        "name": "api",
        "type": "LB",
        "template": {"name": "t", "env": [{"key": "A", "value": "1"}]},
    }
    with Client(control_plane) as client:
        first = client.graphql("saveEndpoint", input=fields)["saveEndpoint"]
        again = client.graphql("saveEndpoint", input={"id": first["id"], "name": "api", "x": 1})
        second = again["saveEndpoint"]
        given = {"id": first["templateId"], "env": [{"key": "A", "value": "2"}]}
        client.graphql("saveTemplate", input=given)
        template = client.graphql("getTemplate", id=first["templateId"])["podTemplate"]
        exists = client.graphql("getEndpoint", id=first["id"])["myself"]["endpoint"]
    assert first["aiKey"].startswith(AI_KEY_CANARY)
    same = ("id", "aiKey", "templateId", "name")
    assert [second[key] for key in same] == [first[key] for key in same]
    assert (first["version"], second["version"]) == (1, 2)
    assert template["env"] == [{"key": "A", "value": "2"}]
    assert exists == {"id": first["id"]}


def test_a_load_balancers_template_gets_the_platforms_variables(
    control_plane: ControlPlane,
) -> None:
    """PORT and PORT_HEALTH are added once, to load balancers only."""
    with Client(control_plane) as client:
        kinds = {
            kind: client.graphql("saveEndpoint", input={"name": kind, "type": kind, "template": {}})
            for kind in ("LB", "QB")
        }
    env = {
        kind: control_plane.state.templates[answer["saveEndpoint"]["templateId"]].env
        for kind, answer in kinds.items()
    }
    assert env == {"LB": {"PORT": "80", "PORT_HEALTH": "80"}, "QB": {}}


def test_calls_of_known_and_unknown_endpoints(control_plane: ControlPlane) -> None:
    """A queue-based endpoint is healthy and answers; an unknown one is 404."""
    with Client(control_plane) as client:
        known = deploy(client).endpoint_ids["gpu_info"]
        health = client.call("health", f"/v2/{known}/health")
        job = client.call("runsync", f"/v2/{known}/runsync", json={"input": {"a": 1}})
        assert client.problems == {}
        client.call("health", "/v2/nope/health")
        client.call("run", "/v2/nope/run", json={"input": {}})
    assert health["workers"]["idle"] == 1
    assert job["status"] == "COMPLETED"
    assert job["output"]["input"] == {"a": 1}
    assert client.problems == {"health": 404, "run": 404}


@pytest.mark.parametrize("wrong", ["X-Flash-App", "X-Flash-Environment", "X-Flash-Endpoint"])
def test_sentinel_knows_a_target_by_all_three_headers(
    control_plane: ControlPlane, wrong: str
) -> None:
    """A call by header is 404 if app, environment or endpoint is another one or missing."""
    headers = {
        "X-Flash-App": "app",
        "X-Flash-Environment": "production",
        "X-Flash-Endpoint": "gpu_info",
    }
    with Client(control_plane) as client:
        deploy(client)
        for value in ("other", ""):
            client.problems.clear()
            changed = {**headers, wrong: value}
            client.call("sentinel", "/v2/flash/runsync", headers=changed, json={"input": {}})
            assert client.problems == {"sentinel": 404}


def test_same_seed_gives_same_ids() -> None:
    """Two planes with one seed hand out the same ids; without a seed they never do."""
    outcomes = []
    for seed in (7, 7, None, None):
        with ControlPlane(seed=seed) as plane, Client(plane) as client:
            outcomes.append(deploy(client))
    assert outcomes[0].endpoint_ids == outcomes[1].endpoint_ids
    assert outcomes[0].build_id == outcomes[1].build_id
    assert len({deployed.build_id for deployed in outcomes}) == 3


def test_journal_has_no_secrets(control_plane: ControlPlane) -> None:
    """Each request has an entry that can be written as JSON; keys and tokens are replaced."""
    env = [{"key": "RUNPOD_API_KEY", "value": "SECRET"}, {"key": "OTHER", "value": "kept"}]
    with Client(control_plane) as client:
        build_id = deploy(client).build_id
        client.graphql("saveEndpoint", input={"name": "x", "template": {"env": env}})
        manifest = {"resources": {"x": {"aiKey": "SECRET", "env": {"RUNPOD_API_KEY": "SECRET"}}}}
        given = {"flashBuildId": build_id, "manifest": manifest}
        client.graphql("updateFlashBuildManifest", input=given)
    entries = control_plane.journal.entries
    text = json.dumps([asdict(entry) for entry in entries])
    assert [entry.operation for entry in entries] == control_plane.journal.operations
    assert "SECRET" not in text
    assert "kept" in text
    assert control_plane.api_key not in text
    assert {entry.status for entry in entries} == {200}
