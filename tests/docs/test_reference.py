from __future__ import annotations

from docs import reference


def test_the_reference_holds_every_name_with_its_meaning() -> None:
    """docs/reference.md equals what the table of names generates."""
    assert reference.PATH.read_text(encoding="utf-8") == reference.render()
