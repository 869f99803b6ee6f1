"""Where a decorated function's facts are found: by name, by path, or by an extractor.

A source is a dotted path or a callable. A path begins with the name of a parameter, `self` (the
instance), `return` (what the function returned) or `answer` (the GraphQL answers that Flash
received inside the call, by field); each further segment is a key or an attribute. A callable
gets the `Call`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias

MISSING: Final = object()
"""A source found nothing; None is something that was found."""


class NotReturnedError(LookupError):
    """An extractor asked for the result of a call that has not returned."""


class Call:
    """One call of a decorated function, as an extractor sees it.

    Attributes:
        instance: What a method was called on, or None.
        args: The positional arguments, without the instance.
        kwargs: The keyword arguments.
        answers: GraphQL answers received inside the call: field -> value.
        requests: Variables of the GraphQL requests made inside it: operation -> variables.
        error: What the call raised, once it has; else None.
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
        """Whether the function has returned."""
        return self._result is not MISSING

    @property
    def result(self) -> Any:
        """What the function returned.

        Raises:
            NotReturnedError: The function has not returned, or it raised.
        """
        if self._result is MISSING:
            raise NotReturnedError("the call has not returned")
        return self._result

    @result.setter
    def result(self, value: Any) -> None:
        self._result = value

    def argument(self, name: str) -> Any:
        """Find an argument by its parameter's name, however it was passed; or its default."""
        if name in self.kwargs:
            return self.kwargs[name]
        index = self._parameters.positions.get(name)
        if index is not None and index < len(self.args):
            return self.args[index]
        return self._parameters.defaults.get(name, MISSING)

    def replaced(self, name: str, value: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with one of them replaced, passed in the way it was passed."""
        if name in self.kwargs:
            return self.args, {**self.kwargs, name: value}
        index = self._parameters.positions.get(name)
        if index is None or index >= len(self.args):
            return self.args, self.kwargs
        return (*self.args[:index], value, *self.args[index + 1 :]), self.kwargs


class Parameters:
    """The parameters of a function, read once.

    Attributes:
        positions: Name -> index among the positional parameters (a method's without self).
        defaults: Name -> default value.
        required: How many positional parameters have no default.
        fixed: Whether the parameters are all positional, so that a count tells a valid call.
    """

    def __init__(self, function: Callable[..., Any], *, bound: bool) -> None:
        try:
            self.signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):
            self.signature = None
        listed = list(self.signature.parameters.values()) if self.signature else []
        if bound and listed and listed[0].kind in _POSITIONAL:
            listed = listed[1:]
            self.signature = self.signature and self.signature.replace(parameters=listed)
        positional = [one for one in listed if one.kind in _POSITIONAL]
        self.positions = {one.name: index for index, one in enumerate(positional)}
        self.defaults = {one.name: one.default for one in listed if one.default is not one.empty}
        self.required = sum(one.default is one.empty for one in positional)
        self.fixed = self.signature is not None and len(positional) == len(listed)

    def accept(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Tell whether a call is valid, as far as the signature is known."""
        if self.signature is None:
            return True
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError:
            return False
        return True

    def certainly_accept(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Tell cheaply that a call is valid; False means that it may not be."""
        return self.fixed and not kwargs and self.required <= len(args) <= len(self.positions)


_POSITIONAL: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


ENDED: Final = Call(Parameters(lambda: None, bound=False), None, (), {})
"""What is left of a call that has ended."""

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
    if isinstance(value, (dict, Mapping)):
        return value.get(segment, MISSING)
    if segment.isdigit() and isinstance(value, Sequence):
        index = int(segment)
        return value[index] if index < len(value) else MISSING
    return getattr(value, segment, MISSING)


def compile_source(source: Source) -> tuple[Extractor, ...]:
    """Turn a source, or several to be tried in order, into extractors.

    Raises:
        ValueError: A path has an empty segment.
        TypeError: Something is neither a path nor a callable.
    """
    if isinstance(source, Sequence) and not isinstance(source, (str, bytes)):
        return tuple(_compile_one(one) for one in source)
    return (_compile_one(source),)


def _path(path: str) -> Extractor:
    """Take a dotted path apart, once."""
    start, *segments = path.split(".")
    if not all((start, *segments)):
        raise ValueError(
            f"{path!r} is no source: give a parameter's name, or a dotted path that begins "
            "with one or with self, return or answer"
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
    # A closure, not a `methodcaller`: from C, a call back into Python costs twice as much (3.11).
    def find_argument(call: Call) -> Any:
        return call.argument(name)

    return find_argument


def _compile_one(source: object) -> Extractor:
    if isinstance(source, str):
        return _path(source)
    if callable(source):
        return source
    raise TypeError(
        f"a source is a dotted path, a callable or a list of these, not {type(source).__name__}"
    )


def find(extractors: tuple[Extractor, ...], call: Call) -> Any:
    """Ask each extractor in turn; MISSING where none of them finds anything but None."""
    found = MISSING
    for extractor in extractors:
        try:
            value = extractor(call)
        except Exception:  # noqa: S112 - an extractor that fails has found nothing
            continue
        if value is not MISSING and value is not None:
            return value
        found = value if value is None else found
    return found
