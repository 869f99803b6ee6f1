"""Whole reports against literal text: every sentence, its evidence and their order."""

from __future__ import annotations

import pytest
from report.literals import FILES, expected

CASES = [(file, case) for file, (_, cases) in FILES.items() for case in cases]


@pytest.mark.parametrize(("file", "case"), CASES)
def test_a_report(file: str, case: str) -> None:
    """Each scene and each comparison has the sentences, evidence and order of its file."""
    make, _ = FILES[file]
    assert make(case) == expected(file)[case]


@pytest.mark.parametrize("file", FILES)
def test_a_file_holds_the_reports_of_all_cases(file: str) -> None:
    """A removed case leaves no report behind, and the order is that of the cases."""
    assert list(expected(file)) == list(FILES[file][1])
