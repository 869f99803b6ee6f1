"""Asks the fork server for traced deployments under given environments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

SERVER = Path(__file__).with_name("fork_server.py")
SPANS = ["flash.activate", "flash.deploy", "flash.manifest.upload"]
"""The spans of the deployment, sorted."""


@dataclass(frozen=True)
class Observed:
    """What a process did under an environment.

    Attributes:
        raised: The traceback of what reached the host's code; empty if nothing did.
        returned: What the traced function returned.
        spans: The names of the stored spans, sorted.
        output: Everything on standard output, with the bracketed lines.
        errors: The lines on standard error.
        addresses: The hosts that it wanted to reach.
        doctor: Result and text of the doctor's check of each variable.
    """

    raised: str
    returned: str | None = None
    spans: list[str] = field(default_factory=list)
    output: str = ""
    errors: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    doctor: dict[str, tuple[str, str]] = field(default_factory=dict)


class ForkServer:
    """A running fork server: a context manager.

    Args:
        folder: Holds the homes of the processes.
        is_warm: Whether it forks with all imports done.
        path: A further folder of modules and packages.

    Attributes:
        read_at_import: The variables that a warm server's imports have looked for.
    """

    def __init__(self, folder: Path, *, is_warm: bool = False, path: Path | None = None) -> None:
        inherited = os.environ.get("PYTHONPATH", "")
        paths = os.pathsep.join(filter(None, (str(path or ""), inherited)))
        self._process = subprocess.Popen(
            [sys.executable, str(SERVER), "warm" if is_warm else "cold", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": paths},
            text=True,
        )
        self.read_at_import = frozenset(self._read()) if is_warm else frozenset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def run(self, variables: Mapping[str, str]) -> Observed:
        """Return what a process does under these variables."""
        return _observed(self._ask("observed", variables))

    def describe(self, variables: Mapping[str, str]) -> dict[str, Any]:
        """Return what these variables make of flash_otel's own provider."""
        return dict(self._ask("described", variables))

    def _ask(self, job: str, variables: Mapping[str, str]) -> Any:
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps({"job": job, "variables": variables}) + "\n")
        stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def _observed(answer: dict[str, Any]) -> Observed:
    lines = answer.pop("errors", "").splitlines()
    doctor = {name: (result, text) for name, result, text in answer.pop("doctor", ())}
    return Observed(**answer, errors=lines, doctor=doctor)
