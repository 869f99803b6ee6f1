"""Run flash's own entry point in this process, as if its console script had been started."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from flash_otel.cli.errors import INTERRUPTED, CommandError
from flash_otel.runtime import interpreters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_EXAMPLE: Final = "For example: flash-otel run -- flash deploy"
_NAMES: Final = frozenset({"flash", "flash.exe"})


@dataclass(frozen=True, slots=True)
class Flash:
    """A flash command, ready to run in this interpreter.

    Attributes:
        entry_point: The console script's entry point.
        argv: `sys.argv` as the console script would see it.
    """

    entry_point: EntryPoint
    argv: tuple[str, ...]


def prepare(command: Sequence[str]) -> Flash:
    """Find the entry point that `command` would run, without importing it.

    Raises:
        CommandError: It is not a flash command, or flash is not installed in this interpreter.
    """
    word = Path(command[0])
    if word.name.lower() not in _NAMES:
        raise CommandError(f"run takes a flash command, not {command[0]!r}.", _EXAMPLE)
    named = word if len(word.parts) > 1 else None
    entry_point = _entry_point()
    if named is not None and not interpreters.runs_here(named):
        raise CommandError(*interpreters.explain(named, command))
    if entry_point is None:
        raise CommandError(*interpreters.explain(_on_path(), command))
    return Flash(entry_point, (str(named or _script()), *command[1:]))


def _entry_point() -> EntryPoint | None:
    scripts = entry_points(group="console_scripts", name="flash")
    # Other packages install a `flash`, too.
    ours = (script for script in scripts if script.module.partition(".")[0] == "runpod_flash")
    return next(ours, None)


def _script() -> Path:
    """Return the console script of this interpreter; PATH may lead to another one's."""
    installed = Path(sysconfig.get_path("scripts"), "flash")
    on_path = _on_path()
    if not installed.exists() and on_path is not None and interpreters.runs_here(on_path):
        return on_path
    return installed


def _on_path() -> Path | None:
    found = shutil.which("flash")
    return Path(found) if found else None


def launch(flash: Flash) -> int:
    """Run flash and return the exit status that its own process would have had.

    Prints what Python prints about an uncaught exception.
    """
    with _as_script(flash):
        try:
            sys.exit(flash.entry_point.load()())
        except SystemExit as ending:
            return _status(ending)
        except KeyboardInterrupt as interrupt:
            _print_exception(interrupt)
            return INTERRUPTED
        except Exception as error:
            _print_exception(error)
            return 1


def _status(ending: SystemExit) -> int:
    if ending.code is None:
        return 0
    if isinstance(ending.code, int):
        return ending.code
    print(ending.code, file=sys.stderr)
    return 1


def _print_exception(error: BaseException) -> None:
    """Print it with the hook that flash installed (Typer's), without this module's frame."""
    traceback = error.__traceback__.tb_next if error.__traceback__ else None
    sys.excepthook(type(error), error.with_traceback(traceback), traceback)


@contextmanager
def _as_script(flash: Flash) -> Iterator[None]:
    """Give the process the arguments, the main module and the path of the console script.

    Flash's help prints the program's name, its build imports from the project's folder, and
    processes that it spawns import the main module again.
    """
    script = ModuleType("__main__")
    script.__file__ = flash.argv[0]
    saved = (sys.argv, sys.modules["__main__"], list(sys.path))
    sys.argv, sys.modules["__main__"] = list(flash.argv), script
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.path.dirname(flash.argv[0])  # noqa: PTH120 - as Python itself does
    try:
        yield
    finally:
        sys.argv, sys.modules["__main__"], sys.path[:] = saved
