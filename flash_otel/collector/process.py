"""One program as a process that outlives this one: started, watched, ended by its pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel.collector import files, health
from flash_otel.collector.errors import CollectorError
from flash_otel.collector.state import Process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flash_otel.collector.programs import Program

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0

_AGAIN_SECONDS: Final = 0.05
_LOG_MODE: Final = 0o600
_LAST_LINES: Final = 5
_LINE_LENGTH: Final = 300
_HIGHEST_PORT: Final = 65535

# What a program may know of the user's environment: what its configuration reads, and what any
# program needs. No key of the user's is among it.
_PASSED: Final = frozenset(
    {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "SYSTEMROOT"}
    | {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
    | {"GOMEMLIMIT", "GOMAXPROCS", "GOGC", "PROMETHEUS_URL"}
)
_PASSED_PREFIXES: Final = ("OTELCOL_", "JAEGER_", "SECOND_")


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be started.

    Attributes:
        program: Which one.
        configs: Names of its configuration files, in the order in which they are merged.
        ports: Its ports, by variable.
        variables: Further variables, which the user's own win over.
    """

    program: Program
    configs: Sequence[str]
    ports: dict[str, int]
    variables: Mapping[str, str] = field(default_factory=dict)


def start(what: Start, folder: Path) -> Process:
    """Start a program with its data and its log in a folder, and wait until it is well.

    Raises:
        CollectorError: It is not to be found, a port is taken, or it did not start.
    """
    binary = what.program.binary()
    if binary is None:
        raise CollectorError(
            f"{what.program.title} is not installed.", f"Get it: {what.program.source}"
        )
    _refuse_taken(what)
    log = folder / f"{what.program.name}.log"
    arguments = [str(binary), *(f"--config={files.config(name)}" for name in what.configs)]
    child = _spawn(arguments, _environment(what, folder), folder, log)
    try:
        _wait_until_well(what, child, log)
    except BaseException:
        child.kill()
        child.wait()
        raise
    return Process(child.pid, _started(child.pid) or "", what.ports, str(log))


def _wait_until_well(what: Start, child: subprocess.Popen[bytes], log: Path) -> None:
    found = health.wait(what.program, what.ports, START_SECONDS, alive=lambda: child.poll() is None)
    if found:
        raise CollectorError(
            f"{what.program.title} did not start: {found}.\n{_last_lines(log)}", f"Its log: {log}"
        )


def is_running(process: Process) -> bool:
    """Tell whether it is that very process that has this id now."""
    return _started(process.pid) == process.started


def stop(process: Process) -> bool:
    """End a process in order, by force after half a minute; tell whether it had been running."""
    if not is_running(process):
        return False
    _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while is_running(process):
        if time.monotonic() > deadline:
            _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
            deadline += STOP_SECONDS
        time.sleep(_AGAIN_SECONDS)
    return True


def _signal(process: Process, number: signal.Signals) -> None:
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
            # A Ctrl-C in this terminal is not meant for it.
            start_new_session=True,
        )
    except OSError as error:
        raise CollectorError(f"{arguments[0]} cannot be run: {error.strerror}.") from error
    finally:
        os.close(descriptor)


def _environment(what: Start, folder: Path) -> dict[str, str]:
    from_user = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED or name.startswith(_PASSED_PREFIXES)
    }
    return {
        "JAEGER_UI_CONFIG": str(files.config("jaeger-ui.json")),
        what.program.folder_variable: str(folder / what.program.name),
        **what.variables,
        **from_user,
        **{name: str(port) for name, port in what.ports.items()},
    }


def _refuse_taken(what: Start) -> None:
    for variable, port in what.ports.items():
        with socket.socket() as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                another = f"{variable}={min(port + 10000, _HIGHEST_PORT)}"
                raise CollectorError(
                    f"port {port}, for {what.program.title}, is not free ({error.strerror}).",
                    f"Choose another: {another} flash-otel collector up",
                ) from error


def _last_lines(log: Path) -> str:
    from flash_otel.report.words import clean

    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return "\n".join(f"  {clean(line)[:_LINE_LENGTH]}" for line in lines[-_LAST_LINES:])


def _started(pid: int) -> str | None:
    """Return when a process was started, in words of the operating system; None for no process."""
    try:
        # After the name, which may hold anything: state, ..., and as the 20th the start time.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _started_by_ps(pid)
    return None if fields[0] in "ZX" else fields[19]


def _started_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.strip() or None
