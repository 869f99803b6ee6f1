"""Install packages with pip, and report how far it is.

It needs only the standard library, because the Makefile uses it before anything is installed:

    python -m flash_otel.demo.packages SENTENCE REQUIREMENT...

installs into the environment of this interpreter.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import threading
import time
from collections import deque
from contextlib import ExitStack, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel.demo.progress import StepProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

_OPTIONS: Final = (
    *("install", "--disable-pip-version-check", "--no-input", "--prefer-binary"),
    # Python compiles what it imports: compiling all of it takes longer than the demo.
    *("--progress-bar", "off", "--no-compile"),
)
_PYTHON_OPTION_SINCE: Final = (22, 3)  # pip's --python
_FAST_SINCE: Final = (25, 0)  # older ones take twice as long for the index's lists of files
_MOST_SECONDS: Final = 900.0
_LOOK_SECONDS: Final = 0.2
_MOST_PARTS: Final = 4
_TAIL: Final = 20  # lines of pip's output in an error

_COLLECTING: Final = re.compile(r"Collecting ([\w.-]+)")
_FETCHED: Final = re.compile(r"\s+(?:Downloading|Using cached) \S+ \(([\d.]+) (\w+)\)")
_UNITS: Final = {"bytes": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}


class InstallError(Exception):
    """Pip failed; the message ends with the last lines of its output."""


def has_shared_pip() -> bool:
    """Return whether this interpreter's pip can install for another interpreter."""
    return _pip_version() >= _PYTHON_OPTION_SINCE


def _pip_version() -> tuple[int, ...]:
    """Return the first numbers of the version of this interpreter's pip, if it has one."""
    try:
        version = metadata.version("pip")
    except metadata.PackageNotFoundError:
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def install(python: Path, options: Sequence[str], on_detail: Callable[[str], None]) -> None:
    """Install packages for an interpreter.

    Args:
        python: An interpreter; if it lacks pip, that of the running one must do (`has_shared_pip`).
        options: Requirements and options of `pip install`.
        on_detail: Called with what pip has done so far.

    Raises:
        InstallError: Pip failed, or did not end in time.
    """
    [(status, tail)] = _run(python, [options], on_detail)
    if status:
        raise InstallError(f"pip ended with status {status}:\n{''.join(tail)}".strip())


def install_pinned(python: Path, pins: Sequence[str], on_detail: Callable[[str], None]) -> None:
    """Install packages without their dependencies, on all processors; failures are ignored.

    Most of pip's time goes into the index's lists of files, on a single processor. A later
    `install` of what is needed finds these packages, and gets what this could not.

    Args:
        python: As for `install`; its environment must be new.
        pins: Requirements, each of another package.
        on_detail: As for `install`.

    Raises:
        InstallError: Pip could not be started.
    """
    parts = min(_MOST_PARTS, os.cpu_count() or 1)
    if parts > 1:
        shares = [["--no-deps", *pins[number::parts]] for number in range(parts)]
        _run(python, shares, on_detail)


def _run(
    python: Path, runs: Sequence[Sequence[str]], on_detail: Callable[[str], None]
) -> list[tuple[int, deque[str]]]:
    """Run pip several times at once; return the exit status and the last lines of each."""
    state = _PipState(_packages_of(python))
    deadline = time.monotonic() + _MOST_SECONDS
    try:
        with ExitStack() as stack:
            pips = [
                stack.enter_context(_Pip([*_pip_of(python), *_OPTIONS, *options], state))
                for options in runs
            ]
            while any(pip.is_running for pip in pips) and time.monotonic() < deadline:
                time.sleep(_LOOK_SECONDS)
                on_detail(str(state))
    except OSError as error:
        raise InstallError(str(error)) from error
    return [(pip.process.returncode, pip.tail) for pip in pips]


def _pip_of(python: Path) -> list[str]:
    mine = Path(sys.executable)
    if python != mine and has_shared_pip():
        return [str(mine), "-m", "pip", "--python", str(python)]
    return [str(python), "-m", "pip"]


class _Pip:
    """A running pip, which ends with the block: a context manager.

    Attributes:
        process: The process.
        tail: The last lines of its output.
    """

    def __init__(self, command: Sequence[str], state: _PipState) -> None:
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, args=(state,), daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def _read(self, state: _PipState) -> None:
        assert self.process.stdout is not None  # noqa: S101 - Popen was given a pipe
        with self.process.stdout as lines:
            for line in lines:
                self.tail.append(line)
                state.take(line)


def _packages_of(python: Path) -> Path:
    """Return the folder of an interpreter's packages, which may be that of a new environment."""
    if python == Path(sys.executable):
        return Path(sysconfig.get_path("purelib"))
    return packages_folder(python.parent.parent)


def packages_folder(environment: Path) -> Path:
    """Return the folder of the packages of a virtual environment."""
    scheme = "nt" if os.name == "nt" else "posix_prefix"
    place = {"base": str(environment), "platbase": str(environment)}
    return Path(sysconfig.get_path("purelib", scheme, place))


class _PipState:
    """What pip has done so far.

    Args:
        packages: The folder that it installs into.
    """

    def __init__(self, packages: Path) -> None:
        self._packages = packages
        self._before = self._count()
        self._names: set[str] = set()
        self._last = ""
        self._megabytes = 0.0

    def take(self, line: str) -> None:
        """Learn from a line of pip's output."""
        if found := _COLLECTING.match(line):
            self._last = found[1]
            self._names.add(found[1].lower())
        elif found := _FETCHED.match(line):
            self._megabytes += float(found[1]) * _UNITS.get(found[2], 0.0)

    def _count(self) -> int:
        return sum(1 for _ in self._packages.glob("*.dist-info"))

    def __str__(self) -> str:
        if not self._names:
            return "reading the index"
        found = f"{len(self._names)} packages, {self._megabytes:.0f} MB"
        # Pip unpacks in silence, after everything is there.
        unpacked = min(self._count() - self._before, len(self._names))
        return f"{found}, {unpacked} unpacked" if unpacked > 0 else f"{found}, {self._last}"


def main(sentence: str, *options: str) -> int:
    """Install into the environment of this interpreter, and return an exit status."""
    try:
        with StepProgress() as progress:
            progress(sentence)
            if _pip_version() < _FAST_SINCE:
                with suppress(InstallError):  # the old one does it, too
                    install(Path(sys.executable), ["--upgrade", "pip"], lambda _: None)
            install(Path(sys.executable), options, lambda detail: progress(sentence, detail))
    except InstallError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
