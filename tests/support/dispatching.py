"""A control plane that has its jobs done by real workers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from support import serving
from support.in_flash.child import AS_WORKER

from flash_otel.demo.releases import RUNPOD_2
from flash_otel.demo.scenarios import FaultPlan, Rule

if TYPE_CHECKING:
    from support.site import Child, Site

    from flash_otel.demo.state import ControlPlaneState, Json

CALLED_RESOURCE: Final = "gpu_info"
_OPERATIONS: Final = ("runsync", "sentinel runsync")


@dataclass
class Dispatcher:
    """Starts a worker of the queue-based endpoint for each job, and answers with its result.

    Attributes:
        site: The site of the worker: another folder than that of the caller.
        workers: The ended workers.
        jobs: The jobs.
    """

    site: Site
    workers: list[Child] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def plan(self) -> FaultPlan:
        """The rules by which the control plane dispatches."""
        return FaultPlan(tuple(Rule(name, answer=self._answer) for name in _OPERATIONS))

    def _answer(self, _state: ControlPlaneState, variables: Json, done: Json) -> Json:
        job = {"id": done["id"], "input": variables["body"]["input"]}
        successor = self.site.environment.generation is RUNPOD_2
        code = serving.SUCCESSOR_QUEUE if successor else serving.QUEUE
        given = {"JOBS": json.dumps({CALLED_RESOURCE: [job]}), AS_WORKER: "1"}
        worker = self.site.worker(code, given, CALLED_RESOURCE)
        self.jobs.append(job)
        self.workers.append(worker)
        assert worker.exit_code == 0, worker.output
        (result,) = worker.seen["results"][CALLED_RESOURCE]
        status = "FAILED" if "error" in result else "COMPLETED"
        return {**{key: done[key] for key in done if key != "output"}, "status": status, **result}
