"""Picks the guide's bracketed lines out of a log, in their order and with their mappings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel.lines.table import MARKS

if TYPE_CHECKING:
    from pathlib import Path

_TAGS: Final = tuple(f"[{mark}]" for mark in MARKS)


def bracketed_lines(log: Path) -> list[str]:
    """Return a log's bracketed lines; the lines of a JSON mapping follow the one it begins on."""
    found: list[str] = []
    in_mapping = False
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(_TAGS):
            found.append(line)
            in_mapping = line.endswith("{")
        elif in_mapping:
            found.append(line)
            in_mapping = line != "}"
    return found
