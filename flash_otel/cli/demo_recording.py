"""Run a scenario for `flash-otel demo`, keep its recording, and diagnose it."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.cli.app import COULD_NOT_TELL, CommandError
from flash_otel.cli.publish import publish_decided
from flash_otel.cli.sources import DEMO, JAEGER
from flash_otel.cli.streams import note
from flash_otel.demo.releases import generation_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.demo.progress import Progress
    from flash_otel.demo.runner import RunArtifacts
    from flash_otel.demo.scenarios import Scenario
    from flash_otel.diagnosis import Diagnosis
    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore

_OTLP_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_ARRIVAL_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class DemoResult:
    """A run, its joined trace and its diagnosis.

    Attributes:
        scenario: What was run.
        artifacts: The logs, the store and the facts of the run.
        trace: The spans of the deployment's trace, and of the traces that link to it.
        diagnosis: What they show.
        source: The value of `--from` that reads the recording; None if it was not kept.
    """

    scenario: Scenario
    artifacts: RunArtifacts
    trace: list[SpanRecord]
    diagnosis: Diagnosis
    source: str | None

    @property
    def problem(self) -> str:
        """How the run ended otherwise than its scenario describes; empty if it did not."""
        artifacts, scenario = self.artifacts, self.scenario
        if artifacts.unexpected_exits:
            return "A deployment failed, which it does not in this scenario."
        if (artifacts.worker_exit == 0) != scenario.is_answered:
            expected = "answered" if scenario.is_answered else "refused"
            return f"The worker's call should have been {expected}, and was not."
        return ""


def record(
    scenario: Scenario, version: str, workdir: Path, jaeger: str | None, progress: Progress
) -> DemoResult:
    """Run a scenario, and keep what it recorded.

    Args:
        scenario: What to run.
        version: Version of Flash.
        workdir: An existing folder for all files of the run.
        jaeger: URL of the Jaeger that receives the spans; None to read the store and the logs.
        progress: Called before each step.

    Raises:
        CommandError: The run could not be made, or its spans not be read.
    """
    with require_extra():
        from flash_otel.demo.environment import EnvironmentSetupError
        from flash_otel.demo.runner import run_scenario
    from flash_otel.diagnosis.readers import ReaderError

    begun_ns = time.time_ns()
    try:
        package = generation_of(version).package
        progress(f"Starting the stand-in control plane, for {package} {version}")
        artifacts = run_scenario(
            scenario,
            workdir=workdir,
            version=version,
            worker_changes=_worker_exporter() if jaeger else None,
            on_progress=progress,
        )
        if jaeger is None:
            return _from_store(scenario, artifacts)
        return _from_jaeger(scenario, artifacts, jaeger, begun_ns)
    except (EnvironmentSetupError, RuntimeError, TimeoutError, ReaderError) as error:
        message, _, rest = str(error).partition("\n")
        raise CommandError(message, rest, COULD_NOT_TELL) from error


@contextmanager
def require_extra() -> Iterator[None]:
    """Explain an import of the stand-in control plane that fails in the block.

    Raises:
        CommandError: The extra `demo` is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        from flash_otel.runtime.interpreters import install_command

        command = install_command(Path(sys.executable), "demo")
        raise CommandError(
            "flash-otel demo needs aiohttp.", f"Install it: {command}", COULD_NOT_TELL
        ) from error


def _from_store(scenario: Scenario, artifacts: RunArtifacts) -> DemoResult:
    """Lay the workers' spans into the deployments' store, keep it, and diagnose it."""
    from flash_otel.demo import processes
    from flash_otel.diagnosis import diagnose
    from flash_otel.diagnosis.readers import StoreReader
    from flash_otel.store.store import SpanStore

    processes.join_worker_logs(artifacts.store, artifacts.worker_logs)
    with SpanStore(artifacts.store, is_read_only=True) as store:
        trace = _joined_trace(store, artifacts.trace_id)
        source = DEMO if _is_kept(store) else None
    diagnosis = diagnose(StoreReader(artifacts.store).records())
    return DemoResult(scenario, artifacts, trace, diagnosis, source)


def _joined_trace(store: SpanStore, trace_id: str | None) -> list[SpanRecord]:
    """Return the deployment's trace with the worker's spans, and the traces that link to it."""
    trace_id = trace_id or store.latest_trace_id()
    if trace_id is None:
        return []
    linked = dict.fromkeys(record.trace_id for record in store.linked(trace_id))
    return [record for found in (trace_id, *linked) for record in store.trace(found)]


def _is_kept(store: SpanStore) -> bool:
    """Replace the recording of the last demo; return False, and note the reason, if it fails."""
    from flash_otel.store.store import StoreError, locate_demo, open_for_writing

    try:
        with open_for_writing(locate_demo()) as kept:
            kept.replace(store.spans())
    except StoreError as error:
        note(f"flash-otel: the recording is not kept: {error}")
        return False
    return True


def _worker_exporter() -> dict[str, str | None]:
    """Return the variables that a user sets on the resource to make its workers export spans."""
    return {name: text for name, text in os.environ.items() if name.startswith(_OTLP_PREFIX)}


def _from_jaeger(
    scenario: Scenario, artifacts: RunArtifacts, url: str, begun_ns: int
) -> DemoResult:
    from flash_otel.diagnosis import diagnose
    from flash_otel.diagnosis.readers.jaeger import JaegerReader

    trace_id = str(artifacts.trace_id)
    trace = _arrived(url, trace_id)
    # All spans of the run: the scenario's earlier deployments are evidence of an older build.
    diagnosis = diagnose(JaegerReader(url, since_ns=begun_ns).records(), trace_id=trace_id)
    publish_decided(lambda: diagnosis)
    return DemoResult(scenario, artifacts, trace, diagnosis, f"{JAEGER}={url}")


def _arrived(url: str, trace_id: str) -> list[SpanRecord]:
    """Wait until Jaeger has the worker's call; return the deployment's trace and linked traces.

    Spans that were sent together become visible one after another: those around the call have
    arrived when a second look finds no more.

    Raises:
        flash_otel.diagnosis.readers.ReaderError: Jaeger cannot be read.
        TimeoutError: The spans did not arrive within a minute.
    """
    from flash_otel.diagnosis.readers import NothingFoundError
    from flash_otel.diagnosis.readers.jaeger import JaegerReader

    deadline = time.monotonic() + _ARRIVAL_SECONDS
    before = -1
    while time.monotonic() < deadline:
        try:
            found = list(JaegerReader(url, trace_id=trace_id).records())
        except NothingFoundError:
            found = []
        own = [record for record in found if trace_id in (record.trace_id, _deployment_of(record))]
        is_there = {semconv.DEPLOY, semconv.CALL} <= {record.name for record in own}
        if is_there and len(own) == before:
            traces = {record.trace_id for record in own}
            return [record for record in found if record.trace_id in traces]
        before = len(own)
        time.sleep(_POLL_SECONDS)
    raise TimeoutError(f"The spans did not arrive at {url} within {_ARRIVAL_SECONDS:.0f} seconds.")


def _deployment_of(record: SpanRecord) -> object:
    return record.attributes.get(semconv.DEPLOY_TRACE_ID)
