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
from flash_otel.redaction import MAX_ENTRIES, scrub_value
from flash_otel.runtime.guard import swallowed
from flash_otel.tracing import clock, outcome, span_faults
from flash_otel.tracing.extractors import ENDED, MISSING, Call, find

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanContext, Tracer

    from flash_otel.tracing.attributes import Fact
    from flash_otel.tracing.specs import SpanSpec

_KEY: Final = context_api.create_key("flash_otel-scope")


class Scope:
    """One open span.

    Attributes:
        spec: Which kind of span this is.
        span: The OpenTelemetry span.
        tracer: Where the span came from; its children come from there too.
        call: The call that the span is around.
        known: Attributes that the whole trace knows, shared by all of its scopes.
        parent: The scope around this one, or None.
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
        self.known: dict[str, Any] = {} if parent is None else parent.known
        self.attributes: dict[str, Any] = {}
        self.pending: list[Fact] = []
        self.attempt = 0
        self.retry_reason = ""
        self.fault: str | None = None
        self.span: Span = trace_api.INVALID_SPAN

    @property
    def root(self) -> Scope:
        """The outermost scope of this trace in this process.

        Found anew each time: a root that held itself would wait for the garbage collector.
        """
        found = self
        while found.parent is not None:
            found = found.parent
        return found

    def open(
        self,
        context: Context | None = None,
        links: Sequence[Link] = (),
        attributes: Mapping[str, Any] | None = None,
    ) -> Context:
        """Start the span and return the context in which the call runs."""
        self._learn(self.spec.learns)
        self._read_start()
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
        # Without a context, the current one is taken.
        inside = trace_api.set_span_in_context(self.span, context)
        return context_api.set_value(_KEY, self, inside)

    def set(self, attributes: Mapping[str, Any]) -> None:
        """Scrub attributes and set them on the open span."""
        changed = self._take(attributes)
        # A task may outlive the span that it was made in, and the SDK warns of late attributes.
        if changed and self.span.is_recording():
            self.span.set_attributes(changed)

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
        found: dict[str, Any] = {}
        for fact in (*self.pending, *self.facts[1].values()):
            value = find(fact.sources, self.call)
            if value is not MISSING:
                self._render(fact, value, found)
        self._put({**self._keep(found), **self._learn(self.spec.recalls)})
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
        fault = self.fault or span_faults.detect(self.spec.name, self.attributes, failure)
        if fault is not None:
            self._name_fault(fault, ending, failure)
        if self.spec.name == semconv.DEPLOY:
            ending[semconv.DEPLOYMENT_STATUS] = "succeeded" if failure is None else "failed"
        self.attributes.update(ending)
        self._put(ending)

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
        if span_faults.first_time(code):
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

    def _read_start(self) -> None:
        for fact in self.facts[0].values():
            value = find(fact.sources, self.call)
            if value is MISSING or value is None:
                self.pending.append(fact)
            else:
                self._render(fact, value, self.attributes)

    def _render(self, fact: Fact, value: Any, found: dict[str, Any]) -> None:
        """Add what a fact says; one that cannot be rendered costs its own attributes only."""
        try:
            # Most facts are one text: the general way takes three times as long (0.6 us).
            if type(value) is str and value and fact.names:
                clean = scrub_value(value)
                for name in fact.names:
                    found[name] = clean
            else:
                self._scrub(fact.render(value), found)
        except Exception:
            swallowed(f"a fact of {self.spec.name}")

    def _learn(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Take over what the trace knows and this span does not; return it."""
        if not self.known:
            return {}
        known, own = self.known, self.attributes
        learned = {name: known[name] for name in names if name not in own and name in known}
        own.update(learned)
        return learned

    def _teach(self) -> None:
        for name in self.spec.teaches:
            if name in self.attributes:
                self.known[name] = self.attributes[name]

    def _put(self, attributes: Mapping[str, Any]) -> None:
        # One by one: a mapping costs the SDK (1.45) as much as three attributes.
        for name, value in attributes.items():
            self.span.set_attribute(name, value)

    def _take(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Scrub attributes into ours; return those that changed."""
        found: dict[str, Any] = {}
        self._scrub(attributes, found)
        return self._keep(found)

    def _keep(self, found: Mapping[str, Any]) -> dict[str, Any]:
        own = self.attributes
        changed = {name: value for name, value in found.items() if own.get(name) != value}
        own.update(changed)
        return changed

    def _scrub(self, attributes: Mapping[str, Any], found: dict[str, Any]) -> None:
        """Add scrubbed attributes, and the names of those that were cut."""
        for name, value in attributes.items():
            clean = scrub_value(value)
            if clean is None:
                continue
            found[name] = clean
            if isinstance(clean, tuple) and len(value) > MAX_ENTRIES:
                cut = self.attributes.get(semconv.TRUNCATED, ()) + found.get(semconv.TRUNCATED, ())
                found[semconv.TRUNCATED] = tuple(dict.fromkeys((*cut, name)))


def current() -> Scope | None:
    """Return the innermost open scope of this context, or None."""
    return within(context_api.get_current())


def within(context: Context) -> Scope | None:
    """Return the innermost open scope of a context, or None."""
    found = context.get(_KEY)
    return found if isinstance(found, Scope) else None
