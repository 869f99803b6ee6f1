"""A traced call that is running, and the generators whose spans last as long as their bodies.

A generator stays a real generator: sent values, thrown exceptions and returned values pass through
it, and closing or dropping it does the same to the body. The span opens with the first step of the
body. It is current only while the body runs, because a generator runs in the context of its
consumer. A context manager is the exception: its `with` block belongs to the span.
"""

from __future__ import annotations

import os
import sys
import types
from contextlib import suppress
from contextvars import Token
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from opentelemetry import context as context_api

from flash_otel import pipeline, semconv
from flash_otel.runtime.process import ProcessVar, guarded, swallowed
from flash_otel.tracing import bad_reads, carriers, links

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from flash_otel.tracing.attributes import Fields
    from flash_otel.tracing.carriers import Carrier
    from flash_otel.tracing.extractors import Call
    from flash_otel.tracing.scope import Scope


@dataclass(slots=True)
class Running:
    """A traced call that is running.

    Attributes:
        scope: The scope that records the call.
        call: The call.
        fields: The fields of the called function.
        context: The context in which it runs.
        token: Detaches that context; None while it is not attached.
        owns: Whether the scope ends with this call; False if the call joined an open span.
        yields: Whether it is a generator, which its consumer may close at any time.
        keeps_context: Whether the context stays attached while a generator is suspended.
        has_ended: Whether the end of the call is recorded.
        pid: The process that may end a call that can be dropped; None for any process.
    """

    scope: Scope
    call: Call
    fields: Fields
    context: context_api.Context
    token: Any
    owns: bool = True
    yields: bool = False
    keeps_context: bool = False
    has_ended: bool = False
    pid: int | None = None

    def resume(self) -> None:
        """Enter the context of the call, unless it is attached already."""
        if self.token is None:
            self.token = context_api.attach(self.context)

    def pause(self) -> None:
        """Leave the context of a suspended body, and keep it for the next step."""
        if not self.keeps_context:
            # Not the context that the span began with: the body may have attached another one.
            self.context = context_api.get_current()
            self._detach()

    def returned(self, result: Any) -> None:
        """Record the return value, and end."""
        self.call.result = result
        self.end(None)

    def end(self, error: BaseException | None) -> None:
        """Leave the context and record how the call ended."""
        if self._is_over():
            self._detach()
            return
        self.has_ended = True
        try:
            self.call.error = error
            self._detach()
            if not self.owns:
                self.scope.join(self.call, self.fields)
                return
            self._read_end()
            if self.yields and isinstance(error, GeneratorExit):
                self.scope.stop()
            else:
                self.scope.end(error)
            if self.scope.spec.name == semconv.RUNTIME_FETCH:
                self._remember_fetch()
        except Exception:
            swallowed(f"the end of {self.scope.spec.name}")
        finally:
            # The traceback holds the frames of this call, and they hold the call: a cycle.
            self.call.error = None

    def abandon(self) -> None:
        """End the span of a call whose end cannot be observed any more. Idempotent."""
        self._detach()
        if not self._is_over():
            self.has_ended = True
            if self.owns:
                self.scope.abandon()

    def _is_over(self) -> bool:
        """Return True if the span ended at the exit, or belongs to the parent of this process."""
        return self.has_ended or self.pid not in (None, os.getpid())

    def _read_end(self) -> None:
        try:
            if self.scope.spec.reads_manifest:
                active = carriers.record_active(self.scope)
                self.scope.read_end()
                self._judge_read(active)
            else:
                self.scope.read_end()
                if self.scope.spec.name == semconv.CALL and self.call.error is not None:
                    self._blame_read()
        except Exception:
            swallowed(f"the fields of {self.scope.spec.name}")

    def _judge_read(self, active: Carrier | None) -> None:
        scope = self.scope
        code = links.code_carrier()
        links.remember_read(scope.attributes)
        scope.bad_read = bad_reads.judge(scope.spec.name, scope.attributes, code, active)

    def _remember_fetch(self) -> None:
        fault = self.scope.attributes.get(semconv.FAULT)
        context = self.scope.span.get_span_context()
        links.remember_fetch(links.Read(context, fault, self.scope.bad_read))

    def _blame_read(self) -> None:
        """Point from a call without an endpoint to the read that did not bring it."""
        scope, read = self.scope, links.last_fetch()
        if read is None or not bad_reads.lacks_route(scope.attributes):
            return
        # Within a trace, too: the read may belong to an earlier call.
        scope.span.add_link(read.context)
        scope.fault, scope.bad_read = read.fault, read.bad_read

    def _detach(self) -> None:
        token, self.token = self.token, None
        if not isinstance(token, Token):
            if token is not None:  # of a context that OTEL_PYTHON_CONTEXT names
                context_api.detach(token)
            return
        # The garbage collector, or a framework that enters and exits a context manager in
        # different tasks, may end it in another context. That is not an error.
        # `context_api.detach` would log that, and what a signal handler of the host raises in it.
        with suppress(ValueError):
            token.var.reset(token)


class Dropped:
    """Ends the span of a coroutine or generator when its last reference is dropped.

    A suspended generator is closed first and ends its span itself, except at the exit of the
    process, or if its own clean-up waits for an event loop that has ended.
    """

    __slots__ = ("__weakref__", "running")

    def __init__(self, running: Running) -> None:
        self.running = running
        running.pid = os.getpid()
        _suspended.value.add(self)

    def __del__(self) -> None:
        with guarded("a call that is dropped"):
            self.running.abandon()


# In a forked child, these belong to the parent.
_suspended: Final[ProcessVar[WeakSet[Dropped]]] = ProcessVar(WeakSet, reset_in_child=True)


def _abandon_all() -> None:
    for dropped in _all_suspended():
        with guarded("a call that is open at exit"):
            dropped.running.abandon()


def _all_suspended() -> list[Dropped]:
    for _ in range(10):
        with suppress(RuntimeError):  # another thread added to the set meanwhile
            return list(_suspended.value)
    return []


pipeline.before_exit(_abandon_all)


class Untraced:
    """Stands in for `Running` where tracing is off: it does nothing."""

    def resume(self) -> None:
        """Enter no context."""

    def pause(self) -> None:
        """Leave no context."""

    def returned(self, result: Any) -> None:
        """Record no return value."""

    def end(self, error: BaseException | None) -> None:
        """Record no end."""


UNTRACED: Final = Untraced()


def drive(begin: Callable[[], tuple[Any, Dropped | None]]) -> Generator[Any, Any, Any]:
    """Run a generator inside its span; observably, the result is the generator itself.

    `yield from` would close the body if GeneratorExit is thrown, and ignore its return value
    (PEP 380).

    Args:
        begin: Called at the first step; returns the generator, and the running call or None.
    """
    generator, dropped = begin()
    running = UNTRACED if dropped is None else dropped.running
    # A list, because a local variable would keep a thrown exception alive through its traceback.
    steps = [partial(generator.send, None)]
    while True:
        try:
            running.resume()
            try:
                item = steps.pop()()
            finally:
                running.pause()
        except StopIteration as end:
            result = end.value
            break
        except BaseException as error:
            running.end(error)
            raise
        # Resumed outside of `except`, or the body's next exception would get a wrong `__context__`.
        try:
            steps.append(partial(generator.send, (yield item)))
        except BaseException as error:
            steps.append(partial(generator.throw, error))
        finally:
            item = None
    running.returned(result)
    return result


# A copy, because `types.coroutine` changes its argument.
drive_awaitable: Final = types.coroutine(types.FunctionType(drive.__code__, globals()))
"""Like `drive`, for a generator that `types.coroutine` has made awaitable."""


async def drive_async(
    begin: Callable[[], tuple[Any, Dropped | None]],
) -> AsyncGenerator[Any, Any]:
    """Run an async generator inside its span; arguments as for `drive`."""
    generator, dropped = begin()
    running = UNTRACED if dropped is None else dropped.running
    steps = [partial(_unhooked, generator)]
    while True:
        try:
            running.resume()
            try:
                item = await steps.pop()()
            finally:
                running.pause()
        except StopAsyncIteration:
            break
        except BaseException as error:
            running.end(error)
            raise
        try:
            steps.append(partial(generator.asend, (yield item)))
        except BaseException as error:
            steps.append(partial(generator.athrow, error))
        finally:
            item = None
    running.returned(None)


def _unhooked(generator: Any) -> Any:
    """Return the first step of an async generator, hidden from the event loop.

    At its end, an event loop closes all async generators at the same time. The outer generator
    closes this one, and a second attempt would fail and be logged
    (`asyncio.BaseEventLoop.shutdown_asyncgens`).
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.__anext__()
    finally:
        sys.set_asyncgen_hooks(*hooks)
