"""Which provider, resource, processors and exporters; and their bounded end.

The provider is resolved anew for each root span: the one given to `instrument()`, else the one
that the application has set by then, else a private one. The global provider is never set.
"""

from __future__ import annotations

import atexit
import time
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace as trace_api

from flash_otel import semconv
from flash_otel._version import __version__
from flash_otel.redaction import forget, remember_environment
from flash_otel.runtime import forks, signals, state
from flash_otel.runtime import options as opts
from flash_otel.runtime.bounded import each, millis
from flash_otel.runtime.children import ChildEnding
from flash_otel.runtime.guard import guarded
from flash_otel.runtime.state import ProcessVar

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import Tracer, TracerProvider

    from flash_otel.pipeline.detachable import Switch, Switches
    from flash_otel.pipeline.provider import OwnProvider
    from flash_otel.runtime.options import Options

_NOT_SET: Final = (trace_api.ProxyTracerProvider, trace_api.NoOpTracerProvider)

id_generator: ProcessVar[IdGenerator | None] = ProcessVar(lambda: None)
"""Ids of the private provider (`flash_otel.testing` sets it)."""


class Pipeline(forks.ForkAware):
    """The processors of one `instrument()`, and the providers that they were given to."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._own: OwnProvider | None = None
        self._inherited: list[OwnProvider] = []
        self._shared: list[SpanProcessor] | None = None
        self._joined: list[Switch] = []
        self._last: tuple[TracerProvider, Tracer] | None = None
        self._is_armed = False
        forks.register(self)

    def tracer(self) -> Tracer:
        """Return the tracer for a new root span."""
        provider = self._provider()
        last = self._last
        if last is None or last[0] is not provider:
            if self._own is None or provider is not self._own.provider:
                self._join(provider)
            last = self._last = (provider, _tracer_of(provider))
            self._is_armed = False
        if not self._is_armed:
            self._is_armed = self._arm()
        return last[1]

    def _arm(self) -> bool:
        """Be told of the signals that end the process; tell whether this thread could see to it."""
        from flash_otel.pipeline.processors import has_store

        waits = has_store(self.options) or any(own.sends for own in self._owned())
        return signals.install(_at_exit) if waits else True

    def _provider(self) -> TracerProvider:
        found = self.options.tracer_provider or _application_provider()
        if found is not None:
            return found
        return self._make_own() if self._own is None else self._own.provider

    def _join(self, provider: Any) -> None:
        """Give our processors to the application's provider, once."""
        if not hasattr(provider, "add_span_processor"):
            return
        with forks.held_off():
            switch = _switches_of_providers().of(provider)
            switch.processors = tuple(self._processors())
            if switch not in self._joined:
                self._joined.append(switch)

    def _make_own(self) -> TracerProvider:
        with forks.held_off():
            if self._own is None:
                from flash_otel.pipeline import provider

                self._own = provider.make(self._processors(), id_generator.value)
            return self._own.provider

    def _processors(self) -> list[SpanProcessor]:
        """Make, once, what every provider of ours gets: lines, and store or worker log."""
        if self._shared is None:
            from flash_otel.pipeline import processors

            _begun.value = True
            self._shared = processors.make(self.options)
        return self._shared

    def flush(self, seconds: float) -> bool:
        """Wait until what has ended is stored and sent, or the time is over."""
        deadline = time.monotonic() + seconds
        stored = self.store(deadline)
        return each(own.flush(deadline) for own in self._owned()) and stored

    def store(self, deadline: float) -> bool:
        """Wait until what has ended is stored, or the time is over."""
        return each(one.force_flush(millis(deadline)) for one in self._shared or ())

    def hand_over(self) -> list[threading.Event]:
        """Have what has ended stored, or sent where only memory holds it; wait for nothing."""
        from flash_otel.pipeline.processors import has_store

        events = [event for own in self._owned() for event in own.hand_over()]
        if has_store(self.options):
            from flash_otel.store.processor import StoreSpanProcessor

            stores = [one for one in self._shared or () if isinstance(one, StoreSpanProcessor)]
            events += [event for one in stores for event in one.hand_over()]
        return events

    def back_up(self) -> None:
        """Write down, where there is a place for it, what only memory holds."""
        for own in self._owned():
            own.back_up()

    def close(self, seconds: float) -> None:
        """End our processors and exporters within the time; switch off what was joined."""
        deadline = time.monotonic() + seconds
        for switch in self._joined:
            switch.processors = ()
        for processor in self._shared or ():
            processor.force_flush(millis(deadline))
            processor.shutdown()
        for own in self._owned():
            own.close(deadline)

    def _owned(self) -> list[OwnProvider]:
        return [*self._inherited, *([] if self._own is None else [self._own])]

    def after_fork_in_child(self) -> None:
        """Have a provider of its own from the next root on: a resource names its process.

        What was open when the process forked stays with the provider that it began with.
        """
        self._inherited = self._owned()
        self._own = self._last = None


_pipeline: ProcessVar[Pipeline | None] = ProcessVar(lambda: None)
_by_hand: ProcessVar[tuple[TracerProvider, Tracer] | None] = ProcessVar(lambda: None)
_disabled: ProcessVar[bool | None] = ProcessVar(lambda: None)
_begun = ProcessVar(bool)
_endings: list[Callable[[], None]] = []
# Here, because redaction lies below runtime.
state.on_reset(forget)


def configure(options: Options) -> None:
    """Make the pipeline of an `instrument()`; nothing is started before the first root span."""
    _disabled.value = None
    _pipeline.value = Pipeline(options)
    _child_ending.arrange()


def deconfigure() -> None:
    """End the pipeline; what it holds is stored first."""
    ended, _pipeline.value = _pipeline.value, None
    signals.remove()
    if ended is not None:
        ended.close(opts.exit_budget())


def tracer() -> Tracer | None:
    """Return the tracer for a new root span; None where tracing is off.

    Without `instrument()`, a decorated function is traced only on a provider that the
    application has set.
    """
    if _is_disabled():
        return None
    if _pipeline.value is not None:
        return _pipeline.value.tracer()
    provider = _application_provider()
    if provider is None:
        return None
    by_hand = _by_hand.value
    if by_hand is None or by_hand[0] is not provider:
        by_hand = _by_hand.value = (provider, _tracer_of(provider))
    return by_hand[1]


def has_begun() -> bool:
    """Tell whether a root span has had a tracer of ours in this process."""
    return _begun.value


def is_off() -> bool:
    """Tell cheaply whether nothing can be traced now."""
    if _disabled.value is None:
        _look_around()
    if _pipeline.value is not None or _disabled.value:
        return bool(_disabled.value)
    # Not the public getter, which searches os.environ at each call while there is no provider: it
    # takes 0.6 us, three times as long as all else that an untraced call costs.
    try:
        return trace_api._TRACER_PROVIDER is None  # noqa: SLF001 - see above
    except AttributeError:
        return _application_provider() is None


def _look_around() -> None:
    """See what the environment says, once: whether to trace, and with which provider."""
    if _is_disabled():
        return
    # Where OTEL_PYTHON_TRACER_PROVIDER names a provider, whoever asks first makes it.
    with guarded("the provider of the environment"):
        trace_api.get_tracer_provider()


def propagation() -> str:
    """Return how a worker's first read relates to its deployment (auto, link or parent)."""
    return "auto" if _pipeline.value is None else _pipeline.value.options.propagation


def before_exit(ending: Callable[[], None]) -> None:
    """Call `ending` at exit, before the pipeline ends (for spans that nobody ends)."""
    _endings.append(ending)


def flush(seconds: float | None = None) -> bool:
    """Wait until what has ended is stored and sent.

    Args:
        seconds: How long at most; the exit budget where it is None.

    Returns:
        Whether everything got out in time.
    """
    if _pipeline.value is None:
        return True
    return _pipeline.value.flush(opts.exit_budget() if seconds is None else seconds)


def store(seconds: float) -> bool:
    """Wait until what has ended is stored, whether or not it is sent.

    Args:
        seconds: How long at most.

    Returns:
        Whether everything was stored in time.
    """
    return _pipeline.value is None or _pipeline.value.store(time.monotonic() + seconds)


def hand_over() -> list[threading.Event]:
    """Have what has ended stored or sent now; return what is set when that was tried."""
    return [] if _pipeline.value is None else _pipeline.value.hand_over()


def back_up() -> None:
    """Write what only memory holds to the worker's log, each span once."""
    if _pipeline.value is not None:
        _pipeline.value.back_up()


@atexit.register
def _at_exit() -> None:
    # Who interrupts an exit wants it now; what is not sent stays in the store.
    with suppress(KeyboardInterrupt):
        for ending in _endings:
            with guarded("an ending at exit"):
                ending()
        with guarded("the pipeline's end"):
            deconfigure()


_child_ending: Final = ChildEnding(_at_exit)


def _is_disabled() -> bool:
    if _disabled.value is None:
        _disabled.value = opts.is_disabled()
    return _disabled.value


def _application_provider() -> TracerProvider | None:
    provider = trace_api.get_tracer_provider()
    return None if type(provider) in _NOT_SET else provider


@cache
def _switches_of_providers() -> Switches:
    """Make, once per process, the register of joined providers (its module needs the SDK)."""
    from flash_otel.pipeline.detachable import Switches

    return Switches()


def _tracer_of(provider: TracerProvider) -> Tracer:
    remember_environment()
    return provider.get_tracer(semconv.SCOPE_NAME, __version__, semconv.SCHEMA_URL)
