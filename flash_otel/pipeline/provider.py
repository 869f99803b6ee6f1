"""Our own provider, for applications that have set none: sampler, resource, and who sends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from flash_otel.export import configured
from flash_otel.pipeline import resource
from flash_otel.pipeline.sampling import AlwaysRecord
from flash_otel.runtime.bounded import bounded, each
from flash_otel.runtime.guard import guarded

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from opentelemetry.sdk.trace.id_generator import IdGenerator

    from flash_otel.export.setup import Forwarding


@dataclass(slots=True)
class OwnProvider:
    """A provider of ours, with what sends its spans.

    Attributes:
        provider: The SDK's provider.
        batches: The processors of exporters other than OTLP's.
        forwarding: What sends to OTLP destinations; None where none is configured.
    """

    provider: TracerProvider
    batches: list[BatchSpanProcessor] = field(default_factory=list)
    forwarding: Forwarding | None = None

    @property
    def sends(self) -> bool:
        """Whether an ending in haste would lose what is not sent yet."""
        return bool(self.batches) or self.forwarding is not None

    def flush(self, deadline: float) -> bool:
        """Wait until what is stored is sent, or the time (monotonic, in seconds) is over."""
        sent = each(bounded(one.force_flush, deadline) for one in self.batches)
        if self.forwarding is None:
            return sent
        from flash_otel.export import setup

        return setup.flush(self.forwarding, deadline) and sent

    def hand_over(self) -> list[threading.Event]:
        """Have sent now what only memory holds; return what is set when it was tried."""
        return [] if self.forwarding is None else self.forwarding.hand_over()

    def back_up(self) -> None:
        """Write down, where there is a place for it, what only memory holds."""
        if self.forwarding is not None:
            self.forwarding.back_up()

    def close(self, deadline: float) -> None:
        """Send a last time, end, and tell in one line what did not get out."""
        # What the exporters lose is lost; what is forwarded is in the store.
        for batch in self.batches:
            bounded(batch.shutdown, deadline)
        if self.forwarding is None:
            return
        from flash_otel.export import setup
        from flash_otel.runtime.warning import warn_once

        line = setup.finish(self.forwarding, deadline)
        if line:
            warn_once(f"flash_otel: {line}")


def make(processors: Sequence[SpanProcessor], ids: IdGenerator | None) -> OwnProvider:
    """Make the provider as OTEL_* variables and the resource say.

    Args:
        processors: What every provider of the pipeline gets.
        ids: Makes the ids; None leaves that to the SDK.
    """
    provider = TracerProvider(
        sampler=AlwaysRecord(sampling._get_from_env_or_default()),  # noqa: SLF001 - the only reader of OTEL_TRACES_SAMPLER
        resource=resource.create(),
        shutdown_on_exit=False,
        id_generator=ids,
    )
    own = OwnProvider(provider, [BatchSpanProcessor(one) for one in configured.create()])
    with guarded("the set-up of forwarding"):
        own.forwarding = _forwarding(processors)
    for processor in (*processors, *own.batches, own.forwarding):
        if isinstance(processor, SpanProcessor):
            provider.add_span_processor(processor)
    return own


def _forwarding(processors: Sequence[SpanProcessor]) -> Forwarding | None:
    destinations = configured.forwarded()
    if not destinations:
        return None
    from flash_otel.export import setup

    return setup.begin(destinations, processors)
