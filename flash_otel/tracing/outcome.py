"""How a call ended: what counts as a failure, and how its span describes it."""

from __future__ import annotations

import traceback
from typing import Final

from flash_otel import semconv
from flash_otel.redaction import scrub
from flash_otel.runtime import failures

MAX_FRAMES: Final = 30


def failure_of(error: BaseException) -> BaseException | None:
    """Return the exception that made a call fail; None for an exit with status 0."""
    if isinstance(error, SystemExit):
        is_clean = error.code in (None, 0)
    else:
        is_clean = _is_typer_exit(error) and getattr(error, "exit_code", 1) == 0
    return None if is_clean else root_cause(error)


def root_cause(error: BaseException) -> BaseException:
    """Return the exception that an exit hides, or the exception itself.

    Flash's commands catch what failed and raise `typer.Exit(1)` (1.1.1-1.21.0, `deploy_command`):
    the failure is the exit's context.
    """
    found = error
    for found in failures.causes(error):
        if not (_is_typer_exit(found) or isinstance(found, SystemExit)):
            break
    return found


def classify(error: BaseException, *, writes: bool) -> str:
    """Return the outcome of a call that raised: failed, cancelled or unknown.

    Args:
        error: What the call raised.
        writes: Whether the call changes state on the server: an interrupted write may have taken
            effect.
    """
    if failures.is_cancellation(error):
        return semconv.UNKNOWN if writes else semconv.CANCELLED
    return semconv.UNKNOWN if writes and failures.is_answer_lost(error) else semconv.FAILED


def error_type(error: BaseException) -> str:
    """Return the qualified name of the exception's class, for `error.type`."""
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
    """Return the scrubbed attributes of an exception event, named as the SDK names them."""
    try:
        lines = traceback.format_exception(
            type(error), error, error.__traceback__, limit=-MAX_FRAMES
        )
        trace = "".join(lines)
    except Exception:  # the user's exception may have a broken __str__ or __cause__
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


def _is_typer_exit(error: BaseException) -> bool:
    # By name: typer and click, whose exception it is, may not be installed.
    return type(error).__name__ == "Exit" and hasattr(error, "exit_code")
