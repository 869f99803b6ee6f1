"""Helpers for tests of traced code: fixed ids, a fixed clock, and spans as plain literals.

    from flash_otel.testing import recording


    def test_deploy() -> None:
        with recording() as spans:
            deploy("app", "production")
        assert spans.tree() == ["flash.deploy", "  flash.activate"]

What is recorded inside `recording()` goes to a provider of its own, with ids and times that are
the same in every run.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from flash_otel.otlp.from_sdk import to_record
from flash_otel.pipeline import pipeline
from flash_otel.runtime import state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from flash_otel.records import SpanRecord

EPOCH_NS: Final = 1_700_000_000_000_000_000
"""Where the fixed clock begins: 2023-11-14T22:13:20Z."""

TICK_NS: Final = 1_000_000
"""How far the fixed clock moves with every look at it: one millisecond."""


class FixedIds(IdGenerator):
    """Counts: the first trace is `after` + 1, and so is the first span."""

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
    """Begins `after` ticks past `EPOCH_NS` and moves by `TICK_NS` with every look."""

    def __init__(self, after: int = 0) -> None:
        self._ticks = itertools.count(after)

    def __call__(self) -> int:
        """Return the next time, nanoseconds since the epoch."""
        return EPOCH_NS + next(self._ticks) * TICK_NS


class Recorded(SpanProcessor):
    """The spans that have ended, as plain records in the order of their starts."""

    def __init__(self) -> None:
        self._ended: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a span that has ended."""
        self._ended.append(span)

    @property
    def records(self) -> list[SpanRecord]:
        """Every span that has ended, by start time."""
        return sorted((to_record(span) for span in self._ended), key=lambda one: one.start_ns)

    def named(self, name: str) -> list[SpanRecord]:
        """Every span of this name that has ended, by start time."""
        return [record for record in self.records if record.name == name]

    def tree(self) -> list[str]:
        """Return the names, each indented by two spaces per ancestor."""
        records = self.records
        depths: dict[str | None, int] = {}
        for record in records:
            depths[record.span_id] = depths.get(record.parent_span_id, -1) + 1
        return ["  " * depths[record.span_id] + record.name for record in records]


@contextmanager
def fixed(after: int = 0) -> Iterator[None]:
    """Give flash_otel's own provider fixed ids, and every span the fixed clock.

    Args:
        after: How many ids and ticks are taken already: a second process goes on after the first.
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
    """Record what decorated functions and an instrumented Flash do inside.

    Tracing begins as in a fresh process: no fetch has been made, no secret is remembered. Nothing
    is stored; bracketed lines are written where `legacy_logs` asks for them.

    Args:
        after: How many ids and ticks are taken already (see `fixed`).
        **options: For `flash_otel.instrument` (`legacy_logs` is False unless given).

    Raises:
        RuntimeError: Tracing is active already.
    """
    from flash_otel.tracing.instrumentor import FlashInstrumentor

    instrumentor = FlashInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        raise RuntimeError("flash_otel is active already: uninstrument() first")
    recorded = Recorded()
    state.reset()
    with fixed(after):
        provider = TracerProvider(
            sampler=ALWAYS_ON, id_generator=pipeline.id_generator.value, shutdown_on_exit=False
        )
        provider.add_span_processor(recorded)
        chosen = {"legacy_logs": False, "store": False, **options, "tracer_provider": provider}
        instrumentor.instrument(**chosen)
        try:
            yield recorded
        finally:
            instrumentor.uninstrument()
            state.reset()
