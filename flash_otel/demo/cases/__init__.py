"""The cases of the matrix: what is injected, and which code a diagnosis must name.

The names stay on this side, as those of the scenarios do. A case may hold what a guide's scenario
does not: several workers, two folders, two apps, clocks that differ.
"""

from __future__ import annotations

from typing import Final

from flash_otel.demo.cases.calling import CALLING
from flash_otel.demo.cases.case import (
    DOUBTED,
    FILE,
    LINES,
    SAID,
    SILENT,
    SOURCES,
    STORE,
    Case,
    Deploy,
    Work,
)
from flash_otel.demo.cases.healthy import HEALTHY
from flash_otel.demo.cases.reading import READING
from flash_otel.demo.cases.writing import WRITING

__all__ = [
    "CASES",
    "DOUBTED",
    "FILE",
    "LINES",
    "SAID",
    "SILENT",
    "SOURCES",
    "STORE",
    "Case",
    "Deploy",
    "Work",
]

CASES: Final[dict[str, Case]] = {
    case.name: case for case in (*WRITING, *READING, *CALLING, *HEALTHY)
}
