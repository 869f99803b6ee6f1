"""The `flash-otel` command: thin commands over the recording, each imported when it is called."""

from flash_otel.cli.app import main

__all__ = ["main"]
