"""Fields are found where their sources point; an invalid source fails at decoration."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

import flash_otel
from flash_otel import Call
from flash_otel.tracing.extractors import NotReturnedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_otel.testing import Recorded

BUILD = "flash.build_id"


@dataclass
class Build:
    """A build, as a custom application may model it."""

    id: str = "b-1"
    tags: list[dict[str, str]] = field(default_factory=lambda: [{"id": "b-tag"}])


def build_id_of(spans: Recorded) -> object:
    """Return the build id of the only span."""
    (span,) = spans.records
    return span.attributes.get(BUILD)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("build.id", "b-1"),
        ("build.tags.0.id", "b-tag"),
        ("options.build", "b-option"),
        ("self.current.id", "b-self"),
        ("return.id", "b-returned"),
        ("return.nested.0", "b-nested"),
        (lambda call: call.argument("build").id, "b-1"),
        (lambda call: call.instance.current.id, "b-self"),
        (lambda call: call.args[0].id, "b-1"),
        (lambda call: call.result["id"], "b-returned"),
        (["nowhere", "build.nothing", "build.id", "return.id"], "b-1"),
        (("nowhere", lambda call: call.kwargs["no"], "return.id"), "b-returned"),
        ("nowhere", None),
        ("build.tags.7.id", None),
        ("build.id.deeper", None),
        ("answer.nothing", None),
        (lambda _call: 1 / 0, None),
        ([], None),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_where_a_field_is_found(
    spans: Recorded, source: Any, expected: str | None, *, is_async: bool
) -> None:
    """By name, dotted path, index, self, return, extractor, or the first of several."""
    returned = {"id": "b-returned", "nested": ["b-nested"]}

    class Releases:
        current = Build("b-self")

        @flash_otel.trace_activate(build_id=source)
        def promote(self, build: Build, *, options: dict[str, str]) -> dict[str, Any]:
            assert build.id == "b-1"
            assert options
            return returned

        @flash_otel.trace_activate(build_id=source)
        async def promote_async(self, build: Build, *, options: dict[str, str]) -> dict[str, Any]:
            assert build.id == "b-1"
            assert options
            return returned

    if is_async:
        result = asyncio.run(Releases().promote_async(Build(), options={"build": "b-option"}))
    else:
        result = Releases().promote(Build(), options={"build": "b-option"})
    assert result is returned
    assert build_id_of(spans) == expected


def test_none_counts_although_another_source_finds_nothing(spans: Recorded) -> None:
    """A null manifest is recorded as null, whatever the other sources of the field are."""

    @flash_otel.trace_manifest_fetch(manifest=["return.nowhere", "return.manifest", "return.other"])
    def fetch() -> dict[str, None]:
        return {"manifest": None}

    fetch()
    (span,) = spans.records
    assert span.attributes["flash.manifest.state"] == "null"


def test_usual_names_and_defaults(spans: Recorded) -> None:
    """Fields without a source are found under their usual names, defaults included."""

    @flash_otel.trace_deploy
    def deploy(app_name: str, env_name: str = "production") -> SimpleNamespace:
        return SimpleNamespace(
            build_id=f"b-{app_name}{env_name[:0]}", resources_endpoints={"gpu": "https://h/1"}
        )

    deploy("shop")
    (span,) = spans.records
    assert dict(span.attributes) == {
        "flash.app_name": "shop",
        "deployment.environment.name": "production",
        "flash.deployment_id": "0000000000000001",
        "flash.build_id": "b-shop",
        "flash.endpoint_count": 1,
        "flash.outcome": "returned",
        "deployment.status": "succeeded",
    }


def test_arguments_in_variable_parameters(spans: Recorded) -> None:
    """A field in `**kwargs` is found by its name; a value in `*args` is not."""

    @flash_otel.trace_activate
    def activate(*args: str, **kwargs: str) -> tuple[tuple[str, ...], dict[str, str]]:
        return args, kwargs

    assert activate("x", build_id="b-1") == (("x",), {"build_id": "b-1"})
    assert build_id_of(spans) == "b-1"


def test_a_start_field_that_comes_late(spans: Recorded) -> None:
    """A field that is missing at the start is read again at the end; None counts as missing."""

    class Session:
        build_id: str | None = None

        @flash_otel.trace_activate(build_id="self.build_id")
        def run(self, environment_id: str | None = None) -> None:
            assert environment_id is None
            self.build_id = "b-late"

    Session().run()
    (span,) = spans.records
    assert span.attributes[BUILD] == "b-late"
    assert "flash.environment_id" not in span.attributes


class Name(str, Enum):
    """Names, as a configuration may hold them."""

    PRODUCTION = "production"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("b-1", "b-1"),
        (17, "17"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Name.PRODUCTION, "production"),
        ("", None),
        (None, None),
        (True, None),
        (b"b-1", None),
        ({"id": "b-1"}, None),
        (["b-1"], None),
        (object(), None),
        (Build(), None),
    ],
)
def test_types_of_a_text(spans: Recorded, value: object, expected: str | None) -> None:
    """Strings, numbers, UUIDs and enum values are recorded as text; other types are not."""
    flash_otel.trace_activate(lambda build_id: build_id)(value)
    assert build_id_of(spans) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, 3), (0, 0), (True, None), ("3", None), (3.0, None), (1 << 63, None), (None, None)],
)
def test_types_of_a_number(spans: Recorded, value: object, expected: int | None) -> None:
    """Integers that exporters can carry are recorded; nothing else is."""
    flash_otel.trace_build(artifact_size="size")(lambda size: size)(value)
    assert spans.records[0].attributes.get("flash.artifact.size") == expected


def test_extractors_see_the_call(spans: Recorded) -> None:
    """An extractor gets arguments, instance and, only after the return, the result."""
    seen: list[tuple[object, ...]] = []

    def look(call: Call) -> str | None:
        seen.append((call.instance, call.args, call.kwargs, call.returned))
        if not call.returned:
            with pytest.raises(NotReturnedError):
                _ = call.result
            return None
        return str(call.result)

    flash_otel.trace_activate(build_id=look)(lambda first, *, two: f"{first}{two}")("b", two="-1")
    assert seen == [(None, ("b",), {"two": "-1"}, False), (None, ("b",), {"two": "-1"}, True)]
    assert build_id_of(spans) == "b-1"


@pytest.mark.parametrize("name", ["builds_id", "buildid", "name", "function"])
def test_an_unknown_field(name: str) -> None:
    """An unknown field fails at decoration; the message lists the known fields."""
    where: dict[str, Any] = {name: "build"}
    with pytest.raises(
        TypeError,
        match=rf"trace_activate\(\) has no field '{name}'; its fields are active_object_key, ",
    ):
        flash_otel.trace_activate(**where)


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "return."])
def test_an_empty_segment(path: str) -> None:
    """A path with an empty segment fails at decoration, and is quoted."""
    with pytest.raises(ValueError, match=re.escape(f"{path!r} is not a valid source")):
        flash_otel.trace_activate(build_id=path)


@pytest.mark.parametrize("source", [5, None, b"build", {"build": 1}, [5], ["a", None], object()])
def test_a_source_of_the_wrong_type(source: Any) -> None:
    """A source that is not a path, a callable or a list of these fails at decoration."""
    message = r"^a source must be a dotted path, a callable or a list of these, not \w+$"
    with pytest.raises(TypeError, match=message):
        flash_otel.trace_activate(build_id=source)


@pytest.mark.parametrize(
    "decorator", [flash_otel.trace_deploy, flash_otel.trace_call, flash_otel.trace_runtime_fetch]
)
def test_a_carrier_where_no_manifest_goes_out(decorator: Callable[..., Any]) -> None:
    """Only the upload of a manifest takes a carrier."""
    with pytest.raises(TypeError, match="uploads no manifest, so it has no carrier"):
        decorator(carrier=True)


def test_endpoints_stand_for_the_manifest(spans: Recorded) -> None:
    """If only `endpoints` has a source, the manifest is not looked up."""

    class Registry:
        endpoints: dict[str, str] | None = None

        @flash_otel.trace_runtime_fetch(endpoints="self.endpoints")
        def refresh(self) -> None:
            self.endpoints = {"gpu": "https://h/1"}

    Registry().refresh()
    (span,) = spans.records
    assert span.attributes["flash.endpoint_count"] == 1
    assert "flash.manifest.state" not in span.attributes
