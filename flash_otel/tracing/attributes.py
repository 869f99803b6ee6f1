"""What a span says: facts of a call, rendered as attributes.

A fact is one thing that a call can tell (a build id, a manifest, an endpoint mapping). It has
default sources and a renderer that turns what was found into attributes. Renderers are pure and
take whatever they are given: a null stays a null, a wrong type gives no attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

from flash_otel import manifest as manifests
from flash_otel import semconv
from flash_otel.tracing.extractors import Extractor, Source, compile_source

Rendered: TypeAlias = Mapping[str, Any]
Renderer: TypeAlias = Callable[[Any], Rendered]

NOTHING: Final[Rendered] = {}
MAX_NUMBER: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of a span: how it is rendered, and where it is found unless the user says.

    Attributes:
        render: Turns what was found into attributes.
        sources: Where it is looked for, in turn.
        names: The attributes that hold a text as it is; none for what needs rendering.
    """

    render: Renderer
    sources: tuple[Extractor, ...]
    names: tuple[str, ...] = ()


def fact(render: Renderer, *sources: Source) -> Fact:
    """Make a fact with its default sources, tried in order."""
    extractors = tuple(one for source in sources for one in compile_source(source))
    return Fact(render, extractors, render.names if isinstance(render, Text) else ())


class Text:
    """Renders a string (or a number or UUID, as text) under each name; nothing when empty."""

    __slots__ = ("names",)

    def __init__(self, *names: str) -> None:
        self.names = names

    def __call__(self, value: Any) -> Rendered:
        """Render what was found."""
        plain = value.value if isinstance(value, Enum) else value
        if not isinstance(plain, (str, int, float, UUID)) or isinstance(plain, bool):
            return NOTHING
        return dict.fromkeys(self.names, str(plain)) if plain != "" else NOTHING


def number(name: str) -> Renderer:
    """Render a whole number, if it is one that exporters can carry."""

    def render(value: Any) -> Rendered:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return {name: value} if is_number and abs(value) < MAX_NUMBER else NOTHING

    return render


def endpoint_total(value: Any) -> Rendered:
    """Render an endpoint mapping as its count alone."""
    return {semconv.ENDPOINT_COUNT: len(value)} if isinstance(value, Mapping) else NOTHING


def endpoints_deployed(value: Any) -> Rendered:
    """Render the mapping that provisioning returned: count, names and URLs."""
    held = manifests.endpoints({manifests.ENDPOINTS_KEY: value})
    if held is None:
        return NOTHING
    return {**_names(held), semconv.ENDPOINT_URLS: list(held.values())}


def endpoints_written(value: Any) -> Rendered:
    """Render the mapping that is written: count, names, URLs and digest."""
    held = manifests.endpoints({manifests.ENDPOINTS_KEY: value})
    if held is None:
        return NOTHING
    return {
        **_names(held),
        semconv.ENDPOINT_URLS: list(held.values()),
        semconv.ENDPOINTS_DIGEST: manifests.digest(held),
    }


def endpoints_read(value: Any) -> Rendered:
    """Render the mapping that was read: count, names and digest."""
    held = manifests.endpoints({manifests.ENDPOINTS_KEY: value})
    if held is None:
        return NOTHING
    return {**_names(held), semconv.ENDPOINTS_DIGEST: manifests.digest(held)}


def manifest_written(value: Any) -> Rendered:
    """Render the manifest that is written to the State Manager."""
    measured = manifests.size(value)
    return {
        **endpoints_written(_mapping_of(value)),
        semconv.MANIFEST_KEYS: manifests.keys(value),
        **({} if measured is None else {semconv.MANIFEST_SIZE: measured}),
    }


def manifest_read(value: Any) -> Rendered:
    """Render the manifest that the State Manager answered with, null included."""
    keys = {semconv.MANIFEST_KEYS: manifests.keys(value)} if isinstance(value, Mapping) else {}
    return {
        semconv.MANIFEST_STATE: manifests.state(value),
        **keys,
        **endpoints_read(_mapping_of(value)),
    }


def persisted(value: Any) -> Rendered:
    """Render the manifest that the server answered the upload with."""
    held = manifests.endpoints(value) or {}
    return {
        semconv.PERSISTED_ENDPOINT_COUNT: len(held),
        semconv.PERSISTED_DIGEST: manifests.digest(held),
    }


_environment_name: Final = Text(semconv.ENVIRONMENT_NAME, semconv.DEPLOYMENT_ENVIRONMENT_NAME)


def environment_answer(value: Any) -> Rendered:
    """Render what the State Manager said of the environment.

    A worker knows its environment by id alone; the answer's `name` is asked for by every version
    that has the query (1.0.0-1.21.0).
    """
    if not isinstance(value, Mapping):
        return {semconv.ENVIRONMENT_STATE: semconv.ENVIRONMENT_NULL}
    named = _environment_name(value.get("name"))
    build_id = value.get("activeBuildId")
    if not build_id:
        return {semconv.ENVIRONMENT_STATE: semconv.ENVIRONMENT_NO_ACTIVE_BUILD, **named}
    return {
        semconv.ENVIRONMENT_STATE: semconv.ENVIRONMENT_ACTIVE,
        semconv.BUILD_ID: str(build_id),
        **named,
    }


def created_environment(answers: Any) -> Rendered:
    """Render that an environment was made in an app that had others already.

    `_resolve_environment` (1.2.0-1.21.0) lists them, and makes the one that `--env` names.
    """
    if not isinstance(answers, Mapping) or not answers.get("createFlashEnvironment"):
        return NOTHING
    apps = (answers.get("flashApp"), answers.get("flashAppByName"))
    had_others = any(isinstance(app, Mapping) and app.get("flashEnvironments") for app in apps)
    return {semconv.CREATED_ENVIRONMENT: True} if had_others else NOTHING


def endpoint_url(value: Any) -> Rendered:
    """Render the URL of a called endpoint, and its host."""
    if not isinstance(value, str) or not value:
        return NOTHING
    try:
        host = urlsplit(value).hostname
    except ValueError:
        host = None
    return {semconv.ENDPOINT_URL: value, **({semconv.SERVER_ADDRESS: host} if host else {})}


def _names(held: Mapping[str, str]) -> dict[str, Any]:
    return {semconv.ENDPOINT_COUNT: len(held), semconv.ENDPOINT_NAMES: list(held)}


def _mapping_of(value: Any) -> Any:
    return value.get(manifests.ENDPOINTS_KEY) if isinstance(value, Mapping) else None
