"""The opentelemetry-distro package, as `opentelemetry-instrument` finds it on a path."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from support.flash import CACHE

from flash_otel.demo.environment import CONSTRAINTS
from flash_otel.runtime.locks import file_lock

if TYPE_CHECKING:
    from pathlib import Path

_PIP: Final = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
_INSTALL_SECONDS: Final = 300


def find_distro() -> Path:
    """Return a folder that holds opentelemetry-distro, installed there if it is missing.

    Its version is that of the instrumentation in the Flash environments.
    """
    pinned = CONSTRAINTS.read_text(encoding="utf-8")
    (version,) = re.findall(r"(?m)^opentelemetry-instrumentation==(.+)$", pinned)
    folder = CACHE / f"opentelemetry-distro-{version}"
    complete = folder / "complete"
    with file_lock(folder.with_name(f"{folder.name}.lock")):
        if not complete.exists():
            target = ("--upgrade", "--target", str(folder), f"opentelemetry-distro=={version}")
            subprocess.run([sys.executable, *_PIP, *target], check=True, timeout=_INSTALL_SECONDS)
            complete.touch()
    return folder
