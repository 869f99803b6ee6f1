"""A decorated generator stays what it is, and its span lasts as long as its body."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import inspect
import sys
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from support.interpreter import run_python

import flash_otel
from flash_otel.store.store import open_for_reading
from flash_otel.testing import recording

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator
    from pathlib import Path

    from flash_otel.testing import Recorded

STEPS = st.lists(st.sampled_from(["yield", "swallow", "replace", "chain", "return", "await"]))
ENDS = st.sampled_from(["return", "raise", "stop", "stop async", "interrupt"])
THROWN: dict[str, Callable[[], BaseException]] = {
    "key": lambda: KeyError("thrown"),
    "stop": lambda: StopIteration("thrown"),
    "stop async": lambda: StopAsyncIteration("thrown"),
    "exit": lambda: GeneratorExit("thrown"),
    "interrupt": lambda: KeyboardInterrupt("thrown"),
}
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["next", "next", "send", "throw", "close"]),
        st.sampled_from(sorted(THROWN)),
        st.booleans(),
    ),
    max_size=8,
)


@dataclass
class Script:
    """What a body does at each step, and what it saw."""

    steps: list[str]
    end: str
    is_async: bool
    seen: list[Any] = field(default_factory=list)

    def react(self, step: str, error: BaseException) -> bool:
        """React to what is thrown in; return True to return early."""
        self.seen.append(describe(error))
        if step == "replace":
            raise LookupError("replaced")
        if step == "chain":
            raise LookupError("replaced") from error
        if step in ("yield", "await"):
            raise error
        # An async generator that ignores GeneratorExit is never closed, and Python prints that.
        return step == "return" or (self.is_async and isinstance(error, GeneratorExit))

    def finish(self) -> None:
        """Raise what the body ends with."""
        self.seen.append(sys.exc_info()[0])
        ends: dict[str, type[BaseException]] = {
            "raise": ValueError,
            "stop": StopIteration,
            "stop async": StopAsyncIteration,
            "interrupt": KeyboardInterrupt,
        }
        if self.end in ends:
            raise ends[self.end]("by itself")


def body(script: Script) -> Generator[Any, Any, str]:
    """A body that follows the script."""
    script.seen.append("started")
    try:
        for number, step in enumerate(script.steps):
            early = False
            try:
                script.seen.append((yield number))
            except BaseException as error:
                early = script.react(step, error)
            if early:
                return "early"
        script.finish()
    finally:
        script.seen.append("closed")
    return "end"


@types.coroutine
def suspend() -> Generator[None, None, None]:
    """Suspend the caller to its event loop."""
    yield


async def async_body(script: Script) -> AsyncIterator[Any]:
    """An async body that follows the script."""
    script.seen.append("started")
    try:
        for number, step in enumerate(script.steps):
            early = False
            try:
                if step == "await":
                    await suspend()
                script.seen.append((yield number))
            except BaseException as error:
                early = script.react(step, error)
            if early:
                return
        script.finish()
    finally:
        script.seen.append("closed")


def describe(error: BaseException | None) -> Any:
    """Return what can be observed of an exception, without its traceback."""
    if error is None:
        return None
    return (
        type(error).__name__,
        error.args,
        error.__suppress_context__,
        describe(error.__cause__),
        describe(error.__context__),
    )


def settle(awaitable: Any) -> Any:
    """Run an awaitable without an event loop; other objects are returned."""
    if not inspect.isawaitable(awaitable):
        return awaitable
    steps = awaitable.__await__()
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


def act(generator: Any, action: str, thrown: str) -> Any:
    """Do one thing to a generator of either kind."""
    a = "a" if inspect.isasyncgen(generator) else ""
    if action == "next":
        return settle(getattr(generator, f"__{a}next__")())
    if action == "send":
        return settle(getattr(generator, f"{a}send")("sent"))
    if action == "throw":
        return settle(getattr(generator, f"{a}throw")(THROWN[thrown]()))
    return settle(getattr(generator, f"{a}close")())


def act_while_handling(generator: Any, action: str, thrown: str) -> Any:
    """Do one thing while an exception is handled, which the body can see."""
    try:
        THROWN["being handled"]
    except KeyError:
        return act(generator, action, thrown)


def observe(generator: Any, actions: list[tuple[str, str, bool]]) -> list[Any]:
    """Return what each action returned or raised."""
    observed: list[Any] = []
    for action, thrown, while_handling in actions:
        before = context_api.get_current()
        try:
            observed.append(
                (act_while_handling if while_handling else act)(generator, action, thrown)
            )
        except BaseException as error:
            observed.append(describe(error))
        assert context_api.get_current() is before
    return observed


@pytest.mark.parametrize("function", [body, async_body])
@given(steps=STEPS, end=ENDS, actions=ACTIONS)
@settings(max_examples=300, deadline=None)
def test_a_traced_generator_is_the_generator(
    function: Callable[[Script], Any],
    steps: list[str],
    end: str,
    actions: list[tuple[str, str, bool]],
) -> None:
    """next, send, throw and close do the same to a traced generator, and the context stays.

    There is one span if the body has started, and it has ended when the generator is gone.
    """
    scripts = [Script(steps, end, is_async=function is async_body) for _ in range(2)]
    bare = function(scripts[0])
    expected = observe(bare, actions)
    with recording() as spans:
        traced = flash_otel.trace_call(function)(scripts[1])
        assert observe(traced, actions) == expected
        assert scripts[1].seen == scripts[0].seen
        started = scripts[1].seen.count("started")
        # To the end: Python prints the errors of a generator that it closes itself.
        for _ in range(len(steps) + 1):
            observe(bare, [("close", "", False)])
            observe(traced, [("close", "", False)])
        assert len(spans.records) == started


def numbers(build_id: str, environment_id: str = "e-default") -> Generator[Any, Any, str]:
    """Yield the arguments and what is sent in."""
    yield (yield {"build_id": build_id, "environment_id": environment_id})
    return "end"


async def async_numbers(build_id: str, environment_id: str = "e-default") -> AsyncIterator[Any]:
    """Yield the arguments."""
    await suspend()
    yield {"build_id": build_id, "environment_id": environment_id}


class Streams:
    """Has each kind of generator method."""

    @flash_otel.trace_activate
    def method(self, build_id: str, environment_id: str = "e-default") -> Iterator[Any]:
        assert isinstance(self, Streams)
        yield from numbers(build_id, environment_id)

    @flash_otel.trace_activate
    async def async_method(
        self, build_id: str, environment_id: str = "e-default"
    ) -> AsyncIterator[Any]:
        async for item in async_numbers(build_id, environment_id):
            yield item

    @flash_otel.trace_activate
    @classmethod
    def inner_class_method(cls, build_id: str, environment_id: str = "e-default") -> Iterator[Any]:
        assert cls is Streams
        yield from numbers(build_id, environment_id)

    @classmethod
    @flash_otel.trace_activate
    def outer_class_method(cls, build_id: str, environment_id: str = "e-default") -> Iterator[Any]:
        assert cls is Streams
        yield from numbers(build_id, environment_id)

    @flash_otel.trace_activate
    @staticmethod
    def inner_static_method(build_id: str, environment_id: str = "e-default") -> Iterator[Any]:
        yield from numbers(build_id, environment_id)

    @staticmethod
    @flash_otel.trace_activate
    async def outer_static_method(
        build_id: str, environment_id: str = "e-default"
    ) -> AsyncIterator[Any]:
        async for item in async_numbers(build_id, environment_id):
            yield item

    @property
    @flash_otel.trace_activate
    def prop(self) -> Iterator[Any]:
        yield from numbers("b-1")


class Callee:
    """An object whose call is a generator."""

    def __call__(self, build_id: str, environment_id: str = "e-default") -> Iterator[Any]:
        yield from numbers(build_id, environment_id)


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a plain function that returns what `function` returns, as many decorators do."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


SHAPES: dict[str, Callable[..., Any]] = {
    "generator": flash_otel.trace_activate(numbers),
    "async generator": flash_otel.trace_activate(async_numbers),
    "method": Streams().method,
    "async method": Streams().async_method,
    "method from the class": functools.partial(Streams.method, Streams()),
    "classmethod inside": Streams.inner_class_method,
    "classmethod outside": Streams().outer_class_method,
    "staticmethod inside": Streams().inner_static_method,
    "staticmethod outside": Streams.outer_static_method,
    "bound method": flash_otel.trace_activate(functools.partial(Callee().__call__)),
    "partial": flash_otel.trace_activate(functools.partial(numbers, environment_id="e-default")),
    "async partial": flash_otel.trace_activate(functools.partial(async_numbers)),
    "callable object": flash_otel.trace_activate(Callee()),
    "below another decorator": flash_otel.trace_activate(plain(numbers)),
    "async, below another decorator": flash_otel.trace_activate(plain(async_numbers)),
    "lambda": flash_otel.trace_activate(lambda build_id: numbers(build_id)),  # noqa: PLW0108
}


async def collect(items: Any) -> list[Any]:
    """Consume a generator of either kind."""
    return [item async for item in items] if inspect.isasyncgen(items) else list(items)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(spans: Recorded, shape: str) -> None:
    """Each kind of generator function yields the same, and its span has the arguments."""
    made = SHAPES[shape]("b-1")
    items = asyncio.run(collect(made))
    assert items[0] == {"build_id": "b-1", "environment_id": "e-default"}
    (span,) = spans.named("flash.activate")
    assert span.attributes["flash.build_id"] == "b-1"
    assert (span.attributes["flash.outcome"], span.status) == ("returned", "unset")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tracing", [False, True])
def test_wrong_arguments(shape: str, *, tracing: bool) -> None:
    """Wrong arguments raise at the call, not when the generator is started."""
    with recording() if tracing else contextlib.nullcontext(), pytest.raises(TypeError):
        SHAPES[shape]("b-1", unknown=1)


@pytest.mark.parametrize("function", [numbers, async_numbers, Callee()])
def test_what_a_generator_says_of_itself(spans: Recorded, function: Any) -> None:
    """The function keeps its kind, and the generator its type and name."""
    traced = flash_otel.trace_call(function)
    for kind in (inspect.isgeneratorfunction, inspect.isasyncgenfunction, inspect.isfunction):
        assert kind(traced) == kind(function)
    bare, made = function("b-1"), traced("b-1")
    assert type(made) is type(bare)
    assert inspect.isawaitable(made) == inspect.isawaitable(bare)
    assert (made.__name__, made.__qualname__) == (bare.__name__, bare.__qualname__)
    del made
    assert spans.records == []


@pytest.mark.parametrize("is_async", [False, True])
def test_a_body_that_raises(spans: Recorded, *, is_async: bool) -> None:
    """The span lasts until the body raises, and fails with its exception."""

    @flash_otel.trace_call
    def handler() -> Iterator[int]:
        yield 1
        raise RuntimeError("raised while streaming")

    @flash_otel.trace_call
    async def async_handler() -> AsyncIterator[int]:
        yield 1
        raise RuntimeError("raised while streaming")

    made: Any = async_handler() if is_async else handler()
    with pytest.raises(RuntimeError, match="raised while streaming"):
        asyncio.run(collect(made))
    (span,) = spans.records
    assert (span.status, span.attributes["flash.outcome"]) == ("error", "failed")
    assert span.attributes["error.type"] == "RuntimeError"
    assert (span.end_ns or 0) > span.start_ns


def test_the_span_is_current_only_in_the_body(spans: Recorded) -> None:
    """What the body does is inside the span, also after a step; what its consumer does is not."""
    key = context_api.create_key("key")

    @flash_otel.trace_provision
    def provision() -> Iterator[int]:
        token = context_api.attach(context_api.set_value(key, "set by the body"))
        flash_otel.trace_build(lambda: None)()
        yield 1
        assert context_api.get_value(key) == "set by the body"
        flash_otel.trace_build(lambda: None)()
        context_api.detach(token)
        flash_otel.trace_build(lambda: None)()
        yield 2

    def other() -> None: ...

    for _ in provision():
        assert context_api.get_value(key) is None
        flash_otel.trace_call(other)()
    assert spans.tree() == [
        "flash.provision",
        "  flash.build",
        "flash.call",
        "  flash.build",
        "  flash.build",
        "flash.call",
    ]


def test_two_generators_in_turn(spans: Recorded) -> None:
    """Generators that take turns do not become each other's parents."""

    @flash_otel.trace_provision_endpoint
    def endpoint(resource_name: str) -> str:
        return resource_name

    @flash_otel.trace_provision
    def provision(name: str) -> Iterator[str]:
        for _ in range(2):
            endpoint(name)
            yield name

    list(zip(provision("a"), provision("b"), strict=True))
    for root in spans.named("flash.provision"):
        members = [span for span in spans.records if span.parent_span_id == root.span_id]
        assert len({member.attributes["flash.resource_name"] for member in members}) == 1
        assert len(members) == 2


def read(items: Iterator[Any]) -> None:
    """Stop at the first item."""
    for _ in items:
        break


@pytest.mark.parametrize(
    "stop",
    [
        read,
        lambda items: (next(items), items.close()),
        lambda items: (next(items), contextvars.Context().run(items.close)),
    ],
    ids=["break", "close", "close in another context"],
)
@pytest.mark.parametrize("make", ["generator", "adopted"])
def test_a_consumer_that_stops(
    spans: Recorded, caplog: pytest.LogCaptureFixture, stop: Callable[[Any], None], make: str
) -> None:
    """A generator that is not consumed to its end ends its span: incomplete, but not failed."""

    def stream() -> Iterator[int]:
        yield 1
        yield 2

    traced = flash_otel.trace_call(stream if make == "generator" else plain(stream))
    stop(traced())
    (span,) = spans.records
    assert (span.status, span.attributes["flash.outcome"]) == ("unset", "cancelled")
    assert "error.type" not in span.attributes
    assert caplog.records == []


def test_a_deployment_that_is_closed_early(spans: Recorded) -> None:
    """A deployment or a write that is closed early is no success."""

    @flash_otel.trace_deploy
    def deploy() -> Iterator[str]:
        yield from activate()

    @flash_otel.trace_activate
    def activate() -> Iterator[str]:
        yield "asked"
        yield "activated"

    read(deploy())
    assert [span.attributes["flash.outcome"] for span in spans.records] == ["cancelled", "unknown"]
    assert "deployment.status" not in spans.records[0].attributes


def test_a_cycle_that_is_collected(spans: Recorded) -> None:
    """A generator that only the garbage collector finds ends its span."""
    stream = flash_otel.trace_call(numbers)("b-1")
    cycle: list[Any] = [stream]
    cycle.append(cycle)
    next(stream)
    del stream, cycle
    gc.collect()
    assert [span.attributes["flash.outcome"] for span in spans.records] == ["cancelled"]


@pytest.mark.parametrize("stop", ["aclose", "break", "end of the loop", "no loop"])
def test_an_async_consumer_that_stops(
    spans: Recorded, caplog: pytest.LogCaptureFixture, stop: str
) -> None:
    """An async generator ends its span with its body's clean-up; the event loop reports nothing."""
    kept: list[Any] = []
    cleaned: list[bool] = []

    @flash_otel.trace_call
    async def stream() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            if stop != "no loop":
                await asyncio.sleep(0)
            cleaned.append(trace_api.get_current_span().get_span_context().is_valid)

    async def consume() -> None:
        items: Any = stream()
        async for _ in items:
            break
        if stop == "aclose":
            await items.aclose()
        if stop == "end of the loop":
            kept.append(items)
        if stop == "break":
            del items
            for _ in range(5):
                await asyncio.sleep(0)

    if stop == "no loop":
        settle(consume())
    else:
        asyncio.run(consume())
    gc.collect()
    assert cleaned == [True]
    (span,) = spans.records
    assert (span.status, span.attributes["flash.outcome"]) == ("unset", "cancelled")
    assert caplog.records == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_clean_up_without_a_loop(spans: Recorded) -> None:
    """An async generator whose clean-up needs a loop that is gone still ends its span."""

    @flash_otel.trace_call
    async def stream() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await suspend()

    def start() -> None:
        settle(stream().__anext__())

    start()
    gc.collect()
    assert [span.attributes["flash.outcome"] for span in spans.records] == ["unknown"]


def test_a_cancelled_task(spans: Recorded) -> None:
    """Cancelling the consumer while the body waits is a cancelled span."""

    @flash_otel.trace_call
    async def stream() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    async def consume() -> None:
        await asyncio.wait_for(collect(stream()), 0.01)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(consume())
    (span,) = spans.records
    assert span.attributes["flash.outcome"] == "cancelled"
    assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"


def test_a_generator_that_can_be_awaited(spans: Recorded) -> None:
    """What `types.coroutine` made awaitable stays so."""

    @flash_otel.trace_call
    @types.coroutine
    def call() -> Generator[None, None, str]:
        yield
        return "done"

    async def run() -> str:
        result: str = await call()
        return result

    assert settle(run()) == "done"
    assert spans.tree() == ["flash.call"]


def test_a_shared_generator(spans: Recorded) -> None:
    """A generator that others hold, too, is returned as it is: dropping it must not close it."""

    class Client:
        def __init__(self) -> None:
            self.items = numbers("b-1")

        @flash_otel.trace_call
        def stream(self) -> Any:
            return self.items

    client = Client()
    assert client.stream() is client.items
    next(client.stream())
    next(client.stream())
    assert spans.tree() == ["flash.call"] * 3


@pytest.mark.parametrize("make", ["generator", "plain"])
def test_a_joined_deployment(spans: Recorded, make: str) -> None:
    """A generator inside an open deployment adds its fields to that, and leaves it open."""

    def inner(app_name: str) -> Iterator[int]:
        assert app_name
        yield 1
        yield 2

    traced = flash_otel.trace_deploy(inner if make == "generator" else plain(inner))

    @flash_otel.trace_deploy
    def deploy() -> None:
        list(traced("shop"))
        read(traced("shop"))
        traced("shop")

    deploy()
    (span,) = spans.records
    assert span.attributes["flash.app_name"] == "shop"
    assert span.attributes["flash.outcome"] == "returned"


def test_a_carrier(spans: Recorded) -> None:
    """A generator that uploads a manifest gets the deployment's context in it."""
    seen: list[dict[str, Any]] = []

    @flash_otel.trace_upload(carrier=True)
    def upload(manifest: dict[str, Any]) -> Iterator[int]:
        seen.append(manifest)
        yield 1

    @flash_otel.trace_deploy
    def deploy() -> None:
        list(upload({"resources": {}}))

    deploy()
    assert "_flash_otel" in seen[0]
    assert spans.tree() == ["flash.deploy", "  flash.manifest.upload"]


def test_tracing_that_is_switched_off_meanwhile() -> None:
    """A generator that is made while tracing is on, and runs later, runs untraced."""
    with recording():
        made = flash_otel.trace_call(numbers)("b-1")
        made_async = flash_otel.trace_call(async_numbers)("b-1")
    assert next(made)["build_id"] == "b-1"
    assert made.send("sent") == "sent"
    assert settle(made_async.__anext__())["build_id"] == "b-1"


class Manager:
    """Has context managers made by `contextlib`."""

    environment = "e-1"

    @flash_otel.trace_deploy(environment_name="self.environment")
    @contextlib.contextmanager
    def deployment(self, app_name: str) -> Iterator[str]:
        """Deploy inside the block."""
        flash_otel.trace_build(lambda: None)()
        yield app_name
        flash_otel.trace_build(lambda: None)()

    @flash_otel.trace_deploy
    @contextlib.asynccontextmanager
    async def async_deployment(self, app_name: str) -> AsyncIterator[str]:
        await suspend()
        yield app_name


def test_a_context_manager(spans: Recorded) -> None:
    """The span of a context manager holds its block, and fails if that raises."""
    manager = Manager().deployment("shop")
    assert manager.__doc__ == "Deploy inside the block."
    with manager as name:
        assert name == "shop"
        flash_otel.trace_upload(lambda: None)()
    assert spans.tree() == [
        "flash.deploy",
        "  flash.build",
        "  flash.manifest.upload",
        "  flash.build",
    ]
    assert spans.records[0].attributes["deployment.environment.name"] == "e-1"
    assert not trace_api.get_current_span().get_span_context().is_valid

    with pytest.raises(KeyError, match="in the block"), Manager().deployment("shop"):
        raise KeyError("in the block")
    assert spans.named("flash.deploy")[1].attributes["flash.outcome"] == "failed"
    assert not trace_api.get_current_span().get_span_context().is_valid


def test_a_context_manager_as_decorator(spans: Recorded) -> None:
    """Each call of a function that a context manager decorates has its span."""

    @flash_otel.trace_call
    @contextlib.contextmanager
    def call() -> Iterator[None]:
        yield

    @call()
    def work() -> None:
        flash_otel.trace_build(lambda: None)()

    work()
    work()
    assert spans.tree() == ["flash.call", "  flash.build"] * 2


def test_an_async_context_manager(spans: Recorded) -> None:
    """The span of an async context manager holds its block."""

    async def run() -> None:
        async with Manager().async_deployment("shop") as name:
            assert name == "shop"
            flash_otel.trace_upload(lambda: None)()
        assert not trace_api.get_current_span().get_span_context().is_valid

    asyncio.run(run())
    assert spans.tree() == ["flash.deploy", "  flash.manifest.upload"]


def test_a_context_manager_that_is_never_exited(spans: Recorded) -> None:
    """A context manager that is entered and dropped ends its span."""

    def enter() -> None:
        Manager().deployment("shop").__enter__()

    contextvars.copy_context().run(enter)
    gc.collect()
    (deployment, _) = spans.records
    assert deployment.attributes["flash.outcome"] == "cancelled"


@pytest.mark.parametrize("order", ["inside", "outside"])
def test_contextlib_above_the_decorator(spans: Recorded, order: str) -> None:
    """In either order, the span lasts from the beginning of the block to its end."""
    decorators: list[Any] = [contextlib.contextmanager, flash_otel.trace_call]
    if order == "outside":
        decorators.reverse()
    decorate, first = decorators
    manage: Any = decorate(first(lambda: (yield "entered")))
    with manage() as entered:
        assert entered == "entered"
        assert spans.records == []
    assert spans.tree() == ["flash.call"]


def test_a_generator_that_is_suspended_at_exit(tmp_path: Path) -> None:
    """A generator that the process never finishes has its span in the store."""
    run_python(
        """
        import flash_otel

        flash_otel.instrument(store="spans.db")

        kept = []

        @flash_otel.trace_build
        def build():
            kept.append(call())
            next(kept[0])

        @flash_otel.trace_call
        def call():
            yield 1
            yield 2

        build()
        """,
        tmp_path,
    )
    store = open_for_reading(tmp_path / "spans.db")
    assert store is not None
    with store:
        outcomes = {span.name: span.attributes["flash.outcome"] for span in store.spans()}
    assert outcomes == {"flash.build": "returned", "flash.call": "unknown"}


@pytest.mark.parametrize("kind", ["generator", "context manager"])
def test_nothing_is_written_about_what_is_suspended_at_exit(tmp_path: Path, kind: str) -> None:
    """The interpreter finishes what the exit has ended, without a warning by the SDK."""
    found = run_python(
        f"""
        import atexit
        import contextlib
        import flash_otel

        atexit.register(lambda: kept.close() if kind == "generator" else None)
        flash_otel.instrument(store="spans.db")
        kind = "{kind}"

        def body():
            yield 1
            yield 2

        if kind == "generator":
            kept = flash_otel.trace_call(body)()
            next(kept)
        else:
            kept = flash_otel.trace_call(contextlib.contextmanager(body))()
            kept.__enter__()
        """,
        tmp_path,
    )
    assert found.stderr == ""


def test_a_generator_that_is_suspended_at_a_fork_belongs_to_the_parent(tmp_path: Path) -> None:
    """Dropping the child's copy does not end the parent's span."""
    run_python(
        """
        import os
        import flash_otel

        flash_otel.instrument(store="spans.db")

        @flash_otel.trace_call
        def call():
            yield 1
            yield 2

        def main():
            kept = call()
            next(kept)
            child = os.fork()
            if child == 0:
                return
            os.waitpid(child, 0)
            list(kept)

        main()
        """,
        tmp_path,
    )
    store = open_for_reading(tmp_path / "spans.db")
    assert store is not None
    with store:
        assert [span.attributes["flash.outcome"] for span in store.spans()] == ["returned"]
