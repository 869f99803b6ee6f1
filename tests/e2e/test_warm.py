"""The tests' forked processes of Flash's Python against started ones: they must not differ."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.site import IN_FLASH

from flash_otel.demo.processes import flash_environment

if TYPE_CHECKING:
    from pathlib import Path

    from support.flash import FlashEnvironments
    from support.warm import WarmEnvironments

    from flash_otel.demo.environment import PythonEnvironment

pytestmark = [
    pytest.mark.flash,
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="they are forked on Linux alone"),
]

STATE: Final = """
import os, signal, sys, threading
print(sys.argv, sys.orig_argv[1:], sys.path, sys.executable, os.getcwd(), dict(os.environ))
for stream in (sys.stdin, sys.stdout, sys.stderr):
    print(stream.name, stream.encoding, stream.errors, stream.line_buffering, stream.write_through)
print(__name__, sorted(set(globals())), sys.modules["__main__"].__dict__ is globals())
print(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
print([thread.name for thread in threading.enumerate()], sorted(os.listdir("/proc/self/fd")))
print(sys.excepthook is sys.__excepthook__)
print({"runpod", "runpod_flash", "opentelemetry"} & set(sys.modules))
print(sys.stdin.read())
"""
COMMANDS: Final[dict[str, list[str]]] = {
    "state": ["-c", STATE, "one", "--two"],
    "state of a module": ["-m", "stated", "one", "--two"],
    "state of a script": ["stated.py", "one", "--two"],
    "exit status": ["-c", "import sys; sys.exit(7)"],
    "exit text": ["-c", "import sys; sys.exit('because')"],
    "an exception": ["-c", "def f():\n    1 / 0\nf()"],
    "an exception with a cause": ["-c", "try:\n    1 / 0\nexcept Exception:\n    raise KeyError"],
    "an exception in a module": ["-m", "failing"],
    "a missing module": ["-m", "nowhere"],
    "at exit": ["-c", "import atexit; atexit.register(print, 'last'); print('first'); 1 / 0"],
    "killed": ["-c", "import os; os.kill(os.getpid(), 9)"],
    "an option": ["-X", "dev", "-c", "import sys; print(sys.flags.dev_mode)"],
}


def ran(environment: PythonEnvironment, folder: Path, arguments: list[str], **more: str) -> Any:
    """Return all that can be seen of a process."""
    variables = flash_environment("http://127.0.0.1:9", home=folder)
    plain = {name: value for name, value in variables.items() if name[:6] != "PYTHON"}
    ended = subprocess.run(
        [str(environment.python), *arguments],
        cwd=folder,
        env={**plain, "PYTHONPATH": f"{folder}:{IN_FLASH}", **more},
        input=b"of stdin",
        capture_output=True,
        check=False,
        timeout=120,
    )
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("variable", ["PYTHONUNBUFFERED=1", "PYTHONIOENCODING=utf-8"])
def test_it_is_like_a_started_one(
    name: str,
    variable: str,
    warm_env: WarmEnvironments,
    flash_env: FlashEnvironments,
    tmp_path: Path,
) -> None:
    """State, output, tracebacks and exit status are the interpreter's own."""
    (tmp_path / "stated.py").write_text(STATE)
    (tmp_path / "failing.py").write_text("1 / 0\n")
    (tmp_path / "sitecustomize.py").write_text("print('customized')\n")
    runs = [
        ran(found, tmp_path, COMMANDS[name], **dict([variable.split("=")]))
        for found in (warm_env("1.14.0"), flash_env("1.14.0"))
    ]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_it(number: signal.Signals, warm_env: WarmEnvironments) -> None:
    """A signal to the process that was started ends the forked one, with the same status."""
    code = "import time; print(1, flush=True); time.sleep(100)"
    read, write = os.pipe()
    with subprocess.Popen(
        [str(warm_env("1.14.0").python), "-c", code],
        stdout=write,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(write)
        with os.fdopen(read, "rb") as output:
            assert output.readline() == b"1\n"
            process.send_signal(number)
            assert output.read() == b""  # at its end: nobody holds the other end of the pipe
        assert process.wait(60) == -number
