"""The sizing table of docs/production.md, worked out from what benchmarks/production.py measured.

    python benchmarks/sizing.py

Change what was measured or assumed, and print the table for your own case.
"""

from __future__ import annotations

from dataclasses import dataclass

# Measured (benchmarks/production.py); the lower figure where two runs differ.
AGENT_REQUESTS = 330  # a worker's requests in a CPU second, fsync on
GATEWAY_SPANS = 30_800  # spans taken in a CPU second
GATEWAY_KEPT = 420  # traces redacted, queued and sent in a CPU second
WINDOW_KIB = 4.8  # memory of a waiting span
WIRE_BYTES = 265  # of a span, in a worker's own request, gzip
STORED_BYTES = 1_424  # of a span, Jaeger with Badger

# Assumed.
STARTS = 1  # of each worker, in an hour: two spans of a first read
READS = 11  # later reads in an hour, one each 300 s: two spans, in the trace of a call
CALLS = 360  # in an hour, one each ten seconds: one span
HEALTHY = 0.05  # share of the healthy traces that is kept
WINDOW_S = 10
DAYS = 14
SPARE = 2  # so that half of the machines may fail
GIGA = 1e9


@dataclass(frozen=True)
class Case:
    """How many workers, and which share of their calls they trace at all."""

    workers: int
    traced: float = 1.0


CASES = [Case(10_000), Case(1_000_000), Case(100_000_000, 0.01)]


def row(case: Case) -> str:
    """Work out one row."""
    calls = CALLS * case.traced
    later = calls + 2 * READS * case.traced
    spans = case.workers * (2 * STARTS + later) / 3600
    requests = case.workers * (STARTS + calls) / 3600
    kept_traces = case.workers * (STARTS + HEALTHY * calls) / 3600
    kept_spans = case.workers * (2 * STARTS + HEALTHY * later) / 3600
    agents = SPARE * requests / AGENT_REQUESTS
    gateways = SPARE * (spans / GATEWAY_SPANS + kept_traces / GATEWAY_KEPT)
    cells = (
        f"{case.workers:,}",
        f"{case.traced:.0%}",
        f"{spans:,.0f}",
        f"{requests:,.0f}",
        f"{max(agents, SPARE):,.0f}",
        f"{max(gateways, SPARE):,.0f}",
        f"{spans * WINDOW_S * WINDOW_KIB / 1024**2:,.2f}",
        f"{spans * WIRE_BYTES / 1e6:,.1f}",
        f"{kept_spans:,.0f}",
        f"{kept_spans * STORED_BYTES * 86_400 * DAYS / GIGA:,.0f}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    print("\n".join(map(row, CASES)))


if __name__ == "__main__":
    main()
