"""How a call ended: what is a failure, what is not, and what may have taken effect anyway."""

from __future__ import annotations

import asyncio
import traceback
from typing import Final

from flash_otel import semconv
from flash_otel.redaction import scrub

CANCELLING: Final = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)

# The request went out and no answer came back: a write may have taken effect. Matched by class
# name along the causes, because Flash wraps aiohttp's errors (`_GraphQLNetworkError`, 1.6.1+).
LOST_ANSWERS: Final = frozenset(
    {
        "ServerDisconnectedError",
        "ClientOSError",
        "ClientPayloadError",
        "ConnectionResetError",
        "ServerTimeoutError",
        "SocketTimeoutError",
        "TimeoutError",
        "ReadTimeout",
        "ReadError",
        "RemoteProtocolError",
        "ConnectionAbortedError",
        "BrokenPipeError",
    }
)
# The request never went out: nothing can have taken effect.
NEVER_SENT: Final = frozenset(
    {
        "ClientConnectorError",
        "ClientConnectorDNSError",
        "ClientConnectorCertificateError",
        "ClientConnectorSSLError",
        "ConnectionRefusedError",
        "ConnectTimeout",
        "ConnectError",
        "ConnectionTimeoutError",
        "gaierror",
    }
)

MAX_CAUSES: Final = 10
MAX_FRAMES: Final = 30


def is_clean_exit(error: BaseException) -> bool:
    """Tell whether an exception only ends a command with status 0 (`SystemExit`, `typer.Exit`)."""
    if isinstance(error, SystemExit):
        return error.code in (None, 0)
    return _is_exit(error) and getattr(error, "exit_code", 1) == 0


def root_cause(error: BaseException) -> BaseException:
    """Find the exception that an exit stands for.

    Flash's commands catch what failed and raise `typer.Exit(1)` (1.1.1-1.21.0, `deploy_command`):
    the failure is its context.
    """
    current: BaseException = error
    for _ in range(MAX_CAUSES):
        hidden = current.__cause__ or current.__context__
        if hidden is None or not (_is_exit(current) or isinstance(current, SystemExit)):
            return current
        current = hidden
    return current


def classify(error: BaseException, *, writes: bool) -> str:
    """Name the outcome of a call that raised: failed, cancelled or unknown."""
    if isinstance(error, CANCELLING):
        return semconv.UNKNOWN if writes else semconv.CANCELLED
    return semconv.UNKNOWN if writes and _lost_answer(error) else semconv.FAILED


def error_type(error: BaseException) -> str:
    """Return the qualified name of the exception's class, as `error.type` wants it."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def describe(error: BaseException) -> str:
    """Return a scrubbed, one-line description of the exception."""
    message = " ".join(scrub(_message(error)).split())
    name = type(error).__name__
    return f"{name}: {message}" if message else name


def exception_attributes(error: BaseException) -> dict[str, str]:
    """Return the attributes of an exception event, scrubbed, as the SDK names them."""
    try:
        lines = traceback.format_exception(
            type(error), error, error.__traceback__, limit=-MAX_FRAMES
        )
        trace = "".join(lines)
    except Exception:  # a broken __str__ or __cause__ of the user's is not our failure
        trace = ""
    return {
        semconv.EXCEPTION_TYPE: error_type(error),
        semconv.EXCEPTION_MESSAGE: scrub(_message(error)),
        semconv.EXCEPTION_STACKTRACE: scrub(trace),
        semconv.EXCEPTION_ESCAPED: "True",
    }


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def _is_exit(error: BaseException) -> bool:
    return type(error).__name__ == "Exit" and hasattr(error, "exit_code")


def _lost_answer(error: BaseException) -> bool:
    current: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if current is None:
            return False
        names = {kind.__name__ for kind in type(current).__mro__}
        if names & NEVER_SENT:
            return False
        if names & LOST_ANSWERS:
            return True
        current = current.__cause__ or current.__context__
    return False
