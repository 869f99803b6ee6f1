"""Faults that one span proves by itself, named while the process still runs.

A span names a fault only if nothing else can explain what it holds: the server's response to the
upload, the object key that became active, the refusal of a read. A worker's carriers prove none:
an active manifest older than the worker's code is a stale build or that of another environment,
and endpoints that are missing from a written manifest were dropped by the write or by the read.
Faults that need both phases are left to the diagnosis of the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from flash_otel import semconv
from flash_otel.runtime import failures
from flash_otel.runtime.state import ProcessVar

Attributes = Mapping[str, Any]
Rule = Callable[[Attributes, "BaseException | None"], "str | None"]

_explained: Final[ProcessVar[set[str]]] = ProcessVar(set)


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


def is_first(code: str) -> bool:
    """Return True when this process names the fault for the first time: its event comes once."""
    if code in _explained.value:
        return False
    _explained.value.add(code)
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


_READ: Final[tuple[Rule, ...]] = (_no_environment, _refused, _unanswered)

RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    semconv.MANIFEST_UPLOAD: (_not_persisted,),
    semconv.ACTIVATE: (_wrong_artifact,),
    semconv.RUNTIME_FETCH: _READ,
    semconv.MANIFEST_FETCH: _READ,
}
