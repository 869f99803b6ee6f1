"""Sources as users name them: files as arguments and by `--from`, and names that lead nowhere."""

from __future__ import annotations

import io
import json
import os
import shlex
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.commands import TIMEOUT, environment, in_process, keep
from support.samples import failed_deployment, healthy_deployment

from flash_otel.otlp.encode import encode_json

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = {
    "diagnose": ("diagnose",),
    "diagnose --from": ("diagnose", "--from"),
    "show --from": ("show", "--from"),
    "traces": ("traces",),
    "traces --from": ("traces", "--from"),
}


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return path.name


def recording() -> str:
    return json.dumps(encode_json(healthy_deployment()))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(
    ("name", "message", "step"),
    [
        ("deploi.log", "deploi.log does not exist.", "Did you mean deploy.log?"),
        ("no/such.log", "no/such.log does not exist.", "There is no folder no: correct the name."),
        ("folder", "folder is a directory.", "Name the files in it: folder/*"),
        (
            "cut.json",
            "cut.json is OTLP JSON that is damaged or ends too early, without a whole span.",
            "Copy or export the file again.",
        ),
        (
            "spans.sqlite",
            "spans.sqlite is an SQLite database.",
            "If it is flash_otel's store, read it with: --store spans.sqlite",
        ),
        (
            "jaeger=localhost",
            "this is not the address of a Jaeger.",
            "Name it: --from jaeger=http://localhost:16686",
        ),
    ],
)
def test_a_source_that_cannot_be_read_has_its_own_next_step(
    tmp_path: Path, command: tuple[str, ...], name: str, message: str, step: str
) -> None:
    """Every command names the cause and what to do, without a traceback."""
    written(tmp_path / "deploy.log", "just text\n")
    written(tmp_path / "cut.json", recording()[:2000])
    (tmp_path / "spans.sqlite").write_bytes(b"SQLite format 3\0")
    (tmp_path / "folder").mkdir()
    done = in_process(tmp_path, *command, name)
    assert done.stderr.splitlines()[:2] == [f"flash-otel: {message}", step]
    assert done.stdout == ""
    assert done.returncode == (3 if name == "cut.json" else 2)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_jaeger_that_is_down_has_its_own_next_step(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """The message has the address and the system's reason."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    done = in_process(tmp_path, *command, f"jaeger={url}")
    start = "Start one: flash-otel collector up"
    assert done.stderr.splitlines()[:2] == [
        f"flash-otel: Jaeger at {url} cannot be reached: Connection refused.",
        f"{start}   (or name another: --from jaeger=http://localhost:16686)",
    ]
    assert done.returncode == 2


def test_a_file_that_lies_elsewhere_is_sought_where_the_message_says(tmp_path: Path) -> None:
    """Without a similar name, the message names the folder that a relative name begins at."""
    done = in_process(tmp_path, "diagnose", "worker.log")
    assert done.stderr.splitlines()[:2] == [
        "flash-otel: worker.log does not exist.",
        f"Correct the name: the file was looked for in {tmp_path}.",
    ]


@pytest.mark.parametrize("command", ["diagnose", "traces"])
def test_an_environment_is_not_taken_for_a_file(tmp_path: Path, command: str) -> None:
    """A bare name that is no file gets the option that it was meant for."""
    done = in_process(tmp_path, command, "production")
    assert done.returncode == 2
    assert done.stderr.splitlines()[:2] == [
        "flash-otel: there is no file production here.",
        "To ask about an environment, write: --env production",
    ]
    written(tmp_path / "production", recording())
    assert in_process(tmp_path, command, "production").returncode in (0, 3)


def test_arguments_are_sources_beside_those_of_from(tmp_path: Path) -> None:
    """Files can be arguments, and `--from` adds to them, in any combination."""
    keep(tmp_path, failed_deployment())
    name = written(tmp_path / "deploy.json", recording())
    for words in ((name,), ("--from", name), (name, "--from", name)):
        done = in_process(tmp_path, "traces", "--json", *words)
        assert [trace["root_name"] for trace in json.loads(done.stdout)] == ["flash.deploy"]
        assert in_process(tmp_path, "diagnose", *words).returncode == 3
    assert in_process(tmp_path, "diagnose", "store").returncode == 1
    written(tmp_path / "noise.log", "just text\n")
    for words in (("--from", "store", "noise.log"), ("noise.log", "store")):
        done = in_process(tmp_path, "diagnose", *words)
        assert done.returncode == 1
        assert done.stderr.startswith("flash-otel: noise.log is text without a bracketed line")


def test_a_dash_is_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads what is piped in, as an argument too."""
    for command in ("diagnose", "traces"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(recording().encode())))
        done = in_process(tmp_path, command, "--json", "-")
        assert done.returncode == (3 if command == "diagnose" else 0)
        assert json.loads(done.stdout)


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_an_error_is_broken_at_words_on_a_terminal(tmp_path: Path, width: int) -> None:
    """Every line fits the terminal, and the command is whole."""
    (tmp_path / "other.json").write_text('{"foo": 1}', encoding="utf-8")
    main_end, terminal = os.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "flash_otel", "diagnose", "other.json"],
            cwd=tmp_path,
            env=environment(tmp_path, TERM="dumb", COLUMNS=str(width)),
            stderr=terminal,
            timeout=TIMEOUT,
            check=False,
        )
        shown = os.read(main_end, 65_536).decode()
    finally:
        os.close(terminal)
        os.close(main_end)
    text = shown[shown.index("flash-otel: other.json is") :].replace("\r\n", "\n")
    lines = text.splitlines()
    assert [line for line in lines if len(line) > width] == []
    sentence, _, command = text.partition("\nQuery the State Manager instead:")
    assert " ".join(sentence.split()).endswith("JSON lines or CSV with such a field.")
    words = shlex.split(command.replace("\\\n", ""))
    assert shlex.join(words) == "flash-otel verify --app APP --env ENV"
