from __future__ import annotations

from typing import TYPE_CHECKING

from docs import variables
from flash_otel.doctor.variables import SPECIFIED

if TYPE_CHECKING:
    from pathlib import Path


def test_the_table_of_variables_is_measured(tmp_path: Path) -> None:
    """docs/variables.md says of each variable what setting it does; the doctor says the same."""
    effects = variables.measured(tmp_path)
    assert effects == {name: variable.is_read for name, variable in SPECIFIED.items()}
    assert variables.PATH.read_text(encoding="utf-8") == variables.render(effects)
