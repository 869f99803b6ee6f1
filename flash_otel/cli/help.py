"""`flash-otel help`: show the help of a command."""

from typing import Annotated

import typer

from flash_otel.cli.app import CLEAN, parsed


def show_help(
    command: Annotated[
        str | None,
        typer.Argument(
            metavar="COMMAND", help="The command; by default the overview.", show_default=False
        ),
    ] = None,
) -> int:
    """Show the help of a command."""
    parsed([command, "--help"] if command else ["--help"])
    return CLEAN
