"""The faults that the stand-in can inject: rules, each for one operation.

A fault is a row of `FAULTS`. The names stay within the control plane: deployments, workers and
diagnoses see the answers only.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from flash_otel.demo.state import ControlPlaneState, Json
from flash_otel.semconv import CARRIER_KEY

READ: Final = ("getFlashEnvironment", "getFlashBuild")
WRITE: Final = "updateFlashBuildManifest"
ACTIVATE: Final = "deployBuildToEnvironment"
FINALIZE: Final = "FinalizeArtifactUpload"
UPLOAD: Final = "PUT artifact"
CALL: Final = "runsync"
SENTINEL_CALL: Final = "sentinel runsync"

MANIFEST_WRITE_GATE: Final = "manifest write"

Change = Callable[[Json], Json | None]
"""Returns a faulty version of a manifest, an environment or another part of an answer."""


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


def without_endpoints(manifest: Json) -> Json:
    """Return the manifest without its `resources_endpoints`."""
    return {key: value for key, value in manifest.items() if key != "resources_endpoints"}


def with_empty_endpoints(manifest: Json) -> Json:
    """Return the manifest with `resources_endpoints` emptied."""
    return {**manifest, "resources_endpoints": {}}


def with_some_endpoints(manifest: Json) -> Json:
    """Return the manifest with all but the first endpoint (by name) in its mapping."""
    endpoints = manifest.get("resources_endpoints") or {}
    kept = {name: endpoints[name] for name in sorted(endpoints)[1:]}
    return {**manifest, "resources_endpoints": kept}


def with_other_urls(manifest: Json) -> Json:
    """Return the manifest with the right names and the URLs of other endpoints."""
    endpoints = manifest.get("resources_endpoints") or {}
    other = {name: f"{str(url)[:-4]}0000" for name, url in endpoints.items()}
    return {**manifest, "resources_endpoints": other}


def without_carrier(manifest: Json) -> Json:
    """Return the manifest without flash_otel's key, like a server that drops unknown keys."""
    return {key: value for key, value in manifest.items() if key != CARRIER_KEY}


def without_active_build(environment: Json) -> Json:
    """Return the environment without an active build, as before its first activation."""
    return {**environment, "activeBuildId": None}


def nothing(_: Json) -> None:
    """Return null."""


def stored(change: Change, *, on: str = WRITE, echo: bool) -> Rule:
    """Store a changed manifest; with `echo` the answer repeats the requested manifest."""

    def request(_: ControlPlaneState, variables: Json) -> Json:
        given = variables["input"]
        return {**variables, "input": {**given, "manifest": change(given.get("manifest") or {})}}

    return Rule(on, request=request, answer=_echo if echo else None)


def read(change: Change, *, on: str = "getFlashBuild", times: int | None = None) -> Rule:
    """Answer reads with a changed manifest or environment; the stored record stays intact."""

    def answer(_: ControlPlaneState, __: Json, data: Json) -> Json:
        data = copy.deepcopy(data)
        build = data.get("flashBuild")
        if build is not None:
            build["manifest"] = change(build.get("manifest") or {})
        elif data.get("flashEnvironment") is not None:
            data["flashEnvironment"] = change(data["flashEnvironment"])
        return data

    return Rule(on, answer=answer, times=times)


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


def for_resource(name: str) -> Callable[[Json], bool]:
    """Match the `saveEndpoint` of one resource."""

    def matches(variables: Json) -> bool:
        return str(variables.get("input", {}).get("name", "")).removesuffix("-fb") == name

    return matches


def _as_stored(state: ControlPlaneState, variables: Json) -> Json:
    """Write the manifest that is already stored: that of the finalize call."""
    given = variables["input"]
    stored = state.builds[given["flashBuildId"]].manifest
    return {**variables, "input": {**given, "manifest": stored}}


def _echo(_: ControlPlaneState, variables: Json, __: Json) -> Json:
    given = variables["input"]
    return {WRITE: {"id": given["flashBuildId"], "manifest": given["manifest"]}}


def _on_reads(status: int, times: int | None = None) -> tuple[Rule, ...]:
    return tuple(Rule(operation, status=status, times=times) for operation in READ)


FAULTS: Final[dict[str, tuple[Rule, ...]]] = {
    "write dropped, echoed": (stored(without_endpoints, echo=True),),
    "write dropped, shown": (stored(without_endpoints, echo=False),),
    "write ignored, echoed": (Rule(WRITE, request=_as_stored, answer=_echo),),
    "write emptied, echoed": (stored(with_empty_endpoints, echo=True),),
    "write partial, echoed": (stored(with_some_endpoints, echo=True),),
    "write partial, shown": (stored(with_some_endpoints, echo=False),),
    "write with other urls, echoed": (stored(with_other_urls, echo=True),),
    "write with other urls, shown": (stored(with_other_urls, echo=False),),
    "write held back": (Rule(WRITE, gate=MANIFEST_WRITE_GATE),),
    "write refused": (Rule(WRITE, status=500),),
    "write rejected": (Rule(WRITE, error="Manifest could not be saved"),),
    "write answer lost": (Rule(WRITE, lose_answer=True),),
    "activation ignored, echoed": (activation_ignored(echo=True),),
    "activation ignored, shown": (activation_ignored(echo=False),),
    "activation refused": (Rule(ACTIVATE, status=500),),
    "activation answer lost": (Rule(ACTIVATE, lose_answer=True),),
    "environment null": (read(nothing, on="getFlashEnvironment"),),
    "environment without build": (read(without_active_build, on="getFlashEnvironment"),),
    "manifest null": (read(nothing),),
    "read stripped": (read(without_endpoints),),
    "read emptied": (read(with_empty_endpoints),),
    "read partial": (read(with_some_endpoints),),
    "read with other urls": (read(with_other_urls),),
    "read stripped once": (read(without_endpoints, times=1),),
    "read unavailable": _on_reads(500),
    "read unavailable once": _on_reads(500, times=1),
    "read throttled": _on_reads(429),
    "read unauthorized": _on_reads(401),
    "read rejected": tuple(Rule(operation, error="Something went wrong") for operation in READ),
    "carrier stripped": (
        stored(without_carrier, echo=False),
        stored(without_carrier, on=FINALIZE, echo=False),
    ),
    "upload slow": (Rule(UPLOAD, delay=1.0),),
    "upload refused": (Rule(UPLOAD, status=403),),
    "upload answer lost once": (Rule(UPLOAD, lose_answer=True, times=1),),
    "finalize refused": (Rule(FINALIZE, status=500),),
    "one endpoint refused": (
        Rule("saveEndpoint", when=for_resource("gpu_info"), error="No capacity for this GPU"),
    ),
    "everything unauthorized": tuple(
        Rule(operation, status=401) for operation in (*READ, "getFlashAppByName", "createFlashApp")
    ),
    "call refused": (Rule(CALL, status=500), Rule(SENTINEL_CALL, status=500)),
    "call target unknown": (Rule(CALL, status=404), Rule(SENTINEL_CALL, status=404)),
}
