"""The artifacts of a run: logs, a store and facts, with readers for the logs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flash_otel.lines.table import MARKS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flash_otel.demo.state import Journal
    from flash_otel.records import SpanRecord

_TAGS: Final = tuple(f"[{mark}]" for mark in MARKS)


@dataclass
class DeployOutcome:
    """One `flash deploy`: where it deployed to, how it was to end, and how it ended.

    Attributes:
        app: Name of the app.
        environment: Name of the environment; None if Flash chose it.
        fails: Whether the command was to exit with an error.
        log: Its standard output and error.
        exit_code: Its exit code; None while it runs.
    """

    app: str
    environment: str | None
    fails: bool
    log: Path
    exit_code: int | None = None


@dataclass
class RunArtifacts:
    """What a run leaves behind. A diagnosis may see the store and the logs; the rest is for tests.

    Attributes:
        scenario: Name of the scenario.
        version: Version of runpod-flash.
        workdir: Folder that holds everything.
        store: The deployments' store (workers have none).
        journal: The requests to the control plane.
        deploys: The deployments, in the order of their start.
        worker_logs: Standard output and error of each worker: its container log.
        worker_exits: Exit codes of the workers: 0 if all remote calls were answered.
        environment_id: Id of the last deployment's environment.
        build_id: Id of the last build.
        active_build_id: Id of the active build of that environment at the end.
        worker_environment_id: FLASH_ENVIRONMENT_ID of the last worker.
        trace_id: Trace of the deployment whose build the last worker runs, from the manifest in
            the build's artifact; None if it was not traced.
    """

    scenario: str
    version: str
    workdir: Path
    store: Path
    journal: Journal
    deploys: list[DeployOutcome] = field(default_factory=list)
    worker_logs: list[Path] = field(default_factory=list)
    worker_exits: list[int] = field(default_factory=list)
    environment_id: str = ""
    build_id: str = ""
    active_build_id: str | None = None
    worker_environment_id: str | None = None
    trace_id: str | None = None

    @property
    def deploy_logs(self) -> list[Path]:
        """Standard output and error of each deployment."""
        return [deploy.log for deploy in self.deploys]

    @property
    def deploy_exits(self) -> list[int | None]:
        """Exit codes of the deployments."""
        return [deploy.exit_code for deploy in self.deploys]

    @property
    def unexpected_exits(self) -> list[DeployOutcome]:
        """Deployments that failed or succeeded contrary to the scenario."""
        return [deploy for deploy in self.deploys if bool(deploy.exit_code) != deploy.fails]

    @property
    def deploy_log(self) -> Path:
        """The log of the last deployment."""
        return self.deploys[-1].log

    @property
    def worker_log(self) -> Path:
        """The log of the last worker."""
        return self.worker_logs[-1]

    @property
    def worker_exit(self) -> int | None:
        """Exit code of the last worker; None without a worker."""
        return self.worker_exits[-1] if self.worker_exits else None


def bracketed_lines(log: Path) -> list[str]:
    """Return a log's bracketed lines, each followed by the lines of its JSON mapping."""
    found: list[str] = []
    in_mapping = False
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(_TAGS):
            found.append(line)
            in_mapping = line.endswith("{")
        elif in_mapping:
            found.append(line)
            in_mapping = line != "}"
    return found


def worker_spans(log: Path) -> Iterator[SpanRecord]:
    """Yield the spans that a worker wrote to its log as OTLP JSON lines.

    Other lines are skipped, and so are truncated ones: a container log may end anywhere.
    """
    from flash_otel.otlp.decode import decode_log_line

    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            yield from decode_log_line(line)


def join_worker_logs(artifacts: RunArtifacts) -> None:
    """Write the workers' spans into the deployments' store."""
    from flash_otel.store.store import SpanStore

    with SpanStore(artifacts.store) as store:
        for log in artifacts.worker_logs:
            store.write(list(worker_spans(log)))
