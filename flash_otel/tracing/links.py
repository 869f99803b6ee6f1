"""Parent or link: how a worker's span relates to the deployment whose code runs.

Only the first fetch of a worker process may continue the deployment's trace, and only while the
deployment is fresh: a worker lives for days, and a trace must not. Every other read and call is a
trace of its own with a link, which is mirrored as attributes.
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

from flash_otel import pipeline, semconv
from flash_otel.runtime import environment
from flash_otel.runtime import options as opts
from flash_otel.runtime.process import ProcessVar
from flash_otel.tracing import carriers
from flash_otel.tracing.specs import LOCAL, READ, SERVED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.propagators.textmap import TextMapPropagator

    from flash_otel.tracing.outcome import BadRead


FRESH_NS: Final = 15 * 60 * 1_000_000_000

ENVIRONMENT_VARIABLE: Final = "FLASH_ENVIRONMENT_ID"

_TARGET: Final = (semconv.ENVIRONMENT_ID, semconv.ENVIRONMENT_NAME, semconv.BUILD_ID)

_HAS_BEGUN: Final = {READ: "has_fetched", SERVED: "has_served"}

AUTO: Final = "auto"
PARENT: Final = "parent"

# No tool has to propagate more than this (W3C Trace Context, 3.3.1.5), and every span carries it.
_MAX_TRACESTATE: Final = 512  # characters

_PROPAGATOR: Final[TextMapPropagator] = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class Read:
    """A fetch from the State Manager, as later calls refer to it.

    Attributes:
        context: Its span.
        fault: The fault that it shows, or None.
        bad_read: What is surely wrong with it though its fault is open, or None.
    """

    context: SpanContext
    fault: str | None = None
    bad_read: BadRead | None = None


@dataclass(slots=True)
class _Worker:
    """A worker process's knowledge of its deployment.

    Attributes:
        carrier: The carrier of the code that runs, or None.
        is_read: Whether the carrier has been looked for on disk.
        has_fetched: Whether a fetch from the State Manager has begun.
        has_served: Whether a request or a job has begun.
        target: The environment and the active build, as the last read has shown them.
        read: The last fetch from the State Manager that has ended, or None.
    """

    carrier: carriers.Carrier | None = None
    is_read: bool = False
    has_fetched: bool = False
    has_served: bool = False
    target: Mapping[str, Any] = field(default_factory=dict)
    read: Read | None = None


_worker: Final = ProcessVar(_Worker, reset_in_child=True)
# A forked child inherits the environment, and so the span that started the process.
_process_parent: Final[ProcessVar[Context | None]] = ProcessVar(lambda: None)


@dataclass(frozen=True, slots=True)
class Relation:
    """Where a span begins: its parent's context (None: the current one), links, attributes."""

    context: Context | None = None
    links: tuple[Link, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


HERE: Final = Relation()
"""The span is a child of the current one, or a root."""


def read_process_parent(environ: Mapping[str, str]) -> None:
    """Read TRACEPARENT and TRACESTATE from the environment of the process."""
    variables = {name: environ.get(name.upper(), "") for name in ("traceparent", "tracestate")}
    carrier = {name: text for name, text in variables.items() if 0 < len(text) <= _MAX_TRACESTATE}
    with environment.quiet():
        context = _PROPAGATOR.extract(carrier, Context()) if carrier else None
    is_valid = context and trace_api.get_current_span(context).get_span_context().is_valid
    _process_parent.value = context if is_valid else None


def has_fetched() -> bool:
    """Return True if this process has begun a fetch from the State Manager."""
    return _worker.value.has_fetched


def relate(relation: str, mode: str, *, is_root: bool) -> Relation:
    """Decide how a span that is about to start relates to the deployment.

    Args:
        relation: The relation of its kind (`LOCAL`, `READ`, `LINKED` or `SERVED`).
        mode: The configured propagation: auto, link or parent.
        is_root: Whether no flash_otel span encloses it.
    """
    if relation == LOCAL:
        return _root() if is_root else HERE
    worker = _worker.value
    carrier = code_carrier()
    is_first = _is_first(worker, relation)
    # Samplers keep a worker's first fetch and request by this attribute; later spans lack it.
    attributes: dict[str, Any] = {semconv.FAAS_COLDSTART: True} if is_first else {}
    if carrier is None:
        return Relation(attributes=attributes) if is_first else HERE
    attributes[semconv.CODE_DEPLOYMENT_ID] = carrier.deployment_id
    attributes |= carriers.mirrored(carrier.context)
    if relation == READ and _continues_trace(carrier, mode, is_first=is_first):
        return _child_of(carrier.context, attributes)
    return Relation(links=(Link(carrier.context),), attributes=attributes)


def _is_first(worker: _Worker, relation: str) -> bool:
    """Return True for a process's first fetch and for its first request; note that it began."""
    has_begun = _HAS_BEGUN.get(relation)
    if has_begun is None or getattr(worker, has_begun):
        return False
    setattr(worker, has_begun, True)
    return True


def remember_read(attributes: Mapping[str, Any]) -> None:
    """Remember which environment and build a worker has read."""
    _worker.value.target = {name: attributes[name] for name in _TARGET if name in attributes}


def remember_fetch(read: Read) -> None:
    """Remember the last fetch of this process: the calls that it did not route refer to it."""
    _worker.value.read = read


def last_fetch() -> Read | None:
    """Return the last fetch of this process that has ended, or None."""
    return _worker.value.read


def _root() -> Relation:
    """Relate a step of a deployment; in a worker, which should deploy nothing, to its own code."""
    if not opts.in_worker():
        return _child_of_process()
    carrier, worker = code_carrier(), _worker.value
    environment_id = os.environ.get(ENVIRONMENT_VARIABLE)
    attributes = {**({semconv.ENVIRONMENT_ID: environment_id} if environment_id else {})}
    attributes |= worker.target
    if carrier is None:
        return Relation(attributes=attributes)
    attributes[semconv.CODE_DEPLOYMENT_ID] = carrier.deployment_id
    attributes |= carriers.mirrored(carrier.context)
    return Relation(links=(Link(carrier.context),), attributes=attributes)


def _child_of_process() -> Relation:
    """Continue the trace of whatever started this process, unless a span is current already."""
    parent = _process_parent.value
    if parent is None or trace_api.get_current_span().get_span_context().is_valid:
        return HERE
    return Relation(context=parent)


def code_carrier() -> carriers.Carrier | None:
    """Return the carrier of the code that this process runs, or None."""
    worker = _worker.value
    if not worker.is_read:
        worker.is_read = True
        worker.carrier = carriers.code_carrier()
    return worker.carrier


def _continues_trace(carrier: carriers.Carrier, mode: str, *, is_first: bool) -> bool:
    if mode != AUTO:
        return mode == PARENT
    # A negative age: the clocks of two machines differ, so freshness is not proven.
    age_ns = pipeline.clock.value() - carrier.time_ns
    return is_first and carrier.context.trace_flags.sampled and 0 <= age_ns < FRESH_NS


def _child_of(deployment: SpanContext, attributes: Mapping[str, Any]) -> Relation:
    """Continue the deployment's trace, with a link to the span that is current here."""
    here = trace_api.get_current_span().get_span_context()
    context = trace_api.set_span_in_context(NonRecordingSpan(deployment), context_api.get_current())
    return Relation(context, (Link(here),) if here.is_valid else (), attributes)
