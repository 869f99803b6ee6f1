"""Standard streams that are closed, full, narrow or without a reader, for every command."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.commands import environment, keep
from support.samples import healthy_deployment, span

from flash_otel.cli.app import COMMANDS
from flash_otel.runtime.streams import to_stderr
from flash_otel.store.store import open_for_reading

if TYPE_CHECKING:
    from pathlib import Path

# A command line for each command, and its status where the streams are as usual.
LINES: dict[str, tuple[str, int]] = {
    "run": ("run -- flash deploy", 2),
    "verify": ("verify", 2),
    "diagnose": ("diagnose", 3),
    "traces": ("traces", 0),
    "show": ("show last", 0),
    "prune": ("prune --all", 2),
    "push": ("push", 0),
    "status": ("status", 0),
    "collector": ("collector status", 1),
    "doctor": ("doctor --offline --json", 1),
    "demo": ("demo nothing", 2),
    "json": ("traces --json", 0),
    "mcp": ("mcp", 0),
    "ui": ("ui --store no.db", 2),
    "explanation": ("diagnose --explain stale_build", 0),
    "scenarios": ("demo --list", 0),
    "script": ("--show-completion bash", 0),
    "installation": ("--install-completion fish", 0),
    "file": ("show last --html /dev/full", 3),
    "help": ("help traces", 0),
    "its help": ("traces --help", 0),
    "all help": ("--help", 0),
    "overview": ("", 2),
    "version": ("--version", 0),
    "unknown": ("nonsense", 2),
    "unknown trace": ("show nothing", 2),
    "standard input": ("diagnose --from -", 2),
}
# What a process does to its streams, and the status of a command whose result is lost by it.
STREAMS: dict[str, tuple[str, int | None]] = {
    "as usual": ("", None),
    "output closed": ("os.close(1); sys.stdout = None", None),
    "errors closed": ("os.close(2); sys.stderr = None", None),
    "input closed": ("os.close(0); sys.stdin = None", None),
    "all closed": (
        "os.close(0); os.close(1); os.close(2); sys.stdin = sys.stdout = sys.stderr = None",
        None,
    ),
    "output full": ("os.dup2(os.open('/dev/full', os.O_WRONLY), 1)", 3),
    "errors full": ("os.dup2(os.open('/dev/full', os.O_WRONLY), 2)", None),
    "no reader": ("r, w = os.pipe(); os.dup2(w, 1); os.close(r); os.close(w)", 141),
    "errors without reader": ("r, w = os.pipe(); os.dup2(w, 2); os.close(r); os.close(w)", None),
    "ascii": ("sys.stdout.reconfigure(encoding='ascii')", None),
    "warnings": ("import warnings; warnings.simplefilter('error')", None),
}
# Forked from one process, because an interpreter takes longer to start than a command to run.
# Each command in the three that no other implies; in the rest, a result, a message and a help.
EVERY_COMMAND = ("all closed", "output full", "no reader")
SOME = ("traces", "diagnose", "unknown", "help")
ONLY_HOSTS = ("as usual", "errors closed", "input closed", "errors without reader")
PRELOADED = (
    "asyncio typer.main httpx opentelemetry.context opentelemetry.sdk.trace flash_otel.verify "
    "flash_otel.store.store flash_otel.report.diagnosis flash_otel.report.json "
    "flash_otel.report.trace flash_otel.doctor flash_otel.collector.service "
    "flash_otel.pipeline.provider"
)
DRIVER = """
import contextlib, io, json, os, sys, tempfile
from flash_otel.cli.app import COMMANDS, main, status_of
for command in COMMANDS.values():
    command.load()
for module in sys.argv[3].split():
    __import__(module)
# Typer imports more with its first command.
with contextlib.redirect_stdout(io.StringIO()):
    status_of(["--version"])
results = {}
for name, line in json.loads(sys.argv[1]).items():
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            exec(sys.argv[2])
            main(line.split())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = [os.pread(file.fileno(), 10**6, 0).decode() for file in (out, err)]
        results[name] = [status, *texts]
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep a deployment and a trace with a name that ASCII lacks."""
    made = tmp_path_factory.mktemp("streams")
    other = span(99, None, "flash.call", 0, 1, trace_id="f" * 32)
    other.attributes["flash.app_name"] = "café ✓"  # type: ignore[index]
    keep(made, [*healthy_deployment(), other])
    return made


def test_every_command_has_a_line() -> None:
    """The table of command lines covers every command."""
    assert set(COMMANDS) <= set(LINES)


# The others change what one of these changes, too.
@pytest.mark.parametrize("streams", [name for name in STREAMS if name not in ONLY_HOSTS])
def test_every_command(streams: str, folder: Path) -> None:
    """A command keeps its status, and prints neither a traceback nor an alleged bug.

    Only a result that cannot be written has a status of its own.
    """
    change, lost = STREAMS[streams]
    names = LINES if streams in EVERY_COMMAND else SOME
    lines = {name: LINES[name][0] for name in names}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(lines), change, PRELOADED],
        env=environment(folder, PYTHONWARNDEFAULTENCODING="1"),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    statuses = {name: status for name, (status, _, _) in results.items()}
    prints = {
        "diagnose",
        "traces",
        "show",
        "prune",
        "push",
        "status",
        "collector",
        "doctor",
        "overview",
    }
    prints |= {
        "json",
        "explanation",
        "scenarios",
        "script",
        "installation",
        "help",
        "its help",
        "all help",
        "version",
    }
    assert statuses == {
        name: lost if lost is not None and name in prints else LINES[name][1] for name in names
    }
    for name, (_, _, stderr) in results.items():
        for sign in ("Traceback", "internal error", "bug", "Exception ignored", "Warning"):
            assert sign not in stderr, (name, stderr)
    if streams == "output full":
        assert "the output cannot be written: No space left" in results["traces"][2]
    if streams == "ascii":
        assert "caf\\xe9" in results["traces"][1]


HOST = """
import sys
import flash_otel

flash_otel.instrument(legacy_logs=True)

@flash_otel.trace_activate
def activate(build_id, environment_id):
    return build_id

exec(sys.argv[1])
activate("café", "e-1")
sys.exit(7)
"""


@pytest.mark.parametrize(
    "streams", ["errors closed", "errors full", "errors without reader", "all closed", "warnings"]
)
def test_a_host(streams: str, tmp_path: Path) -> None:
    """A host keeps its own status, and its spans are stored, whatever its streams are."""
    done = subprocess.run(
        [sys.executable, "-c", f"import os\n{HOST}", STREAMS[streams][0]],
        env=environment(tmp_path, PYTHONWARNDEFAULTENCODING="1", PYTHONUNBUFFERED=""),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "")
    assert "Traceback" not in done.stderr
    store = open_for_reading(tmp_path / "spans.db")
    assert store is not None
    with store:
        assert [record.name for record in store.spans()] == ["flash.activate"]


class OnlyWrites:
    """A stand-in for a stream, without an encoding."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


class Unknown(io.StringIO):
    """A stream with an encoding that Python does not know."""

    encoding = "unknown-8bit"


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (OnlyWrites(), "café\n"),
        (io.StringIO(), "café\n"),
        (Unknown(), "café\n"),
        (io.TextIOWrapper(io.BytesIO(), "ascii"), "caf\\xe9\n"),
        (None, ""),
        (object(), ""),
    ],
    ids=["no encoding", "no bytes", "unknown encoding", "ascii", "none", "no stream"],
)
def test_a_warning_on_any_stream(
    stream: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The warning is written as far as the stream can take it, and never raises."""
    monkeypatch.setattr(sys, "stderr", stream)
    to_stderr("café")
    written = getattr(stream, "text", "") or (
        stream.buffer.getvalue().decode() if hasattr(stream, "buffer") else ""
    )
    if isinstance(stream, io.StringIO):
        written = stream.getvalue()
    assert written == expected
