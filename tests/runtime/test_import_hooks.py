"""Post-import hooks, with real modules on disk; each test runs in a process of its own."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from support.interpreter import run_python

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = """
    import importlib, sys
    from flash_otel.runtime.import_hooks import ImportHook

    seen = []
    hook = ImportHook(("outer", "inner", "package.part"), lambda module: seen.append(
        (module.__name__, sorted(name for name in vars(module) if not name.startswith("_")))
    ))
    hook.install()
"""


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A folder of modules; `outer` imports `inner` in its middle."""
    files = {
        "outer.py": "first = 1\nimport inner\nlast = 2\n",
        "inner.py": "only = 3\n",
        "failing.py": "raise ValueError\n",
        "package/__init__.py": "",
        "package/part.py": "piece = 4\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def run(folder: Path, code: str) -> str:
    """Run a script after the hook was installed, and return its output."""
    return run_python(dedent(BEFORE) + dedent(code), folder).stdout


def test_after_the_code_of_each_module(modules: Path) -> None:
    """The action sees whole modules: the inner one first, the outer one when it is complete."""
    run(
        modules,
        """
        import outer, package.part
        assert seen == [
            ("inner", ["only"]), ("outer", ["first", "inner", "last"]), ("package.part", ["piece"]),
        ], seen
        """,
    )


def test_nothing_is_left_in_a_module(modules: Path) -> None:
    """Its loader is the real one, in its own code, too: source, resources and pickling work."""
    run(
        modules,
        """
        with open("inner.py", "a") as file:
            file.write("loaders = __loader__, __spec__.loader\\n")
        import inner, inspect
        from importlib.machinery import SourceFileLoader
        assert [type(each) for each in inner.loaders] == [SourceFileLoader] * 2
        assert [type(inner.__loader__), type(inner.__spec__.loader)] == [SourceFileLoader] * 2
        assert "only = 3" in inspect.getsource(inner)
        """,
    )


def test_reloaded(modules: Path) -> None:
    """A reload makes new functions, so the action follows it, too."""
    run(
        modules,
        """
        import inner
        importlib.reload(inner)
        assert [name for name, _ in seen] == ["inner"] * 2
        """,
    )


def test_removed(modules: Path) -> None:
    """After the removal nothing is called; installing it twice takes one removal."""
    run(
        modules,
        """
        hook.install()
        hook.remove()
        hook.remove()
        import inner
        assert seen == [] and hook not in sys.meta_path
        """,
    )


def test_what_is_imported_already(modules: Path) -> None:
    """Modules in the order of the hook; not those whose code it still waits for."""
    run(
        modules,
        """
        hook.remove()
        import inner, package.part
        assert [module.__name__ for module in hook.imported()] == ["inner", "package.part"]
        hook.install()
        del sys.modules["inner"]
        sys.modules["noticed"] = noticed = type(sys)("noticed")
        noticed.hook = hook
        with open("outer.py", "a") as file:
            file.write("import noticed\\nfound = noticed.hook.imported()\\n")
        import outer
        assert [module.__name__ for module in outer.found] == ["inner", "package.part"]
        """,
    )


def test_an_import_that_fails(modules: Path) -> None:
    """A module that raises is not announced; when it works later, it is."""
    run(
        modules,
        """
        good = open("inner.py").read()
        with open("inner.py", "w") as file:
            file.write("raise ValueError\\n")
        for name in ("inner", "no_such_module"):
            try:
                importlib.import_module(name)
            except (ValueError, ModuleNotFoundError):
                pass
        assert seen == []
        with open("inner.py", "w") as file:
            file.write(good + "# longer\\n")
        importlib.invalidate_caches()
        import inner
        assert [name for name, _ in seen] == ["inner"]
        """,
    )


@pytest.mark.parametrize("is_ours_first", [True, False])
def test_beside_the_hooks_of_wrapt(modules: Path, is_ours_first: bool) -> None:
    """Other instrumentations hook the same modules: each hook is called once."""
    again = "hook.remove(); hook.install()" if is_ours_first else ""
    run(
        modules,
        f"""
        import wrapt
        theirs = []
        wrapt.register_post_import_hook(lambda module: theirs.append(module.__name__), "inner")
        {again}
        import inner
        assert theirs == ["inner"] and [name for name, _ in seen] == ["inner"], (theirs, seen)
        assert type(inner.__loader__).__name__ == "SourceFileLoader"
        """,
    )


def test_lazy_and_zipped_modules(modules: Path) -> None:
    """Loaders of other kinds keep their attributes and work."""
    run(
        modules,
        """
        import zipfile
        with zipfile.ZipFile("all.zip", "w") as archive:
            archive.write("inner.py")
        sys.path.insert(0, "all.zip")
        import inner
        assert "all.zip" in inner.__file__ and seen == [("inner", ["only"])]
        assert inner.__loader__.get_source("inner") == "only = 3\\n"
        """,
    )
