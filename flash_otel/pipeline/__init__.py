"""The active pipeline: resolves each root span's provider; flushes and ends in bounded time.

The provider is resolved for each root span: the one passed to `instrument()`, else the one that
the application has set by then, else a private one. The global provider is never set.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry import trace as trace_api

from flash_otel import redaction
from flash_otel.pipeline.components import application_provider, tracer_of
from flash_otel.runtime import environment, process, streams
from flash_otel.runtime import exit as exits
from flash_otel.runtime import options as opts
from flash_otel.runtime.process import (
    ForkAware,
    ProcessVar,
    forks_held_off,
    guarded,
    register_for_forks,
)
from flash_otel.store.location import located

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import Tracer, TracerProvider

    from flash_otel.export.memory import MemoryDelivery
    from flash_otel.pipeline.provider import DetachableProcessor, OwnProvider
    from flash_otel.runtime.options import Options
    from flash_otel.store.processor import StoreSpanProcessor

id_generator: ProcessVar[IdGenerator | None] = ProcessVar(lambda: None)
"""Generates the ids of the private provider (set by `flash_otel.testing`)."""

clock: ProcessVar[Callable[[], int]] = ProcessVar(lambda: time.time_ns)
"""Returns nanoseconds since the epoch, for spans and carriers (`flash_otel.testing` sets it)."""


class Pipeline(ForkAware):
    """The processors of an `instrument()` call, and the providers that have them."""

    def __init__(self, options: Options) -> None:
        # The program may change its folder before the first span.
        self.options = located(options)
        self._own: OwnProvider | None = None
        self._inherited: list[OwnProvider] = []
        self._processors: list[SpanProcessor] | None = None
        self._attached: list[DetachableProcessor] = []
        self._last: tuple[TracerProvider, Tracer] | None = None
        self._has_handlers = False
        register_for_forks(self)

    def tracer(self) -> Tracer:
        """Return the tracer for a new root span."""
        # Resolved for each root, because the application may set its provider at any time.
        provider = self._provider()
        last = self._last
        if last is None or last[0] is not provider:
            if self._own is None or provider is not self._own.provider:
                self._attach(provider)
            last = self._last = (provider, self._tracer_of(provider))
            self._has_handlers = False
        if not self._has_handlers:
            self._has_handlers = self._install_handlers()
        return last[1]

    def _tracer_of(self, provider: Any) -> Tracer:
        """Return the tracer of a provider; one that takes no processors gets its spans copied."""
        tracer = tracer_of(provider)
        if tracer is None:
            return self.own_tracer()
        if hasattr(provider, "add_span_processor"):
            return tracer
        with forks_held_off():
            from flash_otel.pipeline.mirror import MirroringTracer
            from flash_otel.pipeline.provider import make_unsent

            return MirroringTracer(tracer, partial(make_unsent, self._make_processors()))

    def _install_handlers(self) -> bool:
        """Handle signals if they could lose spans; return False to retry in another thread."""
        can_lose = self.options.has_store or any(own.exports for own in self._owned())
        return exits.install_signal_handlers(_at_exit) if can_lose else True

    def _provider(self) -> TracerProvider:
        found = self.options.tracer_provider or application_provider()
        if found is not None:
            return found
        return self._make_own() if self._own is None else self._own.provider

    def _attach(self, provider: Any) -> None:
        """Add the processors to a provider of the application."""
        if not hasattr(provider, "add_span_processor"):
            return  # only the SDK's provider has processors, not the API's interface
        with forks_held_off():
            from flash_otel.pipeline.provider import detachable_processor

            detachable = detachable_processor(provider)
            detachable.processors = tuple(self._make_processors())
            if detachable not in self._attached:
                self._attached.append(detachable)

    def _make_own(self) -> TracerProvider:
        with forks_held_off():
            if self._own is None:  # another thread may have made it in the meantime
                from flash_otel.pipeline.provider import make_own

                self._own = make_own(self._make_processors(), id_generator.value)
            return self._own.provider

    def own_tracer(self) -> Tracer:
        """Return a tracer of flash_otel's own provider."""
        tracer = tracer_of(self._make_own())
        return trace_api.NoOpTracer() if tracer is None else tracer

    def _make_processors(self) -> list[SpanProcessor]:
        """Make the processors that all providers share, once."""
        if self._processors is None:
            from flash_otel.pipeline.provider import make_processors

            _has_traced.value = True
            self._processors = make_processors(self.options)
        return self._processors

    def flush(self, seconds: float) -> bool:
        """Wait until all ended spans are stored and sent."""
        deadline = time.monotonic() + seconds
        is_stored = self.flush_store(deadline)
        return exits.every(own.flush(deadline) for own in self._owned()) and is_stored

    def flush_store(self, deadline: float) -> bool:
        """Wait until all ended spans are stored."""
        # The base class of older SDKs (1.27) returns None for a processor with nothing to flush.
        return exits.every(
            processor.force_flush(exits.remaining_ms(deadline)) is not False
            for processor in self._processors or ()
        )

    def request_flush(self) -> list[threading.Event]:
        """Start storing, and start sending spans that only memory holds."""
        holders: list[MemoryDelivery | StoreSpanProcessor] = [*self._in_memory(), *self._stores()]
        return [event for holder in holders for event in holder.request_flush()]

    def log_unsent(self) -> None:
        """Write spans that only memory holds to the worker's log."""
        for delivery in self._in_memory():
            delivery.back_up()

    def close(self, seconds: float) -> None:
        """Store and send the remaining spans in time, and detach from all providers."""
        deadline = time.monotonic() + seconds
        for detachable in self._attached:
            detachable.processors = ()
        # The store before the exporters: the next run sends stored spans that were not sent.
        for processor in self._processors or ():
            processor.force_flush(exits.remaining_ms(deadline))
            processor.shutdown()
        lost = environment.loss()
        if lost and self._processors is not None:
            streams.warn_once(lost)
        for own in self._owned():
            own.close(deadline)

    def _owned(self) -> list[OwnProvider]:
        return [*self._inherited, *([] if self._own is None else [self._own])]

    def _in_memory(self) -> list[MemoryDelivery]:
        return [own.in_memory for own in self._owned() if own.in_memory is not None]

    def _stores(self) -> list[StoreSpanProcessor]:
        if not self.options.has_store:
            return []
        from flash_otel.store.processor import StoreSpanProcessor

        found = self._processors or ()
        return [processor for processor in found if isinstance(processor, StoreSpanProcessor)]

    def after_fork_in_child(self) -> None:
        """Make a new provider for the next root, because a resource names its process.

        Spans that were open at the fork end on their original provider.
        """
        self._inherited = self._owned()
        self._own = self._last = None


_pipeline: ProcessVar[Pipeline | None] = ProcessVar(lambda: None)
_is_disabled: ProcessVar[bool | None] = ProcessVar(lambda: None)  # None until first asked
_has_traced = ProcessVar(bool)
# The application's provider and its tracer, without `instrument()`.
_uninstrumented: ProcessVar[tuple[TracerProvider, Tracer | None] | None] = ProcessVar(lambda: None)
_before_exit: list[Callable[[], None]] = []
# Registered here, because redaction lies below runtime.
process.on_reset(redaction.forget)


def configure(options: Options) -> None:
    """Create the pipeline of an `instrument()` call; it starts nothing before the first root."""
    _is_disabled.value = None
    _pipeline.value = Pipeline(options)
    exits.exit_hook.register()


def deconfigure() -> None:
    """Close the pipeline within the exit budget."""
    pipeline, _pipeline.value = _pipeline.value, None
    exits.remove_signal_handlers()
    if pipeline is not None:
        pipeline.close(opts.exit_budget())
    streams.write_held()


def tracer() -> Tracer | None:
    """Return the tracer for a new root span, or None if tracing is off.

    Without `instrument()`, decorated functions use the application's provider, if it has set one.
    """
    if _check_disabled():
        return None
    if _pipeline.value is not None:
        return _pipeline.value.tracer()
    provider = application_provider()
    if provider is None:
        return None
    last = _uninstrumented.value
    if last is None or last[0] is not provider:
        last = _uninstrumented.value = (provider, tracer_of(provider))
    return last[1]


def own_tracer() -> Tracer | None:
    """Return a tracer of flash_otel's own provider, or None without `instrument()`."""
    return None if _pipeline.value is None else _pipeline.value.own_tracer()


def store_path() -> Path | None:
    """Return the store that the pipeline writes to, or None."""
    options = None if _pipeline.value is None else _pipeline.value.options
    return options.store or None if options else None  # type: ignore[return-value]  # `located`


def has_traced() -> bool:
    """Return whether a pipeline of this process has provided a tracer."""
    return _has_traced.value


def is_off() -> bool:
    """Return whether nothing can be traced now (cheap: called before every traced call)."""
    is_disabled = _is_disabled.value
    if is_disabled is None:
        is_disabled = _inspect_environment()
    if is_disabled or _pipeline.value is not None:
        return is_disabled
    # Not the public getter: without a provider it searches os.environ on each call, which takes
    # 0.6 us, three times as long as everything else that an untraced call costs.
    try:
        return trace_api._TRACER_PROVIDER is None  # noqa: SLF001 - see above
    except AttributeError:
        return application_provider() is None


def _inspect_environment() -> bool:
    """Return whether tracing is disabled; if not, load the provider that the environment names."""
    if _check_disabled():
        return True
    # The first call makes the API create the provider of OTEL_PYTHON_TRACER_PROVIDER.
    application_provider()
    return False


def propagation() -> str:
    """Return how a worker's first read relates to its deployment: auto, link or parent."""
    return "auto" if _pipeline.value is None else _pipeline.value.options.propagation


def before_exit(action: Callable[[], None]) -> None:
    """Call `action` at exit before the pipeline closes (to end spans that are still open)."""
    _before_exit.append(action)


def flush(seconds: float | None = None) -> bool:
    """Wait until all ended spans are stored and sent.

    Args:
        seconds: The longest wait; None for the exit budget.

    Returns:
        Whether everything was stored and sent in time.
    """
    if _pipeline.value is None:
        return True
    return _pipeline.value.flush(opts.exit_budget() if seconds is None else seconds)


def flush_store(seconds: float) -> bool:
    """Wait at most `seconds` until all ended spans are stored; return whether they are."""
    return _pipeline.value is None or _pipeline.value.flush_store(time.monotonic() + seconds)


def request_flush() -> list[threading.Event]:
    """Start storing and sending all ended spans; return events that are set after the attempt."""
    return [] if _pipeline.value is None else _pipeline.value.request_flush()


def log_unsent() -> None:
    """Write spans that only memory holds to the worker's log, each span once."""
    if _pipeline.value is not None:
        _pipeline.value.log_unsent()


def _at_exit() -> None:
    # Ctrl-C during the exit ends it now; unsent spans stay in the store.
    with suppress(KeyboardInterrupt):
        for action in _before_exit:
            with guarded("an action before exit"):
                action()
        with guarded("the end of the pipeline"):
            deconfigure()


exits.exit_hook.action = _at_exit


def _check_disabled() -> bool:
    if _is_disabled.value is None:
        _is_disabled.value = opts.is_disabled()
    return _is_disabled.value
