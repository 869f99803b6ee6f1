"""A verdict does not depend on the form of its evidence: each row of the matrix, in other forms."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import pytest
from diagnosis.variants import Recorded
from e2e.matrix_cases import CASES
from e2e.metamorphic import OtherForms

if TYPE_CHECKING:
    from pathlib import Path

    from support.runs import ScenarioRuns

MOST: Final = 12
"""Forms to choose from each table; `make matrix` checks all."""


@pytest.mark.flash
@pytest.mark.parametrize("name", CASES)
def test_a_row_in_other_forms_has_its_verdict(
    name: str, shared_run: ScenarioRuns, tmp_path: Path
) -> None:
    """Order, files, exports, copies and other evidence beside it change no verdict.

    What is lost, masked or cut may cost it, but never makes another one of it.
    """
    chance = random.Random(name)  # noqa: S311 - the same in every run, no secret

    def choose(forms: list[str]) -> list[str]:
        return chance.sample(forms, min(MOST, len(forms)))

    recorded = Recorded.of(shared_run(CASES[name].scenario))
    assert list(OtherForms(CASES[name], recorded, tmp_path).wrong(choose)) == []
