"""One span around each call of a function: the wrapper of every decorator and every target.

The call stays the user's own: its signature, its return value, the identity of its exception, its
cancellation. An internal error is swallowed, and the call goes on untraced.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import suppress
from dataclasses import dataclass
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api

from flash_otel import pipeline
from flash_otel.runtime.instrumentation import utils as instrumentation
from flash_otel.runtime.process import guarded, swallowed
from flash_otel.tracing import carriers, links
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.attributes import NO_FIELDS, Fields
from flash_otel.tracing.extractors import ENDED, Call, Parameters
from flash_otel.tracing.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from flash_otel.tracing.specs import SpanSpec

_Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(slots=True)
class _Running:
    """A traced call that is running.

    Attributes:
        scope: The scope that records the call.
        call: The call.
        context: The context in which it runs.
        token: What detaches that context.
        owns: Whether the scope ends with this call; False if the call joined an open span.
    """

    scope: Scope
    call: Call
    context: context_api.Context
    token: Any
    owns: bool = True


class Traced:
    """Opens a span around each call of a function (a wrapt wrapper function).

    Attributes:
        spec: The kind of span.
        fields: The fields of the function.
        carrier: The parameter whose manifest gets the deployment's context, or None.
        owner: The instance or class that the function is bound to already, or None.
    """

    def __init__(
        self, function: Any, spec: SpanSpec, fields: Fields, carrier: str | None = None
    ) -> None:
        self.spec = spec
        self.fields = fields
        self.carrier = carrier
        self.owner = getattr(function, "__self__", None)
        plain = getattr(function, "__func__", function)
        # Whether the call itself is a coroutine function counts, not whether a function that
        # `functools.wraps` names inside it is.
        runs = _run_by(plain)
        self._is_async = inspect.iscoroutinefunction(runs)
        self._name, self._qualname = runs.__name__, runs.__qualname__
        self._free = Parameters(plain, bound=False)
        self._bound = Parameters(plain, bound=True)

    def call(
        self,
        wrapped: Callable[..., Any],
        instance: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Call the function in a span."""
        if not self._is_async:
            return self._run(wrapped, instance, args, kwargs)
        self._check(wrapped, instance, args, kwargs)
        coroutine = self._run_async(wrapped, instance, args, kwargs)
        return _named(coroutine, self._name, self._qualname)

    # As wrapt calls it: for a method.
    __call__ = call

    def _run(
        self, wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: Any
    ) -> Any:
        running, args, kwargs = self._enter(instance, args, kwargs)
        if running is None:
            return wrapped(*args, **kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            self._leave(running, error)
            raise
        # No other awaitable: a context manager must stay one (the request of `aiohttp`).
        if isinstance(result, CoroutineType):
            context_api.detach(running.token)
            adopted = self._adopt(running, _Adopted(result, running))
            return _named(adopted, result.__name__, result.__qualname__)
        running.call.result = result
        self._leave(running, None)
        return result

    async def _run_async(
        self, wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: Any
    ) -> Any:
        running, args, kwargs = self._enter(instance, args, kwargs)
        if running is None:
            return await wrapped(*args, **kwargs)
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            self._leave(running, error)
            raise
        running.call.result = result
        self._leave(running, None)
        return result

    async def _adopt(self, running: _Running, adopted: _Adopted) -> Any:
        """Keep the span of a plain function open until the coroutine that it returned has run."""
        running.token = context_api.attach(running.context)
        try:
            result = await adopted.run()
        except BaseException as error:
            self._leave(running, error)
            raise
        running.call.result = result
        self._leave(running, None)
        return result

    def _check(
        self, wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: Any
    ) -> None:
        """Raise for wrong arguments at the call, as untraced, not when the coroutine is awaited."""
        parameters = self._free if instance is None else self._bound
        if parameters.certainly_accept(args, kwargs) or parameters.accept(args, kwargs):
            return
        wrapped(*args, **kwargs).close()

    def _enter(
        self, instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[_Running | None, tuple[Any, ...], dict[str, Any]]:
        """Begin a call; return it, if it is traced, and the arguments for the function."""
        try:
            running = self._begin(instance, args, kwargs)
        except Exception:
            swallowed(f"the start of {self.spec.name}")
            return None, args, kwargs
        if self.carrier is not None and running is not None and running.owns:
            args, kwargs = self._with_carrier(running, self.carrier)
        return running, args, kwargs

    def _begin(
        self, instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Running | None:
        if not instrumentation.is_instrumentation_enabled():
            return None
        call = Call(self._free if instance is None else self._bound, instance, args, kwargs)
        if self.spec.joins:
            joined = self._join(call)
            if joined is not None:
                return joined
        opened = open_scope(self.spec, call, self.fields)
        if opened is None:
            return None
        scope, context = opened
        if self.spec.hides_http:
            context = _without_http(context)
        return _Running(scope, call, context, context_api.attach(context))

    def _join(self, call: Call) -> _Running | None:
        """Add the call's fields to an open span of the same name, if there is one."""
        current = scopes.current()
        scope = current and current.enclosing(self.spec.name)
        if scope is not None:
            scope.join(call, self.fields)
            context = context_api.get_current()
            return _Running(scope, call, context, context_api.attach(context), owns=False)
        unclaimed = scopes.claim_root(self.spec.name)
        if unclaimed is None:
            return None
        root, context = unclaimed
        root.join(call, self.fields)
        root.call, root.fields = call, self.fields
        return _Running(root, call, context, context_api.attach(context))

    def _with_carrier(self, running: _Running, parameter: str) -> _Arguments:
        try:
            return carriers.write_argument(running.scope, parameter)
        except Exception:
            swallowed(f"the arguments of {self.spec.name}")
            return running.call.args, running.call.kwargs

    def _leave(self, running: _Running, error: BaseException | None) -> None:
        try:
            running.call.error = error
            _detach(running.token, error)
            if running.owns:
                self._read_end(running.scope)
                running.scope.end(error)
            else:
                running.scope.join(running.call, self.fields)
        except Exception:
            swallowed(f"the end of {self.spec.name}")
        finally:
            # The traceback holds the frames of this call, and they hold the call: a cycle.
            running.call.error = None

    def _read_end(self, scope: Scope) -> None:
        try:
            if self.spec.reads_manifest:
                carriers.record_active(scope)
            scope.read_end()
        except Exception:
            swallowed(f"the fields of {self.spec.name}")


def open_scope(
    spec: SpanSpec,
    call: Call = ENDED,
    fields: Fields = NO_FIELDS,
    attributes: Mapping[str, Any] | None = None,
) -> tuple[Scope, context_api.Context] | None:
    """Open a span in the current context.

    Args:
        spec: The kind of span.
        call: The call that it records.
        fields: The fields of the called function.
        attributes: Attributes besides these fields.

    Returns:
        The scope and the context inside it; None if tracing is off.
    """
    here = context_api.get_current()
    enclosing = scopes.within(here)
    tracer = pipeline.tracer() if enclosing is None else enclosing.tracer
    if tracer is None:
        return None
    scope = Scope(spec, tracer, call, fields, enclosing)
    if spec.writes_manifest:
        # Before anything is recorded: the credentials in it are scrubbed from then on.
        carriers.remember_secrets(fields.start, call)
    related = links.relate(spec.relation, pipeline.propagation(), is_root=enclosing is None)
    parent = here if related.context is None else related.context
    known = {**related.attributes, **attributes} if attributes else related.attributes
    return scope, scope.open(parent, related.links, known)


class _Adopted:
    """A coroutine that a plain function returned; closed silently if it is never awaited.

    The coroutine around it warns of that already, under the same name.
    """

    __slots__ = ("coroutine", "running", "started")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], running: _Running) -> None:
        self.coroutine = coroutine
        self.running = running
        self.started = False

    def run(self) -> Coroutine[Any, Any, Any]:
        self.started = True
        return self.coroutine

    def __del__(self) -> None:
        if self.started:
            return
        self.coroutine.close()
        with guarded("a coroutine that was never awaited"):
            if self.running.owns:
                self.running.scope.abandon()


def _run_by(function: Any) -> Any:
    """Return the function that a call runs: that of a partial, or the `__call__` of an object."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if hasattr(function, "__qualname__") else type(function).__call__


def _named(coroutine: Any, name: str, qualname: str) -> Any:
    """Name a coroutine after the user's function: Python warns by name if it is never awaited."""
    coroutine.__name__, coroutine.__qualname__ = name, qualname
    return coroutine


def _without_http(context: context_api.Context) -> context_api.Context:
    """Suppress other libraries' HTTP spans in a context.

    Versions of opentelemetry-instrumentation differ in where the key lives; without it, the
    context is unchanged.
    """
    key = getattr(instrumentation, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", None)
    return context if key is None else context_api.set_value(key, value=True, context=context)


def _detach(token: Any, error: BaseException | None) -> None:
    """Leave the span's context.

    The garbage collector may close a coroutine in another context, where detaching fails: that is
    no error to log.
    """
    if not isinstance(error, GeneratorExit):
        context_api.detach(token)
        return
    with suppress(ValueError):
        token.var.reset(token)
