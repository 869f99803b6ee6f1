"""FlashInstrumentor: applies the table of targets to the installed Flash, and takes it back.

Nothing is imported for the user: a target's module gets its wrappers when it is imported, before
or after `instrument()`. What is put back on removal is the very entry that was there.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import wrapt
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from flash_otel.pipeline import pipeline
from flash_otel.runtime import forks
from flash_otel.runtime import options as opts
from flash_otel.runtime.guard import logger, swallowed
from flash_otel.tracing import links
from flash_otel.tracing.flash import COMMANDS, TARGETS, Command, Target, graphql, tapped
from flash_otel.tracing.package import _instruments
from flash_otel.tracing.proxy import wrap
from flash_otel.tracing.wrapper import Traced

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import ModuleType

_INHERITED: Final = object()


@dataclass(frozen=True, slots=True)
class _Applied:
    """One place that was changed, and what stood there."""

    owner: Any
    name: str
    original: Any

    def undo(self) -> None:
        """Put the original back, or take ours away where the attribute was inherited."""
        if self.original is _INHERITED:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.original)


class FlashInstrumentor(BaseInstrumentor):
    """Traces runpod-flash 1.0.0 to 1.21.0 (OpenTelemetry's `BaseInstrumentor`).

    `FlashInstrumentor().instrument()` without arguments does what `opentelemetry-instrument` does.
    """

    _applied: list[_Applied]
    _wrappers: dict[int, tuple[Any, Any]]
    _hooked: bool = False
    _active: bool = False
    _targets: tuple[Target, ...] = TARGETS

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the packages that are instrumented, with the versions that are known."""
        return _instruments

    def instrument(self, **kwargs: Any) -> None:
        """Apply the targets; nothing happens when they are applied already.

        The dependency check is skipped by default: a worker's Flash has no package metadata.

        Args:
            **kwargs: `tracer_provider`, `legacy_logs`, `propagation`, `store` and
                `capture_graphql`, as for `flash_otel.instrument`; and BaseInstrumentor's own.

        Raises:
            ValueError: `propagation` is none of auto, link and parent.
        """
        if not self.is_instrumented_by_opentelemetry:
            super().instrument(**{"skip_dep_check": True, **kwargs})

    def uninstrument(self, **kwargs: Any) -> None:
        """Put every target back; nothing happens when none is applied."""
        if self.is_instrumented_by_opentelemetry:
            super().uninstrument(**kwargs)

    def _instrument(self, **kwargs: Any) -> None:
        options = opts.resolve(
            tracer_provider=kwargs.get("tracer_provider"),
            legacy_logs=kwargs.get("legacy_logs"),
            propagation=kwargs.get("propagation"),
            store=kwargs.get("store"),
            capture_graphql=kwargs.get("capture_graphql", False),
        )
        if opts.is_disabled():
            return
        with forks.held_off():
            links.read_process_parent()
            pipeline.configure(options)
            self._targets = _capturing(TARGETS) if options.capture_graphql else TARGETS
            self._applied, self._wrappers = [], {}
            self._active = True
            self._hook()

    def _uninstrument(self, **_kwargs: Any) -> None:
        with forks.held_off():
            self._active = False
            for applied in reversed(getattr(self, "_applied", [])):
                try:
                    applied.undo()
                except Exception:
                    swallowed(f"the removal from {applied.name}")
            self._applied, self._wrappers = [], {}
        pipeline.deconfigure()

    def _hook(self) -> None:
        """Apply what is imported already, and be called for what is imported later."""
        modules = dict.fromkeys(module for target in self._targets for module, _ in target.places)
        for command in COMMANDS:
            modules.setdefault(command.module)
        for module in modules:
            if self._hooked:
                self._apply_if_imported(module)
            else:
                # wrapt's hooks cannot be taken back: they ask whether they are still wanted.
                wrapt.register_post_import_hook(self._apply, module)
        self._hooked = True

    def _apply_if_imported(self, name: str) -> None:
        module = sys.modules.get(name)
        if module is not None:
            self._apply(module)

    def _apply(self, module: ModuleType) -> None:
        """Wrap the targets of a module that has been imported."""
        if not self._active:
            return
        with forks.held_off():
            for target in self._targets:
                for place, name in target.places:
                    if place == module.__name__:
                        self._guarded(self._wrap, module, name, target)
            for command in COMMANDS:
                if command.module == module.__name__:
                    self._guarded(self._wrap_commands, module, command)

    def _guarded(self, action: Any, *args: Any) -> None:
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
            # Bound by from-import from a module that was wrapped before.
            self._applied.append(_Applied(owner, last, current.__wrapped__))
            return
        if _is_ours(current):
            return
        self._applied.append(_Applied(owner, last, here))
        setattr(owner, last, self._wrapper_of(current, target))

    def _wrapper_of(self, function: Any, target: Target) -> Any:
        """Return the one wrapper of a function, wherever it is bound."""
        if id(function) not in self._wrappers:
            self._wrappers[id(function)] = (function, target.wrapper(function))
        return self._wrappers[id(function)][1]

    def _wrap_commands(self, module: ModuleType, command: Command) -> None:
        """Reach the functions that a Typer application holds as its commands."""
        for registered in _commands_of(getattr(module, command.name)):
            callback = registered.callback
            original = getattr(callback, "__wrapped__", callback)
            known = self._wrappers.get(id(original))
            if known is not None:
                self._applied.append(_Applied(registered, "callback", original))
                registered.callback = known[1]


def _commands_of(app: Any) -> list[Any]:
    """List the commands of a Typer application and of its groups (1.0.0: `flash deploy send`)."""
    found = list(getattr(app, "registered_commands", ()))
    for group in getattr(app, "registered_groups", ()):
        found.extend(_commands_of(group.typer_instance))
    return found


def _is_ours(function: Any) -> bool:
    """Tell whether a function carries one of our decorators already, put there by hand."""
    return isinstance(getattr(function, "_self_wrapper", None), Traced)


def _capturing(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    """Let each GraphQL request be a span: where Flash has one function per request, around it."""
    name = "RunpodGraphQLClient._execute_graphql_once"
    (once,) = (target for target in targets if target.name == name)
    listening = tapped(graphql.note_attempt)

    def both(function: Any) -> Any:
        return listening(wrap(function, graphql.captured(function)))

    captured = Target(once.module, once.name, both, once.aliases)
    return tuple(captured if target is once else target for target in targets)
