"""The console that commands print reports to."""

from __future__ import annotations

from typing import NoReturn

from rich.console import Console


class CommandConsole(Console):
    """Leaves a closed pipe to the command line's own handling.

    Rich would exit with 1, which in `flash-otel` means that a fault was found.
    """

    def on_broken_pipe(self) -> NoReturn:
        """Pass on the exception that is being handled."""
        raise BrokenPipeError
