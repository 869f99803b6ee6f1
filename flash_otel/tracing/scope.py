"""An open span of ours and what its trace knows: carried in OpenTelemetry's context.

A scope opens and ends its span, reads the facts of the call at both moments, and lets a child
know what its parent knows. Nothing here raises into the host: `Traced` guards each step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.trace import Status, StatusCode

from flash_otel import semconv
from flash_otel._guard import swallowed
from flash_otel.pipeline.redaction import MAX_ENTRIES, scrub_value
from flash_otel.tracing import clock, live, outcome
from flash_otel.tracing.sources import ENDED, MISSING, Call, find

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanContext, Tracer

    from flash_otel.tracing.facts import Fact
    from flash_otel.tracing.spec import SpanSpec

_KEY: Final = context_api.create_key("flash_otel-scope")


class Scope:
    """One open span.

    Attributes:
        spec: Which kind of span this is.
        span: The OpenTelemetry span.
        tracer: Where the span came from; its children come from there too.
        call: The call that the span is around.
        known: Attributes that the whole trace knows, shared by all of its scopes.
        root: The outermost scope of this trace in this process.
        attributes: What has been set on the span.
        fault: The fault that a hook has proved, or None.
        attempt: Which attempt at a GraphQL request is running (retries are events here).
    """

    __slots__ = (
        "attempt",
        "attributes",
        "call",
        "facts",
        "fault",
        "known",
        "parent",
        "pending",
        "retry_reason",
        "root",
        "span",
        "spec",
        "tracer",
    )

    def __init__(
        self,
        spec: SpanSpec,
        tracer: Tracer,
        call: Call,
        facts: tuple[Mapping[str, Fact], Mapping[str, Fact]],
        parent: Scope | None,
    ) -> None:
        self.spec = spec
        self.tracer = tracer
        self.call = call
        self.facts = facts
        self.parent = parent
        self.root: Scope = self if parent is None else parent.root
        self.known: dict[str, Any] = {} if parent is None else parent.known
        self.attributes: dict[str, Any] = {}
        self.pending: list[Fact] = []
        self.attempt = 0
        self.retry_reason = ""
        self.fault: str | None = None
        self.span: Span = trace_api.INVALID_SPAN

    def open(
        self,
        context: Context | None = None,
        links: Sequence[Link] = (),
        attributes: Mapping[str, Any] | None = None,
    ) -> Context:
        """Start the span and return the context in which the call runs."""
        start, _ = self.facts
        self._learn(self.spec.learns)
        self._read(start.values(), keep=True)
        if attributes:
            self._take(attributes)
        self.span = self.tracer.start_span(
            self.spec.name,
            context,
            self.spec.kind,
            self.attributes,
            links,
            clock.now(),
            record_exception=False,
            set_status_on_exception=False,
        )
        self._teach()
        if self.spec.name == semconv.DEPLOY:
            self._name_deployment()
        here = context_api.get_current() if context is None else context
        return context_api.set_value(_KEY, self, trace_api.set_span_in_context(self.span, here))

    def set(self, attributes: Mapping[str, Any]) -> None:
        """Scrub attributes and set them on the open span."""
        changed = self._take(attributes)
        # A task may outlive the span that it was made in, and the SDK warns of late attributes.
        if changed and self.span.is_recording():
            self.span.set_attributes({name: self.attributes[name] for name in changed})

    def event(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Add an event with scrubbed attributes, unless the span has ended."""
        if not self.span.is_recording():
            return
        scrubbed = ((key, scrub_value(value)) for key, value in attributes.items())
        clean: dict[str, Any] = {key: value for key, value in scrubbed if value is not None}
        self.span.add_event(name, clean, clock.now())

    def link(self, context: SpanContext) -> bool:
        """Link to another trace's span, once; within one trace, parents tell more than links.

        Returns:
            Whether the link was added.
        """
        there = (context.trace_id, context.span_id)
        links = getattr(self.span, "links", ())
        if self.span.get_span_context().trace_id == context.trace_id or any(
            (one.context.trace_id, one.context.span_id) == there for one in links
        ):
            return False
        self.span.add_link(context)
        return True

    def enclosing(self, name: str) -> Scope | None:
        """Find the innermost open scope of this name, this one included."""
        found: Scope | None = self
        while found is not None and found.spec.name != name:
            found = found.parent
        return found

    def join(self, call: Call, facts: tuple[Mapping[str, Fact], Mapping[str, Fact]]) -> None:
        """Take over what a call inside this span says, as far as it can say it now."""
        found: dict[str, Any] = {}
        for fact in (*facts[0].values(), *facts[1].values()):
            value = find(fact.sources, call)
            try:
                found.update({} if value is MISSING else fact.render(value))
            except Exception:
                swallowed(f"a fact of {self.spec.name}")
        self.set(found)
        self._teach()

    def learn_at_end(self) -> None:
        """Read what only the ended call can say, whether it returned or raised."""
        _, end = self.facts
        if not (end or self.pending or self.spec.recalls):
            return
        before = dict(self.attributes)
        self._read((*self.pending, *end.values()), keep=False)
        self._learn(self.spec.recalls)
        changed = {k: v for k, v in self.attributes.items() if before.get(k) != v}
        if changed:
            self.span.set_attributes(changed)
        self._teach()

    def end(self, error: BaseException | None) -> None:
        """Record the outcome, name the fault that is visible by itself, and end the span."""
        try:
            self._conclude(error)
        finally:
            self._close()

    def _conclude(self, error: BaseException | None) -> None:
        failed = error is not None and not outcome.is_clean_exit(error)
        failure = outcome.root_cause(error) if failed and error is not None else None
        ending = self._outcome(failure)
        fault = self.fault or live.visible(self.spec.name, self.attributes, failure)
        if fault is not None:
            self._name_fault(fault, ending, failure)
        if self.spec.name == semconv.DEPLOY:
            ending[semconv.DEPLOYMENT_STATUS] = "succeeded" if failure is None else "failed"
        self.attributes.update(ending)
        self.span.set_attributes(ending)

    def _outcome(self, failure: BaseException | None) -> dict[str, Any]:
        if failure is None:
            return {semconv.OUTCOME: semconv.RETURNED}
        self.span.add_event(semconv.EXCEPTION, outcome.exception_attributes(failure), clock.now())
        self.span.set_status(Status(StatusCode.ERROR, outcome.describe(failure)))
        return {
            semconv.OUTCOME: outcome.classify(failure, writes=self.spec.writes),
            semconv.ERROR_TYPE: outcome.error_type(failure),
        }

    def _name_fault(self, code: str, ending: dict[str, Any], failure: BaseException | None) -> None:
        ending[semconv.FAULT] = ending[semconv.ERROR_TYPE] = code
        words = semconv.FAULTS[code] if failure is None else outcome.describe(failure)
        self.span.set_status(Status(StatusCode.ERROR, f"{code}: {words}"))
        if live.first_time(code):
            explanation = f"{semconv.FAULTS[code]} Look further with: flash-otel diagnose"
            self.event(
                semconv.FAULT_EVENT,
                {semconv.FAULT: code, semconv.FAULT_EXPLANATION: explanation},
            )

    def abandon(self) -> None:
        """End a span whose call nobody saw ending."""
        self.set({semconv.OUTCOME: semconv.UNKNOWN})
        self._close()

    def _close(self) -> None:
        self.span.end(clock.now())
        # Tasks that were made inside may keep this scope: not what it was called with.
        self.call = ENDED

    def _name_deployment(self) -> None:
        deployment_id = f"{self.span.get_span_context().span_id:016x}"
        named = {semconv.DEPLOYMENT_ID: deployment_id, semconv.OTEL_DEPLOYMENT_ID: deployment_id}
        self.set(named)
        self.known[semconv.DEPLOYMENT_ID] = deployment_id

    def _read(self, facts: Sequence[Fact] | Any, *, keep: bool) -> None:
        for fact in facts:
            value = find(fact.sources, self.call)
            if keep and (value is MISSING or value is None):
                self.pending.append(fact)
            elif value is not MISSING:
                try:
                    self._take(fact.render(value))
                except Exception:  # costs its own attributes only
                    swallowed(f"a fact of {self.spec.name}")

    def _learn(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name not in self.attributes and name in self.known:
                self.attributes[name] = self.known[name]

    def _teach(self) -> None:
        for name in self.spec.teaches:
            if name in self.attributes:
                self.known[name] = self.attributes[name]

    def _take(self, attributes: Mapping[str, Any]) -> list[str]:
        """Scrub attributes into ours; return the names of those that changed."""
        changed = []
        for name, value in attributes.items():
            clean = scrub_value(value)
            if clean is None or self.attributes.get(name) == clean:
                continue
            self.attributes[name] = clean
            changed.append(name)
            if isinstance(value, (list, tuple)) and len(value) > MAX_ENTRIES:
                cut = self.attributes.get(semconv.TRUNCATED, ())
                self.attributes[semconv.TRUNCATED] = tuple(dict.fromkeys((*cut, name)))
                changed.append(semconv.TRUNCATED)
        return changed


def current() -> Scope | None:
    """Return the innermost open scope of this context, or None."""
    found = context_api.get_value(_KEY)
    return found if isinstance(found, Scope) else None
