"""The handlers that Flash generates: a span for each job and request, and what is inside of it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import serving
from support.distro import find_instrumentations
from support.serving import CANARY
from support.site import Site
from support.versions import MAIN_VERSIONS

from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.project import write_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.site import Child
    from support.warm import WarmEnvironments

pytestmark = pytest.mark.flash

TRACE, SPAN = "a" * 32, "b" * 16
CALLER: Final = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
SECRETS: Final = {"Authorization": f"Bearer {CANARY}", "Cookie": CANARY}

JOBS: Final = {
    "gpu_info": [
        {"id": "job-1", "input": {"verbose": CANARY}},
        {"id": "job-2", "input": {"verbose": "failing"}},
    ],
    "model": [{"id": "job-3", "input": {"text": CANARY}}],
    "many": [{"id": "job-4", "input": {"text": CANARY}}, {"id": "job-5", "input": {"text": "a"}}],
}


@pytest.fixture(scope="module", params=MAIN_VERSIONS)
def served(
    request: pytest.FixtureRequest,
    warm_env: WarmEnvironments,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Site, Child]]:
    """A deployment of the project with an endpoint of each kind, with each of the main versions."""
    with ControlPlane(seed=1) as plane:
        site = Site(tmp_path_factory.mktemp("site"), warm_env(request.param), plane)
        write_project(site.project, request.param, serving.SERVING)
        yield site, site.deploy()


def shape(worker: Child) -> list[tuple[str, Any, str]]:
    """Return each span's name, what it runs, and the job or request that it is inside of."""
    names = {record.span_id: record for record in worker.records}
    found = []
    for record in worker.records:
        what = record.attributes.get("flash.function_name")
        parent = names.get(record.parent_span_id or "")
        job = "" if parent is None else parent.attributes.get("faas.invocation_id", parent.name)
        found.append((record.name, what or record.attributes.get("faas.invocation_id"), str(job)))
    return found


def test_generated_queue_handlers(served: tuple[Site, Child]) -> None:
    """Functions, methods and concurrent functions, in the threads in which Flash runs them."""
    site, deployment = served
    worker = site.worker(serving.QUEUE, {"JOBS": json.dumps(JOBS)})
    assert worker.exit_code == 0, worker.output
    (root,) = deployment.named("flash.deploy")
    assert sorted(shape(worker)) == sorted(
        [
            ("process gpu_info", "job-1", ""),
            ("flash.call", "gathered", "job-1"),
            ("flash.call", "threaded", "job-1"),
            ("process gpu_info", "job-2", ""),
            ("flash.call", "gathered", "job-2"),
            ("flash.call", "threaded", "job-2"),
            ("process model", "job-3", ""),
            ("flash.call", "method", "job-3"),
            ("process many", "job-4", ""),
            ("flash.call", "concurrent", "job-4"),
            ("process many", "job-5", ""),
            ("flash.call", "concurrent", "job-5"),
        ]
    )
    jobs = [record for record in worker.records if record.kind == "consumer"]
    failed = {record.attributes["faas.invocation_id"]: record.status_message for record in jobs}
    assert {job: message for job, message in failed.items() if message} == {"job-2": "LookupError"}
    for job in jobs:
        assert [(link.trace_id, link.span_id) for link in job.links] == [
            (root.trace_id, root.span_id)
        ]
    assert [record.attributes.get("faas.coldstart") for record in jobs] == [True, *[None] * 4]
    assert CANARY not in repr(worker.records)
    # The answers are the handlers' own, and no frame of ours is in the traceback that Flash adds.
    assert CANARY in repr(worker.seen["results"]["many"])
    (failure,) = (
        answer["output"] for answer in worker.seen["results"]["gpu_info"] if "error" in answer
    )
    assert "LookupError" in failure["traceback"]
    assert "flash_otel" not in failure["traceback"]


def test_generated_load_balancer(served: tuple[Site, Child]) -> None:
    """A request under the real server is a child of its caller, linked to the deployment."""
    site, deployment = served
    headers = json.dumps({**CALLER, **SECRETS})
    requested = {"HEADERS": headers, "REQUESTED": f"/gpu/info?key={CANARY}"}
    worker = site.worker(serving.PLAIN + serving.HTTP, requested)
    assert worker.exit_code == 0, worker.output
    assert worker.seen["status"] == 200
    (root,) = deployment.named("flash.deploy")
    (request,) = (record for record in worker.records if record.kind == "server")
    assert (request.name, request.status) == ("GET /gpu/info", "unset")
    assert (request.trace_id, request.parent_span_id) == (TRACE, SPAN)
    assert [(link.trace_id, link.span_id) for link in request.links] == [
        (root.trace_id, root.span_id)
    ]
    (call,) = worker.named("flash.call")
    assert (call.trace_id, call.parent_span_id) == (TRACE, request.span_id)
    assert CANARY not in repr(worker.records)


def test_beside_the_instrumentations_of_the_host(served: tuple[Site, Child]) -> None:
    """FastAPI's, httpx's and aiohttp's: one SERVER span, theirs, and each parent is known."""
    site, _ = served
    path = os.pathsep.join((str(site.environment.source), str(find_instrumentations())))
    variables = {"HEADERS": json.dumps(CALLER), "PYTHONPATH": path}
    worker = site.worker(serving.INSTRUMENTED + serving.HTTP, variables)
    assert worker.exit_code == 0, worker.output
    theirs = {span["span"]: span for span in worker.seen["theirs"]}
    (server,) = (span for span in theirs.values() if span["kind"] == "SERVER")
    assert "opentelemetry.instrumentation" in server["scope"]
    assert (server["trace"], server["parent"]) == (TRACE, SPAN)
    assert [record for record in worker.records if record.kind == "server"] == []
    ours = {record.span_id: record for record in worker.records}
    (call,) = worker.named("flash.call")
    assert (call.trace_id, call.parent_span_id) == (TRACE, server["span"])
    for span in theirs.values():
        assert span["parent"] in {SPAN, *theirs, *ours}
    # The request of the call has one header, that of their span inside of the call.
    sent = site.plane.journal.of("sentinel runsync")[-1:]
    posts = [span["span"] for span in theirs.values() if span["parent"] == call.span_id]
    assert [entry.variables["traceparent"] for entry in sent] == [
        f"00-{TRACE}-{post}-01" for post in posts[: len(sent)]
    ]
