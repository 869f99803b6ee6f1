"""Finds or creates Python environments with a version of Flash and the running flash_otel.

The user's cache keeps environments in two layers: a large, pinned base with the dependencies of all
versions of Flash and of flash_otel, and a thin layer per version with Flash itself. Each is created
under a lock and marked when it is complete; an incomplete environment is created again.

runpod 2 installs what its workers need into each artifact, with pip. Its layer has pip, and the
wheels of those packages, so that a deployment needs no package index.

flash_otel is not installed there: PYTHONPATH names a folder with a link to the running package (a
checkout or an installed wheel) and a copy of its metadata, without which entry points do not work.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import flash_otel
from flash_otel.demo.packages import (
    InstallError,
    has_shared_pip,
    install,
    install_pinned,
    packages_folder,
)
from flash_otel.demo.releases import RUNPOD_2, Generation, generation_of
from flash_otel.runtime.locks import file_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_otel.demo.progress import Progress

CACHE_VARIABLE: Final = "FLASH_OTEL_CACHE"
CONSTRAINTS: Final = Path(__file__).with_name("constraints.txt")

_DISTRIBUTION: Final = "flash-otel"
_METADATA_FILES: Final = ("METADATA", "entry_points.txt")
# The union of what the wheels of 1.0.0 to 1.21.0 declare.
_FLASH_NEEDS: Final = (
    *("cloudpickle", "runpod", "python-dotenv", "pydantic", "rich", "typer", "questionary"),
    *("pathspec", "tomlkit", "tomli"),
)
_COMPLETE: Final = ".complete"
_WHEELS: Final = "wheels"
# MANYLINUX_PLATFORMS of `runpod.apps.build` (2.0.0rc2).
_WORKER_PLATFORMS: Final = (
    *("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
)
_SETUP_SECONDS: Final = 900
_OUTPUT_TAIL: Final = 2000
_MEGABYTES: Final = 150  # on Linux, before Python compiles what it imports


class EnvironmentSetupError(Exception):
    """An environment with the requested version of Flash could not be created."""


@dataclass(frozen=True, slots=True)
class PythonEnvironment:
    """A Python interpreter that can import one version of Flash.

    Attributes:
        version: The version of runpod-flash, or of runpod from 2.0 on.
        python: The interpreter.
        scripts: The folder of its console scripts, such as `flash`.
        source: The folder for `PYTHONPATH` with the running flash_otel.
    """

    version: str
    python: Path
    scripts: Path
    source: Path

    @property
    def generation(self) -> Generation:
        """The generation of Flash."""
        return generation_of(self.version)

    @property
    def flash(self) -> Path:
        """The console script of Flash."""
        return self.scripts / f"{self.generation.script}{'.exe' if os.name == 'nt' else ''}"

    @property
    def variables(self) -> dict[str, str]:
        """The variables with which a deployment finds the packages that it vendors."""
        wheels = self.scripts.parent / _WHEELS
        if self.generation is not RUNPOD_2 or not wheels.exists():
            return {}
        # Found, but not installed: the demo's workers have them, and they are most of an artifact.
        return {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
            "PIP_NO_DEPS": "1",
            "PIP_DRY_RUN": "1",
        }


def default_cache() -> Path:
    """Return the folder of the environments: FLASH_OTEL_CACHE or the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("flash_otel")


def find_environment(
    version: str,
    *,
    cache: Path | None = None,
    on_progress: Progress = lambda *_: None,
) -> PythonEnvironment:
    """Return an environment with Flash `version`, created if necessary.

    If the running interpreter has that version, it is used as it is.

    Args:
        version: Exact version of runpod-flash, or of runpod from 2.0 on.
        cache: Folder of the environments; None for `default_cache()`.
        on_progress: Called with a sentence before each long step.

    Raises:
        EnvironmentSetupError: venv or pip failed, or the cache cannot be written.
    """
    cache = (cache or default_cache()).absolute()
    try:
        source = source_folder(cache)
        if _installed_version(generation_of(version).package) == version:
            scripts = Path(sysconfig.get_path("scripts"))
            return PythonEnvironment(version, Path(sys.executable), scripts, source)
        folder = _environment(version, cache / "environments", on_progress)
    except InstallError as error:
        raise EnvironmentSetupError(
            f"The environment for Flash could not be created: {error}\n"
            f"This needs a package index, once. Try again, or set {CACHE_VARIABLE} to a folder "
            "with more space."
        ) from error
    except metadata.PackageNotFoundError as error:
        raise EnvironmentSetupError(
            "flash_otel is not installed, and its dependencies are therefore unknown. "
            "Install it first: pip install -e ."
        ) from error
    except OSError as error:
        raise EnvironmentSetupError(
            f"The folder {cache} cannot be used: {error}. Set {CACHE_VARIABLE} to another folder."
        ) from error
    return PythonEnvironment(version, _python(folder), _python(folder).parent, source)


def _environment(version: str, folder: Path, on_progress: Progress) -> Path:
    needed = [*_FLASH_NEEDS, *_own_requirements()]
    pinned = CONSTRAINTS.read_text(encoding="utf-8") + "\n".join(sorted(needed))
    digest = hashlib.sha256(pinned.encode()).hexdigest()[:8]
    layer = f"{sys.implementation.cache_tag}-{digest}"

    def make_base(base: Path) -> None:
        on_progress(
            f"Flash and its dependencies are installed once, about 100 packages of {_MEGABYTES} MB "
            f"in all: {folder}"
        )
        on_progress(f"To remove them: rm -rf {shlex.quote(str(folder))}")
        sentence = "Installing what Flash needs"
        on_progress(sentence)
        without = ["--without-pip"] if has_shared_pip() else []
        _step([sys.executable, "-m", "venv", *without, str(base)])
        install_pinned(_python(base), _pins(), lambda detail: on_progress(sentence, detail))
        options = ["--constraint", str(CONSTRAINTS), *needed]
        install(_python(base), options, lambda detail: on_progress(sentence, detail))
        on_progress(f"Installed: {_size(base)} MB.")

    generation = generation_of(version)

    def make_flash(target: Path) -> None:
        on_progress(f"Installing {generation.package} {version}")
        without = [] if generation.vendored else ["--without-pip"]
        _step([sys.executable, "-m", "venv", *without, str(target)])
        # A .pth file adds the base: --system-site-packages would add this interpreter's packages.
        line = f"{packages_folder(base)}\n"
        (packages_folder(target) / "base.pth").write_text(line, encoding="utf-8")
        # Flash 1.8 to 1.16 declare Python below 3.13, yet run on it.
        options = ["--no-deps", "--ignore-requires-python", f"{generation.package}=={version}"]
        install(_python(target), options, lambda _: None)
        if generation.vendored:
            on_progress("Fetching the packages of its workers")
            # For the workers' platform: that of this machine may be another one.
            platforms = [f"--platform={platform}" for platform in _WORKER_PLATFORMS]
            options = ["--no-deps", "--only-binary=:all:", "--dest", str(target / _WHEELS)]
            pip = [str(_python(target)), "-m", "pip", "download", "--quiet"]
            _step(
                [*pip, "--constraint", str(CONSTRAINTS), *options, *platforms, *generation.vendored]
            )

    base = _complete(folder / f"base-{layer}", make_base)
    return _complete(folder / f"flash-{version}-{layer}", make_flash)


def _pins() -> list[str]:
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _size(folder: Path) -> int:
    """Return the megabytes of the files in a folder."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return round(sum(file.stat().st_size for file in files) / 1e6)


def _complete(folder: Path, make: Callable[[Path], None]) -> Path:
    with file_lock(folder.with_name(f"{folder.name}.lock")):
        if not (folder / _COMPLETE).exists():
            if folder.exists():
                shutil.rmtree(folder)
            try:
                make(folder)
            except BaseException:  # nothing is left of a version that does not exist
                shutil.rmtree(folder, ignore_errors=True)
                raise
            (folder / _COMPLETE).touch()
    return folder


def _own_requirements() -> list[str]:
    declared = metadata.requires(_DISTRIBUTION) or []
    return [requirement for requirement in declared if "extra ==" not in requirement]


def _installed_version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


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
        raise InstallError(f"{error}\n{output[-_OUTPUT_TAIL:]}") from error


def source_folder(cache: Path) -> Path:
    """Return a folder with nothing but the running flash_otel, created or updated if necessary.

    Args:
        cache: Where the folder is kept; each location of flash_otel has a folder of its own.

    Raises:
        OSError: The folder cannot be written.
        importlib.metadata.PackageNotFoundError: flash_otel is not installed.
    """
    package = Path(flash_otel.__file__).resolve().parent
    folder = cache / "sources" / hashlib.sha256(str(package).encode()).hexdigest()[:12]
    with file_lock(folder.with_name(f"{folder.name}.lock")):
        folder.mkdir(parents=True, exist_ok=True)
        _link(package, folder / package.name)
        _copy_metadata(folder)
    return folder


def _link(package: Path, target: Path) -> None:
    if target.is_symlink() and target.resolve() == package:
        return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    try:
        target.symlink_to(package, target_is_directory=True)
    except OSError:  # Windows reserves symbolic links for administrators and developers.
        shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__"))


def _copy_metadata(folder: Path) -> None:
    distribution = metadata.distribution(_DISTRIBUTION)
    target = folder / f"flash_otel-{distribution.version}.dist-info"
    for old in folder.glob("flash_otel-*.dist-info"):
        if old != target:
            shutil.rmtree(old)
    target.mkdir(exist_ok=True)
    for name in _METADATA_FILES:
        text = distribution.read_text(name) or ""
        file = target / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
