"""All faults that the tests inject into the stand-in control plane, by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Final

from flash_otel.demo.scenarios import (
    ACTIVATE,
    ACTIVATION_IGNORED,
    WRITE,
    WRITE_HELD_BACK,
    WRITE_IGNORED,
    Rule,
    activation_ignored,
    echo_write,
)
from flash_otel.demo.state import ControlPlaneState, Json
from flash_otel.semconv import CARRIER_KEY, PHASE_BUILD

READ: Final = ("getFlashEnvironment", "getFlashBuild")
FINALIZE: Final = "FinalizeArtifactUpload"
UPLOAD: Final = "PUT artifact"
CALL: Final = "runsync"
SENTINEL_CALL: Final = "sentinel runsync"

Change = Callable[[Json], Json | None]
"""Returns a faulty version of a manifest, an environment or another part of an answer."""


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


def as_before_write(manifest: Json) -> Json:
    """Return the manifest as the finalize call stored it, like a replica that lags behind."""
    carrier = {**(manifest.get(CARRIER_KEY) or {}), "phase": PHASE_BUILD}
    return {**without_endpoints(manifest), CARRIER_KEY: carrier}


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

    return Rule(on, request=request, answer=echo_write if echo else None)


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


def for_resource(name: str) -> Callable[[Json], bool]:
    """Match the `saveEndpoint` of one resource."""

    def matches(variables: Json) -> bool:
        return str(variables.get("input", {}).get("name", "")).removesuffix("-fb") == name

    return matches


def _on_reads(status: int, times: int | None = None) -> tuple[Rule, ...]:
    return tuple(Rule(operation, status=status, times=times) for operation in READ)


FAULTS: Final[dict[str, tuple[Rule, ...]]] = {
    "write dropped, echoed": (stored(without_endpoints, echo=True),),
    "write dropped, shown": (stored(without_endpoints, echo=False),),
    "write ignored, echoed": WRITE_IGNORED,
    "write emptied, echoed": (stored(with_empty_endpoints, echo=True),),
    "write lost with its record, echoed": (stored(nothing, echo=True),),
    "write partial, echoed": (stored(with_some_endpoints, echo=True),),
    "write partial, shown": (stored(with_some_endpoints, echo=False),),
    "write with other urls, echoed": (stored(with_other_urls, echo=True),),
    "write with other urls, shown": (stored(with_other_urls, echo=False),),
    "write held back": WRITE_HELD_BACK,
    "write refused": (Rule(WRITE, status=500),),
    "write rejected": (Rule(WRITE, error="Manifest could not be saved"),),
    "write answer lost": (Rule(WRITE, lose_answer=True),),
    "activation ignored, echoed": ACTIVATION_IGNORED,
    "activation ignored, shown": (activation_ignored(echo=False),),
    "activation refused": (Rule(ACTIVATE, status=500),),
    "activation answer lost": (Rule(ACTIVATE, lose_answer=True),),
    "environment null": (read(nothing, on="getFlashEnvironment"),),
    "environment without build": (read(without_active_build, on="getFlashEnvironment"),),
    "manifest null": (read(nothing),),
    "read stripped": (read(without_endpoints),),
    "read stale": (read(as_before_write),),
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
    "upload reset": (Rule(UPLOAD, lose_answer=True),),
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
