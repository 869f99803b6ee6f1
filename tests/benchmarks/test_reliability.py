"""The commands behind docs/reliability.md, in small: they run, and judge as they should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.warm import WarmEnvironments

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _run(name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.flash
def test_the_soak_in_small(warm_env: WarmEnvironments) -> None:
    """A few deployments and reads: all spans arrive, and the verdict confirms it."""
    cache = str(warm_env.cache("1.14.0"))
    arguments = ("--minutes", "0.05", "--deployments", "2", "--fetches", "20")
    done = _run("soak.py", *arguments, FLASH_OTEL_CACHE=cache)
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
