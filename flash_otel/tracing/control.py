"""The public control of tracing: `instrument`, `uninstrument` and `flush`.

`instrument()` reads its settings at once. What it needs beyond the standard library is imported
when the first target of Flash is (`pending`), or at once if one is imported already.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from flash_otel.runtime import environment
from flash_otel.runtime import exit as exits
from flash_otel.runtime import options as opts
from flash_otel.store.location import located
from flash_otel.tracing import pending

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from opentelemetry.trace import TracerProvider

    from flash_otel.runtime.options import LegacyLogs, Options, Propagation

# Imports OpenTelemetry's API: once it is loaded, there is nothing to be gained by waiting.
_PIPELINE: Final = "flash_otel.pipeline"


def instrument(
    *,
    tracer_provider: TracerProvider | None = None,
    legacy_logs: LegacyLogs | None = None,
    propagation: Propagation | None = None,
    store: str | PathLike[str] | bool | None = None,
    capture_graphql: bool = False,
    summary: bool | None = None,
) -> None:
    """Trace the installed Flash, imported already or later.

    This does not import Flash. It does nothing if Flash is not installed, tracing is already
    active, or `FLASH_OTEL_DISABLED` or `OTEL_SDK_DISABLED` disables it. The global tracer provider
    is never set: spans go to `tracer_provider`, else to the provider that the application has set
    when a root span starts, else to a private provider.

    The settings are read at once. OpenTelemetry is imported with the first module of Flash that
    has functions to trace, so that the call itself takes a few milliseconds.

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
        summary: At the end of the process, print the steps of its last deployment on standard
            error, if that is a terminal. Default: FLASH_OTEL_SUMMARY, else True.

    Raises:
        ValueError: `propagation` is not "auto", "link" or "parent".
    """
    options = opts.resolve(
        tracer_provider=tracer_provider,
        legacy_logs=legacy_logs,
        propagation=propagation,
        store=store,
        capture_graphql=capture_graphql,
        summary=summary,
    )
    if pending.is_waiting():
        return
    if _PIPELINE in sys.modules or pending.is_needed():
        _start(options, os.environ)
    elif not opts.is_disabled():
        # The program may change its folder and its environment before it imports Flash.
        pending.postpone(partial(_start, located(options), os.environ.copy()))
        # Handlers run in reverse order: those that the program registers later still trace.
        exits.exit_hook.register()


def _start(options: Options, environ: Mapping[str, str]) -> None:
    # The import makes OpenTelemetry load the context that the variable names.
    with environment.quiet("OTEL_PYTHON_CONTEXT"):
        from flash_otel.tracing.instrumentor import FlashInstrumentor

    FlashInstrumentor().instrument(options=options, environ=environ)


def uninstrument() -> None:
    """Restore every wrapped function, store and send all ended spans, and stop all threads."""
    pending.cancel()
    if _PIPELINE in sys.modules:
        from flash_otel.tracing.instrumentor import FlashInstrumentor

        FlashInstrumentor().uninstrument()


def flush(seconds: float | None = None) -> bool:
    """Wait until all ended spans are stored and sent.

    Args:
        seconds: The longest wait; None for FLASH_OTEL_EXIT_BUDGET (0.5 s).

    Returns:
        Whether all spans were stored and sent in time.
    """
    if _PIPELINE not in sys.modules:
        return True
    from flash_otel import pipeline

    return pipeline.flush(seconds)
