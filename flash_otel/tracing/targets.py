"""The rows of a table of targets: functions of Flash to wrap, and how each is wrapped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import wrapt

if TYPE_CHECKING:
    from flash_otel.tracing import decorators
    from flash_otel.tracing.extractors import Source

Wrapper: TypeAlias = Callable[[Any], Any]
"""Takes a function and returns its replacement."""


@dataclass(frozen=True, slots=True)
class Target:
    """One function to wrap.

    Attributes:
        module: The module that defines the function.
        name: The function's name there; `Class.method` for a method.
        wrapper: Makes the replacement.
        aliases: Modules that import the function by name.
    """

    module: str
    name: str
    wrapper: Wrapper
    aliases: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """Every module and name that the function is bound to."""
        return ((self.module, self.name), *((alias, self.name) for alias in self.aliases))


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """A Typer application that holds some of the functions as its commands.

    Typer keeps the function object itself, so rebinding the name in its module has no effect.

    Attributes:
        module: The module that defines the application.
        name: The application's name there.
    """

    module: str
    name: str


def spanned(
    decorator: decorators.SpanDecorator, *, carrier: bool = False, **where: Source
) -> Wrapper:
    """Return a public decorator as the wrapper of a target."""
    return decorator.with_sources(where, carrier=carrier)


def tapped(wrapper: Callable[..., Any]) -> Wrapper:
    """Make the wrapper of a target without its own span; `wrapper` has the signature of wrapt."""

    def wrap(function: Any) -> Any:
        return wrapt.FunctionWrapper(function, wrapper)

    return wrap


def in_turn(*wrappers: Wrapper) -> Wrapper:
    """Make one wrapper of several, from the inside to the outside."""

    def wrap(function: Any) -> Any:
        for wrapper in wrappers:
            function = wrapper(function)
        return function

    return wrap
