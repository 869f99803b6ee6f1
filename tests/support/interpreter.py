"""A Python process of its own, for what holds for a whole process only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT = ("PATH", "HOME", "LANG", "SYSTEMROOT", "TMPDIR", "VIRTUAL_ENV")
# `make mutants` tries a mutant in these processes, too.
MUTANT = ("PYTHONPATH", "MUTANT_UNDER_TEST")


def activate() -> None:
    """Put this environment on PATH: suggested commands then begin with `flash-otel` alone."""
    folder = str(Path(sys.executable).parent)
    if folder not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join((folder, os.environ["PATH"]))


def run_python(
    code: str, folder: Path, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a script in `folder`, without variables of flash_otel except for these.

    Raises:
        AssertionError: It did not exit with status 0; its output is in the message.
    """
    kept = {name: os.environ[name] for name in (*KEPT, *MUTANT) if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)],
        cwd=folder,
        env={**kept, "XDG_STATE_HOME": str(folder), "FLASH_OTEL_RAISE": "1", **(variables or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
