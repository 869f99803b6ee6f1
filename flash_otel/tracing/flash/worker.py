"""A worker's endpoint registry: the routes of calls, and lookups that have no environment."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from flash_otel import pipeline, semconv
from flash_otel.runtime.process import swallowed
from flash_otel.tracing import attributes, links
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.specs import RUNTIME_FETCH
from flash_otel.tracing.wrapper import open_scope

if TYPE_CHECKING:
    Message = MutableMapping[str, Any]
    Send = Callable[[Message], Awaitable[None]]


Method = Callable[..., Awaitable[Any]]

ENVIRONMENT_VARIABLE: Final = links.ENVIRONMENT_VARIABLE
ENDPOINT_VARIABLE: Final = "RUNPOD_ENDPOINT_ID"

# An event loop cannot wait for a thread's event, and the threads of its pool may all be busy.
_POLL_S: Final = 0.002


async def note_route(
    wrapped: Method, _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Record on the enclosing call where its function is routed to.

    `get_routing_info` (1.4 and later) and `get_resource_for_function` (to 1.3) return None for a
    function of this endpoint, and raise ValueError for a function that is not in the manifest.
    """
    try:
        routed = await wrapped(*args, **kwargs)
    except ValueError:
        _note({semconv.CALL_ROUTE: semconv.ROUTE_MISSING})
        raise
    _note({semconv.CALL_ROUTE: semconv.ROUTE_LOCAL} if routed is None else _remote(routed))
    return routed


def _remote(routed: Any) -> dict[str, Any]:
    route = {semconv.CALL_ROUTE: semconv.ROUTE_REMOTE}
    if not isinstance(routed, Mapping):
        return {**route, **attributes.Text(semconv.ENDPOINT_ID)(getattr(routed, "id", None))}
    return {
        **route,
        **attributes.Text(semconv.RESOURCE_NAME, semconv.PEER_SERVICE)(routed.get("resource_name")),
        **attributes.endpoint_url(routed.get("endpoint_url")),
    }


def _note(route: Mapping[str, Any]) -> None:
    try:
        scope = scopes.current()
        call = scope and scope.enclosing(semconv.CALL)
        if call is not None:
            call.set(route)
    except Exception:
        swallowed("a call's route")


async def note_unset(
    wrapped: Method, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Record, once per process, a lookup that is skipped because no environment is set.

    `ServiceRegistry._ensure_manifest_loaded` (1.4.0-1.21.0) then returns silently.
    """
    result = await wrapped(*args, **kwargs)
    try:
        if not pipeline.is_off() and _is_skipped(instance) and not links.has_fetched():
            _record_unset()
    except Exception:
        swallowed("a lookup without environment")
    return result


def _is_skipped(registry: Any) -> bool:
    """Return True if a stale registry would fetch its manifest, were the environment set."""
    if os.environ.get(ENVIRONMENT_VARIABLE):
        return False
    # Private attributes of `ServiceRegistry`; without them, the lookup is not recorded.
    can_fetch = getattr(registry, "_makes_remote_calls", False) and (
        getattr(registry, "_manifest_client", None) is not None
    )
    age_s = time.time() - getattr(registry, "_endpoint_registry_loaded_at", time.time())
    return bool(can_fetch) and age_s > getattr(registry, "cache_ttl", math.inf)


def _record_unset() -> None:
    opened = open_scope(RUNTIME_FETCH, attributes=worker_identity())
    if opened is not None:
        scope, _ = opened
        scope.fault = semconv.ENVIRONMENT_UNSET
        scope.end(None)
        links.remember_fetch(links.Read(scope.span.get_span_context(), scope.fault))


def worker_identity() -> dict[str, str]:
    """Return the worker's endpoint and environment ids, as set in its variables."""
    found = {
        semconv.WORKER_ENDPOINT_ID: os.environ.get(ENDPOINT_VARIABLE),
        semconv.WORKER_ENVIRONMENT_ID: os.environ.get(ENVIRONMENT_VARIABLE),
    }
    return {name: value for name, value in found.items() if value}
