"""One span around one function: what every decorator and every target puts in a call's way.

The call stays exactly the user's: its signature, its return value, the identity of its exception,
its cancellation. Whatever fails on our side is swallowed, and the call goes on untraced.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry import context as context_api
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from flash_otel._guard import swallowed
from flash_otel.pipeline import setup
from flash_otel.tracing import pending, relation
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.hooks import HOOKS, NO_HOOKS, Arguments, Hooks
from flash_otel.tracing.scope import Scope
from flash_otel.tracing.sources import Call, Parameters

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from flash_otel.tracing.facts import Fact
    from flash_otel.tracing.spec import SpanSpec

Facts = tuple[Mapping[str, "Fact"], Mapping[str, "Fact"]]


@dataclass(slots=True)
class _Entry:
    """A traced call that is running: its scope, and how to leave it."""

    scope: Scope
    call: Call
    context: Context
    token: Any
    owns: bool = True


class Traced:
    """Opens a span around each call of a function (a wrapt wrapper function)."""

    def __init__(
        self, function: Any, spec: SpanSpec, facts: Facts, hooks: Hooks | None = None
    ) -> None:
        self.spec = spec
        self.facts = facts
        self.hooks = HOOKS.get(spec.name, NO_HOOKS) if hooks is None else hooks
        plain = inspect.unwrap(getattr(function, "__func__", function))
        self._is_async = inspect.iscoroutinefunction(plain)
        self._name = getattr(function, "__name__", type(function).__name__)
        self._qualname = getattr(function, "__qualname__", self._name)
        self._free = Parameters(plain, bound=False)
        self._bound = Parameters(plain, bound=True)

    def __call__(
        self,
        wrapped: Callable[..., Any],
        instance: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Call the function in a span, or just call it where tracing is off."""
        if setup.is_off():
            return wrapped(*args, **kwargs)
        if not self._is_async:
            return self._run(wrapped, instance, args, kwargs)
        self._check(wrapped, instance, args, kwargs)
        return self._named(self._run_async(wrapped, instance, args, kwargs))

    def _run(
        self, wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: Any
    ) -> Any:
        entry, args, kwargs = self._enter(instance, args, kwargs)
        if entry is None:
            return wrapped(*args, **kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            self._leave(entry, error)
            raise
        if asyncio.iscoroutine(result):
            context_api.detach(entry.token)
            return self._named(self._adopt(entry, result))
        entry.call.result = result
        self._leave(entry, None)
        return result

    async def _run_async(
        self, wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: Any
    ) -> Any:
        entry, args, kwargs = self._enter(instance, args, kwargs)
        if entry is None:
            return await wrapped(*args, **kwargs)
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            self._leave(entry, error)
            raise
        entry.call.result = result
        self._leave(entry, None)
        return result

    async def _adopt(self, entry: _Entry, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Keep the span of a plain function open until the coroutine that it returned has run."""
        entry.token = context_api.attach(entry.context)
        try:
            result = await coroutine
        except BaseException as error:
            self._leave(entry, error)
            raise
        entry.call.result = result
        self._leave(entry, None)
        return result

    def _check(
        self, wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: Any
    ) -> None:
        """Let a wrong call raise when it is made, not when its coroutine is awaited."""
        parameters = self._free if instance is None else self._bound
        if parameters.certainly_accept(args, kwargs) or parameters.accept(args, kwargs):
            return
        wrapped(*args, **kwargs).close()

    def _named(self, coroutine: Any) -> Any:
        """Report a coroutine that is never awaited under the user's name, as it is untraced."""
        coroutine.__name__, coroutine.__qualname__ = self._name, self._qualname
        return coroutine

    def _enter(
        self, instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[_Entry | None, tuple[Any, ...], dict[str, Any]]:
        try:
            entry = self._begin(instance, args, kwargs)
        except Exception:
            swallowed(f"the start of {self.spec.name}")
            return None, args, kwargs
        if entry is not None and entry.owns:
            args, kwargs = self._rewrite(entry)
        return entry, args, kwargs

    def _begin(
        self, instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Entry | None:
        if not is_instrumentation_enabled():
            return None
        parameters = self._free if instance is None else self._bound
        call = Call(parameters, instance, args, kwargs)
        enclosing = scopes.current()
        if self.spec.joins:
            joined = self._join(call, enclosing)
            if joined is not None:
                return joined
        tracer = setup.tracer() if enclosing is None else enclosing.tracer
        if tracer is None:
            return None
        self.hooks.prepare(call)
        return self._open(Scope(self.spec, tracer, call, self.facts, enclosing))

    def _open(self, opened: Scope) -> _Entry:
        related = relation.relate(
            self.spec.relation, setup.propagation(), is_root=opened.parent is None
        )
        context = opened.open(related.context, related.links, related.attributes)
        context = self.hooks.surround(context)
        return _Entry(opened, opened.call, context, context_api.attach(context))

    def _join(self, call: Call, enclosing: Scope | None) -> _Entry | None:
        """Let the call's facts go to an open span of the same name, if there is one."""
        open_one = enclosing and enclosing.enclosing(self.spec.name)
        if open_one is not None:
            open_one.join(call, self.facts)
            here = context_api.get_current()
            return _Entry(open_one, call, here, context_api.attach(here), owns=False)
        waiting = pending.claim(self.spec.name)
        if waiting is None:
            return None
        claimed, context = waiting
        claimed.join(call, self.facts)
        claimed.call, claimed.facts = call, self.facts
        return _Entry(claimed, call, context, context_api.attach(context))

    def _rewrite(self, entry: _Entry) -> Arguments:
        try:
            return self.hooks.rewrite(entry.scope, entry.call)
        except Exception:
            swallowed(f"the arguments of {self.spec.name}")
            return entry.call.args, entry.call.kwargs

    def _leave(self, entry: _Entry, error: BaseException | None) -> None:
        try:
            # A generator that is closed by the collector may be in another context by now.
            if not isinstance(error, GeneratorExit):
                context_api.detach(entry.token)
            if not entry.owns:
                entry.scope.join(entry.call, self.facts)
                return
            self._conclude(entry)
            entry.scope.end(error)
        except Exception:
            swallowed(f"the end of {self.spec.name}")

    def _conclude(self, entry: _Entry) -> None:
        try:
            self.hooks.conclude(entry.scope, entry.call)
            entry.scope.learn_at_end()
        except Exception:
            swallowed(f"the facts of {self.spec.name}")


def wrap(function: Any, traced: Traced) -> Any:
    """Put a span around a function, method, classmethod or staticmethod."""
    return wrapt.FunctionWrapper(function, traced)
