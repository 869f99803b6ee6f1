"""Suggested commands of flash-otel, which work when a user pastes them.

A process may need this at its very end. Nothing here defines a dataclass or a named tuple: those
run code from a text, after which CPython no longer ends by SIGINT on an unhandled Ctrl-C
(`run_eval_code_obj` in `Python/pythonrun.c`).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

PROGRAM: Final = "flash-otel"
COMMANDS: Final = (
    "run",
    "verify",
    "diagnose",
    "traces",
    "show",
    "push",
    "ui",
    "status",
    "prune",
    "collector",
    "doctor",
    "demo",
    "mcp",
    "help",
)
"""The words that may follow the program's name in a suggestion; `cli/app.py` declares them."""

_SUGGESTED: Final = re.compile(rf"(?<![\w/\\.-]){PROGRAM} (?=(?:{'|'.join(COMMANDS)})\b)")


def pasteable(text: str) -> str:
    """Return a text whose commands of this program work when they are pasted."""
    return _SUGGESTED.sub(lambda _: f"{own_command()} ", text)


def own_command() -> str:
    """Return the shortest way to call this flash-otel from a shell.

    The process may be one of flash-otel, or a traced program, whose own command is another.
    """
    called = Path(sys.argv[0])
    script = called if called.stem == PROGRAM else Path(sys.executable).with_name(PROGRAM)
    found = shutil.which(script.name)
    if found and os.path.realpath(found) == os.path.realpath(script):
        return script.name
    return quoted(script) if script.exists() else as_module(sys.executable)


def as_module(python: object) -> str:
    """Return how to run flash-otel in an interpreter."""
    return f"{quoted(python)} -m flash_otel"


def quoted(path: object) -> str:
    """Return a path as a word of a shell command."""
    return shlex.quote(str(path))
