"""Runs the real `flash` in a subprocess, traced or not, and keeps all that can be compared."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from support.versions import ALL_VERSIONS

from flash_otel.demo.environment import CACHE_VARIABLE, PythonEnvironment, find_environment
from flash_otel.demo.processes import flash_environment
from flash_otel.demo.runner import flash_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flash_otel.demo.control_plane import ControlPlane
    from flash_otel.demo.state import JournalEntry

ROOT: Final = Path(__file__).resolve().parents[2]
# Resolved, because Flash prints paths: a script's shebang holds the real one.
CACHE: Final = Path(os.environ.get(CACHE_VARIABLE) or ROOT / ".cache").resolve()
"""Where a checkout keeps what `tests/prepare.py` and `make` prepare."""

_TIMEOUT: Final = 120
_READ_SIZE: Final = 65536


class FlashEnvironments:
    """Environments by version, shared by all test processes through the project's cache."""

    def __init__(self) -> None:
        self._found: dict[str, PythonEnvironment] = {}

    def __call__(self, version: str) -> PythonEnvironment:
        """Return the environment that holds Flash `version`, a row of `ALL_VERSIONS`."""
        assert version in ALL_VERSIONS, f"add {version} to tests/support/versions.py"
        if version not in self._found:
            self._found[version] = find_environment(version, cache=CACHE)
        return self._found[version]


@dataclass(frozen=True)
class FlashRun:
    """One ended run of `flash`.

    Attributes:
        exit_code: Its exit code.
        stdout: Its standard output.
        stderr: Its standard error.
        requests: What it asked of the control plane.
        files: What it left in the project's folder, by relative path.
        volatile: What differs from run to run (addresses, folders), and what stands for it.
    """

    exit_code: int
    stdout: str
    stderr: str
    requests: list[JournalEntry]
    files: dict[str, bytes]
    volatile: tuple[tuple[str, str], ...]

    @property
    def operations(self) -> list[str]:
        """Names of the requests' operations."""
        return [entry.operation for entry in self.requests]

    def stable(self, text: str) -> str:
        """Return text of this run with all that differs from run to run replaced."""
        for value, name in self.volatile:
            text = text.replace(value, name)
        text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,]\d+Z?", "TIME", text)
        return re.sub(r"\b\d+\.\d+s\b", "SECONDS", text)

    def wire(self) -> list[dict[str, Any]]:
        """Return the requests as plain data that is equal for equal runs."""
        return [_stable_values(self, asdict(entry)) for entry in self.requests]


def run_flash(
    environment: PythonEnvironment,
    plane: ControlPlane,
    project: Path,
    *arguments: str,
    traced: bool = False,
    variables: Mapping[str, str] | None = None,
    launcher: Sequence[str] | None = None,
    terminal: bool = False,
    whole_terminal: bool = False,
    on_start: Callable[[int], None] = lambda _pid: None,
) -> FlashRun:
    """Run `flash` in a project's folder against a control plane.

    Args:
        environment: The Python that has Flash.
        plane: The running control plane.
        project: The working folder; its parent holds the process's home.
        arguments: Arguments of `flash`.
        traced: Run it through `python -m flash_otel run`.
        variables: Further environment variables.
        launcher: A command line to put before `arguments` instead of the usual ones.
        terminal: Make standard error a pseudo-terminal (not on Windows).
        whole_terminal: Make standard output that terminal, too: both are in `stderr` then.
        on_start: Called with the process's id once it runs (not on a terminal).
    """
    home = project.parent / "home"
    home.mkdir(exist_ok=True)
    before = len(plane.journal.entries)
    command = flash_command(environment, list(arguments), traced=traced)
    if launcher is not None:
        command = [*launcher, *arguments]
    environ = {
        **flash_environment(plane.base_url, home=home),
        **environment.variables,
        "PYTHONPATH": str(environment.source),
        "FLASH_OTEL_STORE": str(home / "spans.db"),
        **(variables or {}),
    }
    if terminal or whole_terminal:
        code, stdout, stderr = _on_terminal(command, project, environ, whole=whole_terminal)
    else:
        code, stdout, stderr = _piped(command, project, environ, on_start)
    return FlashRun(
        exit_code=code,
        stdout=stdout,
        stderr=stderr,
        requests=plane.journal.entries[before:],
        files=_files(project),
        volatile=(
            (plane.base_url.removeprefix("http://"), "CONTROL-PLANE"),
            (str(project.parent), "WORKDIR"),
        ),
    )


def _piped(
    command: list[str], cwd: Path, environ: dict[str, str], on_start: Callable[[int], None]
) -> tuple[int, str, str]:
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        on_start(process.pid)
        try:
            stdout, stderr = process.communicate(timeout=_TIMEOUT)
        except BaseException:
            process.kill()
            raise
    return process.returncode, stdout.decode(), stderr.decode()


def _on_terminal(
    command: list[str], cwd: Path, environ: dict[str, str], *, whole: bool
) -> tuple[int, str, str]:
    ours, theirs = os.openpty()
    seen: list[bytes] = []
    reader = threading.Thread(target=_read_all, args=(ours, seen))
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**environ, "TERM": "xterm", "COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
            stdout=theirs if whole else subprocess.PIPE,
            stderr=theirs,
        )
    finally:
        os.close(theirs)
    with process:
        reader.start()
        try:
            stdout, _ = process.communicate(timeout=_TIMEOUT)
        except BaseException:
            process.kill()
            raise
        finally:
            reader.join()
            os.close(ours)
    return process.returncode, (stdout or b"").decode(), b"".join(seen).decode()


def _read_all(descriptor: int, seen: list[bytes]) -> None:
    while True:
        try:
            block = os.read(descriptor, _READ_SIZE)
        except OSError:  # what Linux raises when the last writer is gone
            return
        if not block:
            return
        seen.append(block)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }


def _stable_values(run: FlashRun, value: Any) -> Any:
    if isinstance(value, dict):
        # Archives hold times: equal contents differ by a few compressed bytes.
        return {
            key: "SIZE" if key == "tarballSize" else _stable_values(run, item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_stable_values(run, item) for item in value]
    return run.stable(value) if isinstance(value, str) else value
