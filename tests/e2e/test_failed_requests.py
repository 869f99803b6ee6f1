"""A request that fails between two endpoints: its trace, over the processes that it crosses."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from support import serving
from support.commands import flash_otel
from support.dispatching import Dispatcher
from support.faults import FAULTS
from support.flash import run_flash
from support.in_flash.child import AS_WORKER
from support.runpod2 import launcher
from support.serving import CANARY
from support.site import Site
from support.versions import MAIN_VERSIONS, RUNPOD_VERSIONS

from flash_otel import semconv
from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.project import WHOLE, Edition, write_project
from flash_otel.demo.scenarios import FaultPlan
from flash_otel.otlp.decode import decode_log_line
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.flash import FlashEnvironments, FlashRun
    from support.site import Child

    from flash_otel.records import SpanRecord

pytestmark = pytest.mark.flash

VERSIONS: Final = (*MAIN_VERSIONS, *RUNPOD_VERSIONS)
TRACE, SPAN = "a" * 32, "b" * 16
HEADERS: Final = f'{{"traceparent": "00-{TRACE}-{SPAN}-01", "Cookie": "{CANARY}"}}'


def deploy(site: Site, edition: Edition) -> FlashRun:
    """Deploy a project through the launcher; the spans are in the store of the site's home."""
    environment = site.environment
    generation = environment.generation
    write_project(site.project, environment.version, edition)
    command = launcher(environment, generation.script)
    arguments = list(generation.deploy)
    return run_flash(environment, site.plane, site.project, *arguments, launcher=command)


def request(site: Site) -> tuple[Child, list[SpanRecord]]:
    """Send a request to the load-balanced worker; return it, and the spans in its log."""
    successor = site.environment.version in RUNPOD_VERSIONS
    start = serving.PLAIN + (serving.SUCCESSOR_APP if successor else "")
    worker = site.worker(start + serving.HTTP, {"HEADERS": HEADERS, AS_WORKER: "1"})
    assert worker.exit_code == 0, worker.output
    return worker, logged(worker)


def logged(worker: Child) -> list[SpanRecord]:
    """Return the spans in a worker's log."""
    return [record for line in worker.output.splitlines() for record in decode_log_line(line)]


@dataclass(frozen=True)
class Failed:
    """What a request that failed has left behind.

    Attributes:
        site: The site of the deployment and the caller.
        caller: The load-balanced worker.
        spans: Its spans.
        dispatcher: The queue-based worker.
        files: The logs of the workers.
    """

    site: Site
    caller: Child
    spans: list[SpanRecord]
    dispatcher: Dispatcher
    files: tuple[str, ...]

    def command(self, *arguments: str) -> str:
        """Return what a command of flash_otel prints about the recordings."""
        return about(self.site, self.files, *arguments)


@pytest.fixture(scope="module", params=VERSIONS)
def failed(
    request: pytest.FixtureRequest,
    flash_env: FlashEnvironments,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Failed]:
    """A request that fails in the called endpoint, with each version."""
    made = tmp_path_factory.mktemp
    with ControlPlane(seed=1) as plane:
        site = Site(made("caller"), flash_env(request.param), plane)
        yield _failed(site, Dispatcher(Site(made("called"), site.environment, plane)))


def _failed(site: Site, dispatcher: Dispatcher) -> Failed:
    run = deploy(site, serving.FAILING)
    assert run.exit_code == 0, run.stderr
    site.plane.faults = dispatcher.plan
    caller, spans = request(site)
    return Failed(site, caller, spans, dispatcher, _files(site, caller, *dispatcher.workers))


def about(site: Site, logs: tuple[str, ...], *arguments: str) -> str:
    """Return what a command prints about the deployment of a site and the logs of its workers."""
    sources = [word for source in ("store", *logs) for word in ("--from", source)]
    done = flash_otel(site.folder, *arguments, *sources, "--store", str(store_of(site)))
    assert done.stdout, done.stderr
    return done.stdout


def _files(site: Site, *workers: Child) -> tuple[str, ...]:
    logs = [site.folder / f"worker-{number}.log" for number in range(len(workers))]
    for log, worker in zip(logs, workers, strict=True):
        log.write_text(worker.output)
    return tuple(map(str, logs))


def store_of(site: Site) -> Path:
    """Return the store of a site's deployment."""
    return site.folder / "home" / "spans.db"


def root_of(site: Site) -> SpanRecord:
    """Return the span of the deployment."""
    with SpanStore(store_of(site)) as store:
        (root,) = (span for span in store.spans() if span.name == semconv.DEPLOY)
    return root


def links_of(span: SpanRecord) -> set[tuple[str, str]]:
    """Return what a span links to."""
    return {(link.trace_id, link.span_id) for link in span.links}


def test_one_request_is_joined_by_its_job(failed: Failed) -> None:
    """The request and its call are in the caller's trace; the job has the id that the call has."""
    assert failed.caller.seen["status"] == 500
    (served,) = (span for span in failed.spans if span.kind == "server")
    (call,) = (span for span in failed.spans if span.name == semconv.CALL)
    (called,), (given,) = failed.dispatcher.workers, failed.dispatcher.jobs
    (job,) = (span for span in logged(called) if span.kind == "consumer")
    assert (served.name, served.trace_id) == ("GET /gpu/info", TRACE)
    assert (served.parent_span_id, call.parent_span_id) == (SPAN, served.span_id)
    assert {span.status for span in (served, call, job)} == {"error"}
    assert call.attributes["faas.invocation_id"] == given["id"]
    assert job.attributes["faas.invocation_id"] == given["id"]
    assert job.attributes["error.type"] == "LookupError"
    root = root_of(failed.site)
    for span in (served, call, job):
        assert (root.trace_id, root.span_id) in links_of(span)
    assert CANARY not in repr(failed.spans) + repr(logged(called))


def test_headers_of_a_call(failed: Failed) -> None:
    """The sentinel's request has one header; a job's input is what the caller has passed."""
    assert failed.dispatcher.jobs[0]["input"] == {"verbose": True}
    sent = failed.site.plane.journal.of("sentinel runsync")
    (call,) = (span for span in failed.spans if span.name == semconv.CALL)
    expected = [f"00-{TRACE}-{call.span_id}-01"]
    is_direct = failed.site.environment.version == "1.14.0"
    assert [entry.variables.get("traceparent") for entry in sent] == ([] if is_direct else expected)


def test_show_joins_both_sides(failed: Failed) -> None:
    """The job lies below its call; from the job's side, the caller's trace is beside it."""
    (job,) = (span for span in logged(failed.dispatcher.workers[0]) if span.kind == "consumer")
    printed = failed.command("show", TRACE)
    rows = re.findall(r"^(\W*)(GET /gpu/info|flash\.call|process gpu_info)", printed, re.MULTILINE)
    names = [name for _, name in rows]
    assert names == ["GET /gpu/info", "flash.call", "process gpu_info"]
    depths = [len(guide) for guide, _ in rows]
    assert depths == sorted(set(depths))
    printed = failed.command("show", job.trace_id)
    assert "GET /gpu/info" in printed
    assert "process gpu_info" in printed


def test_diagnose_from_either_side(failed: Failed) -> None:
    """Both traces belong to the deployment, which is not to blame for the user's exception."""
    root = root_of(failed.site)
    (job,) = (span for span in logged(failed.dispatcher.workers[0]) if span.kind == "consumer")
    for trace_id in (TRACE, job.trace_id):
        found = json.loads(failed.command("diagnose", "--json", "--trace", trace_id))
        assert root.trace_id in repr(found), trace_id
        assert found["verdict"] in (semconv.NONE, semconv.INCONCLUSIVE)


# By version: what the deployment met, and the fault that a request then leads to.
BLAMED: Final = {
    "1.14.0": ("write ignored, echoed", semconv.MANIFEST_NOT_PERSISTED),
    "1.21.0": ("one endpoint refused", semconv.PROVISIONING_FAILED),
    "2.0.0rc2": ("one endpoint refused", semconv.PROVISIONING_FAILED),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_diagnose_ends_at_the_fault_of_the_deployment(
    version: str, flash_env: FlashEnvironments, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """From the trace of the failed request alone, by the call that found no endpoint."""
    site = Site(tmp_path, flash_env(version), control_plane)
    fault, code = BLAMED[version]
    control_plane.faults = FaultPlan(FAULTS[fault])
    deploy(site, WHOLE)
    caller, spans = request(site)
    assert caller.seen["status"] == 500
    printed = about(site, _files(site, caller), "diagnose", "--json", "--trace", TRACE)
    found = json.loads(printed)
    assert found["verdict"] == code, printed
    root = root_of(site)
    assert root.trace_id in repr(found)
    (call,) = (span for span in spans if span.name == semconv.CALL)
    assert (root.trace_id, root.span_id) in links_of(call)
    reads = [span for span in spans if span.name == semconv.RUNTIME_FETCH]
    if not reads:
        assert call.attributes[semconv.FAULT] == semconv.CALL_TARGET_UNKNOWN
        return
    # The call points to the read that did not bring the endpoint, and this to its deployment.
    assert reads[-1].key in links_of(call)
    assert code in call.attributes[semconv.FAULT_CANDIDATES]  # type: ignore[operator]  # a list
    assert root.trace_id in {reads[-1].trace_id, *(trace for trace, _ in links_of(reads[-1]))}
