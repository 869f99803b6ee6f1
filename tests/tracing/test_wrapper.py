"""A decorated function keeps its kind and behaviour, and gets its span."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, get_type_hints, overload

import pytest

import flash_otel
from flash_otel.testing import recording

if TYPE_CHECKING:
    from flash_otel.testing import Recorded

DECORATORS = [
    flash_otel.trace_activate,
    flash_otel.trace_artifact_upload,
    flash_otel.trace_build,
    flash_otel.trace_call,
    flash_otel.trace_deploy,
    flash_otel.trace_manifest_fetch,
    flash_otel.trace_provision,
    flash_otel.trace_provision_endpoint,
    flash_otel.trace_runtime_fetch,
    flash_otel.trace_upload,
]


def plain(build_id: str, environment_id: str = "e-default") -> dict[str, str]:
    """Return the arguments."""
    return {"build_id": build_id, "environment_id": environment_id}


async def plain_async(build_id: str, environment_id: str = "e-default") -> dict[str, str]:
    """Return the arguments, as a coroutine."""
    await asyncio.sleep(0)
    return {"build_id": build_id, "environment_id": environment_id}


class Client:
    """Has each kind of method."""

    environment = "e-class"

    @flash_otel.trace_activate
    def method(self, build_id: str, environment_id: str = "e-default") -> dict[str, str]:
        assert isinstance(self, Client)
        return plain(build_id, environment_id)

    @flash_otel.trace_activate
    async def method_async(
        self, build_id: str, environment_id: str = "e-default"
    ) -> dict[str, str]:
        assert isinstance(self, Client)
        return await plain_async(build_id, environment_id)

    @flash_otel.trace_activate
    @classmethod
    def outer_class_method(cls, build_id: str, environment_id: str = "e-default") -> dict[str, str]:
        assert cls is Client
        return plain(build_id, environment_id)

    @classmethod
    @flash_otel.trace_activate
    def inner_class_method(cls, build_id: str, environment_id: str = "e-default") -> dict[str, str]:
        assert cls is Client
        return plain(build_id, environment_id)

    @flash_otel.trace_activate
    @classmethod
    async def class_method_async(
        cls, build_id: str, environment_id: str = "e-default"
    ) -> dict[str, str]:
        assert cls is Client
        return await plain_async(build_id, environment_id)

    @flash_otel.trace_activate
    @staticmethod
    def outer_static_method(build_id: str, environment_id: str = "e-default") -> dict[str, str]:
        return plain(build_id, environment_id)

    @staticmethod
    @flash_otel.trace_activate
    def inner_static_method(build_id: str, environment_id: str = "e-default") -> dict[str, str]:
        return plain(build_id, environment_id)

    @flash_otel.trace_activate
    @staticmethod
    async def static_method_async(
        build_id: str, environment_id: str = "e-default"
    ) -> dict[str, str]:
        return await plain_async(build_id, environment_id)

    def undecorated(self, build_id: str, environment_id: str = "e-default") -> dict[str, str]:
        return plain(build_id, environment_id)


class Callee:
    """An object that can be called."""

    def __call__(self, build_id: str, environment_id: str = "e-default") -> dict[str, str]:
        return plain(build_id, environment_id)


class AsyncCallee:
    """An object whose call is a coroutine."""

    async def __call__(self, build_id: str, environment_id: str = "e-default") -> dict[str, str]:
        return await plain_async(build_id, environment_id)


@flash_otel.trace_activate
def returns_coroutine(
    build_id: str, environment_id: str = "e-default"
) -> Coroutine[Any, Any, dict[str, str]]:
    """Not a coroutine function, but returns a coroutine."""
    return plain_async(build_id, environment_id)


module_level = flash_otel.trace_activate(plain)
decorated = flash_otel.trace_activate()(plain)
decorated_async = flash_otel.trace_activate(plain_async)

SHAPES: dict[str, Callable[..., Any]] = {
    "function": module_level,
    "function, decorator called": decorated,
    "coroutine function": decorated_async,
    "method": Client().method,
    "method from the class": functools.partial(Client.method, Client()),
    "coroutine method": Client().method_async,
    "classmethod inside": Client.outer_class_method,
    "classmethod from an instance": Client().outer_class_method,
    "classmethod outside": Client.inner_class_method,
    "coroutine classmethod": Client.class_method_async,
    "staticmethod inside": Client.outer_static_method,
    "staticmethod from an instance": Client().outer_static_method,
    "staticmethod outside": Client.inner_static_method,
    "coroutine staticmethod": Client.static_method_async,
    "bound method": flash_otel.trace_activate(Client().undecorated),
    "partial": flash_otel.trace_activate(functools.partial(plain)),
    "coroutine partial": flash_otel.trace_activate(functools.partial(plain_async)),
    "callable object": flash_otel.trace_activate(Callee()),
    "coroutine callable object": flash_otel.trace_activate(AsyncCallee()),
    "returns a coroutine": returns_coroutine,
    "lru_cache": flash_otel.trace_activate(functools.lru_cache(plain)),
    "twice": flash_otel.trace_activate(flash_otel.trace_provision(plain)),
}


def settle(result: Any) -> Any:
    """Run a coroutine."""
    return asyncio.run(result) if inspect.iscoroutine(result) else result


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("args", "kwargs", "environment"),
    [
        (("b-1",), {}, "e-default"),
        (("b-1", "e-1"), {}, "e-1"),
        (("b-1",), {"environment_id": "e-1"}, "e-1"),
        ((), {"build_id": "b-1", "environment_id": "e-1"}, "e-1"),
    ],
)
def test_every_shape(
    spans: Recorded, shape: str, args: tuple[str, ...], kwargs: dict[str, str], environment: str
) -> None:
    """Each kind of function returns its own value, and its span has every argument."""
    returned = settle(SHAPES[shape](*args, **kwargs))
    assert returned == {"build_id": "b-1", "environment_id": environment}
    (span,) = spans.named("flash.activate")
    assert span.attributes["flash.build_id"] == "b-1"
    assert span.attributes["flash.environment_id"] == environment
    assert span.attributes["flash.outcome"] == "returned"
    assert (span.status, span.kind) == ("unset", "client")


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_untraced_without_a_provider(shape: str) -> None:
    """Without `instrument()` and without a provider, the function is just called."""
    assert settle(SHAPES[shape]("b-1")) == {"build_id": "b-1", "environment_id": "e-default"}


@pytest.mark.parametrize("decorator", DECORATORS, ids=repr)
@pytest.mark.parametrize("function", [plain, plain_async])
def test_what_a_function_says_of_itself(
    decorator: Callable[[Any], Any], function: Callable[..., Any]
) -> None:
    """Name, module, documentation, signature, hints and kind stay the function's own."""
    traced = decorator(function)
    assert traced.__name__ == function.__name__
    assert traced.__qualname__ == function.__qualname__
    assert traced.__module__ == function.__module__
    assert traced.__doc__ == function.__doc__
    assert traced.__wrapped__ is function
    assert inspect.signature(traced) == inspect.signature(function)
    assert get_type_hints(traced) == get_type_hints(function)
    assert inspect.iscoroutinefunction(traced) == inspect.iscoroutinefunction(function)
    assert asyncio.iscoroutinefunction(traced) == asyncio.iscoroutinefunction(function)
    assert inspect.isfunction(traced)
    assert inspect.getsource(traced) == inspect.getsource(function)


@pytest.mark.parametrize("decorator", DECORATORS, ids=repr)
def test_what_a_decorator_says_of_itself(decorator: Any) -> None:
    """It has its public name, and its documentation names the span and each of its fields."""
    assert getattr(flash_otel, decorator.__name__) is decorator
    assert (decorator.__qualname__, decorator.__module__) == (decorator.__name__, "flash_otel")
    text, line = decorator.__doc__.rsplit("\n\n", 1)
    assert text.startswith("Trace ")
    fields = ", ".join(decorator.spec.field_names)
    assert line == f"Span: `{decorator.spec.name}`. Fields: {fields}."


def test_signatures_of_methods() -> None:
    """A method's signature has no self on an instance, and has it on the class."""
    assert list(inspect.signature(Client().method).parameters) == ["build_id", "environment_id"]
    assert next(iter(inspect.signature(Client.method).parameters)) == "self"
    assert inspect.iscoroutinefunction(Client().method_async)


@pytest.mark.parametrize("tracing", [False, True])
def test_a_sync_wrapper_of_a_coroutine_function(*, tracing: bool) -> None:
    """`functools.wraps` has no effect: a function that runs an event loop stays synchronous."""

    @flash_otel.trace_activate
    @functools.wraps(plain_async)
    def run(*args: Any, **kwargs: Any) -> dict[str, str]:
        return asyncio.run(plain_async(*args, **kwargs))

    if not tracing:
        assert run("b-1") == {"build_id": "b-1", "environment_id": "e-default"}
        return
    with recording() as spans:
        assert run("b-1") == {"build_id": "b-1", "environment_id": "e-default"}
    assert spans.tree() == ["flash.activate"]


@pytest.mark.parametrize("tracing", [False, True])
def test_any_name_of_a_parameter(*, tracing: bool) -> None:
    """Parameters may have any name, `self` and `wrapped` included."""

    def give(self: int, wrapped: int, instance: int = 0, args: int = 0, kwargs: int = 0) -> int:
        return self + wrapped + instance + args + kwargs

    traced = flash_otel.trace_call(give)
    method = flash_otel.trace_call(Client.undecorated)
    with recording() if tracing else nullcontext():
        assert traced(self=1, wrapped=2, instance=3, args=4, kwargs=5) == 15
        assert method(self=Client(), build_id="b-1")["build_id"] == "b-1"


def test_awaitable_context_managers_stay_what_they_are(spans: Recorded) -> None:
    """An awaitable that is also a context manager is returned unchanged."""

    class Request(Coroutine[Any, Any, int]):
        """Like aiohttp's: can be awaited or entered."""

        def send(self, value: Any) -> Any:
            raise StopIteration(value)

        def throw(self, *_args: Any) -> Any:
            raise NotImplementedError

        def close(self) -> None:
            pass

        def __await__(self) -> Any:
            return iter(())

    request = Request()
    ask: Any = flash_otel.trace_call(lambda: request)
    assert ask() is request
    assert spans.tree() == ["flash.call"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.markcoroutinefunction is newer")
def test_functions_that_are_marked_as_coroutine_functions(spans: Recorded) -> None:
    """What they return keeps its type, and a coroutine runs in the span."""
    mark: Any = inspect.markcoroutinefunction  # type: ignore[attr-defined,unused-ignore]

    class Request:
        """Can be awaited, or entered."""

        def __await__(self) -> Iterator[None]:
            yield

        async def __aenter__(self) -> str:
            return "entered"

        async def __aexit__(self, *_: object) -> None: ...

    def make_request() -> Request:
        return Request()

    def make_coroutine(build_id: str) -> Coroutine[Any, Any, dict[str, str]]:
        return plain_async(build_id)

    request = flash_otel.trace_call(mark(make_request))
    activate = flash_otel.trace_activate(mark(make_coroutine))

    async def main() -> None:
        assert isinstance(request(), Request)
        await request()
        async with request() as entered:
            assert entered == "entered"
        assert (await activate("b-1"))["build_id"] == "b-1"

    asyncio.run(main())
    assert inspect.iscoroutinefunction(request)
    assert spans.tree() == [*["flash.call"] * 3, "flash.activate"]


def test_return_identity(spans: Recorded) -> None:
    """The returned object is the function's own."""
    kept = object()

    async def give() -> object:
        return kept

    assert flash_otel.trace_build(lambda: kept)() is kept
    assert asyncio.run(flash_otel.trace_build(give)()) is kept
    assert len(spans.records) == 2


@flash_otel.trace_activate
def pickled(build_id: str) -> str:
    return build_id


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling(protocol: int) -> None:
    """A decorated function pickles by reference, and so do its methods."""
    assert pickle.loads(pickle.dumps(pickled, protocol)) is pickled  # noqa: S301 - our own bytes
    if protocol < 2:
        return
    method = pickle.loads(pickle.dumps(Client().method, protocol))  # noqa: S301 - our own bytes
    assert method("b-1")["build_id"] == "b-1"
    from_class = pickle.loads(pickle.dumps(Client.method, protocol))  # noqa: S301 - our own bytes
    assert from_class(Client(), "b-1")["build_id"] == "b-1"


def test_pickling_what_cannot_be_pickled_untraced() -> None:
    """A local function fails when it is pickled, as untraced, not when it is loaded."""

    class Local:
        @flash_otel.trace_activate
        def method(self) -> None: ...

    def local() -> None: ...

    for function in (flash_otel.trace_activate(local), Local.method):
        with pytest.raises((pickle.PicklingError, AttributeError), match="local"):
            pickle.dumps(function)


def test_copying() -> None:
    """Copying a function returns it; copying a method copies its instance."""
    assert copy.copy(pickled) is pickled
    assert copy.deepcopy({"run": pickled})["run"] is pickled
    client = Client()
    method: Any = copy.deepcopy(client.method)
    assert method.__self__ is not client
    assert method("b-1")["build_id"] == "b-1"
    assert copy.copy(client.method)("b-1")["build_id"] == "b-1"
    assert copy.deepcopy(Client.method)(client, "b-1")["build_id"] == "b-1"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("wrong", "words"),
    [((), "missing 1 required positional"), (("a", "b", "c"), "takes .* positional arguments but")],
)
@pytest.mark.parametrize("tracing", [True, False])
def test_wrong_arguments(shape: str, wrong: tuple[str, ...], words: str, *, tracing: bool) -> None:
    """A call with wrong arguments raises TypeError at once, with the untraced message."""
    with recording() if tracing else nullcontext(), pytest.raises(TypeError, match=words):
        SHAPES[shape](*wrong)


@contextmanager
def managed() -> Iterator[None]:
    """Manage a context."""
    yield


class Unbound:
    """A proxy without its object."""

    def __getattr__(self, name: str) -> Any:
        raise LookupError(name)

    def __call__(self) -> None:
        """Do nothing."""


class Unsigned:
    """A callable object whose signature fails."""

    @property
    def __signature__(self) -> inspect.Signature:
        raise LookupError

    def __call__(self, build_id: str) -> str:
        """Return the argument."""
        return build_id


def test_a_signature_that_fails(spans: Recorded) -> None:
    """The call is traced, without what only the signature shows."""
    traced: Any = flash_otel.trace_activate(Unsigned())
    assert traced("b-1") == "b-1"
    assert traced(build_id="b-2") == "b-2"
    assert [span.attributes.get("flash.build_id") for span in spans.records] == [None, "b-2"]


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        ("build_id", "field=source"),
        (5, "field=source"),
        ({}, "field=source"),
        (property(plain), "write this decorator below that one"),
        (functools.cached_property(plain), "write this decorator below that one"),
        (classmethod(property(plain)), "write this decorator below that one"),  # type: ignore[arg-type]
        (functools.partialmethod(plain), "decorate the function that it is made of"),
        (functools.singledispatchmethod(plain), "decorate the function that it is made of"),
        (Client, "decorate its methods"),
        (dict, "decorate its methods"),
        (staticmethod(Client), "decorate its methods"),
        ((number for number in range(1)), "not the result of its call"),
        (managed(), "decorate the function that returns it"),
        (staticmethod(classmethod(plain)), "remove one of the two"),  # type: ignore[arg-type]
        pytest.param(Unbound(), r"\(LookupError\); decorate a function that calls", id="unbound"),
        (managed, None),
    ],
)
def test_what_cannot_be_decorated(target: Any, advice: str | None) -> None:
    """Decorating an object that is not a function fails at once, and says what to do."""
    if advice is None:
        flash_otel.trace_upload(target)
        return
    with pytest.raises(TypeError, match=r"trace_upload\(\) decorates a function, not .*" + advice):
        flash_otel.trace_upload(target)


@pytest.mark.parametrize(
    ("function", "args"),
    [(len, ("b-1",)), (str.upper, ("b-1",)), ("b-1".upper, ()), (dict.get, ({}, 1)), (max, (1, 2))],
)
def test_functions_in_c(spans: Recorded, function: Callable[..., Any], args: Any) -> None:
    """Functions and methods of C are traced, with or without a signature."""
    assert flash_otel.trace_call(function)(*args) == function(*args)
    assert spans.tree() == ["flash.call"]


def test_overloads_and_dispatch(spans: Recorded) -> None:
    """A function with overloads, and a generic function, stay what they are."""

    @overload
    def twice(value: int) -> int: ...
    @overload
    def twice(value: str) -> str: ...
    @flash_otel.trace_call
    def twice(value: int | str) -> int | str:
        return value * 2

    @flash_otel.trace_call
    @functools.singledispatch
    def kind(value: object) -> str:
        return type(value).__name__

    @kind.register
    def _(value: int) -> str:
        return f"int {value}"

    assert (twice(2), twice("a")) == (4, "aa")
    assert (kind("a"), kind(1)) == ("str", "int 1")
    assert spans.tree() == ["flash.call"] * 4
