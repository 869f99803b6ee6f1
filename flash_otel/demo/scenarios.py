"""The guide's scenarios as a table: what is deployed, what is injected, when the worker reads.

The names stay on this side: paths, ids and logs of a run say nothing of its scenario.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.demo.faults import FAULTS, MANIFEST_WRITE_GATE, Rule
from flash_otel.demo.project import ALONE, WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flash_otel.demo.state import State

DEFAULT_VERSION: Final = "1.14.0"
_VERSIONS: Final = ("1.14.0", "1.21.0")


@dataclass(frozen=True, slots=True)
class Deployment:
    """One `flash deploy`.

    Attributes:
        checkout: Which copy of the project it is run in; all have the app's name.
        environment: The `--env` option; None lets Flash choose.
        edition: Which state of the project's code is deployed (see `flash_otel.demo.project`).
        rules: Faults in force while it runs.
    """

    checkout: str = "main"
    environment: str | None = None
    edition: str = WHOLE
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker of the last deployment's load-balanced endpoint.

    Attributes:
        mode: How it calls (see `flash_otel.demo.worker`).
        rules: Faults in force while it reads, if it starts after the deployment.
        gate: The gate at which the deployment is held while the worker runs; None to start the
            worker after the deployment.
        variables: Given the state, the variables that differ from what Flash has set; None
            takes one away.
    """

    mode: str = "wrapper"
    rules: tuple[Rule, ...] = ()
    gate: str | None = None
    variables: Callable[[State], Mapping[str, str | None]] = lambda _: {}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run of real deployments and a real worker against the stand-in.

    Attributes:
        name: Argument of `flash-otel demo`.
        title: What the run shows, in one sentence.
        injected: What the stand-in is made to do.
        fault: The code that a diagnosis should find.
        answered: Whether the worker's remote call is answered in the end.
        deployments: In order; the last one is the one that is looked at.
        worker: The worker that reads.
        environments: Environments that the app has beforehand; without any, the first
            deployment creates the app and one environment.
        versions: Versions of Flash in which the scenario can happen.
    """

    name: str
    title: str
    injected: str
    fault: str
    answered: bool = False
    deployments: tuple[Deployment, ...] = (Deployment(),)
    worker: Worker = Worker()
    environments: tuple[str, ...] = ()
    versions: tuple[str, ...] = _VERSIONS


def _asks_for(environment: str) -> Callable[[State], Mapping[str, str | None]]:
    def variables(state: State) -> Mapping[str, str | None]:
        found = next(one for one in state.environments.values() if one.name == environment)
        return {"FLASH_ENVIRONMENT_ID": found.id}

    return variables


_TABLE: Final = (
    Scenario(
        "healthy",
        "A deployment and a worker's read that agree.",
        "Nothing.",
        semconv.NONE,
        answered=True,
    ),
    Scenario(
        "environment_mismatch",
        "The worker asks for another environment than the one deployed to.",
        "The worker's FLASH_ENVIRONMENT_ID is that of staging, which has an older state of the "
        "project without the GPU endpoint.",
        semconv.ENVIRONMENT_MISMATCH,
        deployments=(
            Deployment("staging", environment="staging", edition=ALONE),
            Deployment(environment="production"),
        ),
        worker=Worker(variables=_asks_for("staging")),
        environments=("production", "staging"),
    ),
    Scenario(
        "stale_build",
        "The environment's active build is still the one before the last deployment.",
        "The second activation answers as if it had taken effect, but the first build stays "
        "active.",
        semconv.STALE_BUILD,
        deployments=(
            Deployment(edition=ALONE),
            Deployment(rules=FAULTS["activation ignored, echoed"]),
        ),
    ),
    Scenario(
        "manifest_not_persisted",
        "The manifest upload is acknowledged, but its endpoints are not stored.",
        "The upload's answer echoes the request, while nothing of it is stored.",
        semconv.MANIFEST_NOT_PERSISTED,
        deployments=(Deployment(rules=FAULTS["write ignored, echoed"]),),
    ),
    Scenario(
        "read_before_write",
        "A worker reads after the activation and before the manifest is written.",
        "The manifest upload is held back until the worker has read.",
        semconv.READ_BEFORE_WRITE,
        deployments=(Deployment(rules=FAULTS["write held back"]),),
        worker=Worker(gate=MANIFEST_WRITE_GATE),
    ),
)

SCENARIOS: Final[dict[str, Scenario]] = {scenario.name: scenario for scenario in _TABLE}
