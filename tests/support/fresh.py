"""A process in which nothing of OpenTelemetry or flash_otel has been set up, for a test."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry import trace as trace_api
from opentelemetry.util._once import Once

from flash_otel.runtime import process
from flash_otel.tracing.instrumentor import FlashInstrumentor

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

OURS: Final = ("OTEL_", "FLASH_", "RUNPOD_", "TRACEPARENT", "TRACESTATE")
"""What the variables that are read begin with."""


@contextmanager
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clear the variables, the global provider and the process state; uninstrument at the end."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLASH_OTEL_RAISE", "1")
    monkeypatch.setattr(trace_api, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace_api, "_TRACER_PROVIDER_SET_ONCE", Once())
    process.reset()
    yield
    FlashInstrumentor().uninstrument()
    process.reset()
