"""Prints whether flash_otel works with the lowest and highest versions: `make bounds`.

Each Python from 3.10 on that is on PATH gets an environment in the cache, for each bound.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Final

from support.bounds import HIGHEST, LOWEST, find_bound, smoke

from flash_otel.demo.packages import InstallError

MINORS: Final = range(10, 16)
_FAILURES: Final = (InstallError, OSError, subprocess.SubprocessError)


def result(bound: str, python: str) -> str:
    """Return `ok`, or the last line of the failure."""
    try:
        done = smoke(find_bound(bound, python))
    except _FAILURES as error:
        return f"not installed: {str(error).strip().splitlines()[-1]}"
    if done.returncode == 0 and not done.stderr:
        return "ok"
    return (done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1]


def is_there(python: str) -> bool:
    """Return whether a command is a Python that starts: pyenv's may be a mere stand-in."""
    command = shutil.which(python)
    if command is None:
        return False
    return subprocess.run([command, "-V"], capture_output=True, check=False).returncode == 0


def main() -> int:
    """Print a row for each Python; return 1 if a bound failed."""
    has_failed = False
    print(f"{'Python':8}{LOWEST:32}{HIGHEST}")
    for python in (f"python3.{minor}" for minor in MINORS):
        if not is_there(python):
            print(f"{python[6:]:8}not installed here")
            continue
        results = [result(bound, python) for bound in (LOWEST, HIGHEST)]
        has_failed = has_failed or results != ["ok", "ok"]
        print(f"{python[6:]:8}{results[0]:32}{results[1]}", flush=True)
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main())
