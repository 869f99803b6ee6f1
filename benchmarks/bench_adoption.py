"""What the change of docs/adoption.md costs `import runpod_flash` and `import runpod.apps`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from bench_process import cpu_seconds
from measuring import Row, paired, row

from flash_otel.demo.environment import find_environment
from flash_otel.demo.processes import flash_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.adopted import Adopted, adopt  # noqa: E402 - the copies of the tests

IMPORTS: Final = {"1.21.0": "runpod_flash", "2.0.0rc2": "runpod.apps"}
"""Version of Flash to the module that the change adds its lines to."""

# `runpod.apps` imports modules with targets by itself, and so starts tracing.
GOALS: Final = {"1.21.0": 15.0, "2.0.0rc2": None}

ROUNDS: Final = 30
TIMED: Final = """
import time
begin = time.process_time()
import {module}
print(time.process_time() - begin)
"""


def import_ms(adopted: Adopted, home: Path, *, changed: bool, traced: bool) -> float:
    """Return the milliseconds of CPU that the import takes, the interpreter's start excluded."""
    module = IMPORTS[adopted.environment.version]
    environ = {
        **flash_environment("http://127.0.0.1:9", home=home),
        "PYTHONPATH": adopted.path(changed=changed, traced=traced),
    }
    command = [str(adopted.environment.python), "-c", TIMED.format(module=module)]
    done = subprocess.run(
        command, env=environ, cwd=home, check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1]) * 1000


def rows_of(adopted: Adopted, home: Path) -> Iterator[Row]:
    """Compare the changed package, without and with flash_otel, with the untouched one."""
    name = f"`import {IMPORTS[adopted.environment.version]}` ({adopted.environment.version})"
    measure = partial(import_ms, adopted, home)
    untouched = partial(measure, changed=False, traced=False)
    without = partial(measure, changed=True, traced=False)
    yield paired(
        f"{name}, changed, no flash_otel", "untouched", without, untouched,
        rounds=ROUNDS, goal=1.05, note="{:.1f} against {:.1f} ms of CPU",
    )  # fmt: skip
    measure(changed=True, traced=True)
    pairs = [(measure(changed=True, traced=True), untouched()) for _ in range(ROUNDS)]
    ours, theirs = (median(side) for side in zip(*pairs, strict=True))
    yield row(
        f"{name}: added by flash_otel", "ms", [mine - other for mine, other in pairs],
        goal=GOALS[adopted.environment.version], note=f"{ours:.1f} against {theirs:.1f} ms of CPU",
    )  # fmt: skip


def help_text(adopted: Adopted, home: Path) -> Iterator[Row]:
    """Compare `flash --help`, which imports most targets, with that of the untouched Flash."""
    command = [str(adopted.environment.python), str(adopted.environment.flash), "--help"]
    environ = flash_environment("http://127.0.0.1:9", home=home)
    measured = [
        partial(
            cpu_seconds,
            command,
            {**environ, "PYTHONPATH": adopted.path(changed=changed, traced=changed)},
        )
        for changed in (True, False)
    ]
    yield paired(
        "`flash --help` (1.21.0), changed, with flash_otel", "untouched", *measured,
        rounds=10, note="{:.2f} against {:.2f} s of CPU",
    )  # fmt: skip


def rows() -> Iterator[Row]:
    """Start many processes, one after another, with a changed copy of each version."""
    for version in IMPORTS:
        with tempfile.TemporaryDirectory() as folder:
            adopted = adopt(find_environment(version, cache=ROOT / ".cache"), Path(folder, "copy"))
            yield from rows_of(adopted, Path(folder))
            if version == "1.21.0":
                yield from help_text(adopted, Path(folder))
