"""A deployment with flash_otel against one without: what Flash does must be the same.

    PYTHONPATH=tests python -m e2e.likeness [VERSION ...]     (`make likeness` compares all)

Each version deploys the demo's project twice, bare and through the launcher, against control planes
that do the same harm to both. The suite compares a choice.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from e2e.versions import commands
from support.comparing import asked, left, shown
from support.disks import full_disk
from support.faults import FAULTS, FINALIZE, UPLOAD, for_resource
from support.flash import CACHE, FlashRun, run_flash
from support.site import APP

from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.environment import find_environment
from flash_otel.demo.project import write_project
from flash_otel.demo.scenarios import ACTIVATE, WRITE, FaultPlan, Rule
from flash_otel.flash_versions import release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from flash_otel.demo.environment import PythonEnvironment

VERSIONS: Final = (
    *("1.0.0", "1.1.1", "1.3.0", "1.4.2", "1.10.2", "1.14.0", "1.15.0", "1.21.0", "2.0.0rc2"),
)
QUIET: Final = {"FLASH_OTEL_LEGACY_LOGS": "false", "FLASH_OTEL_SUMMARY": "0"}
"""Leaves out what flash_otel prints."""

_WRITES: Final = (
    *("createFlashApp", "createFlashEnvironment", "PrepareArtifactUpload", UPLOAD, FINALIZE),
    *(ACTIVATE, WRITE),
)
_ASKED_FIRST: Final = ("getFlashAppByName", "createFlashApp")
_AT_ONCE: Final = 3
# How long a request stays unanswered: it has to outlast the signal, not more.
_HANG_S: Final = 1.0


# Before, a resource's list of GPUs, and with it the hash in its name, has the order of a set.
_UNHASHED_FROM: Final = (1, 14)


@dataclass(frozen=True)
class Harm:
    """What happens to a deployment.

    Attributes:
        rules: What the control plane does.
        stops: The signal that the process receives while it waits for an answer to `at`.
        at: That request.
        fills_disk: Whether the disk of the project is full.
    """

    rules: tuple[Rule, ...] = ()
    stops: signal.Signals | None = None
    at: str = ""
    fills_disk: bool = False

    def started(self) -> tuple[tuple[Rule, ...], Callable[[int], None]]:
        """Return the rules of a run, and what has to be called with its process's id."""
        if self.stops is None:
            return self.rules, lambda _pid: None
        pids: list[int] = []
        is_known, number = threading.Event(), self.stops

        def stop(_: object) -> bool:
            is_known.wait()
            os.kill(pids[0], number)
            return True

        def begin(pid: int) -> None:
            pids.append(pid)
            is_known.set()

        return (Rule(self.at, when=stop, delay=_HANG_S, times=1),), begin


HARMS: Final[dict[str, Harm]] = {
    "none": Harm(),
    "endpoint refused": Harm(FAULTS["one endpoint refused"]),
    "unauthorized": Harm(FAULTS["everything unauthorized"]),
    "throttled": Harm(tuple(Rule(operation, status=429) for operation in _ASKED_FIRST)),
    **{f"{name} fails": Harm((Rule(name, status=500),)) for name in _WRITES},
    "an endpoint fails": Harm((Rule("saveEndpoint", when=for_resource("gpu_info"), status=500),)),
    **{
        f"{name} loses its answer": Harm((Rule(name, lose_answer=True),))
        for name in (FINALIZE, ACTIVATE, WRITE)
    },
    "upload reset": Harm(FAULTS["upload reset"]),
    **{f"{name} hangs": Harm((Rule(name, delay=_HANG_S),)) for name in (UPLOAD, WRITE)},
    **{
        f"{number.name} during {at}": Harm(stops=number, at=at)
        for number in (signal.SIGINT, signal.SIGTERM)
        for at in (UPLOAD, WRITE)
    },
    "full disk": Harm(fills_disk=True),
}


@dataclass(frozen=True)
class Pair:
    """Runs a deployment untraced and traced, each against a control plane of its own.

    Attributes:
        environment: The Python that has Flash.
        folder: Holds everything that is written.
        harm: What happens to both.
    """

    environment: PythonEnvironment
    folder: Path
    harm: Harm = HARMS["none"]

    def untraced(self, **options: Any) -> FlashRun:
        """Run Flash's own console script."""
        return self.run("a", [str(self.environment.flash)], **options)

    def launched(self, *arguments: str, **options: Any) -> FlashRun:
        """Run the same through `flash-otel run`."""
        command = [str(self.environment.python), "-m", "flash_otel", "run", *arguments, "--"]
        return self.run("b", [*command, self.environment.generation.script], **options)

    @property
    def store(self) -> Path:
        """Where the traced run's spans went."""
        return self.folder / "b" / "home" / "spans.db"

    def homes(self) -> tuple[set[str], set[str]]:
        """Return the files that the runs left in their homes, but for the store."""
        listed = []
        for name in ("a", "b"):
            home = self.folder / name / "home"
            files = {path.relative_to(home).as_posix() for path in home.rglob("*")}
            listed.append({file for file in files if not file.startswith("spans.db")})
        return listed[0], listed[1]

    def run(self, name: str, launcher: Sequence[str], **options: Any) -> FlashRun:
        """Run all commands of a deployment; return the last run, with what all of them did.

        Args:
            name: The folder of the run.
            launcher: What stands before the arguments of a command.
            options: Further options of `run_flash`.
        """
        (self.folder / name).mkdir()
        project = write_project(self.folder / name / APP, self.environment.version)
        disk = full_disk(project, self.folder / name / "saved") if self.harm.fills_disk else ()
        runs = []
        with ControlPlane(seed=5) as plane:
            for arguments in commands(self.environment.version):
                rules, begin = self.harm.started()
                plane.faults = FaultPlan(rules)
                run = run_flash(
                    self.environment,
                    plane,
                    project,
                    *arguments,
                    launcher=[*disk, *launcher],
                    on_start=begin,
                    **options,
                )
                runs.append(run)
        return replace(
            runs[-1],
            exit_code=next((run.exit_code for run in runs if run.exit_code), 0),
            stdout="".join(run.stdout for run in runs),
            stderr="".join(run.stderr for run in runs),
            requests=[request for run in runs for request in run.requests],
        )


def differences(
    pair: Pair, untraced: FlashRun, traced: FlashRun
) -> Iterator[tuple[str, object, object]]:
    """Yield what differs between the runs of a pair, each with both values.

    Lines have no order here: endpoints are provisioned at the same time.
    """

    def lines(run: FlashRun, text: str) -> list[str]:
        return sorted(shown(run, text).splitlines())

    aspects: Mapping[str, tuple[object, object]] = {
        "exit code": (untraced.exit_code, traced.exit_code),
        "standard output": (lines(untraced, untraced.stdout), lines(traced, traced.stdout)),
        "standard error": (lines(untraced, untraced.stderr), lines(traced, traced.stderr)),
        "requests": (asked(untraced), asked(traced)),
        "files": (left(untraced), left(traced)),
        "files in the home": pair.homes(),
    }
    yield from ((name, *values) for name, values in aspects.items() if values[0] != values[1])


def compared(
    environment: PythonEnvironment, harm: str, folder: Path, variables: Mapping[str, str] = QUIET
) -> tuple[Pair, FlashRun, list[tuple[str, object, object]]]:
    """Deploy without and with flash_otel; return the pair, its first run, and all that differs."""
    pair = Pair(environment, folder, HARMS[harm])
    # At the same time, because Flash mostly waits.
    with ThreadPoolExecutor() as pool:
        begun = pool.submit(pair.untraced, variables=variables)
        traced = pair.launched("--quiet", variables=variables)
        untraced = begun.result()
    return pair, untraced, list(differences(pair, untraced, traced))


def _row(row: tuple[str, str]) -> tuple[str, list[str]]:
    version, harm = row
    seed = {"PYTHONHASHSEED": "0"} if release(version) < _UNHASHED_FROM else {}
    with tempfile.TemporaryDirectory() as folder:
        environment = find_environment(version, cache=CACHE)
        _, run, found = compared(environment, harm, Path(folder), QUIET | seed)
    lines = [f"{name}\n    without: {a!r}\n    with:    {b!r}" for name, a, b in found]
    return f"{version}, {harm}: exit code {run.exit_code}", lines


def main() -> int:
    """Compare each version under each harm, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", nargs="*", default=VERSIONS, metavar="VERSION")
    options = parser.parse_args()
    rows = [(version, harm) for version in options.versions for harm in HARMS]
    different = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for title, found in pool.map(_row, rows):
            different += bool(found)
            print(title, *found, sep="\n  ", flush=True)
    print(f"{len(rows)} pairs, {different} differ.")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
