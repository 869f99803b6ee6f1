"""`instrument()` before Flash is imported: what it promises at once, and what can wait.

Each test runs in a process of its own, beside a tiny package with Flash's layout.
"""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from support.interpreter import run_python
from tracing.test_instrumentor import project

from flash_otel.tracing import flash, runpod2
from flash_otel.tracing.pending import SUCCESSOR_MODULES, TARGET_MODULES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["project"]

BEFORE = """
    import asyncio, os, sys
    import flash_otel
    SPANS = os.path.join(os.getcwd(), "spans.db")

    def stored():
        from flash_otel.store.store import SpanStore
        with SpanStore(SPANS) as store:
            return [span.name for span in store.spans()]

    def deployed():
        from runpod_flash.cli import main
        main.app.registered_commands[0].callback()
"""


def run(project: Path, code: str, variables: dict[str, str] | None = None) -> str:
    """Run a script beside the tiny package and return its output."""
    quiet = {"FLASH_OTEL_LEGACY_LOGS": "off", **(variables or {})}
    done = run_python(dedent(BEFORE) + dedent(code), project, quiet)
    assert done.stderr == ""
    return done.stdout


def test_the_hooks_cover_every_target() -> None:
    """Each module that a table names is watched, and no other; commands come after functions."""
    places = {module for target in flash.TARGETS for module, _ in target.places}
    places |= {command.module for command in flash.COMMANDS}
    # A worker's pools are wrapped when tracing starts: any program imports their module.
    assert places | set(SUCCESSOR_MODULES) == {*TARGET_MODULES, "concurrent.futures.thread"}
    assert {target.module for target in runpod2.TARGETS} == set(SUCCESSOR_MODULES)
    first, last = (
        TARGET_MODULES.index(f"runpod_flash.cli.{name}") for name in ("commands.deploy", "main")
    )
    assert first < last


def test_nothing_is_loaded_before_a_target(project: Path) -> None:
    """The call, and Flash's own `__init__`, load the standard library; a target the rest."""
    run(
        project,
        """
        flash_otel.instrument(store=SPANS)
        import runpod_flash, runpod_flash.runtime
        heavy = {"wrapt", "opentelemetry", "flash_otel.pipeline"}
        assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
        deployed()
        assert heavy <= sys.modules.keys()
        assert flash_otel.flush(30) and stored() == ["flash.deploy", "flash.build"]
        """,
    )


def test_inside_the_import_of_flash(project: Path) -> None:
    """The call stands in `runpod_flash/__init__.py`: every target is wrapped, even half-imported.

    The first target is imported by another one, whose own functions do not exist yet.
    """
    (project / "runpod_flash/__init__.py").write_text(
        "import flash_otel\nflash_otel.instrument()\n"
    )
    run(
        project,
        """
        os.environ["FLASH_OTEL_STORE"] = SPANS
        import runpod_flash.cli.commands.deploy as deploy
        deploy.deploy_command()
        assert flash_otel.flush(30) and stored() == ["flash.deploy", "flash.build"]
        """,
    )


def test_settings_are_read_at_once(project: Path) -> None:
    """What the program does to its folder and environment before it imports Flash is too late."""
    run(
        project,
        """
        os.environ["TRACEPARENT"] = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
        os.environ["FLASH_OTEL_STORE"] = "spans.db"
        flash_otel.instrument()
        del os.environ["TRACEPARENT"]
        os.environ["FLASH_OTEL_STORE"] = "off"
        sys.path.insert(0, os.getcwd())
        os.mkdir("elsewhere")
        os.chdir("elsewhere")
        deployed()
        assert flash_otel.flush(30) and stored() == ["flash.deploy", "flash.build"]
        from flash_otel.store.store import SpanStore
        with SpanStore(SPANS) as store:
            assert {span.trace_id for span in store.spans()} == {"a" * 32}
        """,
    )


def test_wrong_arguments_raise_at_once(project: Path) -> None:
    """An invalid argument raises from the call; an invalid variable does not."""
    run(
        project,
        """
        os.environ["FLASH_OTEL_PROPAGATION"] = os.environ["FLASH_OTEL_SUMMARY"] = "wrong"
        try:
            flash_otel.instrument(propagation="child")
        except ValueError as error:
            assert "it takes auto, link, parent" in str(error)
        else:
            raise SystemExit("accepted")
        assert "wrapt" not in sys.modules
        flash_otel.instrument(store=SPANS)
        deployed()
        assert flash_otel.flush(30) and len(stored()) == 2
        """,
    )


@pytest.mark.parametrize(
    "use",
    [
        "assert flash_otel.FlashInstrumentor().is_instrumented_by_opentelemetry",
        "flash_otel.FlashInstrumentor().instrument(store=False)",
        "from flash_otel import Call; assert Call",
        "flash_otel.instrument(store=False)",
    ],
)
def test_the_first_call_counts(project: Path, use: str) -> None:
    """Whoever asks for the instrumentor finds it active, with the options of the first call."""
    run(
        project,
        f"""
        flash_otel.instrument(store=SPANS)
        {use}
        deployed()
        assert flash_otel.flush(30) and stored() == ["flash.deploy", "flash.build"]
        flash_otel.uninstrument()
        deployed()
        assert len(stored()) == 2
        """,
    )


def test_functions_of_your_own(project: Path) -> None:
    """Without Flash, what is decorated after the call is traced; nothing waits for a target."""
    run(
        project,
        """
        flash_otel.instrument(store=SPANS)
        @flash_otel.trace_activate
        def activate(build_id):
            pass
        activate("b-1")
        assert flash_otel.flush(30) and stored() == ["flash.activate"]
        """,
    )


def test_recording_refuses_to_start(project: Path) -> None:
    """`recording()` raises while tracing is active, even if it has not begun yet."""
    run(
        project,
        """
        flash_otel.instrument(store=False)
        from flash_otel.testing import recording
        try:
            with recording():
                raise SystemExit("started")
        except RuntimeError as error:
            assert "already active" in str(error)
        """,
    )


def test_removed_before_a_target(project: Path) -> None:
    """`uninstrument()` leaves no hook; a later `instrument()` starts afresh."""
    run(
        project,
        """
        before = list(sys.meta_path)
        flash_otel.instrument(store="nowhere.db")
        assert sys.meta_path != before
        flash_otel.uninstrument()
        assert sys.meta_path == before and "wrapt" not in sys.modules
        assert flash_otel.flush(0)
        flash_otel.instrument(store=SPANS)
        deployed()
        assert flash_otel.flush(30) and len(stored()) == 2 and not os.path.exists("nowhere.db")
        """,
    )


def test_disabled_adds_no_hook(project: Path) -> None:
    """With FLASH_OTEL_DISABLED, the call has no effect at all."""
    run(
        project,
        """
        os.environ["FLASH_OTEL_DISABLED"] = "1"
        before = list(sys.meta_path)
        flash_otel.instrument(store=SPANS)
        assert sys.meta_path == before
        deployed()
        assert "wrapt" not in sys.modules and not os.path.exists(SPANS)
        """,
    )


def test_in_a_forked_child(project: Path) -> None:
    """A child that is forked before Flash is imported traces what it deploys."""
    run(
        project,
        """
        flash_otel.instrument(store=SPANS)
        child = os.fork()
        if child == 0:
            deployed()
            os._exit(0 if flash_otel.flush(30) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert "wrapt" not in sys.modules
        assert stored() == ["flash.deploy", "flash.build"]
        """,
    )


def test_handlers_at_exit_still_trace(project: Path) -> None:
    """A handler that the program registers after `instrument()` runs before tracing ends."""
    run(
        project,
        """
        import atexit
        atexit.register(lambda: stored() == ["flash.deploy", "flash.build"] or os._exit(9))
        flash_otel.instrument(store=SPANS)
        atexit.register(deployed)
        """,
    )


def test_targets_in_many_threads(project: Path) -> None:
    """Threads that import different targets at once find each of them wrapped."""
    run(
        project,
        """
        from concurrent.futures import ThreadPoolExecutor
        from importlib import import_module
        from threading import Barrier
        names = ("cli.commands.build:run_build", "runtime.production_wrapper:ProductionWrapper",
                 "cli.utils.deployment:deploy_from_uploaded_build", "core.api.runpod:Base")
        barrier = Barrier(len(names))
        def load(name):
            module, _, attribute = name.partition(":")
            barrier.wait()
            return getattr(import_module(f"runpod_flash.{module}"), attribute)
        flash_otel.instrument(store=False)
        with ThreadPoolExecutor(len(names)) as pool:
            build, wrapper, deploy, _ = pool.map(load, names)
        for function in (build, wrapper.wrap_function_execution, deploy):
            assert hasattr(function, "_self_wrapper"), function
        """,
    )


def test_variables_that_opentelemetry_cannot_use(project: Path) -> None:
    """The late import of OpenTelemetry writes no warnings about variables to the host's log."""
    shown = run(
        project,
        """
        import logging
        logging.basicConfig(stream=sys.stdout, level=logging.WARNING)
        flash_otel.instrument(store=SPANS)
        deployed()
        assert flash_otel.flush(30) and len(stored()) == 2
        """,
        {"OTEL_PYTHON_CONTEXT": "missing", "OTEL_PROPAGATORS": "b3"},
    )
    assert shown == ""


def test_an_installation_that_is_broken(project: Path) -> None:
    """If OpenTelemetry cannot be imported, Flash works, and the log says why at debug level."""
    (project / "opentelemetry").mkdir()
    (project / "opentelemetry/__init__.py").write_text("raise ImportError('broken')\n")
    shown = run(
        project,
        """
        import logging
        logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(message)s")
        flash_otel.instrument(store=False)
        import runpod_flash.cli.commands.build as build
        assert build.run_build("app") == "app"
        """,
        {"FLASH_OTEL_RAISE": ""},
    )
    assert "internal error in the start of tracing (ignored)" in shown
    assert "ImportError: broken" in shown
