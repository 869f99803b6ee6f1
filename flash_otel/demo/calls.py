"""The stand-in's data plane: endpoint health and calls of queue-based endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_otel.demo.state import Endpoint, Json, State

SENTINEL_HEADERS: Final = {
    "app": "X-Flash-App",
    "environment": "X-Flash-Environment",
    "endpoint": "X-Flash-Endpoint",
}


class NotFoundError(Exception):
    """There is no such endpoint or artifact: HTTP status 404."""


def health(state: State, variables: Json) -> Json:
    """Answer `GET /v2/ID/health`.

    Raises:
        NotFoundError: The endpoint is unknown.
    """
    _known(state, variables["endpoint_id"])
    workers = dict.fromkeys(("initializing", "ready", "running", "throttled", "unhealthy"), 0)
    jobs = dict.fromkeys(("completed", "failed", "inProgress", "inQueue", "retried"), 0)
    return {"workers": {**workers, "idle": 1}, "jobs": jobs}


def run(state: State, variables: Json) -> Json:
    """Answer `POST /v2/ID/runsync` (and `run`): the job is done at once.

    Raises:
        NotFoundError: The endpoint is unknown.
    """
    endpoint = _known(state, variables["endpoint_id"])
    return _completed(state, endpoint, variables["body"])


def sentinel_run(state: State, variables: Json) -> Json:
    """Answer `POST /v2/flash/runsync`, which names app, environment and endpoint by headers.

    Raises:
        NotFoundError: One of the three is unknown.
    """
    app = state.app_named(variables["app"])
    environment = state.environment_named(app.id, variables["environment"]) if app else None
    endpoint = state.endpoint_named(environment.id, variables["endpoint"]) if environment else None
    if endpoint is None:
        raise NotFoundError("endpoint not found")
    return _completed(state, endpoint, variables["body"])


def _known(state: State, endpoint_id: str) -> Endpoint:
    try:
        return state.endpoints[endpoint_id]
    except KeyError:
        raise NotFoundError("endpoint not found") from None


def _completed(state: State, endpoint: Endpoint, body: Json) -> Json:
    return {
        "id": f"sync-{state.ids.uuid('job')}-u1",
        "workerId": state.ids.endpoint("worker"),
        "status": "COMPLETED",
        "delayTime": 12,
        "executionTime": 34,
        "output": {"endpoint": endpoint.name, "input": body.get("input"), "gpu": "stand-in"},
    }


CALLS: Final[dict[str, Callable[[State, Json], Json]]] = {
    "health": health,
    "runsync": run,
    "run": run,
    "sentinel runsync": sentinel_run,
}
