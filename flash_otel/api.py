"""The functions that control tracing: `instrument`, `uninstrument` and `flush`."""

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
    """Trace the installed Flash, imported already or later.

    This does not import Flash, and does nothing if Flash is not installed, tracing is already
    active, or `FLASH_OTEL_DISABLED` is set. The global tracer provider is never set: spans go to
    `tracer_provider`, else to the provider that the application has set when a root span starts,
    else to a private provider.

    Args:
        tracer_provider: The provider of all spans.
        legacy_logs: Destination of the bracketed lines: "auto" (standard error, unless it is a
            terminal), True or False, a text stream, or the name of a logger. Default:
            FLASH_OTEL_LEGACY_LOGS, else "auto".
        propagation: How a worker's first read relates to its deployment: "auto" (it continues the
            trace of a deployment younger than 15 minutes), "link" or "parent". Default:
            FLASH_OTEL_PROPAGATION, else "auto".
        store: Path of the local store; False for none. Default: FLASH_OTEL_STORE, else a file in
            the user's state folder; none in a worker.
        capture_graphql: Record each GraphQL request as a span, with its redacted response and
            without its variables.

    Raises:
        ValueError: `propagation` is not "auto", "link" or "parent".
    """
    FlashInstrumentor().instrument(
        tracer_provider=tracer_provider,
        legacy_logs=legacy_logs,
        propagation=propagation,
        store=store,
        capture_graphql=capture_graphql,
    )


def uninstrument() -> None:
    """Restore every wrapped function, store and send all ended spans, and stop all threads."""
    FlashInstrumentor().uninstrument()


def flush(seconds: float | None = None) -> bool:
    """Wait until all ended spans are stored and sent.

    Args:
        seconds: The longest wait; None for FLASH_OTEL_EXIT_BUDGET (0.5 s).

    Returns:
        Whether all spans were stored and sent in time.
    """
    return pipeline.flush(seconds)
