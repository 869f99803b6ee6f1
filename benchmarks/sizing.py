"""The sizing table of docs/production.md, worked out from what benchmarks/production.py measured.

    python benchmarks/sizing.py

Prints the table, and the steps to one of its rows. Change what was measured or assumed, and print
it for your own case.
"""

from __future__ import annotations

from dataclasses import dataclass

# Measured (benchmarks/production.py); the lower figure where two runs differ.
AGENT_REQUESTS = 330  # a worker's requests in a CPU second, fsync on
GATEWAY_SPANS = 30_800  # spans taken in a CPU second
GATEWAY_KEPT = 420  # traces redacted, queued and sent in a CPU second
WINDOW_KIB = 4.8  # memory of a waiting span
WIRE_BYTES = 265  # of a span, in a worker's own request, gzip
TO_KAFKA = 49_600  # spans in a CPU second of the Jaeger before Kafka
WRITTEN = 21_100  # the same of Kafka, written to
READ = 10_700  # and read from
FROM_KAFKA = 13_800  # the same of the Jaeger behind Kafka
INDEXED = 1_180  # the same of OpenSearch
STORED_BYTES = 1_202  # of a span, in OpenSearch

# Assumed.
STARTS = 1  # of each worker, in an hour: two spans of a first read
READS = 11  # later reads in an hour, one each 300 s: two spans, in the trace of a call
CALLS = 360  # in an hour, one each ten seconds: one span
HEALTHY = 0.05  # share of the healthy traces that is kept
WINDOW_S = 10
DAYS = 14
SPARE = 2  # so that half of the machines may fail
HOUR_S = 3_600
DAY_S = 86_400
GIGA = 1e9


@dataclass(frozen=True)
class Case:
    """How many workers, and which share of their calls they trace at all."""

    workers: int
    traced: float = 1.0

    @property
    def calls(self) -> float:
        """Traced calls of a worker in an hour."""
        return CALLS * self.traced

    @property
    def later(self) -> float:
        """Spans of a worker in an hour, other than of its first read."""
        return self.calls + 2 * READS * self.traced

    @property
    def spans(self) -> float:
        """Spans in a second."""
        return self.workers * (2 * STARTS + self.later) / HOUR_S

    @property
    def requests(self) -> float:
        """Requests in a second."""
        return self.workers * (STARTS + self.calls) / HOUR_S

    @property
    def kept_traces(self) -> float:
        """Traces in a second that are kept."""
        return self.workers * (STARTS + HEALTHY * self.calls) / HOUR_S

    @property
    def kept(self) -> float:
        """Spans in a second that are kept."""
        return self.workers * (2 * STARTS + HEALTHY * self.later) / HOUR_S

    @property
    def agents(self) -> float:
        """Cores of the agents."""
        return SPARE * self.requests / AGENT_REQUESTS

    @property
    def gateways(self) -> float:
        """Cores of the gateways."""
        return SPARE * (self.spans / GATEWAY_SPANS + self.kept_traces / GATEWAY_KEPT)

    @property
    def window_gib(self) -> float:
        """Memory of the waiting traces, over all gateways."""
        return self.spans * WINDOW_S * WINDOW_KIB / 1024**2

    @property
    def jaeger_and_kafka(self) -> float:
        """Cores of both Jaegers and of Kafka."""
        return SPARE * self.kept * sum(1 / rate for rate in (TO_KAFKA, WRITTEN, READ, FROM_KAFKA))

    @property
    def opensearch(self) -> float:
        """Cores of OpenSearch."""
        return SPARE * self.kept / INDEXED

    @property
    def stored_gb(self) -> float:
        """What OpenSearch holds of one copy."""
        return self.kept * STORED_BYTES * DAY_S * DAYS / GIGA


CASES = [Case(10_000), Case(1_000_000), Case(100_000_000, 0.01)]


def row(case: Case) -> str:
    """Return a row of the table."""
    cores = (case.agents, case.gateways, case.jaeger_and_kafka, case.opensearch)
    cells = (
        f"{case.workers:,}",
        f"{case.traced:.0%}",
        f"{case.spans:,.0f}",
        f"{case.requests:,.0f}",
        f"{case.spans * WIRE_BYTES / 1e6:,.1f}",
        f"{case.window_gib:,.2f}",
        f"{case.kept:,.0f}",
        *(f"{max(number, SPARE):,.0f}" for number in cores),
        f"{case.stored_gb:,.0f}",
    )
    return f"| {' | '.join(cells)} |"


def steps(case: Case) -> str:
    """Return how a row comes about."""
    workers = f"{case.workers:,}"
    chain = f"1 / {TO_KAFKA:,} + 1 / {WRITTEN:,} + 1 / {READ:,} + 1 / {FROM_KAFKA:,}"
    worked_out = {
        f"spans: {workers} x ({2 * STARTS} + {case.calls:.0f} + {READS} x 2) / {HOUR_S:,} s": (
            f"{case.spans:,.0f} a second"
        ),
        f"requests: {workers} x ({STARTS} + {case.calls:.0f}) / {HOUR_S:,} s": (
            f"{case.requests:,.0f} a second"
        ),
        f"agents: {SPARE} x {case.requests:,.0f} / {AGENT_REQUESTS}": f"{case.agents:,.0f} cores",
        f"gateways: {SPARE} x ({case.spans:,.0f} / {GATEWAY_SPANS:,}"
        f" + {case.kept_traces:,.0f} / {GATEWAY_KEPT})": f"{case.gateways:,.0f} cores",
        f"window: {case.spans:,.0f} x {WINDOW_S} s x {WINDOW_KIB} KiB": (
            f"{case.window_gib:,.2f} GiB over all gateways"
        ),
        f"kept: {workers} x ({2 * STARTS} + {HEALTHY} x {case.later:.0f}) / {HOUR_S:,} s": (
            f"{case.kept:,.0f} spans a second"
        ),
        f"Jaeger and Kafka: {SPARE} x {case.kept:,.0f} x ({chain})": (
            f"{case.jaeger_and_kafka:,.1f} cores"
        ),
        f"OpenSearch: {SPARE} x {case.kept:,.0f} / {INDEXED:,}": f"{case.opensearch:,.0f} cores",
        f"stored: {case.kept:,.0f} x {STORED_BYTES:,} bytes x {DAY_S:,} s x {DAYS}": (
            f"{case.stored_gb:,.0f} GB"
        ),
    }
    return "\n".join(f"- {arithmetic} = {result}" for arithmetic, result in worked_out.items())


def main() -> None:
    """Print the table, and the steps to the row of a million workers."""
    print("\n".join(map(row, CASES)))
    print(steps(CASES[1]))


if __name__ == "__main__":
    main()
