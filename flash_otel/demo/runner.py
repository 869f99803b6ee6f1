"""Runs a scenario: the real `flash deploy`, then a worker, against a stand-in control plane."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from flash_otel.demo import processes, worker
from flash_otel.demo.artifact import carried_trace_id, unpack
from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.environment import Progress, PythonEnvironment, find_environment
from flash_otel.demo.faults import FaultPlan
from flash_otel.demo.processes import Command
from flash_otel.demo.project import CALLING_RESOURCE, write_project
from flash_otel.demo.result import ScenarioResult
from flash_otel.demo.scenarios import DEFAULT_VERSION, SCENARIOS, Deployment, Scenario
from flash_otel.demo.variables import deploy_variables, worker_variables

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from flash_otel.demo.ids import IdStyle
    from flash_otel.demo.state import Build, Endpoint, Environment

APP_NAME: Final = "gpu_app"

_Record = TypeVar("_Record")
# Not `-m`, which would import flash_otel into an untraced worker too.
_RUN_FILE: Final = "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
_DEFAULT_ENVIRONMENT: Final = "production"  # what Flash creates if none is named
_DEPLOY_SECONDS: Final = 120.0
_WORKER_SECONDS: Final = 120.0


def run_scenario(
    name: str,
    *,
    workdir: Path,
    version: str = DEFAULT_VERSION,
    store_path: Path | None = None,
    traced: bool = True,
    worker_mode: str | None = None,
    worker_changes: Mapping[str, str | None] | None = None,
    cache: Path | None = None,
    seed: int | None = None,
    id_style: IdStyle = "uuid",
    on_progress: Progress = lambda _: None,
) -> ScenarioResult:
    """Run one scenario; whatever it starts has ended when it returns or raises.

    Args:
        name: A key of `SCENARIOS`.
        workdir: An existing folder for everything that the run writes.
        version: Version of runpod-flash.
        store_path: The deployments' store; None for one in `workdir`.
        traced: Whether flash_otel takes part at all.
        worker_mode: How the worker calls; None for the scenario's own way.
        worker_changes: Further variables of the worker; None takes one away.
        cache: Where environments are kept; None for the user's cache.
        seed: Makes the control plane's ids repeatable.
        id_style: Form of the ids of apps, environments and builds.
        on_progress: Called with a sentence before each step.

    Raises:
        KeyError: There is no such scenario.
        flash_otel.demo.environment.EnvironmentSetupError: Flash could not be installed.
        RuntimeError: A deployment did not do what the scenario needs.
        TimeoutError: A deployment or the worker did not end in time.
    """
    scenario = SCENARIOS[name]
    environment = find_environment(version, cache=cache, on_progress=on_progress)
    with ControlPlane(seed=seed, id_style=id_style) as plane:
        store = store_path or workdir / "store.db"
        result = ScenarioResult(name, version, workdir, store, plane.journal)
        mode = worker_mode or scenario.worker.mode
        changes = dict(worker_changes or {})
        run = _Run(scenario, environment, plane, result, on_progress, mode, changes, traced)
        run.everything()
    return result


def flash_command(
    environment: PythonEnvironment, arguments: list[str], *, traced: bool
) -> list[str]:
    """Return the command line of the real `flash`, traced through the launcher or bare."""
    if not traced:
        return [str(environment.flash), *arguments]
    return [str(environment.python), "-m", "flash_otel", "run", "--", "flash", *arguments]


@dataclass
class _Run:
    scenario: Scenario
    environment: PythonEnvironment
    plane: ControlPlane
    result: ScenarioResult
    on_progress: Progress
    mode: str
    changes: dict[str, str | None]
    traced: bool

    def everything(self) -> None:
        self._create_environments()
        *earlier, last = self.scenario.deployments
        for deployment in earlier:
            with self._deploying(deployment):
                pass
        with self._deploying(last) as process:
            if self.scenario.worker.gate:
                self._work_at_gate(self.scenario.worker.gate, process)
        if not self.scenario.worker.gate:
            self.plane.faults = FaultPlan(self.scenario.worker.rules)
            self._work()
        self._tell()

    def _create_environments(self) -> None:
        names = self.scenario.environments
        if names:
            app = self.plane.state.create_app(APP_NAME)
            for name in names:
                self.plane.state.create_environment(app.id, name)

    @contextmanager
    def _deploying(self, deployment: Deployment) -> Iterator[subprocess.Popen[bytes]]:
        """Run one deployment; it has ended, with its exit code noted, after the block."""
        folder = self.result.workdir / deployment.checkout / APP_NAME
        write_project(folder, self.result.version, deployment.edition)
        log = self.result.workdir / f"deploy-{len(self.result.deploy_logs) + 1}.log"
        self.result.deploy_logs.append(log)
        self.plane.faults = FaultPlan(deployment.rules)
        self.on_progress(f"Deploying with runpod-flash {self.result.version}: {log.name}")
        with processes.running(self._deploy_command(deployment, folder), log) as process:
            yield process
            self.result.deploy_exits.append(processes.wait(process, _DEPLOY_SECONDS))

    def _deploy_command(self, deployment: Deployment, folder: Path) -> Command:
        named = ["--env", deployment.environment] if deployment.environment else []
        return Command(
            flash_command(self.environment, ["deploy", "--no-deps", *named], traced=self.traced),
            folder,
            deploy_variables(
                self.plane.base_url,
                self.environment,
                home=self._folder("home"),
                store=self.result.store,
            ),
        )

    def _work_at_gate(self, name: str, process: subprocess.Popen[bytes]) -> None:
        gate = self.plane.gate(name)
        try:
            if not gate.wait_for_arrival(
                _DEPLOY_SECONDS, or_until=lambda: process.poll() is not None
            ):
                raise RuntimeError(
                    f"The deployment never came to its {name}: see {self.result.deploy_log}"
                )
            self._work()
        finally:
            gate.open()

    def _work(self) -> None:
        app = self._folder("worker/app")
        unpack(self.plane.state.artifacts[self._last_build().object_key], app)
        variables = self._worker_variables(app)
        self.result.worker_environment_id = variables.get("FLASH_ENVIRONMENT_ID")
        self.on_progress(f"A worker calls the GPU endpoint: {self.result.worker_log.name}")
        arguments = [str(self.environment.python), "-c", _RUN_FILE, worker.__file__, self.mode]
        self.result.worker_exit = processes.run(
            Command(arguments, app, variables), self.result.worker_log, _WORKER_SECONDS
        )

    def _worker_variables(self, app: Path) -> dict[str, str]:
        endpoint = self._calling_endpoint()
        variables: dict[str, str | None] = {
            **worker_variables(
                self.plane.base_url,
                self.environment,
                home=self._folder("worker-home"),
                app=app,
                template_env=self.plane.state.templates[endpoint.template_id].env,
                endpoint_id=endpoint.id,
                pod_id=self.plane.state.ids.endpoint("pod"),
            ),
            worker.TRACED_VARIABLE: "1" if self.traced else "0",
            **self.scenario.worker.variables(self.plane.state),
            **self.changes,
        }
        return {name: value for name, value in variables.items() if value is not None}

    def _calling_endpoint(self) -> Endpoint:
        environment = self._last_environment()
        return self._made(
            self.plane.state.endpoint_named(environment.id, CALLING_RESOURCE), "endpoint"
        )

    def _last_environment(self) -> Environment:
        state = self.plane.state
        app = self._made(state.app_named(APP_NAME), "app")
        name = self.scenario.deployments[-1].environment or _DEFAULT_ENVIRONMENT
        return self._made(state.environment_named(app.id, name), "environment")

    def _last_build(self) -> Build:
        return self._made(next(reversed(self.plane.state.builds.values()), None), "build")

    def _made(self, record: _Record | None, what: str) -> _Record:
        if record is None:
            raise RuntimeError(f"The deployment made no {what}: see {self.result.deploy_log}")
        return record

    def _folder(self, name: str) -> Path:
        folder = self.result.workdir / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _tell(self) -> None:
        environment = self._last_environment()
        self.result.environment_id = environment.id
        self.result.active_build_id = environment.active_build_id
        self.result.build_id = self._last_build().id
        self.result.trace_id = carried_trace_id(self._folder("worker/app"))
