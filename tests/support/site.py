"""Runs code in the Python that has Flash, and reads back the spans that it recorded."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Final

from support.in_flash import child

from flash_otel.demo.processes import flash_environment, worker_variables
from flash_otel.demo.project import CALLING_RESOURCE, unpack, write_project
from flash_otel.otlp.decode import decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flash_otel.demo.control_plane import ControlPlane
    from flash_otel.demo.environment import PythonEnvironment
    from flash_otel.records import SpanRecord

APP: Final = "gpu_app"
IN_FLASH: Final = Path(__file__).with_name("in_flash")
"""Modules that a process of the Flash environment may import."""
TIMEOUT: Final = 120

DEPLOY: Final = """
    import sys
    from child import flash, recorded

    with recorded():
        status = flash("deploy", "--no-deps")
    sys.exit(status)
"""


@dataclass(frozen=True)
class Child:
    """One ended process.

    Attributes:
        exit_code: Its exit code.
        stdout: Its standard output.
        stderr: Its standard error.
        records: The spans that it recorded, by start time.
        seen: The facts that it reported.
    """

    exit_code: int
    stdout: str
    stderr: str
    records: list[SpanRecord]
    seen: dict[str, Any]

    def named(self, name: str) -> list[SpanRecord]:
        """Return the spans of this name."""
        return [record for record in self.records if record.name == name]

    @property
    def output(self) -> str:
        """Everything that it printed."""
        return self.stdout + self.stderr


@dataclass
class Site:
    """A folder with a project and a home, a Flash environment and a control plane.

    Attributes:
        folder: Holds everything that is written.
        environment: The Python that has Flash.
        plane: The running control plane.
    """

    folder: Path
    environment: PythonEnvironment
    plane: ControlPlane

    @property
    def project(self) -> Path:
        """The project's folder, written when it is first asked for."""
        project = self.folder / APP
        if not project.exists():
            write_project(project, self.environment.version)
        return project

    @property
    def store(self) -> Path:
        """The file that spans are stored in."""
        return self.folder / "spans.db"

    def variables(self, **more: str) -> dict[str, str]:
        """Return the variables of a process on a developer's machine."""
        return {
            **flash_environment(self.plane.base_url, home=self._made("home")),
            "PYTHONPATH": _path(self.environment.source, IN_FLASH),
            "FLASH_OTEL_STORE": str(self.store),
            "FLASH_OTEL_RAISE": "1",
            **more,
        }

    def python(self, code: str, **more: str) -> Child:
        """Run code in the project's folder."""
        return self._run(code, self.project, self.variables(**more))

    def deploy(self, **more: str) -> Child:
        """Deploy with fixed ids and clock, in-process; it has to succeed."""
        done = self.python(DEPLOY, **more)
        assert done.exit_code == 0, done.output
        return done

    def worker(
        self,
        code: str,
        changes: Mapping[str, str | None] | None = None,
        resource: str = CALLING_RESOURCE,
    ) -> Child:
        """Run code as a deployed worker of an endpoint, in its artifact."""
        app = self._made("worker")
        state = self.plane.state
        unpack(state.artifacts[next(reversed(state.builds.values())).object_key], app)
        endpoint = next(
            endpoint for endpoint in state.endpoints.values() if endpoint.name == resource
        )
        variables = {
            **worker_variables(
                self.plane.base_url,
                self.environment,
                home=self._made("worker-home"),
                app=app,
                template_env=state.templates[endpoint.template_id].env,
                endpoint_id=endpoint.id,
                pod_id="pod1",
            ),
            "FLASH_OTEL_RAISE": "1",
            **(changes or {}),
        }
        changed = {name: value for name, value in variables.items() if value is not None}
        changed["PYTHONPATH"] = _path(changed["PYTHONPATH"], IN_FLASH)
        return self._run(code, app, changed)

    @property
    def outputs(self) -> tuple[Path, Path]:
        """The files to which a process writes its spans and its facts."""
        return self.folder / "records.json", self.folder / "seen.json"

    def ended(self, exit_code: int, stdout: bytes, stderr: bytes) -> Child:
        """Return the results of an ended process."""
        records, seen = self.outputs
        return Child(
            exit_code=exit_code,
            stdout=stdout.decode(),
            stderr=stderr.decode(),
            records=list(decode(json.loads(records.read_text()))) if records.exists() else [],
            seen=json.loads(seen.read_text()) if seen.exists() else {},
        )

    def _run(self, code: str, cwd: Path, variables: Mapping[str, str]) -> Child:
        records, seen = self.outputs
        for file in (records, seen):
            file.unlink(missing_ok=True)
        ended = subprocess.run(
            [str(self.environment.python), "-c", dedent(code)],
            cwd=cwd,
            env={**variables, child.RECORDS: str(records), child.SEEN: str(seen)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
        return self.ended(ended.returncode, ended.stdout, ended.stderr)

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder


def _path(*folders: str | Path) -> str:
    return os.pathsep.join(str(folder) for folder in folders)
