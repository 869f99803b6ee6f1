"""What a worker's registry tells beside its reads: routes, and lookups that ask nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from flash_otel import semconv
from flash_otel.pipeline import pipeline
from flash_otel.runtime.guard import swallowed
from flash_otel.tracing import attributes, links
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.extractors import ENDED
from flash_otel.tracing.scope import Scope
from flash_otel.tracing.specs import RUNTIME_FETCH

Method = Callable[..., Awaitable[Any]]

ENVIRONMENT_VARIABLE: Final = "FLASH_ENVIRONMENT_ID"
ENDPOINT_VARIABLE: Final = "RUNPOD_ENDPOINT_ID"


async def note_route(
    wrapped: Method, _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Record on the enclosing call where its function was routed to.

    `get_routing_info` (1.4 and later) and `get_resource_for_function` (to 1.3) return None for a
    function of this very endpoint, and raise ValueError for one that the manifest lacks.
    """
    try:
        routed = await wrapped(*args, **kwargs)
    except ValueError:
        _note({semconv.CALL_ROUTE: semconv.ROUTE_MISSING})
        raise
    if routed is None:
        _note({semconv.CALL_ROUTE: semconv.ROUTE_LOCAL})
    else:
        _note({semconv.CALL_ROUTE: semconv.ROUTE_REMOTE, **_target(routed)})
    return routed


def _target(routed: Any) -> dict[str, Any]:
    if not isinstance(routed, Mapping):
        return {**attributes.Text(semconv.ENDPOINT_ID)(getattr(routed, "id", None))}
    return {
        **attributes.Text(semconv.RESOURCE_NAME)(routed.get("resource_name")),
        **attributes.endpoint_url(routed.get("endpoint_url")),
    }


def _note(attributes: Mapping[str, Any]) -> None:
    try:
        scope = None if pipeline.is_off() else scopes.current()
        call = scope and scope.enclosing(semconv.CALL)
        if call is not None:
            call.set(attributes)
    except Exception:
        swallowed("a call's route")


async def note_unset(
    wrapped: Method, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Record, once per process, a lookup that asks nothing because no environment is set.

    `ServiceRegistry._ensure_manifest_loaded` (1.4.0-1.21.0) returns silently then.
    """
    result = await wrapped(*args, **kwargs)
    try:
        if not pipeline.is_off() and _asks_nothing(instance) and not links.has_fetched():
            _record_unset()
    except Exception:
        swallowed("a lookup without environment")
    return result


def _asks_nothing(registry: Any) -> bool:
    if os.environ.get(ENVIRONMENT_VARIABLE):
        return False
    would_ask = getattr(registry, "_makes_remote_calls", False) and (
        getattr(registry, "_manifest_client", None) is not None
    )
    age = time.time() - getattr(registry, "_endpoint_registry_loaded_at", time.time())
    return bool(would_ask) and age > getattr(registry, "cache_ttl", 0)


def _record_unset() -> None:
    enclosing = scopes.current()
    tracer = pipeline.tracer() if enclosing is None else enclosing.tracer
    if tracer is None:
        return
    scope = Scope(RUNTIME_FETCH, tracer, ENDED, ({}, {}), enclosing)
    related = links.relate(
        RUNTIME_FETCH.relation, pipeline.propagation(), is_root=enclosing is None
    )
    scope.open(related.context, related.links, {**related.attributes, **worker_identity()})
    scope.fault = semconv.ENVIRONMENT_UNSET
    scope.end(None)


def worker_identity() -> dict[str, str]:
    """Return who the worker says it is, as set in its environment."""
    found = {
        semconv.WORKER_ENDPOINT_ID: os.environ.get(ENDPOINT_VARIABLE),
        semconv.WORKER_ENVIRONMENT_ID: os.environ.get(ENVIRONMENT_VARIABLE),
    }
    return {name: value for name, value in found.items() if value}
