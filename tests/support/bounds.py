"""Environments with the lowest and the highest versions of the dependencies that are allowed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

from support.flash import CACHE

from flash_otel.demo.environment import source_folder
from flash_otel.demo.packages import install
from flash_otel.runtime.locks import file_lock

LOWEST: Final = "lowest"
HIGHEST: Final = "highest"
SMOKE: Final = Path(__file__).parents[1] / "bounds/smoke.py"
_TIMEOUT: Final = 300


def requirements(bound: str) -> list[str]:
    """Return what pip installs for a bound: the dependencies, but for those of extras."""
    declared = [line for line in metadata.requires("flash-otel") or [] if "extra ==" not in line]
    return [line.replace(">=", "==") if bound == LOWEST else line for line in declared]


def find_bound(bound: str, python: str = sys.executable) -> Path:
    """Return an interpreter that has the dependencies, in an environment of the cache.

    Args:
        bound: `LOWEST` or `HIGHEST`.
        python: The interpreter that the environment is made with.
    """
    needed = requirements(bound)
    version = subprocess.check_output([python, "-c", "import sys; print(sys.version)"], text=True)
    digest = hashlib.sha256("\n".join((version, *sorted(needed))).encode()).hexdigest()[:8]
    folder = CACHE / f"bounds-{bound}-{digest}"
    complete = folder / "complete"
    with file_lock(folder.with_name(f"{folder.name}.lock")):
        if not complete.exists():
            subprocess.run([python, "-m", "venv", "--clear", "--without-pip", folder], check=True)
            install(folder / "bin/python", needed, lambda _: None)
            complete.touch()
    return folder / "bin/python"


def smoke(python: Path) -> subprocess.CompletedProcess[str]:
    """Use this checkout once with an interpreter."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return subprocess.run(
        [str(python), str(SMOKE)],
        env={**kept, "HOME": str(python.parent), "PYTHONPATH": str(source_folder(CACHE))},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
