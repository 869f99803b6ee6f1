"""The HTTP routes of the stand-in: each turns a request into an `Exchange` and an answer."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from flash_otel.demo import calls, graphql
from flash_otel.demo.journal import Entry, Journal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flash_otel.demo.faults import FaultPlan, Rule
    from flash_otel.demo.state import Json, State


class Plane(Protocol):
    """What a route needs of the control plane."""

    state: State
    faults: FaultPlan
    journal: Journal
    api_key: str

    async def pass_gate(self, name: str) -> None:
        """Wait until the gate called `name` is open."""


@dataclass
class Exchange:
    """One request on its way through the fault plan.

    Attributes:
        operation: What is asked for, as in the journal.
        variables: What was sent.
        effect: Lets (possibly changed) variables take effect and returns the answer's data.
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
    app = web.Application(client_max_size=0)
    table: dict[tuple[str, str], Callable[[Plane, web.Request], Awaitable[Exchange]]] = {
        ("POST", "/graphql"): _graphql,
        ("PUT", "/artifacts/{key:.+}"): _put_artifact,
        ("POST", "/v2/flash/runsync"): _sentinel,
        ("GET", "/v2/{endpoint_id}/{call:health}"): _call,
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
        entry = plane.journal.arrived(
            Entry(request.method, request.path, exchange.operation, exchange.variables, bearer)
        )
        rules = plane.faults.take(exchange.operation, exchange.variables)
        await _wait(plane, rules)
        response = _respond(plane.state, exchange, rules)
        if any(rule.lose_answer for rule in rules):
            _hang_up(request)
        else:
            entry.status = response.status
        return response

    return serve


async def _wait(plane: Plane, rules: list[Rule]) -> None:
    for rule in rules:
        if rule.gate:
            await plane.pass_gate(rule.gate)
        await asyncio.sleep(rule.delay)


def _respond(state: State, exchange: Exchange, rules: list[Rule]) -> web.Response:
    refused = next((rule.status for rule in rules if rule.status), None)
    if not exchange.authorized:
        refused = web.HTTPUnauthorized.status_code
    if refused:
        return _errors(f"Request failed with status {refused}", status=refused)
    rejected = next((rule.error for rule in rules if rule.error), None)
    if rejected:
        return _errors(rejected)
    try:
        data = _bent(state, exchange, rules)
    except graphql.GraphQLError as error:
        return _errors(str(error))
    except calls.NotFoundError as error:
        return _errors(str(error), status=web.HTTPNotFound.status_code)
    return web.json_response(exchange.wrap(data))


def _bent(state: State, exchange: Exchange, rules: list[Rule]) -> Json:
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


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _graphql(plane: Plane, request: web.Request) -> Exchange:
    body = json.loads(await request.read())
    operation = graphql.operation_name(body.get("query", ""))
    return Exchange(
        operation,
        body.get("variables") or {},
        lambda variables: graphql.execute(plane.state, operation, variables),
        _authorized(plane, request),
        lambda data: {"data": data},
    )


async def _put_artifact(plane: Plane, request: web.Request) -> Exchange:
    content = await request.read()
    key = request.match_info["key"]

    def store(_: Json) -> Json:
        plane.state.artifacts[key] = content
        return {}

    return Exchange("PUT artifact", {}, store, "X-Amz-Signature" in request.query)


async def _sentinel(plane: Plane, request: web.Request) -> Exchange:
    target = {
        name: request.headers.get(header, "") for name, header in calls.SENTINEL_HEADERS.items()
    }
    return await _data_plane(plane, request, "sentinel runsync", target)


async def _call(plane: Plane, request: web.Request) -> Exchange:
    target = {"endpoint_id": request.match_info["endpoint_id"]}
    return await _data_plane(plane, request, request.match_info["call"], target)


async def _data_plane(plane: Plane, request: web.Request, operation: str, target: Json) -> Exchange:
    content = await request.read()
    variables: dict[str, Any] = {**target, "body": json.loads(content) if content else {}}
    call = calls.CALLS[operation]
    return Exchange(
        operation,
        variables,
        lambda changed: call(plane.state, changed),
        _authorized(plane, request),
    )


def _authorized(plane: Plane, request: web.Request) -> bool:
    return request.headers.get("Authorization") == f"Bearer {plane.api_key}"
