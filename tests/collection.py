"""Collect the tests twice and compare: parallel workers must agree on every test and its place.

pytest-xdist gives each worker its own interpreter, and refuses to run if two of them collect
different tests. A parameter that holds the time, or the order of a set, passes most of the time
and then fails the whole run, so this check forces the difference: another hash seed, and a later
second.

    python tests/collection.py
"""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]

_HASH_SEEDS: Final = (1, 2)
_SHOWN_LINES: Final = 20
_SHOWN_WIDTH: Final = 160


def collect(hash_seed: int) -> list[str]:
    """Return the ids of all tests in the order of collection.

    Raises:
        SystemExit: pytest could not collect; its output is printed.
    """
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    collected = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=False,
    )
    if collected.returncode:
        sys.exit(collected.stdout + collected.stderr)
    return [line for line in collected.stdout.splitlines() if "::" in line]


def main() -> int:
    """Compare two collections; print how they differ and return 1 if they do."""
    first = collect(_HASH_SEEDS[0])
    time.sleep(1)  # gzip headers, for one, hold the time in whole seconds
    second = collect(_HASH_SEEDS[1])
    if first == second:
        print(f"{len(first)} tests, collected twice: the same.")
        return 0
    print("Two collections differ. Make parameters and their ids constants:")
    differences = difflib.unified_diff(first, second, "first", "second", n=0, lineterm="")
    for line in list(differences)[:_SHOWN_LINES]:
        print(line[:_SHOWN_WIDTH])
    return 1


if __name__ == "__main__":
    sys.exit(main())
