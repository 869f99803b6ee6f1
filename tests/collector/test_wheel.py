"""An installed flash_otel, away from any checkout, has the bundle."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import PurePosixPath

import pytest
import yaml
from support.real_collector import ROOT

BUNDLE = "flash_otel/collector/bundle/"


# What belongs to tests and benchmarks: cases of the matrix, the load generator, recordings.
RIGS = re.compile(r"case|matrix|load|record(ing)?[._]|\.jsonl|test|bench")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    # The pinned hatchling of requirements/dev.txt builds it: isolation would ask a package index.
    command = [*pip, "--no-build-isolation", str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_no_test_rig(wheel: dict[str, bytes]) -> None:
    """The demo in the wheel is the guide's scenarios; rigs stay in the checkout."""
    demo = {name.removeprefix("flash_otel/demo/") for name in wheel if "/demo/" in name}
    assert [name for name in demo if RIGS.search(name)] == []
    assert [name for name in demo if not name.endswith(".py")] == ["constraints.txt"]
    top = {PurePosixPath(name).parts[0] for name in wheel}
    assert {name for name in top if not name.endswith(".dist-info")} == {"flash_otel"}


def test_the_wheel_holds_the_bundle(wheel: dict[str, bytes]) -> None:
    """Every configuration, and all that the Compose files name, is in the wheel as it is here."""
    held = {
        name.removeprefix(BUNDLE): content
        for name, content in wheel.items()
        if name.startswith(BUNDLE)
    }
    composes = ("docker-compose.yml", "collector/docker-compose.reachable.yml")
    wanted = set(composes)
    for compose in composes:
        services = yaml.safe_load((ROOT / compose).read_text("utf-8"))["services"]
        mounts = [mount for service in services.values() for mount in service.get("volumes", ())]
        wanted |= {mount.split(":")[0].removeprefix("./") for mount in mounts if mount[0] == "."}
    configurations = (ROOT / "collector").rglob("*.yaml")
    files = (file.relative_to(ROOT) for file in configurations)
    wanted |= {file.as_posix() for file in files if file.parts[1] != "tools"}
    folders = {str(parent) for name in held for parent in PurePosixPath(name).parents}
    assert wanted <= held.keys() | folders
    assert "collector/tls" in folders
    for name, content in held.items():
        assert content == (ROOT / name).read_bytes()
