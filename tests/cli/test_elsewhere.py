from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.commands import flash_otel

from flash_otel.runtime.interpreters import install_command, interpreter_of, requirement, runs_here

BODY = "import sys\nfrom runpod_flash.cli.main import app\nsys.exit(app())\n"


def console_script(environment: Path, head: str | None = None) -> Path:
    """Write flash's console script as an installer does, and return its path."""
    folder = environment / "bin"
    folder.mkdir(parents=True)
    script = folder / "flash"
    script.write_text((head or f"#!{folder / 'python'}") + "\n" + BODY, encoding="utf-8")
    script.chmod(0o755)
    return script


@pytest.mark.parametrize(
    ("head", "python"),
    [
        ("#!/tools/flash/bin/python3.12", "/tools/flash/bin/python3.12"),
        ("#!/tools/flash/bin/python -E", "/tools/flash/bin/python"),
        ("#! /tools/flash/bin/python", "/tools/flash/bin/python"),
        ("#!/usr/bin/env no-such-python", "no-such-python"),
        (
            "#!/bin/sh\n'''exec' \"/with a space/bin/python\" \"$0\" \"$@\"\n' '''",
            "/with a space/bin/python",
        ),
        ("#!/bin/sh\n'''exec' /long/bin/python \"$0\" \"$@\"\n' '''", "/long/bin/python"),
    ],
)
def test_the_interpreter_of_a_console_script(tmp_path: Path, head: str, python: str) -> None:
    """The interpreter is found in every form of console script that installers write."""
    assert interpreter_of(console_script(tmp_path, head)) == Path(python)


def test_other_files_have_no_interpreter(tmp_path: Path) -> None:
    """Another program named flash, a binary or a missing file is not taken for Runpod's."""
    other = tmp_path / "flash"
    other.write_text("#!/usr/bin/python3\nprint('a player of old films')\n", encoding="utf-8")
    assert interpreter_of(other) is None
    other.write_bytes(b"\x7fELF runpod_flash")
    assert interpreter_of(other) is None
    assert interpreter_of(tmp_path / "missing") is None
    assert interpreter_of(tmp_path) is None


def test_a_windows_launcher_runs_the_interpreter_beside_it(tmp_path: Path) -> None:
    """A launcher of Windows is binary; its interpreter is in the same folder."""
    launcher = tmp_path / "flash.exe"
    launcher.write_bytes(b"MZ\x90\x00")
    assert interpreter_of(launcher) is None
    (tmp_path / "python.exe").write_bytes(b"MZ")
    assert interpreter_of(launcher) == tmp_path / "python.exe"


@given(content=st.binary())
def test_any_file_is_read_without_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """A damaged console script never raises."""
    script = tmp_path_factory.getbasetemp() / "damaged-flash"
    script.write_bytes(b"#!" + content + b"\nrunpod_flash")
    interpreter_of(script)


@pytest.mark.parametrize(
    ("note", "command"),
    [
        ("uv-receipt.toml", "uv tool install runpod-flash --with {}"),
        ("pipx_metadata.json", "pipx inject runpod-flash {}"),
    ],
)
def test_tools_are_recognized_by_a_file_in_their_environment(
    tmp_path: Path, note: str, command: str
) -> None:
    """Environments made by uv and pipx get flash-otel through uv and pipx."""
    environment = tmp_path / "runpod-flash"
    script = console_script(environment)
    (environment / note).touch()
    python = interpreter_of(script)
    assert python is not None
    assert install_command(python) == command.format(requirement())


def test_any_other_environment_gets_it_by_pip(tmp_path: Path) -> None:
    """Other environments get it through pip of their interpreter, quoted for a shell."""
    python = tmp_path / "my env" / "bin" / "python"
    assert install_command(python) == f"'{python}' -m pip install {requirement()}"
    assert install_command(python, "ui") == f"'{python}' -m pip install {requirement('ui')}"


@pytest.mark.parametrize(
    ("recorded", "wanted"),
    [
        (None, "'flash-otel[ui]'"),
        ('{"url": "file:///"}', "'/[ui]'"),
        ('{"url": "file:///gone%20away"}', "'flash-otel[ui]'"),
        ('{"url": "https://example.com/flash-otel.git"}', "'flash-otel[ui]'"),
        ("{}", "'flash-otel[ui]'"),
        ("broken", "'flash-otel[ui]'"),
    ],
)
def test_a_checkout_is_installed_by_its_path(
    recorded: str | None, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pip recorded as the origin of this installation is what others get it from."""

    class Distribution:
        def read_text(self, name: str) -> str | None:
            return recorded if name == "direct_url.json" else None

    monkeypatch.setattr(metadata, "distribution", lambda _: Distribution())
    assert requirement("ui") == wanted


def test_scripts_of_this_environment_run_here(tmp_path: Path) -> None:
    """Only a console script of this interpreter's environment can run in this process."""
    assert runs_here(console_script(tmp_path / "a", f"#!{Path(sys.prefix, 'bin', 'python')}"))
    assert not runs_here(console_script(tmp_path / "b"))


def test_run_prints_the_exact_commands_for_a_tool_elsewhere(tmp_path: Path) -> None:
    """Flash in uv's environment: its place, the command that adds flash-otel, the next one."""
    environment = tmp_path / "uv" / "tools" / "runpod-flash"
    script = console_script(environment)
    (environment / "uv-receipt.toml").touch()
    shim = tmp_path / "shims"
    shim.mkdir()
    (shim / "flash").symlink_to(script)
    found = flash_otel(
        tmp_path, "run", "--", "flash", "deploy", "--env", "a b", env={"PATH": str(shim)}
    )
    python = environment / "bin" / "python"
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.splitlines() == [
        f"flash-otel: flash lives in another interpreter ({python}).",
        f"Add flash-otel there:  uv tool install runpod-flash --with {requirement()}",
        f"Then run:              {python} -m flash_otel run -- flash deploy --env 'a b'",
    ]


def test_run_without_any_flash_prints_how_to_install_it(tmp_path: Path) -> None:
    """Without any flash: the command that installs it next to flash-otel."""
    found = flash_otel(tmp_path, "run", "--", "flash", "deploy", env={"PATH": str(tmp_path)})
    assert found.returncode == 2
    assert found.stderr.splitlines() == [
        "flash-otel: flash is neither installed beside flash-otel nor on PATH.",
        f"Install it here: {sys.executable} -m pip install runpod-flash",
    ]
