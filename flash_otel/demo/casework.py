"""Runs one case of the matrix with the real Flash, under neutral names."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flash_otel.demo import processes, worker
from flash_otel.demo.artifact import unpack
from flash_otel.demo.cases import Case, Deploy, Work
from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.environment import PythonEnvironment, find_environment
from flash_otel.demo.faults import MANIFEST_WRITE_GATE, FaultPlan
from flash_otel.demo.processes import Command
from flash_otel.demo.project import CALLING_RESOURCE, write_project
from flash_otel.demo.runner import flash_command
from flash_otel.demo.variables import deploy_variables, worker_variables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SECONDS: Final = 120.0
_CLOCK: Final = "FLASH_OTEL_DEMO_CLOCK_S"
# Not `-m`, which would import flash_otel before its clock is set.
_RUN: Final = (
    "import os, runpy, sys, time\n"
    "from flash_otel.pipeline import pipeline\n"
    f"ahead = int(os.environ.pop({_CLOCK!r}, 0)) * 10**9\n"
    "pipeline.clock.value = lambda: time.time_ns() + ahead\n"
    "runpy.run_path(sys.argv.pop(1), run_name='__main__')\n"
)


@dataclass
class Left:
    """What a case left behind.

    Attributes:
        store: The deployments' store.
        deploy_logs: The log of each `flash deploy`.
        worker_logs: The log of each worker.
    """

    store: Path
    deploy_logs: list[Path] = field(default_factory=list)
    worker_logs: list[Path] = field(default_factory=list)


def run_case(case: Case, workdir: Path, cache: Path | None = None) -> Left:
    """Run a case with the real Flash; whatever it starts has ended when it returns or raises.

    Args:
        case: A row of `CASES`.
        workdir: An existing folder for everything that the run writes.
        cache: Where environments are kept; None for the user's cache.

    Raises:
        RuntimeError: A deployment ended otherwise than the case needs.
        TimeoutError: A process did not end in time.
    """
    with ControlPlane() as plane:
        run = _Run(case, plane, find_environment(case.version, cache=cache), workdir)
        run.prepare()
        for step in case.steps:
            run.take(step)
    return run.left


class _Run:
    def __init__(
        self, case: Case, plane: ControlPlane, environment: PythonEnvironment, workdir: Path
    ) -> None:
        self._case = case
        self._plane = plane
        self._environment = environment
        self._workdir = workdir
        self._target: tuple[str, str] = ("", "")
        self.left = Left(workdir / "s.db")

    def prepare(self) -> None:
        """Create the environments that exist beforehand."""
        if self._case.environments:
            app = self._plane.state.create_app("gpu_app")
            for name in self._case.environments:
                self._plane.state.create_environment(app.id, name)

    def take(self, step: Work | Deploy) -> None:
        """Take one step."""
        if isinstance(step, Deploy):
            self._deploy(step)
        else:
            self._plane.faults = FaultPlan(step.rules)
            self._work(step)

    def _deploy(self, step: Deploy) -> None:
        self._plane.faults = FaultPlan(step.rules)
        log = self._log("d", self.left.deploy_logs)
        with self._deploying(step, log) as process:
            self._target = (step.app, step.environment or "production")
            if step.held:
                self._at_gate(step, process, log)
            status = processes.wait(process, _SECONDS)
        if bool(status) != step.fails:
            raise RuntimeError(f"A deployment ended with status {status}: see {log}")

    @contextmanager
    def _deploying(self, step: Deploy, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        project = self._workdir / step.folder / step.app
        write_project(project, self._case.version, step.edition)
        named = ["--env", step.environment] if step.environment else []
        command = Command(
            flash_command(self._environment, ["deploy", "--no-deps", *named], traced=True),
            project,
            deploy_variables(
                self._plane.base_url,
                self._environment,
                home=self._folder("home"),
                store=self.left.store,
            ),
        )
        with processes.running(command, log) as process:
            yield process

    def _at_gate(self, step: Deploy, process: subprocess.Popen[bytes], log: Path) -> None:
        gate = self._plane.gate(MANIFEST_WRITE_GATE)
        try:
            if not gate.wait_for_arrival(_SECONDS, lambda: process.poll() is not None):
                raise RuntimeError(f"The deployment never came to its manifest write: see {log}")
            for inner in step.held:
                self.take(inner)
        finally:
            gate.open()

    def _work(self, step: Work) -> None:
        app = self._folder(f"w{len(self.left.worker_logs)}")
        state = self._plane.state
        build = list(state.builds.values())[step.build]
        unpack(state.artifacts[build.object_key], app)
        command = Command(
            [str(self._environment.python), "-c", _RUN, worker.__file__, step.mode],
            app,
            self._variables(step, app),
            subprocess.PIPE if step.held else subprocess.DEVNULL,
        )
        log = self._log("w", self.left.worker_logs)
        with processes.running(command, log) as process:
            if step.held:
                self._between_calls(step, process, log)
            processes.wait(process, _SECONDS)

    def _between_calls(self, step: Work, process: subprocess.Popen[bytes], log: Path) -> None:
        answered = worker.ANSWERED.encode()
        if not processes.wait_for_text(process, log, answered, _SECONDS):
            raise RuntimeError(f"A worker's first call was not answered: see {log}")
        for inner in step.held:
            self.take(inner)
        processes.tell(process, b"\n")

    def _variables(self, step: Work, app: Path) -> dict[str, str]:
        state = self._plane.state
        owner = state.app_named(self._target[0])
        there = state.environment_named(owner.id, self._target[1]) if owner else None
        endpoint = state.endpoint_named(there.id, CALLING_RESOURCE) if there else None
        if endpoint is None:
            raise RuntimeError(f"There is no endpoint to work for: {self.left.deploy_logs[-1]}")
        found: dict[str, str | None] = {
            **worker_variables(
                self._plane.base_url,
                self._environment,
                home=self._folder("worker-home"),
                app=app,
                template_env=state.templates[endpoint.template_id].env,
                endpoint_id=endpoint.id,
                pod_id=state.ids.endpoint("pod"),
            ),
            worker.TRACED_VARIABLE: "1",
            _CLOCK: str(step.clock_s),
            **step.variables(state),
        }
        return {name: value for name, value in found.items() if value is not None}

    def _log(self, letter: str, logs: list[Path]) -> Path:
        logs.append(self._workdir / f"{letter}{len(logs)}.log")
        return logs[-1]

    def _folder(self, name: str) -> Path:
        folder = self._workdir / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder
