"""Runs a scenario: real `flash deploy` and worker processes against the stand-in control plane."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from flash_otel.demo import processes, scenarios, worker
from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.environment import PythonEnvironment, find_environment
from flash_otel.demo.processes import ProcessSpec, deploy_variables, worker_variables
from flash_otel.demo.project import CALLING_RESOURCE, carried_trace_id, unpack, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from flash_otel.demo.progress import Progress
    from flash_otel.demo.state import Journal, StoredBuild, StoredEndpoint, StoredEnvironment


_Record = TypeVar("_Record")
_SECONDS: Final = 120.0
_CLOCK: Final = "FLASH_OTEL_DEMO_CLOCK_S"
# Not `-m`, which would import flash_otel into an untraced worker, and before its clock is set.
_RUN_FILE: Final = (
    "import os, runpy, sys, time\n"
    f"ahead = int(os.environ.pop({_CLOCK!r}, 0)) * 10**9\n"
    "if ahead:\n"
    "    from flash_otel import pipeline\n"
    "    pipeline.clock.value = lambda: time.time_ns() + ahead\n"
    "runpy.run_path(sys.argv.pop(1), run_name='__main__')\n"
)


@dataclass
class DeployOutcome:
    """One `flash deploy`: its environment, its expected end, and its actual end.

    Attributes:
        app: Name of the app.
        environment: Name of the environment; None if Flash chose it.
        fails: Whether the command should exit with an error.
        log: Its standard output and error.
        exit_code: Its exit code; None while it runs.
    """

    app: str
    environment: str | None
    fails: bool
    log: Path
    exit_code: int | None = None


@dataclass
class RunArtifacts:
    """The artifacts of a run. A diagnosis may see the store and the logs; the rest is for tests.

    Attributes:
        scenario: Name of the scenario.
        version: Version of runpod-flash.
        workdir: Folder that holds everything.
        store: The deployments' store (workers have none).
        journal: The requests to the control plane.
        deploys: The deployments, in the order of their start.
        worker_logs: Standard output and error of each worker: its container log.
        worker_exits: Exit codes of the workers: 0 if all remote calls were answered.
        environment_id: Id of the last deployment's environment.
        build_id: Id of the last build.
        active_build_id: Id of the active build of that environment at the end.
        worker_environment_id: FLASH_ENVIRONMENT_ID of the last worker.
        trace_id: Trace of the deployment whose build the last worker runs, from the manifest in
            the build's artifact; None if it was not traced.
    """

    scenario: str
    version: str
    workdir: Path
    store: Path
    journal: Journal
    deploys: list[DeployOutcome] = field(default_factory=list)
    worker_logs: list[Path] = field(default_factory=list)
    worker_exits: list[int] = field(default_factory=list)
    environment_id: str = ""
    build_id: str = ""
    active_build_id: str | None = None
    worker_environment_id: str | None = None
    trace_id: str | None = None

    @property
    def deploy_exits(self) -> list[int | None]:
        """Exit codes of the deployments."""
        return [deploy.exit_code for deploy in self.deploys]

    @property
    def unexpected_exits(self) -> list[DeployOutcome]:
        """Deployments that failed or succeeded contrary to the scenario."""
        return [deploy for deploy in self.deploys if bool(deploy.exit_code) != deploy.fails]

    @property
    def deploy_log(self) -> Path:
        """The log of the last deployment."""
        return self.deploys[-1].log

    @property
    def worker_log(self) -> Path:
        """The log of the last worker."""
        return self.worker_logs[-1]

    @property
    def worker_exit(self) -> int | None:
        """Exit code of the last worker; None without a worker."""
        return self.worker_exits[-1] if self.worker_exits else None


def run_scenario(
    scenario: scenarios.Scenario,
    *,
    workdir: Path,
    version: str | None = None,
    traced: bool = True,
    worker_mode: str | None = None,
    worker_changes: Mapping[str, str | None] | None = None,
    cache: Path | None = None,
    on_progress: Progress = lambda *_: None,
) -> RunArtifacts:
    """Run a scenario. All of its processes have ended when it returns or raises.

    Args:
        scenario: What to run.
        workdir: An existing folder for all files of the run.
        version: Version of runpod-flash; None for the scenario's.
        traced: Whether flash_otel is active in deployments and workers.
        worker_mode: How workers call; None for the scenario's modes.
        worker_changes: Further variables of the workers; None removes a variable.
        cache: Where environments are kept; None for the user's cache.
        on_progress: Called with a sentence before each step.

    Raises:
        flash_otel.demo.environment.EnvironmentSetupError: Flash could not be installed.
        RuntimeError: A deployment did not get as far as the scenario needs.
        TimeoutError: A deployment or a worker did not end in time.
    """
    version = version or scenario.version
    environment = find_environment(version, cache=cache, on_progress=on_progress)
    with ControlPlane() as plane:
        store = workdir / "store.db"
        artifacts = RunArtifacts(scenario.name, version, workdir, store, plane.journal)
        changes = dict(worker_changes or {})
        run = _ScenarioRun(environment, plane, artifacts, on_progress, traced, worker_mode, changes)
        run.create_environments(scenario.environments)
        for step in scenario.steps:
            run.take(step)
        run.record_facts()
    return artifacts


def flash_command(
    environment: PythonEnvironment, arguments: list[str], *, traced: bool
) -> list[str]:
    """Return the command line of the real Flash, traced through the launcher or bare."""
    if not traced:
        return [str(environment.flash), *arguments]
    launcher = [str(environment.python), "-m", "flash_otel", "run", "--"]
    return [*launcher, environment.generation.script, *arguments]


@dataclass
class _ScenarioRun:
    environment: PythonEnvironment
    plane: ControlPlane
    artifacts: RunArtifacts
    on_progress: Progress
    traced: bool
    worker_mode: str | None
    worker_changes: dict[str, str | None] = field(default_factory=dict)

    def create_environments(self, names: tuple[str, ...]) -> None:
        if names:
            app = self.plane.state.create_app(scenarios.APP_NAME)
            for name in names:
                self.plane.state.create_environment(app.id, name)

    def take(self, step: scenarios.Step) -> None:
        self.plane.faults = scenarios.FaultPlan(step.rules)
        if isinstance(step, scenarios.DeployStep):
            self._deploy(step)
        else:
            self._work(step)

    def record_facts(self) -> None:
        """Record what the control plane knows about the last deployment."""
        artifacts, state = self.artifacts, self.plane.state
        if state.builds:
            artifacts.build_id = self._build(-1).id
        environment = self._find_environment()
        if environment is not None:
            artifacts.environment_id = environment.id
            artifacts.active_build_id = environment.active_build_id

    def _deploy(self, step: scenarios.DeployStep) -> None:
        log = self.artifacts.workdir / f"deploy-{len(self.artifacts.deploys) + 1}.log"
        outcome = DeployOutcome(step.app, step.environment, step.fails, log)
        self.artifacts.deploys.append(outcome)
        name = f"{self.environment.generation.package} {self.environment.version}"
        self.on_progress(f"Deploying with {name}: {log.name}")
        with processes.running(self._deploy_process(step), log) as process:
            if step.meanwhile:
                with self._held_at_gate(process, log):
                    self._take_all(step.meanwhile)
            outcome.exit_code = processes.wait(process, _SECONDS)

    def _deploy_process(self, step: scenarios.DeployStep) -> ProcessSpec:
        folder = self.artifacts.workdir / step.checkout / step.app
        write_project(folder, self.environment.version, step.edition)
        options = ["--env", step.environment] if step.environment else []
        arguments = [*self.environment.generation.deploy, *options]
        traced = self.traced and step.traced
        return ProcessSpec(
            flash_command(self.environment, arguments, traced=traced),
            folder,
            deploy_variables(
                self.plane.base_url,
                self.environment,
                home=self._folder("home"),
                store=self.artifacts.store,
            ),
        )

    @contextmanager
    def _held_at_gate(self, process: subprocess.Popen[bytes], log: Path) -> Iterator[None]:
        """Run the block while a deployment waits at the gate of its manifest upload."""
        gate = self.plane.gate(scenarios.MANIFEST_WRITE_GATE)
        try:
            if not gate.wait_for_arrival(_SECONDS, or_until=lambda: process.poll() is not None):
                raise RuntimeError(f"The deployment did not upload its manifest: see {log}")
            yield
        finally:
            gate.open()

    def _take_all(self, steps: tuple[scenarios.Step, ...]) -> None:
        for step in steps:
            self.take(step)

    def _work(self, step: scenarios.WorkerStep) -> None:
        number = len(self.artifacts.worker_logs) + 1
        app = self._folder(f"worker-{number}")
        build = self._build(step.build)
        unpack(self.plane.state.artifacts[build.object_key], app)
        self.artifacts.trace_id = carried_trace_id(app)
        variables = self._worker_variables(step, app)
        self.artifacts.worker_environment_id = variables.get("FLASH_ENVIRONMENT_ID")
        log = self.artifacts.workdir / f"worker-{number}.log"
        self.artifacts.worker_logs.append(log)
        self.on_progress(f"A worker calls the GPU endpoint: {log.name}")
        mode = self.worker_mode or step.mode
        spec = ProcessSpec(
            [str(self.environment.python), "-c", _RUN_FILE, worker.__file__, mode],
            app,
            variables,
            subprocess.PIPE if step.meanwhile else subprocess.DEVNULL,
        )
        with processes.running(spec, log) as process:
            if step.meanwhile:
                self._wait_for_first_call(process, log)
                self._take_all(step.meanwhile)
                processes.write_line(process)
            self.artifacts.worker_exits.append(processes.wait(process, _SECONDS))

    def _wait_for_first_call(self, process: subprocess.Popen[bytes], log: Path) -> None:
        if not processes.wait_for_text(process, log, worker.ANSWERED.encode(), _SECONDS):
            raise RuntimeError(f"A worker's first call was not answered: see {log}")

    def _worker_variables(self, step: scenarios.WorkerStep, app: Path) -> dict[str, str]:
        endpoint, state = self._calling_endpoint(), self.plane.state
        variables: dict[str, str | None] = {
            **worker_variables(
                self.plane.base_url,
                self.environment,
                home=self._folder("worker-home"),
                app=app,
                template_env=state.templates[endpoint.template_id].env,
                endpoint_id=endpoint.id,
                pod_id=state.ids.endpoint("pod"),
            ),
            worker.TRACED_VARIABLE: "1" if self.traced else "0",
            _CLOCK: str(step.clock_s),
            **step.variables(state),
            **self.worker_changes,
        }
        return {name: value for name, value in variables.items() if value is not None}

    def _calling_endpoint(self) -> StoredEndpoint:
        environment = self._require(self._find_environment(), "environment")
        found = self.plane.state.endpoint_named(environment.id, CALLING_RESOURCE)
        return self._require(found, "endpoint")

    def _find_environment(self) -> StoredEnvironment | None:
        """Return the environment of the deployment that started last."""
        last, state = self.artifacts.deploys[-1], self.plane.state
        app = state.app_named(last.app)
        name = last.environment or self.environment.generation.environment
        return state.environment_named(app.id, name) if app else None

    def _build(self, index: int) -> StoredBuild:
        builds = list(self.plane.state.builds.values())
        return self._require(builds[index] if builds else None, "build")

    def _require(self, record: _Record | None, what: str) -> _Record:
        if record is None:
            raise RuntimeError(f"The deployment made no {what}: see {self.artifacts.deploy_log}")
        return record

    def _folder(self, name: str) -> Path:
        folder = self.artifacts.workdir / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder
