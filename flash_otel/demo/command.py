"""What `flash-otel demo` does: runs a scenario, shows its lines and trace, names its fault."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flash_otel.demo import remote
from flash_otel.demo.lines import bracketed_lines
from flash_otel.demo.scenarios import DEFAULT_VERSION, SCENARIOS, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flash_otel.demo.result import ScenarioResult
    from flash_otel.diagnosis import Diagnosis
    from flash_otel.records import SpanRecord

RAN: Final = 0
BAD_USAGE: Final = 2
COULD_NOT_TELL: Final = 3

_EXTRA: Final = "The demo needs its extra: pip install 'flash-otel[demo]'"


def scenario_names() -> list[str]:
    """Return the names that `run_demo` takes."""
    return list(SCENARIOS)


def run_demo(
    scenario: str,
    *,
    version: str = DEFAULT_VERSION,
    keep: bool = False,
    json_output: bool = False,
    jaeger: str | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> int:
    """Run a scenario with the real Flash and print what came of it.

    Progress goes to standard error; the bracketed lines of both sides, the joined trace and the
    diagnosis, which sees nothing of what was injected, go to standard output, with `json_output`
    as one JSON object.

    Args:
        scenario: One of `scenario_names()`.
        version: Version of runpod-flash, installed once into the user's cache.
        keep: Keep the logs and the store, and say where they are.
        json_output: Print JSON instead of text.
        jaeger: Let the worker send to where the OTEL_EXPORTER_OTLP_* variables say, as the
            deployment does, and show what arrived at this Jaeger; the store is not looked at.
        on_progress: Where progress goes instead of standard error.

    Returns:
        The exit status: 0 if the scenario came out as it should, whatever its fault; 2 for an
        unknown scenario; 3 if it could not be run or came out otherwise.
    """
    progress = on_progress or _Progress()
    chosen = SCENARIOS.get(scenario)
    if chosen is None:
        progress(f"There is no scenario {scenario!r}. Choose one of: {', '.join(SCENARIOS)}.")
        return BAD_USAGE
    with _workdir(keep) as workdir:
        changes = remote.worker_variables() if jaeger else None
        begun_ns = time.time_ns()
        result = _run(chosen, version, workdir, progress, changes)
        seen = _seen(result, jaeger, begun_ns, progress) if result else None
        if result is None or seen is None:
            return COULD_NOT_TELL
        show = _print_json if json_output else _print_text
        show(chosen, result, *seen)
        if keep:
            progress(f"Kept in {workdir}: flash-otel show --store {result.store}")
    return RAN if _came_out(chosen, result, progress) else COULD_NOT_TELL


def _run(
    scenario: Scenario,
    version: str,
    workdir: Path,
    progress: Callable[[str], None],
    worker_changes: Mapping[str, str | None] | None,
) -> ScenarioResult | None:
    try:
        from flash_otel.demo.environment import EnvironmentSetupError
        from flash_otel.demo.runner import run_scenario
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        progress(_EXTRA)
        return None
    try:
        return run_scenario(
            scenario.name,
            workdir=workdir,
            version=version,
            worker_changes=worker_changes,
            on_progress=progress,
        )
    except (EnvironmentSetupError, RuntimeError, TimeoutError) as error:
        progress(str(error))
        return None


def _seen(
    result: ScenarioResult,
    jaeger: str | None,
    begun_ns: int,
    progress: Callable[[str], None],
) -> tuple[list[SpanRecord], Diagnosis] | None:
    """Return the trace and the diagnosis: of the store and the worker's log, or of Jaeger alone."""
    if jaeger is None:
        return _joined_trace(result), _diagnosis(result)
    from flash_otel.diagnosis import diagnose
    from flash_otel.diagnosis.readers import ReaderError
    from flash_otel.diagnosis.readers.jaeger import JaegerReader

    try:
        records = remote.arrived(jaeger, str(result.trace_id))
        # Earlier deployments of the scenario are evidence, too: they tell an older build.
        known = JaegerReader(jaeger, since_ns=begun_ns).records()
        found = diagnose(known, trace_id=result.trace_id)
    except (ReaderError, TimeoutError) as error:
        progress(str(error))
        return None
    return records, found


def _joined_trace(result: ScenarioResult) -> list[SpanRecord]:
    """Return the deployment's trace with the worker's spans, and the traces that point to it."""
    from flash_otel.demo.joining import join_worker_log
    from flash_otel.store.store import SpanStore

    join_worker_log(result.store, result.worker_log)
    with SpanStore(result.store, is_read_only=True) as store:
        trace_id = result.trace_id or store.latest_trace_id()
        if trace_id is None:
            return []
        pointing = {record.trace_id: None for record in store.linked(trace_id)}
        return [record for one in (trace_id, *pointing) for record in store.trace(one)]


def _diagnosis(result: ScenarioResult) -> Diagnosis:
    """Judge what the store holds by now: the deployments, and the worker's log."""
    from flash_otel.diagnosis import diagnose
    from flash_otel.diagnosis.readers.store import StoreReader

    return diagnose(StoreReader(result.store).records())


def _came_out(scenario: Scenario, result: ScenarioResult, progress: Callable[[str], None]) -> bool:
    answered = result.worker_exit == 0
    if any(result.deploy_exits):
        progress("A deployment failed, which it does not in this scenario.")
    elif answered != scenario.answered:
        expected = "answered" if scenario.answered else "refused"
        progress(f"The worker's call should have been {expected}, and was not.")
    else:
        return True
    return False


def _print_text(
    scenario: Scenario, result: ScenarioResult, records: list[SpanRecord], diagnosis: Diagnosis
) -> None:
    from rich.console import Console

    from flash_otel.report.diagnosis import render_diagnosis
    from flash_otel.report.trace import render_trace

    console = Console()
    _heading(console, f"{scenario.name}, runpod-flash {result.version}", scenario.title)
    console.print(f"Injected: {scenario.injected}", markup=False, highlight=False)
    _heading(console, "flash deploy")
    _print_lines(bracketed_lines(result.deploy_log))
    _heading(console, "the worker")
    _print_lines(bracketed_lines(result.worker_log))
    outcome = "answered" if result.worker_exit == 0 else "failed"
    _print_lines([f"(the remote call {outcome})"])
    _heading(console, "the joined trace")
    render_trace(records, console)
    _heading(console, "flash-otel diagnose")
    render_diagnosis(diagnosis, console)


def _heading(console: Any, title: str, text: str = "") -> None:
    console.print(f"\n== {title} ==", style="bold", markup=False, highlight=False)
    if text:
        console.print(text, markup=False, highlight=False)


def _print_lines(lines: list[str]) -> None:
    # Whole lines, never wrapped: they are there to be searched with grep.
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _print_json(
    scenario: Scenario, result: ScenarioResult, records: list[SpanRecord], diagnosis: Diagnosis
) -> None:
    from flash_otel.otlp.encode import encode_json
    from flash_otel.report.json import diagnosis_json

    answer = {
        "scenario": scenario.name,
        "title": scenario.title,
        "injected": scenario.injected,
        "version": result.version,
        "trace_id": result.trace_id,
        "build_id": result.build_id,
        "environment_id": result.environment_id,
        "deploy_exits": result.deploy_exits,
        "worker_exit": result.worker_exit,
        "deploy_lines": bracketed_lines(result.deploy_log),
        "worker_lines": bracketed_lines(result.worker_log),
        "trace": encode_json(records),
        "diagnosis": diagnosis_json(diagnosis),
    }
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")


class _Progress:
    """Prints sentences to standard error with the seconds since its making."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, sentence: str) -> None:
        seconds = time.monotonic() - self._started
        sys.stderr.write(f"[{seconds:5.1f} s] {sentence}\n")
        sys.stderr.flush()


@contextmanager
def _workdir(keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="flash-otel-demo-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
