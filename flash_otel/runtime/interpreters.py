"""The interpreters of Flash and of flash-otel, and how to bring both into one.

uv and pipx install each tool into an environment of its own and leave a file there that records
it: `uv-receipt.toml` and `pipx_metadata.json`.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel.runtime.suggestions import PROGRAM, as_module, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEAD: Final = 4096  # bytes; longer than the first two lines of any console script
# The file that a tool leaves in an environment, and its command that adds a package.
TOOLS: Final = (
    ("uv-receipt.toml", "uv tool install {name} --with {requirement}"),
    ("pipx_metadata.json", "pipx inject {name} {requirement}"),
)


@dataclass(frozen=True, slots=True)
class FlashScript:
    """A console script of Flash.

    Attributes:
        package: The package whose function it calls.
        requirement: What to install for it.
    """

    package: str
    requirement: str


_SUCCESSOR: Final = FlashScript("runpod.rp_cli", "runpod>=2.0.0rc2")
SCRIPTS: Final = {
    "flash": FlashScript("runpod_flash", "runpod-flash"),
    "rp": _SUCCESSOR,
    "runpod": _SUCCESSOR,
}
"""The console scripts by name. That of runpod 1 is not one of them: it has no Flash."""


def script_name(word: str) -> str:
    """Return the name of the script that the first word of a command names, or an empty text."""
    name = Path(word).name.lower().removesuffix(".exe")
    return name if name in SCRIPTS else ""


def explain(script: Path | None, command: Sequence[str]) -> tuple[str, str]:
    """Return why Flash cannot run in this interpreter, and the commands to run instead.

    Args:
        script: The console script found for the command, if any.
        command: The command that was to be run; its first word is one of `SCRIPTS`, or its path.
    """
    name = script_name(command[0])
    needed = SCRIPTS[name].requirement
    install = f"{quoted(sys.executable)} -m pip install {quoted(needed)}"
    if script is None or not script.exists():
        return (
            f"{name} is neither installed beside flash-otel nor on PATH.",
            f"Install it here: {install}",
        )
    python = interpreter_of(script)
    if python is None:
        return (
            f"{script} is not a readable console script of {needed}.",
            f"Install {name} here: {install}",
        )
    again = f"{as_module(python)} run -- {shlex.join([name, *command[1:]])}"
    return (
        f"{name} lives in another interpreter ({python}).",
        f"Add flash-otel there:  {install_command(python)}\nThen run:              {again}",
    )


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
    return f"{quoted(python)} -m pip install {wanted}"


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
        return quoted(f"{PROGRAM}{named}")
    folder = Path(unquote(place.path)) if place.scheme == "file" else None
    return quoted(f"{folder if folder and folder.exists() else PROGRAM}{named}")


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
    packages = {script.package.encode() for script in SCRIPTS.values()}
    if head.startswith(b"#!") and any(package in head for package in packages):
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
