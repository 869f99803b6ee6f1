"""Suggested commands name the program so that they work when they are pasted."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support.commands import in_process, keep
from support.samples import failed_deployment

from flash_otel.cli import app
from flash_otel.runtime.suggestions import COMMANDS, PROGRAM, own_command, pasteable

if TYPE_CHECKING:
    from collections.abc import Callable

# Commands that suggest another: without any recording, and with one.
SUGGESTING: Final = {
    "an empty list": "traces",
    "an empty status": "status",
    "nothing to show": "show",
    "nothing to diagnose": "diagnose",
    "nothing was started": "collector status",
    "no logs": "collector logs",
    "a wrong option": "traces --no-such-option",
    "passed checks": "doctor --offline",
}
RECORDED: Final = {
    "no endpoint": "push",
    "nothing matches": "traces --env nowhere",
    "no such trace": "show ffff",
    "a deployment": "diagnose",
    "another environment": "diagnose --env production",
    "a trace": "show last",
    "a question": "prune --all",
}
BESIDE: Final = Path(sys.executable).with_name("flash-otel")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process is a flash-otel that PATH does not find; returns its script."""
    script = tmp_path / "my tools" / "flash-otel"
    script.parent.mkdir()
    script.touch(0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    return script


def test_the_words_of_suggestions_are_the_commands() -> None:
    """Every command is recognised in a suggestion."""
    assert list(COMMANDS) == list(app.COMMANDS)


def test_only_commands_are_replaced(elsewhere: Path) -> None:
    """Commands name the program by its path; sentences about it are left alone."""
    text = "Add flash-otel to it: flash-otel show last, or flash-otel demo"
    assert pasteable(text) == (
        f"Add flash-otel to it: '{elsewhere}' show last, or '{elsewhere}' demo"
    )


@pytest.mark.parametrize("arguments", [*SUGGESTING.values(), *RECORDED.values()])
def test_a_command_suggests_what_can_be_pasted(
    arguments: str, elsewhere: Path, tmp_path: Path
) -> None:
    """No command suggests a program that the user's shell does not find."""
    if arguments in RECORDED.values():
        keep(tmp_path, failed_deployment())
    found = in_process(tmp_path, *arguments.split())
    printed = " ".join((found.stdout + found.stderr).split())
    assert f"'{elsewhere}' " in printed
    assert not re.search(rf"(?<![\w/]){PROGRAM} (?:{'|'.join(COMMANDS)})\b", printed)


def named(*, on_path: bool, called: str) -> Callable[[pytest.MonkeyPatch], None]:
    def prepare(patch: pytest.MonkeyPatch) -> None:
        patch.setenv("PATH", str(BESIDE.parent) if on_path else "/nowhere")
        patch.setattr(sys, "argv", [called])

    return prepare


@pytest.mark.parametrize(
    ("prepare", "command"),
    [
        (named(on_path=True, called=str(BESIDE)), "flash-otel"),
        (named(on_path=True, called="/usr/bin/flash"), "flash-otel"),
        (named(on_path=False, called=str(BESIDE)), str(BESIDE)),
        (named(on_path=False, called="/usr/bin/flash"), str(BESIDE)),
        (named(on_path=True, called="/gone/flash-otel"), f"{sys.executable} -m flash_otel"),
    ],
    ids=["on PATH", "beside a traced program", "not on PATH", "of a traced program", "gone"],
)
def test_the_program_is_called_in_the_shortest_way_that_works(
    prepare: Callable[[pytest.MonkeyPatch], None], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bare name only if the shell finds this very installation by it."""
    prepare(monkeypatch)
    assert own_command() == command
