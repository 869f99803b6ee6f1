"""Where the fields of a traced call are found: by name, by path, or by an extractor.

A source is a dotted path or a callable. A path begins with the name of a parameter, `self` (the
instance), `return` (the return value) or `answer` (the GraphQL answers that Flash received during
the call, by field); each further segment is a key or an attribute. A callable gets the `Call`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias

from flash_otel.runtime.process import is_hosts

MISSING: Final = object()
"""The result of a source that found nothing; None is a value that was found."""


class NotReturnedError(LookupError):
    """The result of a call was read before the call returned."""


class Call:
    """One call of a decorated function, as an extractor gets it.

    Attributes:
        instance: The object that a method was called on, or None.
        args: The positional arguments, without the instance.
        kwargs: The keyword arguments.
        answers: GraphQL answers received during the call, field -> value.
        requests: Variables of the GraphQL requests sent during the call, operation -> variables.
        error: The exception that the call raised; None before the end of the call, or if it
            returned.
    """

    __slots__ = (
        "_parameters",
        "_result",
        "answers",
        "args",
        "error",
        "instance",
        "kwargs",
        "requests",
    )

    def __init__(
        self,
        parameters: Parameters,
        instance: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._parameters = parameters
        self.instance: Any = instance
        self.args = args
        self.kwargs = kwargs
        self.answers: dict[str, Any] = {}
        self.requests: dict[str, Any] = {}
        self.error: BaseException | None = None
        self._result: Any = MISSING

    @property
    def returned(self) -> bool:
        """Whether the call has returned."""
        return self._result is not MISSING

    @property
    def result(self) -> Any:
        """The return value of the call.

        Raises:
            NotReturnedError: The call has not returned, or it raised.
        """
        if self._result is MISSING:
            raise NotReturnedError("the call has not returned")
        return self._result

    @result.setter
    def result(self, value: Any) -> None:
        self._result = value

    def argument(self, name: str) -> Any:
        """Return an argument by its parameter's name, however it was passed.

        Returns:
            The argument, else the parameter's default, else `MISSING`.
        """
        if name in self.kwargs:
            return self.kwargs[name]
        index = self._parameters.positions.get(name)
        if index is not None and index < len(self.args):
            return self.args[index]
        return self._parameters.defaults.get(name, MISSING)

    def replaced(self, name: str, value: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with one of them replaced, passed as the original was."""
        if name in self.kwargs:
            return self.args, {**self.kwargs, name: value}
        index = self._parameters.positions.get(name)
        if index is None or index >= len(self.args):
            # A default that was not passed: adding an argument would change the call.
            return self.args, self.kwargs
        return (*self.args[:index], value, *self.args[index + 1 :]), self.kwargs


class Parameters:
    """The parameters of a function, inspected once.

    Attributes:
        signature: The signature, without the instance of a method; None if it is unknown.
        positions: Name -> index among the positional parameters.
        defaults: Name -> default value.
        required: Number of positional parameters without a default.
        is_fixed: Whether all parameters are positional: counting the arguments then proves a call
            valid.
    """

    def __init__(self, function: Callable[..., Any], *, bound: bool) -> None:
        try:
            self.signature: inspect.Signature | None = inspect.signature(function)
        except Exception:  # `inspect` runs code of the object: its `__signature__`
            self.signature = None
        parameters = list(self.signature.parameters.values()) if self.signature else []
        if bound and parameters and parameters[0].kind in _POSITIONAL:
            parameters = parameters[1:]
            self.signature = self.signature and self.signature.replace(parameters=parameters)
        positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
        optional = [parameter for parameter in parameters if parameter.default is not _NO_DEFAULT]
        self.positions = {parameter.name: index for index, parameter in enumerate(positional)}
        self.defaults = {parameter.name: parameter.default for parameter in optional}
        self.required = sum(parameter.default is _NO_DEFAULT for parameter in positional)
        self.is_fixed = self.signature is not None and len(positional) == len(parameters)

    def accept(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Return False if the function does not accept these arguments."""
        if self.signature is None:
            return True
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError:
            return False
        return True

    def certainly_accept(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Return True if counting proves these arguments valid: `accept` is 100 times slower."""
        return self.is_fixed and not kwargs and self.required <= len(args) <= len(self.positions)


_NO_DEFAULT: Final = inspect.Parameter.empty
_POSITIONAL: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


ENDED: Final = Call(Parameters(lambda: None, bound=False), None, (), {})
"""Replaces a call that has ended: a scope must not keep its arguments alive."""

Extractor: TypeAlias = Callable[[Call], Any]
Source: TypeAlias = "str | Extractor | Sequence[str | Extractor]"


_START: Final[Mapping[str, Callable[[Any], Any]]] = {
    "return": attrgetter("_result"),
    "answer": attrgetter("answers"),
    "self": attrgetter("instance"),
}


def _step(value: Any, segment: str) -> Any:
    if value is MISSING or value is None:
        return MISSING
    # A dict is a Mapping, but the check of an abstract class takes ten times as long.
    if isinstance(value, (dict, Mapping)):
        return value.get(segment, MISSING)
    if segment.isdigit() and isinstance(value, Sequence):
        index = int(segment)
        return value[index] if index < len(value) else MISSING
    return getattr(value, segment, MISSING)


def compile_source(source: Source) -> tuple[Extractor, ...]:
    """Compile a source, or several that are tried in order, to extractors.

    Raises:
        ValueError: A path has an empty segment.
        TypeError: A source is neither a path nor a callable.
    """
    if isinstance(source, Sequence) and not isinstance(source, (str, bytes)):
        return tuple(_compile(item) for item in source)
    return (_compile(source),)


def _path(path: str) -> Extractor:
    """Compile a dotted path: it is split here, not at each call."""
    start, *segments = path.split(".")
    if not all((start, *segments)):
        raise ValueError(
            f"{path!r} is not a valid source: give a parameter's name, or a dotted path that "
            "begins with a parameter, self, return or answer"
        )
    begin = _START.get(start) or _argument(start)
    if not segments:
        return begin

    def follow(call: Call) -> Any:
        value = begin(call)
        for segment in segments:
            value = _step(value, segment)
        return value

    return follow


def _argument(name: str) -> Extractor:
    # A closure, not a `methodcaller`: calling Python from C costs twice as much (3.11).
    def find_argument(call: Call) -> Any:
        return call.argument(name)

    return find_argument


def _compile(source: object) -> Extractor:
    if isinstance(source, str):
        return _path(source)
    if callable(source):
        return source
    raise TypeError(
        "a source must be a dotted path, a callable or a list of these, "
        f"not {type(source).__name__}"
    )


def find(extractors: tuple[Extractor, ...], call: Call) -> Any:
    """Return the first value other than None that an extractor finds.

    Returns:
        The value; None if the extractors found only None, `MISSING` if they found nothing.
    """
    found = MISSING
    for extractor in extractors:
        try:
            value = extractor(call)
        except NotReturnedError:
            continue
        # A failing extractor has found nothing, whatever the host's objects raise.
        except BaseException as error:
            if is_hosts(error):
                raise
            continue
        if value is not MISSING and value is not None:
            return value
        found = value if value is None else found
    return found
