"""Helpers for code that tests run in the Python that has Flash: recording, and reporting facts.

Environment variables name the files that they write.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.testing import Recorded

RECORDS: Final = "CHILD_RECORDS"
SEEN: Final = "CHILD_SEEN"

_SOCKETS: Final = ("socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo")
_DESCRIPTORS: Final = Path("/proc/self/fd")


@contextmanager
def recorded(after: int = 0, **options: Any) -> Iterator[Recorded]:
    """Record with fixed ids and clock, and write the spans down, however the block ends."""
    from flash_otel.otlp.encode import encode_json
    from flash_otel.testing import recording

    with recording(after=after, **options) as spans:
        try:
            yield spans
        finally:
            Path(os.environ[RECORDS]).write_text(json.dumps(encode_json(spans.records)))


AS_WORKER: Final = "CHILD_AS_WORKER"


@contextmanager
def traced() -> Iterator[None]:
    """Record like `recorded`; with `AS_WORKER` set, write spans to the log as a worker does."""
    if os.environ.get(AS_WORKER):
        import flash_otel

        flash_otel.instrument()
        yield
        return
    with recorded(after=1000):
        yield


def flash(*arguments: str) -> int:
    """Run the command line in this process, as its console script does; return its status."""
    sys.argv = ["flash", *arguments]
    from runpod_flash.cli.main import app

    try:
        app()
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 0
    return 0


def report(**facts: Any) -> None:
    """Write facts for the test."""
    Path(os.environ[SEEN]).write_text(json.dumps(facts))


def watch() -> None:
    """At exit, report the threads, processes and sockets made from now on."""
    threads: list[str] = []
    processes: list[str] = []
    sockets: list[str] = []

    def see(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            processes.append(str(arguments[1]))
        elif event in _SOCKETS:
            where = arguments[-1] if event == "socket.connect" else ""
            sockets.append(f"{event} {where}")

    # Python 3.11 has no audit event for a thread's start.
    plain_start = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        threads.append(thread.name)
        plain_start(thread)

    def end() -> None:
        opened = [str(path.readlink()) for path in _DESCRIPTORS.iterdir() if path.is_symlink()]
        report(
            threads=threads,
            processes=processes,
            sockets=sockets,
            alive=[thread.name for thread in threading.enumerate()],
            open_sockets=sum(target.startswith("socket:") for target in opened),
        )

    # Registered first: it runs after everything that is registered later.
    atexit.register(end)
    sys.addaudithook(see)
    patch.object(threading.Thread, "start", start).start()
