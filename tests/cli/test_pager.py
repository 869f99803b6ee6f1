"""Long reports on a terminal: which pager shows them, and how the command ends."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from support.commands import flash_otel, keep
from support.samples import failed_deployment, healthy_deployment, span
from support.terminal import flash_otel_on_terminal

if TYPE_CHECKING:
    from pathlib import Path

LESS = shutil.which("less")
needs_less = pytest.mark.skipif(LESS is None, reason="needs the program less")
# Shows that it ran, and with which settings; reads until the end.
PAGER = """\
import os, sys
sys.stdout.write(f"<pager {sys.argv[1:]} LESS={os.environ.get('LESS')}>\\n")
sys.stdout.write(f"{len(sys.stdin.read().splitlines())} lines\\n")
"""
# Leaves without reading anything.
LEAVES = "import sys; sys.stdin.close()"
PROMPT = b":\x1b[K"  # of less


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Keep a trace of 100 calls, each of which gets a row."""
    calls = [
        span(number, 1, f"step-{number}", number, number + 1, error="broken")
        for number in range(2, 102)
    ]
    keep(tmp_path, [span(1, None, "flash.deploy", 0, 200), *calls])
    return tmp_path


def pager(folder: Path, code: str = PAGER, *options: str) -> dict[str, str]:
    """Return the variable that names a pager written in Python."""
    script = folder / "pager.py"
    script.write_text(code, encoding="utf-8")
    return {"PAGER": f"'{sys.executable}' '{script}' {' '.join(options)}"}


def test_long_output_goes_through_the_pager(folder: Path) -> None:
    """A report longer than the screen is piped to `PAGER`, with its options, coloured."""
    with flash_otel_on_terminal(folder, "show", env=pager(folder, PAGER, "-x")) as terminal:
        status, output = terminal.finish()
    assert status == 0
    assert "<pager ['-x'] LESS=FRX>" in output
    assert "step-50" not in output


def test_the_pager_keeps_its_own_settings(folder: Path) -> None:
    """A `LESS` of the user's is not changed."""
    env = {**pager(folder), "LESS": "-i"}
    with flash_otel_on_terminal(folder, "show", env=env) as terminal:
        assert "LESS=-i>" in terminal.finish()[1]


@pytest.mark.parametrize(
    ("arguments", "env", "rows"),
    [
        (["show"], {}, 400),
        (["show", "--no-pager"], {}, 24),
        (["--no-pager", "show"], {}, 24),
        (["show"], {"TERM": "dumb"}, 24),
        (["show"], {"PAGER": ""}, 24),
        (["show"], {"PAGER": "cat"}, 24),
        (["show"], {"PAGER": "no-such-program -R"}, 24),
        (["show"], {"PAGER": "'"}, 24),
        (["show"], {"PAGER": "./not-executable"}, 24),
    ],
    ids=[
        "it fits", "option", "option before", "dumb", "empty", "cat", "missing", "quote", "denied",
    ],
)  # fmt: skip
def test_no_pager(folder: Path, arguments: list[str], env: dict[str, str], rows: int) -> None:
    """Output that fits, and all output where no pager is wanted or found, is written directly."""
    (folder / "not-executable").write_text("no program", encoding="utf-8")
    variables = {**pager(folder), **env}
    with flash_otel_on_terminal(folder, *arguments, env=variables, rows=rows) as terminal:
        status, output = terminal.finish()
    assert status == 0
    assert "<pager" not in output
    assert "step-101" in output


def test_a_program_that_cannot_run(folder: Path) -> None:
    """A pager that the system refuses to start costs nothing but the pager."""
    broken = folder / "broken"
    broken.write_bytes(b"\x7fELF no program")
    broken.chmod(0o755)
    with flash_otel_on_terminal(folder, "show", env={"PAGER": str(broken)}) as terminal:
        status, output = terminal.finish()
    assert status == 0
    assert "step-101" in output


def test_no_pager_for_a_list_that_is_kept_current(folder: Path) -> None:
    """`--follow` draws on the screen itself."""
    with flash_otel_on_terminal(
        folder, "traces", "--follow", rows=2, env=pager(folder)
    ) as terminal:
        drawn = terminal.expect(b"0af76519")
        terminal.send(b"\x03")
        output = drawn.decode() + terminal.finish()[1]
    assert "<pager" not in output
    assert "Traceback" not in output


def test_never_when_piped(folder: Path) -> None:
    """Piped output never goes through a pager, even if standard error is a terminal."""
    found = flash_otel(folder, "show", env=pager(folder))
    assert "<pager" not in found.stdout
    assert "step-101" in found.stdout


def test_a_short_command_has_no_pager(folder: Path) -> None:
    """Commands other than the reports have no pager."""
    assert "--no-pager" not in flash_otel(folder, "doctor", "--help").stdout


def test_a_pager_left_early(folder: Path) -> None:
    """The command keeps its own status when its pager has gone, and prints no error."""
    many = [
        span(number, 1, f"step-{number}", number, number + 1, error="x" * 200)
        for number in range(200, 3000)
    ]
    keep(folder, many)
    with flash_otel_on_terminal(folder, "show", env=pager(folder, LEAVES)) as terminal:
        assert terminal.finish() == (0, "")


def test_a_fault_keeps_its_status(tmp_path: Path) -> None:
    """`diagnose` exits with 1 for a fault, through a pager too."""
    keep(tmp_path, failed_deployment())
    with flash_otel_on_terminal(tmp_path, "diagnose", rows=5, env=pager(tmp_path)) as terminal:
        status, output = terminal.finish()
    assert status == 1
    assert "<pager" in output


@needs_less
def test_less_is_quit_by_a_key(folder: Path) -> None:
    """Without `PAGER`, less shows the first screen in colour, scrolls, and ends with q."""
    with flash_otel_on_terminal(folder, "show", env={"PAGER": "less"}) as terminal:
        first = terminal.expect(PROMPT)
        assert b"step-2 " in first
        assert b"\x1b[" in first
        assert b"ESC[" not in first
        terminal.send(b"q")
        assert terminal.finish()[0] == 0


@needs_less
def test_less_outlives_an_interrupt(folder: Path) -> None:
    """Ctrl-C in the pager neither ends the command nor breaks the screen."""
    with flash_otel_on_terminal(folder, "show", env={"PAGER": "less"}) as terminal:
        terminal.expect(PROMPT)
        terminal.send(b"\x03")
        # Less (590) loses keys that follow an interrupt, also where it runs alone.
        for _ in range(100):
            terminal.send(b"q")
            with suppress(subprocess.TimeoutExpired):
                terminal.process.wait(0.2)
                break
        status, output = terminal.finish()
    assert status == 0
    assert "interrupted" not in output
    assert "Traceback" not in output


@needs_less
def test_notes_wait_for_the_pager(tmp_path: Path) -> None:
    """Lines for a standard error on the same terminal are written after the pager's end."""
    keep(tmp_path, healthy_deployment())
    arguments = ["diagnose", "--env", "other"]
    with flash_otel_on_terminal(
        tmp_path, *arguments, rows=3, env={"PAGER": "less", "LESS": "R"}
    ) as terminal:
        assert b"no recording matches" not in terminal.expect(PROMPT)
        terminal.send(b"q")
        status, output = terminal.finish()
    assert status == 3
    assert "no recording matches --env other" in output


def test_notes_to_a_file_do_not_wait(tmp_path: Path) -> None:
    """Only a terminal is occupied by the pager."""
    keep(tmp_path, healthy_deployment())
    with (
        (tmp_path / "errors").open("wb") as errors,
        flash_otel_on_terminal(
            tmp_path, "diagnose", "--env", "x", rows=3, env=pager(tmp_path), stderr=errors.fileno()
        ) as terminal,
    ):
        assert terminal.finish()[0] == 3
    assert b"no recording matches" in (tmp_path / "errors").read_bytes()
