"""What goes wrong where records are laid out on disk."""

from __future__ import annotations


class SpoolError(Exception):
    """The records could not be laid out on disk; the message says why."""
