"""Paths of the bundled configurations and of the data, and the record of what is running."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

COMPOSE: Final = "docker-compose.yml"
REACHABLE_COMPOSE: Final = "collector/docker-compose.reachable.yml"
REACHABLE: Final = "reachable.yaml"

DOCKER: Final = "docker"
LOCAL: Final = "programs"
"""The engines: Docker Compose, or processes of this machine."""

_FOLDER_MODE: Final = 0o700
_STATE: Final = "state.json"
_STATE_MODE: Final = 0o600


def bundle() -> Path:
    """Return the folder that holds docker-compose.yml and collector/.

    A wheel has them inside the package, a checkout at its root.
    """
    packaged = Path(__file__).with_name("bundle")
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2]


def config(name: str) -> Path:
    """Return the path of a bundled configuration file."""
    return bundle() / "collector" / name


def data_folder() -> Path:
    """Return the folder for queue, traces, logs and state; only its owner can enter it."""
    from flash_otel.store.files import state_folder

    folder = state_folder() / "collector"
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    folder.chmod(_FOLDER_MODE)
    return folder


@dataclass(frozen=True, slots=True)
class StartedProcess:
    """A program that was started as a process of this machine.

    Attributes:
        pid: Its process id.
        started: Its start time as the operating system prints it, because ids are reused.
        ports: Its ports, by variable.
        log: The file that it writes to.
    """

    pid: int
    started: str
    ports: dict[str, int]
    log: str


@dataclass(slots=True)
class StartedPrograms:
    """What `flash-otel collector up` started, as it is kept in the state file.

    Attributes:
        engine: DOCKER or LOCAL.
        files: Compose files with DOCKER, the Collector's configuration files with LOCAL.
        ports: Ports of each program, by variable; with DOCKER.
        processes: The processes by program; with LOCAL.
    """

    engine: str
    files: list[str] = field(default_factory=list)
    ports: dict[str, dict[str, int]] = field(default_factory=dict)
    processes: dict[str, StartedProcess] = field(default_factory=dict)


def load_state(folder: Path) -> StartedPrograms | None:
    """Return the recorded state; None if there is none or the file is damaged."""
    try:
        state: dict[str, Any] = json.loads((folder / _STATE).read_text("utf-8"))
        processes = {
            name: StartedProcess(**process) for name, process in state.pop("processes").items()
        }
        return StartedPrograms(**state, processes=processes)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def save_state(folder: Path, state: StartedPrograms) -> None:
    """Replace the state file atomically."""
    fresh = folder / f"{_STATE}.{os.getpid()}"
    # A killed process with the same id may have left it; O_EXCL below refuses a planted link.
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _STATE_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=2)
    fresh.replace(folder / _STATE)


def forget_state(folder: Path) -> None:
    """Remove the state file."""
    (folder / _STATE).unlink(missing_ok=True)
