"""The instrumentor: it wraps the functions of Flash, and restores them.

It wraps the targets of the installed Flash, and restores them. Nothing is
imported for the user: the functions of a module are wrapped when it is imported, before or after
`instrument()`. Removal restores the original entry of the `__dict__`, because
`opentelemetry.instrumentation.utils.unwrap` does not restore staticmethods, classmethods and
inherited names.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from importlib import util
from typing import TYPE_CHECKING, Any, Final

from flash_otel import pipeline
from flash_otel.runtime import options as opts
from flash_otel.runtime.instrumentation import BaseInstrumentor
from flash_otel.runtime.process import forks_held_off, logger, swallowed
from flash_otel.tracing import flash, links, pending
from flash_otel.tracing.decorators import complete, wrap
from flash_otel.tracing.targets import CommandTarget, Target, tapped
from flash_otel.tracing.wrapper import Traced

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import ModuleType


# The name that OpenTelemetry's instrumentations declare their packages under.
_instruments: Final = ("runpod-flash >= 1.0, < 2",)
# Any of them is enough: every runpod-flash requires runpod, of whichever version.
_instruments_any: Final = (*_instruments, "runpod >= 2.0.0rc2, < 3")

# The keyword arguments of `instrument`; BaseInstrumentor passes its own along with them.
_OPTIONS: Final = (
    "tracer_provider",
    "legacy_logs",
    "propagation",
    "store",
    "capture_graphql",
    "summary",
)
_INHERITED: Final = object()


@dataclass(frozen=True, slots=True)
class _Applied:
    """A wrapped function: where it is bound, and the original entry."""

    owner: Any
    name: str
    original: Any

    def undo(self) -> None:
        """Restore the original, or delete the wrapper if the attribute was inherited."""
        if self.original is _INHERITED:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.original)


class FlashInstrumentor(BaseInstrumentor):
    """Instruments runpod-flash 1 and runpod 2 (an OpenTelemetry `BaseInstrumentor`).

    `FlashInstrumentor().instrument()` without arguments does what `opentelemetry-instrument` does.
    """

    _applied: list[_Applied]
    _wrappers: dict[int, tuple[Any, Any]]
    _is_active: bool = False
    _targets: tuple[Target, ...] = flash.TARGETS
    _captures: bool = False

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether tracing is active: what `flash_otel.instrument()` postponed is due now."""
        pending.complete()
        return bool(super().is_instrumented_by_opentelemetry)

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the instrumented packages, with the supported versions.

        OpenTelemetry requires all that are returned: the one that is installed, where it is one.
        """
        if _is_there("runpod_flash"):
            return _instruments
        return _instruments_any[1:] if _is_there("runpod") else _instruments_any

    def instrument(self, **kwargs: Any) -> None:
        """Wrap the targets; does nothing if they are wrapped already.

        The dependency check is skipped by default: a worker's Flash has no package metadata.

        Args:
            **kwargs: `tracer_provider`, `legacy_logs`, `propagation`, `store`, `capture_graphql`
                and `summary`, as for `flash_otel.instrument`; and BaseInstrumentor's own.

        Raises:
            ValueError: `propagation` is not auto, link or parent.
        """
        if not self.is_instrumented_by_opentelemetry:
            super().instrument(**{"skip_dep_check": True, **kwargs})

    def uninstrument(self, **kwargs: Any) -> None:
        """Restore every target; does nothing if none is wrapped."""
        if self.is_instrumented_by_opentelemetry:
            super().uninstrument(**kwargs)

    def _instrument(self, **kwargs: Any) -> None:
        given = {name: kwargs[name] for name in _OPTIONS if name in kwargs}
        # `flash_otel.instrument()` has read them, maybe some time ago.
        options = kwargs.get("options") or opts.resolve(**given)
        if opts.is_disabled():
            return
        # A child that is forked in between would inherit half of the wrappers.
        with forks_held_off():
            links.read_process_parent(kwargs.get("environ", os.environ))
            pipeline.configure(options)
            self._captures = options.capture_graphql
            self._targets = self._table(flash.TARGETS)
            self._applied, self._wrappers = [], {}
            self._is_active = True
            pending.on_target(self._apply)
            if opts.in_worker():
                # It has no hook: most programs import it, and few of them import Flash.
                from concurrent.futures import thread

                self._apply(thread)

    def _uninstrument(self, **_kwargs: Any) -> None:
        with forks_held_off():
            self._is_active = False
            pending.cancel()
            for applied in reversed(getattr(self, "_applied", [])):
                try:
                    applied.undo()
                except Exception:
                    swallowed(f"the removal from {applied.name}")
            self._applied, self._wrappers = [], {}
        pipeline.deconfigure()

    def _apply(self, module: ModuleType) -> None:
        """Wrap the targets of an imported module."""
        # An import that has begun outlives `uninstrument()`.
        if not self._is_active:
            return
        with forks_held_off():
            for target in self._targets_of(module.__name__):
                for place, name in target.places:
                    if place == module.__name__:
                        self._guarded(self._wrap, module, name, target)
            for command in flash.COMMANDS:
                if command.module == module.__name__:
                    self._guarded(self._wrap_commands, module, command)

    def _targets_of(self, module: str) -> tuple[Target, ...]:
        if module not in pending.SUCCESSOR_MODULES:
            return self._targets
        from flash_otel.tracing import runpod2

        return self._table(runpod2.TARGETS)

    def _table(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        return _capturing(targets) if self._captures else targets

    def _guarded(self, action: Callable[..., None], *args: Any) -> None:
        try:
            action(*args)
        except Exception:
            swallowed(f"{action.__name__} of {args[0].__name__}")

    def _wrap(self, module: ModuleType, name: str, target: Target) -> None:
        owner: Any = module
        *path, last = name.split(".")
        for segment in path:
            owner = getattr(owner, segment, None)
        if owner is None or not hasattr(owner, last):
            logger.debug("flash_otel: this Flash has no %s.%s", module.__name__, name)
            return
        here = vars(owner).get(last, _INHERITED)
        current = getattr(owner, last) if here is _INHERITED else here
        if id(current) in {id(wrapper) for _, wrapper in self._wrappers.values()}:
            # The module imported the wrapper from a module that was wrapped before.
            self._applied.append(_Applied(owner, last, current.__wrapped__))
            return
        self._applied.append(_Applied(owner, last, here))
        setattr(owner, last, self._wrapper_of(current, target))

    def _wrapper_of(self, function: Any, target: Target) -> Any:
        """Return the wrapper of a function: the same wherever the function is bound."""
        if id(function) not in self._wrappers:
            self._wrappers[id(function)] = (function, _wrapped(function, target))
        return self._wrappers[id(function)][1]

    def _wrap_commands(self, module: ModuleType, command: CommandTarget) -> None:
        """Wrap functions that a Typer application holds as its commands."""
        for registered in _commands_of(getattr(module, command.name)):
            callback = registered.callback
            original = getattr(callback, "__wrapped__", callback)
            known = self._wrappers.get(id(original))
            # Wrapped by its module's hook before: `cli.main` imports the commands.
            if known is not None:
                self._applied.append(_Applied(registered, "callback", original))
                registered.callback = known[1]


def _is_there(package: str) -> bool:
    # `find_spec` raises for a module that was made by hand.
    return package in sys.modules or util.find_spec(package) is not None


def _commands_of(app: Any) -> list[Any]:
    """List the commands of a Typer application and of its groups (1.0.0: `flash deploy send`)."""
    found = list(getattr(app, "registered_commands", ()))
    for group in getattr(app, "registered_groups", ()):
        found.extend(_commands_of(group.typer_instance))
    return found


def _is_decorated(function: Any) -> bool:
    """Return True if the user has put one of our decorators on a function."""
    return isinstance(getattr(function, "_self_wrapper", None), Traced)


def _wrapped(function: Any, target: Target) -> Any:
    """Wrap a function once: a decorator of Flash's own keeps its sources, and gets the others."""
    if _is_decorated(function):
        return complete(function, target.wrapper(function.__wrapped__))
    return target.wrapper(function)


def _capturing(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    """Make each GraphQL request a span, by wrapping the functions that send a request once."""
    noting = tapped(flash.graphql.note_attempt)

    def wrapper(function: Any) -> Any:
        return noting(wrap(function, flash.graphql.captured(function)))

    return tuple(
        replace(target, wrapper=wrapper) if target.name in _SENDING_ONCE else target
        for target in targets
    )


# Of runpod-flash, and of runpod 2.
_SENDING_ONCE: Final = ("RunpodGraphQLClient._execute_graphql_once", "run_graphql_query_async")
