"""Errors of the read-back: what is wrong, the next step, and the fault, if it is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import failures, semconv
from flash_otel.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_NAMES: Final = 10

_KEY_ORDER: Final = (
    "Run `flash login`, or set RUNPOD_API_KEY. A key in the environment (or in a .env file of this "
    "folder) wins over the login: unset it if it is old."
)


class VerifyError(Exception):
    """The read-back failed before anything could be compared.

    Attributes:
        message: What is wrong, in one sentence, without secrets.
        next_step: What to do about it.
        code: The code of the fault, or None.
    """

    def __init__(self, message: str, next_step: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.code = code


class WrongNameError(VerifyError):
    """The app or environment does not exist, or several exist and none was named."""


def missing_key() -> VerifyError:
    """Return the error for a missing API key."""
    return VerifyError("there is no Runpod API key, so nothing can be read back.", _KEY_ORDER)


def unknown_app(name: str, known: Sequence[str]) -> WrongNameError:
    """Return the error for an app that this API key cannot see."""
    listed = f"It knows: {listing(known)}." if known else "It knows none for this API key."
    step = "Flash uses the folder's name unless `--app` is given. Pass another: --app NAME"
    return WrongNameError(f"Runpod knows no app {name!r}. {listed}", step)


def unknown_environment(app: str, name: str, known: Sequence[str]) -> WrongNameError:
    """Return the error for an environment that the app does not have."""
    listed = f"It has: {listing(known)}." if known else "It has none."
    step = f"Try: flash-otel verify --app {app} --env {known[0]}" if known else "Run: flash deploy"
    return WrongNameError(f"app {app!r} has no environment {name!r}. {listed}", step)


def choose_environment(app: str, known: Sequence[str]) -> WrongNameError:
    """Return the error for an app that has several environments, or none."""
    if not known:
        return WrongNameError(f"app {app!r} has no environment.", "Run: flash deploy")
    message = f"app {app!r} has {len(known)} environments: {listing(known)}."
    return WrongNameError(message, f"Choose one: flash-otel verify --app {app} --env {known[0]}")


def out_of_time(seconds: float, step: str) -> VerifyError:
    """Return the error for a query that was pending at the deadline."""
    return VerifyError(
        f"no answer within {seconds:g} s: {step} was still pending.",
        "Check the network and Runpod's status, or give it longer: --timeout SECONDS",
    )


def of(error: BaseException, step: str) -> VerifyError:
    """Return the error for a failed query.

    Args:
        error: The exception that Flash's client raised.
        step: The query, in words.
    """
    text = " ".join(scrub(str(error)).split())
    kind = failures.kind_of(type(error).__name__, text)
    message = f"{step} failed: {text or type(error).__name__}"
    if kind == failures.UNAUTHORIZED:
        return VerifyError(f"the API key was rejected; {message}", _KEY_ORDER, semconv.UNAUTHORIZED)
    if kind == failures.UNAVAILABLE:
        code = semconv.STATE_MANAGER_UNAVAILABLE if failures.is_server_error(text) else None
        return VerifyError(message, "Check the network and Runpod's status, and try again.", code)
    return VerifyError(message, "Try again; `flash env list` asks Runpod the same way.")


def listing(names: Sequence[str]) -> str:
    """Return the first names as a list in a sentence."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
