"""`--from worker:ENDPOINT` with the real packages, against a stand-in control plane.

The log that it serves is the one that a demo's worker wrote.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from textwrap import dedent
from typing import TYPE_CHECKING, Final

import pytest
from support.commands import TIMEOUT, flash_otel
from support.versions import MAIN_VERSIONS, RUNPOD_VERSIONS
from verify.deployed import APP, Deployed, Verified

from flash_otel.demo.control_plane import CANARY_API_KEY, ControlPlane
from flash_otel.demo.project import CALLING_RESOURCE
from flash_otel.demo.scenarios import SCENARIOS, SUCCESSORS, FaultPlan, Rule
from flash_otel.demo.state import StoredEndpoint
from flash_otel.verify.recorded_endpoints import last_endpoints

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.flash import FlashEnvironments
    from support.runs import ScenarioRuns
    from support.warm import WarmEnvironments

    from flash_otel.demo.runner import RunArtifacts
    from flash_otel.demo.scenarios import Scenario
    from flash_otel.demo.state import ControlPlaneState, Json

pytestmark = pytest.mark.flash

(SUCCESSOR,) = RUNPOD_VERSIONS
LAST = MAIN_VERSIONS[-1]
VERSIONS = (*MAIN_VERSIONS, SUCCESSOR)
WORKER = "worker000000x1"
COPY = "Runpod's console"
BY_NAME = f"worker:{CALLING_RESOURCE}"


@pytest.fixture
def version() -> str:
    """The version that fetches, unless a test names one."""
    return LAST


@pytest.fixture
def scenario() -> Scenario:
    """The scenario whose worker's log is fetched, unless a test names one."""
    return SCENARIOS["environment_mismatch"]


@pytest.fixture
def run(shared_run: ScenarioRuns, scenario: Scenario) -> RunArtifacts:
    """Deployments and their worker, whose log alone shows the fault."""
    return shared_run(scenario)


@pytest.fixture
def endpoint(run: RunArtifacts) -> str:
    """The id of the endpoint that the run's worker belongs to."""
    return last_endpoints(run.store)[CALLING_RESOURCE]


@pytest.fixture
def plane(run: RunArtifacts, endpoint: str) -> Iterator[ControlPlane]:
    """A control plane that has the endpoint, and its worker's log."""
    with ControlPlane(seed=1) as plane:
        state = plane.state
        state.endpoints[endpoint] = StoredEndpoint(endpoint, "", "", {"name": CALLING_RESOURCE})
        state.keep_log(endpoint, WORKER, run.worker_log.read_text("utf-8"))
        yield plane


class Fetching:
    """Runs commands in the Python of one version, with the store of the run."""

    def __init__(self, deployed: Deployed, store: Path) -> None:
        self._deployed = deployed
        self._store = store

    def __call__(self, *words: str, api_key: str | None = "", **variables: str) -> Verified:
        variables = {"FLASH_OTEL_STORE": str(self._store), **variables}
        done = self._deployed.flash_otel(*words, api_key=api_key, **variables)
        assert CANARY_API_KEY not in done.stdout + done.stderr
        return done

    def python(self, code: str, *arguments: object) -> list[str]:
        """Run code in the same Python, and return the lines that it prints."""
        done = subprocess.run(
            [str(self._deployed.environment.python), "-c", code, *map(str, arguments)],
            cwd=self._deployed.project.parent,
            env=self._deployed.variables(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert CANARY_API_KEY not in done.stdout + done.stderr
        return done.stdout.splitlines()

    def refused(self, source: str, **variables: str | None) -> list[str]:
        """Diagnose a source that cannot be read, and return the lines of the message."""
        done = self("diagnose", "--from", "store", "--from", source, **variables)  # type: ignore[arg-type]  # api_key and variables alike
        assert (done.status, done.stdout) == (2, ""), done
        assert COPY in done.stderr.replace("\n", " ")
        return done.stderr.splitlines()


@pytest.fixture
def fetching(
    flash_env: FlashEnvironments,
    warm_env: WarmEnvironments,
    plane: ControlPlane,
    run: RunArtifacts,
    tmp_path: Path,
    version: str,
) -> Fetching:
    """Runs commands that fetch from the control plane."""
    environments = warm_env if version in MAIN_VERSIONS else flash_env
    return Fetching(Deployed(environments(version), plane, tmp_path / APP), run.store)


@pytest.mark.parametrize(
    ("version", "scenario", "queries"),
    [
        *((version, SCENARIOS["environment_mismatch"], "metrics") for version in MAIN_VERSIONS),
        (SUCCESSOR, SUCCESSORS["stale_build"], "workers"),
    ],
    ids=VERSIONS,
)
def test_the_fault_is_named_from_the_store_and_the_fetched_log(
    fetching: Fetching, plane: ControlPlane, scenario: Scenario, endpoint: str, queries: str
) -> None:
    """The endpoint is found by its resource's name, and the evidence names the worker."""
    alone = fetching("diagnose", "--json")
    assert alone.json["verdict"] != scenario.fault
    found = fetching("diagnose", "--from", "store", "--from", BY_NAME, "--json")
    assert (found.status, found.json["verdict"]) == (1, scenario.fault), found
    assert f"{BY_NAME}/{WORKER}:" in found.stdout
    assert found.operations == [queries, "worker log"]
    assert plane.journal.of(queries)[0].variables["endpoint_id"] == endpoint


def test_other_commands_read_the_same_source_by_the_id(fetching: Fetching, endpoint: str) -> None:
    """`traces` lists what the workers recorded; no store is needed for an id."""
    listed = fetching("traces", "--from", f"worker:{endpoint}", FLASH_OTEL_STORE="off")
    assert listed.status == 0, listed
    assert "flash.runtime.fetch" in listed.stdout or "flash.call" in listed.stdout


@pytest.mark.parametrize("version", [LAST, SUCCESSOR])
def test_an_endpoint_that_runpod_does_not_know(fetching: Fetching, plane: ControlPlane) -> None:
    """The names of the last recorded deployment are offered; what is no id is not sent."""
    first, step, *_ = fetching.refused("worker:elsewhere")
    assert first == "flash-otel: Runpod knows no endpoint 'elsewhere'."
    assert CALLING_RESOURCE in step
    asked = len(plane.journal.entries)
    assert fetching.refused("worker:no/id?")[0].endswith("knows no endpoint 'no/id?'.")
    assert len(plane.journal.entries) == asked


def starting(_: ControlPlaneState, __: Json, answer: Json) -> Json:
    """Answer that two workers are starting: in the counts, and in the list if there is one."""
    if "summary" not in answer:
        return {**answer, "workers": {**answer["workers"], "initializing": 2}}
    listed = [{"id": worker, "status": "initializing"} for worker in ("w1", "w2")]
    return {"workers": listed, "summary": {**answer["summary"], "initializing": 2, "total": 2}}


@pytest.mark.parametrize("version", [LAST, SUCCESSOR])
def test_no_worker_is_ready(fetching: Fetching, plane: ControlPlane) -> None:
    """No log is asked for; a request to the endpoint starts a worker."""
    plane.state.worker_logs.clear()
    first, step, *_ = fetching.refused(BY_NAME)
    assert first == f"flash-otel: no worker of {BY_NAME} is ready, so there is no log."
    plane.faults = FaultPlan((Rule("metrics", answer=starting), Rule("workers", answer=starting)))
    first, step, *_ = fetching.refused(BY_NAME)
    assert first.startswith(f"flash-otel: no worker of {BY_NAME} is ready (2 initializing), so")
    assert step == "Send it a request, which starts a worker, and repeat this command."
    assert plane.journal.of("worker log") == []


@pytest.mark.parametrize("version", [LAST, SUCCESSOR])
def test_a_worker_without_logs_yet(fetching: Fetching, plane: ControlPlane, endpoint: str) -> None:
    """A worker that has written nothing is named."""
    plane.state.worker_logs[endpoint][WORKER] = []
    first, *_ = fetching.refused(BY_NAME)
    assert first == f"flash-otel: no worker of {BY_NAME} has logs yet ({WORKER})."


@pytest.mark.parametrize("version", [LAST, SUCCESSOR])
def test_a_missing_and_a_rejected_key(fetching: Fetching, plane: ControlPlane) -> None:
    """Both errors lead to the key, which is never printed."""
    first, step, *_ = fetching.refused(BY_NAME, api_key=None)
    assert first == "flash-otel: there is no Runpod API key, so nothing can be read back."
    assert step.startswith("Run `flash login`")
    plane.faults = FaultPlan((Rule("worker log", status=401),))
    first, step, *_ = fetching.refused(BY_NAME)
    assert first.startswith("flash-otel: the API key was rejected; the query for the log")
    first, *_ = fetching.refused(BY_NAME, api_key="rpa_wrong_key_0000")
    assert first.startswith("flash-otel: the API key was rejected; the query for the workers")
    assert "rpa_wrong_key_0000" not in first


@pytest.mark.parametrize("version", [LAST, SUCCESSOR])
def test_a_server_that_cannot_be_reached(fetching: Fetching) -> None:
    """The request that failed is named, with the address's error."""
    with socket.socket() as bound:  # not listening, so that connections are refused
        bound.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{bound.getsockname()[1]}"
        first, step, *_ = fetching.refused(BY_NAME, RUNPOD_HAPI_URL=f"{closed}/hapi")
    assert first.startswith(f"flash-otel: the query for the log of worker {WORKER} failed: ")
    assert step == "Check the network and Runpod's status, and try again."


@pytest.mark.parametrize("version", [LAST, SUCCESSOR])
def test_a_worker_that_ends_meanwhile(
    fetching: Fetching, plane: ControlPlane, run: RunArtifacts, endpoint: str
) -> None:
    """Its log is gone, which is noted; the logs of the others are read."""
    plane.faults = FaultPlan((Rule("worker log", status=404, times=1),))
    plane.state.keep_log(endpoint, "worker2", run.worker_log.read_text("utf-8"))
    found = fetching("diagnose", "--from", "store", "--from", BY_NAME, "--json")
    assert found.json["verdict"] == "environment_mismatch"
    gone = f"flash-otel: the log of worker {WORKER} of {BY_NAME} is gone"
    assert found.stderr.splitlines()[0] == gone
    plane.faults = FaultPlan((Rule("worker log", status=404),))
    del plane.state.worker_logs[endpoint]["worker2"]
    assert fetching.refused(BY_NAME)[0] == f"{gone}."


@contextmanager
def redirecting(base_url: str) -> Iterator[str]:
    """Yield the address of a server that redirects each path to another."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("location", base_url + self.path)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("version", [LAST, SUCCESSOR])
def test_a_redirect_is_not_followed(fetching: Fetching, plane: ControlPlane) -> None:
    """It would send the key to another host."""
    with redirecting(plane.base_url) as address:
        first, *_ = fetching.refused(BY_NAME, RUNPOD_HAPI_URL=f"{address}/hapi")
    assert first == f"flash-otel: the query for the log of worker {WORKER} failed: HTTP 302."
    assert plane.journal.of("worker log") == []


# How each generation itself asks for a worker's log.
OWN_READERS: Final = {
    LAST: """
        import asyncio, os, sys
        from runpod_flash.core.resources.request_logs import QBRequestLogFetcher as Fetcher

        async def lines(endpoint):
            fetcher, key = Fetcher(), os.environ["RUNPOD_API_KEY"]
            metrics = await fetcher._fetch_metrics_payload(endpoint, key, None)
            (worker,) = fetcher._ready_worker_ids_from_metrics(metrics)
            return fetcher._collect_records(await fetcher._fetch_pod_logs(worker, key))

        print(*asyncio.run(lines(sys.argv[1])), sep="\\n")
    """,
    SUCCESSOR: """
        import asyncio, sys
        from runpod.apps.api import AppsApiClient
        from runpod.apps.logs import pod_logs

        async def lines(endpoint):
            answer = await AppsApiClient().endpoint_workers(endpoint)
            (worker,) = (worker["id"] for worker in answer["workers"])
            return (await pod_logs(worker, log_type="container"))["container"]

        print(*asyncio.run(lines(sys.argv[1])), sep="\\n")
    """,
}


@pytest.mark.parametrize("version", OWN_READERS)
def test_flash_reads_the_same_log_from_the_stand_in(
    fetching: Fetching, plane: ControlPlane, endpoint: str, version: str
) -> None:
    """What the stand-in answers has the form that Flash's own readers know."""
    lines = plane.state.worker_logs[endpoint][WORKER]
    assert fetching.python(dedent(OWN_READERS[version]), endpoint)[-len(lines) :] == lines


def test_a_key_in_a_log_is_not_shown(
    fetching: Fetching, plane: ControlPlane, endpoint: str
) -> None:
    """Not even where a bracketed line holds it."""
    line = f"[RUNTIME SYNC] Querying State Manager with environment_id={CANARY_API_KEY}\n"
    plane.state.keep_log(endpoint, WORKER, line)
    found = fetching("show", "last", "--from", BY_NAME, "--json")
    assert "flash.runtime.fetch" in found.stdout, found


def test_a_log_without_records_is_not_quoted(
    fetching: Fetching, plane: ControlPlane, endpoint: str
) -> None:
    """What another program wrote, such as a key, is in no message."""
    plane.state.keep_log(endpoint, WORKER, f"started with {CANARY_API_KEY}\n")
    alone = fetching("diagnose", "--from", BY_NAME)
    assert alone.status == 3
    assert alone.stderr.startswith(f"flash-otel: no log of {BY_NAME} ({WORKER}) holds a bracketed")
    assert "started" not in alone.stderr


@pytest.mark.parametrize("version", ["1.10.2"])
def test_a_version_that_cannot_fetch_logs(fetching: Fetching) -> None:
    """The versions that can are named, and no request is sent."""
    first, step, *_ = fetching.refused(BY_NAME)
    assert first == "flash-otel: runpod-flash 1.10.2 cannot fetch the logs of workers."
    assert step == "Upgrade it: runpod-flash 1.12 and later can, and so can runpod 2."


def test_flash_in_another_interpreter(flash_env: FlashEnvironments, tmp_path: Path) -> None:
    """Without Flash, the way to add it is printed, and where to copy the log from."""
    done = flash_otel(
        tmp_path,
        *("diagnose", "--from", "worker:abc"),
        env={"PATH": str(flash_env(LAST).scripts), "RUNPOD_API_KEY": CANARY_API_KEY},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "flash lives in another interpreter" in done.stderr
    assert COPY in done.stderr.replace("\n", " ")
    assert CANARY_API_KEY not in done.stderr


BOUNDED: Final = """
import sys
from flash_otel.diagnosis.readers import ReaderError
from flash_otel.verify import log_fetcher
from flash_otel.verify.worker_logs import WorkerReader

endpoint, seconds, log_fetcher.MOST_WORKERS, log_fetcher.MOST_BYTES = sys.argv[1], *map(
    int, sys.argv[2:]
)
try:
    reader = WorkerReader(endpoint, {}, seconds=seconds, on_note=print)
    print(len(list(reader.records())) > 0)
except ReaderError as error:
    print(error, error.next_step, sep="\\n")
"""


def test_time_workers_and_bytes_are_bounded(
    fetching: Fetching, plane: ControlPlane, run: RunArtifacts, endpoint: str
) -> None:
    """A reader ends at its limits, and names what it left out."""
    log = run.worker_log.read_text("utf-8")
    assert fetching.python(BOUNDED, endpoint, 60, 1, 2**22) == ["True"]
    plane.state.keep_log(endpoint, "worker2", log)
    assert fetching.python(BOUNDED, endpoint, 60, 1, 2**22) == [
        f"worker:{endpoint} has 2 workers; the logs of 1 are read",
        "True",
    ]
    assert len(plane.journal.of("worker log")) == 2
    first, *_ = fetching.python(BOUNDED, endpoint, 60, 2, len(log))
    assert first.startswith(f"the log of worker {WORKER} of worker:{endpoint} was left out: with")
    plane.faults = FaultPlan((Rule("metrics", gate="never opened"),))
    first, *_ = fetching.python(BOUNDED, endpoint, 1, 1, 2**22)
    assert first.startswith("no answer within 1 s: the query for the workers of worker:")
