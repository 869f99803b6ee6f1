"""Whose provider gets the spans, and whether tracing is set up twice."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel.doctor.checks import NOTE, OK, PROBLEM, Check
from flash_otel.doctor.versions import version_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_AUTO: Final = Path("opentelemetry", "instrumentation", "auto_instrumentation").parts
_HOSTS: Final = (
    "On it the application's exporters send the spans, and what they lose or how long they take at "
    "exit is theirs; lines and store are flash_otel's."
)
# Each row: a distribution that sets a provider of its own when it is used.
_SETTERS: Final = ("logfire", "ddtrace", "azure-monitor-opentelemetry", "opentelemetry-distro")


def providers() -> Iterator[Check]:
    """Tell which provider a deployment started from here would use."""
    yield from _switched_off()
    named = os.environ.get("OTEL_PYTHON_TRACER_PROVIDER", "").strip()
    if named:
        yield Check("provider", NOTE, f"OTEL_PYTHON_TRACER_PROVIDER names {named}. {_HOSTS}")
    elif is_launched():
        said = f"opentelemetry-instrument starts Python here, and sets a provider. {_HOSTS}"
        yield Check("provider", NOTE, said)
    else:
        said = "flash_otel's own provider, unless the application sets one before its first span"
        yield Check("provider", OK, said)
    found = [one for one in _SETTERS if version_of(one)]
    if found:
        said = f"installed, and sets a provider where it is used: {', '.join(found)}. {_HOSTS}"
        yield Check("provider_setters", NOTE, said)
    yield from _doubled()


def is_launched() -> bool:
    """Tell whether opentelemetry-instrument has prepared this environment (its PYTHONPATH)."""
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return any(Path(one).parts[-len(_AUTO) :] == _AUTO for one in paths)


def _switched_off() -> Iterator[Check]:
    from flash_otel.runtime.options import is_disabled

    if is_disabled():
        said = "tracing is switched off by FLASH_OTEL_DISABLED or OTEL_SDK_DISABLED"
        yield Check("disabled", PROBLEM, said, "Unset it, and deploy again.")


def _doubled() -> Iterator[Check]:
    found = entry_points(group="opentelemetry_instrumentor", name="runpod_flash")
    others = sorted({one.value for one in found if not one.value.startswith("flash_otel")})
    if others:
        said = f"another package instruments Flash, too: {', '.join(others)}"
        yield Check("instrumented_twice", PROBLEM, said, "Uninstall one of them.")
    skipped = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if "runpod_flash" in [one.strip() for one in skipped.split(",")]:
        said = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS leaves Flash out of opentelemetry-instrument"
        yield Check("instrumentation_disabled", NOTE, said)


def place() -> Iterator[Check]:
    """Tell whether this is a worker, whose spans go to an endpoint or to its log."""
    if os.environ.get("RUNPOD_ENDPOINT_ID"):
        said = "a deployed worker (RUNPOD_ENDPOINT_ID is set): no store, unless one is named"
    elif os.environ.get("RUNPOD_POD_ID"):
        said = "a pod, and no worker (RUNPOD_ENDPOINT_ID is not set): spans are stored"
    else:
        said = "no worker (RUNPOD_ENDPOINT_ID is not set): spans are stored"
    yield Check("place", OK, said)
