"""Finds or makes a Python environment that holds one version of runpod-flash, and flash_otel.

Environments are kept in the user's cache, in two layers: one holds what every version of Flash
and flash_otel need (large, pinned), and a thin one per version holds Flash itself. Each is made
under a lock and counts only once it is complete: a half-made one is made anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from flash_otel.demo.source import DISTRIBUTION, source_folder
from flash_otel.runtime.locks import file_lock

Progress = Callable[[str], None]

CACHE_VARIABLE: Final = "FLASH_OTEL_CACHE"
CONSTRAINTS: Final = Path(__file__).with_name("constraints.txt")

_FLASH: Final = "runpod-flash"
# What the wheels of 1.0.0 to 1.21.0 declare, taken together.
_FLASH_NEEDS: Final = (
    *("cloudpickle", "runpod", "python-dotenv", "pydantic", "rich", "typer", "questionary"),
    *("pathspec", "tomlkit", "tomli"),
)
_COMPLETE: Final = ".complete"
_SETUP_SECONDS: Final = 900
_OUTPUT_TAIL: Final = 2000
_PIP: Final = (
    *("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
    "--prefer-binary",
)


class EnvironmentSetupError(Exception):
    """An environment with the wanted version of Flash could not be made."""


@dataclass(frozen=True, slots=True)
class PythonEnvironment:
    """A Python that has one version of runpod-flash.

    Attributes:
        version: The version of runpod-flash.
        python: The interpreter.
        scripts: The folder of its console scripts, `flash` among them.
        source: The folder for `PYTHONPATH` that holds the running flash_otel.
    """

    version: str
    python: Path
    scripts: Path
    source: Path

    @property
    def flash(self) -> Path:
        """The `flash` console script."""
        return self.scripts / ("flash.exe" if os.name == "nt" else "flash")


def default_cache() -> Path:
    """Return the folder that environments are kept in: FLASH_OTEL_CACHE or the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("flash_otel")


def find_environment(
    version: str,
    *,
    cache: Path | None = None,
    on_progress: Progress = lambda _: None,
) -> PythonEnvironment:
    """Return an environment that holds runpod-flash `version`, made if there is none yet.

    The running interpreter is used as it is if it has that version already.

    Args:
        version: Exact version of runpod-flash.
        cache: Where environments are kept; None for `default_cache()`.
        on_progress: Called with a sentence before each step that takes a while.

    Raises:
        EnvironmentSetupError: Python's venv or pip failed, or the cache cannot be written.
    """
    cache = (cache or default_cache()).absolute()
    try:
        source = source_folder(cache)
        if _installed_version() == version:
            scripts = Path(sysconfig.get_path("scripts"))
            return PythonEnvironment(version, Path(sys.executable), scripts, source)
        folder = _environment(version, cache / "environments", on_progress)
    except metadata.PackageNotFoundError as error:
        raise EnvironmentSetupError(
            "flash_otel runs without being installed, so that its dependencies are unknown. "
            "Install it first: pip install -e ."
        ) from error
    except OSError as error:
        raise EnvironmentSetupError(
            f"The folder {cache} cannot be used: {error}. Name another one in {CACHE_VARIABLE}."
        ) from error
    return PythonEnvironment(version, _python(folder), _python(folder).parent, source)


def _environment(version: str, folder: Path, on_progress: Progress) -> Path:
    needed = [*_FLASH_NEEDS, *_own_requirements()]
    pinned = CONSTRAINTS.read_text(encoding="utf-8") + "\n".join(sorted(needed))
    digest = hashlib.sha256(pinned.encode()).hexdigest()[:8]
    layer = f"{sys.implementation.cache_tag}-{digest}"

    def make_base(base: Path) -> None:
        on_progress(f"Installing what Flash needs (once; about 100 packages) into {base}.")
        _step([sys.executable, "-m", "venv", str(base)])
        _step([str(_python(base)), *_PIP, "--constraint", str(CONSTRAINTS), *needed])

    def make_flash(target: Path) -> None:
        on_progress(f"Installing runpod-flash {version} (once).")
        _step([sys.executable, "-m", "venv", "--without-pip", str(target)])
        (_packages(target) / "base.pth").write_text(f"{_packages(base)}\n", encoding="utf-8")
        # Flash 1.8 to 1.16 declare Python below 3.13, yet run on it.
        options = ("--no-deps", "--ignore-requires-python")
        _step([str(_python(target)), *_PIP, *options, f"{_FLASH}=={version}"])

    base = _complete(folder / f"base-{layer}", make_base)
    return _complete(folder / f"flash-{version}-{layer}", make_flash)


def _complete(folder: Path, make: Callable[[Path], None]) -> Path:
    with file_lock(folder.with_name(f"{folder.name}.lock")):
        if not (folder / _COMPLETE).exists():
            if folder.exists():
                shutil.rmtree(folder)
            make(folder)
            (folder / _COMPLETE).touch()
    return folder


def _own_requirements() -> list[str]:
    declared = metadata.requires(DISTRIBUTION) or []
    return [one for one in declared if "extra ==" not in one]


def _installed_version() -> str | None:
    try:
        return metadata.version(_FLASH)
    except metadata.PackageNotFoundError:
        return None


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _packages(folder: Path) -> Path:
    scheme = "nt" if os.name == "nt" else "posix_prefix"
    place = {"base": str(folder), "platbase": str(folder)}
    return Path(sysconfig.get_path("purelib", scheme, place))


def _step(command: list[str]) -> None:
    try:
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SETUP_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        output = (getattr(error, "output", None) or b"").decode(errors="replace")
        raise EnvironmentSetupError(
            f"The environment for Flash could not be made: {error}\n{output[-_OUTPUT_TAIL:]}\n"
            "It needs a package index, once. Try again, or name a folder with more room in "
            f"{CACHE_VARIABLE}."
        ) from error
