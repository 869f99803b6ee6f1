"""Whole reports against literal text: every sentence, its evidence and their order."""

from __future__ import annotations

import pytest
from diagnosis.scenes import SCENES
from report.literals import FILES, expected

from flash_otel.diagnosis import diagnose
from flash_otel.report.json import diagnosis_json

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


def test_an_unmatched_question_as_json() -> None:
    """The JSON names the field, the value, and what is recorded instead."""
    made = SCENES["a first deployment and a read"].make()
    value = diagnosis_json(diagnose(made, environment="prodaction"))
    assert value["unmatched"] == [
        {
            "field": "environment",
            "value": "prodaction",
            "similar": ["production"],
            "recorded": ["env-prod", "production"],
        }
    ]
