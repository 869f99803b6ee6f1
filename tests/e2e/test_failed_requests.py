"""A request that fails between two endpoints: its trace, over the processes that it crosses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from support import serving
from support.dispatching import Dispatcher
from support.runpod2 import deploy, launcher
from support.serving import CANARY
from support.site import Site
from support.versions import MAIN_VERSIONS, RUNPOD_VERSIONS

from flash_otel import semconv
from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.project import write_project
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.flash import FlashEnvironments
    from support.site import Child
    from support.warm import WarmEnvironments

    from flash_otel.records import SpanRecord

pytestmark = pytest.mark.flash

VERSIONS: Final = (*MAIN_VERSIONS, *RUNPOD_VERSIONS)
TRACE, SPAN = "a" * 32, "b" * 16
HEADERS: Final = f'{{"traceparent": "00-{TRACE}-{SPAN}-01", "Cookie": "{CANARY}"}}'


def deployed(site: Site, flash_env: FlashEnvironments) -> list[SpanRecord]:
    """Deploy the project whose called endpoint fails; return the spans of the deployment."""
    version = site.environment.version
    write_project(site.project, version, serving.FAILING)
    if version not in RUNPOD_VERSIONS:
        return site.deploy().records
    environment = flash_env(version)
    run = deploy(environment, site.plane, site.project, launcher=launcher(environment, "rp"))
    assert run.exit_code == 0, run.stderr
    with SpanStore(site.folder / "home" / "spans.db") as store:
        return list(store.spans())


class Failed:
    """What a request that failed in the called endpoint has left behind.

    Attributes:
        site: The site of the deployment and the caller.
        deployment: The spans of the deployment.
        caller: The load-balanced worker.
        called: The queue-based worker.
        job: The job, as the queue-based worker got it.
    """

    def __init__(self, site: Site, deployment: list[SpanRecord], dispatcher: Dispatcher) -> None:
        self.site = site
        self.deployment = deployment
        successor = site.environment.version in RUNPOD_VERSIONS
        start = serving.PLAIN + (serving.SUCCESSOR_APP if successor else "")
        self.caller: Child = site.worker(start + serving.HTTP, {"HEADERS": HEADERS})
        assert self.caller.exit_code == 0, self.caller.output
        (self.called,), (self.job,) = dispatcher.workers, dispatcher.jobs


@pytest.fixture(scope="module", params=VERSIONS)
def failed(
    request: pytest.FixtureRequest,
    flash_env: FlashEnvironments,
    warm_env: WarmEnvironments,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Failed]:
    """One request, with each version."""
    version = request.param
    environment = flash_env(version) if version in RUNPOD_VERSIONS else warm_env(version)
    with ControlPlane(seed=1) as plane:
        site = Site(_made(tmp_path_factory, "caller"), environment, plane)
        deployment = deployed(site, flash_env)
        dispatcher = Dispatcher(Site(_made(tmp_path_factory, "called"), environment, plane))
        plane.faults = dispatcher.plan
        yield Failed(site, deployment, dispatcher)


def _made(factory: pytest.TempPathFactory, name: str) -> Path:
    return factory.mktemp(name)


def test_one_request_is_joined_by_its_job(failed: Failed) -> None:
    """The request and its call are in the caller's trace; the job has the id that the call has."""
    assert failed.caller.seen["status"] == 500
    (request,) = (span for span in failed.caller.records if span.kind == "server")
    (call,) = failed.caller.named(semconv.CALL)
    (job,) = (span for span in failed.called.records if span.kind == "consumer")
    assert (request.name, request.trace_id) == ("GET /gpu/info", TRACE)
    assert (request.parent_span_id, call.parent_span_id) == (SPAN, request.span_id)
    assert {span.status for span in (request, call, job)} == {"error"}
    assert call.attributes["faas.invocation_id"] == failed.job["id"]
    assert job.attributes["faas.invocation_id"] == failed.job["id"]
    assert job.attributes["error.type"] == "LookupError"
    (root,) = (span for span in failed.deployment if span.name == semconv.DEPLOY)
    for span in (request, call, job):
        assert (root.trace_id, root.span_id) in {
            (link.trace_id, link.span_id) for link in span.links
        }
    assert CANARY not in repr(failed.caller.records) + repr(failed.called.records)


def test_headers_of_a_call(failed: Failed) -> None:
    """The sentinel's request has one header; a job's input is what the caller has passed."""
    assert failed.job["input"] == {"verbose": True}
    sent = failed.site.plane.journal.of("sentinel runsync")
    (call,) = failed.caller.named(semconv.CALL)
    expected = [f"00-{TRACE}-{call.span_id}-01"]
    is_direct = failed.site.environment.version == "1.14.0"
    assert [entry.variables.get("traceparent") for entry in sent] == ([] if is_direct else expected)
