"""Real deployments, forked from one process and killed at chosen points."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from support.faults import FINALIZE, UPLOAD
from support.site import IN_FLASH

from flash_otel.demo.project import write_project
from flash_otel.demo.scenarios import ACTIVATE, WRITE, FaultPlan, Rule
from flash_otel.export.delivery import StoreSpanSource
from flash_otel.export.destination import known
from flash_otel.export.forwarder import transport_to
from flash_otel.export.sending import send_all
from flash_otel.store.cursors import delivery_statuses
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from support.site import Site

    from flash_otel.demo.state import ControlPlaneState, Json

REQUESTS: Final = (
    "createFlashEnvironment",
    "PrepareArtifactUpload",
    UPLOAD,
    FINALIZE,
    ACTIVATE,
    "getFlashBuild",
    "saveEndpoint",
    WRITE,
)
# Before a request takes effect and after it, each with its answer never coming; and within the
# store's own work, at SQLite's nth statement of a kind.
POINTS: Final = (
    *((request, moment) for request in REQUESTS for moment in ("before", "after")),
    ("BEGIN 4", "store"),
    ("INSERT 8", "store"),
    ("INSERT 10", "store"),
    ("COMMIT 4", "store"),
)
LIMIT_S: Final = 60
# Durations, moments, sizes, and the ids of endpoints.
_CHANCE: Final = re.compile(
    r"\d+\.\d+ ?s\b|\d{4}-\d\d-\d\d[T ][\d:.,]+|[\d.]+ [kKM]?B\b|\b[a-z0-9]{14}\b"
)


@dataclass
class Deployments:
    """A process that forks deployments, each of an application and with a store of its own."""

    site: Site
    process: subprocess.Popen[str]
    number: int = 0

    def run(
        self, *, traced: bool, variables: dict[str, str], statement: str | None = None
    ) -> Iterator[Any]:
        """Yield the folder, the process id and at last the wait status of a deployment."""
        self.number += 1
        folder = self.site.folder / f"run{self.number}"
        project = write_project(folder / f"app{self.number}", self.site.environment.version)
        store = {"FLASH_OTEL_STORE": str(folder / "state" / "spans.db"), "HOME": str(folder)}
        job = {
            "folder": str(folder),
            "project": str(project),
            "variables": {**store, **variables},
            "traced": traced,
            "statement": statement,
        }
        yield folder
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(job)}\n")
        self.process.stdin.flush()
        yield int(self.process.stdout.readline())
        yield int(self.process.stdout.readline())


@contextmanager
def forking(site: Site) -> Iterator[Deployments]:
    """Run the process that deployments are forked off."""
    with subprocess.Popen(
        [str(site.environment.python), str(IN_FLASH / "deploying.py")],
        cwd=site.folder,
        env=site.variables(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Deployments(site, process)
        finally:
            process.kill()


def keys(file: Path) -> set[tuple[str, ...]]:
    """Read the keys of spans that a deployment has written down."""
    return (
        {tuple(line.split()) for line in file.read_text().splitlines()} if file.exists() else set()
    )


def in_store(folder: Path, *, finished: bool = True) -> set[tuple[str, ...]]:
    """Return the keys of the spans in a deployment's store."""
    store = folder / "state" / "spans.db"
    if not store.exists():
        return set()
    with SpanStore(store) as opened:
        found = [span for span in opened.spans() if span.end_ns is not None or not finished]
        assert len(found) == len({span.key for span in found})
        return {span.key for span in found}


def wait_until_stored(folder: Path) -> None:
    """Wait until what has ended is in the store: no exit, no flush, only its writer brings it."""
    end = time.monotonic() + LIMIT_S
    while not keys(folder / "ended") <= in_store(folder):
        assert time.monotonic() < end, "what has ended is not stored"
        time.sleep(0.02)


def rule(operation: str, moment: str, kill: Callable[[], None]) -> Rule:
    """Kill when a request comes, and refuse it; or when it has taken effect."""

    def when(_: Json) -> bool:
        kill()
        return True

    def answer(_: ControlPlaneState, __: Json, data: Json) -> Json:
        kill()
        return data

    if moment == "before":
        return Rule(operation, when=when, status=500)
    return Rule(operation, answer=answer)


def finished(
    runs: Deployments,
    variables: dict[str, str],
    *,
    traced: bool,
    around: Callable[[Path], AbstractContextManager[object]],
) -> tuple[Path, tuple[int, str], str]:
    """Deploy to the end, within a context that is made of the store's path.

    Returns:
        The folder; the exit status and what was printed to standard output; standard error.
    """
    run = runs.run(traced=traced, variables=variables)
    folder: Path = next(run)
    runs.site.plane.faults = FaultPlan()
    (folder / "state").mkdir()
    with around(folder / "state" / "spans.db"):
        next(run)
        status = os.waitstatus_to_exitcode(next(run))
    stdout, stderr = printed(folder)
    return folder, (status, stdout), stderr


def printed(folder: Path) -> tuple[str, str]:
    """Return what a deployment printed to each stream, without what differs by chance."""
    replaced = {str(folder): "FOLDER", folder.name.replace("run", "app"): "APP"}
    texts = []
    for name in ("stdout", "stderr"):
        text = (folder / name).read_text()
        for value, stand_in in replaced.items():
            text = text.replace(value, stand_in)
        texts.append(_CHANCE.sub("CHANCE", text))
    return texts[0], texts[1]


def killed(
    runs: Deployments,
    point: tuple[str, str],
    variables: dict[str, str],
    *,
    traced: bool,
    settle: Callable[[Path], object] = wait_until_stored,
) -> tuple[Path, list[str], tuple[str, str]]:
    """Deploy and kill at a point.

    Args:
        runs: What forks the deployment.
        point: One of `POINTS`.
        variables: More of its environment.
        traced: Whether flash_otel is active in it.
        settle: Called with its folder before it is killed at a request.

    Returns:
        The folder; what was asked for; what was printed.
    """
    what, moment = point
    alive: list[int] = []
    plane = runs.site.plane
    before = len(plane.journal.entries)
    statement = what if moment == "store" else None
    run = runs.run(traced=traced, variables=variables, statement=statement)
    folder: Path = next(run)

    def kill() -> None:
        while not alive:
            time.sleep(0.001)
        if traced:
            settle(folder)
        os.kill(alive[0], signal.SIGKILL)

    rules = () if statement else (rule(what, moment, kill),)
    plane.faults = FaultPlan(rules)
    alive.append(next(run))
    status = next(run)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, printed(folder)
    asked = [entry.operation for entry in plane.journal.entries[before:]]
    if what in asked:
        # What was asked for at the same time may have come, or not.
        asked = asked[: asked.index(what) + 1]
    return folder, asked, printed(folder)


def push(store: Path) -> None:
    """Send what waits in a store, as the next run does."""
    with SpanStore(store) as opened:
        names = [status.name for status in delivery_statuses(opened.connection)]
    for name in names:
        transport = transport_to(known(name))
        try:
            assert send_all(StoreSpanSource(store, name), transport).trouble is None
        finally:
            transport.close()
