"""The table of versions in the documents: every release stands in it, and its rows are true."""

from __future__ import annotations

from typing import Final

import pytest
from e2e.versions import HEAD, VERSIONS, row_of
from support.flash import ROOT

DOCUMENT: Final = ROOT / "docs" / "versions.md"


def rows() -> dict[str, str]:
    """Return the rows of the document's table by version."""
    _, _, table = DOCUMENT.read_text(encoding="utf-8").partition(f"{HEAD}\n")
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return {line.split("|")[1].strip(): line for line in lines}


def test_every_release_has_a_row() -> None:
    """In the order of the releases."""
    assert tuple(rows()) == VERSIONS


@pytest.mark.flash
@pytest.mark.parametrize("version", ["1.1.1", "1.21.0"])
def test_a_row_is_true(version: str) -> None:
    """A deployment in each way, and a worker's call, give what the document says; none fails."""
    row = row_of(version)
    assert row.gaps == []
    assert row.line() == rows()[version]
