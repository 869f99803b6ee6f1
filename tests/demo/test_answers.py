"""The stand-in's answers have the fields that Flash's queries select, and no others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.client import Client, deploy
from support.flash_source import packages_of
from support.versions import ALL_VERSIONS, RUNPOD_VERSIONS

from flash_otel.demo import graphql
from flash_otel.demo.releases import FLASH_1
from flash_otel.demo.selection import selected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.flash import FlashEnvironments

    from flash_otel.demo.control_plane import ControlPlane
    from flash_otel.demo.environment import PythonEnvironment

pytestmark = pytest.mark.flash

DOCUMENT: Final = re.compile(r'"""\s*((?:query|mutation) (\w+)[^"]*)"""')

Selection = dict[str, Any]
"""Field -> the fields selected below it (none for a scalar)."""


def selection_of(document: str) -> Selection:
    """Return the selection set of a GraphQL document."""
    # Arguments and variables are of no interest, and Flash uses no aliases or fragments.
    text = re.sub(r"\([^)]*\)", "", document)
    tokens = iter(re.findall(r"\w+|[{}]", text[text.index("{") + 1 :]))
    return _selection(tokens)


def _selection(tokens: Iterator[str]) -> Selection:
    selected: Selection = {}
    field = ""
    for token in tokens:
        if token == "}":
            break
        if token == "{":
            selected[field] = _selection(tokens)
        else:
            field = token
            selected[field] = {}
    return selected


def shape_of(answer: Any, selection: Selection) -> Selection:
    """Return the fields of an answer, as deep as they are selected."""
    if isinstance(answer, list):
        assert answer, "an empty list shows no fields"
        return shape_of(answer[0], selection)
    if not selection:
        return {}
    return {name: shape_of(value, selection.get(name, {})) for name, value in answer.items()}


def test_selection_of_a_document() -> None:
    """The test's own reader of documents."""
    document = "query a($x: In!) { b(x: $x) { id c { d e } f } }"
    assert selection_of(document) == {"b": {"id": {}, "c": {"d": {}, "e": {}}, "f": {}}}
    assert selection_of("mutation a { b }") == {"b": {}}


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_answers_have_the_selected_fields(
    flash_env: FlashEnvironments, control_plane: ControlPlane, version: str
) -> None:
    """Every query that a deployment and a worker send, and the writes, in every version."""
    documents = documents_of(flash_env(version))
    with Client(control_plane) as client:
        deployed = deploy(client)
    environment_id, build_id = deployed.environment_id, deployed.build_id
    written: dict[str, Any] = {
        "flashAppId": deployed.app_id,
        "objectKey": deployed.object_key,
        "manifest": {},
    }
    asked: dict[str, dict[str, Any]] = {
        "getFlashAppByName": {"flashAppName": "app"},
        "getFlashApp": {"input": deployed.app_id},
        "getFlashApps": {},
        "listFlashEnvironments": {"flashAppId": deployed.app_id},
        "listFlashBuilds": {"flashAppId": deployed.app_id},
        "getFlashEnvironment": {"flashEnvironmentId": environment_id},
        "getFlashEnvironmentByName": {
            "input": {"flashAppId": deployed.app_id, "name": "production"}
        },
        "getFlashBuild": {"input": build_id},
        "FinalizeArtifactUpload": {"input": written},
        "deployBuildToEnvironment": {
            "input": {"flashEnvironmentId": environment_id, "flashBuildId": build_id}
        },
        "updateFlashBuildManifest": {"input": {"flashBuildId": build_id, "manifest": {}}},
    }
    sent = asked.keys() & documents.keys()
    assert len(sent) >= (5 if version in RUNPOD_VERSIONS else len(asked))
    for operation in sent:
        answer = graphql.execute(control_plane.state, operation, asked[operation])
        # No network volume is ever stored.
        for found in answer.values():
            if found and "networkVolumes" in found:
                found["networkVolumes"] = [{"id": "v-1", "name": "volume"}]
        selection = selection_of(documents[operation])
        answered = selected(documents[operation], answer)
        assert (operation, shape_of(answered, selection)) == (operation, selection)


def documents_of(environment: PythonEnvironment) -> dict[str, str]:
    """Return the GraphQL documents in the source of a version of Flash, by operation."""
    if environment.generation is FLASH_1:
        folder, names = packages_of(environment) / "runpod_flash/core/api", ["runpod.py"]
    else:
        folder = packages_of(environment, "runpod") / "runpod/api"
        names = ["queries/apps.py", "mutations/apps.py"]
    source = "".join((folder / name).read_text(encoding="utf-8") for name in names)
    return {name: text for text, name in DOCUMENT.findall(source)}
