"""The stand-in serves the real, unmodified `flash deploy`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support.faults import FAULTS
from support.flash import FlashRun, run_flash
from support.versions import MAIN_VERSIONS

from flash_otel.demo.control_plane import CANARY_API_KEY, ControlPlane
from flash_otel.demo.project import write_project
from flash_otel.demo.scenarios import FaultPlan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.flash import FlashEnvironments
    from support.warm import WarmEnvironments

    from flash_otel.demo.environment import PythonEnvironment

    Environments = Callable[[str], PythonEnvironment]

pytestmark = pytest.mark.flash

FIRST = [
    "getFlashAppByName",
    "getFlashAppByName",
    "createFlashApp",
    "getFlashAppByName",
    "createFlashEnvironment",
    "PrepareArtifactUpload",
    "PUT artifact",
    "FinalizeArtifactUpload",
    "getFlashEnvironmentByName",
    "getFlashEnvironmentByName",
    "deployBuildToEnvironment",
    "getFlashBuild",
    "saveEndpoint",
    "saveEndpoint",
    "updateFlashBuildManifest",
]
AGAIN = [
    "getFlashAppByName",
    "getFlashAppByName",
    "listFlashEnvironments",
    *FIRST[5:12],
]
# Provisioning is concurrent: only how often each operation comes is certain.
CHANGED = Counter(
    {"health": 1, "getEndpoint": 1, "saveEndpoint": 2, "getTemplate": 2, "saveTemplate": 2}
)
UNCHANGED = Counter({"health": 1, "getEndpoint": 1})


def deploy(
    environments: Environments, plane: ControlPlane, tmp_path: Path, version: str, note: str = ""
) -> FlashRun:
    """Write the project, with a note in its source, and deploy it untraced."""
    project = write_project(tmp_path / "gpu_app", version)
    (project / "notes.py").write_text(f"# {note}\n", encoding="utf-8")
    return run_flash(environments(version), plane, project, "deploy", "--no-deps")


@pytest.mark.parametrize("version", MAIN_VERSIONS)
def test_first_deployment_and_redeployments(
    version: str, warm_env: WarmEnvironments, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """A first deployment, an unchanged and a changed one succeed and ask what Flash asks."""
    first = deploy(warm_env, control_plane, tmp_path, version)
    assert (first.exit_code, first.stderr) == (0, "")
    assert "deployed to production" in first.stdout.lower()
    assert first.operations == FIRST
    unchanged = deploy(warm_env, control_plane, tmp_path, version)
    changed = deploy(warm_env, control_plane, tmp_path, version, note="other")
    for run, provisioning in ((unchanged, UNCHANGED), (changed, CHANGED)):
        assert run.exit_code == 0
        assert run.operations[: len(AGAIN)] == AGAIN
        assert Counter(run.operations[len(AGAIN) : -1]) == provisioning
        assert run.operations[-1] == "updateFlashBuildManifest"
    requests = [*first.requests, *unchanged.requests, *changed.requests]
    assert {entry.status for entry in requests} == {200}
    assert [e.operation for e in requests if not e.bearer] == ["PUT artifact"] * 3
    assert CANARY_API_KEY not in str(requests)
    assert len(control_plane.state.endpoints) == 2
    assert len(control_plane.state.builds) == 3


@pytest.mark.parametrize("version", MAIN_VERSIONS)
def test_equal_runs_are_equal(version: str, flash_env: FlashEnvironments, tmp_path: Path) -> None:
    """With one seed, two untraced runs agree in wire, output and left files, once stabilized."""
    runs = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        with ControlPlane(seed=3) as plane:
            runs.append(deploy(flash_env, plane, folder, version))
    first, second = runs
    assert sorted(first.wire(), key=str) == sorted(second.wire(), key=str)
    assert first.stable(first.stdout) == second.stable(second.stdout)
    assert first.files.keys() == second.files.keys()


@pytest.mark.parametrize("version", MAIN_VERSIONS)
def test_one_failing_endpoint_fails_the_deployment_after_its_activation(
    version: str, warm_env: WarmEnvironments, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """Flash itself stops before the manifest write: the build is active without endpoints."""
    control_plane.faults = FaultPlan(FAULTS["one endpoint refused"])
    run = deploy(warm_env, control_plane, tmp_path, version)
    assert run.exit_code == 1
    assert "deployBuildToEnvironment" in run.operations
    assert "updateFlashBuildManifest" not in run.operations
    assert "No capacity for this GPU" in run.stdout.replace("\n", " ")


def test_terminal_run_sees_a_terminal(
    flash_env: FlashEnvironments, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """The helper gives a child a terminal as standard error, and returns what it wrote there."""
    environment = flash_env("1.14.0")
    project = write_project(tmp_path / "gpu_app", "1.14.0")
    code = "import sys; sys.stderr.write(str(sys.stderr.isatty())); print(sys.stdout.isatty())"
    run = run_flash(
        environment,
        control_plane,
        project,
        launcher=[str(environment.python), "-c", code],
        terminal=True,
    )
    assert (run.exit_code, run.stdout, run.stderr) == (0, "False\n", "True")
