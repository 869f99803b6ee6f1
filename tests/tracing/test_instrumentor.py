"""How targets are wrapped and restored, in a tiny package with Flash's layout.

Each test runs in a process of its own, for import hooks are a process's; the real Flash versions
are tested elsewhere.
"""

from __future__ import annotations

import sys
from textwrap import dedent
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from support.interpreter import run_python

from flash_otel.tracing.instrumentor import FlashInstrumentor

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "__init__.py": "",
    "cli/__init__.py": "",
    "cli/main.py": """
        import typer
        from runpod_flash.cli.commands import deploy

        app = typer.Typer()
        app.command("deploy")(deploy.deploy_command)
        group = typer.Typer()
        group.command("send")(deploy.deploy_command)
        app.add_typer(group, name="group")
        """,
    "cli/commands/__init__.py": "",
    "cli/commands/build.py": """
        def run_build(project_dir):
            return project_dir
        """,
    "cli/commands/deploy.py": """
        import asyncio
        from runpod_flash.cli.commands.build import run_build
        from runpod_flash.cli.utils.deployment import deploy_from_uploaded_build

        def deploy_command(env_name: str = "production") -> None:
            run_build("app")
            asyncio.run(_resolve_and_deploy("shop", env_name, "archive"))

        async def _resolve_and_deploy(app_name, env_name, archive_path):
            return await deploy_from_uploaded_build("app", "b-1", env_name, {})
        """,
    "cli/utils/__init__.py": "",
    "cli/utils/deployment.py": """
        async def deploy_from_uploaded_build(app, build_id, env_name, local_manifest):
            return {"environment_id": "e-1"}
        """,
    "core/__init__.py": "",
    "core/api/__init__.py": "",
    "core/api/runpod.py": """
        class Base:
            async def deploy_build_to_environment(self, input_data):
                return {"activeArtifact": {"objectKey": "key"}}

        class RunpodGraphQLClient(Base):
            @staticmethod
            async def update_build_manifest(build_id, manifest):
                return manifest
        """,
    "runtime/__init__.py": "",
    "runtime/production_wrapper.py": """
        class ProductionWrapper:
            async def wrap_function_execution(self, stub, func):
                return func()
        """,
}

BEFORE = """
    import asyncio, sys
    import flash_otel
    from flash_otel.testing import recording
    from flash_otel.tracing.instrumentor import FlashInstrumentor

    def functions():
        from runpod_flash.cli import main
        from runpod_flash.cli.commands import build, deploy
        from runpod_flash.cli.utils import deployment
        from runpod_flash.core.api.runpod import Base, RunpodGraphQLClient
        return {
            "build": vars(build)["run_build"],
            "alias": vars(deploy)["run_build"],
            "deploy": vars(deploy)["deploy_command"],
            "deployment": vars(deployment)["deploy_from_uploaded_build"],
            "its alias": vars(deploy)["deploy_from_uploaded_build"],
            "static": vars(RunpodGraphQLClient)["update_build_manifest"],
            "inherited": vars(RunpodGraphQLClient).get("deploy_build_to_environment"),
            "base": vars(Base)["deploy_build_to_environment"],
            "command": main.app.registered_commands[0].callback,
            "group's": main.group.registered_commands[0].callback,
        }

    def differing(before, after):
        assert before.keys() == after.keys()
        return [name for name in before if before[name] is not after[name]]

    def deployed():
        from runpod_flash.cli.commands import deploy
        from runpod_flash.cli import main
        main.app.registered_commands[0].callback()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that the tiny package can be imported from."""
    for name, text in FILES.items():
        path = tmp_path / "runpod_flash" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return tmp_path


def run(project: Path, code: str, variables: dict[str, str] | None = None) -> str:
    """Run a script beside the tiny package and return what it printed."""
    quiet = {"FLASH_OTEL_STORE": "off", "FLASH_OTEL_LEGACY_LOGS": "off"}
    done = run_python(dedent(BEFORE) + dedent(code), project, {**quiet, **(variables or {})})
    assert done.stderr == ""
    return done.stdout


ORDERS = {
    "imported later": "",
    "imported before": "functions()",
    "half imported": "import runpod_flash.cli.commands.build",
}


@pytest.mark.parametrize("order", ORDERS)
def test_before_and_after_import(project: Path, order: str) -> None:
    """Functions, their aliases and the registered command are wrapped, in any order of imports."""
    code = """
        with recording() as spans:
            deployed()
        print(*spans.tree(), sep="\\n")
        (root,) = spans.named("flash.deploy")
        names = ("flash.environment_id", "deployment.environment.name")
        print(*(root.attributes[name] for name in names))
    """
    shown = run(project, dedent(ORDERS[order]) + dedent(code))
    assert shown.splitlines() == ["flash.deploy", "  flash.build", "e-1 production"]


def test_instrument_imports_nothing(project: Path) -> None:
    """`instrument()` itself does not import Flash."""
    run(
        project,
        """
        flash_otel.instrument()
        assert not [name for name in sys.modules if name.startswith("runpod")]
        """,
    )


@pytest.mark.parametrize("order", ORDERS)
def test_every_target_is_restored(project: Path, order: str) -> None:
    """`uninstrument()` restores the very entries: aliases, staticmethods, inherited names."""
    code = """
        flash_otel.instrument()
        during = functions()
        flash_otel.uninstrument()
        after = functions()
        flash_otel.instrument()
        again = functions()
        flash_otel.uninstrument()
        assert functions() == after and not differing(functions(), after)
        changed = {"build", "alias", "deploy", "deployment", "its alias", "static", "inherited",
                   "command", "group's"}
        assert set(differing(during, after)) == changed, differing(during, after)
        assert set(differing(again, after)) == changed, differing(again, after)
        assert during["alias"] is during["build"]
        assert during["deploy"] is during["command"] is during["group's"]
        assert after["inherited"] is None
        assert isinstance(after["static"], staticmethod)
        for name, function in after.items():
            assert not hasattr(function, "_self_wrapper"), name
    """
    run(project, dedent(ORDERS[order]) + dedent(code))


def test_restored_to_what_was_imported_first(project: Path) -> None:
    """The restored entries are those that an untraced import made."""
    run(
        project,
        """
        before = functions()
        flash_otel.instrument()
        assert differing(functions(), before)
        flash_otel.uninstrument()
        assert differing(functions(), before) == []
        """,
    )


def test_removed_before_the_import(project: Path) -> None:
    """Instrument, uninstrument, then import: Flash is untouched."""
    run(
        project,
        """
        flash_otel.instrument()
        flash_otel.uninstrument()
        for name, function in functions().items():
            assert not hasattr(function, "_self_wrapper"), name
        """,
    )


def test_twice(project: Path) -> None:
    """A second `instrument()` is silent and wraps nothing twice; nor does a second import hook."""
    run(
        project,
        """
        import logging
        logging.basicConfig(level=logging.WARNING)
        for _ in range(2):
            flash_otel.instrument()
            FlashInstrumentor().instrument()
        first = functions()
        flash_otel.instrument()
        assert differing(first, functions()) == []
        for _ in range(2):
            flash_otel.uninstrument()
        with recording() as spans:
            deployed()
        assert len(spans.records) == 2, spans.tree()
        """,
    )


def test_static_and_inherited_methods(project: Path) -> None:
    """A staticmethod and an inherited method are traced, and called as before."""
    run(
        project,
        """
        from runpod_flash.core.api.runpod import Base, RunpodGraphQLClient as Client

        async def main():
            await Client().deploy_build_to_environment(
                {"flashBuildId": "b-1", "flashEnvironmentId": "e-1"}
            )
            await Client.update_build_manifest("b-1", {"version": "1.0"})
            await Client().update_build_manifest("b-1", {"version": "1.0"})
            await Base().deploy_build_to_environment({})

        with recording() as spans:
            asyncio.run(main())
        names = [span.name for span in spans.records]
        assert names == ["flash.activate"] + ["flash.manifest.upload"] * 2, names
        assert spans.records[0].attributes["flash.build_id"] == "b-1"
        assert spans.records[1].attributes["flash.build_id"] == "b-1"
        """,
    )


def test_missing_targets(project: Path) -> None:
    """Functions that this Flash does not have are skipped with a debug line; others are traced."""
    shown = run(
        project,
        """
        import logging
        logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(message)s")
        flash_otel.instrument()
        functions()
        """,
    )
    lines = [line for line in shown.splitlines() if "this Flash has no" in line]
    assert (
        "flash_otel: this Flash has no runpod_flash.core.api.runpod "
        "RunpodGraphQLClient._execute_graphql".replace("runpod Runpod", "runpod.Runpod")
    ) in lines
    assert len(lines) == len(set(lines))


def test_no_flash(tmp_path: Path) -> None:
    """Without Flash, nothing happens."""
    run(
        tmp_path,
        """
        flash_otel.instrument()
        assert flash_otel.flush()
        flash_otel.uninstrument()
        """,
    )


def test_decorated_by_hand_already(project: Path) -> None:
    """A function that is decorated already has one span, and its decorator afterwards."""
    path = project / "runpod_flash/cli/utils/deployment.py"
    path.write_text("import flash_otel\n\n@flash_otel.trace_deploy" + path.read_text())
    run(
        project,
        """
        from runpod_flash.cli.utils import deployment
        mine = deployment.deploy_from_uploaded_build
        with recording() as spans:
            deployed()
        assert len(spans.named("flash.deploy")) == 1
        assert deployment.deploy_from_uploaded_build is mine
        """,
    )


def test_a_decorator_is_completed(project: Path) -> None:
    """In Flash itself, a decorator's own sources count; those of the table fill in the others."""
    path = project / "runpod_flash/core/api/runpod.py"
    path.write_text("""
import flash_otel

class RunpodGraphQLClient:
    @flash_otel.trace_activate(build_id=lambda call: "mine")
    async def deploy_build_to_environment(self, input_data):
        return {}

    @flash_otel.trace_call
    async def update_build_manifest(self, build_id, manifest):
        pass
""")
    run(
        project,
        """
        from runpod_flash.core.api.runpod import RunpodGraphQLClient as Client

        async def main():
            given = {"flashBuildId": "b-1", "flashEnvironmentId": "e-1"}
            await Client().deploy_build_to_environment(given)
            await Client().update_build_manifest("b-1", {})

        before = dict(vars(Client))
        with recording() as spans:
            asyncio.run(main())
            activation, other = spans.records
        names = ("flash.build_id", "flash.environment_id")
        assert [activation.attributes[name] for name in names] == ["mine", "e-1"]
        assert other.name == "flash.call"
        assert dict(vars(Client)) == before
        """,
    )


def test_a_flash_that_breaks_our_assumptions(project: Path) -> None:
    """Names that are not functions, and other kinds of applications, do not break the import."""
    (project / "runpod_flash/cli/commands/build.py").write_text("run_build = 5\n")
    (project / "runpod_flash/cli/main.py").write_text("app = group = object()\n")
    deploy = project / "runpod_flash/cli/commands/deploy.py"
    deploy.write_text(deploy.read_text().replace('run_build("app")', "pass"))
    run(
        project,
        """
        import os
        del os.environ["FLASH_OTEL_RAISE"]
        flash_otel.instrument()
        import runpod_flash.cli.main
        from runpod_flash.cli.commands import build, deploy
        deploy.deploy_command()
        assert build.run_build == 5
        """,
    )


@pytest.mark.parametrize("variable", ["FLASH_OTEL_DISABLED", "OTEL_SDK_DISABLED"])
def test_disabled(project: Path, variable: str) -> None:
    """If tracing is disabled, Flash is not wrapped at all."""
    run(
        project,
        """
        flash_otel.instrument()
        for name, function in functions().items():
            assert not hasattr(function, "_self_wrapper"), name
        deployed()
        """,
        {variable: "true"},
    )


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ((), ("runpod-flash >= 1.0, < 2", "runpod >= 2.0.0rc2, < 3")),
        (("runpod",), ("runpod >= 2.0.0rc2, < 3",)),
        (("runpod", "runpod_flash"), ("runpod-flash >= 1.0, < 2",)),
    ],
)
def test_the_packages_that_opentelemetry_asks_for(
    monkeypatch: pytest.MonkeyPatch, present: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    """It requires all that are returned: that of the imported Flash, else any."""
    for name in ("runpod", "runpod_flash"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in present:
        # Made by hand, as in a worker's bundle: it has no spec.
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    assert FlashInstrumentor().instrumentation_dependencies() == expected


def test_as_opentelemetry_instrument_does(project: Path) -> None:
    """The entry point loads this instrumentor, which works without arguments."""
    run(
        project,
        """
        from importlib.metadata import entry_points
        (found,) = entry_points(group="opentelemetry_instrumentor", name="runpod_flash")
        instrumentor = found.load()()
        assert instrumentor is FlashInstrumentor()
        assert instrumentor.instrumentation_dependencies() == ("runpod-flash >= 1.0, < 2",)
        instrumentor.instrument()
        assert instrumentor.is_instrumented_by_opentelemetry
        assert hasattr(functions()["command"], "_self_wrapper")
        """,
    )


def test_spans_go_to_a_provider_that_is_set_later(project: Path) -> None:
    """A provider that is set after Flash was imported and instrumented gets the spans."""
    run(
        project,
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from flash_otel.testing import Recorded

        flash_otel.instrument()
        functions()
        assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        provider, recorded = TracerProvider(), Recorded()
        provider.add_span_processor(recorded)
        trace.set_tracer_provider(provider)
        deployed()
        assert sorted(recorded.tree()) == ["  flash.build", "flash.deploy"]
        """,
    )
