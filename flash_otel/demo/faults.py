"""Faults of the control plane: rules, each for one operation, and the faults of the guide.

Their names stay within the control plane: deployments, workers and diagnoses see the answers only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

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


ACTIVATION_IGNORED: Final = (activation_ignored(echo=True),)
WRITE_IGNORED: Final = (Rule(WRITE, request=_as_stored, answer=echo_write),)
WRITE_HELD_BACK: Final = (Rule(WRITE, gate=MANIFEST_WRITE_GATE),)
