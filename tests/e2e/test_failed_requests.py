"""A request that fails between two endpoints: its trace, over the processes that it crosses."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

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
    from pathlib import Path

    from support.flash import FlashEnvironments, FlashRun
    from support.shared import Shared
    from support.site import Child

    from flash_otel.demo.environment import PythonEnvironment
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
        version: The version of Flash.
        folder: Holds the store of the deployment.
        caller: The load-balanced worker.
        spans: Its spans.
        called: The queue-based worker.
        job: The job that it did.
        sent: The `traceparent` of each request to the sentinel.
        files: The logs of the workers.
    """

    version: str
    folder: Path
    caller: Child
    spans: list[SpanRecord]
    called: Child
    job: dict[str, Any]
    sent: list[str | None]
    files: tuple[str, ...]

    def command(self, *arguments: str) -> str:
        """Return what a command of flash_otel prints about the recordings."""
        return about(self.folder, self.files, *arguments)


@pytest.fixture(params=VERSIONS)
def failed(request: pytest.FixtureRequest, flash_env: FlashEnvironments, shared: Shared) -> Failed:
    """A request that fails in the called endpoint, with each version: one for the test run."""
    version: str = request.param
    return shared.once(f"failed-{version}", lambda folder: _failed(flash_env(version), folder))


def _failed(environment: PythonEnvironment, folder: Path) -> Failed:
    with ControlPlane(seed=1) as plane:
        site, other = (Site(folder / name, environment, plane) for name in ("caller", "called"))
        site.folder.mkdir()
        other.folder.mkdir()
        run = deploy(site, serving.FAILING)
        assert run.exit_code == 0, run.stderr
        dispatcher = Dispatcher(other)
        plane.faults = dispatcher.plan
        caller, spans = request(site)
    (called,), (job,) = dispatcher.workers, dispatcher.jobs
    sent = [entry.variables.get("traceparent") for entry in plane.journal.of("sentinel runsync")]
    files = _files(site.folder, caller, called)
    return Failed(environment.version, site.folder, caller, spans, called, job, sent, files)


def about(folder: Path, logs: tuple[str, ...], *arguments: str) -> str:
    """Return what a command prints about the deployment in a folder and the logs of its workers."""
    sources = [word for source in ("store", *logs) for word in ("--from", source)]
    done = flash_otel(folder, *arguments, *sources, "--store", str(store_in(folder)))
    assert done.stdout, done.stderr
    return done.stdout


def _files(folder: Path, *workers: Child) -> tuple[str, ...]:
    logs = [folder / f"worker-{number}.log" for number in range(len(workers))]
    for log, worker in zip(logs, workers, strict=True):
        log.write_text(worker.output)
    return tuple(map(str, logs))


def store_in(folder: Path) -> Path:
    """Return the store of a deployment in a folder."""
    return folder / "home" / "spans.db"


def root_in(folder: Path) -> SpanRecord:
    """Return the span of the deployment."""
    with SpanStore(store_in(folder)) as store:
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
    (job,) = (span for span in logged(failed.called) if span.kind == "consumer")
    assert (served.name, served.trace_id) == ("GET /gpu/info", TRACE)
    assert (served.parent_span_id, call.parent_span_id) == (SPAN, served.span_id)
    assert {span.status for span in (served, call, job)} == {"error"}
    assert call.attributes["faas.invocation_id"] == failed.job["id"]
    assert job.attributes["faas.invocation_id"] == failed.job["id"]
    assert job.attributes["error.type"] == "LookupError"
    root = root_in(failed.folder)
    for span in (served, call, job):
        assert (root.trace_id, root.span_id) in links_of(span)
    assert CANARY not in repr(failed.spans) + repr(logged(failed.called))


def test_headers_of_a_call(failed: Failed) -> None:
    """The sentinel's request has one header; a job's input is what the caller has passed."""
    assert failed.job["input"] == {"verbose": True}
    (call,) = (span for span in failed.spans if span.name == semconv.CALL)
    expected = [f"00-{TRACE}-{call.span_id}-01"]
    is_direct = failed.version == "1.14.0"
    assert failed.sent == ([] if is_direct else expected)


def test_show_joins_both_sides(failed: Failed) -> None:
    """The job lies below its call; from the job's side, the caller's trace is beside it."""
    (job,) = (span for span in logged(failed.called) if span.kind == "consumer")
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
    root = root_in(failed.folder)
    (job,) = (span for span in logged(failed.called) if span.kind == "consumer")
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
    logs = _files(tmp_path, caller)
    printed = about(tmp_path, logs, "diagnose", "--json", "--trace", TRACE)
    found = json.loads(printed)
    assert found["verdict"] == code, printed
    root = root_in(tmp_path)
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
