"""A traced deployment against an untraced one: the user sees no difference, nor does the server."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.comparing import asked, left, shown
from support.faults import FAULTS
from support.flash import FlashEnvironments, FlashRun, run_flash
from support.site import APP
from support.versions import RUNPOD_VERSIONS

from flash_otel import semconv
from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.processes import bracketed_lines
from flash_otel.demo.project import write_project
from flash_otel.demo.scenarios import FaultPlan
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from support.site import Site
    from support.warm import WarmEnvironments

    from flash_otel.demo.environment import PythonEnvironment

pytestmark = pytest.mark.flash

# The console script, and one line before it.
TRACED = """\
import sys
import flash_otel
flash_otel.instrument()
sys.argv[0] = sys.argv.pop(1)
from runpod_flash.cli.main import app
sys.exit(app())
"""
WATCHED = """
    import sys
    from child import flash, watch

    watch()
    if {traced}:
        import flash_otel
        flash_otel.instrument()
    sys.exit(flash("deploy", "--no-deps"))
"""
NO_LINES = {"FLASH_OTEL_LEGACY_LOGS": "false"}
NO_SUMMARY = {"FLASH_OTEL_SUMMARY": "0"}


class Pair:
    """Runs `flash deploy` untraced and traced, each against a control plane of its own."""

    def __init__(self, environment: PythonEnvironment, folder: Path, fault: str | None) -> None:
        self.environment = environment
        self.folder = folder
        self.fault = fault

    def untraced(self, **options: Any) -> FlashRun:
        """Run Flash's own console script."""
        return self._run("a", [str(self.environment.flash)], **options)

    def traced(self, **options: Any) -> FlashRun:
        """Run the same after `flash_otel.instrument()`."""
        command = [str(self.environment.python), "-c", TRACED, str(self.environment.flash)]
        return self._run("b", command, **options)

    def launched(self, *arguments: str, **options: Any) -> FlashRun:
        """Run the same through `flash-otel run`."""
        command = [str(self.environment.python), "-m", "flash_otel", "run", *arguments, "--"]
        return self._run("b", [*command, self.environment.generation.script], **options)

    @property
    def store(self) -> Path:
        """Where the traced run's spans went."""
        return self.folder / "b" / "home" / "spans.db"

    def homes(self) -> tuple[set[str], set[str]]:
        """Return the files that the runs left in their homes, but for the store."""
        listed = []
        for name in ("a", "b"):
            home = self.folder / name / "home"
            files = {path.relative_to(home).as_posix() for path in home.rglob("*")}
            listed.append({file for file in files if not file.startswith("spans.db")})
        return listed[0], listed[1]

    def _run(self, name: str, launcher: list[str], **options: Any) -> FlashRun:
        (self.folder / name).mkdir()
        project = write_project(self.folder / name / APP, self.environment.version)
        arguments = self.environment.generation.deploy
        with ControlPlane(seed=5) as plane:
            plane.faults = FaultPlan(FAULTS[self.fault] if self.fault else ())
            return run_flash(
                self.environment,
                plane,
                project,
                *arguments,
                launcher=launcher,
                **options,
            )


@pytest.mark.parametrize(
    ("version", "fault", "terminal"),
    [
        ("1.14.0", None, False),
        ("1.14.0", None, True),
        ("1.14.0", "one endpoint refused", True),
        ("1.14.0", "everything unauthorized", False),
        ("1.21.0", None, False),
        ("1.21.0", None, True),
        ("1.21.0", "one endpoint refused", False),
        ("1.21.0", "write answer lost", True),
    ],
)
def test_nothing_else_differs(
    version: str,
    fault: str | None,
    terminal: bool,
    flash_env: FlashEnvironments,
    warm_env: WarmEnvironments,
    tmp_path: Path,
) -> None:
    """Requests, output, exit code and files are equal; only the manifest key is added."""
    pair = Pair(warm_env(version) if fault else flash_env(version), tmp_path, fault)
    options: dict[str, Any] = {"whole_terminal": True, "variables": NO_SUMMARY}
    if not terminal:
        options = {"variables": NO_LINES}
    untraced, traced = pair.untraced(**options), pair.traced(**options)
    assert traced.exit_code == untraced.exit_code == int(fault is not None)
    assert shown(traced, traced.stdout) == shown(untraced, untraced.stdout)
    assert shown(traced, traced.stderr) == shown(untraced, untraced.stderr)
    assert asked(traced) == asked(untraced)
    assert left(traced) == left(untraced)
    assert pair.homes()[0] == pair.homes()[1]
    with SpanStore(pair.store) as store:
        (root,) = [span for span in store.spans() if span.name == semconv.DEPLOY]
    assert root.status == ("error" if fault else "unset")


@pytest.mark.parametrize(
    "fault", [None, "one endpoint refused", "everything unauthorized", "upload reset"]
)
@pytest.mark.parametrize("version", RUNPOD_VERSIONS)
def test_nothing_else_differs_with_runpod_2(
    version: str, fault: str | None, flash_env: FlashEnvironments, tmp_path: Path
) -> None:
    """The same holds for runpod 2, whose uploads are retried."""
    pair = Pair(flash_env(version), tmp_path, fault)
    untraced = pair.untraced(variables=NO_LINES)
    traced = pair.launched("--quiet", variables=NO_LINES)
    assert traced.exit_code == untraced.exit_code == int(fault is not None)
    assert shown(traced, traced.stdout) == shown(untraced, untraced.stdout)
    assert shown(traced, traced.stderr) == shown(untraced, untraced.stderr)
    assert asked(traced) == asked(untraced)
    assert left(traced) == left(untraced)
    assert pair.homes()[0] == pair.homes()[1]
    with SpanStore(pair.store) as store:
        (root,) = [span for span in store.spans() if span.name == semconv.DEPLOY]
    assert root.status == ("error" if fault else "unset")


def test_piped_run_gets_the_bracketed_lines_and_nothing_more(
    flash_env: FlashEnvironments, tmp_path: Path
) -> None:
    """By default the lines go to a piped standard error; standard output stays Flash's own."""
    pair = Pair(flash_env("1.21.0"), tmp_path, None)
    untraced, traced = pair.untraced(), pair.traced()
    assert shown(traced, traced.stdout) == shown(untraced, untraced.stdout)
    log = tmp_path / "stderr.log"
    log.write_text(traced.stderr)
    assert untraced.stderr == ""
    assert bracketed_lines(log) == traced.stderr.splitlines()
    assert traced.stderr.startswith("[DEPLOY] Environment production activated with build_id=")


@pytest.mark.parametrize("way", ["traced", "launched"])
@pytest.mark.parametrize("version", ["1.14.0", "1.21.0"])
def test_on_a_terminal_only_the_summary_is_added(
    version: str, way: str, flash_env: FlashEnvironments, tmp_path: Path
) -> None:
    """Flash shows its progress as ever, and the summary follows below everything else."""
    pair = Pair(flash_env(version), tmp_path, None)
    untraced, traced = pair.untraced(whole_terminal=True), getattr(pair, way)(whole_terminal=True)
    own, _, summary = traced.stderr.partition("\r\nflash-otel: ")
    assert traced.exit_code == 0
    assert shown(traced, own) == shown(untraced, untraced.stderr)
    first, steps, *command = summary.splitlines()
    assert first.startswith("gpu_app was deployed to production in ")
    assert "provisioning" in steps
    assert str(pair.store) in " ".join(command).split()
    assert asked(traced) == asked(untraced)
    assert left(traced) == left(untraced)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks for sockets in /proc")
@pytest.mark.parametrize("version", ["1.14.0", "1.21.0"])
def test_only_the_stores_thread_is_added(started_site: Site) -> None:
    """With no exporter configured: no socket, no process, no thread but the store's."""
    assert started_site.python(WATCHED.format(traced=False)).exit_code == 0
    # A first deployment asks for more than a second one, which finds what it needs.
    runs = [started_site.python(WATCHED.format(traced=traced)) for traced in (True, False)]
    assert [run.exit_code for run in runs] == [0, 0]
    traced, untraced = (run.seen for run in runs)
    ours = [name for name in traced["threads"] if name.startswith("flash_otel")]
    assert ours == ["flash_otel-store"]
    assert len(traced["threads"]) == len(untraced["threads"]) + len(ours)
    # Flash's own threads may or may not have ended by then; all that began are counted above.
    still_ours = {name for name in traced["alive"] if name.startswith("flash_otel")}
    assert still_ours <= set(ours)
    assert traced["processes"] == untraced["processes"]
    assert Counter(traced["sockets"]) == Counter(untraced["sockets"])
    assert traced["open_sockets"] == untraced["open_sockets"]
