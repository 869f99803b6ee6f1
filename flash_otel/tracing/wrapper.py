"""One span around one function: what every decorator and every target puts in a call's way.

The call stays exactly the user's: its signature, its return value, the identity of its exception,
its cancellation. Whatever fails on our side is swallowed, and the call goes on untraced.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from flash_otel.pipeline import pipeline
from flash_otel.runtime.guard import guarded, swallowed
from flash_otel.tracing import links, unclaimed_root
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.extractors import Call, Parameters
from flash_otel.tracing.hooks import HOOKS, NO_HOOKS, Arguments, Hooks
from flash_otel.tracing.scope import Scope

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from flash_otel.tracing.attributes import Fact
    from flash_otel.tracing.specs import SpanSpec

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
    """Opens a span around each call of a function (a wrapt wrapper function).

    Attributes:
        spec: Which kind of span.
        facts: What is read when the span starts, and when it ends.
        hooks: What else happens around the call.
        owner: What the function is bound to already, or None.
    """

    def __init__(
        self, function: Any, spec: SpanSpec, facts: Facts, hooks: Hooks | None = None
    ) -> None:
        self.spec = spec
        self.facts = facts
        self.hooks = HOOKS.get(spec.name, NO_HOOKS) if hooks is None else hooks
        self.owner = getattr(function, "__self__", None)
        plain = getattr(function, "__func__", function)
        run = _run_by(plain)
        # What the call itself does counts, not what a `functools.wraps` inside it points to.
        self._is_async = inspect.iscoroutinefunction(run)
        self._name, self._qualname = run.__name__, run.__qualname__
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
        entry, args, kwargs = self._enter(instance, args, kwargs)
        if entry is None:
            return wrapped(*args, **kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            self._leave(entry, error)
            raise
        # Nothing else that can be awaited: a context manager must stay one (`aiohttp`'s request).
        if isinstance(result, CoroutineType):
            context_api.detach(entry.token)
            adopted = self._adopt(entry, _Adopted(result, entry))
            return _named(adopted, result.__name__, result.__qualname__)
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

    async def _adopt(self, entry: _Entry, adopted: _Adopted) -> Any:
        """Keep the span of a plain function open until the coroutine that it returned has run."""
        entry.token = context_api.attach(entry.context)
        try:
            result = await adopted.run()
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

    def _enter(
        self, instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[_Entry | None, tuple[Any, ...], dict[str, Any]]:
        try:
            entry = self._begin(instance, args, kwargs)
        except Exception:
            swallowed(f"the start of {self.spec.name}")
            return None, args, kwargs
        if self.hooks.rewrite is not None and entry is not None and entry.owns:
            args, kwargs = self._rewrite(self.hooks.rewrite, entry)
        return entry, args, kwargs

    def _begin(
        self, instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Entry | None:
        if not is_instrumentation_enabled():
            return None
        call = Call(self._free if instance is None else self._bound, instance, args, kwargs)
        here = context_api.get_current()
        enclosing = scopes.within(here)
        if self.spec.joins:
            joined = self._join(call, enclosing)
            if joined is not None:
                return joined
        tracer = pipeline.tracer() if enclosing is None else enclosing.tracer
        if tracer is None:
            return None
        opened = Scope(self.spec, tracer, call, self.facts, enclosing)
        if self.hooks.prepare is not None:
            self.hooks.prepare(opened)
        related = links.relate(
            self.spec.relation, pipeline.propagation(), is_root=enclosing is None
        )
        context = opened.open(
            here if related.context is None else related.context, related.links, related.attributes
        )
        if self.hooks.surround is not None:
            context = self.hooks.surround(context)
        return _Entry(opened, call, context, context_api.attach(context))

    def _join(self, call: Call, enclosing: Scope | None) -> _Entry | None:
        """Let the call's facts go to an open span of the same name, if there is one."""
        open_one = enclosing and enclosing.enclosing(self.spec.name)
        if open_one is not None:
            open_one.join(call, self.facts)
            here = context_api.get_current()
            return _Entry(open_one, call, here, context_api.attach(here), owns=False)
        waiting = unclaimed_root.claim(self.spec.name)
        if waiting is None:
            return None
        claimed, context = waiting
        claimed.join(call, self.facts)
        claimed.call, claimed.facts = call, self.facts
        return _Entry(claimed, call, context, context_api.attach(context))

    def _rewrite(self, rewrite: Callable[[Scope, Call], Arguments], entry: _Entry) -> Arguments:
        try:
            return rewrite(entry.scope, entry.call)
        except Exception:
            swallowed(f"the arguments of {self.spec.name}")
            return entry.call.args, entry.call.kwargs

    def _leave(self, entry: _Entry, error: BaseException | None) -> None:
        try:
            entry.call.error = error
            _detach(entry.token, error)
            if not entry.owns:
                entry.scope.join(entry.call, self.facts)
                return
            self._conclude(entry)
            entry.scope.end(error)
        except Exception:
            swallowed(f"the end of {self.spec.name}")
        finally:
            # Its traceback holds this call's frames, and they hold the call.
            entry.call.error = None

    def _conclude(self, entry: _Entry) -> None:
        try:
            if self.hooks.conclude is not None:
                self.hooks.conclude(entry.scope, entry.call)
            entry.scope.learn_at_end()
        except Exception:
            swallowed(f"the facts of {self.spec.name}")


class _Adopted:
    """A coroutine that a plain function returned; closed silently where nobody awaits it.

    The coroutine around it warns of that already, under the same name.
    """

    __slots__ = ("coroutine", "entry", "started")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], entry: _Entry) -> None:
        self.coroutine = coroutine
        self.entry = entry
        self.started = False

    def run(self) -> Coroutine[Any, Any, Any]:
        self.started = True
        return self.coroutine

    def __del__(self) -> None:
        if self.started:
            return
        self.coroutine.close()
        with guarded("a coroutine that was never awaited"):
            if self.entry.owns:
                self.entry.scope.abandon()


def _run_by(function: Any) -> Any:
    """Find the function that a call runs: a partial's own, or the `__call__` of an object."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if hasattr(function, "__qualname__") else type(function).__call__


def _named(coroutine: Any, name: str, qualname: str) -> Any:
    """Report a coroutine that is never awaited under the user's name, as it is untraced."""
    coroutine.__name__, coroutine.__qualname__ = name, qualname
    return coroutine


def _detach(token: Any, error: BaseException | None) -> None:
    """Leave the span's context; silently where the collector closed a coroutine in another one."""
    if not isinstance(error, GeneratorExit):
        context_api.detach(token)
        return
    with suppress(ValueError):
        token.var.reset(token)
