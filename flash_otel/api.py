"""The three functions that switch tracing on and off: `instrument`, `uninstrument`, `flush`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel.pipeline import pipeline
from flash_otel.tracing.instrumentor import FlashInstrumentor

if TYPE_CHECKING:
    from os import PathLike

    from opentelemetry.trace import TracerProvider

    from flash_otel.runtime.options import LegacyLogs, Propagation


def instrument(
    *,
    tracer_provider: TracerProvider | None = None,
    legacy_logs: LegacyLogs | None = None,
    propagation: Propagation | None = None,
    store: str | PathLike[str] | bool | None = None,
    capture_graphql: bool = False,
) -> None:
    """Trace the installed Flash, whether it is imported already or will be.

    Flash is not imported by this, and nothing happens where it is absent, where tracing is active
    already, or where `FLASH_OTEL_DISABLED` is set. The global tracer provider is never set: spans
    go to `tracer_provider`, else to the provider that the application has set when a root span
    starts, else to a private one.

    Args:
        tracer_provider: Where the spans go.
        legacy_logs: The bracketed lines: "auto" (standard error, unless it is a terminal), True
            or False, a text stream, or the name of a logger. Default: FLASH_OTEL_LEGACY_LOGS,
            else "auto".
        propagation: How a worker's first read relates to its deployment: "auto" (it continues a
            deployment younger than 15 minutes), "link" or "parent". Default:
            FLASH_OTEL_PROPAGATION, else "auto".
        store: Path of the local store; False for none. Default: FLASH_OTEL_STORE, else a file in
            the user's state folder; none in a worker.
        capture_graphql: Make a span of each GraphQL request, with its redacted answer (never its
            variables).

    Raises:
        ValueError: `propagation` is none of the three.
    """
    FlashInstrumentor().instrument(
        tracer_provider=tracer_provider,
        legacy_logs=legacy_logs,
        propagation=propagation,
        store=store,
        capture_graphql=capture_graphql,
    )


def uninstrument() -> None:
    """Put every wrapped function back and end what was started; what has ended is stored first."""
    FlashInstrumentor().uninstrument()


def flush(seconds: float | None = None) -> bool:
    """Wait until the spans that have ended are stored and sent.

    Args:
        seconds: How long at most; FLASH_OTEL_EXIT_BUDGET (0.5) where it is None.

    Returns:
        Whether everything got out in time.
    """
    return pipeline.flush(seconds)
