"""Replace the table of a document with the one that was just printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replace_table(document: Path, table: str) -> None:
    """Replace the Markdown table that begins as this one does.

    Raises:
        ValueError: The document has none.
    """
    text = document.read_text(encoding="utf-8")
    head = table.split("\n", 1)[0]
    before, found, rest = text.partition(f"{head}\n")
    if not found:
        raise ValueError(f"{document} has no table that begins with {head}")
    lines = rest.splitlines(keepends=True)
    after = next((n for n, line in enumerate(lines) if not line.startswith("|")), len(lines))
    made = table.rstrip("\n") + "\n"
    document.write_text(before + made + "".join(lines[after:]), encoding="utf-8")
