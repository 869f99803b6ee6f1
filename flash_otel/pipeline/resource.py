"""The resource of a process's spans: the command line, or a deployed worker.

`OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` take precedence. Flash's version comes from its
package metadata. A worker's bundle has none, so the fallback is `runpod_flash.__version__` (1.4.2
and later), if the module is already imported.
"""

from __future__ import annotations

import os
import socket
import sys
import uuid
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.environment_variables import OTEL_EXPERIMENTAL_RESOURCE_DETECTORS
from opentelemetry.sdk.resources import OTELResourceDetector, Resource, ResourceDetector
from opentelemetry.sdk.version import __version__ as sdk_version

from flash_otel import semconv
from flash_otel._version import __version__
from flash_otel.redaction import REDACTED, is_secret_name, remember_environment, scrub_value
from flash_otel.runtime.options import in_worker
from flash_otel.runtime.process import ProcessVar

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE: Final = "flash-cli"
WORKER_SERVICE: Final = "flash-worker"

# Attributes of a worker, and the variables that hold them.
_WORKER: Final = (
    (semconv.FAAS_NAME, "FLASH_RESOURCE_NAME"),
    (semconv.FAAS_VERSION, "_FLASH_SOURCE_FINGERPRINT"),
    (semconv.FAAS_INSTANCE, "RUNPOD_POD_ID"),
)

_instance_id = ProcessVar(lambda: str(uuid.uuid4()), reset_in_child=True)


def flash_version() -> str | None:
    """Return the version of the installed runpod-flash, or None if it is unknown."""
    try:
        return metadata.version("runpod-flash")
    except Exception:  # not installed, or a broken dist-info
        found = getattr(sys.modules.get("runpod_flash"), "__version__", None)
        return found if isinstance(found, str) else None


def detected() -> dict[str, str | int]:
    """Return the attributes of this process."""
    attributes: dict[str, str | int] = {
        semconv.SERVICE_NAME: _service_name(),
        semconv.SERVICE_INSTANCE_ID: _instance_id.value,
        semconv.HOST_NAME: socket.gethostname(),
        semconv.PROCESS_PID: os.getpid(),
    }
    version = flash_version()
    if version:
        attributes[semconv.SERVICE_VERSION] = version
        attributes[semconv.FLASH_VERSION] = version
    if in_worker():
        found = ((name, os.environ.get(variable)) for name, variable in _WORKER)
        attributes.update({name: value for name, value in found if value})
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
    configured = OTELResourceDetector().detect()
    merged = _telemetry().merge(FlashResourceDetector().detect()).merge(configured)
    return Resource(_scrubbed(merged.attributes), merged.schema_url)


def _scrubbed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Redact secrets: the resource is exported with every span."""
    return {
        name: REDACTED if is_secret_name(name) else scrub_value(value)
        for name, value in attributes.items()
    }


def _telemetry() -> Resource:
    """Describe the SDK and this distribution, and run the detectors that the environment names.

    `Resource.create` starts threads even for the default detector (SDK 1.27-1.45), so it is only
    called when detectors are named.
    """
    distro = {"telemetry.distro.name": "flash-otel", "telemetry.distro.version": __version__}
    if os.environ.get(OTEL_EXPERIMENTAL_RESOURCE_DETECTORS):
        return Resource.create(distro)
    sdk = {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": sdk_version,
    }
    return Resource({**sdk, **distro})
