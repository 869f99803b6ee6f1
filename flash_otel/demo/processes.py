"""Child processes of the demo: their environment variables, their logs, and their end.

No variable of the caller leaks into them, and none outlives the block that started it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel.demo.control_plane import CANARY_API_KEY
from flash_otel.lines.table import MARKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from flash_otel.demo.environment import PythonEnvironment
    from flash_otel.records import SpanRecord

# What a process needs to start at all, and to print in the user's language.
_INHERITED: Final = (
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TEMP", "TMP"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "LD_LIBRARY_PATH"),
)
_POLL_SECONDS: Final = 0.01
_GRACE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A process to start.

    Attributes:
        arguments: The command line.
        cwd: Its working directory.
        variables: All of its environment variables.
        stdin: Its standard input, as for `subprocess.Popen`.
    """

    arguments: Sequence[str]
    cwd: Path
    variables: Mapping[str, str]
    stdin: int = subprocess.DEVNULL


@contextmanager
def running(spec: ProcessSpec, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process with standard output and error in `log`; terminate it after the block."""
    with ExitStack() as interruptions:
        interruptions.enter_context(_interruptions_held())
        with log.open("wb") as file:
            process = subprocess.Popen(
                list(spec.arguments),
                cwd=spec.cwd,
                env=dict(spec.variables),
                stdin=spec.stdin,
                stdout=file,
                stderr=subprocess.STDOUT,
                # Its children (pip, cpuinfo) are terminated with its process group.
                start_new_session=True,
            )
        try:
            interruptions.close()
            yield process
        finally:
            _end(process)
            if process.stdin is not None:
                process.stdin.close()


@contextmanager
def _interruptions_held() -> Iterator[None]:
    """Defer Ctrl-C until the block ends: during a start it would orphan the child."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if received:
            raise KeyboardInterrupt


def wait(process: subprocess.Popen[bytes], timeout: float) -> int:
    """Wait for a process and return its exit code.

    Raises:
        TimeoutError: It took longer than `timeout` seconds.
    """
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired as error:
        name = " ".join(str(part) for part in list(error.cmd)[:4])
        raise TimeoutError(f"{name} ... did not end within {timeout:.0f} seconds.") from None


def wait_for_text(process: subprocess.Popen[bytes], log: Path, text: bytes, timeout: float) -> bool:
    """Wait until a process has written a text to its log.

    Returns:
        True if it has; False if the process ended without it or the time is over.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        has_ended = process.poll() is not None
        if text in log.read_bytes():
            return True
        if has_ended:
            return False
        time.sleep(_POLL_SECONDS)
    return False


def write_line(process: subprocess.Popen[bytes]) -> None:
    """Write an empty line to a process's standard input and close it, if it still runs."""
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(b"\n")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    _signal(process, signal.SIGTERM)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _wait_for_children(process)


def _wait_for_children(process: subprocess.Popen[bytes]) -> None:
    """Wait for its children, then kill those that are left."""
    # They are not children of this process, which cannot wait for them: it polls their group.
    if os.name == "nt":
        return
    deadline = time.monotonic() + _GRACE_SECONDS
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(_POLL_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if os.name == "nt":
        process.terminate()
        return
    with suppress(ProcessLookupError):  # it may have ended by itself
        os.killpg(process.pid, number)


def flash_environment(
    base_url: str,
    *,
    home: Path,
    api_key: str | None = CANARY_API_KEY,
) -> dict[str, str]:
    """Return the variables that point all of Flash at a control plane.

    Args:
        base_url: URL of the control plane.
        home: The process's home folder, where it finds no credentials or store of the user.
        api_key: The API key; None for no key.
    """
    variables = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    variables |= {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "PYTHONUNBUFFERED": "1",  # the log is read while it is written, like a container log
        "PYTHONIOENCODING": "utf-8",
    }
    return variables | plane_variables(base_url, api_key=api_key)


def plane_variables(base_url: str, *, api_key: str | None = CANARY_API_KEY) -> dict[str, str]:
    """Return the variables that make a flash on this machine use a control plane.

    Args:
        base_url: URL of the control plane.
        api_key: The API key; None for no key.
    """
    variables = {
        # All of them, because a partial override makes Flash warn; both names of those that were
        # renamed, because versions of Flash read one or the other.
        "RUNPOD_API_BASE_URL": base_url,
        "RUNPOD_ENDPOINT_BASE_URL": f"{base_url}/v2",
        "RUNPOD_REST_API_URL": f"{base_url}/rest/v1",
        "RUNPOD_HAPI_URL": f"{base_url}/hapi",
        "RUNPOD_CONSOLE_URL": f"{base_url}/console",
        "CONSOLE_BASE_URL": f"{base_url}/console",
        "RUNPOD_URL_MIXED_OK": "1",
        "RUNPOD_FLASH_SILENCE_DEPRECATION": "1",
        "FLASH_NO_UPDATE_CHECK": "1",
    }
    if api_key is not None:
        variables["RUNPOD_API_KEY"] = api_key
    return variables


# A recording is whole on a busy machine, too, where storing and sending take longer than usual.
_BUDGETS: Final = {"FLASH_OTEL_EXIT_BUDGET": "10", "FLASH_OTEL_REQUEST_BUDGET": "5"}


def deploy_variables(
    base_url: str, environment: PythonEnvironment, *, home: Path, store: Path
) -> dict[str, str]:
    """Return the variables of a `flash deploy` on a developer's machine."""
    # Kept, because a user's configured collector receives the demo's spans.
    standard = {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
    return {
        **standard,
        **flash_environment(base_url, home=home),
        **_BUDGETS,
        **environment.variables,
        "PYTHONPATH": str(environment.source),
        "FLASH_OTEL_STORE": str(store),
    }


def worker_variables(
    base_url: str,
    environment: PythonEnvironment,
    *,
    home: Path,
    app: Path,
    template_env: dict[str, str],
    endpoint_id: str,
    pod_id: str,
) -> dict[str, str]:
    """Return the variables of a deployed worker: its template's and the platform's.

    Args:
        base_url: URL of the control plane.
        environment: The worker's Python.
        home: The worker's home folder.
        app: Folder of the unpacked artifact.
        template_env: Variables that Flash put into the endpoint's template.
        endpoint_id: Id of the worker's endpoint.
        pod_id: Id of the worker.
    """
    return {
        **flash_environment(base_url, home=home, api_key=None),
        **_BUDGETS,
        **template_env,
        "RUNPOD_ENDPOINT_ID": endpoint_id,
        "RUNPOD_POD_ID": pod_id,
        environment.generation.manifest_variable: str(environment.generation.manifest_place(app)),
        "PYTHONPATH": os.pathsep.join((str(app), str(environment.source))),
    }


# --- their logs -----------------------------------------------------------------------------------

_TAGS: Final = tuple(f"[{mark}]" for mark in MARKS)


def bracketed_lines(log: Path) -> list[str]:
    """Return a log's bracketed lines, each followed by the lines of its JSON mapping."""
    found: list[str] = []
    in_mapping = False
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(_TAGS):
            found.append(line)
            in_mapping = line.endswith("{")
        elif in_mapping:
            found.append(line)
            in_mapping = line != "}"
    return found


def worker_spans(log: Path) -> Iterator[SpanRecord]:
    """Yield the spans that a worker wrote to its log as OTLP JSON lines.

    Other lines are skipped, and so are truncated ones: a container log may end anywhere.
    """
    from flash_otel.otlp.decode import decode_log_line

    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            yield from decode_log_line(line)


def join_worker_logs(store_path: Path, logs: Iterable[Path]) -> None:
    """Write the spans in workers' logs into the deployments' store."""
    from flash_otel.store.store import SpanStore

    with SpanStore(store_path) as store:
        for log in logs:
            store.write(list(worker_spans(log)))
