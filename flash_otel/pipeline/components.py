"""Components of the private provider that variables configure, each with its own fallback."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace as trace_api

from flash_otel import redaction, semconv
from flash_otel._version import __version__
from flash_otel.runtime import environment
from flash_otel.runtime.environment import attempt, component, ignore, number, read, whole
from flash_otel.runtime.process import ProcessVar, guarded

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_otel.runtime.sdk import IdGenerator, sampling

_CONTEXT: Final = "OTEL_PYTHON_CONTEXT"
_PROVIDER: Final = "OTEL_PYTHON_TRACER_PROVIDER"
_METERS: Final = "OTEL_PYTHON_METER_PROVIDER"
_SAMPLER: Final = "OTEL_TRACES_SAMPLER"
_SAMPLER_ARG: Final = "OTEL_TRACES_SAMPLER_ARG"
_ID_GENERATOR: Final = "OTEL_PYTHON_ID_GENERATOR"
_BATCH_SIZE: Final = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
_MOST_QUEUED: Final = 1_000_000  # the SDK allocates a whole batch in advance (1.27)

_NOT_SET: Final = (trace_api.ProxyTracerProvider, trace_api.NoOpTracerProvider)
# The value of OTEL_PYTHON_TRACER_PROVIDER that could not be loaded: each try costs milliseconds.
_broken_provider: Final[ProcessVar[str | None]] = ProcessVar(lambda: None)


def application_provider() -> trace_api.TracerProvider | None:
    """Return the provider that the application, or the environment, has set; None without."""
    provider: trace_api.TracerProvider | None
    named = os.environ.get(_PROVIDER)
    if named is None:
        provider = trace_api.get_tracer_provider()
    elif named == _broken_provider.value and getattr(trace_api, "_TRACER_PROVIDER", None) is None:
        return None
    else:
        # The first call makes the API load the named provider, and raises if that fails.
        provider = attempt(
            _PROVIDER, trace_api.get_tracer_provider, None, uses="flash_otel's own provider"
        )
        if not isinstance(provider, trace_api.TracerProvider):
            provider = None
        _broken_provider.value = named if provider is None else None
    return None if isinstance(provider, _NOT_SET) else provider


def named_provider() -> None:
    """Make the provider that the environment names, without setting it, to check if that works."""
    name = environment.text(_PROVIDER)
    if name:
        made = component(
            _PROVIDER,
            "opentelemetry_tracer_provider",
            name,
            trace_api.TracerProvider,  # type: ignore[type-abstract]  # only an instance check
            uses="flash_otel's own provider",
        )
        with guarded("the end of a provider"):
            getattr(made, "shutdown", lambda: None)()


def named_context() -> None:
    """Make the context that the environment names, as the API does at its import."""
    name = environment.text(_CONTEXT)
    if name:
        component(_CONTEXT, "opentelemetry_context", name, object)


def tracer_of(provider: trace_api.TracerProvider) -> trace_api.Tracer | None:
    """Return a tracer; None if the provider cannot make it without its meter provider (1.40)."""
    redaction.remember_environment()
    try:
        with environment.quiet():
            return provider.get_tracer(semconv.SCOPE_NAME, __version__, semconv.SCHEMA_URL)
    except Exception:
        if _METERS not in os.environ:
            raise
        ignore(_METERS, "a tracer cannot be made with it", "flash_otel's own provider")
        return None


def sampler() -> sampling.Sampler:
    """Return the sampler of OTEL_TRACES_SAMPLER: a standard one, or that of an entry point."""
    from flash_otel.runtime.sdk import sampling

    name = environment.text(_SAMPLER).lower()
    fixed = {
        "always_on": sampling.ALWAYS_ON,
        "always_off": sampling.ALWAYS_OFF,
        "parentbased_always_on": sampling.DEFAULT_ON,
        "parentbased_always_off": sampling.DEFAULT_OFF,
    }
    by_ratio: dict[str, Callable[[float], sampling.Sampler]] = {
        "traceidratio": sampling.TraceIdRatioBased,
        "parentbased_traceidratio": sampling.ParentBasedTraceIdRatio,
    }
    if name in by_ratio:
        return by_ratio[name](read(_SAMPLER_ARG, number(0, 1, "a probability"), 1.0))
    if name in fixed or not name:
        if environment.text(_SAMPLER_ARG):
            ignore(_SAMPLER_ARG, f"{_SAMPLER} names no sampler that takes it", "no argument")
        return fixed.get(name, sampling.DEFAULT_ON)
    argument = environment.text(_SAMPLER_ARG)
    group = "opentelemetry_traces_sampler"
    made = component(_SAMPLER, group, name, sampling.Sampler, argument)  # type: ignore[type-abstract]  # only an instance check
    return sampling.DEFAULT_ON if made is None else made


def probed_sampler() -> None:
    """Make the sampler, and ask it for a decision, to check if that works."""
    made = sampler()

    def decide() -> None:
        decision = made.should_sample(None, 1, semconv.DEPLOY).decision
        decision.is_recording()  # type: ignore[no-untyped-call]  # of the SDK

    attempt(_SAMPLER, decide, None, uses="every span")


def ids() -> IdGenerator | None:
    """Return the generator of OTEL_PYTHON_ID_GENERATOR; None for the SDK's."""
    from flash_otel.runtime.sdk import IdGenerator

    name = environment.text(_ID_GENERATOR)
    if name in {"", "random"}:
        return None
    made = component(_ID_GENERATOR, "opentelemetry_id_generator", name, IdGenerator)  # type: ignore[type-abstract]  # as above
    if made is None:
        return None
    are_usable = attempt(_ID_GENERATOR, lambda: _are_usable(made), None)
    if are_usable is False:
        ignore(_ID_GENERATOR, f"{name} makes invalid ids, or the same ones again", "the default")
    return made if are_usable else None


def _are_usable(ids: IdGenerator) -> bool:
    """Return whether spans with these ids are kept, and apart from each other."""
    first, second = (
        trace_api.SpanContext(ids.generate_trace_id(), ids.generate_span_id(), is_remote=False)
        for _ in range(2)
    )
    return first.is_valid and second.is_valid and first.span_id != second.span_id


def batch_settings() -> dict[str, Any]:
    """Return the arguments of a batch processor from the OTEL_BSP_* variables.

    The SDK raises if a batch is larger than the queue, even if only the queue was configured.
    """
    queue = read("OTEL_BSP_MAX_QUEUE_SIZE", whole(1, _MOST_QUEUED), 2048)
    batch = read(_BATCH_SIZE, whole(1, _MOST_QUEUED), min(512, queue))
    if batch > queue:
        ignore(_BATCH_SIZE, "it exceeds OTEL_BSP_MAX_QUEUE_SIZE", str(queue))
    return {
        "max_queue_size": queue,
        "max_export_batch_size": min(batch, queue),
        # The SDK rejects a delay of 0, and does not wait at a timeout of 0. In the specification,
        # that timeout means no limit.
        "schedule_delay_millis": read("OTEL_BSP_SCHEDULE_DELAY", whole(0), 5000) or 1,
        "export_timeout_millis": read("OTEL_BSP_EXPORT_TIMEOUT", whole(0), 30_000) or 2**31 - 1,
    }


def without_metrics(constructor: Callable[..., Any]) -> dict[str, Any]:
    """Return arguments that keep an SDK component from loading a meter provider (1.40)."""
    from opentelemetry.metrics import NoOpMeterProvider

    takes = "meter_provider" in inspect.signature(constructor).parameters
    return {"meter_provider": NoOpMeterProvider()} if takes else {}
