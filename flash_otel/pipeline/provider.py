"""flash_otel's own provider, for applications that set none: sampler, resource and exporters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from flash_otel.export import configured
from flash_otel.pipeline import resource
from flash_otel.runtime.exit import every, run_bounded, warn_once
from flash_otel.runtime.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import Link, SpanKind, TraceState
    from opentelemetry.util.types import Attributes

    from flash_otel.export.delivery import StoreDelivery
    from flash_otel.export.memory import MemoryDelivery


class AlwaysRecord(sampling.Sampler):
    """Records what the wrapped sampler drops, without the sampled bit.

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
        result = self._sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )
        if result.decision is not sampling.Decision.DROP:
            return result
        return sampling.SamplingResult(
            sampling.Decision.RECORD_ONLY, attributes, result.trace_state
        )

    def get_description(self) -> str:
        """Describe the sampler."""
        return f"AlwaysRecord{{{self._sampler.get_description()}}}"


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


def make(processors: Sequence[SpanProcessor], ids: IdGenerator | None) -> OwnProvider:
    """Make a provider from the OTEL_* variables and the process's resource.

    Args:
        processors: The pipeline's processors.
        ids: Generates the ids; None for the SDK's generator.
    """
    provider = TracerProvider(
        sampler=AlwaysRecord(sampling._get_from_env_or_default()),  # noqa: SLF001 - the only reader of OTEL_TRACES_SAMPLER
        resource=resource.create(),
        shutdown_on_exit=False,  # the SDK's own exit handler is not bounded in time
        id_generator=ids,
    )
    own = OwnProvider(provider, [BatchSpanProcessor(exporter) for exporter in configured.create()])
    with guarded("the set-up of forwarding"):
        own.delivery = _delivery(processors)
    for processor in (*processors, *own.batches, own.delivery):
        # Delivery from the store follows the store's writer and is no processor.
        if isinstance(processor, SpanProcessor):
            provider.add_span_processor(processor)
    return own


def _delivery(processors: Sequence[SpanProcessor]) -> StoreDelivery | MemoryDelivery | None:
    destinations = configured.forwarded()
    if not destinations:
        return None
    from flash_otel.export.delivery import delivery_to

    return delivery_to(destinations, processors)
