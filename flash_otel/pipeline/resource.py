"""The resource of a process's spans: the command line, or a deployed worker.

`OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` take precedence. Flash's version comes from its
package metadata: that of the generation whose modules the process has imported, where both are
installed. A worker's bundle has none, so the fallback is `__version__` of the imported package
(runpod-flash 1.4.2 and later, runpod 2).
"""

from __future__ import annotations

import os
import socket
import sys
import time
import uuid
from importlib import metadata
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from flash_otel import semconv
from flash_otel._version import __version__
from flash_otel.redaction import (
    MAX_ENTRIES,
    REDACTED,
    is_secret_name,
    remember_environment,
    scrub,
    scrub_value,
)
from flash_otel.runtime.environment import attempt, ignore, installed, names, plugin, text
from flash_otel.runtime.exit import run_bounded
from flash_otel.runtime.options import in_worker
from flash_otel.runtime.process import ProcessVar
from flash_otel.runtime.sdk import Resource, ResourceDetector, sdk_version

if TYPE_CHECKING:
    from collections.abc import Mapping

_ATTRIBUTES: Final = "OTEL_RESOURCE_ATTRIBUTES"
_DETECTORS: Final = "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"
_DETECTORS_GROUP: Final = "opentelemetry_resource_detector"
# The SDK's limit for a detector, which may query a cloud's metadata service.
_DETECTORS_S: Final = 5.0

SERVICE: Final = "flash-cli"
WORKER_SERVICE: Final = "flash-worker"

# Attributes of a worker, and the variables that hold them.
_WORKER: Final = (
    (semconv.FAAS_NAME, "FLASH_RESOURCE_NAME"),
    (semconv.FAAS_VERSION, "_FLASH_SOURCE_FINGERPRINT"),
    (semconv.FAAS_INSTANCE, "RUNPOD_POD_ID"),
)

# The beginning of a SHA-256 tells versions apart, and can be read.
_MOST: Final = {semconv.FAAS_VERSION: 12}

_instance_id = ProcessVar(lambda: str(uuid.uuid4()), reset_in_child=True)


def flash_version() -> str | None:
    """Return the version of the Flash that this process uses, or None if it is unknown.

    runpod-flash imports runpod, whose version 2 has a Flash of its own: `runpod.apps`.
    """
    is_successor = "runpod.apps" in sys.modules and "runpod_flash" not in sys.modules
    generations = (("runpod-flash", "runpod_flash"), ("runpod", "runpod"))
    for distribution, package in reversed(generations) if is_successor else generations:
        version = _version_of(distribution, package)
        if version and (distribution != "runpod" or not version.startswith(("0.", "1."))):
            return version
    return None


def _version_of(distribution: str, package: str) -> str | None:
    try:
        return metadata.version(distribution)
    except Exception:  # not installed, or a broken dist-info
        found = getattr(sys.modules.get(package), "__version__", None)
        return found if isinstance(found, str) else None


def detected() -> dict[str, str | int]:
    """Return the attributes of this process."""
    attributes: dict[str, str | int] = {
        semconv.SERVICE_NAME: _service_name(),
        semconv.SERVICE_INSTANCE_ID: _instance_id.value,
        semconv.HOST_NAME: socket.gethostname(),
        semconv.PROCESS_PID: os.getpid(),
    }
    if app := os.environ.get("FLASH_APP"):
        attributes[semconv.SERVICE_NAMESPACE] = app
    version = flash_version()
    if version:
        # A version of the user's own takes the convention's name; diagnosis needs that of Flash.
        is_taken = semconv.SERVICE_VERSION in _from_variables()
        attributes[semconv.FLASH_VERSION if is_taken else semconv.SERVICE_VERSION] = version
    if in_worker():
        found = ((name, os.environ.get(variable)) for name, variable in _WORKER)
        attributes.update({name: value[: _MOST.get(name)] for name, value in found if value})
    return attributes


def _service_name() -> str:
    if not in_worker():
        return SERVICE
    return os.environ.get("FLASH_RESOURCE_NAME") or WORKER_SERVICE


class FlashResourceDetector(ResourceDetector):
    """Detects a Flash process, for `OTEL_EXPERIMENTAL_RESOURCE_DETECTORS`."""

    def detect(self) -> Resource:
        """Return the attributes of this process, without a schema URL."""
        # The SDK drops a detector's attributes if its schema URL differs from another's (1.45).
        return Resource(detected())


def create() -> Resource:
    """Create the resource of flash_otel's own provider; OTEL_* variables override it."""
    remember_environment()
    return Resource(_scrubbed({**_telemetry(), **_named(), **detected(), **_from_variables()}))


def _scrubbed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Redact secrets: the resource is exported with every span."""
    return {
        scrub(name): REDACTED if is_secret_name(name) else scrub_value(value)
        for name, value in islice(attributes.items(), MAX_ENTRIES)
    }


def _telemetry() -> dict[str, str]:
    """Describe the SDK and this distribution.

    `Resource.create` starts threads, and raises or logs if a detector fails (SDK 1.27-1.45).
    """
    return {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": sdk_version,
        "telemetry.distro.name": "flash-otel",
        "telemetry.distro.version": __version__,
    }


def _named() -> dict[str, Any]:
    """Run the detectors that the environment names, separately, within a common time limit."""
    found: dict[str, Any] = {}
    deadline = time.monotonic() + _DETECTORS_S
    listed = names(text(_DETECTORS))
    if "*" in listed:
        listed = sorted(installed(_DETECTORS_GROUP))
    for name in listed:
        # Both are always included.
        if name not in {"otel", "runpod_flash"}:
            found.update(_detect(name, deadline))
    return found


def _detect(name: str, deadline: float) -> Mapping[str, Any]:
    detector = plugin(_DETECTORS, _DETECTORS_GROUP, name, uses="no detector")
    found: list[Mapping[str, Any]] = []

    def detect() -> None:
        found.append(
            attempt(
                _DETECTORS, lambda: dict(detector().detect().attributes), {}, uses="no detector"
            )
        )

    if detector is not None and not run_bounded(detect, deadline):
        ignore(_DETECTORS, f"{name} takes longer than {_DETECTORS_S:g} s", "no detector")
    return found[0] if found else {}


def _from_variables() -> dict[str, str]:
    """Return the attributes of OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME."""
    found: dict[str, str] = {}
    for pair in text(_ATTRIBUTES).split(","):
        name, equals, value = pair.partition("=")
        if equals and name.strip():
            found[unquote(name.strip())] = unquote(value.strip())
        elif pair.strip():
            ignore(_ATTRIBUTES, "it takes name=value,name=value", "the valid pairs")
    service = text("OTEL_SERVICE_NAME")
    return {**found, semconv.SERVICE_NAME: service} if service else found
