"""The public API: exports, documentation, import cost and layers."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path

import pytest
from support.interpreter import run_python

import flash_otel
from flash_otel import testing

PACKAGE = Path(flash_otel.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Modules that `import flash_otel` must not load: they are slow, and not needed yet.
LATE = (
    "opentelemetry.sdk",
    "opentelemetry.exporter",
    "grpc",
    "rich",
    "typer",
    "click",
    "sqlite3",
    "httpx",
    "aiohttp",
    "requests",
    "platformdirs",
    "google.protobuf",
    "runpod_flash",
    "flash_otel.diagnosis",
    "flash_otel.report",
    "flash_otel.cli",
    "flash_otel.demo",
)


def test_all_is_what_is_exported() -> None:
    """`__all__` is sorted, importable as a whole, and matches what a type checker sees."""
    seen = {name.rpartition(".")[2] for name in imports_of(Path(flash_otel.__file__))}
    assert flash_otel.__all__ == sorted(
        seen - {"TYPE_CHECKING", "Any", "environment", "import_module", "pending"}
    )
    assert dir(flash_otel) == flash_otel.__all__
    everything: dict[str, object] = {}
    exec("from flash_otel import *", everything)  # noqa: S102 - users may write this
    assert everything.keys() >= set(flash_otel.__all__)


def test_what_is_not_public() -> None:
    """An unknown name raises AttributeError, as in any module."""
    for name in ("trace_nothing", "Scope", "__wrapped__"):
        assert not hasattr(flash_otel, name)
    with pytest.raises(AttributeError, match="module 'flash_otel' has no attribute 'trace_n'"):
        flash_otel.trace_n  # noqa: B018 - the access is what is tested


@pytest.mark.parametrize("name", [name for name in flash_otel.__all__ if name != "__version__"])
def test_public_objects(name: str) -> None:
    """Each public object has the public module, its name, and a docstring."""
    found = getattr(flash_otel, name)
    assert found.__module__ == "flash_otel"
    assert found.__name__ == name
    assert found.__doc__


def test_public_testing_helpers() -> None:
    """The public objects of `flash_otel.testing` are documented."""
    public = [
        found
        for name, found in vars(testing).items()
        if not name.startswith("_") and getattr(found, "__module__", "") == testing.__name__
    ]
    assert {found.__name__ for found in public} >= {"recording", "fixed", "FixedIds", "FixedClock"}
    assert all(inspect.getdoc(found) for found in public)


def test_decorators_name_their_fields() -> None:
    """A decorator's documentation names its span and its fields."""
    for name in flash_otel.__all__:
        found = getattr(flash_otel, name)
        if name.startswith("trace_"):
            assert f"`{found.spec.name}`" in found.__doc__
            for field in found.spec.field_names:
                assert field in found.__doc__
            assert repr(found) == f"<flash_otel.{name}: {found.spec.name}>"


@pytest.mark.parametrize(
    "use",
    [
        "",
        "flash_otel.instrument()",
        "flash_otel.instrument(); flash_otel.uninstrument()",
        "flash_otel.FlashInstrumentor().instrument()",
        "flash_otel.trace_activate(lambda: 1)()",
    ],
)
def test_what_an_import_loads(tmp_path: Path, use: str) -> None:
    """A started instrumentor loads the API alone; everything else comes with the first span."""
    code = f"""
import sys
import flash_otel
{use}
late = {LATE!r}
loaded = [
    module
    for module in sys.modules
    if any(module == name or module.startswith(name + ".") for name in late)
]
assert loaded == [], loaded
"""
    run_python(code, tmp_path)


def test_instrument_loads_the_standard_library(tmp_path: Path) -> None:
    """`instrument()` needs nothing that is installed until a target of Flash is imported."""
    code = """
import sys
import flash_otel
flash_otel.instrument()
top = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
others = {name for name in top if not name.startswith("_")} - {"flash_otel"}
before = {"sitecustomize", "usercustomize", "google", "mpl_toolkits"}
assert not others - before, others
assert "json" not in sys.modules and "dataclasses" not in sys.modules
"""
    run_python(code, tmp_path)


def test_the_import_alone_loads_nothing(tmp_path: Path) -> None:
    """The import alone loads neither the API nor other heavy modules."""
    code = """
import sys
import flash_otel
heavy = {"opentelemetry", "wrapt", "asyncio", "logging", "dataclasses", "importlib.metadata"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
"""
    run_python(code, tmp_path)


def imports_of(path: Path) -> set[str]:
    """Return the imports of a module, including late ones."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


# Parts of the package, and the parts that they must not import.
LAYERS = [
    ("tracing", ("diagnosis", "report", "cli", "demo")),
    ("pipeline", ("diagnosis", "report", "cli", "demo")),
    ("diagnosis", ("tracing", "cli", "demo", "report")),
    ("report", ("tracing", "cli", "demo")),
    ("cli", ()),
    ("semconv.py", ("",)),
    ("manifest.py", ("tracing", "pipeline", "diagnosis", "report", "cli", "demo", "records", "_")),
    ("records.py", ("",)),
    ("failures.py", ("",)),
    ("runtime/process.py", ("",)),
]


@pytest.mark.parametrize(("part", "forbidden"), LAYERS, ids=[part for part, _ in LAYERS])
def test_layers(part: str, forbidden: tuple[str, ...]) -> None:
    """No part imports a forbidden one."""
    members = [path for path in MODULES if path.relative_to(PACKAGE).as_posix().startswith(part)]
    assert members
    for path in members:
        for name in imports_of(path):
            for other in forbidden:
                assert not name.startswith(f"flash_otel.{other}"), f"{path} imports {name}"


def test_plain_modules_need_no_opentelemetry() -> None:
    """Names, manifests and records need the standard library alone."""
    for name in ("semconv.py", "manifest.py", "records.py"):
        for imported in imports_of(PACKAGE / name):
            top = imported.partition(".")[0]
            assert top == "flash_otel" or top in sys.stdlib_module_names, f"{name}: {imported}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_module_has_a_docstring(path: Path) -> None:
    """Every module has a docstring whose first paragraph is a sentence."""
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert doc
    assert doc.split("\n\n", maxsplit=1)[0].rstrip().endswith((".", ":", "."))


def test_the_package_is_typed() -> None:
    """The package has the marker file of PEP 561."""
    assert (PACKAGE / "py.typed").is_file()
