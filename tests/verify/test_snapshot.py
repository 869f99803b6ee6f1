"""The parts of a snapshot: what is read of a folder, of answers of any shape, and as a span."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from verify.subjects import BUILD, DEPLOYMENT, URLS, WRITTEN, carried, manifest

from flash_otel import semconv as sc
from flash_otel.manifest import digest
from flash_otel.redaction import remember, scrub
from flash_otel.tracing import carriers
from flash_otel.verify import snapshot
from flash_otel.verify.snapshot import (
    LOCAL_PATH,
    FetchedEnvironment,
    LocalManifest,
    Ref,
    environment_of,
    owner_of,
    read_local,
    record,
    refs,
    with_id,
)

if TYPE_CHECKING:
    from pathlib import Path


BUILT = manifest(URLS, carried("build"))


def written(folder: Path, text: str) -> Path:
    """Write the manifest of a project's folder, and return the folder."""
    path = folder / LOCAL_PATH
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, LocalManifest()),
        ({"project_name": 7, "resources": [], "resources_endpoints": "no"}, LocalManifest()),
        (
            {"project_name": "shop", **BUILT},
            LocalManifest("shop", ("api", "gpu"), URLS, carriers.read(BUILT)),
        ),
    ],
    ids=["empty", "of other types", "whole"],
)
def test_the_manifest_of_a_folder(
    tmp_path: Path, found: dict[str, Any], expected: LocalManifest
) -> None:
    """It has an app, resources, endpoints and a carrier, as far as they have the right type."""
    assert read_local(written(tmp_path, json.dumps(found))) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "it is not a JSON object"),
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ('{"a": ' + " " * 95, "it is larger than 100 bytes"),
    ],
    ids=["a list", "no JSON", "large"],
)
def test_why_the_manifest_of_a_folder_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, problem: str
) -> None:
    """The problem is given in words, and nothing else is known then."""
    monkeypatch.setattr(snapshot, "MAX_LOCAL_BYTES", 100)
    assert read_local(written(tmp_path, text)) == LocalManifest(problem=problem)
    assert read_local(written(tmp_path, "{}" + " " * 98)) == LocalManifest()


def test_a_problem_without_a_text_has_the_name_of_its_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Some errors of the system have no text."""

    def refuse(_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(json, "loads", refuse)
    assert read_local(written(tmp_path, "{}")) == LocalManifest(problem="RecursionError")


def test_a_folder_in_place_of_the_manifest(tmp_path: Path) -> None:
    """It is no manifest."""
    (tmp_path / LOCAL_PATH).mkdir(parents=True)
    assert read_local(tmp_path) is None


def test_secrets_of_a_folder_are_hidden(tmp_path: Path) -> None:
    """No text shows the secrets of the resources that its manifest describes."""
    canary = "canary-of-a-folder-81b3"
    found = {"resources": {"api": {"env": {"SERVICE_TOKEN": canary}}}}
    read_local(written(tmp_path, json.dumps(found)))
    assert scrub(f"refused: {canary}") == "refused: [redacted]"


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (None, []),
        ({"id": "a"}, []),
        ([{"id": ""}, {"id": 7}, {"name": "x"}, None, "a"], []),
        ([{"id": "a"}, {"id": "b", "name": ""}], [Ref("a", "a"), Ref("b", "b")]),
        ([{"id": "a", "name": "api"}, {"id": "b", "name": 7}], [Ref("a", "api"), Ref("b", "b")]),
    ],
    ids=["null", "an object", "nothing with an id", "without names", "with names"],
)
def test_ids_and_names_of_an_answer(listed: object, expected: list[Ref]) -> None:
    """Items without an id are left out, and the id stands for a missing name."""
    assert list(refs(listed)) == expected
    assert [known for known, _ in with_id(listed)] == [ref.id for ref in expected]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, FetchedEnvironment("env-1", "production", is_known=False)),
        ([], FetchedEnvironment("env-1", "production", is_known=False)),
        (
            {"activeBuildId": BUILD, "endpoints": [{"id": "lb1", "name": "api"}]},
            FetchedEnvironment("env-1", "production", True, BUILD, (Ref("lb1", "api"),)),  # noqa: FBT003 - is_known
        ),
        (
            {"activeBuildId": BUILD, "endpoints": {}},
            FetchedEnvironment("env-1", "production", active_build_id=BUILD),
        ),
    ],
    ids=["null", "a list", "whole", "without a list of endpoints"],
)
def test_an_environment_of_an_answer(answer: object, expected: FetchedEnvironment) -> None:
    """It keeps its id and name, and what the answer lacks stays unknown."""
    assert environment_of(Ref("env-1", "production"), answer) == expected


@pytest.mark.parametrize(
    ("url", "owner"),
    [
        ("https://api.example/v2/lb1/run", "lb1"),
        ("https://user@lb1.api.example:8080/qb2", "lb1"),
        ("https://api.example/lb1.qb2", None),
        ("https://api.example?id=lb1#qb2", None),
        ("https://api.lb1.example", None),
    ],
)
def test_the_owner_of_a_url(url: str, owner: str | None) -> None:
    """Only whole parts of the path and the first of the host count, and the first owner wins."""
    found = owner_of(url, (Ref("lb1", "api"), Ref("qb2", "gpu")))
    assert (found.id if found else None) == owner


ACTIVE = {"activeBuildId": BUILD, "name": "production"}
OF_ACTIVE = {
    sc.ENVIRONMENT_ID: "env-1",
    sc.ENVIRONMENT_STATE: sc.ENVIRONMENT_ACTIVE,
    sc.BUILD_ID: BUILD,
    sc.ENVIRONMENT_NAME: "production",
    sc.OUTCOME: sc.RETURNED,
}
OF_URLS = {
    sc.MANIFEST_STATE: sc.MANIFEST_COMPLETE,
    sc.MANIFEST_KEYS: ("resources", "resources_endpoints"),
    sc.ENDPOINT_COUNT: 2,
    sc.ENDPOINT_NAMES: ("api", "gpu"),
    sc.ENDPOINTS_DIGEST: digest(URLS),
}
OF_WRITTEN = {
    sc.ACTIVE_DEPLOYMENT_ID: DEPLOYMENT,
    sc.ACTIVE_PHASE: sc.PHASE_WRITE,
    sc.ACTIVE_ENDPOINT_COUNT: 2,
}


@pytest.mark.parametrize(
    ("environment", "stored", "has_manifest", "expected"),
    [
        (ACTIVE, manifest(URLS), True, {**OF_ACTIVE, **OF_URLS}),
        (ACTIVE, manifest(URLS, WRITTEN), True, {**OF_ACTIVE, **OF_URLS, **OF_WRITTEN}),
        (
            ACTIVE,
            None,
            True,
            {**OF_ACTIVE, sc.MANIFEST_STATE: sc.MANIFEST_NULL, sc.ENDPOINT_COUNT: 0},
        ),
        (ACTIVE, manifest(URLS), False, OF_ACTIVE),
        (
            {"activeBuildId": ""},
            manifest(URLS),
            True,
            {
                sc.ENVIRONMENT_ID: "env-1",
                sc.ENVIRONMENT_STATE: sc.ENVIRONMENT_NO_ACTIVE_BUILD,
                sc.OUTCOME: sc.RETURNED,
            },
        ),
        (
            None,
            None,
            True,
            {
                sc.ENVIRONMENT_ID: "env-1",
                sc.ENVIRONMENT_STATE: sc.ENVIRONMENT_NULL,
                sc.OUTCOME: sc.RETURNED,
            },
        ),
    ],
    ids=["whole", "with a carrier", "without a manifest", "runpod 2", "no active build", "unknown"],
)
def test_the_span_of_a_snapshot(
    environment: object,
    stored: dict[str, Any] | None,
    expected: dict[str, Any],
    *,
    has_manifest: bool,
) -> None:
    """It has the attributes that a worker's read would have recorded, and the times given."""
    found = record("env-1", environment, stored, 1_000, 2_000, has_manifest=has_manifest)
    assert found.attributes == expected
    assert (found.start_ns, found.end_ns, found.status) == (1_000, 2_000, "unset")
    assert (len(found.trace_id), len(found.span_id)) == (32, 16)
    assert (found.name, found.kind, found.parent_span_id) == (sc.MANIFEST_FETCH, "client", None)
    assert (found.origin, found.scope_name) == ("read back", sc.SCOPE_NAME)
    assert found.resource[sc.SERVICE_NAME] == "flash-cli"
    other = record("env-1", environment, stored, 1_000, 2_000)
    assert {found.trace_id, found.span_id}.isdisjoint({other.trace_id, other.span_id})


def test_the_span_of_a_snapshot_shows_no_secret() -> None:
    """An answer may hold one where an id is expected."""
    remember("canary-of-a-build-19af")
    found = record("env-1", {"activeBuildId": "canary-of-a-build-19af"}, None, 1, 2)
    assert found.attributes[sc.BUILD_ID] == "[redacted]"
