"""What keeps the bundled programs from running, and what to do about it."""

from __future__ import annotations


class CollectorError(Exception):
    """Says what is wrong, and the next step.

    Attributes:
        message: What is wrong, in one sentence.
        next_step: What to do; may hold a command.
    """

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
