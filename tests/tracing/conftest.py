"""Each test begins like a fresh process: no variables, no provider, initial state."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace as trace_api
from opentelemetry.util._once import Once

from flash_otel.runtime import process
from flash_otel.testing import recording
from flash_otel.tracing.instrumentor import FlashInstrumentor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flash_otel.testing import Recorded

OURS = ("OTEL_", "FLASH_", "RUNPOD_", "TRACEPARENT", "TRACESTATE")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Clear the variables, the global provider and the process state."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FLASH_OTEL_RAISE", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trace_api, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace_api, "_TRACER_PROVIDER_SET_ONCE", Once())
    process.reset()
    yield
    FlashInstrumentor().uninstrument()
    process.reset()


@pytest.fixture
def spans() -> Iterator[Recorded]:
    """Record with fixed ids and the fixed clock."""
    with recording() as recorded:
        yield recorded
