"""Prints what becomes of ten spans under every fault of a collector, ours and the SDK's alone.

    python benchmarks/reliability.py [--write docs/reliability.md]

Every row is a real process with a real (bad) collector on loopback, run for this table: ours
twice, since a destination that has failed before is not waited for as long.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from faults.collectors import BAD, KINDS, Reply  # noqa: E402 - the tests' own collectors
from faults.victims import ENDINGS, SPANS, Ended, Victim  # noqa: E402 - the same

from flash_otel.pipeline import forward_cursor  # noqa: E402 - the same
from flash_otel.pipeline.store import SpanStore  # noqa: E402 - the same

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD: Final = (
    "fault", "protocol", "with", "exit delay, s", "spans made", "delivered", "waiting", "lost",
    "duplicated in the store", "lines printed",
)  # fmt: skip
TEXT: Final = """# Never late, never lost

What becomes of the spans of a process whose collector is in trouble. flash_otel stores a span
first and forwards it after: what a collector does not acknowledge waits in the local store and goes
with the next run, or with `flash-otel push`; `flash-otel status` shows what waits, for whom, since
when and why.

At exit, flash_otel's own threads have `FLASH_OTEL_EXIT_BUDGET` seconds (0.5 where it is not set). A
destination that has failed before gets a seventh of it. Not more than one line is printed, and only
where something waits. On a provider of the application's own, the application's exporters send the
spans, and their time at exit is theirs.

Printed by `python benchmarks/reliability.py`, from real processes and sockets; the rows of the SDK
alone (batch processor and OTLP exporter, their defaults) are from the same run. The exit delay is
measured by the process itself, from its last line to its last exit handler.

{table}
On the wire a span goes at least once: an acknowledgement that is lost sends it again. In the store
and in a diagnosis it is unique by trace id and span id.

What a collector refuses for good (HTTP 4xx and 5xx but 429, 502, 503 and 504; the gRPC codes that
the OTLP specification does not let a client repeat; the rejected part of a partial success) is set
aside with its reason: `flash-otel push --rejected` sends it again. A batch that is too large is
split. `Retry-After` and gRPC's RetryInfo are honoured, also by the next process.

Without a store (`FLASH_OTEL_STORE=off`, or in a worker) 4,096 spans wait in memory; of more, the
oldest healthy ones go first, and `flash.dropped_spans` on the next one that gets out counts them. A
worker writes what it cannot send to its own log, which a diagnosis can read.

SIGTERM and SIGHUP at their default, in a process with a store: what has ended is stored and, within
the budget, sent; then the process dies of the very signal. A handler of the host's is left alone.
"""


@dataclass(frozen=True)
class Fate:
    """What became of the spans of one process."""

    fault: str
    protocol: str
    made_with: str
    ended: Ended
    delivered: int
    waiting: int = 0
    duplicated: int = 0

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        delay = "-" if self.ended.exit_s is None else f"{self.ended.exit_s:.2f}"
        lost = SPANS - self.delivered - self.waiting
        numbers = (SPANS, self.delivered, self.waiting, lost, self.duplicated)
        lines = len(self.ended.lines)
        return (self.fault, self.protocol, self.made_with, delay, *map(str, numbers), str(lines))


def ours(folder: Path, fault: str, url: str, collector: Any, **more: Any) -> Iterator[Fate]:
    """Run the process twice with flash_otel."""
    for attempt in ("flash_otel", "flash_otel, next run"):
        before = len(set(collector.keys)), _standing(folder)[0]
        victim = Victim(folder, url, collector.protocol, **more)
        ended = victim.run()
        waiting, duplicated = _standing(folder)
        delivered = len(set(collector.keys)) - before[0]
        carried = before[1]
        yield Fate(
            fault, collector.protocol, attempt, ended, delivered - max(0, carried - waiting),
            waiting - carried if waiting > carried else 0, duplicated,
        )  # fmt: skip


def alone(folder: Path, fault: str, url: str, collector: Any, **more: Any) -> Fate:
    """Run the process with the SDK alone."""
    before = len(set(collector.keys))
    ended = Victim(folder, url, collector.protocol, with_sdk=True, **more).run()
    return Fate(fault, collector.protocol, "SDK", ended, len(set(collector.keys)) - before)


def _standing(folder: Path) -> tuple[int, int]:
    """Return how many spans wait, and how many are in the store more than once."""
    if not (folder / "spans.db").exists():
        return 0, 0
    with SpanStore(folder / "spans.db") as store:
        keys = [record.key for record in store.spans()]
        waiting = sum(one.waiting for one in forward_cursor.standings(store.connection))
    return waiting, len(keys) - len(set(keys))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def fates() -> Iterator[Fate]:
    """Run everything, one process after another."""
    for kind in KINDS:
        for fault, bad in BAD.items():
            with _folder() as folder, bad() as url:
                nobody = kind()
                yield from ours(folder, fault, url, nobody)
                yield alone(folder, fault, url, nobody)
        for fault, replies in _ANSWERING.items():
            with _folder() as folder, kind(*replies) as collector:
                yield from ours(folder, fault, collector.url, collector)
            with _folder() as folder, kind(*replies) as collector:
                yield alone(folder, fault, collector.url, collector)
    for ending in ENDINGS:
        with _folder() as folder, KINDS[0]() as collector:
            yield next(ours(folder, f"live, {ending}", collector.url, collector, ending=ending))


_ANSWERING: Final[dict[str, tuple[Reply, ...]]] = {
    "live": (),
    "busy once (503)": (Reply(503, code="UNAVAILABLE"),),
}


def table(rows: list[tuple[str, ...]]) -> str:
    """Return the rows as a Markdown table."""
    lines = [HEAD, tuple("---" for _ in HEAD), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main() -> None:
    """Print the table, and write the document where one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the document to write")
    arguments = parser.parse_args()
    rows = []
    for fate in fates():
        rows.append(fate.cells)
        print(" | ".join(fate.cells), flush=True)
    if arguments.write is not None:
        arguments.write.write_text(TEXT.format(table=table(rows)), encoding="utf-8")


if __name__ == "__main__":
    main()
