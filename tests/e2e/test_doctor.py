"""`flash-otel doctor` beside a real Flash: every target is found, without importing Flash."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.site import Site

pytestmark = pytest.mark.flash


@pytest.mark.parametrize("version", ["1.14.0", "1.21.0"])
def test_a_healthy_installation(site: Site, version: str) -> None:
    """No problem: status 0, and every purpose has its functions."""
    done = subprocess.run(
        [str(site.environment.python), "-X", "importtime", "-m", "flash_otel", "doctor", "--json"],
        env={**site.variables(), "PATH": str(site.environment.scripts)},
        cwd=site.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    checks = json.loads(done.stdout)["checks"]
    found = {check["check"]: check["result"] for check in checks if check["topic"] == "targets"}
    assert set(found.values()) == {"ok"}
    assert len(found) == 10
    assert any(check["says"] == f"runpod-flash {version}" for check in checks)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "flash_otel.doctor.installation" in imported
    assert "runpod_flash" not in imported
