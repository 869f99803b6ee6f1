"""Prints every goal of speed and size beside its peer: `python benchmarks [NAME ...]`.

NAME is one of call, store, logs, process; all of them where none is named. `--write FILE` writes
the document that holds the table.
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

PARTS: Final = ("call", "store", "logs", "process")
HEAD: Final = ("what", "peer", "median", "quartiles", "goal", "", "each side")
TEXT: Final = Path(__file__).with_name("performance.md.in")


def rows(parts: list[str]) -> Iterator[Row]:
    """Run the benchmarks, one after another."""
    for part in parts:
        yield from import_module(f"bench_{part}").rows()


def table(cells: list[tuple[str, ...]]) -> str:
    """Return rows as a Markdown table."""
    lines = [HEAD, tuple("---" for _ in HEAD), *cells]
    return "".join(f"| {' | '.join(one)} |\n" for one in lines)


def machine() -> str:
    """Say what the figures were measured with."""
    sdk = metadata.version("opentelemetry-sdk")
    return f"Python {platform.python_version()}, OpenTelemetry {sdk}, {platform.machine()}"


def main() -> int:
    """Print the table, and write the document where one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--write", type=Path, metavar="FILE", help="the document to write")
    arguments = parser.parse_args()
    unknown = [one for one in arguments.parts if one not in PARTS]
    if unknown:
        parser.error(f"{unknown[0]!r} is none of {', '.join(PARTS)}")
    cells = []
    for one in rows(arguments.parts or list(PARTS)):
        cells.append(one.cells)
        print(" | ".join(one.cells), flush=True)
    if arguments.write is not None:
        text = TEXT.read_text("utf-8").replace("{table}", table(cells))
        arguments.write.write_text(text.replace("{machine}", machine()), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
