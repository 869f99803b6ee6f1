"""Follow the README from an empty home folder, with nothing but what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

import pytest
from docs.commands import ROOT, pasteable_lines
from support.commands import suggested
from support.flash import CACHE

PRINTED: Final = pasteable_lines(ROOT / "README.md", until="## Trace a deployment")
TRIED: Final = [line for line in PRINTED if not line.startswith("pip ")]
INSTALLED: Final = [line for line in PRINTED if line.startswith("pip ")]
PROGRAM: Final = ".venv/bin/flash-otel"
TIMEOUT: Final = 300


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with the files of this checkout, and this interpreter's environment."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for path in ROOT.iterdir():
        if not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    # The programs of the tests take the place of what `make demo` installs, which needs an index.
    (stamps := folder / ".venv" / ".stamps").mkdir(parents=True)
    (folder / ".venv" / "bin").symlink_to(Path(sys.prefix, "bin"), target_is_directory=True)
    for stamp in ("venv", "demo"):
        (stamps / stamp).touch()
    return folder


def paste(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line in a shell whose home folder is empty at first."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.mark.skipif(os.name == "nt", reason="runs make")
@pytest.mark.parametrize("named", [None, "/caches/named"])
def test_the_demo_installs_where_its_suggestions_look(named: str | None, tmp_path: Path) -> None:
    """`make demo` passes on a cache that the user named, and otherwise none."""
    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    (tmp_path / ".venv" / ".stamps").mkdir(parents=True)
    (program := tmp_path / ".venv" / "bin" / "flash-otel").parent.mkdir()
    program.write_text('#!/bin/sh\necho "cache: $FLASH_OTEL_CACHE"\n')
    program.chmod(0o700)
    for name in ("pyproject.toml", ".venv/.stamps/venv", ".venv/.stamps/demo"):
        (tmp_path / name).touch()
    done = paste("make demo", tmp_path, **({"FLASH_OTEL_CACHE": named} if named else {}))
    assert done.stdout == f"cache: {named or ''}\n"


@pytest.mark.flash
@pytest.mark.skipif(os.name == "nt", reason="runs make")
def test_every_command_to_try_works_when_pasted(checkout: Path) -> None:
    """In the README's order, each followed by the commands that it suggests, until none is new."""
    assert TRIED[0] == "make demo"
    assert len(TRIED) > 4
    waiting, done = [*TRIED], list[str]()
    while waiting:
        done.append(command := waiting.pop(0))
        assert command.startswith(("make ", f"{PROGRAM} ")), command
        ended = paste(command, checkout, FLASH_OTEL_CACHE=str(CACHE))
        assert ended.returncode in (0, 1), (command, ended.stdout, ended.stderr)
        assert ended.stdout, command
        assert "Traceback" not in ended.stderr
        new = dict.fromkeys(suggested(ended.stdout + ended.stderr))
        # Every scenario's own commands are pasted by tests/demo.
        # At once: the next demo replaces the recording.
        waiting[:0] = [text for text in new if text not in done and " demo " not in text]
    assert len(done) > len(TRIED)


def test_the_printed_installation_works(tmp_path: Path) -> None:
    """In the checkout, it installs a program that runs; the dependencies are there already."""
    assert INSTALLED == ["pip install ."]
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "these.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    scripts = str(environment / "bin")
    # The pinned hatchling of requirements/dev.txt builds it: isolation would ask a package index.
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    path = f"{scripts}:/usr/bin:/bin"
    (tmp_path / "folder").mkdir()
    ended = paste(f"cd {ROOT} && {INSTALLED[0]}", tmp_path / "folder", PATH=path, **offline)
    assert ended.returncode == 0, ended.stderr
    shown = paste("flash-otel --version && flash-otel demo --list", tmp_path / "folder", PATH=path)
    assert shown.stdout.startswith("flash-otel ")
    assert "stale_build" in shown.stdout
    assert (packages / "flash_otel" / "__init__.py").exists()
