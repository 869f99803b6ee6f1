"""The names that users rely on, compared with a snapshot: a change is a decision."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from contract.contract import SNAPSHOT, collect

if TYPE_CHECKING:
    from pathlib import Path

PARTS = ("public", "testing", "emitted", "variables", "exit_statuses", "commands", "json")


@pytest.mark.parametrize("part", PARTS)
def test_the_contract_is_what_it_was(part: str, tmp_path: Path) -> None:
    """Public API, emitted names, variables, statuses, options and JSON keys match the snapshot."""
    was = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert was.keys() == set(PARTS)
    assert json.loads(json.dumps(collect(tmp_path)))[part] == was[part]
