"""What `instrument()` was asked for, and what the environment says where it was not.

An argument wins over a variable. A variable that cannot be understood is reported once and its
default is used: a typo must not break a deployment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TextIO, TypeVar

from flash_otel.runtime.guard import logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from opentelemetry.trace import TracerProvider

LegacyLogs = bool | str | TextIO
Propagation = Literal["auto", "link", "parent"]
PROPAGATIONS: Final = ("auto", "link", "parent")

DEFAULT_EXIT_BUDGET: Final = 0.5
DEFAULT_REQUEST_BUDGET: Final = 0.1

_T = TypeVar("_T")

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of one `instrument()`.

    Attributes:
        tracer_provider: The provider to use; None resolves one per root span.
        legacy_logs: Where the bracketed lines go (see `LegacyLogSpanProcessor`).
        propagation: `auto`, `link` or `parent`.
        store: Path of the local store, None for the default place, False for none.
        capture_graphql: Whether each GraphQL request becomes a span.
    """

    tracer_provider: TracerProvider | None = None
    legacy_logs: LegacyLogs = "auto"
    propagation: str = "auto"
    store: str | PathLike[str] | Literal[False] | None = None
    capture_graphql: bool = False


def is_disabled() -> bool:
    """Tell whether FLASH_OTEL_DISABLED (or the SDK's OTEL_SDK_DISABLED) switches tracing off."""
    names = ("FLASH_OTEL_DISABLED", "OTEL_SDK_DISABLED")
    return any(os.environ.get(name, "").strip().lower() in _TRUE for name in names)


def resolve(
    *,
    tracer_provider: TracerProvider | None = None,
    legacy_logs: LegacyLogs | None = None,
    propagation: str | None = None,
    store: str | PathLike[str] | bool | None = None,
    capture_graphql: bool = False,
) -> Options:
    """Fill in from the environment what the arguments leave open.

    Raises:
        ValueError: `propagation` is none of auto, link and parent.
    """
    if propagation is not None and propagation not in PROPAGATIONS:
        raise ValueError(f"propagation is {propagation!r}; it takes {', '.join(PROPAGATIONS)}")
    return Options(
        tracer_provider=tracer_provider,
        legacy_logs=_from("FLASH_OTEL_LEGACY_LOGS", str, "auto")
        if legacy_logs is None
        else legacy_logs,
        propagation=propagation or _from("FLASH_OTEL_PROPAGATION", _propagation, "auto"),
        store=_store(_from("FLASH_OTEL_STORE", str, None) if store is None else store),
        capture_graphql=capture_graphql,
    )


def exit_budget() -> float:
    """Return the seconds that flash_otel may take at exit (FLASH_OTEL_EXIT_BUDGET)."""
    return _from("FLASH_OTEL_EXIT_BUDGET", _seconds, DEFAULT_EXIT_BUDGET)


def request_budget() -> float:
    """Return the seconds that a worker's answer may wait for spans (FLASH_OTEL_REQUEST_BUDGET)."""
    return _from("FLASH_OTEL_REQUEST_BUDGET", _seconds, DEFAULT_REQUEST_BUDGET)


def in_worker() -> bool:
    """Tell whether this process is a deployed worker: Runpod names its endpoint.

    RUNPOD_POD_ID alone is a pod's: somebody may develop there and deploy from it.
    """
    return bool(os.environ.get("RUNPOD_ENDPOINT_ID"))


def _store(value: object) -> str | PathLike[str] | Literal[False] | None:
    if value is True or value is None:
        return None
    if value is False or str(value).strip().lower() in _FALSE:
        return False
    return value  # type: ignore[return-value]  # a path by elimination


def _propagation(value: str) -> str:
    if value not in PROPAGATIONS:
        raise ValueError(value)
    return value


def _seconds(value: str) -> float:
    seconds = float(value)
    if not 0 <= seconds <= 60:  # noqa: PLR2004 - a minute is beyond any sane budget
        raise ValueError(value)
    return seconds


def _from(name: str, convert: Callable[[str], _T], default: _T) -> _T:
    found = os.environ.get(name, "").strip()
    if not found:
        return default
    try:
        return convert(found)
    except ValueError:
        logger.debug("flash_otel: %s=%r is not understood; using %r", name, found, default)
        return default
