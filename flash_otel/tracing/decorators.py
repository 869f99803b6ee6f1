"""The public decorators: each puts a span around a function of your own.

Keyword arguments specify where a field of the span is found, by name or by an extractor:

    @trace_upload(build_id="build.id", manifest="payload")
    async def push(build, payload): ...


    @trace_activate(environment_id=lambda call: call.instance.environment)
    def promote(self, build_id): ...

A source is the name of a parameter, a dotted path that begins with a parameter (or with `self`,
`return` or `answer`), or a callable that gets the `Call`. A field without a source is looked up
under its usual names. A field that is not found is left out; a call never raises because of it.
"""

from __future__ import annotations

import copy
import functools
import pickle
import pkgutil
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import AsyncContextDecorator, ContextDecorator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import wrapt

from flash_otel.pipeline import is_off
from flash_otel.tracing import specs
from flash_otel.tracing.attributes import AttributeSpec, Fields
from flash_otel.tracing.extractors import Source, compile_source
from flash_otel.tracing.wrapper import Traced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # wrapt 2 is generic for type checkers only; wrapt 1 is not generic at all.
    _Function = wrapt.FunctionWrapper[..., Any]
    _Bound = wrapt.BoundFunctionWrapper[..., Any]
else:
    _Function = wrapt.FunctionWrapper
    _Bound = wrapt.BoundFunctionWrapper

F = TypeVar("F", bound="Callable[..., Any]")

# Not callable themselves, but their attribute lookup returns functions.
_METHODS: Final = (classmethod, staticmethod)

# An endpoint mapping with a source replaces the manifest, unless that has a source, too.
_REPLACES: Final = {"endpoints": "manifest"}


class TracedMethod(_Bound):
    """A traced function that is looked up on an instance or on a class."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function, in a span unless tracing is off."""
        if is_off():
            return self.__wrapped__(*args, **kwargs)
        return super().__call__(*args, **kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if _owner(self) is not None:
            return self.__wrapped__.__reduce_ex__(protocol)
        if "<locals>" in self.__qualname__:
            raise pickle.PicklingError(f"Can't pickle local object {self.__qualname__!r}")
        return pkgutil.resolve_name, (f"{self.__module__}:{self.__qualname__}",)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        owner = _owner(self)
        return self if owner is None else getattr(copy.deepcopy(owner, memo), self.__name__)


class TracedFunction(_Function):
    """The transparent proxy of a traced function; it pickles and copies like the function.

    wrapt's own proxies refuse both, but a function that a process pool or cloudpickle accepts must
    still be accepted when it is decorated. When tracing is off, the proxy calls the function
    directly: through wrapt the call would take four times as long (0.6 us).
    """

    __bound_function_wrapper__ = TracedMethod

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function, in a span unless tracing is off."""
        if is_off():
            return self.__wrapped__(*args, **kwargs)
        traced: Traced = self._self_wrapper  # type: ignore[assignment]  # only `wrap` makes these
        return traced.call(self.__wrapped__, traced.owner, args, kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # By name, as functions are pickled; a partial has none and pickles as itself.
        name = getattr(self.__wrapped__, "__qualname__", None)
        return self.__wrapped__.__reduce_ex__(protocol) if name is None else name

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> Any:
        return self


def wrap(function: Any, traced: Traced) -> Any:
    """Return the proxy of a function, method, classmethod or staticmethod."""
    return TracedFunction(function, traced)


def complete(decorated: Any, known: Any) -> Any:
    """Return a decorated function with the sources of another wrapper of it where it has none.

    Args:
        decorated: The function with a decorator.
        known: The function as a row of a table of targets wraps it.

    Returns:
        The function with one decorator; `decorated` itself if the row makes another kind of span.
    """
    own, row = decorated._self_wrapper, getattr(known, "_self_wrapper", None)  # noqa: SLF001 - wrapt's name
    if not isinstance(row, Traced) or row.spec is not own.spec:
        return decorated

    def merged(mine: Mapping[str, AttributeSpec], theirs: Mapping[str, AttributeSpec]) -> Any:
        return {
            name: field if name in own.given else theirs.get(name, field)
            for name, field in mine.items()
        }

    fields = Fields(*map(merged, own.fields, row.fields))
    function = decorated.__wrapped__
    return wrap(function, Traced(function, own.spec, fields, own.carrier or row.carrier, own.given))


# The return types of functions that `contextlib.contextmanager` decorates. They are callable, as
# decorators.
_MANAGERS: Final = (ContextDecorator, AsyncContextDecorator)

# Advice for an object that is not a function, by its type; the first match wins.
_ADVICE: Final[tuple[tuple[tuple[type, ...], str], ...]] = (
    ((property, functools.cached_property), "write this decorator below that one"),
    (
        (functools.partialmethod, functools.singledispatchmethod),
        "decorate the function that it is made of",
    ),
    (_MANAGERS, "decorate the function that returns it"),
    (_METHODS, "a staticmethod cannot call it: remove one of the two"),
    ((type,), "decorate its methods, such as __init__ or __call__"),
    (
        (Coroutine, Generator, AsyncGenerator),
        "decorate the function, not the result of its call",
    ),
    ((object,), "give the sources of its fields by keyword: field=source"),
)


def _refuse(target: Any, decorator: str) -> None:
    """Raise `TypeError`, with advice, for an object whose calls cannot be traced."""
    function = target.__func__ if isinstance(target, _METHODS) else target
    if callable(function) and not isinstance(function, (type, *_MANAGERS)):
        return
    kind = "a class" if isinstance(function, type) else type(function).__name__
    advice = next(advice for types, advice in _ADVICE if isinstance(function, types))
    raise TypeError(f"{decorator}() decorates a function, not {kind}; {advice}")


def _owner(method: Any) -> Any:
    return getattr(method.__wrapped__, "__self__", None)


class SpanDecorator:
    """Puts one kind of span around a function; used with or without arguments.

    It decorates functions, coroutine functions, generator functions of both kinds, methods,
    classmethods, staticmethods, and functions of `contextlib.contextmanager`. The signature, the
    return value and a raised exception do not change. The span of a generator lasts as
    long as its body, that of a context manager as long as its `with` block. Without
    `instrument()`, spans go to the provider that the application has set; without a provider, the
    function is just called.
    """

    def __init__(self, name: str, spec: specs.SpanSpec, doc: str) -> None:
        self.spec = spec
        self.__name__ = self.__qualname__ = name
        self.__module__ = "flash_otel"
        self.__doc__ = f"{doc}\n\nSpan: `{spec.name}`. Fields: {', '.join(spec.field_names)}."

    @overload
    def __call__(self, function: F, /) -> F: ...

    @overload
    def __call__(
        self, function: None = None, /, *, carrier: bool | str = False, **where: Source
    ) -> Callable[[F], F]: ...

    def __call__(
        self, function: Any = None, /, *, carrier: bool | str = False, **where: Source
    ) -> Any:
        """Decorate a function, or return the decorator.

        Args:
            function: The function, if the decorator is used without arguments.
            carrier: For `trace_upload` inside a `trace_deploy`: put the deployment's context into
                a copy of the manifest, under the key `_flash_otel`. A string names the parameter
                that holds the manifest (True: `manifest`).
            **where: Field -> source.

        Raises:
            TypeError: The span has no such field, a source is neither a path nor a callable, or
                the decorated object is not a function.
            ValueError: A path has an empty segment.
        """
        decorate = self.with_sources(where, carrier=carrier)
        return decorate if function is None else decorate(function)

    def with_sources(
        self, where: Mapping[str, Source], *, carrier: bool | str = False
    ) -> Callable[[Any], Any]:
        """Return the decorator with these sources; arguments and errors as for a call."""
        fields = self.fields(where)
        parameter = self._carrier_parameter(carrier)

        def decorate(target: Any) -> Any:
            try:
                _refuse(target, self.__name__)
                return wrap(target, Traced(target, self.spec, fields, parameter, frozenset(where)))
            except TypeError:
                raise
            except Exception as error:
                # A proxy whose object is not there yet, such as werkzeug's outside of a request.
                raise TypeError(
                    f"{self.__name__}() decorates a function, not {type(target).__name__}, whose "
                    f"attributes cannot be read ({type(error).__name__}); decorate a function "
                    "that calls it"
                ) from error

        return decorate

    def __repr__(self) -> str:
        return f"<flash_otel.{self.__name__}: {self.spec.name}>"

    def fields(self, where: Mapping[str, Source]) -> Fields:
        """Return the span's fields with these sources; errors as for a call."""
        known = self.spec.field_names
        unknown = sorted(where.keys() - set(known))
        if unknown:
            raise TypeError(
                f"{self.__name__}() has no field {unknown[0]!r}; its fields are {', '.join(known)}"
            )
        dropped = {
            other for name, other in _REPLACES.items() if name in where and other not in where
        }
        start, end = self.spec.fields
        return Fields(_with_sources(start, where, dropped), _with_sources(end, where, dropped))

    def _carrier_parameter(self, carrier: bool | str) -> str | None:
        if not carrier:
            return None
        if not self.spec.writes_manifest:
            raise TypeError(f"{self.__name__}() uploads no manifest, so it has no carrier")
        return "manifest" if carrier is True else carrier


def _with_sources(
    fields: Mapping[str, AttributeSpec], where: Mapping[str, Source], dropped: set[str]
) -> dict[str, AttributeSpec]:
    return {
        name: replace(spec, sources=compile_source(where[name])) if name in where else spec
        for name, spec in fields.items()
        if name not in dropped
    }


trace_deploy = SpanDecorator(
    "trace_deploy",
    specs.DEPLOY,
    "Trace a whole deployment: the root of the write path.\n\nInside an open deployment, a call "
    "opens no span of its own and adds its fields to the open span.",
)
trace_build = SpanDecorator("trace_build", specs.BUILD, "Trace the packaging of a project.")
trace_artifact_upload = SpanDecorator(
    "trace_artifact_upload",
    specs.ARTIFACT_UPLOAD,
    "Trace the upload of an artifact and its finalization.\n\nOther libraries' HTTP "
    "instrumentation is suppressed during the call: the presigned URL is a credential.",
)
trace_activate = SpanDecorator(
    "trace_activate", specs.ACTIVATE, "Trace the activation of a build on an environment."
)
trace_provision = SpanDecorator(
    "trace_provision", specs.PROVISION, "Trace the provisioning of a deployment's endpoints."
)
trace_provision_endpoint = SpanDecorator(
    "trace_provision_endpoint", specs.PROVISION_ENDPOINT, "Trace the provisioning of one endpoint."
)
trace_upload = SpanDecorator(
    "trace_upload", specs.MANIFEST_UPLOAD, "Trace the upload of a manifest to the State Manager."
)
trace_runtime_fetch = SpanDecorator(
    "trace_runtime_fetch",
    specs.RUNTIME_FETCH,
    "Trace a worker's refresh of its endpoint registry: the root of the read path.\n\nA process's "
    "first fetch may continue the deployment's trace; every other fetch links to it.",
)
trace_manifest_fetch = SpanDecorator(
    "trace_manifest_fetch",
    specs.MANIFEST_FETCH,
    "Trace one attempt to fetch environment and manifest from the State Manager.",
)
trace_call = SpanDecorator(
    "trace_call", specs.CALL, "Trace the routing of a function call, and the remote call."
)
