"""`flash-otel demo`: run the real flash against a stand-in control plane on this machine.

Standard output has the bracketed lines of both sides, the joined trace and the diagnosis, or one
JSON object; progress goes to standard error. The diagnosis does not know the injected fault. The
exit status is 0 if the run ended as the scenario describes, whatever its fault.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from flash_otel import semconv
from flash_otel.cli.app import CLEAN, COULD_NOT_TELL, CommandError, program
from flash_otel.cli.streams import note
from flash_otel.demo.scenarios import DEFAULT_VERSION, SCENARIOS, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from flash_otel.demo.environment import Progress
    from flash_otel.demo.runner import RunArtifacts
    from flash_otel.diagnosis import Diagnosis
    from flash_otel.records import SpanRecord


_ENDPOINT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXTRA: Final = "The demo needs its extra: pip install 'flash-otel[demo]'"
_OTLP_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_ARRIVAL_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.5


def demo(
    scenario: Annotated[
        str,
        typer.Argument(metavar="SCENARIO", help="The scenario to run; see --list."),
    ] = "healthy",
    list_all: Annotated[bool, typer.Option("--list", help="List the scenarios and exit.")] = False,
    version: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Version of runpod-flash to run.", show_default=False),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the logs and the store, and print their folder.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    jaeger: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Send spans as OTEL_EXPORTER_OTLP_* configure; show the trace from this Jaeger.",
        ),
    ] = None,
) -> int:
    """Run a real deployment and a worker against a stand-in control plane, and show the trace.

    Everything runs on this machine, in virtual environments of its own. The first run installs
    runpod-flash there, which takes a while.
    """
    if list_all:
        print("\n".join(SCENARIOS))
        return CLEAN
    chosen = SCENARIOS.get(scenario)
    if chosen is None:
        known = ", ".join(SCENARIOS)
        raise CommandError(f"unknown scenario: {scenario!r}.", f"Choose one: {known}")
    if jaeger and not any(map(os.environ.get, _ENDPOINT_VARIABLES)):
        hint = f"Name one: {_ENDPOINT_VARIABLES[0]}=http://localhost:4318"
        raise CommandError("--jaeger needs an OTLP endpoint.", hint)
    progress = _Progress()
    with _workdir(keep) as workdir:
        output = _run(chosen, version or DEFAULT_VERSION, workdir, jaeger, progress)
        if output is None:
            return COULD_NOT_TELL
        if as_json:
            _print_json(output)
        else:
            _print_text(output, _next_command(output, is_kept=keep, is_in_jaeger=bool(jaeger)))
        if keep:
            progress(f"Kept in {workdir}: {program()} show --store {output.artifacts.store}")
    return CLEAN if _ended_as_described(output, progress) else COULD_NOT_TELL


@dataclass(frozen=True, slots=True)
class _Output:
    """The output of the command: the run, its joined trace and its diagnosis."""

    scenario: Scenario
    artifacts: RunArtifacts
    trace: list[SpanRecord]
    diagnosis: Diagnosis


def _run(
    scenario: Scenario,
    version: str,
    workdir: Path,
    jaeger: str | None,
    progress: Progress,
) -> _Output | None:
    try:
        from flash_otel.demo.environment import EnvironmentSetupError
        from flash_otel.demo.runner import run_scenario
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        progress(_EXTRA)
        return None
    from flash_otel.diagnosis.readers import ReaderError

    begun_ns = time.time_ns()
    try:
        artifacts = run_scenario(
            scenario,
            workdir=workdir,
            version=version,
            worker_changes=_worker_exporter() if jaeger else None,
            on_progress=progress,
        )
        if jaeger is None:
            return _Output(scenario, artifacts, _joined_trace(artifacts), _diagnosis(artifacts))
        trace_id = str(artifacts.trace_id)
        trace = _arrived(jaeger, trace_id)
        return _Output(scenario, artifacts, trace, _remote_diagnosis(jaeger, trace_id, begun_ns))
    except (EnvironmentSetupError, RuntimeError, TimeoutError, ReaderError) as error:
        progress(str(error))
        return None


def _joined_trace(artifacts: RunArtifacts) -> list[SpanRecord]:
    """Return the deployment's trace with the worker's spans, and the traces that link to it."""
    from flash_otel.demo import processes
    from flash_otel.store.store import SpanStore

    processes.join_worker_logs(artifacts.store, artifacts.worker_logs)
    with SpanStore(artifacts.store, is_read_only=True) as store:
        trace_id = artifacts.trace_id or store.latest_trace_id()
        if trace_id is None:
            return []
        linked = dict.fromkeys(record.trace_id for record in store.linked(trace_id))
        return [record for found in (trace_id, *linked) for record in store.trace(found)]


def _diagnosis(artifacts: RunArtifacts) -> Diagnosis:
    """Diagnose the store, which holds the workers' spans by now."""
    from flash_otel.diagnosis import diagnose
    from flash_otel.diagnosis.readers import StoreReader

    return diagnose(StoreReader(artifacts.store).records())


def _worker_exporter() -> dict[str, str | None]:
    """Return the variables that a user sets on the resource to make its workers export spans."""
    return {name: text for name, text in os.environ.items() if name.startswith(_OTLP_PREFIX)}


def _arrived(url: str, trace_id: str) -> list[SpanRecord]:
    """Wait until Jaeger has the worker's call; return the deployment's trace and linked traces.

    Raises:
        flash_otel.diagnosis.readers.ReaderError: Jaeger cannot be read.
        TimeoutError: The spans did not arrive within a minute.
    """
    from flash_otel.diagnosis.readers import NothingFoundError
    from flash_otel.diagnosis.readers.jaeger import JaegerReader

    deadline = time.monotonic() + _ARRIVAL_SECONDS
    while time.monotonic() < deadline:
        try:
            found = list(JaegerReader(url, trace_id=trace_id).records())
        except NothingFoundError:
            found = []
        own = [record for record in found if trace_id in (record.trace_id, _deployment_of(record))]
        if {semconv.DEPLOY, semconv.CALL} <= {record.name for record in own}:
            traces = {record.trace_id for record in own}
            return [record for record in found if record.trace_id in traces]
        time.sleep(_POLL_SECONDS)
    raise TimeoutError(f"The spans did not arrive at {url} within {_ARRIVAL_SECONDS:.0f} seconds.")


def _deployment_of(record: SpanRecord) -> object:
    return record.attributes.get(semconv.DEPLOY_TRACE_ID)


def _remote_diagnosis(url: str, trace_id: str, begun_ns: int) -> Diagnosis:
    from flash_otel.diagnosis import diagnose
    from flash_otel.diagnosis.readers.jaeger import JaegerReader

    # All spans of the run: the scenario's earlier deployments are evidence of an older build.
    return diagnose(JaegerReader(url, since_ns=begun_ns).records(), trace_id=trace_id)


def _ended_as_described(output: _Output, progress: Progress) -> bool:
    artifacts, scenario = output.artifacts, output.scenario
    if artifacts.unexpected_exits:
        progress("A deployment failed, which it does not in this scenario.")
        return False
    if (artifacts.worker_exit == 0) != scenario.is_answered:
        expected = "answered" if scenario.is_answered else "refused"
        progress(f"The worker's call should have been {expected}, and was not.")
        return False
    return True


def _next_command(output: _Output, *, is_kept: bool, is_in_jaeger: bool) -> str:
    """Return a command that works when it is pasted: the recording is deleted unless it is kept."""
    if is_in_jaeger:
        return output.diagnosis.command
    if is_kept:
        return f"{program()} show --store {shlex.quote(str(output.artifacts.store))}"
    names = [*SCENARIOS]
    following = names[(names.index(output.scenario.name) + 1) % len(names)]
    return f"{program()} demo {following}"


def _print_text(output: _Output, command: str) -> None:
    from flash_otel.demo.processes import bracketed_lines
    from flash_otel.report.diagnosis import render_diagnosis
    from flash_otel.report.layout import ReportConsole
    from flash_otel.report.trace import render_trace

    console, artifacts, scenario = ReportConsole(), output.artifacts, output.scenario
    _heading(console, f"{scenario.name}, runpod-flash {artifacts.version}", scenario.title)
    console.print(f"Injected: {scenario.injected}", markup=False, highlight=False)
    _heading(console, "flash deploy")
    _print_lines(bracketed_lines(artifacts.deploy_log))
    _heading(console, "the worker")
    _print_lines(bracketed_lines(artifacts.worker_log))
    outcome = "answered" if artifacts.worker_exit == 0 else "failed"
    _print_lines([f"(the remote call {outcome})"])
    _heading(console, "the joined trace")
    render_trace(output.trace, console)
    _heading(console, "flash-otel diagnose")
    render_diagnosis(replace(output.diagnosis, command=command), console)


def _heading(console: Console, title: str, text: str = "") -> None:
    console.print(f"\n== {title} ==", style="bold", markup=False, highlight=False)
    if text:
        console.print(text, markup=False, highlight=False)


def _print_lines(lines: list[str]) -> None:
    # Not through rich, which would wrap them: the guide searches them with grep.
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _print_json(output: _Output) -> None:
    from flash_otel.demo.processes import bracketed_lines
    from flash_otel.otlp.encode import encode_json
    from flash_otel.report.json import diagnosis_json

    artifacts, scenario = output.artifacts, output.scenario
    answer = {
        "scenario": scenario.name,
        "title": scenario.title,
        "injected": scenario.injected,
        "version": artifacts.version,
        "trace_id": artifacts.trace_id,
        "build_id": artifacts.build_id,
        "environment_id": artifacts.environment_id,
        "deploy_exits": artifacts.deploy_exits,
        "worker_exit": artifacts.worker_exit,
        "deploy_lines": bracketed_lines(artifacts.deploy_log),
        "worker_lines": bracketed_lines(artifacts.worker_log),
        "trace": encode_json(output.trace),
        "diagnosis": diagnosis_json(output.diagnosis),
    }
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")


class _Progress:
    """Prints sentences to standard error, each after the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, sentence: str) -> None:
        seconds = time.monotonic() - self._started
        note(f"[{seconds:5.1f} s] {sentence}")


@contextmanager
def _workdir(keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="flash-otel-demo-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
