"""The data plane of the stand-in: the state of endpoints, their workers and logs, remote calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_otel.demo.state import ControlPlaneState, Json, StoredEndpoint


class UnknownEndpointError(Exception):
    """The endpoint does not exist: HTTP status 404."""


def _health(state: ControlPlaneState, variables: Json) -> Json:
    """Answer `GET /v2/ID/health`."""
    _known(state, variables["endpoint_id"])
    workers = dict.fromkeys(("initializing", "ready", "running", "throttled", "unhealthy"), 0)
    jobs = dict.fromkeys(("completed", "failed", "inProgress", "inQueue", "retried"), 0)
    return {"workers": {**workers, "idle": 1}, "jobs": jobs}


def _metrics(state: ControlPlaneState, variables: Json) -> Json:
    """Answer `GET /v2/ID/metrics`: the workers that have a log are ready."""
    workers = list(_logs_of(state, variables["endpoint_id"]))
    states = ("running", "idle", "initializing", "throttled", "unhealthy")
    counts = {**dict.fromkeys(states, 0), "ready": len(workers), "idle": len(workers)}
    return {"readyWorkers": workers, "workers": counts}


def _workers(state: ControlPlaneState, variables: Json) -> Json:
    """Answer runpod 2's `GET /v2/serverless/ID/workers`."""
    workers = list(_logs_of(state, variables["endpoint_id"]))
    states = ("running", "initializing", "throttled", "unhealthy")
    counts = {"idle": len(workers), "total": len(workers)}
    return {
        "workers": [{"id": worker, "status": "idle"} for worker in workers],
        "summary": {**dict.fromkeys(states, 0), **counts},
    }


def _logs_of(state: ControlPlaneState, endpoint_id: str) -> dict[str, list[str]]:
    return state.worker_logs.get(_known(state, endpoint_id).id, {})


def _log_of_worker(state: ControlPlaneState, variables: Json) -> Json:
    """Answer `GET /hapi/v1/pod/ID/logs`."""
    for logs in state.worker_logs.values():
        if variables["worker_id"] in logs:
            return {"container": logs[variables["worker_id"]], "system": []}
    raise UnknownEndpointError("pod not found")


def _run_job(state: ControlPlaneState, variables: Json) -> Json:
    """Answer `POST /v2/ID/runsync` and `run`, whose jobs are done immediately."""
    endpoint = _known(state, variables["endpoint_id"])
    return _completed(state, endpoint, variables["body"])


def _run_by_sentinel(state: ControlPlaneState, variables: Json) -> Json:
    """Answer `POST /v2/flash/runsync`, whose headers name app, environment and endpoint."""
    app = state.app_named(variables["app"])
    environment = state.environment_named(app.id, variables["environment"]) if app else None
    endpoint = state.endpoint_named(environment.id, variables["endpoint"]) if environment else None
    if endpoint is None:
        raise UnknownEndpointError("endpoint not found")
    return _completed(state, endpoint, variables["body"])


def _submitted(state: ControlPlaneState, variables: Json) -> Json:
    """Answer `POST /v2/flash/run`: the job is done when its status is asked for."""
    done = _run_by_sentinel(state, variables)
    state.jobs[done["id"]] = done
    return {"id": done["id"], "status": "IN_QUEUE"}


def _status(state: ControlPlaneState, variables: Json) -> Json:
    """Answer `GET /v2/flash/status/ID`."""
    try:
        return state.jobs[variables["job_id"]]
    except KeyError:
        raise UnknownEndpointError("job not found") from None


def _deleted(state: ControlPlaneState, variables: Json) -> Json:
    """Answer `DELETE /v2/serverless/ID`."""
    _known(state, variables["endpoint_id"])
    del state.endpoints[variables["endpoint_id"]]
    return {}


def _known(state: ControlPlaneState, endpoint_id: str) -> StoredEndpoint:
    try:
        return state.endpoints[endpoint_id]
    except KeyError:
        raise UnknownEndpointError("endpoint not found") from None


def _completed(state: ControlPlaneState, endpoint: StoredEndpoint, body: Json) -> Json:
    return {
        "id": f"sync-{state.ids.uuid('job')}-u1",
        "workerId": state.ids.endpoint("worker"),
        "status": "COMPLETED",
        "delayTime": 12,
        "executionTime": 34,
        "output": {"endpoint": endpoint.name, "input": body.get("input"), "gpu": "stand-in"},
    }


CALLS: Final[dict[str, Callable[[ControlPlaneState, Json], Json]]] = {
    "health": _health,
    "metrics": _metrics,
    "workers": _workers,
    "worker log": _log_of_worker,
    "runsync": _run_job,
    "run": _run_job,
    "sentinel runsync": _run_by_sentinel,
    "sentinel run": _submitted,
    "status": _status,
    "DELETE endpoint": _deleted,
}
"""Name of the operation to what applies its variables and returns the answer."""
