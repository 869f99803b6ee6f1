"""A traced deployment against an untraced one: the user sees no difference, nor does the server."""

from __future__ import annotations

from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from e2e.likeness import HARMS, QUIET, VERSIONS, Pair, compared, differences
from support.comparing import asked, left, shown
from support.disks import can_mount

from flash_otel import semconv
from flash_otel.demo.processes import bracketed_lines
from flash_otel.demo.scenarios import WRITE
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.flash import FlashEnvironments, FlashRun
    from support.site import Site
    from support.warm import WarmEnvironments

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
NO_SUMMARY = {"FLASH_OTEL_SUMMARY": "0"}


def traced(pair: Pair, **options: Any) -> FlashRun:
    """Run Flash's console script after `flash_otel.instrument()`."""
    environment = pair.environment
    command = [str(environment.python), "-c", TRACED, str(environment.flash)]
    return pair.run("b", command, **options)


def launched(pair: Pair, **options: Any) -> FlashRun:
    """Run Flash through `flash-otel run`."""
    return pair.launched(**options)


def failures(store: Path) -> list[bool]:
    """Return whether each deployment that is stored has failed."""
    with SpanStore(store) as opened:
        return [span.status == "error" for span in opened.spans() if span.name == semconv.DEPLOY]


@pytest.mark.parametrize(
    ("version", "harm", "terminal"),
    [
        ("1.14.0", "none", False),
        ("1.14.0", "none", True),
        ("1.14.0", "endpoint refused", True),
        ("1.14.0", "unauthorized", False),
        ("1.21.0", "none", False),
        ("1.21.0", "none", True),
        ("1.21.0", "endpoint refused", False),
        ("1.21.0", f"{WRITE} loses its answer", True),
    ],
)
def test_nothing_else_differs_with_instrument(
    version: str,
    harm: str,
    terminal: bool,
    flash_env: FlashEnvironments,
    warm_env: WarmEnvironments,
    tmp_path: Path,
) -> None:
    """Requests, output, exit code and files are equal; only the manifest key is added."""
    is_harmed = harm != "none"
    environment = (warm_env if is_harmed else flash_env)(version)
    pair = Pair(environment, tmp_path, HARMS[harm])
    options: dict[str, Any] = {"variables": QUIET}
    if terminal:
        options = {"whole_terminal": True, "variables": NO_SUMMARY}
    untraced, run = pair.untraced(**options), traced(pair, **options)
    assert list(differences(pair, untraced, run)) == []
    assert shown(run, run.stdout) == shown(untraced, untraced.stdout)
    assert shown(run, run.stderr) == shown(untraced, untraced.stderr)
    assert untraced.exit_code == int(is_harmed)
    assert failures(pair.store) == [is_harmed]


# Each version unharmed, and each harm with one of the versions.
CHOICE: Final = (
    *((version, "none") for version in VERSIONS),
    *zip(cycle(VERSIONS[1:]), (harm for harm in HARMS if harm != "none"), strict=False),
)


@pytest.mark.parametrize(("version", "harm"), CHOICE)
def test_nothing_else_differs_through_the_launcher(
    version: str, harm: str, warm_env: WarmEnvironments, tmp_path: Path
) -> None:
    """The same holds for every generation, whatever happens; `make likeness` compares all."""
    if HARMS[harm].fills_disk and not can_mount():
        pytest.skip("this machine cannot mount a disk")
    pair, run, found = compared(warm_env(version), harm, tmp_path)
    assert found == []
    # A signal that ends the process leaves its spans unended.
    assert any(failures(pair.store)) == (run.exit_code > 0)


def test_piped_run_gets_the_bracketed_lines_and_nothing_more(
    flash_env: FlashEnvironments, tmp_path: Path
) -> None:
    """By default the lines go to a piped standard error; standard output stays Flash's own."""
    pair = Pair(flash_env("1.21.0"), tmp_path)
    untraced, run = pair.untraced(), traced(pair)
    assert shown(run, run.stdout) == shown(untraced, untraced.stdout)
    log = tmp_path / "stderr.log"
    log.write_text(run.stderr)
    assert untraced.stderr == ""
    assert bracketed_lines(log) == run.stderr.splitlines()
    assert run.stderr.startswith("[DEPLOY] Environment production activated with build_id=")


@pytest.mark.parametrize("way", [traced, launched])
@pytest.mark.parametrize("version", ["1.14.0", "1.21.0"])
def test_on_a_terminal_only_the_summary_is_added(
    version: str, way: Callable[..., FlashRun], flash_env: FlashEnvironments, tmp_path: Path
) -> None:
    """Flash shows its progress as ever, and the summary follows below everything else."""
    pair = Pair(flash_env(version), tmp_path)
    untraced, run = pair.untraced(whole_terminal=True), way(pair, whole_terminal=True)
    own, _, summary = run.stderr.partition("\r\nflash-otel: ")
    assert run.exit_code == 0
    assert shown(run, own) == shown(untraced, untraced.stderr)
    first, steps, *command = summary.splitlines()
    assert first.startswith("gpu_app was deployed to production in ")
    assert "provisioning" in steps
    assert str(pair.store) in " ".join(command).split()
    assert asked(run) == asked(untraced)
    assert left(run) == left(untraced)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks for sockets in /proc")
@pytest.mark.parametrize("version", ["1.14.0", "1.21.0"])
def test_only_the_stores_thread_is_added(started_site: Site) -> None:
    """With no exporter configured: no socket, no process, no thread but the store's."""
    assert started_site.python(WATCHED.format(traced=False)).exit_code == 0
    # A first deployment asks for more than a second one, which finds what it needs.
    runs = [started_site.python(WATCHED.format(traced=value)) for value in (True, False)]
    assert [run.exit_code for run in runs] == [0, 0]
    with_us, untraced = (run.seen for run in runs)
    ours = [name for name in with_us["threads"] if name.startswith("flash_otel")]
    assert ours == ["flash_otel-store"]
    assert len(with_us["threads"]) == len(untraced["threads"]) + len(ours)
    # Flash's own threads may or may not have ended by then; all that began are counted above.
    still_ours = {name for name in with_us["alive"] if name.startswith("flash_otel")}
    assert still_ours <= set(ours)
    assert with_us["processes"] == untraced["processes"]
    assert Counter(with_us["sockets"]) == Counter(untraced["sockets"])
    assert with_us["open_sockets"] == untraced["open_sockets"]
