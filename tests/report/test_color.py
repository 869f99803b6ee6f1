"""When reports are coloured, by the option, the variables and the stream."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from support.commands import flash_otel, keep
from support.samples import failed_deployment
from support.terminal import flash_otel_on_terminal

from flash_otel.report.color import Color, chosen, color_system
from flash_otel.report.layout import ReportConsole, page_for
from flash_otel.runtime import process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "TERM", "COLORTERM")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    yield
    process.reset()


# Choice, variables, and the colours on a terminal and elsewhere.
CASES = {
    "auto": (Color.AUTO, {}, "auto", None),
    "always": (Color.ALWAYS, {}, "auto", "standard"),
    "never": (Color.NEVER, {}, None, None),
    "NO_COLOR": (Color.AUTO, {"NO_COLOR": "1"}, None, None),
    "empty NO_COLOR": (Color.AUTO, {"NO_COLOR": ""}, "auto", None),
    "CLICOLOR_FORCE": (Color.AUTO, {"CLICOLOR_FORCE": "1"}, "auto", "standard"),
    "CLICOLOR_FORCE=0": (Color.AUTO, {"CLICOLOR_FORCE": "0"}, "auto", None),
    "FORCE_COLOR": (Color.AUTO, {"FORCE_COLOR": "3"}, "auto", "standard"),
    "empty FORCE_COLOR": (Color.AUTO, {"FORCE_COLOR": ""}, "auto", None),
    "CLICOLOR=0": (Color.AUTO, {"CLICOLOR": "0"}, None, None),
    "CLICOLOR=1": (Color.AUTO, {"CLICOLOR": "1"}, "auto", None),
    "force over CLICOLOR": (
        Color.AUTO,
        {"FORCE_COLOR": "1", "CLICOLOR": "0"},
        "auto",
        "standard",
    ),
    "NO_COLOR over force": (
        Color.AUTO,
        {"NO_COLOR": "1", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"},
        None,
        None,
    ),
    "always over NO_COLOR": (Color.ALWAYS, {"NO_COLOR": "1"}, "auto", "standard"),
    "never over force": (Color.NEVER, {"FORCE_COLOR": "1"}, None, None),
    "always on a dumb terminal": (Color.ALWAYS, {"TERM": "dumb"}, "standard", "standard"),
    "always on an unknown terminal": (Color.ALWAYS, {"TERM": "Unknown"}, "standard", "standard"),
    "auto on a dumb terminal": (Color.AUTO, {"TERM": "dumb"}, "auto", None),
    "CLICOLOR_FORCE after FORCE_COLOR=0": (
        Color.AUTO,
        {"FORCE_COLOR": "0", "CLICOLOR_FORCE": "1"},
        "auto",
        "standard",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_precedence(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option wins over `NO_COLOR`, that over the forcing variables, those over `CLICOLOR`."""
    choice, variables, on_terminal, elsewhere = CASES[case]
    for name, value in {"TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    chosen.value = choice
    assert color_system(is_terminal=True) == on_terminal
    assert color_system(is_terminal=False) == elsewhere


def test_a_terminal_without_a_name_is_a_dumb_one() -> None:
    """Nobody knows what it can do, but colours may be forced upon it."""
    chosen.value = Color.ALWAYS
    assert color_system(is_terminal=True) == "standard"


def test_forced_colours_cut_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piped report is coloured if that is forced, but keeps its whole lines."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    piped = ReportConsole(file=io.StringIO())
    assert piped.color_system == "standard"
    assert page_for(piped).width is None
    assert ReportConsole(file=io.StringIO(), color_system=None).color_system is None


@pytest.mark.parametrize(
    ("arguments", "env", "is_coloured"),
    [
        (["show"], {}, False),
        (["show", "--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "always", "show"], {}, True),
        (["--color", "always", "show", "--color", "never"], {}, False),
        (["show"], {"CLICOLOR_FORCE": "1"}, True),
        (["diagnose", "--color=always"], {}, True),
        (["traces", "--color=always"], {}, True),
    ],
)
def test_piped(
    tmp_path: Path, arguments: list[str], env: dict[str, str], is_coloured: bool
) -> None:
    """`--color` stands before or after the command, and the later one wins."""
    keep(tmp_path, failed_deployment())
    found = flash_otel(tmp_path, *arguments, env=env)
    assert ("\x1b[" in found.stdout) is is_coloured


@pytest.mark.parametrize("arguments", [["--color", "never"], ["--color", "auto"]])
def test_on_a_terminal(tmp_path: Path, arguments: list[str]) -> None:
    """On a terminal, `never` writes no escape sequence at all."""
    keep(tmp_path, failed_deployment())
    with flash_otel_on_terminal(tmp_path, "show", *arguments, rows=200) as terminal:
        status, output = terminal.finish()
    assert status == 0
    assert ("\x1b[" in output) is (arguments[1] == "auto")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [_Terminal, io.StringIO])
def test_the_stream_decides(kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    """A console has colours if its own stream is a terminal, whatever the process's streams are."""
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert (ReportConsole(file=kind()).color_system is not None) == (kind is _Terminal)
