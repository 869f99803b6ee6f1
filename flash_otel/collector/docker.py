"""Docker Compose: which command runs it, and runs of it on the bundled files."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from flash_otel.collector.files import bundle
from flash_otel.collector.programs import CollectorError

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT: Final = "flash-otel"

_PROBE_TIMEOUT_S: Final = 20.0
# The plugin, and the stand-alone program of older installations.
_COMMANDS: Final = (("docker", "compose"), ("docker-compose",))


def compose_command() -> tuple[str, ...] | None:
    """Return the command of Docker Compose; None if it is missing or no engine answers."""
    if not _succeeds(("docker", "info")):
        return None
    return next((command for command in _COMMANDS if _succeeds((*command, "version"))), None)


def run(command: Sequence[str], files: Sequence[str], *arguments: str) -> None:
    """Run Docker Compose on the bundled files; its output goes to this process's own streams.

    Raises:
        CollectorError: It failed.
    """
    file_options = [part for file in files for part in ("-f", str(bundle() / file))]
    line = [*command, "-p", PROJECT, *file_options, *arguments]
    # Uncaptured: pulling images takes minutes, and the user should see its progress.
    status = subprocess.run(line, cwd=bundle(), check=False).returncode
    if status:
        raise CollectorError(
            f"{' '.join(command)} exited with status {status}.", f"The command: {' '.join(line)}"
        )


def _succeeds(command: Sequence[str]) -> bool:
    if not shutil.which(command[0]):
        return False
    try:
        probe = subprocess.run(command, capture_output=True, check=False, timeout=_PROBE_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0
