"""Child processes that write a log, and that never outlive the block that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_POLL_SECONDS: Final = 0.01
_GRACE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Command:
    """What to start, where, and with which variables.

    Attributes:
        arguments: The command line.
        cwd: The folder that it runs in.
        variables: All of its environment variables.
        stdin: What its standard input is, as `subprocess.Popen` has it.
    """

    arguments: Sequence[str]
    cwd: Path
    variables: Mapping[str, str]
    stdin: int = subprocess.DEVNULL


@contextmanager
def running(command: Command, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process with standard output and error in `log`; end it when the block ends."""
    with ExitStack() as interruptions:
        interruptions.enter_context(_interruptions_held())
        with log.open("wb") as file:
            process = subprocess.Popen(
                list(command.arguments),
                cwd=command.cwd,
                env=dict(command.variables),
                stdin=command.stdin,
                stdout=file,
                stderr=subprocess.STDOUT,
                # Children of the child (pip, cpuinfo) are ended with it.
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
    """Let a Ctrl-C wait until the block ends: amid a start it would orphan the child."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            raise KeyboardInterrupt


def run(command: Command, log: Path, timeout: float) -> int:
    """Run a process to its end and return its exit code.

    Raises:
        TimeoutError: It took longer than `timeout` seconds; it has been ended.
    """
    with running(command, log) as process:
        return wait(process, timeout)


def wait(process: subprocess.Popen[bytes], timeout: float) -> int:
    """Wait for a process's end and return its exit code.

    Raises:
        TimeoutError: It took longer than `timeout` seconds.
    """
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired as error:
        name = " ".join(str(part) for part in list(error.cmd)[:4])
        raise TimeoutError(f"{name} ... did not end within {timeout:.0f} seconds.") from None


def wait_for_text(process: subprocess.Popen[bytes], log: Path, text: bytes, timeout: float) -> bool:
    """Wait until a process has written a text to its log, and tell whether it has.

    Returns:
        False if the process ended without it, or the time is over.
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


def tell(process: subprocess.Popen[bytes], text: bytes) -> None:
    """Write to a process's standard input and close it; one that has ended hears nothing."""
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin as listening:
            listening.write(text)


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
    """Wait until its children have gone as well; those that stay are killed.

    They are no children of this process: only the group's absence tells that they have ended.
    """
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
    with suppress(ProcessLookupError):  # it may end by itself in between
        os.killpg(process.pid, number)
