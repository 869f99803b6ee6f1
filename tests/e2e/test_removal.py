"""`instrument()` and `uninstrument()` on the real package, in every order with its import."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.site import Site

pytestmark = pytest.mark.flash

LOOK = """
    import importlib, sys
    import flash_otel
    from child import report
    from flash_otel.tracing.flash import TARGETS

    def load():
        importlib.import_module("runpod_flash.cli.main")
        for module in {module for target in TARGETS for module, _ in target.places}:
            try:
                importlib.import_module(module)
            except ModuleNotFoundError:
                pass

    def commands(app):
        yield from app.registered_commands
        for group in app.registered_groups:
            yield from commands(group.typer_instance)

    def entries():
        found = {}
        for target in TARGETS:
            for module, name in target.places:
                owner, (*path, last) = sys.modules.get(module), name.split(".")
                for segment in path:
                    owner = getattr(owner, segment, None)
                if owner is not None and hasattr(owner, last):
                    found[module, name] = vars(owner).get(last, "inherited")
        app = sys.modules["runpod_flash.cli.main"].app
        found.update({("command", command.name): command.callback for command in commands(app)})
        return found

    def wrapped(found):
        return {key for key, function in found.items() if hasattr(function, "_self_wrapper")}

    def named(keys):
        return sorted(" ".join(map(str, key)) for key in keys)
"""

LATER = {
    "after import": """
        load()
        before = entries()
        flash_otel.instrument()
        during = entries()
        flash_otel.uninstrument()
    """,
    "before import": """
        flash_otel.instrument()
        load()
        during = entries()
        flash_otel.uninstrument()
        before = entries()
    """,
    "half imported": """
        import runpod_flash.cli.utils.deployment, runpod_flash.cli.commands.deploy
        flash_otel.instrument()
        load()
        during = entries()
        flash_otel.uninstrument()
        before = entries()
    """,
    "twice": """
        load()
        before = entries()
        flash_otel.instrument()
        once = entries()
        flash_otel.instrument()
        during = entries()
        assert not [key for key in during if during[key] is not once[key]]
        flash_otel.uninstrument()
        flash_otel.uninstrument()
    """,
    "again": """
        load()
        before = entries()
        flash_otel.instrument()
        flash_otel.uninstrument()
        flash_otel.instrument(capture_graphql=True)
        during = entries()
        flash_otel.uninstrument()
    """,
}
REPORT = """
    after = entries()
    report(
        changed=named(key for key in during if during[key] is not after[key]),
        wrapped=named(wrapped(during)),
        left=named(wrapped(after)),
        differing=named(key for key in before if before[key] is not after[key]),
        shared=during["runpod_flash.cli.commands.build", "run_build"]
        is during["runpod_flash.cli.commands.deploy", "run_build"],
        command=during["command", "deploy"]
        is during["runpod_flash.cli.commands.deploy", "deploy_command"],
    )
"""
REMOVED_BEFORE_IMPORT = """
    flash_otel.instrument()
    flash_otel.uninstrument()
    load()
    report(wrapped=named(wrapped(entries())), imported="opentelemetry.sdk.trace" in sys.modules)
"""


@pytest.mark.parametrize("order", LATER)
@pytest.mark.parametrize("version", ["1.14.0", "1.21.0"])
def test_every_target_is_put_back(site: Site, version: str, order: str) -> None:
    """Whatever the order, each target is wrapped once, and the very same entry comes back."""
    run = site.python("\n".join((LOOK, LATER[order].replace("\n    ", "\n"), REPORT)))
    assert run.exit_code == 0, run.output
    seen = run.seen
    assert seen["left"] == seen["differing"] == []
    assert seen["changed"] == seen["wrapped"]
    targets = [name for name in seen["wrapped"] if not name.startswith("command ")]
    assert len(targets) == {"1.14.0": 30, "1.21.0": 31}[version]
    assert set(seen["wrapped"]) - set(targets) == {"command build", "command deploy"}
    assert seen["shared"]
    assert seen["command"]


def test_removed_before_flash_is_imported(site: Site) -> None:
    """Instrument, uninstrument, import: Flash is untouched."""
    run = site.python(LOOK + REMOVED_BEFORE_IMPORT)
    assert run.exit_code == 0, run.output
    assert run.seen["wrapped"] == []


def test_help_costs_nothing(site: Site) -> None:
    """A command that deploys nothing starts no SDK, no store and no exporter."""
    run = site.python("""
        import sys
        import flash_otel
        from child import flash, report

        flash_otel.instrument()
        status = flash("--help")
        begun = [name for name in ("sqlite3", "grpc") if name in sys.modules]
        ours = [name for name in sys.modules if name.startswith("flash_otel.store.store")]
        report(status=status, begun=begun, ours=ours)
    """)
    assert run.seen == {"status": 0, "begun": [], "ours": []}
    assert not site.store.exists()
