"""The HTTP routes of the stand-in.

Each route turns a request into an `Exchange`, to which the fault plan is applied.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiohttp import web

from flash_otel.demo import graphql
from flash_otel.demo.data_plane import CALLS, UnknownEndpointError
from flash_otel.demo.selection import selected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flash_otel.demo.scenarios import FaultPlan, Rule
    from flash_otel.demo.state import ControlPlaneState, Journal, Json


_SENTINEL_HEADERS: Final = {
    "app": "X-Flash-App",
    "environment": "X-Flash-Environment",
    "endpoint": "X-Flash-Endpoint",
}


class Plane(Protocol):
    """The attributes of the control plane that a route uses."""

    state: ControlPlaneState
    faults: FaultPlan
    journal: Journal
    api_key: str

    async def pass_gate(self, name: str) -> None:
        """Wait until the gate called `name` is open."""


@dataclass
class Exchange:
    """One request on its way through the fault plan.

    Attributes:
        operation: Name of the operation, as in the journal.
        variables: The variables that were sent.
        effect: Applies (possibly changed) variables and returns the answer's data.
        authorized: Whether the request carries a valid credential.
        wrap: Turns the data into the body of the answer.
    """

    operation: str
    variables: Json
    effect: Callable[[Json], Json]
    authorized: bool
    wrap: Callable[[Json], Json] = lambda data: data


def build_app(plane: Plane) -> web.Application:
    """Return the web application that serves `plane`."""
    # 0 is no limit: an artifact exceeds the default of 1 MiB.
    app = web.Application(client_max_size=0)
    table: dict[tuple[str, str], Callable[[Plane, web.Request], Awaitable[Exchange]]] = {
        ("POST", "/graphql"): _graphql,
        ("PUT", "/artifacts/{key:.+}"): _put_artifact,
        ("POST", "/v2/flash/{call:runsync|run}"): _sentinel,
        ("GET", "/v2/flash/status/{job_id}"): _job_status,
        ("DELETE", "/v2/serverless/{endpoint_id}"): _delete_endpoint,
        ("GET", "/v2/serverless/{endpoint_id}/{call:workers}"): _call,
        ("GET", "/hapi/v1/pod/{worker_id}/logs"): _worker_log,
        ("GET", "/v2/{endpoint_id}/{call:health|metrics}"): _call,
        ("POST", "/v2/{endpoint_id}/{call:runsync|run}"): _call,
    }
    for (method, path), read in table.items():
        app.router.add_route(method, path, _serve_with(plane, read))
    return app


def _serve_with(
    plane: Plane, read: Callable[[Plane, web.Request], Awaitable[Exchange]]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        exchange = await read(plane, request)
        bearer = request.headers.get("Authorization", "").startswith("Bearer ")
        entry = plane.journal.record(
            request.method, request.path, exchange.operation, exchange.variables, bearer=bearer
        )
        rules = plane.faults.take(exchange.operation, exchange.variables)
        await _wait(plane, rules)
        response = _respond(plane.state, exchange, rules)
        if any(rule.lose_answer for rule in rules):
            _abort_connection(request)
        else:
            entry.status = response.status
        return response

    return serve


async def _wait(plane: Plane, rules: list[Rule]) -> None:
    for rule in rules:
        if rule.gate:
            await plane.pass_gate(rule.gate)
        await asyncio.sleep(rule.delay)


def _respond(state: ControlPlaneState, exchange: Exchange, rules: list[Rule]) -> web.Response:
    refused = next((rule.status for rule in rules if rule.status), None)
    if not exchange.authorized:
        refused = web.HTTPUnauthorized.status_code
    if refused:
        return _errors(f"Request failed with status {refused}", status=refused)
    rejected = next((rule.error for rule in rules if rule.error), None)
    if rejected:
        return _errors(rejected)
    try:
        data = _apply(state, exchange, rules)
    except graphql.GraphQLError as error:
        return _errors(str(error))
    except UnknownEndpointError as error:
        return _errors(str(error), status=web.HTTPNotFound.status_code)
    return web.json_response(exchange.wrap(data))


def _apply(state: ControlPlaneState, exchange: Exchange, rules: list[Rule]) -> Json:
    variables = exchange.variables
    for rule in rules:
        if rule.request:
            variables = rule.request(state, variables)
    data = exchange.effect(variables)
    for rule in rules:
        if rule.answer:
            data = rule.answer(state, exchange.variables, data)
    return data


def _errors(message: str, *, status: int = 200) -> web.Response:
    return web.json_response({"errors": [{"message": message}]}, status=status)


def _abort_connection(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _graphql(plane: Plane, request: web.Request) -> Exchange:
    body = json.loads(await request.read())
    query = body.get("query", "")
    operation = graphql.operation_name(query)
    return Exchange(
        operation,
        body.get("variables") or {},
        # A planted fault comes after it: a server with a fault may answer with anything.
        lambda variables: selected(query, graphql.execute(plane.state, operation, variables)),
        _authorized(plane, request),
        lambda data: {"data": data},
    )


async def _put_artifact(plane: Plane, request: web.Request) -> Exchange:
    content = await request.read()
    key = request.match_info["key"]

    def store(_: Json) -> Json:
        plane.state.artifacts[key] = content
        return {}

    # The signature in the query is the credential: uploads carry no bearer token.
    return Exchange("PUT artifact", {}, store, "X-Amz-Signature" in request.query)


async def _sentinel(plane: Plane, request: web.Request) -> Exchange:
    target = {name: request.headers.get(header, "") for name, header in _SENTINEL_HEADERS.items()}
    if "traceparent" in request.headers:
        target["traceparent"] = ", ".join(request.headers.getall("traceparent"))
    return await _data_plane(plane, request, f"sentinel {request.match_info['call']}", target)


async def _job_status(plane: Plane, request: web.Request) -> Exchange:
    """Answer runpod 2's question for a job that it has submitted."""
    target = {"job_id": request.match_info["job_id"]}
    return await _data_plane(plane, request, "status", target)


async def _delete_endpoint(plane: Plane, request: web.Request) -> Exchange:
    """Answer runpod 2's request to delete an endpoint whose resource is gone."""
    target = {"endpoint_id": request.match_info["endpoint_id"]}
    return await _data_plane(plane, request, "DELETE endpoint", target)


async def _worker_log(plane: Plane, request: web.Request) -> Exchange:
    """Answer the question for a worker's log, which needs no id of its endpoint."""
    target = {"worker_id": request.match_info["worker_id"]}
    return await _data_plane(plane, request, "worker log", target)


async def _call(plane: Plane, request: web.Request) -> Exchange:
    target = {"endpoint_id": request.match_info["endpoint_id"]}
    return await _data_plane(plane, request, request.match_info["call"], target)


async def _data_plane(plane: Plane, request: web.Request, operation: str, target: Json) -> Exchange:
    content = await request.read()
    variables: dict[str, Any] = {**target, "body": json.loads(content) if content else {}}
    call = CALLS[operation]
    return Exchange(
        operation,
        variables,
        lambda changed: call(plane.state, changed),
        _authorized(plane, request),
    )


def _authorized(plane: Plane, request: web.Request) -> bool:
    return request.headers.get("Authorization") == f"Bearer {plane.api_key}"
