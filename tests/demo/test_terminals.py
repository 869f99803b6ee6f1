"""What a terminal shows of the diagnosis of each scenario, run by the real Flash."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from report.terminals import WIDTHS, printed
from rich.cells import cell_len

from flash_otel.demo.scenarios import SCENARIOS
from flash_otel.diagnosis import diagnose
from flash_otel.diagnosis.readers import StoreReader, open_reader
from flash_otel.report.diagnosis import render_diagnosis

if TYPE_CHECKING:
    from rich.console import Console
    from support.runs import ScenarioRuns

pytestmark = pytest.mark.flash

STYLE = re.compile(r"\x1b\[[0-9;]*m")
ID = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b[0-9a-f]{16,32}\b")
RESULT = re.compile(r"^  (?:environment_id|build_id) .* (?:MATCH|MISMATCH)$", re.MULTILINE)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_diagnosis_fits_every_terminal(shared_run: ScenarioRuns, name: str) -> None:
    """No line is longer than the terminal, no id is broken, and each id has its result beside it.

    Colours add nothing but themselves, and a pipe gets unbroken lines at any width.
    """
    artifacts = shared_run(SCENARIOS[name])
    logs = [record for log in artifacts.worker_logs for record in open_reader(log).records()]
    found = diagnose([*StoreReader(artifacts.store).records(), *logs])
    assert found.verdict == SCENARIOS[name].fault

    def render(console: Console) -> None:
        render_diagnosis(found, console)

    (piped,) = {printed(render, width, terminal=False) for width in WIDTHS}
    assert "\x1b" not in piped
    assert max(map(cell_len, piped.splitlines())) > min(WIDTHS)
    for width in WIDTHS:
        plain, coloured = (printed(render, width, color=color) for color in (False, True))
        assert max(map(cell_len, plain.splitlines())) <= width
        assert set(ID.findall(piped)) <= set(ID.findall(plain))
        assert len(RESULT.findall(plain)) == len(RESULT.findall(piped)) == 2
        assert STYLE.sub("", coloured) == plain
