"""An environment with Flash whose processes are forked, with Flash's dependencies loaded.

A process that imports Flash spends nearly a second of the processor, most of it on a hundred
third-party packages and on a probe of the processor by runpod. One server per version of Flash and
test run loads these once (see `in_flash/warm.py`). Tests whose subject is how a process starts or
ends take the plain environment.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from support.flash import CACHE
from support.site import IN_FLASH

from flash_otel.demo.processes import flash_environment
from flash_otel.demo.releases import FLASH_1

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from support.flash import FlashEnvironments
    from support.shared import Shared

    from flash_otel.demo.environment import PythonEnvironment

_START_SECONDS: Final = 120.0
# Not a shell script, which would add variables to the environment.
_PROGRAM: Final = """\
#!{python} -IS
import sys
sys.path.insert(0, {folder!r})
import warm_start
warm_start.main({socket!r}, [*{arguments!r}, *sys.argv[1:]])
"""


@dataclass(frozen=True)
class WarmEnvironments:
    """Environments by version; their servers belong to the test run.

    Attributes:
        shared: The test run.
        plain: The environments that processes are started with otherwise.
    """

    shared: Shared
    plain: FlashEnvironments

    def __call__(self, version: str) -> PythonEnvironment:
        """Return the environment that holds runpod-flash `version`."""
        plain = self.plain(version)
        # The calls are Linux's. The server loads what runpod-flash imports.
        if not hasattr(os, "pidfd_open") or plain.generation is not FLASH_1:
            return plain
        scripts = self.shared.once(f"warm-{version}", lambda folder: self._start(plain, folder))
        return replace(plain, python=scripts / "python", scripts=scripts)

    def cache(self, version: str) -> Path:
        """Return a folder for FLASH_OTEL_CACHE whose environment with `version` is this one."""
        plain, warm = self.plain(version), self(version)
        if warm is plain:
            return CACHE

        def make(folder: Path) -> Path:
            real = plain.scripts.parent
            base = f"base-{real.name.removeprefix(f'flash-{version}-')}"
            for name in (base, real.name):
                (made := folder / "environments" / name).mkdir(parents=True)
                (made / ".complete").touch()
            (made / "bin").symlink_to(warm.scripts, target_is_directory=True)
            return folder

        return self.shared.once(f"cache-{version}", make)

    def _start(self, plain: PythonEnvironment, folder: Path) -> Path:
        programs = {"python": [], "flash": [str(plain.flash)]}
        start_server(self.shared, folder, plain.python, "flash", _variables(folder), programs)
        return folder


def start_server(
    shared: Shared,
    folder: Path,
    python: Path,
    kind: str,
    variables: Mapping[str, str],
    programs: Mapping[str, list[str]],
) -> None:
    """Start a server that belongs to the run, and write the programs that ask it for processes.

    Args:
        shared: The test run.
        folder: Where the server and the programs are.
        python: The interpreter.
        kind: What the server loads (see `in_flash/warm.py`).
        variables: The server's environment.
        programs: File names, and the interpreter's first arguments.
    """
    place = folder / "socket"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(python), str(IN_FLASH / "warm.py"), str(place), kind],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    shared.adopt(process, folder)
    deadline = time.monotonic() + _START_SECONDS
    while not place.exists():
        is_running = process.poll() is None and time.monotonic() < deadline
        assert is_running, (folder / "log").read_text("utf-8", "replace")
        time.sleep(0.01)
    for name, arguments in programs.items():
        text = _PROGRAM.format(
            python=python, folder=str(IN_FLASH), socket=str(place), arguments=arguments
        )
        program = folder / name
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)


def _variables(home: Path) -> dict[str, str]:
    """Return variables like a Flash process's, of the same locale, with the streams' defaults."""
    given = flash_environment("http://127.0.0.1:9", home=home, api_key=None)
    return {name: value for name, value in given.items() if not name.startswith("PYTHON")}
