"""What a run of a scenario leaves behind: logs, a store, and facts for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.demo.journal import Journal


@dataclass
class ScenarioResult:
    """What a run left behind. The facts are for tests; a diagnosis sees the logs and the store.

    Attributes:
        scenario: Name of the scenario.
        version: Version of runpod-flash.
        workdir: Folder that holds everything of the run.
        store: The deployments' store (a worker has none).
        journal: What the control plane was asked.
        deploy_logs: Standard output and error of each `flash deploy`.
        deploy_exits: Exit codes of the deployments.
        worker_exit: Exit code of the worker: 0 if its remote call was answered.
        environment_id: Id of the environment of the last deployment.
        build_id: Id of the build of the last deployment.
        active_build_id: Id of the build that is active in that environment at the end.
        worker_environment_id: The worker's FLASH_ENVIRONMENT_ID.
        trace_id: Trace of the last deployment, as its artifact's manifest tells; None untraced.
    """

    scenario: str
    version: str
    workdir: Path
    store: Path
    journal: Journal
    deploy_logs: list[Path] = field(default_factory=list)
    deploy_exits: list[int] = field(default_factory=list)
    worker_exit: int | None = None
    environment_id: str = ""
    build_id: str = ""
    active_build_id: str | None = None
    worker_environment_id: str | None = None
    trace_id: str | None = None

    @property
    def deploy_log(self) -> Path:
        """The log of the last deployment."""
        return self.deploy_logs[-1]

    @property
    def worker_log(self) -> Path:
        """Standard output and error of the worker: the container's log."""
        return self.workdir / "worker.log"
