"""Faults that one span shows by itself, named while the process still runs.

A span names a fault only where nothing else could explain what it holds: the server's answer to
the upload, the object key that became active, the refusal that the read met. A worker's carriers
are not among them: an active manifest that is older than the worker's code is a stale build or
another environment's, and endpoints that are missing from a written manifest were dropped by the
write or by the read. Whatever needs both phases is left to the diagnosis of the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from flash_otel import failures, semconv
from flash_otel.runtime import state

Attributes = Mapping[str, Any]
Rule = Callable[[Attributes, "BaseException | None"], "str | None"]

_explained: set[str] = set()


def detect(name: str, attributes: Attributes, error: BaseException | None) -> str | None:
    """Return the code of the fault that a span shows, or None.

    Args:
        name: The span's name.
        attributes: Everything that is set on it.
        error: What its call raised, or None.
    """
    for rule in RULES.get(name, ()):
        code = rule(attributes, error)
        if code is not None:
            return code
    return None


def first_time(code: str) -> bool:
    """Tell whether this process names the fault for the first time (its event comes once)."""
    if code in _explained:
        return False
    _explained.add(code)
    return True


def forget() -> None:
    """Begin as a fresh process does (a test starts from here)."""
    _explained.clear()


state.on_reset(forget)


def _not_persisted(attributes: Attributes, error: BaseException | None) -> str | None:
    """The answer to the upload holds what is stored, unless the server merely echoes."""
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
    """A key that differs proves a wrong build; one that is the same proves nothing."""
    uploaded = attributes.get(semconv.ARTIFACT_OBJECT_KEY)
    active = attributes.get(semconv.ACTIVE_OBJECT_KEY)
    known = error is None and uploaded and active
    return semconv.STALE_BUILD if known and uploaded != active else None


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


_READ: Final[tuple[Rule, ...]] = (_no_environment, _refused, _unanswered)

RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    semconv.MANIFEST_UPLOAD: (_not_persisted,),
    semconv.ACTIVATE: (_wrong_artifact,),
    semconv.RUNTIME_FETCH: _READ,
    semconv.MANIFEST_FETCH: _READ,
}
