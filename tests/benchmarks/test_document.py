"""Tables that are measured replace those of the documents, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from document import replace_table

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = "# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n{}- An item.\n"


@pytest.mark.parametrize("after", ["", "\n"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_what_follows_a_table_stays(tmp_path: Path, after: str, end: str) -> None:
    """However the new table ends, and as often as it is replaced."""
    document = tmp_path / "document.md"
    document.write_text(DOCUMENT.format(after), encoding="utf-8")
    for number in (5, 6):
        replace_table(document, f"| a | b |\n|---|---|\n| {number} | 2 |{end}")
        expected = f"# Title\n\n| a | b |\n|---|---|\n| {number} | 2 |\n{after}- An item.\n"
        assert document.read_text(encoding="utf-8") == expected


def test_a_document_without_the_table(tmp_path: Path) -> None:
    """It is left alone, and the error names it."""
    document = tmp_path / "document.md"
    document.write_text("# Title\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no table that begins with"):
        replace_table(document, "| a |\n|---|\n")
    assert document.read_text(encoding="utf-8") == "# Title\n"
