"""Copies of an installed Flash, with and without the change of docs/adoption.md."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from support.flash import ROOT
from support.flash_source import packages_of

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.demo.environment import PythonEnvironment

APPLY: Final = ROOT / "docs/adoption/apply.py"


def apply(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the script of docs/adoption.md on a folder of packages."""
    return subprocess.run(
        [sys.executable, str(APPLY), *options, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )


@dataclass(frozen=True)
class Adopted:
    """An environment, and a changed copy of its Flash that comes before the installed one.

    Attributes:
        environment: The Python with the untouched Flash.
        copy: The folder with the changed package and its metadata.
    """

    environment: PythonEnvironment
    copy: Path

    def path(self, *, changed: bool, traced: bool) -> str:
        """Return PYTHONPATH: whose Flash it is, and whether flash_otel is installed."""
        folders = [self.copy] if changed else []
        return os.pathsep.join(map(str, [*folders, *([self.environment.source] * traced)]))


def copy_flash(environment: PythonEnvironment, folder: Path) -> None:
    """Copy the package of an environment's Flash, and its metadata, into a folder."""
    package = environment.generation.package.replace("-", "_")
    installed = packages_of(environment, package)
    metadata = f"{package}-{environment.version}.dist-info"
    for name in (package, metadata):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(installed / name, folder / name, ignore=ignored)


def adopt(environment: PythonEnvironment, folder: Path) -> Adopted:
    """Copy the package of an environment's Flash into a folder, and change the copy."""
    copy_flash(environment, folder)
    done = apply(folder)
    assert done.returncode == 0, done.stderr
    return Adopted(environment, folder)
