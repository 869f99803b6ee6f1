"""`flash-otel collector` with the real programs, and without them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support import loopback
from support.commands import environment, flash_otel, keep
from support.otlp import eventually, request, span, trace_id
from support.real_collector import ROOT, Access, free_ports
from support.samples import healthy_deployment

from flash_otel import semconv
from flash_otel.collector.programs import PROGRAMS, load_state
from flash_otel.runtime.locks import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.real_collector import Starter


@dataclass
class Site:
    """A small model of a user's machine: a home, its own ports, and the programs.

    Attributes:
        folder: The user's home.
        env: The variables of every command.
    """

    folder: Path
    env: dict[str, str]

    def __call__(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `flash-otel collector`."""
        return flash_otel(self.folder, "collector", *arguments, env={**self.env, **env})

    def json(self, action: str) -> Any:
        """Run it with --json and return the parsed output."""
        return json.loads(self(action, "--json").stdout)

    def pids(self) -> dict[str, int]:
        """Return the process ids of the programs."""
        return {program["name"]: program["pid"] for program in self.json("status")["programs"]}

    @property
    def data(self) -> Path:
        """The folder of queue, traces, logs and state."""
        return self.folder / "state/flash-otel/collector"


@pytest.fixture
def site(collector_binaries: dict[str, Path], tmp_path: Path) -> Iterator[Site]:
    """A machine without Docker; running programs are stopped at the end."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, path in collector_binaries.items():
        (programs / name).symlink_to(path)
    variables = [name for program in PROGRAMS for name in program.ports]
    numbers = dict(zip(variables, map(str, free_ports(len(variables))), strict=True))
    env = {"FLASH_OTEL_COLLECTOR_BIN": str(programs), "DOCKER_HOST": "tcp://127.0.0.1:1"}
    machine = Site(tmp_path, {**env, **numbers})
    try:
        yield machine
    finally:
        if (machine.data / "state.json").exists():
            machine("down")


def test_up_and_down(site: Site) -> None:
    """Spans go in and are found; a dead program is reported and started again."""
    keep(site.folder, healthy_deployment())
    up = site("up")
    assert up.returncode == 0, up.stderr
    found = site.json("status")
    assert found["healthy"]
    assert found["engine"] == "programs"
    assert f"http://localhost:{site.env['JAEGER_UI_PORT']}" in up.stdout
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT={found['otlp_http']}" in up.stdout

    deployment = found["last_deployment"]
    assert deployment["trace"] in up.stdout
    query = parse_qs(urlsplit(deployment["search"]).query)
    assert query["service"] == ["flash-cli"]
    assert set(json.loads(query["tags"][0])) == {semconv.ENVIRONMENT_ID, semconv.BUILD_ID}
    first = span(trace_id())
    assert (
        loopback.post(f"{found['otlp_http']}/v1/traces", json=request([first])).status_code == 200
    )

    again = site("up")
    assert again.returncode == 0
    before = site.pids()
    assert all(f"process {pid}" in up.stdout + again.stdout for pid in before.values())

    os.kill(before["jaeger"], signal.SIGKILL)
    eventually(lambda: not _exists(before["jaeger"]))
    half = site("status")
    assert half.returncode == 1
    assert f"process {before['jaeger']} has exited" in half.stdout
    assert "Collector  healthy" in half.stdout
    second = span(trace_id())
    assert (
        loopback.post(f"{found['otlp_http']}/v1/traces", json=request([second])).status_code == 200
    )
    assert site("up").returncode == 0
    after = site.pids()
    assert after["otelcol"] == before["otelcol"]
    assert after["jaeger"] != before["jaeger"]
    traces = [f"{found['ui']}/api/v3/traces/{sent['traceId']}" for sent in (first, second)]
    eventually(lambda: all(loopback.get(trace).status_code == 200 for trace in traces))

    logs = site("logs", "-n", "2")
    assert {line.split(" | ")[0] for line in logs.stdout.splitlines()} == {"jaeger", "otelcol"}
    assert len(logs.stdout.splitlines()) == 4
    down = site("down")
    assert down.stdout.startswith("Stopped: Collector, Jaeger.")
    assert not any(_exists(pid) for pid in after.values())
    assert site("status").returncode == 1
    assert site("down").stdout.startswith("Nothing to stop")


def _exists(pid: int) -> bool:
    path = Path(f"/proc/{pid}/stat")
    try:
        return path.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_only_the_owner_can_read_its_data(site: Site) -> None:
    """State, logs, queue and traces are in a folder that only the owner can enter."""
    assert site("up").returncode == 0
    assert stat.S_IMODE(site.data.stat().st_mode) == 0o700
    for name in ("state.json", "jaeger.log", "otelcol.log", "lock"):
        assert stat.S_IMODE((site.data / name).stat().st_mode) == 0o600


def test_the_programs_inherit_no_keys(site: Site) -> None:
    """The programs inherit only the variables that they need."""
    assert site("up", RUNPOD_API_KEY="rpa_CANARY", AWS_SECRET_ACCESS_KEY="CANARY").returncode == 0
    for pid in site.pids().values():
        assert b"CANARY" not in Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.parametrize("variable", ["JAEGER_UI_PORT", "OTELCOL_HTTP_PORT"])
def test_a_taken_port(site: Site, variable: str) -> None:
    """The error names port, program and variable, and nothing is left running."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(site.env[variable])))
        taken.listen()
        up = site("up")
    assert up.returncode == 3
    assert f"port {site.env[variable]}" in up.stderr
    assert f"{variable}=" in up.stderr
    assert not any(site.pids().values())
    assert site("down").stdout.startswith("Nothing to stop")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("JAEGER_RETENTION", "soon", "Jaeger did not start: it exited.*badger.ttl.spans"),
        ("OTELCOL_MEMORY_MIB", "much", "Collector did not start: it exited.*limit_mib"),
        ("JAEGER_UI_PORT", "80800", "JAEGER_UI_PORT='80800' is not a valid port"),
        ("OTELCOL_HTTP_PORT", "http", "OTELCOL_HTTP_PORT='http' is not a valid port"),
    ],
)
def test_a_program_that_does_not_start(site: Site, variable: str, value: str, said: str) -> None:
    """The error has the program, its last lines and its log; the other one is stopped."""
    up = site("up", **{variable: value})
    assert up.returncode == 3
    assert re.search(said, up.stderr, re.DOTALL)
    assert ("Its log: " in up.stderr) == ("did not start" in said)
    assert "Traceback" not in up.stderr
    assert not any(site.pids().values())


def test_without_any_program(tmp_path: Path) -> None:
    """Without Docker and programs, the error lists the options and the local store."""
    env = {"FLASH_OTEL_COLLECTOR_BIN": str(tmp_path), "DOCKER_HOST": "tcp://127.0.0.1:1"}
    up = Site(tmp_path, env)("up")
    assert up.returncode == 3
    for option in ("Docker", "opentelemetry.io", "jaegertracing.io", "flash-otel show last"):
        assert option in up.stderr
    asked = Site(tmp_path, env)("up", "--engine", "docker")
    assert asked.returncode == 3
    assert "--engine programs" in asked.stderr


def test_prometheus_needs_docker(site: Site) -> None:
    """--monitor without Docker prints the path of Prometheus's configuration."""
    up = site("up", "--monitor")
    assert up.returncode == 3
    assert str(ROOT / "collector/prometheus.yml") in up.stderr


def test_a_reused_process_id(site: Site) -> None:
    """A process with a reused id is neither taken for a program nor stopped."""
    site.data.mkdir(parents=True)
    other = {"pid": os.getpid(), "started": "1", "ports": {"JAEGER_HEALTH_PORT": 1}, "log": "x"}
    kept = {"engine": "programs", "files": [], "ports": {}, "processes": {"jaeger": other}}
    (site.data / "state.json").write_text(json.dumps(kept))
    assert f"process {os.getpid()} has exited" in site("status").stdout
    assert site("down").stdout.startswith("Nothing to stop")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"engine": "x"}', '{"processes": {"a": {}}}'])
def test_a_damaged_state_file(content: str, tmp_path: Path) -> None:
    """A damaged state file counts as none."""
    (tmp_path / "state.json").write_text(content)
    assert load_state(tmp_path) is None


def test_the_ui_of_a_folder(site: Site) -> None:
    """`make jaeger-ui` serves a built UI with its configuration in the place that Jaeger fills."""
    folder = site.folder / "a built ui"
    folder.mkdir()
    command = ["make", "--no-print-directory", "jaeger-ui", f"UI={folder}"]
    env = {**environment(site.folder), **site.env}

    def make() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False
        )

    missing = make()
    assert missing.returncode == 2
    assert "UI=FOLDER" in missing.stderr
    (folder / "index.html").write_text("<script>JAEGER_CONFIG = DEFAULT_CONFIG;</script>")
    made = make()
    assert made.returncode == 0, made.stderr
    address = f"http://localhost:{site.env['JAEGER_UI_PORT']}"
    assert address in made.stdout
    page = loopback.get(f"{address}/search", timeout=30).text
    served = page.removeprefix("<script>JAEGER_CONFIG = ").removesuffix(";</script>")
    assert json.loads(served) == json.loads((ROOT / "collector/jaeger-ui.json").read_text())


def test_two_at_once(site: Site) -> None:
    """While one command runs, another one reports that and does nothing."""
    site.data.mkdir(parents=True)
    with try_lock(site.data / "lock") as is_free:
        assert is_free
        up = site("up")
    assert up.returncode == 3
    assert "another flash-otel collector" in up.stderr


def test_reachable(site: Site, access: Access) -> None:
    """With certificate and token it accepts OTLP over TLS; without, the error names them."""
    missing = site("up", "--reachable", OTELCOL_TOKEN_FILE=str(site.folder / "none"))
    assert missing.returncode == 3
    assert "Collector did not start" in missing.stderr
    up = site("up", "--reachable", **access.of_the_receiver)
    assert up.returncode == 0, up.stderr
    assert f"https://localhost:{site.env['OTELCOL_HTTP_PORT']}" in up.stdout
    assert access.token not in up.stdout + up.stderr
    assert site("up").returncode == 3  # it does not run as asked for
    assert site.json("status")["otlp_grpc"].startswith("https://")


@contextmanager
def _docker(site: Site) -> Iterator[Path]:
    """Put a `docker` on PATH whose engine answers: it records its arguments, and starts nothing.

    No engine runs on the test machine. The arguments are given to the real docker-compose.
    """
    folder, told = site.folder / "docker", site.folder / "told"
    folder.mkdir()
    script = folder / "docker"
    script.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    script.chmod(0o755)
    path = site.env.get("PATH", os.environ["PATH"])
    site.env["PATH"] = f"{folder}{os.pathsep}{path}"
    try:
        yield told
    finally:
        site.env["PATH"] = path


def test_docker_is_preferred(site: Site, starter: Starter, tmp_path: Path) -> None:
    """If an engine answers, Compose runs the bundled file, and its ports are checked."""
    jaeger = starter.jaeger(tmp_path / "jaeger")
    collector = starter.collector(tmp_path / "collector", jaeger.otlp)
    site.env |= {name: str(port) for name, port in {**jaeger.ports, **collector.ports}.items()}
    with _docker(site) as told:
        up = site("up", "--monitor")
        assert up.returncode == 0, up.stderr
        assert site.json("status")["engine"] == "docker"
        assert site("logs", "-n", "3").returncode == 0
        assert site("up", "--engine", "programs").returncode == 3
        assert site("down").stdout.startswith("Stopped: Jaeger, Collector")
        lines = told.read_text().splitlines()
    file = f"compose -p flash-otel -f {ROOT / 'docker-compose.yml'}"
    wanted = [line for line in lines if " -f " in line]
    assert wanted == [
        f"{file} --profile monitor up --detach",
        f"{file} logs --tail 3",
        f"{file} --profile monitor down",
    ]
    if shutil.which("docker-compose"):
        arguments = wanted[0].removeprefix("compose ").removesuffix(" up --detach").split()
        command = ["docker-compose", *arguments, "config", "--services"]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        assert set(ran.stdout.split()) == {"otelcol", "jaeger", "prometheus", "volumes-init"}
