"""Print what happens to spans under every known fault, with flash_otel and with the SDK alone.

    python benchmarks/reliability.py [--write docs/reliability.md] [--only TEXT]

Every row is a real process with a real fault, run for this table. flash_otel runs twice, because
the next run sends what the first one left. All of it takes about seven minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from document import replace_table  # noqa: E402 - behind the path of the tests
from reliability_flash import kills, large_manifest  # noqa: E402 - the tests' own modules
from reliability_rows import HEAD, Row, rows_of  # noqa: E402 - the same
from reliability_scenes import scenes  # noqa: E402 - the same

if TYPE_CHECKING:
    from collections.abc import Iterator


def rows(only: str) -> Iterator[Row]:
    """Run every fault whose name contains `only`, in sequence."""
    for scene in scenes():
        if only in scene.fault:
            yield from rows_of(scene)
    for name, made in (("kill -9", kills), ("manifest of 50 MB", large_manifest)):
        if only in name or name in only:
            yield from made()


def table(cells: list[tuple[str, ...]]) -> str:
    """Return the rows as a Markdown table."""
    lines = [HEAD, tuple("---" for _ in HEAD), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Print the table, and write the document if `--write` names it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="the document to write")
    parser.add_argument("--only", default="", help="only faults whose name holds this")
    arguments = parser.parse_args()
    began = time.monotonic()
    cells = []
    for row in rows(arguments.only):
        cells.append(row.cells)
        print(" | ".join(row.cells), flush=True)
    print(f"{time.monotonic() - began:.0f} s")
    if arguments.write is not None:
        replace_table(arguments.write, table(cells))


if __name__ == "__main__":
    main()
