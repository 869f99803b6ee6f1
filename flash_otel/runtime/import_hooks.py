"""Calls an action after the import of some modules, with the standard library alone.

wrapt has such hooks, too. But its import takes as long as that of a small package, and a hook
stands for a program that may never import any of its modules.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class ImportHook:
    """A finder of `sys.meta_path` that finds nothing by itself: other finders' specs pass it.

    Args:
        modules: The dotted names of the modules.
        action: Called with each of them after its code has run, at a reload, too. The import waits
            for it, and fails with its exception.
    """

    def __init__(self, modules: Collection[str], action: Callable[[ModuleType], None]) -> None:
        self._modules = tuple(dict.fromkeys(modules))
        self._action = action
        self._searches = _Searches()
        self._running: set[str] = set()

    def install(self) -> None:
        """Watch the imports from now on. Idempotent."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def remove(self) -> None:
        """Stop watching. Idempotent; the action still follows an import that has begun."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def imported(self) -> list[ModuleType]:
        """Return the modules that are imported already, but for those that the hook waits for."""
        found = (sys.modules.get(name) for name in self._modules if name not in self._running)
        return [module for module in found if module is not None]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that another finder finds, with a loader that calls the action."""
        searched = self._searches.names
        if name not in self._modules or name in searched:
            return None
        # Another library's hook may search all of `sys.meta_path` again.
        searched.add(name)
        try:
            spec = self._search(name, path, target)
        finally:
            searched.discard(name)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _HookedLoader(spec.loader, self)  # type: ignore[assignment]  # a proxy
        return spec

    def _search(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find is None else find(name, path, target)
            if spec is not None:
                return spec
        return None

    def run(self, loader: Any, module: ModuleType) -> None:
        """Run the code of a module, then the action."""
        self._running.add(module.__name__)
        try:
            loader.exec_module(module)
        finally:
            self._running.discard(module.__name__)
        self._action(module)


class _Searches(threading.local):
    """The modules that the current thread is searching for."""

    def __init__(self) -> None:
        self.names: set[str] = set()


class _HookedLoader:
    """Stands for a loader until the module's code runs: no code sees it in a module."""

    def __init__(self, loader: Any, hook: ImportHook) -> None:
        self._loader = loader
        self._hook = hook

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        """Restore the real loader, then run the module's code and the action."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._hook.run(self._loader, module)
