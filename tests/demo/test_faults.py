from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from threading import Thread
from typing import Any

import pytest
from support.client import Client, deploy, read
from support.faults import FAULTS, for_resource

from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.scenarios import MANIFEST_WRITE_GATE, FaultPlan, Rule
from flash_otel.semconv import CARRIER_KEY


@dataclass
class Observed:
    """What can be seen from outside of a second deployment and two reads of it."""

    problems: dict[str, int | str]
    activated_key: str
    active_build: str
    echoed: str
    stored: str
    phase: str | None
    first_read: str
    second_read: str


def shape(manifest: Any, written: dict[str, str]) -> str:
    """Name what a manifest's mapping is, compared with the one that was written."""
    if not manifest:
        return "null"
    endpoints = manifest.get("resources_endpoints")
    if endpoints is None:
        return "missing"
    if endpoints == written:
        return "all"
    same = list(endpoints) == list(written)
    return "other urls" if same else f"{len(endpoints)} of {len(written)}"


def observe(plane: ControlPlane, rules: tuple[Rule, ...]) -> Observed:
    """Deploy healthily, then again with the rules in force, and read twice."""
    with Client(plane) as client:
        first = deploy(client)
        assert client.problems == {}
        plane.faults = FaultPlan(rules)
        plane.gate(MANIFEST_WRITE_GATE).open()
        second = deploy(client)
        reads = [read(client, first.environment_id) for _ in range(2)]
        called = first.endpoint_ids["gpu_info"]
        client.call("runsync", f"/v2/{called}/runsync", json={"input": {}})
        problems = client.problems
    environment = plane.state.environments[first.environment_id]
    builds = {first.build_id: "first", second.build_id: "second"}
    stored = plane.state.builds[second.build_id].manifest if second.build_id else None
    written = {name: f"{plane.base_url}/v2/{key}" for name, key in second.endpoint_ids.items()}
    keys = {second.object_key: "second", None: "unknown"}
    return Observed(
        problems=problems,
        activated_key=keys.get(second.activated_key, "first"),
        active_build=builds[environment.active_build_id],
        echoed=shape(second.echoed, written),
        stored=shape(stored, written),
        phase=((stored or {}).get(CARRIER_KEY) or {}).get("phase"),
        first_read=shape(reads[0].manifest, written),
        second_read=shape(reads[1].manifest, written),
    )


HEALTHY = Observed(
    problems={},
    activated_key="second",
    active_build="second",
    echoed="all",
    stored="all",
    phase="write",
    first_read="all",
    second_read="all",
)

NEVER_READ = {"first_read": "null", "second_read": "null"}
NEVER_UPLOADED = {
    "activated_key": "unknown",
    "active_build": "first",
    "echoed": "null",
    "stored": "null",
    "phase": None,
}
NEVER_WRITTEN = {"echoed": "null", "stored": "missing", "phase": "build"}


def reading(what: str, second: str | None = None) -> dict[str, str]:
    """Both reads get the same answer, or the second read gets another one."""
    return {"first_read": what, "second_read": second or what}


# What differs from a healthy run; reads of the first build hold its own, other endpoints.
EXPECTED: dict[str, dict[str, Any]] = {
    "write dropped, echoed": {"stored": "missing", **reading("missing")},
    "write ignored, echoed": {"stored": "missing", "phase": "build", **reading("missing")},
    "write dropped, shown": {"stored": "missing", "echoed": "missing", **reading("missing")},
    "write emptied, echoed": {"stored": "0 of 2", **reading("0 of 2")},
    "write lost with its record, echoed": {"stored": "null", "phase": None, **NEVER_READ},
    "write partial, echoed": {"stored": "1 of 2", **reading("1 of 2")},
    "write partial, shown": {"stored": "1 of 2", "echoed": "1 of 2", **reading("1 of 2")},
    "write with other urls, echoed": {"stored": "other urls", **reading("other urls")},
    "write with other urls, shown": {
        "stored": "other urls",
        "echoed": "other urls",
        **reading("other urls"),
    },
    "write held back": {},
    "write refused": {
        **NEVER_WRITTEN,
        **reading("missing"),
        "problems": {"updateFlashBuildManifest": 500},
    },
    "write rejected": {
        **NEVER_WRITTEN,
        **reading("missing"),
        "problems": {"updateFlashBuildManifest": "error"},
    },
    "write answer lost": {"echoed": "null", "problems": {"updateFlashBuildManifest": "lost"}},
    "activation ignored, echoed": {"active_build": "first", **reading("other urls")},
    "activation ignored, shown": {
        "active_build": "first",
        "activated_key": "first",
        **reading("other urls"),
    },
    "activation refused": {
        "active_build": "first",
        "activated_key": "unknown",
        "problems": {"deployBuildToEnvironment": 500},
        **reading("other urls"),
    },
    "activation answer lost": {
        "activated_key": "unknown",
        "problems": {"deployBuildToEnvironment": "lost"},
    },
    "environment null": NEVER_READ,
    "environment without build": NEVER_READ,
    "manifest null": NEVER_READ,
    "read stripped": reading("missing"),
    "read stale": reading("missing"),
    "read emptied": reading("0 of 2"),
    "read partial": reading("1 of 2"),
    "read with other urls": reading("other urls"),
    "read stripped once": reading("missing", "all"),
    "read unavailable": {**NEVER_READ, "problems": {"getFlashEnvironment": 500}},
    "read unavailable once": {
        **NEVER_READ,
        "problems": {"getFlashEnvironment": 500, "getFlashBuild": 500},
    },
    "read throttled": {**NEVER_READ, "problems": {"getFlashEnvironment": 429}},
    "read unauthorized": {**NEVER_READ, "problems": {"getFlashEnvironment": 401}},
    "read rejected": {**NEVER_READ, "problems": {"getFlashEnvironment": "error"}},
    "carrier stripped": {"echoed": "all", "phase": None},
    "upload slow": {},
    "upload refused": {
        **NEVER_UPLOADED,
        **reading("2 of 0"),
        "problems": {"PUT artifact": 403, "FinalizeArtifactUpload": "error"},
    },
    "upload reset": {"problems": {"PUT artifact": "lost"}},
    "upload answer lost once": {"problems": {"PUT artifact": "lost"}},
    "finalize refused": {
        **NEVER_UPLOADED,
        **reading("2 of 0"),
        "problems": {"FinalizeArtifactUpload": 500},
    },
    "one endpoint refused": {"problems": {"saveEndpoint": "error"}},
    "everything unauthorized": {
        **NEVER_UPLOADED,
        "first_read": "null",
        "second_read": "null",
        "problems": dict.fromkeys(
            ("getFlashAppByName", "createFlashApp", "getFlashEnvironment"), 401
        ),
    },
    "call refused": {"problems": {"runsync": 500}},
    "call target unknown": {"problems": {"runsync": 404}},
}


def test_every_fault_has_an_expectation() -> None:
    """A fault cannot be added without saying what it looks like from outside."""
    assert EXPECTED.keys() == FAULTS.keys()


def test_without_rules_everything_agrees(control_plane: ControlPlane) -> None:
    """A healthy deployment is answered, stored and read as it was written."""
    assert observe(control_plane, ()) == HEALTHY


@pytest.mark.parametrize("name", FAULTS)
def test_fault_shows_as_expected(name: str, control_plane: ControlPlane) -> None:
    """Over HTTP, each fault differs from a healthy run in nothing but its row."""
    assert observe(control_plane, FAULTS[name]) == replace(HEALTHY, **EXPECTED[name])


def test_sentinel_faults_reach_calls_by_header(control_plane: ControlPlane) -> None:
    """The faults of calls hit the sentinel's way of calling as well."""
    headers = {
        "X-Flash-App": "app",
        "X-Flash-Environment": "production",
        "X-Flash-Endpoint": "gpu_info",
    }
    with Client(control_plane) as client:
        deploy(client)
        asked = {"headers": headers, "json": {"input": {"x": 1}}}
        answer = client.call("sentinel runsync", "/v2/flash/runsync", **asked)
        control_plane.faults = FaultPlan(FAULTS["call refused"])
        client.call("sentinel runsync", "/v2/flash/runsync", **asked)
    assert answer["output"] == {"endpoint": "gpu_info", "input": {"x": 1}, "gpu": "stand-in"}
    assert client.problems == {"sentinel runsync": 500}


def test_rule_skips_and_ends() -> None:
    """A rule with `skip` and `times` affects just the requests in between."""
    plan = FaultPlan((Rule("x", skip=1, times=2, status=500),))
    assert [bool(plan.take("x", {})) for _ in range(5)] == [False, True, True, False, False]
    assert plan.take("y", {}) == []


def test_rule_counts_only_what_it_is_about() -> None:
    """Requests that do not meet a rule's condition do not use it up."""
    rule = Rule("saveEndpoint", when=for_resource("gpu"), times=1, error="no")
    plan = FaultPlan((rule,))
    taken = [plan.take("saveEndpoint", {"input": {"name": n}}) for n in ("api", "gpu-fb", "gpu")]
    assert taken == [[], [rule], []]


def test_gate_holds_a_request_until_it_is_opened(control_plane: ControlPlane) -> None:
    """While the manifest write stands at its gate, a read sees the build's own manifest."""
    with Client(control_plane) as client:
        deployed = deploy(client)
        control_plane.faults = FaultPlan(FAULTS["write held back"])
        gate = control_plane.gate(MANIFEST_WRITE_GATE)
        seen: list[Any] = []

        def look() -> None:
            assert gate.wait_for_arrival(timeout=30)
            seen.append(read(client, deployed.environment_id).manifest)
            gate.open()

        looking = Thread(target=look)
        looking.start()
        deploy(client)
        looking.join()
        after = read(client, deployed.environment_id).manifest
    assert "resources_endpoints" not in seen[0]
    assert seen[0][CARRIER_KEY]["phase"] == "build"
    assert list(after["resources_endpoints"]) == ["api", "gpu_info"]


def test_gate_gives_up_when_nobody_will_come(control_plane: ControlPlane) -> None:
    """Waiting at a gate ends at once when the deployment has ended without coming to it."""
    gate = control_plane.gate("never reached")
    assert not gate.wait_for_arrival(timeout=60, or_until=lambda: True)


def test_server_stops_while_a_request_is_held() -> None:
    """A control plane that is left while a request stands at a gate ends nevertheless."""
    with ExitStack() as stack:
        plane = stack.enter_context(ControlPlane())
        client = Client(plane)
        given: dict[str, Any] = {"flashBuildId": deploy(client).build_id, "manifest": {}}
        plane.faults = FaultPlan(FAULTS["write held back"])
        writing = Thread(
            target=client.graphql, args=("updateFlashBuildManifest",), kwargs={"input": given}
        )
        writing.start()
        assert plane.gate(MANIFEST_WRITE_GATE).wait_for_arrival(timeout=30)
    writing.join()
    client.close()
    assert client.problems == {"updateFlashBuildManifest": "lost"}
