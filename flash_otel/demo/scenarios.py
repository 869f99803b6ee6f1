"""Scenarios as data: deployments, workers and injected faults; and the table of the guide's.

Paths, ids and logs of a run never contain the name of its scenario or of a fault. Only the control
plane knows them, so a diagnosis cannot guess them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.demo.project import ALONE, WHOLE, Edition

if TYPE_CHECKING:
    from flash_otel.demo.state import ControlPlaneState, Json


WRITE: Final = "updateFlashBuildManifest"
ACTIVATE: Final = "deployBuildToEnvironment"

MANIFEST_WRITE_GATE: Final = "manifest write"


def _always(_: Json) -> bool:
    return True


@dataclass(frozen=True)
class Rule:
    """A fault in the requests of one operation.

    Attributes:
        on: Name of the operation, as in the journal.
        when: Further condition on the request's variables.
        skip: Number of matching requests to leave alone first.
        times: Number of requests to affect after them; None for all.
        gate: Name of the gate at which the request waits before it takes effect.
        delay: Seconds to wait before the request takes effect.
        status: HTTP status to answer; the request takes no effect.
        error: GraphQL error to answer; the request takes no effect.
        request: Returns the variables that take effect, given state and sent variables.
        answer: Returns the data to answer, given state, sent variables and real data.
        lose_answer: Close the connection after the request has taken effect.
    """

    on: str
    when: Callable[[Json], bool] = _always
    skip: int = 0
    times: int | None = None
    gate: str | None = None
    delay: float = 0.0
    status: int | None = None
    error: str | None = None
    request: Callable[[ControlPlaneState, Json], Json] | None = None
    answer: Callable[[ControlPlaneState, Json, Json], Json] | None = None
    lose_answer: bool = False


@dataclass
class FaultPlan:
    """The rules in force, with the number of matches of each."""

    rules: tuple[Rule, ...] = ()
    _matched: Counter[int] = field(default_factory=Counter)

    def take(self, operation: str, variables: Json) -> list[Rule]:
        """Count a request and return the rules that affect it, in the order of the plan."""
        return [
            rule
            for position, rule in enumerate(self.rules)
            if rule.on == operation and rule.when(variables) and self._due(position, rule)
        ]

    def _due(self, position: int, rule: Rule) -> bool:
        self._matched[position] += 1
        number = self._matched[position] - rule.skip
        return number > 0 and (rule.times is None or number <= rule.times)


def activation_ignored(*, echo: bool) -> Rule:
    """Keep the active build; with `echo` the answer names the requested artifact."""

    def request(state: ControlPlaneState, variables: Json) -> Json:
        given = variables["input"]
        environment = state.environments[given["flashEnvironmentId"]]
        build = environment.active_build_id or given["flashBuildId"]
        return {**variables, "input": {**given, "flashBuildId": build}}

    def answer(state: ControlPlaneState, variables: Json, data: Json) -> Json:
        asked = state.builds[variables["input"]["flashBuildId"]]
        result = data["deployBuildToEnvironment"]
        artifact = {**result["activeArtifact"], "objectKey": asked.object_key}
        return {"deployBuildToEnvironment": {**result, "activeArtifact": artifact}}

    return Rule(ACTIVATE, request=request, answer=answer if echo else None)


def _as_stored(state: ControlPlaneState, variables: Json) -> Json:
    """Write the manifest that is already stored: that of the finalize call."""
    given = variables["input"]
    stored = state.builds[given["flashBuildId"]].manifest
    return {**variables, "input": {**given, "manifest": stored}}


def echo_write(_: ControlPlaneState, variables: Json, __: Json) -> Json:
    """Answer a manifest write with the manifest of the request, whatever is stored."""
    given = variables["input"]
    return {WRITE: {"id": given["flashBuildId"], "manifest": given["manifest"]}}


def _is_gpu_info(variables: Json) -> bool:
    return bool(variables["input"]["name"] == "gpu_info")


ACTIVATION_IGNORED: Final = (activation_ignored(echo=True),)
WRITE_IGNORED: Final = (Rule(WRITE, request=_as_stored, answer=echo_write),)
WRITE_HELD_BACK: Final = (Rule(WRITE, gate=MANIFEST_WRITE_GATE),)


DEFAULT_SCENARIO: Final = "healthy"
DEFAULT_VERSION: Final = "1.14.0"
"""The last version of Flash whose workers resolve every call through the State Manager."""

APP_NAME: Final = "gpu_app"

Variables = Callable[["ControlPlaneState"], Mapping[str, str | None]]
"""Returns the variables that a worker has beyond those that Flash set; None removes a variable."""


@dataclass(frozen=True, slots=True)
class WorkerStep:
    """Run a worker of the last deployment's load-balanced endpoint.

    Attributes:
        rules: Faults in force while it runs.
        variables: Changes to the environment variables that Flash set.
        mode: How it calls (see `flash_otel.demo.worker`).
        clock_s: Offset of its clock in seconds; positive is fast.
        build: Index of the build whose code it runs: -1 is the last, -2 the previous.
        meanwhile: Steps between its first call and a second call.
    """

    rules: tuple[Rule, ...] = ()
    variables: Variables = lambda _: {}
    mode: str = "wrapper"
    clock_s: int = 0
    build: int = -1
    meanwhile: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class DeployStep:
    """Run `flash deploy`.

    Attributes:
        environment: The `--env` option; None to let Flash choose.
        checkout: The copy of the project in which it runs.
        app: Name of the app, which Flash takes from the name of the project's folder.
        edition: The state of the project's code.
        rules: Faults in force while it runs.
        meanwhile: Steps while its manifest upload waits at a gate, which the rules must name.
        fails: Whether the command exits with an error.
        traced: Whether flash_otel is installed where it runs.
    """

    environment: str | None = None
    checkout: str = "main"
    app: str = APP_NAME
    edition: Edition = WHOLE
    rules: tuple[Rule, ...] = ()
    meanwhile: tuple[Step, ...] = ()
    fails: bool = False
    traced: bool = True


Step = DeployStep | WorkerStep


@dataclass(frozen=True, slots=True)
class Scenario:
    """Real deployments and real workers against the stand-in control plane.

    Attributes:
        name: A unique name; for the guide's scenarios, the argument of `flash-otel demo`.
        fault: The code that a diagnosis should find.
        steps: What happens, in order.
        environments: Environments that the app has beforehand; without any, the first
            deployment creates the app and an environment.
        version: Version of Flash.
        title: One sentence about what the run shows.
        injected: One sentence about what the stand-in does wrong.
        is_answered: Whether the last worker's remote call is answered.
    """

    name: str
    fault: str
    steps: tuple[Step, ...]
    environments: tuple[str, ...] = ()
    version: str = DEFAULT_VERSION
    title: str = ""
    injected: str = ""
    is_answered: bool = False


def id_of_environment(name: str, app: str = APP_NAME) -> Variables:
    """Give a worker the id of this environment in place of its own."""

    def variables(state: ControlPlaneState) -> Mapping[str, str | None]:
        owner = state.app_named(app)
        found = owner and state.environment_named(owner.id, name)
        if found is None:
            raise RuntimeError(f"App {app!r} has no environment {name!r}.")
        return {"FLASH_ENVIRONMENT_ID": found.id}

    return variables


_GUIDE: Final = (
    Scenario(
        "healthy",
        semconv.NONE,
        (DeployStep(), WorkerStep()),
        title="A deployment and a worker's read that agree.",
        injected="No fault. The worker reads what the deployment wrote.",
        is_answered=True,
    ),
    Scenario(
        "environment_mismatch",
        semconv.ENVIRONMENT_MISMATCH,
        (
            DeployStep("staging", "staging", edition=ALONE),
            DeployStep("production"),
            WorkerStep(variables=id_of_environment("staging")),
        ),
        environments=("production", "staging"),
        title="The worker asks for another environment than the one deployed to.",
        injected="The worker has the id of staging, whose older build lacks the GPU endpoint.",
    ),
    Scenario(
        "stale_build",
        semconv.STALE_BUILD,
        (
            DeployStep(edition=ALONE),
            DeployStep(rules=ACTIVATION_IGNORED),
            WorkerStep(),
        ),
        title="The environment's active build is still the one before the last deployment.",
        injected="The second activation is acknowledged, but the first build stays active.",
    ),
    Scenario(
        "manifest_not_persisted",
        semconv.MANIFEST_NOT_PERSISTED,
        (DeployStep(rules=WRITE_IGNORED), WorkerStep()),
        title="The manifest upload is acknowledged, but its endpoints are not stored.",
        injected="The manifest upload is acknowledged, but nothing of it is stored.",
    ),
    Scenario(
        "read_before_write",
        semconv.READ_BEFORE_WRITE,
        (DeployStep(rules=WRITE_HELD_BACK, meanwhile=(WorkerStep(),)),),
        title="A worker reads after the activation and before the manifest is written.",
        injected="The manifest upload is held back until the worker has read.",
    ),
)

SCENARIOS: Final[dict[str, Scenario]] = {scenario.name: scenario for scenario in _GUIDE}

SUCCESSOR_VERSION: Final = "2.0.0rc2"
"""The version of runpod 2 that the demo runs."""

# No manifest is written after the activation there, and workers read none.
_SUCCESSOR: Final = (
    Scenario(
        "healthy",
        semconv.NONE,
        (DeployStep(), WorkerStep()),
        version=SUCCESSOR_VERSION,
        title="A deployment, and a worker that calls the other endpoint.",
        injected="Nothing: the worker runs the deployed build, and its call is answered.",
        is_answered=True,
    ),
    Scenario(
        "provisioning_failed",
        semconv.PROVISIONING_FAILED,
        (
            DeployStep(
                rules=(Rule("saveEndpoint", when=_is_gpu_info, error="No capacity for this GPU"),),
                fails=True,
            ),
        ),
        version=SUCCESSOR_VERSION,
        title="An endpoint cannot be saved after the build was activated.",
        injected="The second of the two endpoints is refused; the first runs the new build.",
    ),
    Scenario(
        "stale_build",
        semconv.STALE_BUILD,
        (DeployStep(), DeployStep(rules=(activation_ignored(echo=False),)), WorkerStep(build=-2)),
        version=SUCCESSOR_VERSION,
        title="A worker of the deployed build runs the code of the build before.",
        injected="The second activation is acknowledged, but the first build stays active.",
        is_answered=True,
    ),
)

SUCCESSORS: Final[dict[str, Scenario]] = {scenario.name: scenario for scenario in _SUCCESSOR}
"""The scenarios of runpod 2."""
