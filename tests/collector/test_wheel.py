"""An installed flash_otel, away from any checkout, has the bundle."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import yaml
from support.real_collector import ROOT

if TYPE_CHECKING:
    from pathlib import Path

BUNDLE = "flash_otel/collector/bundle/"


def test_the_wheel_holds_the_bundle(tmp_path: Path) -> None:
    """Every configuration, and all that the Compose files name, is in the wheel as it is here."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path)]
    # The pinned hatchling of requirements/dev.txt builds it: isolation would ask a package index.
    command = [*pip, "--no-build-isolation", str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        held = {
            name.removeprefix(BUNDLE): wheel.read(name)
            for name in wheel.namelist()
            if name.startswith(BUNDLE)
        }
    composes = ("docker-compose.yml", "collector/docker-compose.reachable.yml")
    wanted = set(composes)
    for compose in composes:
        services = yaml.safe_load((ROOT / compose).read_text("utf-8"))["services"]
        mounts = [mount for one in services.values() for mount in one.get("volumes", ())]
        wanted |= {mount.split(":")[0].removeprefix("./") for mount in mounts if mount[0] == "."}
    configurations = (ROOT / "collector").rglob("*.yaml")
    files = (one.relative_to(ROOT) for one in configurations)
    wanted |= {one.as_posix() for one in files if one.parts[1] != "tools"}
    folders = {str(parent) for name in held for parent in PurePosixPath(name).parents}
    assert wanted <= held.keys() | folders
    assert "collector/tls" in folders
    for name, content in held.items():
        assert content == (ROOT / name).read_bytes()
