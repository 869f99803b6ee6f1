"""Where the bundled configurations lie, and where the programs keep their data."""

from __future__ import annotations

from pathlib import Path
from typing import Final

COMPOSE: Final = "docker-compose.yml"
REACHABLE_COMPOSE: Final = "collector/docker-compose.reachable.yml"
REACHABLE: Final = "reachable.yaml"

_FOLDER_MODE: Final = 0o700


def bundle() -> Path:
    """Return the folder that holds docker-compose.yml and collector/.

    A wheel has them inside the package, a checkout at its top.
    """
    packaged = Path(__file__).with_name("bundle")
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2]


def config(name: str) -> Path:
    """Return a configuration file by its name."""
    return bundle() / "collector" / name


def data_folder() -> Path:
    """Return the folder for queue, traces, logs and state, which is its owner's alone."""
    from flash_otel.store.paths import state_folder

    folder = state_folder() / "collector"
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    folder.chmod(_FOLDER_MODE)
    return folder
