"""What one test run makes once, for all processes that pytest-xdist runs it in.

The controlling process makes a folder for the run and passes it to its workers; the first worker
that needs something makes it there, under a lock, and the others read what it left. A program that
is started this way belongs to the run: the controlling process ends it, by its pid.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from flash_otel.runtime.locks import file_lock

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

_T = TypeVar("_T")

_PROCESSES: Final = "processes"
_END_SECONDS: Final = 30.0


_current: list[Shared] = []


def begin(folder: Path | None) -> Shared:
    """Begin the test run of this process; `folder` is given if another process has made it."""
    _current[:] = [Shared(folder or Path(tempfile.mkdtemp(prefix="flash-otel-tests-")))]
    return _current[0]


def current() -> Shared:
    """Return the test run of this process, for helpers that no fixture is passed to."""
    return _current[0]


@dataclass(frozen=True)
class Shared:
    """The folder of one test run.

    Attributes:
        folder: What the run's processes share; removed at its end.
    """

    folder: Path
    _kept: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def once(self, name: str, make: Callable[[Path], _T]) -> _T:
        """Return what `make` returned in the first process that asked for `name`.

        Args:
            name: What it is called; a file name.
            make: Called with a folder for it, in one process alone. If it raises, the next process
                that asks calls it again. Its result must be picklable.
        """
        made = self.folder / f"{name}.pickle"
        with file_lock(self.folder / f"{name}.lock"):
            if not made.exists():
                folder = self.folder / name
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                made.write_bytes(pickle.dumps(make(folder)))
        result: _T = pickle.loads(made.read_bytes())  # noqa: S301 - written by this very run
        return result

    def adopt(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Let a process outlive the worker that started it, and end with the run.

        Args:
            process: The process.
            folder: Its working folder, by which it is recognised.
        """
        self._kept.append(process)  # collected while it runs, it would warn
        notes = self.folder / _PROCESSES
        notes.mkdir(exist_ok=True)
        (notes / f"{time.monotonic_ns()}").write_text(f"{process.pid} {folder}", encoding="utf-8")

    def end(self) -> None:
        """End the adopted processes, the last one first, and remove the folder."""
        for note in sorted((self.folder / _PROCESSES).glob("*"), reverse=True):
            pid, folder = note.read_text(encoding="utf-8").split(" ", 1)
            _end(int(pid), Path(folder))
        shutil.rmtree(self.folder, ignore_errors=True)


def _end(pid: int, folder: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _END_SECONDS
        if _runs(pid, folder):
            os.kill(pid, number)
        while _runs(pid, folder):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)


def _runs(pid: int, folder: Path) -> bool:
    """Return False for a process that has ended, also where another one has its id by now."""
    try:
        os.kill(pid, 0)
        # A zombie, which its new parent may never reap, has no working folder.
        return not Path("/proc").exists() or Path(f"/proc/{pid}/cwd").resolve() == folder.resolve()
    except OSError:
        return False
