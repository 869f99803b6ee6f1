"""Prepare what the tests share, before they run: an environment for each version of Flash.

`make test` runs it first. Each step happens once and is kept in the cache (see `support/flash.py`);
a prepared cache takes a second. Without it the tests would prepare the same things themselves, but
in silence, inside whichever test comes first and against that test's timeout.

    python tests/prepare.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from support.bounds import LOWEST, find_bound
from support.distro import find_distro, find_instrumentations
from support.flash import CACHE, ROOT
from support.neighbours import find_neighbours
from support.versions import ALL_VERSIONS

from flash_otel.demo.environment import EnvironmentSetupError, find_environment
from flash_otel.demo.releases import generation_of

_KNOWN_FAILURES: Final = (EnvironmentSetupError, OSError, subprocess.SubprocessError)

Report = Callable[[str], None]
Step = Callable[[Report], str]


def steps() -> dict[str, Step]:
    """Return all steps by name; each takes where to report to, and returns how it ended."""
    found: dict[str, Step] = {
        f"{generation_of(version).package} {version}": _flash(version) for version in ALL_VERSIONS
    }
    servers: dict[str, Step] = {
        "Collector and Jaeger": _servers("collector", "otelcol", "jaeger"),
        "OpenSearch and Kafka": _servers("engines", "opensearch", "kafka"),
    }
    others = {"packages of OpenTelemetry": _distro, "logfire, ddtrace and Sentry": _neighbours}
    others["the lowest versions of the dependencies"] = _lowest
    return {**found, **others, **servers}


def _flash(version: str) -> Step:
    def prepare(report: Report) -> str:
        find_environment(
            version,
            cache=CACHE,
            on_progress=lambda sentence, detail="": report(f"{sentence} {detail}".rstrip()),
        )
        return "ready"

    return prepare


def _distro(_report: Report) -> str:
    find_distro()
    find_instrumentations()
    return "ready"


def _lowest(_report: Report) -> str:
    find_bound(LOWEST)
    return "ready"


def _neighbours(_report: Report) -> str:
    find_neighbours()
    return "ready"


def _servers(target: str, *names: str) -> Step:
    command = [sys.executable, str(ROOT / "collector/tools/build.py"), "--check", *names]

    def prepare(_report: Report) -> str:
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return "ready"
        return f"not built: their tests are skipped (make {target} builds them)"

    return prepare


def run(console: Console) -> bool:
    """Run every step and show its progress; return False if one failed."""
    started, all_steps = time.monotonic(), steps()
    console.print(f"Preparing what the tests share, in {CACHE}.", style="bold", highlight=False)
    for number, (name, step) in enumerate(all_steps.items(), start=1):
        title = f"[{number}/{len(all_steps)}] {name}"
        try:
            _run_step(console, title, step)
        except _KNOWN_FAILURES as error:
            console.print(f"{title}: failed\n{error}", markup=False, highlight=False)
            return False
    console.print(f"Prepared in {_seconds_since(started)}.", highlight=False)
    return True


def _run_step(console: Console, title: str, step: Step) -> None:
    begun = time.monotonic()
    if console.is_terminal:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(title, total=None)
            ended = step(lambda text: progress.update(task, description=f"{title}: {text}"))
    else:
        ended = step(lambda text: _line(console, f"{title}: {text}"))
    _line(console, f"{title}: {ended} ({_seconds_since(begun)})")


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _seconds_since(moment: float) -> str:
    return f"{time.monotonic() - moment:.1f} s"


if __name__ == "__main__":
    sys.exit(0 if run(Console()) else 1)
