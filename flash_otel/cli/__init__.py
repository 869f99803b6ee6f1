"""The `flash-otel` command: thin commands, each imported only when it is called."""

from flash_otel.cli.app import main

__all__ = ["main"]
