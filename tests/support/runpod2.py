"""Runs the real `rp flash deploy` of runpod 2, traced or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from support.flash import run_flash
from support.versions import RUNPOD_VERSIONS

from flash_otel.demo.project import write_project

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from support.flash import FlashRun

    from flash_otel.demo.control_plane import ControlPlane
    from flash_otel.demo.environment import PythonEnvironment
    from flash_otel.records import SpanRecord

(VERSION,) = RUNPOD_VERSIONS
DEPLOY: Final = ("flash", "deploy")
LINE: Final = "import flash_otel\n\nflash_otel.instrument()\n"


def deploy(
    environment: PythonEnvironment,
    plane: ControlPlane,
    project: Path,
    *arguments: str,
    **options: Any,
) -> FlashRun:
    """Deploy a project that is written at its first deployment; options of `run_flash`."""
    if not project.exists():
        write_project(project, VERSION)
    return run_flash(environment, plane, project, *DEPLOY, *arguments, **options)


def launcher(environment: PythonEnvironment, script: str) -> list[str]:
    """Return the command line that runs a script through the launcher."""
    return [str(environment.python), "-m", "flash_otel", "run", "--", script]


def shape(records: Iterable[SpanRecord]) -> list[tuple[str, str | None]]:
    """Return each span's name and its parent's name."""
    records = list(records)
    names = {record.span_id: record.name for record in records}
    return [(record.name, names.get(record.parent_span_id or "")) for record in records]
