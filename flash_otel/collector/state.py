"""What was started here, remembered in a file that is its owner's alone."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

DOCKER: Final = "docker"
LOCAL: Final = "programs"
"""What runs the programs: Docker Compose, or this machine itself."""

_FILE: Final = "state.json"
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Process:
    """One started program.

    Attributes:
        pid: Its process id.
        started: When it was started, as the operating system says: an id may be used again.
        ports: Its ports, by variable.
        log: The file that it writes to.
    """

    pid: int
    started: str
    ports: dict[str, int]
    log: str


@dataclass(slots=True)
class State:
    """What runs.

    Attributes:
        engine: DOCKER or LOCAL.
        files: Compose files, for Docker.
        ports: Ports of each program.
        processes: Started programs by name, for LOCAL.
    """

    engine: str
    files: list[str] = field(default_factory=list)
    ports: dict[str, dict[str, int]] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)


def load(folder: Path) -> State | None:
    """Return what is remembered; None for nothing, or for what cannot be understood."""
    try:
        found: dict[str, Any] = json.loads((folder / _FILE).read_text("utf-8"))
        processes = {name: Process(**one) for name, one in found.pop("processes").items()}
        return State(**found, processes=processes)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def save(folder: Path, state: State) -> None:
    """Remember; what was remembered before is replaced as a whole."""
    fresh = folder / f"{_FILE}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=2)
    fresh.replace(folder / _FILE)


def forget(folder: Path) -> None:
    """Remember nothing."""
    (folder / _FILE).unlink(missing_ok=True)
