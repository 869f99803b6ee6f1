"""One span around each call of a function: the wrapper of every decorator and every target.

The call stays the user's own: its signature, its return value, the identity of its exception, its
cancellation. An internal error is swallowed, and the call continues untraced. The span of a
coroutine or generator lasts as long as its body.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from flash_otel import pipeline
from flash_otel.runtime.instrumentation import utils as instrumentation
from flash_otel.runtime.process import swallowed
from flash_otel.tracing import carriers, links
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.attributes import NO_FIELDS, Fields
from flash_otel.tracing.extractors import ENDED, Call, Parameters
from flash_otel.tracing.running import Dropped, Running, drive, drive_async, drive_awaitable
from flash_otel.tracing.scope import Scope
from flash_otel.tracing.specs import SERVED

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from flash_otel.tracing.specs import SpanSpec

_Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Traced:
    """Opens a span around each call of a function (a wrapt wrapper function).

    Attributes:
        spec: The kind of span.
        fields: The fields of the function.
        carrier: The parameter whose manifest gets the deployment's context, or None.
        given: The fields whose sources the decorator names, in place of the default ones.
        owner: The instance or class that the function is bound to already, or None.
    """

    def __init__(
        self,
        function: Any,
        spec: SpanSpec,
        fields: Fields,
        carrier: str | None = None,
        given: frozenset[str] = frozenset(),
    ) -> None:
        self.spec = spec
        self.fields = fields
        self.carrier = carrier
        self.given = given
        self.owner = getattr(function, "__self__", None)
        plain = getattr(function, "__func__", function)
        # Whether the call itself is a coroutine function counts, not whether a function that
        # `functools.wraps` names inside it is.
        runs = _run_by(plain)
        self._is_async = _is_coroutine_function(runs)
        self._is_generator = inspect.isgeneratorfunction(runs) or inspect.isasyncgenfunction(runs)
        self._manager = _MANAGERS.get(getattr(runs, "__code__", None))
        self._is_plain = not (self._is_async or self._is_generator or self._manager)
        self._name = getattr(runs, "__name__", type(runs).__name__)
        self._qualname = getattr(runs, "__qualname__", self._name)
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
        if self._is_plain:
            return self._run(wrapped, instance, args, kwargs)
        if self._is_generator:
            # Wrong arguments raise here, as without tracing; the body does not run yet.
            generator = wrapped(*args, **kwargs)
            return self._generate(generator, wrapped, instance, args, kwargs)
        if self._manager is not None:
            return self._manage(self._manager, wrapped, instance, args, kwargs)
        self._check(wrapped, instance, args, kwargs)
        coroutine = self._run_async(wrapped, instance, args, kwargs)
        return _named(coroutine, self._name, self._qualname)

    # As wrapt calls it: for a method.
    __call__ = call

    def _run(
        self, wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: Any
    ) -> Any:
        before = context_api.get_current()
        running = None
        has_attached = True  # as far as is known before `_enter` returns
        try:
            running, args, kwargs = self._enter(instance, args, kwargs)
            has_attached = running is not None and running.token is not None
            result = wrapped(*args, **kwargs)
            if running is None:
                return result
            kind = type(result)
            if kind is CoroutineType:
                running.pause()
                adopted = _await(_Adopted(result, Dropped(running)))
                return _named(adopted, result.__name__, result.__qualname__)
            # Closing the traced generator closes this one, so nothing else may refer to it.
            if kind in _GENERATORS and sys.getrefcount(result) <= _UNSHARED:
                return _adopt_generator(result, running)
            # Other awaitables are left alone: `aiohttp`'s request must stay a context manager.
            running.returned(result)
        except BaseException as error:
            if running is not None:
                running.end(error)
            # A signal handler may raise between any two steps, even before `running` is known.
            if has_attached and context_api.get_current() is not before:
                context_api.attach(before)
            raise
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
            running.end(error)
            raise
        running.returned(result)
        return result

    def _generate(
        self,
        generator: Any,
        make: Callable[..., Any],
        instance: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        keeps_context: bool = False,
    ) -> Any:
        """Return a generator that runs the body of `generator`, or of a new one from `make`."""

        def begin() -> tuple[Any, Dropped | None]:
            running, given, named = self._enter(instance, args, kwargs)
            if running is None:
                return generator, None
            running.yields, running.keeps_context = True, keeps_context
            has_carrier = given is not args or named is not kwargs
            return make(*given, **named) if has_carrier else generator, Dropped(running)

        return _driven(generator, begin)

    def _manage(
        self,
        manager: Callable[..., Any],
        wrapped: Callable[..., Any],
        instance: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Return the context manager of a traced generator."""

        def make(*args: Any, **kwargs: Any) -> Any:
            return wrapped(*args, **kwargs).gen

        @functools.wraps(wrapped)
        def generate(*args: Any, **kwargs: Any) -> Any:
            generator = make(*args, **kwargs)
            return self._generate(generator, make, instance, args, kwargs, keeps_context=True)

        return manager(generate)(*args, **kwargs)

    def _check(
        self, wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: Any
    ) -> None:
        """Raise for wrong arguments at the call, as without tracing, not at the await."""
        parameters = self._free if instance is None else self._bound
        if parameters.certainly_accept(args, kwargs) or parameters.accept(args, kwargs):
            return
        wrapped(*args, **kwargs).close()

    def _enter(
        self, instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Running | None, tuple[Any, ...], dict[str, Any]]:
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
    ) -> Running | None:
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
            context = without_http(context)
        return Running(scope, call, self.fields, context, context_api.attach(context))

    def _join(self, call: Call) -> Running | None:
        """Add the call's fields to an open span of the same name, if there is one."""
        current = scopes.current()
        scope = current and current.enclosing(self.spec.name)
        if scope is not None:
            scope.join(call, self.fields)
            context = context_api.get_current()
            return Running(
                scope, call, self.fields, context, context_api.attach(context), owns=False
            )
        unclaimed = scopes.claim_root(self.spec.name)
        if unclaimed is None:
            return None
        root, context = unclaimed
        root.join(call, self.fields)
        root.call, root.fields = call, self.fields
        return Running(root, call, self.fields, context, context_api.attach(context))

    def _with_carrier(self, running: Running, parameter: str) -> _Arguments:
        try:
            return carriers.write_argument(running.scope, parameter)
        except Exception:
            swallowed(f"the arguments of {self.spec.name}")
            return running.call.args, running.call.kwargs


def open_scope(
    spec: SpanSpec,
    call: Call = ENDED,
    fields: Fields = NO_FIELDS,
    attributes: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    context: context_api.Context | None = None,
) -> tuple[Scope, context_api.Context] | None:
    """Open a span.

    Args:
        spec: The kind of span.
        call: The call that it records.
        fields: The fields of the called function.
        attributes: Attributes besides these fields.
        name: The span's name; None for that of its kind.
        context: The context of the parent; None for the current one.

    Returns:
        The scope and the context inside it; None if tracing is off.
    """
    here = context_api.get_current() if context is None else context
    enclosing = scopes.within(here)
    tracer = pipeline.tracer() if enclosing is None else enclosing.tracer
    if tracer is None:
        return None
    scope = Scope(spec, tracer, call, fields, enclosing)
    if spec.writes_manifest:
        # Before anything is recorded: the credentials in it are scrubbed from then on.
        carriers.remember_secrets(fields.start, call)
    # A request encloses what a worker does, but is no step of a deployment.
    is_root = enclosing is None or enclosing.spec.relation == SERVED
    related = links.relate(spec.relation, pipeline.propagation(), is_root=is_root)
    parent = here if related.context is None else related.context
    known = {**related.attributes, **attributes} if attributes else related.attributes
    return scope, scope.open(parent, related.links, known, name)


class _Adopted:
    """A coroutine that a plain function returned; closed silently if it is never awaited.

    The coroutine around it warns of that already, under the same name.
    """

    __slots__ = ("coroutine", "dropped", "started")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], dropped: Dropped) -> None:
        self.coroutine = coroutine
        self.dropped = dropped
        self.started = False

    def run(self) -> Coroutine[Any, Any, Any]:
        self.started = True
        return self.coroutine

    def __del__(self) -> None:
        if not self.started:
            self.coroutine.close()


async def _await(adopted: _Adopted) -> Any:
    """Keep the span of a plain function open until the coroutine that it returned has run."""
    running = adopted.dropped.running
    running.resume()
    try:
        result = await adopted.run()
    except BaseException as error:
        running.end(error)
        raise
    running.returned(result)
    return result


def _adopt_generator(generator: Any, running: Running) -> Any:
    """Keep the span of a plain function open until the generator that it returned has run."""
    running.yields = True
    running.pause()
    dropped = Dropped(running)
    return _driven(generator, lambda: (generator, dropped))


def _driven(generator: Any, begin: Callable[[], tuple[Any, Dropped | None]]) -> Any:
    """Return a generator of the same kind and name that runs inside a span."""
    if isinstance(generator, AsyncGeneratorType):
        driven: Any = drive_async(begin)
    else:
        driven = drive_awaitable(begin) if inspect.isawaitable(generator) else drive(begin)
    return _named(driven, generator.__name__, generator.__qualname__)


def _made_by(manager: Callable[..., Any]) -> Any:
    """Return the code that all functions from a decorator of `contextlib` share."""
    return manager(_made_by).__code__


def _count_references() -> int:
    """Return the count of `sys.getrefcount` if only a local variable refers to an object.

    Returns:
        The number, which depends on the version of Python; 0 without reference counts.
    """
    result = drive(lambda: (None, None))
    return sys.getrefcount(result) if hasattr(sys, "getrefcount") else 0


_GENERATORS: Final = frozenset({GeneratorType, AsyncGeneratorType})
_UNSHARED: Final = _count_references()
_MANAGERS: Final[dict[Any, Callable[..., Any]]] = {
    _made_by(manager): manager
    for manager in (contextlib.contextmanager, contextlib.asynccontextmanager)
}


def _run_by(function: Any) -> Any:
    """Return the function that a call runs: that of a partial, or the `__call__` of an object."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if hasattr(function, "__qualname__") else type(function).__call__


def _is_coroutine_function(function: Any) -> bool:
    """Return whether every call makes a coroutine.

    `inspect.markcoroutinefunction` (3.12) marks plain functions, too. Their calls may return
    another awaitable, such as one that is also an async context manager.
    """
    code = getattr(function, "__code__", None)
    is_marked = code is not None and not code.co_flags & inspect.CO_COROUTINE
    return inspect.iscoroutinefunction(function) and not is_marked


def _named(coroutine: Any, name: str, qualname: str) -> Any:
    """Name a coroutine after the user's function: Python warns by name if it is never awaited."""
    coroutine.__name__, coroutine.__qualname__ = name, qualname
    return coroutine


def without_http(context: context_api.Context) -> context_api.Context:
    """Suppress other libraries' HTTP spans in a context.

    Versions of opentelemetry-instrumentation differ in where the key lives; without it, the
    context is unchanged.
    """
    key = getattr(instrumentation, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", None)
    return context if key is None else context_api.set_value(key, value=True, context=context)
