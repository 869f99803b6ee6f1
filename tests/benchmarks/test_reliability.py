"""The commands behind docs/reliability.md, in small: they run, and judge as they should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.flash
def test_the_soak_in_small() -> None:
    """A few deployments and reads: all spans arrive, and the verdict confirms it."""
    done = _run("soak.py", "--minutes", "0.05", "--deployments", "2", "--fetches", "20")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| spans of hosts that never arrived | 0 |" in done.stdout
    assert "| spans made by workers | 40 |" in done.stdout


def test_a_row_of_the_reliability_table() -> None:
    """One fault gives its three rows: ours, ours again, and the SDK's alone."""
    done = _run("reliability.py", "--only", "files limited")
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if " | " in line]
    assert [row[2] for row in rows] == ["flash_otel", "flash_otel, next run", "SDK"]
    assert {row[8] for row in rows} == {"0"}
