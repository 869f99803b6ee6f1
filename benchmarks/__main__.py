"""Prints every goal of speed and size beside its peer: `python benchmarks [NAME ...]`.

NAME is call, store, logs, process, adoption or page; without a name, all of them run. With
`--write FILE`, it writes the document that holds the table.
"""

from __future__ import annotations

import argparse
import platform
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from measuring import Row

PARTS: Final = ("call", "store", "logs", "process", "adoption", "page")
HEAD: Final = ("what", "peer", "median", "quartiles", "goal", "", "each side")
TEXT: Final = Path(__file__).with_name("performance.md.in")


def rows(parts: list[str]) -> Iterator[Row]:
    """Run the benchmarks, one after another."""
    for part in parts:
        yield from import_module(f"bench_{part}").rows()


def table(cells: list[tuple[str, ...]]) -> str:
    """Return rows as a Markdown table."""
    lines = [HEAD, tuple("---" for _ in HEAD), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def machine() -> str:
    """Return the machine and the versions behind the figures."""
    sdk = metadata.version("opentelemetry-sdk")
    return f"Python {platform.python_version()}, OpenTelemetry {sdk}, {platform.machine()}"


def main() -> int:
    """Print the table, and write the document where one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--write", type=Path, metavar="FILE", help="the document to write")
    arguments = parser.parse_args()
    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        parser.error(f"{unknown[0]!r} is none of {', '.join(PARTS)}")
    cells = []
    for row in rows(arguments.parts or list(PARTS)):
        cells.append(row.cells)
        print(" | ".join(row.cells), flush=True)
    if arguments.write is not None:
        text = TEXT.read_text("utf-8").replace("{table}", table(cells))
        arguments.write.write_text(text.replace("{machine}", machine()), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
