"""The settings of `instrument()`: arguments first, then environment variables, then defaults.

An invalid variable is logged and replaced by its default: a typo must not break a deployment.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TextIO

from flash_otel.runtime import environment
from flash_otel.runtime.environment import read

if TYPE_CHECKING:
    from os import PathLike

    from opentelemetry.trace import TracerProvider

LegacyLogs = bool | str | TextIO
Propagation = Literal["auto", "link", "parent"]
PROPAGATIONS: Final = ("auto", "link", "parent")

DEFAULT_EXIT_BUDGET: Final = 0.5
DEFAULT_REQUEST_BUDGET: Final = 0.1

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
OFF: Final = _FALSE | {"none"}
"""The values that switch the store off."""
SWITCH: Final = environment.choice(*sorted(_TRUE), *sorted(_FALSE))
PROPAGATION: Final = environment.choice(*PROPAGATIONS)
# A minute is beyond any sane budget.
BUDGET: Final = environment.number(0, 60, "seconds")


class Options(NamedTuple):
    """The resolved settings of an `instrument()` call.

    Attributes:
        tracer_provider: Provider of all spans; None resolves one per root span.
        legacy_logs: Destination of the bracketed lines (see `LegacyLogSpanProcessor`).
        propagation: `auto`, `link` or `parent`.
        store: Path of the local store; None for the default path, False for no store.
        unlocated: Why the store has no place, or an empty string. If set, `store` is False.
        capture_graphql: Whether GraphQL requests become spans.
        summary: Whether a deployment ends with a summary, if standard error is a terminal.
    """

    tracer_provider: TracerProvider | None = None
    legacy_logs: LegacyLogs = "auto"
    propagation: str = "auto"
    store: str | PathLike[str] | Literal[False] | None = None
    capture_graphql: bool = False
    unlocated: str = ""
    summary: bool = True

    @property
    def has_store(self) -> bool:
        """Whether spans are kept on disk; in a worker only if a store is named."""
        if self.store is None:
            return not in_worker()
        return self.store is not False


def is_disabled() -> bool:
    """Return whether FLASH_OTEL_DISABLED (or the SDK's OTEL_SDK_DISABLED) turns tracing off."""
    sdk = read("OTEL_SDK_DISABLED", environment.boolean, default=False)
    return read("FLASH_OTEL_DISABLED", SWITCH, "0") in _TRUE or sdk


def resolve(
    *,
    tracer_provider: TracerProvider | None = None,
    legacy_logs: LegacyLogs | None = None,
    propagation: str | None = None,
    store: str | PathLike[str] | bool | None = None,
    capture_graphql: bool = False,
    summary: bool | None = None,
) -> Options:
    """Complete the arguments of `instrument()` from the environment.

    Raises:
        ValueError: `propagation` is not auto, link or parent.
    """
    if propagation is not None and propagation not in PROPAGATIONS:
        raise ValueError(f"propagation is {propagation!r}; it takes {', '.join(PROPAGATIONS)}")
    return Options(
        tracer_provider=tracer_provider,
        legacy_logs=read("FLASH_OTEL_LEGACY_LOGS", str, "auto")
        if legacy_logs is None
        else legacy_logs,
        propagation=propagation or read("FLASH_OTEL_PROPAGATION", PROPAGATION, "auto"),
        store=_store(read("FLASH_OTEL_STORE", str, None) if store is None else store),
        capture_graphql=capture_graphql,
        summary=read("FLASH_OTEL_SUMMARY", SWITCH, "1") in _TRUE if summary is None else summary,
    )


def exit_budget() -> float:
    """Return FLASH_OTEL_EXIT_BUDGET: seconds that flash_otel may take at exit."""
    return read("FLASH_OTEL_EXIT_BUDGET", BUDGET, DEFAULT_EXIT_BUDGET)


def request_budget() -> float:
    """Return FLASH_OTEL_REQUEST_BUDGET: seconds that a worker's response may wait for spans."""
    return read("FLASH_OTEL_REQUEST_BUDGET", BUDGET, DEFAULT_REQUEST_BUDGET)


def in_worker() -> bool:
    """Return whether this process is a deployed worker: RUNPOD_ENDPOINT_ID is set.

    RUNPOD_POD_ID alone marks any pod, including one where a developer deploys from.
    """
    return bool(os.environ.get("RUNPOD_ENDPOINT_ID"))


def _store(value: object) -> str | PathLike[str] | Literal[False] | None:
    if value is True or value is None:
        return None
    if value is False or str(value).strip().lower() in OFF:
        return False
    return value  # type: ignore[return-value]  # a path by elimination
