"""A target: one function of Flash, the places that bind it, and the wrapper that it gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import wrapt

if TYPE_CHECKING:
    from flash_otel.tracing.decorators import SpanDecorator
    from flash_otel.tracing.extractors import Source

Wrapper: TypeAlias = Callable[[Any], Any]
"""Takes a function and returns what stands in its place."""


@dataclass(frozen=True, slots=True)
class Target:
    """One function to wrap.

    Attributes:
        module: The module that defines it.
        name: Its name there; `Class.method` for a method.
        wrapper: What puts the wrapper around it.
        aliases: Modules that bind it by from-import.
    """

    module: str
    name: str
    wrapper: Wrapper
    aliases: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """Every module and name under which the function is found."""
        return ((self.module, self.name), *((alias, self.name) for alias in self.aliases))


@dataclass(frozen=True, slots=True)
class Command:
    """A Typer application that holds some of the functions as registered commands.

    Typer keeps the function object itself: replacing the module's name changes nothing for it.
    """

    module: str
    name: str


def spanned(decorator: SpanDecorator, *, carrier: bool = False, **where: Source) -> Wrapper:
    """Make the wrapper that a public decorator would put around the function."""
    return decorator.with_sources(where, carrier=carrier)


def tapped(wrapper: Callable[..., Any]) -> Wrapper:
    """Make a wrapper that listens in, without a span of its own."""

    def wrap(function: Any) -> Any:
        return wrapt.FunctionWrapper(function, wrapper)

    return wrap
