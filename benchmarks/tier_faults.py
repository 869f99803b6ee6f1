"""Faults of the tier beyond one machine, and what is lost: a table of docs/production.md.

    python benchmarks/tier_faults.py [--list] [NAME ...]

The real programs run from the shipped files, as in tests/support/tier.py, and take failed spans
(which no gateway leaves out) while each fault happens. A span is lost if it was acknowledged and is
not in OpenSearch once nothing arrives any more. Exit status 1 if, other than by a killed gateway,
one is not in Kafka's topic, either. Needs `make collector engines`; takes 15 minutes.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.certificates import make_access
from support.real_collector import Starter, find_binaries
from support.senders import Load
from support.tier import PROGRAMS, Tier, start_tier

if TYPE_CHECKING:
    from collections.abc import Callable

    Act = Callable[[Tier], None]

FAILED: Final = {"status": {"code": 2}}
PAUSE_S: Final = 0.1
SPANS: Final = 1_000
"""Spans that are acknowledged before a fault, and again after it."""

DOWN_S: Final = 5.0
LONG_S: Final = 60.0
# Longer than the longest pause between two attempts (30 s, in the shipped files).
QUIET_S: Final = 45.0
LIMIT_S: Final = 300.0
POLL_S: Final = 1.0


def killed(name: str, seconds: float = DOWN_S) -> Act:
    """Return a SIGKILL, and a start after so long."""

    def act(tier: Tier) -> None:
        tier.programs[name].kill()
        time.sleep(seconds)
        tier.programs[name].start()

    return act


def stopped(name: str) -> Act:
    """Return an orderly restart, as a rolling update makes it."""

    def act(tier: Tier) -> None:
        tier.programs[name].stop()
        tier.programs[name].start()

    return act


def full(tier: Tier) -> None:
    """Refuse writes, as OpenSearch does by itself when its disk is nearly full."""
    tier.opensearch.block_writes(blocked=True)
    time.sleep(LONG_S)
    tier.opensearch.block_writes(blocked=False)


def frozen(tier: Tier) -> None:
    """Let OpenSearch accept connections, and answer nothing."""
    os.kill(tier.opensearch.pid, signal.SIGSTOP)
    time.sleep(LONG_S)
    os.kill(tier.opensearch.pid, signal.SIGCONT)


def slow(tier: Tier) -> None:
    """Let OpenSearch run for a tenth of the time."""
    for _ in range(int(LONG_S)):
        os.kill(tier.opensearch.pid, signal.SIGSTOP)
        time.sleep(0.9)
        os.kill(tier.opensearch.pid, signal.SIGCONT)
        time.sleep(0.1)


LOSES: Final = "gateway killed"
"""The fault that loses spans: of the traces that wait for a decision, in memory."""

FAULTS: Final[dict[str, Act]] = {
    "agent killed": killed("agent"),
    LOSES: killed("gateway 1"),
    "gateway restarted": stopped("gateway 1"),
    "Jaeger before Kafka killed": killed("producer"),
    "Kafka killed": killed("kafka"),
    "Jaeger behind Kafka killed": killed("ingester"),
    "Jaeger behind Kafka restarted": stopped("ingester"),
    "OpenSearch killed": killed("opensearch"),
    "OpenSearch down for a minute": killed("opensearch", LONG_S),
    "index full for a minute": full,
    "OpenSearch frozen for a minute": frozen,
    "OpenSearch at a tenth of its speed for a minute": slow,
}


@dataclass(frozen=True)
class Outcome:
    """What became of the acknowledged spans.

    Attributes:
        acknowledged: Their number.
        lost: Of these, how many OpenSearch lacks.
        repeated: Of these, how many it has more than once.
        seconds: From the end of the load until the last one was stored.
    """

    acknowledged: int
    lost: int
    repeated: int
    seconds: float


def measure(tier: Tier, act: Act) -> tuple[Load, Outcome]:
    """Let a fault happen under load, and wait until nothing arrives any more."""
    load = Load(tier.agent, pause_s=PAUSE_S, fields=FAILED)
    with load.sending():
        load.wait_for(SPANS)
        act(tier)
        load.wait_for(load.count + SPANS)
    return load, outcome(tier, load)


def outcome(tier: Tier, load: Load) -> Outcome:
    """Wait until all spans are stored, or none has been for a while."""
    began = changed = time.monotonic()
    ids, lost = load.ids, load.count
    while lost and time.monotonic() < min(began + LIMIT_S, changed + QUIET_S):
        stored = Counter(tier.stored())
        if (missing := len(ids - stored.keys())) != lost:
            lost, changed = missing, time.monotonic()
        time.sleep(POLL_S)
    repeated = sum(stored[span] > 1 for span in ids)
    return Outcome(len(ids), lost, repeated, changed - began)


def not_in_topic(tier: Tier, load: Load) -> int:
    """Return how many of the acknowledged spans are missing after the topic was read again."""
    tier.read_again(f"again-{time.monotonic_ns()}")
    return outcome(tier, load).lost


def row(name: str, found: Outcome) -> str:
    """Return a row of the table."""
    counts = (found.acknowledged, found.lost, found.repeated)
    return f"| {name} | {' | '.join(f'{count:,}' for count in counts)} | {found.seconds:.0f} s |"


def main() -> int:
    """Let each fault happen once, and print the table; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults; all without any")
    parser.add_argument("--list", action="store_true", help="print the faults")
    options = parser.parse_args()
    if options.list:
        print("\n".join(FAULTS))
        return 0
    starter, unexpected = Starter(find_binaries(*PROGRAMS)), 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            tier = start_tier(starter, Path(folder), make_access(Path(folder)))
            for name in options.names or FAULTS:
                load, found = measure(tier, FAULTS[name])
                print(row(name, found), flush=True)
                if found.lost:
                    gone = not_in_topic(tier, load)
                    print(f"(of which the topic lacks {gone:,})", flush=True)
                    unexpected += gone if name != LOSES else 0
    finally:
        starter.end()
    print(f"load of the machine: {os.getloadavg()}")
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
