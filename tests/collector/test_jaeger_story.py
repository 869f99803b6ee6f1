"""What a person sees of each of the guide's scenarios in a real Jaeger, as its API returns it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest

from flash_otel import semconv as sc
from flash_otel.demo.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector.exported import Exported

READ: Final = "  api flash.runtime.fetch"
ATTEMPT: Final = "    api -> runpod-state-manager flash.manifest.fetch"
VERDICT: Final = "  flash-otel flash.diagnosis"


def whole(read: str, attempt: str, verdict: str) -> list[str]:
    """Return a trace in which only the worker's read and the verdict differ."""
    return [
        "flash-cli flash.deploy",
        read,
        attempt,
        "  flash-cli -> runpod-api flash.activate",
        "  flash-cli -> runpod-storage flash.artifact.upload",
        "  flash-cli flash.build",
        "  flash-cli flash.provision",
        "    flash-cli -> api flash.provision.endpoint",
        "    flash-cli -> gpu_info flash.provision.endpoint",
        "    flash-cli -> runpod-state-manager flash.manifest.upload",
        verdict,
    ]


# A read links to the call that needed it, and to the deployment that wrote another manifest.
STORIES: Final[dict[str, list[str]]] = {
    "healthy": whole(
        f"{READ} links: another trace",
        ATTEMPT,
        f"{VERDICT} links: flash.activate, flash.manifest.upload, flash.runtime.fetch",
    ),
    "environment_mismatch": whole(
        f"{READ} ERROR manifest_outdated links: another trace, another trace",
        f"{ATTEMPT} ERROR manifest_outdated links: another trace",
        f"{VERDICT} ERROR environment_mismatch links: flash.activate, flash.runtime.fetch",
    ),
    "stale_build": whole(
        f"{READ} ERROR manifest_outdated links: another trace, another trace",
        f"{ATTEMPT} ERROR manifest_outdated links: another trace",
        f"{VERDICT} ERROR stale_build links: flash.activate, flash.runtime.fetch",
    ),
    "manifest_not_persisted": whole(
        f"{READ} ERROR manifest_incomplete links: another trace",
        f"{ATTEMPT} ERROR manifest_incomplete",
        f"{VERDICT} ERROR manifest_not_persisted links: flash.manifest.upload, flash.runtime.fetch",
    ),
    "read_before_write": whole(
        f"{READ} ERROR manifest_incomplete links: another trace",
        f"{ATTEMPT} ERROR manifest_incomplete",
        f"{VERDICT} ERROR read_before_write "
        "links: flash.activate, flash.manifest.upload, flash.runtime.fetch",
    ),
}

REPEATED: Final = (
    # A convention wants both, or a backend shows only one of them.
    {sc.FAULT, sc.ERROR_TYPE},
    {sc.ERROR_MESSAGE, "otel.status_description"},
    {sc.RESOURCE_NAME, sc.PEER_SERVICE},
    # A reader compares them.
    {sc.ARTIFACT_OBJECT_KEY, sc.ACTIVE_OBJECT_KEY},
    {sc.BUILD_ID, sc.PREVIOUS_BUILD_ID},
    {sc.CODE_DEPLOYMENT_ID, sc.ACTIVE_DEPLOYMENT_ID, sc.DEPLOY_SPAN_ID},
    {sc.ENDPOINTS_DIGEST, sc.PERSISTED_DIGEST},
    {sc.ENVIRONMENT_ID, sc.WORKER_ENVIRONMENT_ID},
)


def tags_of(span: dict[str, Any]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def row(span: dict[str, Any], names: dict[str, str]) -> str:
    """Return a span as the list of a trace shows it: service, peer, name, error, and links."""
    said = tags_of(span)
    peer = f" -> {said[sc.PEER_SERVICE]}" if sc.PEER_SERVICE in said else ""
    error = f" ERROR {said.get(sc.FAULT, said.get(sc.ERROR_TYPE))}" if said.get("error") else ""
    linked = sorted(names.get(key, "another trace") for key in referenced(span, "FOLLOWS_FROM"))
    links = f" links: {', '.join(linked)}" if linked else ""
    return f"{span['service']}{peer} {span['operationName']}{error}{links}"


def referenced(span: dict[str, Any], kind: str) -> list[str]:
    return [found["spanID"] for found in span["references"] if found["refType"] == kind]


def story(spans: list[dict[str, Any]]) -> list[str]:
    """Return the rows of a trace as a tree; siblings are sorted, as some of them overlap."""
    names = {span["spanID"]: span["operationName"] for span in spans}

    def below(parent: str | None, depth: int) -> Iterator[str]:
        children = [span for span in spans if referenced(span, "CHILD_OF")[:1] == [parent][:depth]]
        for child in sorted(children, key=lambda span: row(span, names)):
            yield "  " * depth + row(child, names)
            yield from below(child["spanID"], depth + 1)

    return list(below(None, 0))


@pytest.mark.flash
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_story_of_a_scenario(name: str, exported: Callable[[str], Exported]) -> None:
    """Red spans, whom each span talks to, and the evidence that the verdict links to."""
    assert story(exported(name).shown()) == STORIES[name]


@pytest.mark.flash
def test_a_read_stays_where_its_clock_has_it(exported: Callable[[str], Exported]) -> None:
    """A read after the deployment is not moved into it, as the only warning of the trace says."""
    spans = {span["operationName"]: span for span in exported("healthy").shown()}
    deployment, read = spans[sc.DEPLOY], spans[sc.RUNTIME_FETCH]
    assert read["startTime"] >= deployment["startTime"] + deployment["duration"]
    (warning,) = (text for span in spans.values() for text in span["warnings"] or ())
    assert [warning] == read["warnings"]
    assert warning.startswith("clock skew adjustment disabled")


@pytest.mark.flash
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_said_twice(name: str, exported: Callable[[str], Exported]) -> None:
    """No attribute is on a span twice, and no two of ours repeat each other."""
    for span in exported(name).shown():
        keys = Counter(tag["key"] for tag in span["tags"])
        assert [key for key, count in keys.items() if count > 1] == []
        by_value: dict[str, list[str]] = {}
        for key, value in tags_of(span).items():
            if isinstance(value, str) and len(value) > len("returned"):
                by_value.setdefault(value, []).append(key)
        repeated = [set(keys) for keys in by_value.values() if len(keys) > 1]
        assert [keys for keys in repeated if not any(keys <= pair for pair in REPEATED)] == []
