"""A real deployment on a stand-in control plane, and `flash-otel verify` for it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.flash import run_flash

from flash_otel.demo.processes import flash_environment
from flash_otel.demo.project import write_project

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.demo.control_plane import ControlPlane
    from flash_otel.demo.environment import PythonEnvironment
    from flash_otel.demo.state import StoredBuild, StoredEnvironment

APP = "gpu_app"
TIMEOUT = 120


@dataclass
class Verified:
    """A finished run of `flash-otel verify`."""

    status: int
    stdout: str
    stderr: str
    operations: list[str]

    @property
    def json(self) -> dict[str, Any]:
        """Its output as JSON."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found

    @property
    def failed(self) -> list[str]:
        """Names of the failed comparisons."""
        return [check["name"] for check in self.json["checks"] if check["result"] == "fail"]


@dataclass
class Deployed:
    """A project, the Python with its Flash, and its control plane."""

    environment: PythonEnvironment
    plane: ControlPlane
    project: Path

    def deploy(self, *arguments: str, traced: bool = False) -> int:
        """Run `flash deploy` and return its exit code."""
        write_project(self.project, self.environment.version)
        words = (*self.environment.generation.deploy, *arguments)
        return run_flash(
            self.environment, self.plane, self.project, *words, traced=traced
        ).exit_code

    def verify(self, *arguments: str, api_key: str | None = "", **variables: str) -> Verified:
        """Run `flash-otel verify` in the project's folder."""
        return self.flash_otel("verify", *arguments, api_key=api_key, **variables)

    def flash_otel(self, *arguments: str, api_key: str | None = "", **variables: str) -> Verified:
        """Run `flash-otel` in the project's folder with the Python that holds Flash."""
        self.project.mkdir(parents=True, exist_ok=True)
        before = len(self.plane.journal.entries)
        ended = subprocess.run(
            [str(self.environment.python), "-m", "flash_otel", *arguments],
            cwd=self.project,
            env={**self.variables(api_key), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            check=False,
        )
        operations = [entry.operation for entry in self.plane.journal.entries[before:]]
        return Verified(ended.returncode, ended.stdout, ended.stderr, operations)

    def variables(self, api_key: str | None = "") -> dict[str, str]:
        """Return the variables of a process with this control plane, and a home of its own."""
        home = self.project.parent / "home"
        home.mkdir(parents=True, exist_ok=True)
        key = self.plane.api_key if api_key == "" else api_key
        return {
            **flash_environment(self.plane.base_url, home=home, api_key=key),
            "PYTHONPATH": str(self.environment.source),
            "FLASH_OTEL_STORE": str(home / "spans.db"),
            "FLASH_OTEL_RAISE": "1",
        }

    @property
    def production(self) -> StoredEnvironment:
        """The environment that Flash creates by default."""
        return next(
            environment
            for environment in self.plane.state.environments.values()
            if environment.name == "production"
        )

    @property
    def build(self) -> StoredBuild:
        """The last build."""
        return next(reversed(self.plane.state.builds.values()))
