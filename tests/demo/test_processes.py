from __future__ import annotations

import signal
import socket
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flash_otel.demo import processes
from flash_otel.demo.processes import ProcessSpec

if TYPE_CHECKING:
    from pathlib import Path

# Connects to us, starts a child that does so too, and stays.
STAYING = """
import signal, socket, subprocess, sys
deaf, port, depth = sys.argv[1] == "deaf", int(sys.argv[2]), int(sys.argv[3])
if deaf:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if depth:
    subprocess.Popen([sys.executable, "-c", sys.argv[4], *sys.argv[1:3], "0", sys.argv[4]])
connection = socket.create_connection(("127.0.0.1", port))
connection.sendall(b"x")
signal.pause()
"""


def staying(
    listener: socket.socket, cwd: Path, *, deaf: bool = False, depth: int = 1
) -> ProcessSpec:
    """Return a command that runs until it is terminated, with connections that show it."""
    port = str(listener.getsockname()[1])
    hearing = "deaf" if deaf else "hearing"
    arguments = [sys.executable, "-c", STAYING, hearing, port, str(depth), STAYING]
    return ProcessSpec(arguments, cwd, {})


def accept(listener: socket.socket) -> socket.socket:
    """Return the next connection, once its process is ready."""
    connection, _ = listener.accept()
    connection.settimeout(30)
    assert connection.recv(1) == b"x"
    return connection


def test_children_and_their_children_end_with_the_block(tmp_path: Path) -> None:
    """An interrupted block ends what it started, down to grandchildren."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        family: list[socket.socket] = []

        def interrupted() -> None:
            with processes.running(staying(listener, tmp_path), tmp_path / "log"):
                family.extend((accept(listener), accept(listener)))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        for connection in family:
            with closing(connection):
                assert connection.recv(1) == b""


def test_deaf_child_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ignores the polite signal is killed after a grace."""
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 0.05)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        command = staying(listener, tmp_path, deaf=True, depth=0)
        with processes.running(command, tmp_path / "log") as process:
            connection = accept(listener)
        with closing(connection):
            assert connection.recv(1) == b""
    assert process.returncode == -signal.SIGKILL


def test_too_long_a_run_is_an_error_and_ends(tmp_path: Path) -> None:
    """A process that does not end in time is named in the error."""
    command = ProcessSpec([sys.executable, "-c", "import signal; signal.pause()"], tmp_path, {})
    with (
        pytest.raises(TimeoutError, match="did not end within 0 seconds"),
        processes.running(command, tmp_path / "log") as process,
    ):
        processes.wait(process, 0.05)
    assert process.returncode is not None


def test_log_holds_both_streams_and_the_exit_code_comes_back(tmp_path: Path) -> None:
    """Standard output and error go to one log; the exit code comes back."""
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(7)"
    command = ProcessSpec([sys.executable, "-c", code], tmp_path, {})
    with processes.running(command, tmp_path / "log") as process:
        assert processes.wait(process, 30) == 7
    assert (tmp_path / "log").read_text(encoding="utf-8").split() == ["out", "err"]


ANSWERING = "import sys; print('ready', flush=True); print(sys.stdin.readline() + 'heard')"


def test_a_process_is_waited_for_and_continued(tmp_path: Path) -> None:
    """A text in its log ends the wait; a line then reaches its standard input."""
    log = tmp_path / "log"
    command = ProcessSpec([sys.executable, "-c", ANSWERING], tmp_path, {}, subprocess.PIPE)
    with processes.running(command, log) as process:
        assert processes.wait_for_text(process, log, b"ready", 60)
        assert not processes.wait_for_text(process, log, b"heard", 0)
        processes.write_line(process)
        assert processes.wait(process, 60) == 0
    assert log.read_text(encoding="utf-8").splitlines() == ["ready", "", "heard"]


def test_a_process_that_ends_without_the_text_is_not_waited_for(tmp_path: Path) -> None:
    """The wait ends with the process; a line to it is no error then."""
    log = tmp_path / "log"
    command = ProcessSpec([sys.executable, "-c", ""], tmp_path, {}, subprocess.PIPE)
    with processes.running(command, log) as process:
        assert not processes.wait_for_text(process, log, b"ready", 600)
        processes.write_line(process)
