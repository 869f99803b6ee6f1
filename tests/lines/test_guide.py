"""The guide's Step 5 script works on the lines that are written."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flash_otel import semconv as sc
from flash_otel.lines.format import format_lines
from flash_otel.lines.table import END, START

SCRIPT = Path(__file__).parents[2] / "docs" / "guide-step5.sh"
BUILD, OTHER_BUILD = "b1f0c2d4-0a11-4f6e-9c55-1d2e3f4a5b6c", "b1f0c2d4-ffff-4f6e-9c55-1d2e3f4a5b6c"
ENVIRONMENT, OTHER_ENVIRONMENT = "env-456", "env-789"

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None
    or subprocess.run(["grep", "-P", ""], input=b"x", capture_output=True, check=False).returncode
    != 0,
    reason="needs bash and a grep with -P",
)


def log(*spans: tuple[str, dict[str, Any]]) -> bytes:
    lines = [
        line
        for name, attributes in spans
        for moment in (START, END)
        for line in format_lines(name, moment, attributes)
    ]
    return ("\n".join(lines) + "\n").encode()


def matching(tmp_path: Path, build: str, environment: str) -> list[bool]:
    """Run the script on a deployment's log and a worker's; return its two verdicts on matches."""
    written: dict[str, Any] = {
        sc.BUILD_ID: BUILD,
        sc.ENVIRONMENT_ID: ENVIRONMENT,
        sc.ENVIRONMENT_NAME: "prod",
        sc.OUTCOME: sc.RETURNED,
        sc.ENDPOINT_COUNT: 1,
        sc.ENDPOINT_NAMES: ("gpu",),
        sc.ENDPOINT_URLS: ("https://gpu",),
        sc.MANIFEST_KEYS: ("resources_endpoints",),
    }
    read = written | {
        sc.BUILD_ID: build,
        sc.ENVIRONMENT_ID: environment,
        sc.MANIFEST_STATE: sc.MANIFEST_COMPLETE,
    }
    deploy, worker = tmp_path / "deploy.log", tmp_path / "worker.log"
    deploy.write_bytes(b"\xff noise\n" + log((sc.ACTIVATE, written), (sc.MANIFEST_UPLOAD, written)))
    worker.write_bytes(b"\xff noise\n" + log((sc.RUNTIME_FETCH, read), (sc.MANIFEST_FETCH, read)))
    done = subprocess.run(
        ["bash", str(SCRIPT), str(deploy), str(worker)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == b""
    printed = done.stdout.decode()
    assert f"  build_id: {BUILD}\n" in printed
    assert f"  activeBuildId: {build}\n" in printed
    return ["✓ MATCH" in line for line in printed.splitlines()[-2:]]


def test_matching_ids(tmp_path: Path) -> None:
    """A worker that reads the deployed build of the deployed environment matches twice."""
    assert matching(tmp_path, BUILD, ENVIRONMENT) == [True, True]


def test_another_build(tmp_path: Path) -> None:
    """An active build that differs from the deployed one after its first dash is a mismatch."""
    assert matching(tmp_path, OTHER_BUILD, ENVIRONMENT) == [False, True]


def test_another_environment(tmp_path: Path) -> None:
    """A worker that queries another environment is a mismatch."""
    assert matching(tmp_path, BUILD, OTHER_ENVIRONMENT) == [True, False]
