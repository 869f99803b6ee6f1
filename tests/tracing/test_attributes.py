"""Huge, empty and null values, and those of a wrong type, are recorded as such or omitted."""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import flash_otel
from flash_otel.manifest import digest
from flash_otel.testing import recording
from flash_otel.tracing import attributes

if TYPE_CHECKING:
    from flash_otel.testing import Recorded


@flash_otel.trace_upload
def upload(manifest: Any = None, **_more: Any) -> None:
    """Write a manifest."""


@flash_otel.trace_upload(persisted="return")
def upload_answered(manifest: Any, answer: Any) -> Any:
    """Write a manifest, and return the server's answer."""
    assert manifest is not None
    return answer


@flash_otel.trace_runtime_fetch
def fetch(answer: Any) -> Any:
    """Read a manifest."""
    return answer


@flash_otel.trace_manifest_fetch(environment="return.0", build_id="nowhere", manifest="return.1")
async def attempt(environment: Any, manifest: Any) -> tuple[Any, Any]:
    """Read environment and manifest."""
    return environment, manifest


def attributes_of(spans: Recorded) -> dict[str, Any]:
    """Return the attributes of the only span."""
    (span,) = spans.records
    return dict(span.attributes)


def test_a_mapping_beyond_all_bounds(spans: Recorded) -> None:
    """Of 10,000 endpoints, 1,000 names are kept and marked; count and digest cover all."""
    endpoints = {f"resource_{number}": f"https://h/{number}" for number in range(10_000)}
    upload({"version": "1.0", "resources_endpoints": endpoints})
    attributes = attributes_of(spans)
    assert attributes["flash.endpoint_count"] == 10_000
    assert attributes["flash.endpoint_names"] == tuple(endpoints)[:1000]
    assert attributes["flash.endpoint_urls"] == tuple(endpoints.values())[:1000]
    assert attributes["flash.endpoints_digest"] == digest(endpoints)
    assert set(attributes["flash.truncated"]) == {"flash.endpoint_names", "flash.endpoint_urls"}
    assert attributes["flash.manifest_keys"] == ("version", "resources_endpoints")


BUILT: dict[str, Any] = {
    "generated_at": "2026-01-31T12:00:00.123456Z",
    "source_fingerprint": "a" * 64,
}
PROVENANCE = {f"flash.manifest.{key}": value for key, value in BUILT.items()}


def test_provenance_of_written_and_read_manifests(spans: Recorded) -> None:
    """Upload, refresh and attempt have when a manifest was built, and from what."""
    manifest = {"version": "1.0", **BUILT, "resources_endpoints": {"gpu": "https://h/1"}}
    upload(manifest)
    fetch(manifest)
    asyncio.run(attempt({"activeBuildId": "b-1"}, manifest))
    assert [span.name for span in spans.records] == [
        "flash.manifest.upload",
        "flash.runtime.fetch",
        "flash.manifest.fetch",
    ]
    for span in spans.records:
        assert span.attributes.items() >= PROVENANCE.items()


@pytest.mark.parametrize("wrong", [None, "", 5, ["a"], {"a": "b"}, "a" * 129, "a" * 10_000_000])
def test_provenance_of_the_wrong_type(wrong: object) -> None:
    """A value that Flash does not write is left out, without an error."""
    with recording() as spans:
        upload(dict.fromkeys(BUILT, wrong))
        fetch(dict.fromkeys(BUILT, wrong))
    for span in spans.records:
        assert not span.attributes.keys() & PROVENANCE.keys()
        assert span.attributes["flash.manifest_keys"] == tuple(BUILT)


def test_provenance_is_scrubbed(spans: Recorded) -> None:
    """A manifest is untrusted: a credential in place of a fingerprint is redacted."""
    fetch({"source_fingerprint": "rpa_ABCDEF123456"})
    assert attributes_of(spans)["flash.manifest.source_fingerprint"] == "[redacted]"


def test_exactly_a_thousand(spans: Recorded) -> None:
    """A list of 1,000 entries is complete, so it is not marked."""
    upload({"resources_endpoints": {str(number): "u" for number in range(1000)}})
    attributes = attributes_of(spans)
    assert len(attributes["flash.endpoint_names"]) == 1000
    assert "flash.truncated" not in attributes


def test_a_manifest_of_fifty_megabytes(spans: Recorded) -> None:
    """A manifest that is too large to measure has no size, but all other attributes."""
    upload({"source": "x" * 50_000_000, "resources_endpoints": {"gpu": "https://h/1"}})
    attributes = attributes_of(spans)
    assert "flash.manifest.size" not in attributes
    assert attributes["flash.endpoint_count"] == 1


def test_nothing_is_a_null_manifest(spans: Recorded) -> None:
    """A manifest of None makes no attribute with value None."""
    upload(None)
    upload()
    for span in spans.records:
        assert None not in span.attributes.values()
        assert span.attributes["flash.manifest_keys"] == ()
        assert "flash.endpoint_count" not in span.attributes


@pytest.mark.parametrize("named", ["production", "", None])
@pytest.mark.parametrize("build_id", ["b-1", None])
def test_the_environment_of_a_read(named: str | None, build_id: str | None) -> None:
    """A read takes its environment's name from the answer, if it has a name."""
    rendered = attributes.environment_answer(
        {"id": "e-1", "name": named, "activeBuildId": build_id}
    )
    assert rendered.get("deployment.environment.name") == (named or None)
    assert rendered.get("deployment.environment.name") == (named or None)
    assert rendered.get("flash.build_id") == build_id


def test_an_empty_mapping(spans: Recorded) -> None:
    """An empty mapping has count 0, no names and its own digest."""
    fetch({"version": "1.0", "resources_endpoints": {}})
    assert attributes_of(spans) == {
        "faas.coldstart": True,
        "flash.manifest.state": "incomplete",
        "flash.manifest_keys": ("version", "resources_endpoints"),
        "flash.endpoint_count": 0,
        "flash.endpoint_names": (),
        "flash.endpoints_digest": digest({}),
        "flash.outcome": "returned",
        "flash.fault.candidates": (
            *("manifest_not_persisted", "read_before_write"),
            *("manifest_never_written", "read_incomplete"),
        ),
        "error.type": "manifest_incomplete",
        "error.message": "The active manifest has no endpoints.",
    }


@pytest.mark.parametrize("wrong", [None, [], ["gpu"], "gpu", 5, True])
def test_endpoints_of_the_wrong_type(wrong: object) -> None:
    """A value that is not a mapping holds no endpoints, but its key is recorded."""
    with recording() as spans:
        fetch({"resources_endpoints": wrong})
        upload({"resources_endpoints": wrong})
    for span in spans.records:
        assert "flash.endpoint_names" not in span.attributes
        assert span.attributes["flash.manifest_keys"] == ("resources_endpoints",)
    read, written = (span.attributes for span in spans.records)
    assert (read["flash.manifest.state"], read["flash.endpoint_count"]) == ("incomplete", 0)
    assert "flash.endpoint_count" not in written


@pytest.mark.parametrize("null", [None, [], "text", 5])
def test_a_null_manifest(null: object) -> None:
    """The answer without a manifest is recorded as null."""
    with recording() as spans:
        fetch(null)
    attributes = attributes_of(spans)
    assert attributes["flash.manifest.state"] == "null"
    assert "flash.manifest_keys" not in attributes


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (None, {"flash.environment.state": "null"}),
        ([], {"flash.environment.state": "null"}),
        ({}, {"flash.environment.state": "no_active_build"}),
        ({"activeBuildId": None}, {"flash.environment.state": "no_active_build"}),
        ({"activeBuildId": ""}, {"flash.environment.state": "no_active_build"}),
        (
            {"activeBuildId": "b-1"},
            {"flash.environment.state": "active", "flash.build_id": "b-1"},
        ),
    ],
)
def test_what_is_said_of_the_environment(environment: Any, expected: dict[str, str]) -> None:
    """A null environment, and environments with and without active build, are distinguished."""
    with recording() as spans:
        asyncio.run(attempt(environment, {"resources_endpoints": {"gpu": "u"}}))
    attributes = attributes_of(spans)
    found = {name: attributes.get(name) for name in ("flash.environment.state", "flash.build_id")}
    assert {name: value for name, value in found.items() if value is not None} == expected


@pytest.mark.parametrize(
    ("answer", "count", "fault"),
    [
        ({"resources_endpoints": {"gpu": "https://h/1"}}, 1, None),
        ({"resources_endpoints": {}}, 0, "manifest_not_persisted"),
        ({}, 0, "manifest_not_persisted"),
        ({"resources_endpoints": {"gpu": "https://h/2"}}, 1, "endpoints_differ"),
    ],
)
def test_what_the_server_answered(answer: Any, count: int, fault: str | None) -> None:
    """The endpoints in the server's response are counted and compared with the written ones."""
    written = {"resources_endpoints": {"gpu": "https://h/1"}}
    with recording() as spans:
        assert upload_answered(written, answer) is answer
    attributes = attributes_of(spans)
    assert attributes["flash.persisted_endpoint_count"] == count
    assert attributes.get("flash.fault") == fault
    assert attributes["flash.outcome"] == "returned"


def test_mappings_that_are_no_dicts(spans: Recorded) -> None:
    """Read-only mappings are accepted, and not modified."""
    upload(MappingProxyType({"resources_endpoints": MappingProxyType({"gpu": "https://h/1"})}))
    assert attributes_of(spans)["flash.endpoint_names"] == ("gpu",)


def test_names_that_no_exporter_can_encode(spans: Recorded) -> None:
    """A lone surrogate, which JSON can encode, does not reach exporters, which would fail."""
    fetch({"resources_endpoints": {"gpu\ud800": "https://h/\udfff"}, "\ud800": 1})
    for value in attributes_of(spans).values():
        repr(value).encode("utf-8")
        for text in value if isinstance(value, tuple) else (value,):
            assert not isinstance(text, str) or text.encode("utf-8")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=12,
)
RENDERERS = [
    attributes.Text("a", "b"),
    attributes.number("a"),
    attributes.endpoint_total,
    attributes.endpoints_deployed,
    attributes.endpoints_written,
    attributes.endpoints_read,
    attributes.manifest_written,
    attributes.manifest_read,
    attributes.persisted,
    attributes.persisted_resources,
    attributes.environment_answer,
    attributes.created_environment,
    attributes.endpoint_url,
    attributes.server_address,
    attributes.job_id,
]


@example(attributes.manifest_written, {"resources": b"not JSON"})
@given(st.sampled_from(RENDERERS), VALUES | st.just({"resources_endpoints": {1: 2, "a": None}}))
def test_renderers_take_anything(render: Any, value: Any) -> None:
    """Any value is rendered without raising, and never as None."""
    for rendered in render(value).values():
        assert isinstance(rendered, str | int | list)
        assert not isinstance(rendered, list) or all(isinstance(entry, str) for entry in rendered)


@given(st.dictionaries(st.text(), VALUES), VALUES)
def test_any_manifest_can_be_uploaded_and_read(manifest: dict[str, Any], endpoints: Any) -> None:
    """No manifest breaks the traced call."""
    whole = {**manifest, "resources_endpoints": endpoints}
    with recording() as spans:
        upload(whole)
        assert fetch(whole) is whole
    assert [span.attributes["flash.outcome"] for span in spans.records] == ["returned"] * 2


@pytest.mark.parametrize(
    "url", ["https://[::1", "http://h:99999999/x", "::", "nothing", "", None, 5]
)
def test_urls_that_are_none(url: object) -> None:
    """A URL that cannot be parsed is recorded unchanged, without a host."""
    with recording() as spans:
        flash_otel.trace_call(endpoint_url="url")(lambda url: url)(url)
    (span,) = spans.records
    expected = url if isinstance(url, str) and url else None
    assert span.attributes.get("flash.endpoint_url") == expected


@pytest.mark.parametrize(
    ("answers", "noted"),
    [
        (
            {"createFlashEnvironment": {"id": "e-2"}, "flashApp": {"flashEnvironments": ["e-1"]}},
            True,
        ),
        (
            {
                "createFlashEnvironment": {"id": "e-2"},
                "flashAppByName": {"flashEnvironments": ["e-1"]},
            },
            True,
        ),
        ({"createFlashEnvironment": {"id": "e-1"}, "flashApp": {"flashEnvironments": []}}, False),
        ({"createFlashEnvironment": {"id": "e-1"}, "flashApp": None}, False),
        (
            {
                "createFlashEnvironment": {"id": "e-1"},
                "flashAppByName": {"flashEnvironments": [{"id": "e-1", "name": "production"}]},
            },
            False,
        ),
        (
            {
                "createFlashEnvironment": {"id": "e-2"},
                "flashAppByName": {"flashEnvironments": [{"id": "e-1"}, {"id": "e-2"}]},
            },
            True,
        ),
        ({"createFlashEnvironment": None, "flashApp": {"flashEnvironments": ["e-1"]}}, False),
        ({"flashApp": {"flashEnvironments": ["e-1"]}}, False),
        ({}, False),
        (None, False),
    ],
)
def test_a_new_environment_is_noted_only_beside_others(answers: Any, noted: bool) -> None:
    """An environment created beside others is recorded; an app's first environment is not."""
    rendered = attributes.created_environment(answers)
    assert rendered == ({"flash.environment.created": True} if noted else {})
