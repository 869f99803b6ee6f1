"""Helpers for tests of traced code: fixed ids, a fixed clock, and recorded spans as plain data.

    from flash_otel.testing import recording


    def test_deploy() -> None:
        with recording() as spans:
            deploy("app", "production")
        assert spans.tree() == ["flash.deploy", "  flash.activate"]

`recording()` uses a separate provider, with the same ids and times in every run.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from flash_otel import pipeline
from flash_otel.otlp.from_sdk import to_record
from flash_otel.runtime import process
from flash_otel.runtime.sdk import IdGenerator, SpanProcessor, TracerProvider, sampling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from flash_otel.records import SpanRecord

EPOCH_NS: Final = 1_700_000_000_000_000_000
"""Start of the fixed clock: 2023-11-14T22:13:20Z, in nanoseconds since the epoch."""

TICK_NS: Final = 1_000_000
"""Step of the fixed clock: each reading is a millisecond after the last."""


class FixedIds(IdGenerator):
    """Generates ids by counting: the first trace and the first span have id `after` + 1."""

    def __init__(self, after: int = 0) -> None:
        self._traces = itertools.count(after + 1)
        self._spans = itertools.count(after + 1)

    def generate_trace_id(self) -> int:
        """Return the next trace id."""
        return next(self._traces)

    def generate_span_id(self) -> int:
        """Return the next span id."""
        return next(self._spans)


class FixedClock:
    """Starts `after` ticks past `EPOCH_NS`, and advances by `TICK_NS` with each reading."""

    def __init__(self, after: int = 0) -> None:
        self._ticks = itertools.count(after)

    def __call__(self) -> int:
        """Return the next time, nanoseconds since the epoch."""
        return EPOCH_NS + next(self._ticks) * TICK_NS


class Recorded(SpanProcessor):
    """Records ended spans as plain data, in the order of their starts."""

    def __init__(self) -> None:
        self._ended: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Record an ended span."""
        self._ended.append(span)

    @property
    def records(self) -> list[SpanRecord]:
        """All ended spans by start time."""
        return sorted((to_record(span) for span in self._ended), key=lambda record: record.start_ns)

    def named(self, name: str) -> list[SpanRecord]:
        """Return the ended spans of this name by start time."""
        return [record for record in self.records if record.name == name]

    def tree(self) -> list[str]:
        """Return the span names, each indented by two spaces per ancestor."""
        records = self.records
        depths: dict[str | None, int] = {}
        for record in records:
            depths[record.span_id] = depths.get(record.parent_span_id, -1) + 1
        return ["  " * depths[record.span_id] + record.name for record in records]


@contextmanager
def fixed(after: int = 0) -> Iterator[None]:
    """Use fixed ids on flash_otel's own provider, and the fixed clock for all spans.

    Args:
        after: Number of ids and ticks to skip, so that a second process continues the first.
    """
    pipeline.id_generator.value = FixedIds(after)
    pipeline.clock.value = FixedClock(after)
    try:
        yield
    finally:
        pipeline.id_generator.reset()
        pipeline.clock.reset()


@contextmanager
def recording(*, after: int = 0, **options: Any) -> Iterator[Recorded]:
    """Record the spans of decorated functions and of an instrumented Flash inside the block.

    Tracing starts as in a fresh process: no fetch was made, and no secret is remembered. Nothing
    is stored; bracketed lines are written if `legacy_logs` asks for them.

    Args:
        after: Number of ids and ticks to skip (see `fixed`).
        **options: For `flash_otel.instrument` (`legacy_logs` is False unless given).

    Raises:
        RuntimeError: Tracing is already active.
    """
    from flash_otel.tracing.instrumentor import FlashInstrumentor

    instrumentor = FlashInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        raise RuntimeError("flash_otel is already active: call uninstrument() first")
    recorded = Recorded()
    process.reset()
    with fixed(after):
        provider = TracerProvider(
            sampler=sampling.ALWAYS_ON,
            id_generator=pipeline.id_generator.value,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(recorded)
        chosen = {"legacy_logs": False, "store": False, **options, "tracer_provider": provider}
        instrumentor.instrument(**chosen)
        try:
            yield recorded
        finally:
            instrumentor.uninstrument()
            process.reset()
