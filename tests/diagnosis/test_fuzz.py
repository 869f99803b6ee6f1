"""A slice of the fuzz run, which `python -m diagnosis.fuzz` makes as long as one likes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from diagnosis import fuzz

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", [2, 3])
def test_fuzzed_evidence_raises_nothing_and_accuses_nothing_healthy(
    seed: int, tmp_path: Path
) -> None:
    """Scenes that are cut, masked, reordered, exported and mixed with garbage at random."""
    assert list(fuzz.problems(seed, range(150), tmp_path)) == []


def test_a_healthy_recording_that_is_accused_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slice would fail if a scene that is taken for healthy were accused."""
    monkeypatch.setattr(fuzz, "SOUND", ["a write is dropped, on one clock"])
    assert list(fuzz.problems(1, range(40), tmp_path)) != []
