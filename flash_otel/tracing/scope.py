"""An open span of flash_otel, carried in OpenTelemetry's context.

A scope starts and ends its span, reads the fields of the call at both moments, and shares
attributes with the other scopes of its trace. Its methods may raise: callers guard them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.trace import Link, Span, SpanContext, Status, StatusCode, Tracer

from flash_otel import pipeline, semconv
from flash_otel.redaction import scrub_value
from flash_otel.runtime.process import ProcessVar, swallowed
from flash_otel.tracing import outcome
from flash_otel.tracing.attributes import NO_FIELDS, AttributeSpec, Fields, SpanAttributes
from flash_otel.tracing.extractors import ENDED, MISSING, Call, find

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flash_otel.tracing.specs import SpanSpec


_KEY: Final = context_api.create_key("flash_otel-scope")
# A forked child leaves the root to the process that opened it.
_root: Final[ProcessVar[tuple[Scope, context_api.Context] | None]] = ProcessVar(
    lambda: None, reset_in_child=True
)


class Scope:
    """One open span.

    Attributes:
        spec: The kind of span.
        tracer: The tracer of this span and of its children.
        call: The traced call; `ENDED` once the span has ended.
        fields: The fields of the traced function.
        parent: The enclosing scope, or None.
        attributes: What has been set on the span.
        span: The OpenTelemetry span.
        fault: The fault that was proven while the call ran, or None.
        bad_read: What is surely wrong with a read whose fault is open, or None.
        reported: The `error.type` of a failure that the call reported without raising, or None.
        attempt: Number of the current attempt at a GraphQL request (retries are events here).
        retry_reason: Why the last attempt failed.
        stages: The open spans inside this one that several calls share, by name, with the context
            inside them (see `stages`).
    """

    __slots__ = (
        "_unread",
        "attempt",
        "attributes",
        "bad_read",
        "call",
        "fault",
        "fields",
        "parent",
        "reported",
        "retry_reason",
        "span",
        "spec",
        "stages",
        "tracer",
    )

    def __init__(
        self,
        spec: SpanSpec,
        tracer: Tracer,
        call: Call = ENDED,
        fields: Fields = NO_FIELDS,
        parent: Scope | None = None,
    ) -> None:
        self.spec = spec
        self.tracer = tracer
        self.call = call
        self.fields = fields
        self.parent = parent
        self.attributes: SpanAttributes = SpanAttributes(
            {} if parent is None else parent.attributes.shared
        )
        self.attempt = 0
        self.retry_reason = ""
        self.fault: str | None = None
        self.stages: dict[str, tuple[Scope, context_api.Context]] | None = None
        self.bad_read: outcome.BadRead | None = None
        self.reported: str | None = None
        self.span: Span = trace_api.INVALID_SPAN
        self._unread: list[AttributeSpec] = []

    @property
    def root(self) -> Scope:
        """The outermost scope of this trace in this process."""
        # Not stored: a root that refers to itself would live until the garbage collector runs.
        found = self
        while found.parent is not None:
            found = found.parent
        return found

    def enclosing(self, name: str) -> Scope | None:
        """Return the innermost open scope of this name, this scope included, or None."""
        found: Scope | None = self
        while found is not None and found.spec.name != name:
            found = found.parent
        return found

    def open(
        self,
        context: context_api.Context | None = None,
        links: Sequence[Link] = (),
        attributes: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> context_api.Context:
        """Start the span.

        Args:
            context: The parent's context; None for the current one.
            links: Links to other traces.
            attributes: Attributes besides those of the call's fields.
            name: The span's name; None for that of its kind.

        Returns:
            The context in which the call runs.
        """
        self.attributes.inherit(self.spec.inherits)
        if self.spec.peer:
            self.attributes[semconv.PEER_SERVICE] = self.spec.peer
        self._read_start()
        if attributes:
            self.attributes.merge(attributes)
        now_ns = pipeline.clock.value()
        given = (name or self.spec.name, context, self.spec.kind, self.attributes, links, now_ns)
        try:
            self.span = self.tracer.start_span(*given)
        except Exception:
            self.span = self._start_elsewhere(given)
        self.attributes.publish(self.spec.publishes)
        if self.spec.name == semconv.DEPLOY:
            self._name_deployment()
        # A provider looks for its own span in the context, not for one with a copy (`mirror`).
        visible = getattr(self.span, "original", self.span)
        inside = trace_api.set_span_in_context(visible, context)
        return context_api.set_value(_KEY, self, inside)

    def _start_elsewhere(self, given: tuple[Any, ...]) -> Span:
        """Start the span with flash_otel's own provider: the application's has raised.

        The SDK's, for one, can be made with limits under which it can start no span.
        """
        tracer = pipeline.own_tracer()
        if tracer is None:
            raise  # noqa: PLE0704 - called from an except block
        swallowed("a span of the application's provider")
        self.tracer = tracer
        return tracer.start_span(*given)

    def set(self, attributes: Mapping[str, Any]) -> None:
        """Scrub attributes and set them on the span, unless it has ended."""
        self._set(self.attributes.merge(attributes))

    def add_event(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Add an event with scrubbed attributes, unless the span has ended."""
        if not self.span.is_recording():
            return
        scrubbed = ((key, scrub_value(value)) for key, value in attributes.items())
        clean: dict[str, Any] = {key: value for key, value in scrubbed if value is not None}
        self.span.add_event(name, clean, pipeline.clock.value())

    def add_link(self, context: SpanContext) -> bool:
        """Link to a span of another trace, once.

        Returns:
            Whether the link was added: within a trace, it would add nothing to the parents.
        """
        target = (context.trace_id, context.span_id)
        links = getattr(self.span, "links", ())
        if self.span.get_span_context().trace_id == context.trace_id or any(
            (link.context.trace_id, link.context.span_id) == target for link in links
        ):
            return False
        self.span.add_link(context)
        return True

    def join(self, call: Call, fields: Fields) -> None:
        """Take over the fields of a call inside this span, as far as they are available."""
        found = self._read((*fields.start.values(), *fields.end.values()), call)
        self._set(self.attributes.merge_clean(found))
        self.attributes.publish(self.spec.publishes)

    def read_end(self) -> None:
        """Read the fields that only the ended call has, whether it returned or raised."""
        specs = self.fields.end.values()
        found = self._read((*self._unread, *specs) if self._unread else specs, self.call)
        changed = self.attributes.merge_clean(found)
        self._set_each(changed)
        if self.spec.inherits_at_end:
            self._set_each(self.attributes.inherit(self.spec.inherits_at_end))
        self.attributes.publish(self.spec.publishes)

    def end(self, error: BaseException | None) -> None:
        """Record the outcome and the fault that the span shows by itself, and end the span."""
        try:
            self._record_outcome(None if error is None else outcome.failure_of(error))
        finally:
            self._close()

    def stop(self) -> None:
        """End the span of a generator that its consumer has closed: incomplete, but not failed."""
        stopped = outcome.classify(GeneratorExit(), writes=self.spec.writes)
        self.set({semconv.OUTCOME: stopped})
        self._close()

    def abandon(self) -> None:
        """End the span of a call whose end was not observed."""
        self.set({semconv.OUTCOME: semconv.UNKNOWN})
        self._close()

    def _record_outcome(self, failure: BaseException | None) -> None:
        final: dict[str, Any] = {semconv.OUTCOME: semconv.RETURNED}
        if failure is not None:
            final = self._record_failure(failure)
        elif self.reported is not None:
            final = self._record_reported(self.reported)
        fault = self.fault or outcome.detect(self.spec.name, self.attributes, failure)
        if fault is not None:
            meaning, shows = semconv.FAULTS[fault], {semconv.FAULT: fault}
            final |= {**shows, semconv.ERROR_TYPE: fault}
            self._explain(fault, meaning, shows)
            final[semconv.ERROR_MESSAGE] = self._describe(f"{fault}: {meaning}", failure)
        elif self.bad_read is not None:
            kind, sentence = self.bad_read.kind, self.bad_read.sentence
            allows = {semconv.FAULT_CANDIDATES: self.bad_read.candidates}
            final = {semconv.ERROR_TYPE: kind, **final, **allows}
            self._explain(kind, sentence, allows)
            final[semconv.ERROR_MESSAGE] = self._describe(sentence, failure)
        if self.spec.name == semconv.DEPLOY:
            final[semconv.DEPLOYMENT_STATUS] = "succeeded" if failure is None else "failed"
        self.attributes.update(final)
        self._set_each(final)

    def _record_failure(self, failure: BaseException) -> dict[str, Any]:
        attributes = outcome.exception_attributes(failure, has_message=not self._hides_message)
        self.span.add_event(semconv.EXCEPTION, attributes, pipeline.clock.value())
        return {
            # Before the fault is looked for, which may fail on a broken exception.
            semconv.ERROR_MESSAGE: self._describe("", failure),
            semconv.OUTCOME: outcome.classify(failure, writes=self.spec.writes),
            semconv.ERROR_TYPE: outcome.error_type(failure),
        }

    @property
    def _hides_message(self) -> bool:
        """Whether an exception may quote a job: its input, or the error of the one it called."""
        return self.spec.hides_message or self.reported is not None

    def _record_reported(self, kind: str) -> dict[str, Any]:
        self.span.set_status(Status(StatusCode.ERROR, kind))
        return {
            semconv.ERROR_MESSAGE: kind,
            semconv.OUTCOME: semconv.FAILED,
            semconv.ERROR_TYPE: kind,
        }

    def _describe(self, problem: str, failure: BaseException | None) -> str:
        """Set the status: the problem, which a reader needs first, then the exception."""
        raised = ""
        if failure is not None:
            hides = self._hides_message
            raised = type(failure).__name__ if hides else outcome.describe(failure)
        description = f"{problem} {raised}".strip()
        self.span.set_status(Status(StatusCode.ERROR, description))
        return description

    def _explain(self, code: str, meaning: str, details: Mapping[str, Any]) -> None:
        if outcome.is_first(code, self.spec.name):
            explanation = f"{meaning} Look further with: flash-otel diagnose"
            explained = {**details, semconv.FAULT_EXPLANATION: explanation}
            self.add_event(semconv.FAULT_EVENT, explained)

    def _close(self) -> None:
        for stage, _ in (self.stages or {}).values():
            stage.abandon()
        self.span.end(pipeline.clock.value())
        # A task that was created inside may keep this scope alive, but not the call's arguments.
        self.call = ENDED

    def _name_deployment(self) -> None:
        deployment_id = f"{self.span.get_span_context().span_id:016x}"
        self.set({semconv.DEPLOYMENT_ID: deployment_id})
        self.attributes.publish((semconv.DEPLOYMENT_ID,))

    def _read_start(self) -> None:
        for spec in self.fields.start.values():
            value = find(spec.sources, self.call)
            if value is MISSING or value is None:
                self._unread.append(spec)
            else:
                self._render(spec, value, self.attributes)

    def _read(self, specs: Iterable[AttributeSpec], call: Call) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for spec in specs:
            value = find(spec.sources, call)
            if value is not MISSING:
                self._render(spec, value, found)
        return found

    def _render(self, spec: AttributeSpec, value: Any, found: dict[str, Any]) -> None:
        """Add the scrubbed attributes of a field; one that cannot be rendered is left out."""
        try:
            # Most fields are a single text: the general way takes three times as long (0.6 us).
            if type(value) is str and value and spec.names:
                clean = scrub_value(value)
                for name in spec.names:
                    found[name] = clean
            else:
                self.attributes.scrub(spec.render(value), found)
        except BaseException:
            swallowed(f"a field of {self.spec.name}")

    def _set(self, changed: Mapping[str, Any]) -> None:
        # A task may outlive the span that it was created in, and the SDK logs late attributes.
        if changed and self.span.is_recording():
            self.span.set_attributes(changed)

    def _set_each(self, attributes: Mapping[str, Any]) -> None:
        # Singly: `set_attributes` itself costs the SDK (1.45) as much as three attributes.
        for name, value in attributes.items():
            self.span.set_attribute(name, value)


def current() -> Scope | None:
    """Return the innermost open scope of the current context, or None."""
    return within(context_api.get_current())


def within(context: context_api.Context) -> Scope | None:
    """Return the innermost open scope of a context, or None."""
    found = context.get(_KEY)
    return found if isinstance(found, Scope) else None


def hold_root(scope: Scope, context: context_api.Context) -> None:
    """Keep the open root of a deployment until the deployment claims it.

    With `instrument()` in a user's module, tracing begins when Flash's build imports that module,
    in the middle of `flash deploy`. The root opens when the manifest is built. An unclaimed root
    ends at exit, with an unknown outcome.
    """
    abandon_root()
    _root.value = (scope, context)


def claim_root(name: str) -> tuple[Scope, context_api.Context] | None:
    """Return the unclaimed root of this name, or None; the caller must end it."""
    root = _root.value
    if root is None or root[0].spec.name != name:
        return None
    _root.reset()
    return root


def abandon_root() -> None:
    """End the unclaimed root, if there is one."""
    root = _root.value
    if root is not None:
        _root.reset()
        root[0].abandon()


pipeline.before_exit(abandon_root)
