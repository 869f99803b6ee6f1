"""The real OpenTelemetry Collector, Jaeger and Prometheus, from the files that are shipped.

Only addresses, ports and folders differ from what docker-compose.yml runs: the files take them from
variables. Every process is ended by its pid; a restarted one keeps its ports and its folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import httpx
import pytest
import yaml
from support import loopback
from typing_extensions import Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from support.shared import Shared

ROOT: Final = Path(__file__).resolve().parents[2]
BUNDLE: Final = ROOT / "collector"

_START_SECONDS: Final = 90.0
_STOP_SECONDS: Final = 30.0
_TRIES: Final = 5
_PORT_TAKEN: Final = "address already in use"


def find_binaries(*names: str) -> dict[str, Path]:
    """Return programs as `make collector engines` built them from what is checked in.

    Without them the test is skipped; with FLASH_OTEL_REQUIRE_COLLECTOR set (CI) it fails.

    Args:
        names: Which; `otelcol` and `jaeger` if none is named.
    """
    script = str(BUNDLE / "tools/build.py")
    command = [sys.executable, script, "--check", *(names or ("otelcol", "jaeger"))]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    if checked.returncode:
        if os.environ.get("FLASH_OTEL_REQUIRE_COLLECTOR"):
            pytest.fail(f"the real programs are required here: {checked.stderr}")
        pytest.skip(checked.stderr.strip())
    rows = (line.split(" ", 1) for line in checked.stdout.splitlines())
    return {name: Path(path) for name, path in rows}


def required(program: str, source: str) -> Path:
    """Return the path of a program on PATH; without it, skip the test, or fail in CI."""
    if found := shutil.which(program):
        return Path(found)
    missing = f"{program} is not installed ({source})"
    if os.environ.get("FLASH_OTEL_REQUIRE_COLLECTOR"):
        pytest.fail(missing)
    pytest.skip(missing)


def free_ports(count: int) -> list[int]:
    """Return distinct ports that are free at the moment."""
    held = [socket.socket() for _ in range(count)]
    try:
        for holder in held:
            holder.bind(("127.0.0.1", 0))
        return [holder.getsockname()[1] for holder in held]
    finally:
        for holder in held:
            holder.close()


class PortTakenError(Exception):
    """Another process took the port between its choice and the start."""


@dataclass
class Program:
    """One server process: started until healthy, killed, stopped, started again.

    Attributes:
        binary: What runs.
        configs: Its configuration files, in the order in which they are merged.
        folder: Its working folder, with its data and its log.
        ports: Names of its port variables, and the ports.
        variables: Further variables of its configuration.
        health: The variable that holds its health port.
        path: Path of its health check.
    """

    binary: Path
    configs: Sequence[Path]
    folder: Path
    ports: Mapping[str, int]
    variables: dict[str, str]
    health: str
    path: str = "/"
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def log(self) -> str:
        """Its log so far."""
        return (self.folder / "log").read_text("utf-8", "replace")

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def environ(self) -> dict[str, str]:
        """Its whole environment: nothing of the test's own."""
        numbers = {name: str(port) for name, port in self.ports.items()}
        return {"PATH": os.environ["PATH"], **numbers, **self.variables}

    @property
    def command(self) -> list[str]:
        """The command line that starts it."""
        return [str(self.binary), *(f"--config={config}" for config in self.configs)]

    def url(self, port: str, path: str = "") -> str:
        """Return an HTTP address of it."""
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    def start(self) -> Self:
        """Start it and wait until it is healthy."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_until_healthy(self._process)
        except BaseException:
            self.kill()
            raise
        return self

    def _wait_until_healthy(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                kind = PortTakenError if _PORT_TAKEN in self.log.lower() else AssertionError
                raise kind(f"{self.binary.name} ended at its start:\n{self.log[-4000:]}")
            if self.is_healthy():
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.binary.name} is not healthy:\n{self.log[-4000:]}")

    def is_healthy(self) -> bool:
        """Return whether its health check succeeds."""
        try:
            answer = loopback.get(self.url(self.health, self.path), timeout=5)
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    def shared_by(self, shared: Shared) -> Self:
        """Leave the running process to the test run; return this program to pass on to others."""
        assert self._process is not None
        shared.adopt(self._process, self.folder)
        return replace(self)

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL, by its pid."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an orderly machine would."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)  # of an ended process: nothing
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Jaeger(Program):
    """A running Jaeger."""

    @property
    def otlp(self) -> str:
        """Where it takes OTLP over gRPC, as host:port."""
        return f"127.0.0.1:{self.ports['JAEGER_OTLP_PORT']}"

    @property
    def query_url(self) -> str:
        """Where UI and API are."""
        return self.url("JAEGER_UI_PORT")


class Collector(Program):
    """A running Collector."""

    @property
    def grpc(self) -> str:
        """Where it takes OTLP over gRPC, as host:port."""
        return f"127.0.0.1:{self.ports['OTELCOL_GRPC_PORT']}"

    @property
    def http_url(self) -> str:
        """Where it takes OTLP over HTTP."""
        return self.url("OTELCOL_HTTP_PORT")

    @property
    def metrics_url(self) -> str:
        """URL of the metrics that are derived from spans."""
        return self.url("OTELCOL_METRICS_PORT", "/metrics")


class Prometheus(Program):
    """A running Prometheus."""

    @property
    def command(self) -> list[str]:
        """The command line that starts it."""
        return [
            str(self.binary),
            f"--config.file={self.configs[0]}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.ports['PROMETHEUS_PORT']}",
        ]


@dataclass(frozen=True)
class Access:
    """Files of a Collector that takes OTLP over TLS and with a bearer token.

    Attributes:
        authority: Certificate of the authority that its clients trust.
        certificate: Its certificate.
        key: Its private key.
        token_file: Holds the token.
    """

    authority: Path
    certificate: Path
    key: Path
    token_file: Path

    @property
    def token(self) -> str:
        """The token."""
        return self.token_file.read_text("utf-8")

    @property
    def of_the_receiver(self) -> dict[str, str]:
        """Variables of reachable.yaml."""
        return {
            "OTELCOL_OTLP_HOST": "127.0.0.1",
            "OTELCOL_TOKEN_FILE": str(self.token_file),
            "OTELCOL_CERT_FILE": str(self.certificate),
            "OTELCOL_KEY_FILE": str(self.key),
        }

    @property
    def of_the_sender(self) -> dict[str, str]:
        """Variables of a process that sends there, by OpenTelemetry's own names."""
        return {
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{self.token}",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(self.authority),
        }


JAEGER_PORTS: Final = (
    "JAEGER_OTLP_PORT",
    "JAEGER_UI_PORT",
    "JAEGER_QUERY_PORT",
    "JAEGER_HEALTH_PORT",
    "JAEGER_TELEMETRY_PORT",
)
_COLLECTOR_PORTS: Final = (
    "OTELCOL_GRPC_PORT",
    "OTELCOL_HTTP_PORT",
    "OTELCOL_HEALTH_PORT",
    "OTELCOL_METRICS_PORT",
    "OTELCOL_TELEMETRY_PORT",
)


_P = TypeVar("_P", bound=Program)


@dataclass(frozen=True)
class Starter:
    """Starts real programs for a test; `end` ends all of them.

    Attributes:
        binaries: What `make collector` built.
        started: Everything that was started.
    """

    binaries: Mapping[str, Path]
    started: list[Program] = field(default_factory=list)

    def jaeger(self, folder: Path, **variables: str) -> Jaeger:
        """Start Jaeger from collector/jaeger.yaml, with its data in `folder`."""
        own = {
            "JAEGER_DATA_DIR": str(folder / "data"),
            "JAEGER_UI_CONFIG": str(BUNDLE / "jaeger-ui.json"),
        }
        return self.start(
            Jaeger,
            "jaeger",
            [BUNDLE / "jaeger.yaml"],
            folder,
            JAEGER_PORTS,
            {**own, **variables},
            "JAEGER_HEALTH_PORT",
            "/status",
        )

    def collector(
        self, folder: Path, jaeger: str, configs: Sequence[Path] = (), **variables: str
    ) -> Collector:
        """Start the Collector from collector/otelcol.yaml, with its queue in `folder`.

        Args:
            folder: Where its queue and its log are.
            jaeger: Where Jaeger takes OTLP, as host:port (it need not run yet).
            configs: Configuration files to merge on top of it.
            variables: Further variables of the configuration.
        """
        own = {
            "OTELCOL_QUEUE_DIR": str(folder / "queue"),
            "JAEGER_OTLP_ENDPOINT": jaeger,
            "OTELCOL_METRICS_INTERVAL": "1s",
        }
        return self.start(
            Collector,
            "otelcol",
            [BUNDLE / "otelcol.yaml", *configs],
            folder,
            _COLLECTOR_PORTS,
            {**own, **variables},
            "OTELCOL_HEALTH_PORT",
            "/",
        )

    def agent(
        self, folder: Path, gateways: Sequence[Collector], configs: Sequence[Path] = (), **more: str
    ) -> Collector:
        """Start the Collector from production/agent.yaml, in front of these gateways."""
        own = {
            "OTELCOL_QUEUE_DIR": str(folder / "queue"),
            "GATEWAYS": f"[{', '.join(gateway.grpc for gateway in gateways)}]",
            "GATEWAY_INSECURE": "true",
        }
        files = [BUNDLE / "production" / name for name in ("agent.yaml", "gateways-static.yaml")]
        return self.start(
            Collector,
            "otelcol",
            [*files, *configs],
            folder,
            _COLLECTOR_PORTS,
            {**own, **more},
            "OTELCOL_HEALTH_PORT",
            "/",
        )

    def prometheus(self, folder: Path, targets: Mapping[str, str]) -> Prometheus:
        """Start Prometheus from collector/prometheus.yml, scraping every second.

        Args:
            folder: Where its data and its log are.
            targets: The addresses in the file, and those in their place, as host:port.
        """
        config = yaml.safe_load((BUNDLE / "prometheus.yml").read_text("utf-8"))
        config["global"]["scrape_interval"] = "1s"
        config["rule_files"] = [str(BUNDLE / name) for name in config["rule_files"]]
        for job in config["scrape_configs"]:
            for static in job["static_configs"]:
                static["targets"] = [targets[name] for name in static["targets"]]
        (file := folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
        ports, health = ("PROMETHEUS_PORT",), "PROMETHEUS_PORT"
        return self.start(Prometheus, "prometheus", [file], folder, ports, {}, health, "/-/ready")

    def start(
        self,
        kind: type[_P],
        name: str,
        configs: Sequence[Path],
        folder: Path,
        ports: tuple[str, ...],
        variables: Mapping[str, str],
        health: str,
        path: str,
    ) -> _P:
        """Start a program on free ports, and on others where another process was faster."""
        for attempt in range(_TRIES):
            numbers = dict(zip(ports, free_ports(len(ports)), strict=True))
            program = kind(
                self.binaries[name], configs, folder, numbers, {**variables}, health, path
            )
            self.started.append(program)
            try:
                return program.start()
            except PortTakenError:
                if attempt + 1 == _TRIES:
                    raise
        raise AssertionError("not reached")

    def end(self) -> None:
        """End everything that was started, the last one first."""
        for program in reversed(self.started):
            program.stop()
