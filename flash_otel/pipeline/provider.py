"""Tracer providers: flash_otel's own, and the processors that it adds to the application's.

The own provider is for applications that set none. All providers get the same processors: bracketed
lines, the store or the worker's log, and the summary at the end.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flash_otel.export.destination import create_exporters, exports, forwarded
from flash_otel.pipeline import components, resource
from flash_otel.runtime import environment
from flash_otel.runtime import options as opts
from flash_otel.runtime.exit import every, run_bounded
from flash_otel.runtime.process import guarded, swallowed
from flash_otel.runtime.sdk import (
    BatchSpanProcessor,
    SpanLimits,
    SpanProcessor,
    TracerProvider,
    sampling,
)
from flash_otel.runtime.streams import is_terminal, warn_once

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import Link, SpanKind, TraceState
    from opentelemetry.util.types import Attributes

    from flash_otel.export.delivery import StoreDelivery
    from flash_otel.export.memory import MemoryDelivery
    from flash_otel.records import SpanRecord
    from flash_otel.runtime.environment import Ignored
    from flash_otel.runtime.options import Options


class AlwaysRecord(sampling.Sampler):
    """Records spans that the wrapped sampler drops, without the sampled bit.

    The bracketed lines and the store get every span; exporters skip unsampled ones
    (trace SDK specification, "RECORD_ONLY").
    """

    def __init__(self, sampler: sampling.Sampler) -> None:
        self._sampler = sampler

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> sampling.SamplingResult:
        """Return the wrapped sampler's decision, with DROP turned into RECORD_ONLY."""
        try:
            result = self._sampler.should_sample(
                parent_context, trace_id, name, kind, attributes, links, trace_state
            )
            if result.decision.is_recording():  # type: ignore[no-untyped-call]  # of the SDK
                return result
            trace_state = result.trace_state
        except BaseException:  # a sampler that the environment names, from any package
            swallowed("the sampler")
            return sampling.SamplingResult(sampling.Decision.RECORD_AND_SAMPLE, attributes)
        return sampling.SamplingResult(sampling.Decision.RECORD_ONLY, attributes, trace_state)

    def get_description(self) -> str:
        """Describe the sampler."""
        return f"AlwaysRecord{{{self._sampler.get_description()}}}"


# The default of the specification (trace SDK, "Span Limits").
_MAX_EVENTS: Final = 128
_MAX_LINKS: Final = 128


@dataclass(slots=True)
class OwnProvider:
    """A private provider and what exports its spans.

    Attributes:
        provider: The SDK's provider.
        batches: The processors of exporters other than OTLP's.
        delivery: Sends to OTLP destinations; None if none is configured.
    """

    provider: TracerProvider
    batches: list[BatchSpanProcessor] = field(default_factory=list)
    delivery: StoreDelivery | MemoryDelivery | None = None

    @property
    def exports(self) -> bool:
        """Whether a sudden end of the process would lose unsent spans."""
        return bool(self.batches) or self.delivery is not None

    @property
    def in_memory(self) -> MemoryDelivery | None:
        """The delivery, if only memory holds the unsent spans."""
        return self.delivery if isinstance(self.delivery, SpanProcessor) else None

    def flush(self, deadline: float) -> bool:
        """Wait until everything is sent, or the deadline passes."""
        is_sent = every(run_bounded(batch.force_flush, deadline) for batch in self.batches)
        if self.delivery is None:
            return is_sent
        from flash_otel.export import forwarder

        return forwarder.flush(self.delivery.forwarders, deadline) and is_sent

    def close(self, deadline: float) -> None:
        """Send once more, stop all threads, and warn about what remains unsent."""
        for batch in self.batches:
            run_bounded(batch.shutdown, deadline)
        line = "" if self.delivery is None else self.delivery.finish(deadline)
        if line:
            warn_once(f"flash_otel: {line}")


def _span_limits() -> SpanLimits:
    """Return limits that no OTEL_*_LIMIT variable changes.

    Those variables are meant for a backend. Here, a cut id would be compared with a whole one and
    look like a fault, and a negative limit would raise. `redaction` bounds every value already.
    """
    unset = SpanLimits.UNSET
    return SpanLimits(
        max_attributes=unset,
        max_span_attributes=unset,
        max_event_attributes=unset,
        max_link_attributes=unset,
        max_attribute_length=unset,
        max_span_attribute_length=unset,
        max_events=_MAX_EVENTS,
        max_links=_MAX_LINKS,
    )


def make_unsent(processors: Sequence[SpanProcessor], ids: IdGenerator) -> TracerProvider:
    """Make a provider that records every span for these processors, and sends none."""
    provider = _make_provider(sampling.ALWAYS_ON, ids)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider


def _make_provider(sampler: sampling.Sampler, ids: IdGenerator | None) -> TracerProvider:
    return TracerProvider(
        sampler=sampler,
        resource=resource.create(),
        span_limits=_span_limits(),
        shutdown_on_exit=False,  # the SDK's own exit handler is not bounded in time
        id_generator=ids,
        **components.without_metrics(TracerProvider),
    )


def make_own(processors: Sequence[SpanProcessor], ids: IdGenerator | None) -> OwnProvider:
    """Make a provider from the OTEL_* variables and the process's resource.

    Args:
        processors: The pipeline's processors.
        ids: Generates the ids; None for the SDK's generator.
    """
    sampler = AlwaysRecord(components.sampler())
    provider = _make_provider(sampler, components.ids() if ids is None else ids)
    own = OwnProvider(provider, _batches())
    own.delivery = environment.attempt(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        lambda: _delivery(processors),
        None,
        uses="none",
        loses="nothing is sent",
    )
    for processor in (*processors, *own.batches, own.delivery):
        # Delivery from the store follows the store's writer and is no processor.
        if isinstance(processor, SpanProcessor):
            provider.add_span_processor(processor)
    return own


def _batches() -> list[BatchSpanProcessor]:
    settings = components.batch_settings()
    settings.update(components.without_metrics(BatchSpanProcessor))
    made = (
        environment.attempt(
            "OTEL_TRACES_EXPORTER",
            partial(BatchSpanProcessor, exporter, **settings),
            None,
            uses="no exporter",
            loses="it gets no spans",
        )
        for exporter in create_exporters()
    )
    return [batch for batch in made if batch is not None]


def _delivery(processors: Sequence[SpanProcessor]) -> StoreDelivery | MemoryDelivery | None:
    destinations = forwarded()
    if not destinations:
        return None
    from flash_otel.export.delivery import delivery_to

    return delivery_to(destinations, processors)


class DetachableProcessor(SpanProcessor):
    """Delegates to `processors`; an empty tuple detaches it.

    The SDK cannot remove a processor from a provider.
    """

    def __init__(self) -> None:
        self.processors: tuple[SpanProcessor, ...] = ()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Delegate the start of a span."""
        for processor in self.processors:
            processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Delegate the end of a span."""
        for processor in self.processors:
            processor.on_end(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the processors in turn."""
        return all(
            processor.force_flush(timeout_millis) is not False for processor in self.processors
        )

    def shutdown(self) -> None:
        """Shut the processors down with the application's provider."""
        for processor in self.processors:
            processor.shutdown()


# Compared by identity: a provider need not be hashable (logfire's is a dataclass).
_attached: list[tuple[Callable[[], object], DetachableProcessor]] = []


def detachable_processor(provider: Any) -> DetachableProcessor:
    """Return the detachable processor of a provider, which the first call adds to it."""
    _attached[:] = [entry for entry in _attached if entry[0]() is not None]
    for reference, processor in _attached:
        if reference() is provider:
            return processor
    processor = DetachableProcessor()
    provider.add_span_processor(processor)
    _attached.append((_reference(provider), processor))
    return processor


def _reference(provider: object) -> Callable[[], object]:
    """Refer to a provider weakly, or strongly if its class has slots and forbids that."""
    try:
        return weakref.ref(provider)
    except TypeError:
        return lambda: provider


def make_processors(options: Options) -> list[SpanProcessor]:
    """Make the processors; a failure costs that processor only."""
    made: list[SpanProcessor] = []
    # The store before the summary, which names a command that reads it.
    for factory in (lines, recording, summary):
        try:
            made += factory(options)
        except Exception:
            swallowed(f"the set-up of {factory.__name__}")
    return made


def lines(options: Options) -> list[SpanProcessor]:
    """Make the processor of bracketed lines, unless they are off."""
    if options.legacy_logs is False:
        return []
    from flash_otel.lines.processor import LegacyLogSpanProcessor

    return [LegacyLogSpanProcessor(options.legacy_logs)]


def recording(options: Options) -> list[SpanProcessor]:
    """Make the processor that keeps spans: in the store, or in a worker's own log."""
    if options.has_store:
        from flash_otel.store.location import locate
        from flash_otel.store.processor import StoreSpanProcessor

        rescue = None if exports() else _log
        return [StoreSpanProcessor(locate(options.store or None), warn=warn_once, rescue=rescue)]
    if options.unlocated:
        warn_once(f"flash_otel: spans are not stored: {options.unlocated}")
    elif options.store is False:
        return []
    from flash_otel.export.worker_log import WorkerLogSpanProcessor

    # The platform keeps a worker's log, and `flash-otel diagnose` reads spans from it.
    return [] if exports() else [WorkerLogSpanProcessor()]


def summary(options: Options) -> list[SpanProcessor]:
    """Make the processor of the summary, if it is wanted and a user sits at a terminal."""
    if not options.summary or opts.in_worker() or not is_terminal():
        return []
    from flash_otel.summary.processor import SummarySpanProcessor

    return [SummarySpanProcessor(Path(options.store) if options.store else None)]


def _log(records: Sequence[SpanRecord]) -> None:
    """Write ended spans to the log that reach neither a store nor an exporter."""
    from flash_otel.export import worker_log

    for record in records:
        if record.end_ns is not None:
            worker_log.write(record)


def rehearse() -> tuple[Ignored, ...]:
    """Read every variable as a deployment would, start nothing, and return the ignored ones."""
    environment.forget()
    opts.is_disabled()
    opts.resolve()
    opts.exit_budget()
    opts.request_budget()
    components.probed_sampler()
    components.ids()
    components.batch_settings()
    components.named_context()
    components.named_provider()
    resource.create()
    for exporter in create_exporters():
        with guarded("the end of an exporter"):
            exporter.shutdown()
    return environment.ignored()
