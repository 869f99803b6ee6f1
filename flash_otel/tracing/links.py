"""Parent or link: how a worker's span relates to the deployment whose code runs.

Only a worker process's first fetch may continue the deployment's trace, and only while the
deployment is fresh: a worker lives for days, and a trace must not. Everything else is a trace of
its own with a link, mirrored as attributes because Jaeger shows links one way only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from flash_otel import semconv
from flash_otel.runtime import forks, state
from flash_otel.tracing import carriers, clock
from flash_otel.tracing.specs import LOCAL, READ

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.propagators.textmap import TextMapPropagator

    from flash_otel.tracing.carriers import Carrier

FRESH_NS: Final = 15 * 60 * 1_000_000_000

AUTO: Final = "auto"
LINK: Final = "link"
PARENT: Final = "parent"
MODES: Final = (AUTO, LINK, PARENT)

_LONGEST_CARRIER: Final = 512  # characters

_PROPAGATOR: Final[TextMapPropagator] = TraceContextTextMapPropagator()


@dataclass(slots=True)
class _Process:
    """What is read once per process: its code's carrier, its parent, whether it has fetched."""

    carrier: Carrier | None = None
    carrier_read: bool = False
    fetched: bool = False
    parent: Context | None = None


_process = _Process()


@dataclass(frozen=True, slots=True)
class Relation:
    """Where a span begins: its parent context (None: the current one), links and attributes."""

    context: Context | None = None
    links: tuple[Link, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


HERE: Final = Relation()
"""The span begins where its caller is."""


def reset() -> None:
    """Begin as a fresh process does."""
    global _process
    _process = _Process()


def _begin_in_child() -> None:
    """Begin as a forked child does: its environment, and so its parent span, are the same."""
    global _process
    _process = _Process(parent=_process.parent)


forks.in_child(_begin_in_child)
state.on_reset(reset)


def read_process_parent() -> None:
    """Read TRACEPARENT and TRACESTATE from the environment, as it is now."""
    names = ("traceparent", "tracestate")
    said = {name: os.environ.get(name.upper(), "") for name in names}
    # No tool has to pass on more than this (W3C Trace Context, 3.3.1.5), and every span carries it.
    carrier = {name: text for name, text in said.items() if 0 < len(text) <= _LONGEST_CARRIER}
    context = _PROPAGATOR.extract(carrier, Context()) if carrier else None
    valid = context and trace_api.get_current_span(context).get_span_context().is_valid
    _process.parent = context if valid else None


def relate(relation: str, mode: str, *, is_root: bool) -> Relation:
    """Decide how a span that is about to start relates to what came before it."""
    if relation == LOCAL:
        return _of_process() if is_root else HERE
    carrier = _code_carrier()
    first = relation == READ and not _process.fetched
    _process.fetched = _process.fetched or first
    # What samples traces keeps a worker's first fetch by this; a later one says nothing.
    told: dict[str, Any] = {semconv.FAAS_COLDSTART: True} if first else {}
    if carrier is None:
        return Relation(attributes=told) if first else HERE
    told |= {semconv.CODE_DEPLOYMENT_ID: carrier.deployment_id, **mirrored(carrier.context)}
    if relation == READ and _continues(carrier, mode, first=first):
        return _child_of(carrier.context, told)
    return Relation(links=(Link(carrier.context),), attributes=told)


def mirrored(deployment: SpanContext) -> dict[str, str]:
    """Render a link to a deployment as attributes."""
    return {
        semconv.DEPLOY_TRACE_ID: f"{deployment.trace_id:032x}",
        semconv.DEPLOY_SPAN_ID: f"{deployment.span_id:016x}",
    }


def active_attributes(carrier: Carrier) -> dict[str, Any]:
    """Render what the State Manager's carrier says of the active manifest."""
    said = {
        semconv.ACTIVE_DEPLOYMENT_ID: carrier.deployment_id,
        semconv.ACTIVE_PHASE: carrier.phase,
        semconv.ACTIVE_ENDPOINT_COUNT: carrier.endpoint_count,
    }
    return {name: value for name, value in said.items() if value is not None}


def _of_process() -> Relation:
    """Return the pipeline that started this process, unless a span is current here already."""
    parent = _process.parent
    if parent is None or trace_api.get_current_span().get_span_context().is_valid:
        return HERE
    return Relation(context=parent)


def _code_carrier() -> Carrier | None:
    if not _process.carrier_read:
        _process.carrier_read = True
        _process.carrier = carriers.code_carrier()
    return _process.carrier


def _continues(carrier: Carrier, mode: str, *, first: bool) -> bool:
    if mode != AUTO:
        return mode == PARENT
    age = clock.now() - carrier.time_ns
    return first and carrier.context.trace_flags.sampled and 0 <= age < FRESH_NS


def _child_of(deployment: SpanContext, told: Mapping[str, Any]) -> Relation:
    """Continue the deployment's trace; the span that is current here becomes a link."""
    here = trace_api.get_current_span().get_span_context()
    context = trace_api.set_span_in_context(NonRecordingSpan(deployment), context_api.get_current())
    return Relation(context, (Link(here),) if here.is_valid else (), told)


def has_fetched() -> bool:
    """Tell whether this process has asked the State Manager already."""
    return _process.fetched
