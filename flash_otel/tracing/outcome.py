"""How a call ended: what counts as a failure, and how its span describes it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flash_otel import failures, semconv
from flash_otel.redaction import scrub
from flash_otel.runtime import options as opts
from flash_otel.runtime.process import ProcessVar, is_hosts

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
        error: The exception that the call raised.
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


def exception_attributes(error: BaseException, *, has_message: bool = True) -> dict[str, str]:
    """Return the scrubbed attributes of an exception event, named as the SDK names them.

    Args:
        error: The exception.
        has_message: Whether its message is recorded, and those of its causes.
    """
    message = {semconv.EXCEPTION_MESSAGE: scrub(_message(error))} if has_message else {}
    return {
        semconv.EXCEPTION_TYPE: error_type(error),
        **message,
        semconv.EXCEPTION_STACKTRACE: scrub(_stack(error, has_message=has_message)),
        semconv.EXCEPTION_ESCAPED: "True",
    }


def _stack(error: BaseException, *, has_message: bool) -> str:
    try:
        if not has_message:
            return "".join(traceback.format_tb(error.__traceback__, limit=-MAX_FRAMES))
        lines = traceback.format_exception(
            type(error), error, error.__traceback__, limit=-MAX_FRAMES
        )
        return "".join(lines)
    except BaseException as failure:  # the user's may have a broken __str__ or __cause__
        if is_hosts(failure):
            raise
        return ""


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as failure:
        if is_hosts(failure):
            raise
        return ""


def _is_typer_exit(error: BaseException) -> bool:
    # By name: typer and click, whose exception it is, may not be installed.
    return type(error).__name__ == "Exit" and hasattr(error, "exit_code")


Attributes = Mapping[str, Any]
Rule = Callable[[Attributes, "BaseException | None"], "str | None"]


@dataclass(frozen=True, slots=True)
class BadRead:
    """What is surely wrong with a read whose fault is open.

    Attributes:
        kind: A value of `error.type`.
        sentence: The same in words.
        candidates: The faults that it may be.
    """

    kind: str
    sentence: str
    candidates: tuple[str, ...]


_explained: Final[ProcessVar[set[tuple[str, str]]]] = ProcessVar(set)


def detect(name: str, attributes: Attributes, error: BaseException | None) -> str | None:
    """Return the code of the fault that a span proves, or None.

    Args:
        name: The span's name.
        attributes: The span's attributes.
        error: What its call raised, or None.
    """
    for rule in RULES.get(name, ()):
        code = rule(attributes, error)
        if code is not None:
            return code
    return None


def is_first(code: str, name: str) -> bool:
    """Return True when a kind of span shows a fault for the first time in this process.

    Its event comes once for each: on the innermost span, and on those around it.
    """
    if (code, name) in _explained.value:
        return False
    _explained.value.add((code, name))
    return True


def _not_persisted(attributes: Attributes, error: BaseException | None) -> str | None:
    """The response to an upload holds what was stored, unless the server merely echoes it."""
    persisted = attributes.get(semconv.PERSISTED_ENDPOINT_COUNT)
    written = attributes.get(semconv.ENDPOINT_COUNT)
    if error is not None or persisted is None or not written:
        return None
    if attributes.get(semconv.PERSISTED_DIGEST) == attributes.get(semconv.ENDPOINTS_DIGEST):
        return None
    if persisted == 0:
        return semconv.MANIFEST_NOT_PERSISTED
    return semconv.ENDPOINTS_MISSING if persisted < written else semconv.ENDPOINTS_DIFFER


def _wrong_artifact(attributes: Attributes, error: BaseException | None) -> str | None:
    """A different key proves a wrong build; the same key proves nothing."""
    uploaded = attributes.get(semconv.ARTIFACT_OBJECT_KEY)
    active = attributes.get(semconv.ACTIVE_OBJECT_KEY)
    is_known = error is None and uploaded and active
    return semconv.STALE_BUILD if is_known and uploaded != active else None


def _no_environment(attributes: Attributes, _error: BaseException | None) -> str | None:
    if attributes.get(semconv.ENVIRONMENT_STATE) == semconv.ENVIRONMENT_NULL:
        return semconv.ENVIRONMENT_UNKNOWN
    return None


def _refused(_attributes: Attributes, error: BaseException | None) -> str | None:
    refused = error is not None and failures.certain_kind(error) == failures.UNAUTHORIZED
    return semconv.UNAUTHORIZED if refused else None


def _unanswered(attributes: Attributes, error: BaseException | None) -> str | None:
    """An answer about the environment, or an interruption, clears the State Manager."""
    if not isinstance(error, Exception) or semconv.ENVIRONMENT_STATE in attributes:
        return None
    unavailable = failures.certain_kind(error) == failures.UNAVAILABLE
    return semconv.STATE_MANAGER_UNAVAILABLE if unavailable else None


def _deploys_in_worker(attributes: Attributes, _error: BaseException | None) -> str | None:
    """Workers of Flash 1.0 to 1.2 reconcile at their start, and later ones must deploy nothing."""
    if not opts.in_worker() or attributes.get(semconv.PROVISION_ACTION) not in _DEPLOYING:
        return None
    from flash_otel.pipeline import resource  # loads the SDK, which the span has loaded already

    version = resource.flash_version() or ""
    return None if version.startswith(_RECONCILING) else semconv.WORKER_PROVISIONS


def _not_deployed(attributes: Attributes, error: BaseException | None) -> str | None:
    """The sentinel knows no such endpoint; a load-balanced one may lack the route instead."""
    is_job = (
        semconv.ENVIRONMENT_NAME in attributes and semconv.HTTP_REQUEST_METHOD not in attributes
    )
    if error is None or not is_job:
        return None
    kind = failures.kind_of(type(error).__name__, _message(error))
    return semconv.CALL_TARGET_UNKNOWN if kind == failures.NOT_FOUND else None


_DEPLOYING: Final = frozenset({semconv.ACTION_CREATE, semconv.ACTION_UPDATE})
_RECONCILING: Final = ("1.0.", "1.1.", "1.2.")

_READ: Final[tuple[Rule, ...]] = (_no_environment, _refused, _unanswered)

RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    semconv.MANIFEST_UPLOAD: (_not_persisted,),
    semconv.ACTIVATE: (_wrong_artifact,),
    semconv.PROVISION_ENDPOINT: (_deploys_in_worker,),
    semconv.RUNTIME_FETCH: _READ,
    semconv.MANIFEST_FETCH: _READ,
    semconv.CALL: (_not_deployed,),
}
