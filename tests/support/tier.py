"""The tier beyond one machine, from the files of collector/production, on ports of loopback.

    agent -> two gateways -> Jaeger -> Kafka -> Jaeger -> OpenSearch

Only addresses, folders and how long a gateway waits differ from what is shipped.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from support import engines
from support.real_collector import BUNDLE, JAEGER_PORTS, Collector, Jaeger, Program

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from support.engines import Kafka, OpenSearch
    from support.real_collector import Access, Starter

PRODUCTION: Final = BUNDLE / "production"
PROGRAMS: Final = ("otelcol", "jaeger", *engines.NAMES)

SPANS: Final = "flash-jaeger-span-*"
"""The indices of spans."""


_ARRIVAL_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.5  # each look at the index refreshes it

_TO_KAFKA_PORTS: Final = ("JAEGER_OTLP_PORT", "JAEGER_HEALTH_PORT", "JAEGER_TELEMETRY_PORT")


@dataclass(frozen=True)
class Tier:
    """All programs of the tier, running.

    Attributes:
        agent: Takes spans, and routes each trace to one gateway.
        gateways: Decide which traces are kept.
        producer: The Jaeger that writes to Kafka.
        kafka: Holds the spans until they are stored.
        ingester: The Jaeger that reads from Kafka, writes to OpenSearch, and answers queries.
        opensearch: The storage.
    """

    agent: Collector
    gateways: tuple[Collector, ...]
    producer: Jaeger
    kafka: Kafka
    ingester: Jaeger
    opensearch: OpenSearch

    def stored(self) -> list[str]:
        """Return the id of every span in OpenSearch, as often as it is there."""
        return self.opensearch.values(SPANS, "spanID")

    def wait_for(self, ids: Iterable[str]) -> None:
        """Wait until OpenSearch has the spans of these ids.

        Raises:
            AssertionError: Some are not there after two minutes.
        """
        wanted, deadline = {*ids}, time.monotonic() + _ARRIVAL_SECONDS
        while missing := wanted - {*self.stored()}:
            assert time.monotonic() < deadline, f"{len(missing)} of {len(wanted)} are missing"
            time.sleep(_POLL_SECONDS)

    def start_again(self, names: Iterable[str]) -> None:
        """Start programs that have ended: the engines side by side, then the others."""
        programs = {name: self.programs[name] for name in names}
        waited = [programs.pop(name) for name in engines.NAMES if name in programs]
        with ThreadPoolExecutor(len(engines.NAMES)) as threads:
            for _ in threads.map(Program.start, waited):
                pass
        for program in programs.values():
            program.start()

    def read_again(self, group: str) -> None:
        """Restart the ingester as a consumer group that has read nothing of the topic yet."""
        self.ingester.stop()
        self.ingester.variables["KAFKA_GROUP"] = group
        self.ingester.start()

    @property
    def programs(self) -> dict[str, Program]:
        """Every program by its role."""
        gateways = {f"gateway {number}": each for number, each in enumerate(self.gateways, 1)}
        return {
            "agent": self.agent,
            **gateways,
            "producer": self.producer,
            "kafka": self.kafka,
            "ingester": self.ingester,
            "opensearch": self.opensearch,
        }


def start_tier(starter: Starter, folder: Path, access: Access, **variables: str) -> Tier:
    """Start everything, the two engines side by side.

    Args:
        starter: Starts and ends the programs.
        folder: Where their data and logs are.
        access: The certificate of Kafka.
        variables: Further variables of the gateways.
    """
    with ThreadPoolExecutor(2) as threads:
        storing = threads.submit(engines.start_opensearch, starter, folder / "opensearch")
        kafka = engines.start_kafka(starter, folder / "kafka", access)
        producer = start_producer(starter, folder / "producer", kafka)
        gateways = tuple(
            start_gateway(starter, folder / f"gateway-{number}", producer, **variables)
            for number in (1, 2)
        )
        agent = starter.agent(folder / "agent", gateways)
        opensearch = storing.result()
    ingester = start_ingester(starter, folder / "ingester", kafka, opensearch)
    return Tier(agent, gateways, producer, kafka, ingester, opensearch)


def start_gateway(starter: Starter, folder: Path, producer: Jaeger, **more: str) -> Collector:
    """Start a gateway in front of the Jaeger that writes to Kafka."""
    return starter.collector(folder, producer.otlp, [PRODUCTION / "gateway.yaml"], **more)


def start_producer(starter: Starter, folder: Path, kafka: Kafka) -> Jaeger:
    """Start the Jaeger that writes to Kafka."""
    files = [PRODUCTION / "jaeger-to-kafka.yaml"]
    health = ("JAEGER_HEALTH_PORT", "/status")
    return starter.start(Jaeger, "jaeger", files, folder, _TO_KAFKA_PORTS, _client(kafka), *health)


def start_ingester(starter: Starter, folder: Path, kafka: Kafka, opensearch: OpenSearch) -> Jaeger:
    """Start the Jaeger that reads from Kafka, stores, and serves the API."""
    files = ("jaeger-opensearch.yaml", "jaeger-from-kafka.yaml")
    return _start_storing(starter, folder, files, opensearch, _client(kafka))


def start_without_kafka(starter: Starter, folder: Path, opensearch: OpenSearch) -> Jaeger:
    """Start the Jaeger that takes OTLP, stores, and serves the API."""
    return _start_storing(starter, folder, ("jaeger-opensearch.yaml",), opensearch, {})


def _start_storing(
    starter: Starter,
    folder: Path,
    names: tuple[str, ...],
    opensearch: OpenSearch,
    more: dict[str, str],
) -> Jaeger:
    files = [PRODUCTION / name for name in names]
    variables = {
        **more,
        "JAEGER_UI_CONFIG": str(BUNDLE / "jaeger-ui.json"),
        "OPENSEARCH_URLS": f"[{opensearch.url('HTTP_PORT')}]",
    }
    health = ("JAEGER_HEALTH_PORT", "/status")
    return starter.start(Jaeger, "jaeger", files, folder, JAEGER_PORTS, variables, *health)


def _client(kafka: Kafka) -> dict[str, str]:
    return {"KAFKA_BROKERS": kafka.brokers, "KAFKA_CA_FILE": kafka.variables["KAFKA_CA_FILE"]}
