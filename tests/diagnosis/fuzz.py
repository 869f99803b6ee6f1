"""Diagnose generated recordings and logs that are cut, masked, mixed and packed at random.

    PYTHONPATH=tests python -m diagnosis.fuzz --cases 200000 --seed 1

Nothing may raise, and no healthy recording may be accused. A case depends on its seed and number
alone, so that `--first NUMBER --cases 1` repeats it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from diagnosis.logs import written_logs
from diagnosis.recordings import NOW_NS
from diagnosis.scenes import HEALTHY, SCENES
from diagnosis.variants import (
    LOG_VARIANTS,
    LOSSES,
    SPAN_LOSSES,
    SPAN_VARIANTS,
    Evidence,
    Logs,
    packed,
)
from readers.exports import EXPORTS

from flash_otel.diagnosis import Limits
from flash_otel.diagnosis.readers import ReaderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.records import SpanRecord

LIMITS: Final = Limits(now_ns=NOW_NS)
SOUND: Final = sorted(
    name
    for name, scene in HEALTHY.items()
    if all(record.status != "error" for record in scene.make())
    and name
    not in (
        "a server that answers the upload with nothing, and reads that hold it",
        "an old fault that a new deployment has cured",
    )
)
"""Scenes of which every part is healthy: no later record clears an earlier one."""


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """One case.

    Attributes:
        name: The scene and what was done to it.
        is_sound: Whether no fault may be found in it.
        evidence: What a diagnosis is given.
    """

    name: str
    is_sound: bool
    evidence: Evidence


def case(seed: int, number: int) -> Fuzzed:
    """Make one case from its seed and number."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311 - repeatable, no secret
    is_sound = chance.random() < 0.6
    scene = chance.choice(SOUND if is_sound else sorted(SCENES))
    spans = SCENES[scene].make()
    logs = _logs_of(spans, with_spans=chance.random() < 0.3)
    make = chance.choice((_of_spans, _of_logs, _of_logs, _of_lost_logs, _of_both))
    done, evidence = make(spans, logs, chance)
    if chance.random() < 0.1:
        done, evidence = f"{done}, garbage", _with_garbage(evidence, chance)
    return Fuzzed(f"{scene}: {done}", is_sound or scene in SOUND, evidence)


def _logs_of(spans: list[SpanRecord], *, with_spans: bool) -> Logs:
    """Return the logs of a recording's processes as timed lines."""
    found: Logs = {}
    for name, text in written_logs(spans, "zoned", with_spans=with_spans).items():
        entries = []
        for line in text.splitlines():
            stamp, _, rest = line.partition(" ")
            entries.append((_nanoseconds(stamp), rest))
        found[name] = entries
    return found


def _nanoseconds(stamp: str) -> int:
    from flash_otel.diagnosis.readers.log_entry import time_of

    return time_of(stamp)[0] or 0


def _of_spans(spans: list[SpanRecord], _: Logs, chance: random.Random) -> tuple[str, Evidence]:
    name = chance.choice([*SPAN_VARIANTS, *SPAN_LOSSES])
    return f"spans, {name}", (SPAN_VARIANTS | SPAN_LOSSES)[name].make(spans, chance)


def _of_logs(_: list[SpanRecord], logs: Logs, chance: random.Random) -> tuple[str, Evidence]:
    name = chance.choice([*LOG_VARIANTS])
    return name, LOG_VARIANTS[name].make(logs, chance)


def _of_lost_logs(_: list[SpanRecord], logs: Logs, chance: random.Random) -> tuple[str, Evidence]:
    """Arrange, pack and then lose: a mask or a cut within a container."""
    export = chance.choice([*EXPORTS])
    evidence = packed(logs, EXPORTS[export])
    # A document on one line loses a whole log by a cut, and a broken row is not read.
    possible = [*LOSSES] if export == "plain" else ["masked"]
    losses = [chance.choice(possible) for _ in range(chance.randint(1, 2))]
    files = dict(evidence.files)
    for loss in losses:
        try:
            files = LOSSES[loss](files, chance)
        except UnicodeDecodeError:  # a packed file has no lines
            break
    return f"{export}, {' and '.join(losses)}", Evidence(files=files)


def _of_both(spans: list[SpanRecord], logs: Logs, chance: random.Random) -> tuple[str, Evidence]:
    first, made = _of_spans(spans, logs, chance)
    second, more = _of_logs(spans, logs, chance)
    return f"{first} beside {second}", made + more


def _with_garbage(evidence: Evidence, chance: random.Random) -> Evidence:
    """Put a line of random bytes into a file, or add a file of them."""
    files = dict(evidence.files)
    noise = chance.randbytes(chance.randint(1, 200))
    name = chance.choice([*files, "more.log"])
    data = files.get(name, b"")
    at = data.rfind(b"\n", 0, chance.randint(0, len(data))) + 1
    return Evidence(evidence.records, {**files, name: data[:at] + noise + b"\n" + data[at:]})


def problems(seed: int, numbers: range, folder: Path) -> Iterator[str]:
    """Yield what is wrong in cases: an error, or a healthy recording that is accused."""
    for number in numbers:
        fuzzed = case(seed, number)
        try:
            found = fuzzed.evidence.judged(LIMITS, folder)
        except ReaderError:
            continue  # the file is named, and why it cannot be read
        except Exception:
            yield f"{number}: {fuzzed.name}\n{traceback.format_exc()}"
            continue
        finally:
            for path in folder.iterdir():
                path.unlink()
        if fuzzed.is_sound and found.accuses:
            yield f"{number}: {fuzzed.name}: {found.verdict} {found.confidence}"


def main() -> int:
    """Run the cases that the options name; the status is 1 if any is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    begun, count = time.monotonic(), 0
    numbers = range(options.first, options.first + options.cases)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        for text in problems(options.seed, numbers, Path(name)):
            count += 1
            print(text, flush=True)  # noqa: T201 - a script
    seconds = time.monotonic() - begun
    print(f"{options.cases} cases in {seconds:.0f} s, {count} wrong.")  # noqa: T201 - a script
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
