from __future__ import annotations

import pytest

from flash_otel.cli.suggest import closest, did_you_mean
from flash_otel.demo.scenarios import SCENARIOS


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("haelthy", "healthy"),
        ("stale", "stale_build"),
        ("Stale-Build", "stale_build"),
        ("mismatch", "environment_mismatch"),
        ("manifest_persisted", "manifest_not_persisted"),
        ("read_befor_write", "read_before_write"),
        ("xy", None),
        ("", None),
        ("_", None),
    ],
)
def test_the_closest_name(given: str, meant: str | None) -> None:
    """Typing errors, parts of a name, hyphens and capitals lead to a name; other words do not."""
    assert closest(given, SCENARIOS) == meant
    assert did_you_mean(given, SCENARIOS) == (f"Did you mean {meant}?" if meant else "")
