"""Starts `python ARGUMENTS` as a fork of a process that has Flash's imports, and stands for it.

Its streams, folder and environment are the process's, and so is its exit status; a signal is passed
on. Where the command line or the environment asks for what `warm.py` does not do, or the server has
gone, it becomes the real interpreter.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import Any, Final, NoReturn

_KNOWN: Final = frozenset(
    {"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONDONTWRITEBYTECODE"}
)
_PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(path: str, arguments: list[str]) -> NoReturn:
    """Pass the command on and wait for its end.

    Args:
        path: The server's socket.
        arguments: The interpreter's arguments.
    """
    connection = socket.socket(socket.AF_UNIX)
    if not _is_plain(arguments) or connection.connect_ex(path):
        connection.close()
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - becomes it
    code = os.waitstatus_to_exitcode(_stand_for(connection, arguments))
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _is_plain(arguments: list[str]) -> bool:
    special = {name for name in os.environ if name.startswith("PYTHON")} - _KNOWN
    return not special and (arguments[:1] in (["-c"], ["-m"]) or arguments[0][:1] != "-")


def _stand_for(connection: socket.socket, arguments: list[str]) -> int:
    """Let the server fork the process; return its wait status."""
    pid = 0
    waiting: list[int] = []

    def pass_on(number: int, _frame: Any) -> None:
        os.kill(pid, number) if pid else waiting.append(number)

    for passed in _PASSED_ON:
        signal.signal(passed, pass_on)
    request = {"arguments": arguments, "cwd": os.getcwd(), "environ": dict(os.environ)}  # noqa: PTH109 - pathlib takes time to import
    socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
    answers = connection.makefile("rb")
    pid = int(answers.readline())
    for number in waiting:
        os.kill(pid, number)
    return int(answers.readline())
