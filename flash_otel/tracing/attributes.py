"""Fields of a traced call, and how each is rendered as span attributes.

A field is one input of a span: a build id, a manifest, an endpoint mapping. It has default sources
and a renderer that turns the value found there into attributes. Renderers are pure and accept any
value: null renders as null where that is meaningful, a wrong type renders as no attribute.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

from flash_otel import manifest as manifests
from flash_otel import semconv
from flash_otel.redaction import MAX_ENTRIES, scrub_value
from flash_otel.tracing.extractors import Extractor, Source, compile_source

Rendered: TypeAlias = Mapping[str, Any]
Renderer: TypeAlias = Callable[[Any], Rendered]

NOTHING: Final[Rendered] = {}
MAX_NUMBER: Final = 1 << 63
"""Exporters carry signed 64-bit integers."""

_JOB_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")

_PROVENANCE: Final = {
    manifests.GENERATED_KEY: semconv.MANIFEST_GENERATED_AT,
    manifests.FINGERPRINT_KEY: semconv.MANIFEST_SOURCE_FINGERPRINT,
}


@dataclass(frozen=True, slots=True)
class AttributeSpec:
    """One field of a span.

    Attributes:
        render: Turns the field's value into attributes.
        sources: Where the value is looked up, in order.
        names: The attributes of a text that is recorded as it is; empty for other renderers.
    """

    render: Renderer
    sources: tuple[Extractor, ...]
    names: tuple[str, ...] = ()


class Fields(NamedTuple):
    """The fields of a traced function, by name.

    Attributes:
        start: Read when the span starts, or when it ends if they were not available before.
        end: Read when the span ends.
    """

    start: Mapping[str, AttributeSpec]
    end: Mapping[str, AttributeSpec]


NO_FIELDS: Final = Fields({}, {})


def attribute(render: Renderer, *sources: Source) -> AttributeSpec:
    """Make a field with its default sources, tried in order."""
    extractors = tuple(extractor for source in sources for extractor in compile_source(source))
    return AttributeSpec(render, extractors, render.names if isinstance(render, Text) else ())


class Text:
    """Renders a string, number or UUID as text under each name; nothing if it is empty."""

    __slots__ = ("names",)

    def __init__(self, *names: str) -> None:
        self.names = names

    def __call__(self, value: Any) -> Rendered:
        """Render a value."""
        plain = value.value if isinstance(value, Enum) else value
        if not isinstance(plain, (str, int, float, UUID)) or isinstance(plain, bool):
            return NOTHING
        return dict.fromkeys(self.names, str(plain)) if plain != "" else NOTHING


def number(name: str) -> Renderer:
    """Make the renderer of an integer that exporters can carry."""

    def render(value: Any) -> Rendered:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return {name: value} if is_number and abs(value) < MAX_NUMBER else NOTHING

    return render


def endpoint_total(value: Any) -> Rendered:
    """Render the size of an endpoint mapping."""
    return {semconv.ENDPOINT_COUNT: len(value)} if isinstance(value, Mapping) else NOTHING


def _endpoints(*, urls: bool = True, digest: bool = True) -> Renderer:
    """Make the renderer of an endpoint mapping: count, names, and optionally URLs and digest."""

    def render(value: Any) -> Rendered:
        endpoints = manifests.endpoints({manifests.ENDPOINTS_KEY: value})
        if endpoints is None:
            return NOTHING
        rendered: dict[str, Any] = {
            semconv.ENDPOINT_COUNT: len(endpoints),
            semconv.ENDPOINT_NAMES: list(endpoints),
        }
        if urls:
            rendered[semconv.ENDPOINT_URLS] = list(endpoints.values())
        if digest:
            rendered[semconv.ENDPOINTS_DIGEST] = manifests.digest(endpoints)
        return rendered

    return render


endpoints_deployed: Final = _endpoints(digest=False)
endpoints_written: Final = _endpoints()
# A worker's answer is compared by digest; the URLs would only repeat what the write recorded.
endpoints_read: Final = _endpoints(urls=False)


def manifest_written(value: Any) -> Rendered:
    """Render a manifest that is uploaded to the State Manager."""
    size = manifests.size(value)
    return {
        **endpoints_written(_mapping_of(value)),
        semconv.MANIFEST_KEYS: manifests.keys(value),
        **_provenance(value),
        **({} if size is None else {semconv.MANIFEST_SIZE: size}),
    }


def manifest_read(value: Any) -> Rendered:
    """Render a manifest that was fetched from the State Manager, null included."""
    keys = {semconv.MANIFEST_KEYS: manifests.keys(value)} if isinstance(value, Mapping) else {}
    return {
        semconv.MANIFEST_STATE: manifests.state(value),
        semconv.ENDPOINT_COUNT: 0,
        **keys,
        **_provenance(value),
        **endpoints_read(_mapping_of(value)),
    }


def _provenance(manifest: Any) -> Rendered:
    found = manifests.provenance(manifest)
    return {name: found[key] for key, name in _PROVENANCE.items() if key in found}


def persisted(value: Any) -> Rendered:
    """Render the manifest in the server's response to an upload."""
    endpoints = manifests.endpoints(value) or {}
    return {
        semconv.PERSISTED_ENDPOINT_COUNT: len(endpoints),
        semconv.PERSISTED_DIGEST: manifests.digest(endpoints),
    }


def persisted_resources(value: Any) -> Rendered:
    """Render how many endpoints a stored manifest of runpod 2 describes; its tasks have none."""
    resources = manifests.resources(value)
    return {
        semconv.PERSISTED_ENDPOINT_COUNT: sum(
            resource.get("kind") in manifests.ENDPOINT_KINDS for resource in resources
        )
    }


_environment_name: Final = Text(semconv.ENVIRONMENT_NAME)


def environment_answer(value: Any) -> Rendered:
    """Render the State Manager's view of an environment.

    A worker has only the id of its environment; every version that queries it (1.0.0-1.21.0)
    selects its `name`, too.
    """
    if not isinstance(value, Mapping):
        return {semconv.ENVIRONMENT_STATE: semconv.ENVIRONMENT_NULL}
    name = _environment_name(value.get("name"))
    build_id = value.get("activeBuildId")
    if not build_id:
        return {semconv.ENVIRONMENT_STATE: semconv.ENVIRONMENT_NO_ACTIVE_BUILD, **name}
    return {
        semconv.ENVIRONMENT_STATE: semconv.ENVIRONMENT_ACTIVE,
        semconv.BUILD_ID: str(build_id),
        **name,
    }


def created_environment(answers: Any) -> Rendered:
    """Render that a deployment created an environment in an app that already had others.

    `_resolve_environment` (1.2.0-1.21.0) lists them, and creates the one that `--env` names.
    """
    created = answers.get("createFlashEnvironment") if isinstance(answers, Mapping) else None
    if not isinstance(created, Mapping) or not created:
        return NOTHING
    # Flash 1.1.1 asks for the app once more, when the created environment is one of its own.
    listed = (
        environment.get("id") if isinstance(environment, Mapping) else environment
        for app in (answers.get("flashApp"), answers.get("flashAppByName"))
        if isinstance(app, Mapping) and isinstance(app.get("flashEnvironments"), list)
        for environment in app["flashEnvironments"]
    )
    had_others = any(environment_id != created.get("id") for environment_id in listed)
    return {semconv.CREATED_ENVIRONMENT: True} if had_others else NOTHING


def job_id(value: Any) -> Rendered:
    """Render the id of a job; nothing if it does not look like one."""
    is_id = isinstance(value, str) and _JOB_ID.fullmatch(value)
    return {semconv.FAAS_INVOCATION_ID: value} if is_id else NOTHING


def endpoint_url(value: Any) -> Rendered:
    """Render the URL of a called endpoint, and its host."""
    if not isinstance(value, str) or not value:
        return NOTHING
    return {semconv.ENDPOINT_URL: value, **server_address(value)}


def server_address(url: Any) -> Rendered:
    """Render the host of a URL, the rest of which may hold a credential."""
    try:
        host = urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:
        host = None
    return {semconv.SERVER_ADDRESS: host} if host else NOTHING


def _mapping_of(manifest: Any) -> Any:
    return manifest.get(manifests.ENDPOINTS_KEY) if isinstance(manifest, Mapping) else None


class SpanAttributes(dict[str, Any]):
    """The attributes that have been set on a span, each of them scrubbed.

    Attributes:
        shared: Values that the spans of this trace have published: one mapping for all of them.
    """

    __slots__ = ("shared",)

    def __init__(self, shared: dict[str, Any]) -> None:
        self.shared = shared

    def inherit(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Copy published attributes that this span does not have; return those copied."""
        if not self.shared:
            return {}
        shared = self.shared
        copied = {name: shared[name] for name in names if name not in self and name in shared}
        self.update(copied)
        return copied

    def publish(self, names: tuple[str, ...]) -> None:
        """Let other spans of the trace inherit the attributes of these names."""
        for name in names:
            if name in self:
                self.shared[name] = self[name]

    def merge(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Scrub and add attributes; return those that changed."""
        found: dict[str, Any] = {}
        self.scrub(attributes, found)
        return self.merge_clean(found)

    def merge_clean(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Add attributes that are scrubbed already; return those that changed."""
        changed = {name: value for name, value in found.items() if self.get(name) != value}
        self.update(changed)
        return changed

    def scrub(self, attributes: Mapping[str, Any], found: dict[str, Any]) -> None:
        """Add scrubbed attributes to `found`, with the names of the lists that were cut."""
        for name, value in attributes.items():
            clean = scrub_value(value)
            if clean is None:
                continue
            found[name] = clean
            if isinstance(clean, tuple) and len(value) > MAX_ENTRIES:
                cut = self.get(semconv.TRUNCATED, ()) + found.get(semconv.TRUNCATED, ())
                found[semconv.TRUNCATED] = tuple(dict.fromkeys((*cut, name)))
