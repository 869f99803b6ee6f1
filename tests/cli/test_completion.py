"""Shell completion: the words that are offered, the scripts in real shells, the installation."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.commands import TIMEOUT, environment, flash_otel, forking, in_process, keep, python
from support.samples import TRACE, healthy_deployment, span
from support.terminal import Terminal

from flash_otel.cli import shells
from flash_otel.cli.app import COMMANDS
from flash_otel.cli.completion import VARIABLE
from flash_otel.demo.scenarios import SCENARIOS
from flash_otel.semconv import FAULTS

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "evil\"'$(touch pwned)`touch pwned`;touch pwned\n\x1b]0;title\x07"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Keep a deployment, and a trace with names that a shell could run; put the program on PATH."""
    names = ("flash.app_name", "deployment.environment.name", "flash.build_id")
    hostile = span(1, None, "flash.deploy", 10, 20, trace_id="ab" * 16)
    hostile.attributes.update(dict.fromkeys(names, EVIL))  # type: ignore[attr-defined]
    keep(tmp_path, [*healthy_deployment(), hostile])
    program = tmp_path / "bin" / "flash-otel"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{forking()}" -m flash_otel "$@"\n', "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def with_program(folder: Path) -> dict[str, str]:
    """Return the variables with which a shell finds the program."""
    return {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def offered(folder: Path, *words: str, variety: str = "bash") -> list[str]:
    """Return the lines that a shell gets for a command line."""
    found = in_process(folder, *words, env={VARIABLE: variety})
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout.splitlines()


ANSWERS = {
    "commands": ([""], list(COMMANDS)),
    "a command": (["dia"], ["diagnose"]),
    "options": (["show", "--no-p"], ["--no-pager"]),
    "options before": (["--col"], ["--color"]),
    "a choice": (["traces", "--color", "a"], ["auto", "always"]),
    "after a global option": (["--color", "never", "sh"], ["show"]),
    "traces": (["show", ""], ["last", "ab" * 16, TRACE]),
    "a trace": (["show", "0a"], [TRACE]),
    "a trace of an option": (["diagnose", "--trace", "0a"], [TRACE]),
    "environments": (["traces", "--env", ""], ["prod"]),
    "apps": (["diagnose", "--app", ""], ["shop"]),
    "builds": (["diagnose", "--build", ""], ["abc123"]),
    "scenarios": (["demo", ""], list(SCENARIOS)),
    "fault codes": (["diagnose", "--explain", "st"], [c for c in FAULTS if c.startswith("st")]),
    "a value behind =": (["diagnose", "--env=p"], ["prod"]),
    "a value behind = that bash split": (["diagnose", "--env", "=", "p"], ["prod"]),
    "an empty one": (["diagnose", "--env", "="], ["prod"]),
    "sources": (["diagnose", "--from", "st"], ["store"]),
    "the demo": (["diagnose", "--from", "d"], ["demo"]),
    "traces of the demo": (["show", "--from", "demo", ""], []),
    "files": (["diagnose", "--from", ""], []),
    "the help's command": (["help", "tra"], ["traces"]),
    "words of flash": (["run", "--", "flash", ""], []),
    "another store": (["show", "--store", "no.db", ""], []),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_what_is_offered(case: str, folder: Path) -> None:
    """Commands, options, choices, and what the store holds; no names that need quotes."""
    words, expected = ANSWERS[case]
    assert sorted(offered(folder, *words)) == sorted(expected)


def test_descriptions(folder: Path) -> None:
    """Zsh and fish show what a word stands for, without control characters."""
    assert f"show\t{COMMANDS['show'].help}" in offered(folder, "", variety="fish")
    assert f"show:{COMMANDS['show'].help}" in offered(folder, "", variety="zsh")
    [evil] = [line for line in offered(folder, "show", "ab", variety="zsh") if "evil" in line]
    assert evil.startswith(f"{'ab' * 16}:2001-09-09 ")
    assert "\x1b" not in evil
    assert offered(folder, "traces", "--env=p", variety="fish") == ["--env=prod\t"]


@pytest.mark.parametrize("words", [["show", ""], ["diagnose", "--env", ""], ["traces", "--fr"]])
def test_errors_are_never_printed(words: list[str], tmp_path: Path) -> None:
    """A store that cannot be read completes nothing, in silence: the user is typing."""
    (tmp_path / "spans.db").write_bytes(b"no database" * 1000)
    found = flash_otel(tmp_path, *words, env={VARIABLE: "bash", "PYTHONWARNINGS": "always"})
    assert found.stderr == ""
    assert found.stdout in ("", "--from\n")


def test_a_reader_that_has_gone(folder: Path) -> None:
    """A shell that stopped waiting costs no traceback."""
    program = f"{folder / 'bin' / 'flash-otel'} show '' | true"
    done = subprocess.run(
        ["sh", "-c", program],
        env=environment(folder, **{VARIABLE: "zsh"}),
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"", b"")


def test_completion_loads_nothing_heavy(folder: Path) -> None:
    """Neither Rich nor OpenTelemetry's SDK nor a network client is loaded for a completion."""
    code = (
        "import os, sys; os.environ['_FLASH_OTEL_COMPLETE'] = 'zsh'\n"
        "from flash_otel.cli.app import status_of\n"
        "for words in (['show', ''], ['diagnose', '--env', ''], ['demo', '']): status_of(words)\n"
        "print('\\n', *sorted(sys.modules), sep='\\n')"
    )
    loaded = set(python(folder, code).stdout.splitlines())
    assert "flash_otel.store.store" in loaded
    heavy = {
        "rich.console",
        "pydantic",
        "opentelemetry.sdk",
        "httpx",
        "aiohttp",
        "grpc",
        "runpod_flash",
    }
    assert not loaded & (heavy | {"flash_otel.report.layout", "asyncio"})


SHELLS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
}


@pytest.mark.parametrize("name", SHELLS)
def test_in_a_real_shell(name: str, folder: Path) -> None:
    """The tab key completes a command and a trace id, and runs nothing that a name holds."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"needs {name}")
    env = {"PS1": "$ ", "INPUTRC": os.devnull, **with_program(folder)}
    with Terminal(folder, program, *SHELLS[name], columns=300, env=env) as terminal:
        terminal.send(f'eval "$(flash-otel --show-completion {name})"; echo rea""dy\n'.encode())
        terminal.expect(b"ready")
        terminal.send(b"flash-otel sh\t")
        terminal.expect(b"show")
        terminal.send(b"0a\t")
        terminal.expect(TRACE.encode())
        terminal.send(b"--no-p\t; echo do''ne\n")
        terminal.expect(b"done")
        terminal.send(b"flash-otel show a\t \x15echo a''gain\n")
        terminal.expect(b"again")
        terminal.send(b"flash-otel traces --env \t\x15echo la''st\n")
        terminal.expect(b"last")
        terminal.send(b"exit\n")
        terminal.finish()
    assert not (folder / "pwned").exists()


def test_in_fish(folder: Path) -> None:
    """Fish offers commands and trace ids with descriptions, and files where nothing else fits."""
    program = shutil.which("fish")
    if program is None:
        pytest.skip("needs fish")
    (folder / "zz-deploy.log").touch()
    lines = [
        "flash-otel --show-completion fish | source",
        "complete -C 'flash-otel sh'",
        "complete -C 'flash-otel show ab'",
        "complete -C 'flash-otel show '",
        "complete -C 'flash-otel diagnose zz-'",
    ]
    done = subprocess.run(
        [program, "--no-config", "-c", "\n".join(lines)],
        env=environment(folder, **with_program(folder)),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = done.stdout.splitlines()
    assert found[0] == f"show\t{COMMANDS['show'].help}"
    assert found[1].startswith(f"{'ab' * 16}\t2001-09-09")
    assert found[2].startswith("last\t")
    assert found[-1] == "zz-deploy.log"
    assert not (folder / "pwned").exists()


@pytest.mark.parametrize(
    ("name", "variables", "file", "start"),
    [
        ("bash", {}, ".local/share/bash-completion/completions/flash-otel", ".bashrc"),
        ("zsh", {}, ".local/share/zsh/site-functions/_flash-otel", ".zshrc"),
        ("zsh", {"ZDOTDIR": "z"}, ".local/share/zsh/site-functions/_flash-otel", "z/.zshrc"),
        ("fish", {}, ".config/fish/completions/flash-otel.fish", None),
        ("fish", {"XDG_CONFIG_HOME": "c"}, "c/fish/completions/flash-otel.fish", None),
        ("bash", {"XDG_DATA_HOME": "d"}, "d/bash-completion/completions/flash-otel", ".bashrc"),
    ],
)
def test_installation(
    name: str, variables: dict[str, str], file: str, start: str | None, tmp_path: Path
) -> None:
    """The script is written where the shell finds it, and one line into its start-up file."""
    env = {variable: str(tmp_path / value) for variable, value in variables.items()}
    (tmp_path / "z").mkdir()
    (tmp_path / ".bashrc").write_text("export MINE=1", "utf-8")
    for _ in range(2):
        found = flash_otel(tmp_path, "--install-completion", name, env=env)
        assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith(f"Completion for {name}: {tmp_path / file}\n")
    assert (tmp_path / file).read_text("utf-8") == shells.script(name)
    if start:
        assert f"It is read by {tmp_path / start}.\n" in found.stdout
        assert (tmp_path / start).read_text("utf-8").count(file) == 2  # in a single line
    assert (tmp_path / ".bashrc").read_text("utf-8").startswith("export MINE=1")


def test_the_installed_file_works(folder: Path) -> None:
    """A new interactive bash completes, and one after the removal of the file starts as before."""
    assert flash_otel(folder, "--install-completion", "bash").returncode == 0
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    with Terminal(folder, bash, "-i", env={"PS1": "$ ", **with_program(folder)}) as terminal:
        terminal.send(b"flash-otel dia\t")
        terminal.expect(b"diagnose")
        terminal.send(b"\x15exit\n")
        terminal.finish()
    next(folder.rglob("completions/flash-otel")).unlink()
    with Terminal(folder, bash, "-i", env={"PS1": "$ ", **with_program(folder)}) as terminal:
        terminal.send(b"exit\n")
        assert "No such file" not in terminal.finish()[1]


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion"])
def test_a_shell_without_completion(option: str, tmp_path: Path) -> None:
    """An unknown shell is an error that names the known ones."""
    found = flash_otel(tmp_path, option, "csh")
    assert (found.returncode, found.stdout) == (2, "")
    assert "no completion for 'csh'; name one of bash, zsh, fish" in found.stderr
    assert "See: flash-otel --help" in found.stderr


def test_the_shell_is_detected(folder: Path) -> None:
    """Without a name, the shell is the one that runs the program, or else that of `SHELL`."""
    program = folder / "bin" / "flash-otel"
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{program} --show-completion; true"],
        env=environment(folder, SHELL="/usr/bin/zsh"),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.stdout, done.stderr) == (shells.script("bash"), "")


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """An unwritable folder is an error of the user's, not a bug."""
    (tmp_path / ".config").write_text("a file", "utf-8")
    found = flash_otel(tmp_path, "--install-completion", "fish")
    assert found.returncode == 2
    assert "completion cannot be installed: " in found.stderr
    assert "internal error" not in found.stderr
