"""One span over several functions that Flash calls one after another, without a common function.

The span opens with the first call, inside the span around it, and is current only during the calls.
It ends with the last of them, or with one that raises; the end of the span around it abandons it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry import context as context_api

from flash_otel import pipeline
from flash_otel.runtime.process import swallowed
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.extractors import Call, Parameters
from flash_otel.tracing.running import Running
from flash_otel.tracing.wrapper import open_scope, without_http

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_otel.tracing.attributes import Fields
    from flash_otel.tracing.decorators import SpanDecorator
    from flash_otel.tracing.extractors import Source
    from flash_otel.tracing.specs import SpanSpec
    from flash_otel.tracing.targets import Wrapper


def staged(decorator: SpanDecorator, *, is_last: bool = False, **where: Source) -> Wrapper:
    """Make the wrapper of one of the functions; the fields of each are added to the span.

    Args:
        decorator: The decorator of the span.
        is_last: Whether the span ends when this function returns.
        **where: Field -> source, as for the decorator.
    """
    fields = decorator.fields(where)

    def wrap(function: Any) -> Any:
        stage = _Stage(function, decorator.spec, fields, is_last=is_last)
        is_async = inspect.iscoroutinefunction(function)
        return wrapt.FunctionWrapper(function, stage.run_async if is_async else stage.run)

    return wrap


class _Stage:
    """Runs the calls of one function inside the shared span."""

    def __init__(self, function: Any, spec: SpanSpec, fields: Fields, *, is_last: bool) -> None:
        self._parameters = {
            is_bound: Parameters(function, bound=is_bound) for is_bound in (False, True)
        }
        self._spec = spec
        self._fields = fields
        self._is_last = is_last

    def run(
        self, wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: Any
    ) -> Any:
        running = self._enter(instance, args, kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            self._fail(running, error)
            raise
        if running is not None:
            running.returned(result)
        return result

    async def run_async(
        self, wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: Any
    ) -> Any:
        running = self._enter(instance, args, kwargs)
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            self._fail(running, error)
            raise
        if running is not None:
            running.returned(result)
        return result

    def _enter(self, instance: object, args: tuple[Any, ...], kwargs: Any) -> Running | None:
        try:
            around = None if pipeline.is_off() else scopes.current()
            # Inside a span of the same name, that one covers the calls.
            if around is None or around.enclosing(self._spec.name) is not None:
                return None
            call = Call(self._parameters[instance is not None], instance, args, kwargs)
            return self._running(around, call)
        except Exception:
            swallowed(f"the start of {self._spec.name}")
            return None

    def _running(self, around: scopes.Scope, call: Call) -> Running | None:
        held = around.stages = around.stages or {}
        opened = held.pop(self._spec.name, None)
        if opened is not None:
            scope, context = opened
            scope.call, scope.fields = call, self._fields
            scope.attempt, scope.retry_reason = 0, ""
            scope.join(call, self._fields)
        else:
            new = open_scope(self._spec, call, self._fields)
            if new is None:
                return None
            scope, context = new
            context = without_http(context) if self._spec.hides_http else context
        if not self._is_last:
            held[self._spec.name] = (scope, context)
        token = context_api.attach(context)
        return Running(scope, call, self._fields, context, token, owns=self._is_last)

    def _fail(self, running: Running | None, error: BaseException) -> None:
        if running is None:
            return
        around = running.scope.parent
        if around is not None and around.stages:
            around.stages.pop(self._spec.name, None)
        running.owns = True
        running.end(error)
