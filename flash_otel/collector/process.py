"""A program as a process that outlives this one: start it, check it, stop it by its pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel.collector.programs import HIGHEST_PORT, CollectorError, StartedProcess, config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flash_otel.collector.programs import Program

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0

_POLL_INTERVAL_S: Final = 0.05
_LOG_MODE: Final = 0o600
_QUOTED_LINES: Final = 5
_QUOTED_LENGTH: Final = 300

# An allow-list, because the user's environment holds API keys that a program must not inherit:
# variables that the configurations read, and those that any program needs.
_INHERITED: Final = frozenset(
    {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "SYSTEMROOT"}
    | {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
    | {"GOMEMLIMIT", "GOMAXPROCS", "GOGC", "PROMETHEUS_URL"}
)
_INHERITED_PREFIXES: Final = ("OTELCOL_", "JAEGER_", "SECOND_")


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a program.

    Attributes:
        program: The program.
        configs: Names of its configuration files, in the order in which they are merged.
        ports: Its ports, by variable.
        variables: Defaults of further variables; the user's environment overrides them.
    """

    program: Program
    configs: Sequence[str]
    ports: dict[str, int]
    variables: Mapping[str, str] = field(default_factory=dict)


def start(launch: Launch, folder: Path) -> StartedProcess:
    """Start a program with its data and its log in a folder, and wait until it is healthy.

    Raises:
        CollectorError: It is not installed, a port is taken, or it did not start.
    """
    program = launch.program
    binary = program.binary()
    if binary is None:
        raise CollectorError(f"{program.title} is not installed.", f"Get it: {program.source}")
    _require_free_ports(launch)
    log = folder / f"{program.name}.log"
    arguments = [str(binary), *(f"--config={config(name)}" for name in launch.configs)]
    child = _spawn(arguments, _environment(launch, folder), folder, log)
    try:
        _wait_until_healthy(launch, child, log)
    except BaseException:
        child.kill()
        child.wait()
        raise
    return StartedProcess(child.pid, _start_time(child.pid) or "", launch.ports, str(log))


def _wait_until_healthy(launch: Launch, child: subprocess.Popen[bytes], log: Path) -> None:
    problem = launch.program.wait_until_healthy(
        launch.ports, START_TIMEOUT_S, is_alive=lambda: child.poll() is None
    )
    if problem:
        raise CollectorError(
            f"{launch.program.title} did not start: {problem}.\n{_last_lines(log)}",
            f"Its log: {log}",
        )


def is_running(process: StartedProcess) -> bool:
    """Return True if the process still runs; False if its id was reused."""
    return _start_time(process.pid) == process.started


def stop(process: StartedProcess) -> bool:
    """Stop a process, by force after `STOP_TIMEOUT_S`; return False if it was not running."""
    if not is_running(process):
        return False
    _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while is_running(process):
        if time.monotonic() > deadline:
            # Windows has no SIGKILL; there, SIGTERM already terminates unconditionally.
            _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
            deadline += STOP_TIMEOUT_S
        time.sleep(_POLL_INTERVAL_S)
    return True


def _signal(process: StartedProcess, number: signal.Signals) -> None:
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return


def _spawn(
    arguments: list[str], environ: dict[str, str], folder: Path, log: Path
) -> subprocess.Popen[bytes]:
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, _LOG_MODE)
    try:
        return subprocess.Popen(
            arguments,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            # A terminal sends Ctrl-C to its whole process group, which must not include this one.
            start_new_session=True,
        )
    except OSError as error:
        raise CollectorError(f"cannot run {arguments[0]}: {error.strerror}.") from error
    finally:
        os.close(descriptor)


def _environment(launch: Launch, folder: Path) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    return {
        "JAEGER_UI_CONFIG": str(config("jaeger-ui.json")),
        launch.program.folder_variable: str(folder / launch.program.name),
        **launch.variables,
        **inherited,
        **{name: str(port) for name, port in launch.ports.items()},
    }


def _require_free_ports(launch: Launch) -> None:
    """Raise CollectorError if a port is taken.

    The programs would report that only in their logs, and a health check would ask the stranger.
    """
    for variable, port in launch.ports.items():
        try:
            _bind(port)
        except OSError as error:
            other = f"{variable}={min(port + 10000, HIGHEST_PORT)}"
            raise CollectorError(
                f"port {port} ({launch.program.title}) is not available: {error.strerror}.",
                f"Choose another: {other} flash-otel collector up",
            ) from error


def _bind(port: int) -> None:
    with socket.socket() as probe:
        if os.name == "posix":
            # Like the programs, which can use a port in TIME_WAIT.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def _last_lines(log: Path) -> str:
    from flash_otel.report.words import clean

    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return "\n".join(f"  {clean(line)[:_QUOTED_LENGTH]}" for line in lines[-_QUOTED_LINES:])


def _start_time(pid: int) -> str | None:
    """Return a process's start time as the operating system prints it; None if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None if Path("/proc/self/stat").exists() else _start_time_by_ps(pid)
    # proc_pid_stat(5): the name in brackets may hold anything, brackets too. After it come the
    # state (field 3) and, as the 20th of the rest, the start time (field 22).
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _start_time_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    try:
        ps = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ps.stdout.strip() or None
