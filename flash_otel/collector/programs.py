"""The Collector and Jaeger as data: executables, configurations, ports, health checks, links.

Also the paths of the bundle and of the data, and the record of what is running.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from flash_otel import semconv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from flash_otel.store.store import TraceSummary


COMPOSE: Final = "docker-compose.yml"
REACHABLE_COMPOSE: Final = "collector/docker-compose.reachable.yml"
REACHABLE: Final = "reachable.yaml"

DOCKER: Final = "docker"
LOCAL: Final = "programs"
"""The engines: Docker Compose, or processes of this machine."""

_FOLDER_MODE: Final = 0o700
_STATE: Final = "state.json"
_STATE_MODE: Final = 0o600


def bundle() -> Path:
    """Return the folder that holds docker-compose.yml and collector/.

    A wheel has them inside the package, a checkout at its root.
    """
    packaged = Path(__file__).with_name("bundle")
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2]


def config(name: str) -> Path:
    """Return the path of a bundled configuration file."""
    return bundle() / "collector" / name


def data_folder() -> Path:
    """Return the folder for queue, traces, logs and state; only its owner can enter it."""
    from flash_otel.store.location import state_folder

    folder = state_folder() / "collector"
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    folder.chmod(_FOLDER_MODE)
    return folder


@dataclass(frozen=True, slots=True)
class StartedProcess:
    """A program that was started as a process of this machine.

    Attributes:
        pid: Its process id.
        started: Its start time as the operating system prints it, because ids are reused.
        ports: Its ports, by variable.
        log: The file that it writes to.
    """

    pid: int
    started: str
    ports: dict[str, int]
    log: str


@dataclass(slots=True)
class StartedPrograms:
    """What `flash-otel collector up` started, as it is kept in the state file.

    Attributes:
        engine: DOCKER or LOCAL.
        files: Compose files with DOCKER, the Collector's configuration files with LOCAL.
        ports: Ports of each program, by variable; with DOCKER.
        processes: The processes by program; with LOCAL.
    """

    engine: str
    files: list[str] = field(default_factory=list)
    ports: dict[str, dict[str, int]] = field(default_factory=dict)
    processes: dict[str, StartedProcess] = field(default_factory=dict)


def load_state(folder: Path) -> StartedPrograms | None:
    """Return the recorded state; None if there is none or the file is damaged."""
    try:
        state: dict[str, Any] = json.loads((folder / _STATE).read_text("utf-8"))
        processes = {
            name: StartedProcess(**process) for name, process in state.pop("processes").items()
        }
        return StartedPrograms(**state, processes=processes)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def save_state(folder: Path, state: StartedPrograms) -> None:
    """Replace the state file atomically."""
    fresh = folder / f"{_STATE}.{os.getpid()}"
    # A killed process with the same id may have left it; O_EXCL below refuses a planted link.
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _STATE_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=2)
    fresh.replace(folder / _STATE)


def forget_state(folder: Path) -> None:
    """Remove the state file."""
    (folder / _STATE).unlink(missing_ok=True)


BINARIES_VARIABLE: Final = "FLASH_OTEL_COLLECTOR_BIN"
"""Names a folder that holds the programs, to be used instead of PATH."""

HIGHEST_PORT: Final = 65535

_BUILT: Final = ".cache/collector/bin"  # where `make collector` puts them in a checkout
_HEALTH_TIMEOUT_S: Final = 2.0
_HEALTH_INTERVAL_S: Final = 0.1
_HTTP_OK: Final = 200
_SERVICE: Final = "flash-cli"  # a deployment's service.name (pipeline/resource.py)


class CollectorError(Exception):
    """The bundled programs cannot be started, watched or stopped.

    Attributes:
        message: What is wrong, in one sentence.
        next_step: What to do about it; may hold a command.
    """

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


@dataclass(frozen=True, slots=True)
class Program:
    """A program of the bundle.

    Attributes:
        name: Its name in the state file and in docker-compose.yml.
        title: Its name in messages.
        binaries: Names of its executable, the preferred one first.
        config: Its configuration file.
        ports: Its port variables and their defaults, as in the configuration.
        published: The variables of the ports that docker-compose.yml binds on this machine.
        health: The variable of its health port.
        health_path: Path of its health check.
        folder_variable: The variable of its data folder.
        source: Where to download it.
    """

    name: str
    title: str
    binaries: tuple[str, ...]
    config: str
    ports: Mapping[str, int]
    published: frozenset[str]
    health: str
    health_path: str
    folder_variable: str
    source: str

    def chosen_ports(self, previous: Mapping[str, int] | None = None) -> dict[str, int]:
        """Return its ports: from the environment, else from its previous run, else the defaults.

        Args:
            previous: The ports of its previous run.

        Raises:
            CollectorError: A variable does not hold a valid port.
        """
        known = {**self.ports, **(previous or {})}
        return {name: _port(name, default) for name, default in known.items()}

    def binary(self) -> Path | None:
        """Find its executable: in the named folder, or else on PATH, or as built in a checkout."""
        named = os.environ.get(BINARIES_VARIABLE)
        folders = [named] if named else [None, str(bundle() / _BUILT)]
        candidates = ((name, folder) for folder in folders for name in self.binaries)
        paths = (shutil.which(name, path=folder) for name, folder in candidates)
        return next((Path(path) for path in paths if path), None)

    def problem(self, ports: Mapping[str, int]) -> str | None:
        """Ask its health check; return what is wrong in a few words, None if it is healthy."""
        import httpx

        url = f"http://127.0.0.1:{ports[self.health]}{self.health_path}"
        try:
            # The user's proxy must not come between this machine and its own loopback address.
            with httpx.Client(trust_env=False, timeout=_HEALTH_TIMEOUT_S) as client:
                status = client.get(url).status_code
        except httpx.ConnectError:
            return f"nothing answers at {url}"
        except httpx.HTTPError as error:
            return f"{url}: {type(error).__name__}"
        return None if status == _HTTP_OK else f"{url} answers {status}"

    def wait_until_healthy(
        self, ports: Mapping[str, int], timeout_s: float, *, is_alive: Callable[[], bool]
    ) -> str | None:
        """Wait until it is healthy; return None then, or else its last problem.

        Args:
            ports: Its ports, by variable.
            timeout_s: How long to wait, in seconds.
            is_alive: Returns False once waiting is in vain.
        """
        deadline = time.monotonic() + timeout_s
        while (problem := self.problem(ports)) and time.monotonic() < deadline:
            if not is_alive():
                return "it exited"
            time.sleep(_HEALTH_INTERVAL_S)
        return problem


JAEGER: Final = Program(
    name="jaeger",
    title="Jaeger",
    binaries=("jaeger",),
    config="jaeger.yaml",
    ports={
        "JAEGER_UI_PORT": 16686,
        "JAEGER_QUERY_PORT": 16685,
        "JAEGER_OTLP_PORT": 14317,
        "JAEGER_HEALTH_PORT": 14133,
        "JAEGER_TELEMETRY_PORT": 18888,
    },
    published=frozenset({"JAEGER_UI_PORT", "JAEGER_HEALTH_PORT"}),
    health="JAEGER_HEALTH_PORT",
    health_path="/status",
    folder_variable="JAEGER_DATA_DIR",
    source="https://www.jaegertracing.io/download (version 2)",
)
OTELCOL: Final = Program(
    name="otelcol",
    title="Collector",
    binaries=("otelcol-contrib", "otelcol"),
    config="otelcol.yaml",
    ports={
        "OTELCOL_GRPC_PORT": 4317,
        "OTELCOL_HTTP_PORT": 4318,
        "OTELCOL_HEALTH_PORT": 13133,
        "OTELCOL_METRICS_PORT": 8889,
        "OTELCOL_TELEMETRY_PORT": 8888,
    },
    published=frozenset(
        {"OTELCOL_GRPC_PORT", "OTELCOL_HTTP_PORT", "OTELCOL_HEALTH_PORT", "OTELCOL_METRICS_PORT"}
    ),
    health="OTELCOL_HEALTH_PORT",
    health_path="/",
    folder_variable="OTELCOL_QUEUE_DIR",
    source="https://opentelemetry.io/docs/collector/install (the contrib distribution)",
)
PROGRAMS: Final = (JAEGER, OTELCOL)
"""In start order; they are stopped in reverse, so that the Collector drains into Jaeger."""


_ANY_TIME: Final = {"lookback": "custom", "start": "1000000", "end": "4102444800000000"}
"""A search from 1970 to 2100 (in microseconds).

On page load, the UI of 2.13 searches the last two days for any other `lookback`, and that of 2.20
answers `lookback=14d` with HTTP 400.
"""


def trace_link(ui_url: str, trace_id: str) -> str:
    """Return the address of a trace in Jaeger's UI."""
    return f"{ui_url}/trace/{trace_id}"


def evidence_link(ui_url: str, trace_id: str, span_ids: Iterable[str]) -> str:
    """Return the address of a trace in Jaeger's UI with some of its spans highlighted."""
    found = "+".join(span_ids)
    return trace_link(ui_url, trace_id) + (f"?uiFind={found}" if found else "")


def search_link(ui_url: str, deployment: TraceSummary) -> str:
    """Return the address of a search for spans of a deployment's build and environment."""
    ids = {
        semconv.ENVIRONMENT_ID: deployment.environment_id,
        semconv.BUILD_ID: deployment.build_id,
    }
    tags = {name: value for name, value in ids.items() if value}
    query = {"service": _SERVICE, **_ANY_TIME, "limit": "50"}
    if tags:
        query["tags"] = json.dumps(tags, separators=(",", ":"))
    return f"{ui_url}/search?{urlencode(query)}"


def _port(variable: str, default: int) -> int:
    named = os.environ.get(variable, "").strip()
    if not named:
        return default
    if not (named.isdecimal() and named.isascii() and 0 < int(named) <= HIGHEST_PORT):
        raise CollectorError(
            f"{variable}={named!r} is not a valid port.",
            f"Set another: {variable}={default + 10000}",
        )
    return int(named)


PROJECT: Final = "flash-otel"

_PROBE_TIMEOUT_S: Final = 20.0
# The plugin, and the stand-alone program of older installations.
_COMMANDS: Final = (("docker", "compose"), ("docker-compose",))


def compose_command() -> tuple[str, ...] | None:
    """Return the command of Docker Compose; None if it is missing or no engine answers."""
    if not _succeeds(("docker", "info")):
        return None
    return next((command for command in _COMMANDS if _succeeds((*command, "version"))), None)


def run(
    command: Sequence[str], files: Sequence[str], *arguments: str, captures: bool = False
) -> str:
    """Run Docker Compose on the bundled files.

    Args:
        command: The program with its first words.
        files: The bundled files.
        arguments: The arguments of Compose.
        captures: Whether its output is returned. Otherwise it goes to this process's own streams:
            pulling images takes minutes, and the user should see its progress.

    Raises:
        CollectorError: It failed.
    """
    file_options = [part for file in files for part in ("-f", str(bundle() / file))]
    line = [*command, "-p", PROJECT, *file_options, *arguments]
    output = subprocess.PIPE if captures else None
    done = subprocess.run(line, cwd=bundle(), check=False, stdout=output)
    if done.returncode:
        raise CollectorError(
            f"{' '.join(command)} exited with status {done.returncode}.",
            f"The command: {' '.join(line)}",
        )
    return (done.stdout or b"").decode("utf-8", "replace")


def _succeeds(command: Sequence[str]) -> bool:
    if not shutil.which(command[0]):
        return False
    try:
        probe = subprocess.run(command, capture_output=True, check=False, timeout=_PROBE_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0
