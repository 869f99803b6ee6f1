"""`flash-otel verify` with the real Flash, against a stand-in control plane."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.commands import flash_otel
from support.faults import FAULTS
from support.versions import MAIN_VERSIONS
from verify.deployed import APP, Deployed

from flash_otel.demo.control_plane import CANARY_API_KEY, ControlPlane
from flash_otel.demo.scenarios import FaultPlan, Rule
from flash_otel.demo.state import AI_KEY_CANARY, CREDENTIAL_CANARY, SIGNATURE_CANARY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.flash import FlashEnvironments
    from support.warm import WarmEnvironments

pytestmark = pytest.mark.flash

LAST = MAIN_VERSIONS[-1]
QUERIES = {"getFlashAppByName", "getFlashEnvironment", "getFlashBuild", "getFlashApps"}
SECRETS = (CANARY_API_KEY, AI_KEY_CANARY, CREDENTIAL_CANARY, SIGNATURE_CANARY)


BOTH = pytest.mark.parametrize("version", MAIN_VERSIONS)


@pytest.fixture
def version() -> str:
    """The version of Flash that is deployed, unless a test names one."""
    return MAIN_VERSIONS[0]


@pytest.fixture
def deployed(
    warm_env: WarmEnvironments, control_plane: ControlPlane, tmp_path: Path, version: str
) -> Deployed:
    """A project that is not deployed yet."""
    return Deployed(warm_env(version), control_plane, tmp_path / APP)


@pytest.fixture(scope="session")
def deploy_once(
    warm_env: WarmEnvironments, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Deployed]]:
    """Call it with a version to get this process's one deployment with it, for reading."""
    made: dict[str, Deployed] = {}
    with ExitStack() as stack:

        def deployment(version: str) -> Deployed:
            if version not in made:
                plane = stack.enter_context(ControlPlane(seed=1))
                folder = tmp_path_factory.mktemp("deployed")
                made[version] = Deployed(warm_env(version), plane, folder / APP)
                assert made[version].deploy() == 0
            return made[version]

        yield deployment


@pytest.fixture
def clean(version: str, deploy_once: Callable[[str], Deployed]) -> Iterator[Deployed]:
    """A sound deployment, shared by tests that only read; their faults end with the test."""
    deployed = deploy_once(version)
    yield deployed
    deployed.plane.faults = FaultPlan()


@pytest.mark.parametrize("version", [*MAIN_VERSIONS, "1.1.1"])
def test_a_clean_deployment(clean: Deployed, version: str) -> None:
    """An unrecorded sound deployment has no fault, and the notes explain what that proves."""
    found = clean.verify("--env", "production", "--call", "--json")
    assert (found.status, found.json["verdict"], found.failed) == (0, "none", [])
    assert found.json["manifest"]["endpoint_count"] == 2
    assert found.json["calls"][0]["status"] == 200
    reads_nothing = any("read no manifest" in note for note in found.json["notes"])
    assert reads_nothing == (version != MAIN_VERSIONS[0])


@BOTH
def test_queries_only_and_no_secrets(clean: Deployed) -> None:
    """It only sends queries, writes no file, and prints no credential."""
    before = sorted(clean.project.rglob("*"))
    found = [clean.verify(), clean.verify("--json")]
    for run in found:
        assert run.status == 0
        assert set(run.operations) <= QUERIES
        assert not [secret for secret in SECRETS if secret in run.stdout + run.stderr]
        assert run.stderr == ""
    assert sorted(clean.project.rglob("*")) == before


@pytest.mark.parametrize(
    ("fault", "verdict", "failed", "candidates"),
    [
        (
            "write dropped, echoed",
            "inconclusive",
            "endpoints_held",
            ["manifest_never_written", "manifest_not_persisted"],
        ),
        ("write partial, echoed", "endpoints_missing", "endpoints_complete", []),
        ("write with other urls, echoed", "endpoints_differ", "endpoints_exist", []),
    ],
)
def test_an_unrecorded_faulty_write(
    deployed: Deployed, fault: str, verdict: str, failed: str, candidates: list[str]
) -> None:
    """The manifest is compared with the actual endpoints; several explanations are inconclusive.

    The exit status is 1 in both cases.
    """
    deployed.plane.faults = FaultPlan(FAULTS[fault])
    assert deployed.deploy() == 0
    found = deployed.verify("--json")
    assert (found.status, found.json["verdict"], found.failed) == (1, verdict, [failed])
    assert found.json["findings"][0]["candidates"] == candidates


@BOTH
@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        ("write dropped, shown", "manifest_not_persisted"),
        ("write refused", "manifest_never_written"),
        ("one endpoint refused", "provisioning_failed"),
    ],
)
def test_the_recorded_deployment_names_the_cause(
    deployed: Deployed, fault: str, verdict: str
) -> None:
    """The spans of a recorded deployment and the snapshot are diagnosed together."""
    deployed.plane.faults = FaultPlan(FAULTS[fault])
    deployed.deploy(traced=True)
    deployed.plane.faults = FaultPlan()
    found = deployed.verify("--json")
    assert (found.status, found.json["verdict"], found.json["recorded"]) == (1, verdict, True)
    assert found.json["findings"][0]["remedy"]["deployer"]


def test_a_drop_or_a_strip(deployed: Deployed) -> None:
    """An empty mapping with the write's carrier may be a dropped write or a stripped read."""
    deployed.plane.faults = FaultPlan(FAULTS["write dropped, echoed"])
    assert deployed.deploy(traced=True) == 0
    found = deployed.verify("--json")
    assert (found.status, found.json["verdict"]) == (1, "inconclusive")
    candidates = found.json["findings"][0]["candidates"]
    assert sorted(candidates) == ["manifest_not_persisted", "read_incomplete"]


@BOTH
def test_a_stale_build(deployed: Deployed) -> None:
    """A failed activation is found by the record, or by the expected build."""
    assert deployed.deploy(traced=True) == 0
    deployed.plane.faults = FaultPlan(FAULTS["activation ignored, echoed"])
    assert deployed.deploy(traced=True) == 0
    recorded = deployed.verify("--json")
    assert (recorded.status, recorded.json["verdict"]) == (1, "stale_build")
    alone = deployed.verify("--json", "--expect-build", deployed.build.id, FLASH_OTEL_STORE="off")
    assert (alone.status, alone.failed) == (1, ["build_expected"])
    active = deployed.production.active_build_id or ""
    right = deployed.verify("--json", "--expect-build", active[:8], FLASH_OTEL_STORE="off")
    assert (right.status, right.failed) == (0, [])


def test_an_endpoint_that_is_gone(deployed: Deployed) -> None:
    """An endpoint of the manifest that the environment lacks is named."""
    assert deployed.deploy() == 0
    gone = deployed.plane.state.endpoint_named(deployed.production.id, "gpu_info")
    assert gone is not None
    del deployed.plane.state.endpoints[gone.id]
    found = deployed.verify("--json")
    assert (found.status, found.failed) == (1, ["endpoints_exist"])
    assert found.json["verdict"] == "call_target_unknown"
    assert "'gpu_info'" in found.json["findings"][0]["sentence"]


def test_endpoints_that_another_environment_took(deployed: Deployed) -> None:
    """The takeover by a second environment of the same folder is found from the first."""
    assert deployed.deploy() == 0
    app = deployed.plane.state.app_named(APP)
    assert app is not None
    deployed.plane.state.create_environment(app.id, "staging")
    assert deployed.deploy("--env", "staging") == 0
    several = deployed.verify()
    assert several.status == 2
    assert "2 environments: production, staging" in several.stderr
    found = deployed.verify("--env", "production", "--json")
    assert (found.status, found.json["verdict"]) == (1, "environment_takeover")


ANSWERS = (
    ("environment null", "environment_unknown", 1),
    ("environment without build", "inconclusive", 1),
    ("manifest null", "inconclusive", 1),
    ("read unauthorized", "unauthorized", 1),
    ("read throttled", "inconclusive", 3),
    ("read rejected", "inconclusive", 3),
)


def test_answers_of_the_state_manager(clean: Deployed) -> None:
    """Each answer that a worker may get has its verdict and exit status."""
    for fault, verdict, status in ANSWERS:
        clean.plane.faults = FaultPlan(FAULTS[fault])
        found = clean.verify("--json")
        assert (fault, found.json["verdict"], found.status) == (fault, verdict, status)


def test_wrong_names_and_keys(clean: Deployed) -> None:
    """Wrong names, a missing key and a wrong key have an error with a next step."""
    app = clean.verify("--app", "other")
    assert app.status == 2
    assert f"no app 'other'. It knows: {APP}." in app.stderr
    environment = clean.verify("--env", "prod")
    assert environment.status == 2
    assert "no environment 'prod'. It has: production." in environment.stderr
    keyless = clean.verify(api_key=None)
    assert (keyless.status, keyless.operations) == (3, [])
    assert "flash login" in keyless.stderr
    wrong = clean.verify(api_key="rpa_AN0OLD0KEY0OF0LONG0AGO")
    assert wrong.status == 1
    assert "unauthorized: the API key was rejected" in wrong.stderr
    assert "rpa_AN0OLD" not in wrong.stdout + wrong.stderr


@BOTH
def test_the_deadline(clean: Deployed) -> None:
    """A State Manager that never answers is abandoned at the deadline."""
    # The first query hangs: a slow machine might not reach a later one in time.
    clean.plane.faults = FaultPlan((Rule("getFlashAppByName", gate="never"),))
    found = clean.verify("--timeout", "0.5")
    assert found.status == 3
    assert "no answer within 0.5 s: the query for app 'gpu_app'" in found.stderr


@BOTH
def test_after_a_run(deployed: Deployed) -> None:
    """`run --verify` reports on standard error and keeps flash's exit status."""
    deployed.plane.faults = FaultPlan(FAULTS["write partial, echoed"])
    assert deployed.deploy() == 0
    words = ("--verify", "--", "flash", "deploy", "--no-deps")
    own = deployed.flash_otel("run", *words)
    assert own.status == 0
    assert "endpoints_missing" in own.stderr
    assert "endpoints_missing" not in own.stdout
    strict = deployed.flash_otel("run", "--fail-on-fault", *words)
    assert strict.status == 1


def test_flash_in_another_interpreter(flash_env: FlashEnvironments, tmp_path: Path) -> None:
    """If `flash` is in another interpreter, the commands that help are printed."""
    scripts = flash_env(LAST).scripts
    found = flash_otel(tmp_path, "verify", "--app", "shop", env={"PATH": str(scripts)})
    assert found.returncode == 2
    assert "flash lives in another interpreter" in found.stderr
    assert "-m flash_otel verify --app shop" in found.stderr
    assert Path(sys.executable).parent != scripts


def test_errors_as_json(deployed: Deployed) -> None:
    """With --json, an error is an object with a verdict, too."""
    found = deployed.verify("--app", "other", "--json")
    output = json.loads(found.stdout)
    assert (output["schema_version"], output["verdict"], output["status"]) == (1, "inconclusive", 2)
    assert output["error"]["next_step"]
