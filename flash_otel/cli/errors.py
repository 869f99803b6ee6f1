"""Exit statuses, and the error that ends a command with a message and a next step."""

from __future__ import annotations

from typing import Final

CLEAN: Final = 0
FAULT_FOUND: Final = 1
BAD_USAGE: Final = 2
COULD_NOT_TELL: Final = 3
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it
PIPE_CLOSED: Final = 141  # 128 + SIGPIPE


class CommandError(Exception):
    """Ends a command with an error message.

    Attributes:
        message: What is wrong, in one sentence.
        next_step: What to do about it; may hold the exact command.
        status: The exit status.
    """

    def __init__(self, message: str, next_step: str = "", status: int = BAD_USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.status = status
