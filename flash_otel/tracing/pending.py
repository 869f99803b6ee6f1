"""What `instrument()` leaves until Flash is imported: hooks, and the start of tracing.

Flash calls `instrument()` in its own `__init__`, which takes 50 ms. OpenTelemetry and wrapt alone
would triple that, so they are imported with the first target: a module with functions to wrap.
This module, and what it imports, need the standard library alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel.runtime.import_hooks import ImportHook
from flash_otel.runtime.process import ProcessVar, forks_held_off, guarded

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

SUCCESSOR_MODULES: Final = ("runpod.apps.deploy", "runpod.apps.api", "runpod.apps.targets")
"""The modules of runpod 2 that have targets: its table is imported with the first of them."""

TARGET_MODULES: Final = (
    *(
        f"runpod_flash.{name}"
        for name in (
            *("cli.commands.build", "cli.commands.build_utils.manifest", "cli.commands.deploy"),
            *("cli.main", "cli.utils.deployment", "core.api.runpod", "core.resources.app"),
            *("core.resources.load_balancer_sls_resource", "core.resources.request_logs"),
            *("core.resources.resource_manager", "core.resources.serverless", "core.utils.http"),
            *("flash_sentinel", "runtime.production_wrapper", "runtime.service_registry"),
            *("runtime.state_manager_client", "stubs.load_balancer_sls"),
        )
    ),
    *("runpod.serverless", "starlette.applications"),
    *SUCCESSOR_MODULES,
)
"""All modules that have targets, or bind their names."""

_start: Final[ProcessVar[Callable[[], None] | None]] = ProcessVar(lambda: None)
_apply: Final[ProcessVar[Callable[[ModuleType], None] | None]] = ProcessVar(lambda: None)


def postpone(start: Callable[[], None]) -> None:
    """Call `start` when tracing is needed: with the first target, or a decorator."""
    _start.value = start
    hook.install()


def is_waiting() -> bool:
    """Return whether a postponed start has not been called yet."""
    return _start.value is not None


def is_needed() -> bool:
    """Return whether tracing cannot be postponed, because a target is imported already."""
    return bool(hook.imported())


def complete() -> bool:
    """Call the postponed start; return False if there is none."""
    if _start.value is None:
        return False
    # A thread that imports another target meanwhile has to find it wrapped.
    with forks_held_off():
        start, _start.value = _start.value, None
        if start is not None:
            with guarded("the start of tracing"):
                start()
        return start is not None


def cancel() -> None:
    """Forget the postponed start."""
    _start.value = None
    hook.remove()


def on_target(apply: Callable[[ModuleType], None]) -> None:
    """Call `apply` with each target module: now, if it is imported already, else when it is."""
    _apply.value = apply
    hook.install()
    for module in hook.imported():
        apply(module)


def _imported(module: ModuleType) -> None:
    with forks_held_off():
        # The start applies to this module, too.
        if not complete() and _apply.value is not None:
            _apply.value(module)


hook: Final = ImportHook(TARGET_MODULES, _imported)
"""Watches the imports of the targets, from `instrument()` to `uninstrument()`."""
