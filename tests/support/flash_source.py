"""The functions of a version of Flash, read from its source without importing it."""

from __future__ import annotations

import ast
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flash_otel.demo.environment import PythonEnvironment

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_PACKAGE = "runpod_flash"


def packages_of(environment: PythonEnvironment, package: str = _PACKAGE) -> Path:
    """Return the folder that holds an environment's `runpod_flash`, or another package."""
    (found,) = environment.python.parent.parent.rglob(f"site-packages/{package}")
    return found.parent


@cache
def names_in(packages: Path, module: str) -> dict[str, frozenset[str]]:
    """Return what a module has at its top level, and its classes' methods.

    Returns:
        Name -> names of its parameters (none for what is bound by an import).
    """
    file = packages.joinpath(*module.split(".")).with_suffix(".py")
    return dict(_names(_parsed(file).body, "")) if file.exists() else {}


def modules_binding(packages: Path, name: str, package: str = _PACKAGE) -> set[str]:
    """Return the modules that bind a function by from-import when they are imported."""
    files = [
        path for path in packages.joinpath(package).rglob("*.py") if "templates" not in str(path)
    ]
    return {
        ".".join(file.relative_to(packages).with_suffix("").parts)
        for file in files
        if name in _bound(packages, file)
    }


@cache
def _bound(_packages: Path, file: Path) -> frozenset[str]:
    return frozenset(name for name, _ in _imported(_parsed(file).body))


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _names(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, frozenset[str]]]:
    for node in body:
        if isinstance(node, _FUNCTIONS):
            arguments = node.args
            listed = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
            yield prefix + node.name, frozenset(parameter.arg for parameter in listed)
        elif isinstance(node, ast.ClassDef):
            yield from _names(node.body, f"{node.name}.")
    yield from _imported(body)


def _imported(body: list[ast.stmt]) -> Iterator[tuple[str, frozenset[str]]]:
    for node in body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, frozenset()
