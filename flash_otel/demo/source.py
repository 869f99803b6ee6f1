"""Makes the running flash_otel importable in another environment, without installing it there.

A folder for `PYTHONPATH` holds a link to the very package that is running (a checkout or an
installed wheel) and its metadata, so that entry points work too and nothing else is exposed.
"""

from __future__ import annotations

import hashlib
import shutil
from importlib import metadata
from pathlib import Path
from typing import Final

import flash_otel
from flash_otel.runtime.locks import file_lock

DISTRIBUTION: Final = "flash-otel"

_METADATA_FILES: Final = ("METADATA", "entry_points.txt")


def source_folder(cache: Path) -> Path:
    """Return a folder that holds the running flash_otel alone; made or refreshed if needed.

    Args:
        cache: Where the folder is kept, one per place that flash_otel runs from.

    Raises:
        OSError: The folder cannot be written.
        importlib.metadata.PackageNotFoundError: flash_otel runs without being installed.
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
    except OSError:  # Windows grants symbolic links to administrators and developers only.
        shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__"))


def _copy_metadata(folder: Path) -> None:
    distribution = metadata.distribution(DISTRIBUTION)
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
