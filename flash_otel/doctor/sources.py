"""What a package's modules define, read from their source: nothing of it is imported."""

from __future__ import annotations

import ast
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def folder_of(package: str) -> Path | None:
    """Return the folder of a top-level package that could be imported, or None."""
    spec = PathFinder.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def names_in(package: Path, module: str) -> frozenset[str]:
    """Return what a module binds at its top level, and `Class.method` of its classes.

    Args:
        package: The folder of the module's top-level package.
        module: The module's full name.
    """
    *parts, last = module.split(".")[1:] or ["__init__"]
    folder = package.joinpath(*parts)
    for file in (folder / f"{last}.py", folder / last / "__init__.py"):
        try:
            return frozenset(_names(ast.parse(file.read_bytes()).body, ""))
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
    return frozenset()


def _names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield from _names(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, (ast.If, ast.Try)):
            yield from _names(node.body, prefix)
