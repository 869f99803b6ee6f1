"""Imports point down the strata, no modules form a cycle, and no two classes share a name."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Final

import pytest

import flash_otel

PACKAGE: Final = Path(flash_otel.__file__).parent

# From the ground up. A room imports its own modules and those of lower strata; rooms of the
# same stratum do not import each other.
STRATA: Final = (
    ("_version", "failures", "flash_versions", "records", "semconv"),
    ("manifest", "wording"),
    ("redaction",),
    ("runtime",),
    ("otlp", "lines"),
    ("store",),
    ("export", "summary"),
    ("pipeline", "diagnosis"),
    ("tracing",),
    ("verify",),
    ("testing", "doctor"),
    ("report",),
    ("collector", "demo", "ui"),
    ("cli",),
    ("__main__",),
)
# The public face: it loads each name when it is first used (PEP 562).
FACE: Final = "flash_otel"


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """The modules of the package that a module imports: early, late, or for types."""
    found: set[str] = set()
    tree = ast.parse(modules()[module].read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in modules() else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found & modules().keys() - {module})


def room(module: str) -> str:
    """The room of a module: the first part of its name below the package."""
    return module.split(".")[1] if "." in module else FACE


def test_every_room_has_a_stratum() -> None:
    """A new room is written into the table, and a room that is gone leaves it."""
    named = [name for stratum in STRATA for name in stratum]
    assert sorted({*named, FACE}) == sorted({room(module) for module in modules()})


@pytest.mark.parametrize("name", sorted({room(module) for module in modules()} - {FACE}))
def test_imports_point_down(name: str) -> None:
    """A room imports nothing but itself, the face, and rooms of lower strata."""
    height = {room: level for level, stratum in enumerate(STRATA) for room in stratum}
    wrong = [
        f"{module} imports {other}"
        for module in modules()
        if room(module) == name
        for other in sorted(imports(module))
        if room(other) not in {FACE, name} and height[room(other)] >= height[name]
    ]
    assert wrong == []


def test_no_modules_form_a_cycle() -> None:
    """Following imports, at run time or for types, never leads back to the start."""
    done: set[str] = set()

    def follow(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way[way.index(module) :], module))
        if module in done:
            return
        for other in sorted(imports(module)):
            follow(other, (*way, module))
        done.add(module)

    for module in sorted(modules()):
        follow(module, ())


# Their import raises for some variables: these modules import them, and retry.
GUARDED: Final = {
    "opentelemetry.sdk": "flash_otel.runtime.sdk",
    "opentelemetry.instrumentation": "flash_otel.runtime.instrumentation",
    "opentelemetry.propagate": "",
}


@pytest.mark.parametrize("package", GUARDED)
def test_only_one_module_imports_what_may_raise(package: str) -> None:
    """Other modules import the SDK and the instrumentation's utilities for types only."""
    wrong = [
        name
        for name, path in modules().items()
        if name != GUARDED[package]
        for imported in imports_at_run_time(ast.parse(path.read_text("utf-8")))
        if imported == package or imported.startswith(f"{package}.")
    ]
    assert wrong == []


def imports_at_run_time(node: ast.AST) -> set[str]:
    """The modules that code imports, but for `if TYPE_CHECKING:`."""
    if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
        return set()
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return {name for child in ast.iter_child_nodes(node) for name in imports_at_run_time(child)}


def test_no_two_classes_share_a_name() -> None:
    """A name in a traceback, or in a search, leads to one class."""
    places: dict[str, list[str]] = {}
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(name)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
