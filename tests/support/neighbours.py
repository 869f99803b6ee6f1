"""logfire, ddtrace and Sentry's SDK, which set tracer providers of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final

from support.flash import CACHE

from flash_otel.demo.environment import CONSTRAINTS
from flash_otel.runtime.locks import file_lock

if TYPE_CHECKING:
    from pathlib import Path

NEIGHBOURS: Final = ("ddtrace==4.16.0", "logfire==5.2.0", "sentry-sdk==2.75.0")
_PIP: Final = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade")
_INSTALL_SECONDS: Final = 600


def find_neighbours() -> Path:
    """Return a folder that holds the packages, installed there if they are missing.

    OpenTelemetry is among them, in the version of the Flash environments.
    """
    name = "-".join(requirement.replace("==", "-") for requirement in NEIGHBOURS)
    folder = CACHE / f"{name}-{sys.implementation.cache_tag}"
    complete = folder / "complete"
    with file_lock(folder.with_name(f"{folder.name}.lock")):
        if not complete.exists():
            options = ("--target", str(folder), "--constraint", str(CONSTRAINTS))
            subprocess.run(
                [sys.executable, *_PIP, *options, *NEIGHBOURS], check=True, timeout=_INSTALL_SECONDS
            )
            complete.touch()
    return folder
