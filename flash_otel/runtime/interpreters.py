"""The commands that a user pastes: to run flash-otel again, or to add it to flash's interpreter.

uv and pipx install each tool into an environment of its own and leave a file there that records
it: `uv-receipt.toml` and `pipx_metadata.json`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM: Final = "flash-otel"

_HEAD: Final = 4096  # bytes; longer than the first two lines of any console script
# The file that a tool leaves in an environment, and its command that adds a package.
TOOLS: Final = (
    ("uv-receipt.toml", "uv tool install {name} --with {requirement}"),
    ("pipx_metadata.json", "pipx inject {name} {requirement}"),
)


def explain(script: Path | None, command: Sequence[str]) -> tuple[str, str]:
    """Return why flash cannot run in this interpreter, and the commands to run instead.

    Args:
        script: The console script found for flash, if any.
        command: The flash command that was to be run.
    """
    if script is None or not script.exists():
        return (
            "flash is neither installed beside flash-otel nor on PATH.",
            f"Install it here: {_quoted(sys.executable)} -m pip install runpod-flash",
        )
    python = interpreter_of(script)
    if python is None:
        return (
            f"{script} is not a readable console script of runpod-flash.",
            f"Install flash here: {_quoted(sys.executable)} -m pip install runpod-flash",
        )
    again = f"{_as_module(python)} run -- {shlex.join(['flash', *command[1:]])}"
    return (
        f"flash lives in another interpreter ({python}).",
        f"Add flash-otel there:  {install_command(python)}\nThen run:              {again}",
    )


def called_as() -> str:
    """Return how to call this process of flash-otel again: as it was called, if that works."""
    called = Path(sys.argv[0])
    if called.parts[-2:] == ("flash_otel", "__main__.py"):
        return _as_module(sys.executable)
    if called.stem != PROGRAM:
        return PROGRAM  # called from other code
    found = shutil.which(called.name)
    is_found = found and os.path.realpath(found) == os.path.realpath(called)
    return called.name if is_found else _quoted(called)


def own_command() -> str:
    """Return how to call flash-otel from beside a traced program, whose own command is another."""
    if shutil.which(PROGRAM):
        return PROGRAM
    beside = Path(sys.executable).with_name(PROGRAM)
    return _quoted(beside) if beside.exists() else _as_module(sys.executable)


def _as_module(python: object) -> str:
    return f"{_quoted(python)} -m flash_otel"


def install_command(python: Path, extra: str = "") -> str:
    """Return the command that installs flash-otel into the environment of an interpreter.

    Args:
        python: The interpreter.
        extra: An extra of flash-otel to install with it.
    """
    environment, wanted = python.parent.parent, requirement(extra)
    for file, command in TOOLS:
        if (environment / file).exists():
            return command.format(name=environment.name, requirement=wanted)
    return f"{_quoted(python)} -m pip install {wanted}"


def requirement(extra: str = "") -> str:
    """Return what to install flash-otel from, quoted for a shell: the origin of this one.

    An installer records every origin but a package index (PEP 610). A checkout is installed by its
    path, because the index need not have flash-otel.

    Args:
        extra: An extra of flash-otel to install with it.
    """
    from importlib import metadata
    from urllib.parse import unquote, urlsplit

    named = f"[{extra}]" if extra else ""
    try:
        recorded = metadata.distribution(PROGRAM).read_text("direct_url.json") or "{}"
        place = urlsplit(json.loads(recorded).get("url", ""))
    except (metadata.PackageNotFoundError, ValueError):
        return _quoted(f"{PROGRAM}{named}")
    folder = Path(unquote(place.path)) if place.scheme == "file" else None
    return _quoted(f"{folder if folder and folder.exists() else PROGRAM}{named}")


def runs_here(script: Path) -> bool:
    """Return whether a console script belongs to the environment of this interpreter."""
    python = interpreter_of(script)
    return python is not None and python.parent.parent.resolve() == Path(sys.prefix).resolve()


def interpreter_of(script: Path) -> Path | None:
    """Return the interpreter that a console script starts; None if it is not one of Flash's.

    Symbolic links are not resolved: the interpreter of a virtual environment is a link itself.
    """
    try:
        with script.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    if head.startswith(b"#!") and b"runpod_flash" in head:
        return _from_lines(head.decode("utf-8", "replace").splitlines())
    beside = script.with_name("python.exe")  # launchers on Windows are binaries without a shebang
    return beside if head.startswith(b"MZ") and beside.exists() else None


def _from_lines(lines: Sequence[str]) -> Path | None:
    """Parse `#!/path/python`, `#!/usr/bin/env python`, and the form for long paths.

    The long form is a shell command that Python reads as a string:
    `'''exec' "/a path/python" "$0" "$@"`.
    """
    words = lines[0][2:].split()
    if len(lines) > 1 and lines[1].startswith("'''exec'"):
        words = _shell_words(lines[1])[1:]
    elif words and Path(words[0]).name == "env":
        words = [shutil.which(word) or word for word in words[1:2]]
    return Path(words[0]) if words else None


def _shell_words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []


def _quoted(path: object) -> str:
    return shlex.quote(str(path))
