from __future__ import annotations

from docs import reference


def test_the_reference_holds_every_name_with_its_meaning() -> None:
    """docs/reference.md equals the text generated from the table of names."""
    assert reference.PATH.read_text(encoding="utf-8") == reference.render()
