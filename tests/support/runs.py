"""Runs of scenarios with the real Flash, each made once for all processes of a test run."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from flash_otel.demo import runner

if TYPE_CHECKING:
    from pathlib import Path

    from support.shared import Shared
    from support.warm import WarmEnvironments

    from flash_otel.demo.runner import RunArtifacts
    from flash_otel.demo.scenarios import Scenario


@dataclass(frozen=True)
class ScenarioRuns:
    """Runs a scenario at its first use; later uses, in any process, get the same artifacts.

    The artifacts are for reading. A test that writes into a run's folder must make its own run.

    Attributes:
        shared: The test run.
        warm: The environments that the scenarios' processes run in.
    """

    shared: Shared
    warm: WarmEnvironments

    def __call__(
        self,
        scenario: Scenario,
        version: str | None = None,
        *,
        traced: bool = True,
        worker_mode: str | None = None,
    ) -> RunArtifacts:
        """Return the artifacts of a run of this kind."""
        version = version or scenario.version
        key = repr((scenario.name, version, traced, worker_mode))

        def make(workdir: Path) -> RunArtifacts:
            return self.run(
                scenario, workdir=workdir, version=version, traced=traced, worker_mode=worker_mode
            )

        # A digest, because paths appear in logs, which must not name the scenario.
        return self.shared.once(f"run-{sha256(key.encode()).hexdigest()[:12]}", make)

    def run(self, scenario: Scenario, **options: Any) -> RunArtifacts:
        """Run a scenario for one test alone, with options of `run_scenario`."""
        with patch.object(runner, "find_environment", lambda name, **_: self.warm(name)):
            return runner.run_scenario(scenario, **options)
