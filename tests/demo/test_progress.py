"""The progress of a demo, on terminals and elsewhere."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading

import pytest
from support.flash import ROOT

from flash_otel.demo.progress import StepProgress

LINE = re.compile(r"\[ *\d+\.\d s\] (.*)")


def on_terminal(columns: int, show: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a terminal receives while steps are shown."""
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = os.openpty()
    received: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(ours, 1_000):
                received.append(chunk)
        except OSError:
            return

    reader = threading.Thread(target=read)
    reader.start()
    with open(theirs, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((columns, 24)))
        with StepProgress(stream) as progress:
            for sentence, detail in show:
                progress(sentence, detail)
    reader.join()
    os.close(ours)
    return b"".join(received).decode()


def test_a_pipe_gets_a_line_for_each_step() -> None:
    """Details that follow each other closely make no lines; there is no control character."""
    stream = io.StringIO()
    with StepProgress(stream) as progress:
        for detail in ("", "1 package", "2 packages"):
            progress("Installing", detail)
        progress("Deploying")
    lines = stream.getvalue().splitlines()
    assert [match[1] for match in map(LINE.fullmatch, lines) if match] == [
        "Installing",
        "Deploying",
    ]
    assert len(lines) == 2


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_terminal_gets_a_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The current step is overwritten, and stays with its last detail when it ends."""
    show = [("Installing", "1 package"), ("Installing", "2 packages"), ("Deploying", "")]
    text = on_terminal(80, show, monkeypatch)
    drawn = [part for part in re.split(r"\r\x1b\[K", text) if part]
    assert any("1 package" in part and "\n" not in part for part in drawn)
    kept = [LINE.fullmatch(part.strip()) for part in drawn if part.endswith("\n")]
    assert [match and match[1] for match in kept] == ["Installing: 2 packages", "Deploying"]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_line_that_changes_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wider line would wrap, and the next one could not overwrite it."""
    text = on_terminal(40, [("Installing", "x" * 100)], monkeypatch)
    drawn = [part for part in re.split(r"\r\x1b\[K", text) if "\n" not in part]
    assert max(map(len, drawn)) == 39


def test_a_reader_that_has_gone_ends_nothing() -> None:
    """Progress that cannot be written is dropped."""
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        with StepProgress(stream) as progress:
            progress("Installing")
            progress("Deploying")
        os.dup2(os.open(os.devnull, os.O_WRONLY), theirs)


@pytest.mark.parametrize(("code", "shown"), [("0", ""), ("3", "the reason\n")])
def test_a_command_shows_its_output_only_if_it_fails(code: str, shown: str) -> None:
    """The Makefile runs slow commands in silence; a failure gives the reason and the status."""
    command = ["sh", "-c", f"echo the reason; exit {code}"]
    done = subprocess.run(
        [sys.executable, "-m", "flash_otel.demo.progress", "Working", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == int(code)
    first, rest = done.stderr.split("\n", 1)
    assert LINE.fullmatch(first)
    assert (rest, done.stdout) == (shown, "")
