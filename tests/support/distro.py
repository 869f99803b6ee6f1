"""Packages of OpenTelemetry that the Flash environments lack, in folders for a path."""

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
_OF_HOSTS: Final = (
    *("opentelemetry-instrumentation-asgi", "opentelemetry-instrumentation-fastapi"),
    *("opentelemetry-instrumentation-httpx", "opentelemetry-util-http"),
)
# It has releases of its own, which require others of the packages above.
_AIOHTTP: Final = ("opentelemetry-instrumentation-aiohttp-client==0.66b1", "asgiref==3.9.1")


def find_distro() -> Path:
    """Return a folder that holds opentelemetry-distro, installed there if it is missing.

    Its version is that of the instrumentation in the Flash environments.
    """
    return _installed("opentelemetry-distro", f"opentelemetry-distro=={_version()}")


def find_instrumentations() -> Path:
    """Return a folder that holds the instrumentations of FastAPI, httpx and aiohttp."""
    version = _version()
    return _installed(
        "instrumentations", *(f"{package}=={version}" for package in _OF_HOSTS), *_AIOHTTP
    )


def _version() -> str:
    pinned = CONSTRAINTS.read_text(encoding="utf-8")
    (version,) = re.findall(r"(?m)^opentelemetry-instrumentation==(.+)$", pinned)
    return str(version)


def _installed(name: str, *packages: str) -> Path:
    folder = CACHE / f"{name}-{_version()}"
    complete = folder / "complete"
    with file_lock(folder.with_name(f"{folder.name}.lock")):
        if not complete.exists():
            target = ("--upgrade", "--target", str(folder), *packages)
            subprocess.run([sys.executable, *_PIP, *target], check=True, timeout=_INSTALL_SECONDS)
            complete.touch()
    return folder
