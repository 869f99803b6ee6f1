"""The real OpenSearch and Kafka, as `make engines` installed them, each in a JVM of its own."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import serialization
from support import loopback
from support.real_collector import Program
from typing_extensions import Self

if TYPE_CHECKING:
    from pathlib import Path

    from support.real_collector import Access, Starter

NAMES: Final = ("opensearch", "kafka")

# Quick to start, and slow in the long run: these JVMs live for seconds, beside other tests.
_QUICK: Final = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ActiveProcessorCount=1"
_JVM: Final = "JVM_OPTIONS"
_CONNECT_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 60.0
_PAGE: Final = 5_000
_NO_SHARD_YET: Final = 503  # while an index is being created


class Engine(Program):
    """A server on the JVM, which reads its settings from a file."""

    main: str
    """Its main class."""
    megabytes: int
    """Its heap."""
    argument: str
    """The argument of its main class, relative to its folder."""
    file: str
    """Its file of settings, relative to its folder."""

    @property
    def command(self) -> list[str]:
        """The command line that starts it."""
        classes = f"{self.binary}/*:{self.binary}"
        heap = (f"-Xms{self.megabytes}m", f"-Xmx{self.megabytes}m")
        options = self.variables[_JVM].split()
        place = str(self.folder / self.argument)
        return ["java", *heap, *options, "-cp", classes, self.main, place]

    def start(self) -> Self:
        """Write its settings, start it, and wait until it is healthy."""
        file = self.folder / self.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{line}\n" for line in self.settings()), encoding="utf-8")
        return super().start()

    def settings(self) -> list[str]:
        """Return the lines of its file of settings."""
        raise NotImplementedError


class OpenSearch(Engine):
    """A cluster of one node, without the security plugin: HTTP, and no password."""

    main = "OpenSearchServer"
    megabytes = 384
    argument = ""
    file = "config/opensearch.yml"

    def settings(self) -> list[str]:
        """Return the lines of opensearch.yml."""
        return [
            "network.host: 127.0.0.1",
            f"http.port: {self.ports['HTTP_PORT']}",
            f"transport.port: {self.ports['TRANSPORT_PORT']}",
            "discovery.type: single-node",
            "node.store.allow_mmap: false",
            # The disk of a test machine may be nearly full; a test fills this index by itself.
            "cluster.routing.allocation.disk.threshold_enabled: false",
        ]

    def values(self, index: str, field: str) -> list[str]:
        """Return a field of every document in the indices of a pattern."""
        self._post(f"/{index}/_refresh", {})
        found: list[str] = []
        asked = {"size": _PAGE, "_source": [field]}
        page = self._post(f"/{index}/_search?scroll=1m", asked)
        while hits := page.get("hits", {}).get("hits"):
            found += [hit["_source"][field] for hit in hits]
            following = {"scroll": "1m", "scroll_id": page["_scroll_id"]}
            page = self._post("/_search/scroll", following)
        return found

    def count(self, index: str) -> int:
        """Return how many documents can be found in the indices of a pattern."""
        return int(self._post(f"/{index}/_count", {}).get("count", 0))

    def merged_bytes(self, index: str) -> int:
        """Return the size of the indices of a pattern, after merging the segments of each shard."""
        self._post(f"/{index}/_forcemerge?max_num_segments=1&flush=true", {})
        url = self.url("HTTP_PORT", f"/{index}/_stats/store")
        answer = loopback.get(url, timeout=_ANSWER_SECONDS)
        return int(answer.json()["_all"]["primaries"]["store"]["size_in_bytes"])

    def block_writes(self, *, blocked: bool) -> None:
        """Set what OpenSearch sets by itself when its disk is nearly full, or lift it."""
        settings = {"index.blocks.read_only_allow_delete": blocked or None}
        url = self.url("HTTP_PORT", "/flash-*/_settings")
        loopback.put(url, json=settings, timeout=_ANSWER_SECONDS).raise_for_status()

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = loopback.post(self.url("HTTP_PORT", path), json=body, timeout=_ANSWER_SECONDS)
        if answer.status_code == _NO_SHARD_YET:
            return {}
        answer.raise_for_status()
        return answer.json()


class Kafka(Engine):
    """Broker and controller in one process; clients use TLS."""

    main = "kafka.Kafka"
    megabytes = 192
    argument = file = "server.properties"

    @property
    def brokers(self) -> str:
        """What clients bootstrap from, as the configurations have it."""
        return f"[127.0.0.1:{self.ports['KAFKA_PORT']}]"

    def settings(self) -> list[str]:
        """Return the lines of server.properties."""
        controller = f"127.0.0.1:{self.ports['CONTROLLER_PORT']}"
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        # What the distribution's format command would write.
        meta = data / "meta.properties"
        if not meta.exists():
            meta.write_text("version=1\nnode.id=1\ncluster.id=flash-otel-tests-00000\n")
        return [
            "process.roles=broker,controller",
            "node.id=1",
            f"controller.quorum.voters=1@{controller}",
            f"listeners=SSL://127.0.0.1:{self.ports['KAFKA_PORT']},CONTROLLER://{controller}",
            "controller.listener.names=CONTROLLER",
            "listener.security.protocol.map=SSL:SSL,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name=SSL",
            f"log.dirs={data}",
            "num.partitions=2",
            "offsets.topic.num.partitions=1",
            "offsets.topic.replication.factor=1",
            "group.initial.rebalance.delay.ms=0",
            "log.cleaner.dedupe.buffer.size=2097152",  # the default is most of this heap
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={self.variables['KEYSTORE']}",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self.variables['KAFKA_CA_FILE']}",
        ]

    def is_healthy(self) -> bool:
        """Return whether it accepts connections."""
        address = ("127.0.0.1", self.ports["KAFKA_PORT"])
        try:
            socket.create_connection(address, _CONNECT_SECONDS).close()
        except OSError:
            return False
        return True


def start_opensearch(starter: Starter, folder: Path, options: str = _QUICK) -> OpenSearch:
    """Start OpenSearch, with its data in `folder`.

    Args:
        starter: Starts and ends it.
        folder: Its folder.
        options: Options of the JVM.
    """
    ports = ("HTTP_PORT", "TRANSPORT_PORT")
    health = "/_cluster/health?wait_for_status=yellow&timeout=1s"
    variables = {_JVM: options}
    return starter.start(OpenSearch, "opensearch", [], folder, ports, variables, ports[0], health)


def start_kafka(starter: Starter, folder: Path, access: Access, options: str = _QUICK) -> Kafka:
    """Start Kafka, with its data in `folder`; its certificate is that of the receivers.

    Args:
        starter: Starts and ends it.
        folder: Its folder.
        access: The certificate.
        options: Options of the JVM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keystore = folder / "keystore.pem"
    key = serialization.load_pem_private_key(access.key.read_bytes(), None)
    # Java reads private keys in this format alone.
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    keystore.write_bytes(key.private_bytes(pem, pkcs8, plain) + access.certificate.read_bytes())
    authority = str(access.authority)
    variables = {"KEYSTORE": str(keystore), "KAFKA_CA_FILE": authority, _JVM: options}
    ports = ("KAFKA_PORT", "CONTROLLER_PORT")
    return starter.start(Kafka, "kafka", [], folder, ports, variables, ports[0], "")
