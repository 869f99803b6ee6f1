"""The picture of the demo's scenarios, from real deployments and real workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from page.pages import recorded
from report.test_picture import drawn
from rich.cells import cell_len

from flash_otel import semconv as sc
from flash_otel.demo.scenarios import SCENARIOS
from flash_otel.diagnosis import diagnose

if TYPE_CHECKING:
    from pathlib import Path

    from support.runs import ScenarioRuns

pytestmark = pytest.mark.flash


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario(shared_run: ScenarioRuns, tmp_path: Path, name: str) -> None:
    """The read that shows the fault is marked, and the picture fits terminals of any width."""
    scenario = SCENARIOS[name]
    diagnosis = diagnose(recorded(shared_run(scenario), tmp_path))
    assert diagnosis.verdict == scenario.fault
    result = diagnosis.judged[0]
    assert result.picture is not None
    marked = [mark for mark in result.picture.marks if mark.is_marked]
    if scenario.fault == sc.NONE:
        assert (marked, drawn(result, 80)) == ([], "")
        return
    evidence = {exhibit.origin for exhibit in diagnosis.findings[0].evidence}
    assert {mark.origin for mark in marked} <= evidence
    assert [mark.lane for mark in marked] == ["runtime"] * len(marked)
    assert marked
    for width in (80, 100, 140):
        text = drawn(result, width)
        assert "FAULT" in text
        assert max(map(cell_len, text.splitlines())) <= width
