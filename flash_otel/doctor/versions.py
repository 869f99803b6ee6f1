"""Which Python, flash_otel, Flash and OpenTelemetry this is, and where another flash lives."""

from __future__ import annotations

import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel._version import __version__
from flash_otel.doctor.checks import NOTE, OK, PROBLEM, Check
from flash_otel.runtime import interpreters

if TYPE_CHECKING:
    from collections.abc import Iterator

FLASH: Final = "runpod-flash"
FIRST: Final = (1, 0)
BEYOND: Final = (2, 0)
_TELEMETRY: Final = ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-instrumentation")


def versions() -> Iterator[Check]:
    """Tell the versions that this interpreter has."""
    where = f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"
    yield Check("python", OK, f"Python: {where}")
    yield Check("flash_otel", OK, f"flash_otel {__version__} ({Path(__file__).parents[1]})")
    told = ", ".join(f"{name} {version_of(name) or 'missing'}" for name in _TELEMETRY)
    missing = any(version_of(name) is None for name in _TELEMETRY)
    again = f"{sys.executable} -m pip install --force-reinstall flash-otel" if missing else ""
    yield Check("opentelemetry", PROBLEM if missing else OK, told, again)
    yield from _flash()


def _flash() -> Iterator[Check]:
    version = version_of(FLASH)
    on_path = shutil.which("flash")
    if version is not None:
        yield _known(version)
        if on_path is not None and not interpreters.runs_here(Path(on_path)):
            yield _another(Path(on_path), NOTE)
        return
    if on_path is not None and interpreters.interpreter_of(Path(on_path)) is not None:
        yield _another(Path(on_path), PROBLEM)
        return
    said = "flash is neither installed beside flash-otel nor on PATH"
    yield Check("flash", PROBLEM, said, f"{sys.executable} -m pip install {FLASH}")


def _known(version: str) -> Check:
    if FIRST <= _numbers(version) < BEYOND:
        return Check("flash", OK, f"{FLASH} {version}")
    return Check(
        "flash",
        NOTE,
        f"{FLASH} {version} is not one of the versions that flash_otel is tested with",
        "Compare the targets below; what is missing there is not traced.",
    )


def _another(script: Path, result: str) -> Check:
    python = interpreters.interpreter_of(script)
    if python is None:
        return Check("flash_elsewhere", NOTE, f"{script} on PATH is not Runpod's flash")
    return Check(
        "flash_elsewhere",
        result,
        f"the flash on PATH ({script}) lives in another interpreter ({python})",
        f"Add flash-otel there: {interpreters.install_command(python)}\n"
        f"Then ask again there:  {python} -m flash_otel doctor",
    )


def version_of(name: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except Exception:  # a broken dist-info is as good as none
        return None


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:2]
    return tuple(int(one) if one.isdecimal() else 0 for one in parts)
