"""`flash-otel verify` through the client of runpod 2, against a stand-in control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.versions import RUNPOD_VERSIONS
from verify.deployed import APP, Deployed

from flash_otel.demo.control_plane import CANARY_API_KEY, ControlPlane
from flash_otel.demo.scenarios import FaultPlan, activation_ignored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.flash import FlashEnvironments

pytestmark = pytest.mark.flash

(VERSION,) = RUNPOD_VERSIONS


@pytest.fixture(scope="module")
def stale(
    flash_env: FlashEnvironments, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """Two deployments, both recorded; the second activation had no effect."""
    with ControlPlane(seed=1) as plane:
        folder = tmp_path_factory.mktemp("deployed")
        deployed = Deployed(flash_env(VERSION), plane, folder / APP)
        assert deployed.deploy(traced=True) == 0
        plane.faults = FaultPlan((activation_ignored(echo=False),))
        assert deployed.deploy(traced=True) == 0
        plane.faults = FaultPlan()
        yield deployed


def test_what_an_environment_holds(stale: Deployed) -> None:
    """Without a record, the active build and the endpoints are checked; no manifest is missed."""
    found = stale.verify("--app", APP, "--call", "--json", FLASH_OTEL_STORE="off")
    assert (found.status, found.json["verdict"], found.failed) == (0, "none", []), found.stdout
    passed = {check["name"] for check in found.json["checks"] if check["result"] == "pass"}
    assert passed == {"environment_known", "build_active", "endpoints_listed", "call_health"}
    assert CANARY_API_KEY not in found.stdout + found.stderr
    assert set(found.operations) <= {"getFlashAppByName", "getFlashApps", "health"}


def test_active_build_is_not_the_recorded_one(stale: Deployed) -> None:
    """The recorded deployment and the active build together prove what no worker could read."""
    found = stale.verify("--app", APP, "--json")
    assert (found.status, found.json["verdict"]) == (1, "stale_build"), found.stdout


def test_active_build_is_not_the_expected_one(stale: Deployed) -> None:
    """The app's builds are known, so another active build than the expected one is certain."""
    (_, last) = stale.plane.state.builds
    found = stale.verify("--app", APP, "--expect-build", last, "--json", FLASH_OTEL_STORE="off")
    assert (found.status, found.json["verdict"]) == (1, "stale_build"), found.stdout
    assert found.json["findings"][0]["confidence"] == "certain"


def test_unknown_app_and_rejected_key(stale: Deployed) -> None:
    """The errors are those of the other generation: the names that exist, and the key."""
    unknown = stale.verify("--app", "gpu_ap", "--json")
    assert unknown.status == 2
    assert "Did you mean gpu_app?" in unknown.stdout
    rejected = stale.verify("--app", APP, "--json", api_key="rpa_wrong_key_0000")
    assert (rejected.status, rejected.json["verdict"]) == (1, "unauthorized")
