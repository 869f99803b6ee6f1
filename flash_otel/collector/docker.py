"""Docker Compose, where there is an engine: which command, and what it is told."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from flash_otel.collector.errors import CollectorError
from flash_otel.collector.files import bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT: Final = "flash-otel"

_ASK_SECONDS: Final = 20.0
_COMPOSES: Final = (("docker", "compose"), ("docker-compose",))


def compose_command() -> tuple[str, ...] | None:
    """Return the command of Docker Compose, if there is one and an engine answers."""
    if not _succeeds(("docker", "info")):
        return None
    return next((one for one in _COMPOSES if _succeeds((*one, "version"))), None)


def run(command: Sequence[str], files: Sequence[str], *arguments: str) -> None:
    """Run Docker Compose on the bundled files; its output is the user's to see.

    Raises:
        CollectorError: It failed.
    """
    named = [part for file in files for part in ("-f", str(bundle() / file))]
    whole = [*command, "-p", PROJECT, *named, *arguments]
    status = subprocess.run(whole, cwd=bundle(), check=False).returncode
    if status:
        raise CollectorError(
            f"{' '.join(command)} ended with exit status {status}.", f"It was: {' '.join(whole)}"
        )


def _succeeds(command: Sequence[str]) -> bool:
    if not shutil.which(command[0]):
        return False
    try:
        ran = subprocess.run(command, capture_output=True, check=False, timeout=_ASK_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ran.returncode == 0
