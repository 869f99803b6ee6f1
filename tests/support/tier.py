"""The tier beyond one machine, from the files of collector/production, on ports of loopback.

    agent -> two gateways -> Jaeger -> Kafka -> Jaeger -> OpenSearch

Only addresses, folders and how long a gateway waits differ from what is shipped.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from support import engines
from support.real_collector import BUNDLE, JAEGER_PORTS, Collector, Jaeger

if TYPE_CHECKING:
    from pathlib import Path

    from support.engines import Kafka, OpenSearch
    from support.real_collector import Access, Program, Starter

PRODUCTION: Final = BUNDLE / "production"
PROGRAMS: Final = ("otelcol", "jaeger", *engines.NAMES)
SPANS: Final = "flash-jaeger-span-*"

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
    names = ("jaeger-opensearch.yaml", "jaeger-from-kafka.yaml")
    files = [PRODUCTION / name for name in names]
    variables = {
        **_client(kafka),
        "JAEGER_UI_CONFIG": str(BUNDLE / "jaeger-ui.json"),
        "OPENSEARCH_URLS": f"[{opensearch.url('HTTP_PORT')}]",
    }
    health = ("JAEGER_HEALTH_PORT", "/status")
    return starter.start(Jaeger, "jaeger", files, folder, JAEGER_PORTS, variables, *health)


def _client(kafka: Kafka) -> dict[str, str]:
    return {"KAFKA_BROKERS": kafka.brokers, "KAFKA_CA_FILE": kafka.variables["KAFKA_CA_FILE"]}
