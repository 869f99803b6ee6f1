"""Checks of the process's environment: worker or not, and the tracer provider."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel.doctor import NOTE, OK, PROBLEM, DoctorCheck
from flash_otel.doctor.flash import version_of
from flash_otel.runtime.options import in_worker, is_disabled

if TYPE_CHECKING:
    from collections.abc import Iterator

# opentelemetry-instrument puts this folder on PYTHONPATH.
_AUTO: Final = Path("opentelemetry", "instrumentation", "auto_instrumentation").parts
_APPLICATIONS: Final = (
    "The application's exporters send the spans then, and flash_otel controls neither what they "
    "lose nor how long they take at exit; it only adds the lines and the store."
)
# Distributions that set a provider when they are used.
_SETTERS: Final = ("logfire", "ddtrace", "azure-monitor-opentelemetry", "opentelemetry-distro")


def place() -> Iterator[DoctorCheck]:
    """Report whether this is a worker, which has no store by default."""
    if in_worker():
        text = "a deployed worker (RUNPOD_ENDPOINT_ID is set): no store, unless one is named"
    elif os.environ.get("RUNPOD_POD_ID"):
        text = "a pod, but not a worker (RUNPOD_ENDPOINT_ID is not set): spans are stored"
    else:
        text = "not a worker (RUNPOD_ENDPOINT_ID is not set): spans are stored"
    yield DoctorCheck("place", OK, text)


def providers() -> Iterator[DoctorCheck]:
    """Report which tracer provider a deployment started from here would use."""
    if is_disabled():
        text = "tracing is switched off by FLASH_OTEL_DISABLED or OTEL_SDK_DISABLED"
        yield DoctorCheck("disabled", PROBLEM, text, "Unset it, and deploy again.")
    named = os.environ.get("OTEL_PYTHON_TRACER_PROVIDER", "").strip()
    if named:
        text = f"OTEL_PYTHON_TRACER_PROVIDER names {named}. {_APPLICATIONS}"
        yield DoctorCheck("provider", NOTE, text)
    elif _is_auto_instrumented():
        text = f"opentelemetry-instrument starts Python here, and sets a provider. {_APPLICATIONS}"
        yield DoctorCheck("provider", NOTE, text)
    else:
        text = "flash_otel's own provider, unless the application sets one before its first span"
        yield DoctorCheck("provider", OK, text)
    installed = [name for name in _SETTERS if version_of(name)]
    if installed:
        text = f"installed, and may set a provider: {', '.join(installed)}. {_APPLICATIONS}"
        yield DoctorCheck("provider_setters", NOTE, text)
    yield from _other_instrumentation()


def _is_auto_instrumented() -> bool:
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return any(Path(path).parts[-len(_AUTO) :] == _AUTO for path in paths)


def _other_instrumentation() -> Iterator[DoctorCheck]:
    found = entry_points(group="opentelemetry_instrumentor", name="runpod_flash")
    others = sorted({point.value for point in found if not point.value.startswith("flash_otel")})
    if others:
        text = f"another package instruments Flash, too: {', '.join(others)}"
        yield DoctorCheck("instrumented_twice", PROBLEM, text, "Uninstall one of them.")
    skipped = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if "runpod_flash" in [name.strip() for name in skipped.split(",")]:
        text = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS excludes Flash from opentelemetry-instrument"
        yield DoctorCheck("instrumentation_disabled", NOTE, text)
