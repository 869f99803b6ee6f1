from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.commands import TIMEOUT, environment, flash_otel, forking, keep, python
from support.samples import TRACE, healthy_deployment, span

from flash_otel import __version__
from flash_otel.cli.app import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path


def test_the_overview_lists_every_command_and_status(tmp_path: Path) -> None:
    """`--help` lists each command of the table with its line, and the exit statuses."""
    found = flash_otel(tmp_path, "--help")
    text = " ".join(found.stdout.split())
    assert found.returncode == 0
    assert found.stderr == ""
    for name, command in COMMANDS.items():
        assert f"{name} {command.help}" in text
    assert "0 clean, 1 a fault was found, 2 bad usage, 3 no result" in text


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(tmp_path: Path, name: str) -> None:
    """Each row of the table points to a function that the parser can declare."""
    found = flash_otel(tmp_path, name, "--help")
    assert found.returncode == 0
    assert found.stdout.startswith(f"Usage: flash-otel {name} ")
    assert "\x1b" not in found.stdout
    assert "list[str]" not in found.stdout, "a Python type means nothing to a user"


@pytest.mark.parametrize("arguments", [["--version"], ["-V"], ["--color", "never", "-V"]])
def test_the_version(tmp_path: Path, arguments: list[str]) -> None:
    """`--version` and `-V` print a single line with the package's version."""
    assert flash_otel(tmp_path, *arguments).stdout == f"flash-otel {__version__}\n"


def test_the_version_needs_no_parser(tmp_path: Path) -> None:
    """`--version` loads neither Typer nor any other third-party package."""
    code = (
        "import sys; from flash_otel.cli.app import status_of; status_of(['-V']); "
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), sep='\\n')"
    )
    loaded = set(python(tmp_path, code).stdout.splitlines())
    assert not loaded & {"typer", "click", "rich", "pydantic", "opentelemetry", "sqlite3", "httpx"}


@pytest.mark.parametrize("name", ["show", "help"])
def test_help_is_a_command(tmp_path: Path, name: str) -> None:
    """`help COMMAND` prints what `COMMAND --help` prints, and `help` the overview."""
    assert flash_otel(tmp_path, "help", name).stdout == flash_otel(tmp_path, name, "-h").stdout
    assert flash_otel(tmp_path, "help").stdout == flash_otel(tmp_path, "--help").stdout
    wrong = flash_otel(tmp_path, "help", "shw")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "shw" in wrong.stderr


def test_no_arguments_are_bad_usage(tmp_path: Path) -> None:
    """Without arguments, the overview is printed and the exit status is 2."""
    found = flash_otel(tmp_path)
    assert found.returncode == 2
    assert "Commands:" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "message", "next_step"),
    [
        (["nope"], "nope", "See: flash-otel --help"),
        (["--nope"], "--nope", "See: flash-otel --help"),
        (["show", "--nope"], "--nope", "See: flash-otel show --help"),
        (["show", "a", "b"], "b", "See: flash-otel show --help"),
        (["traces", "--limit", "0"], "--limit", "See: flash-otel traces --help"),
        (["traces", "--since", "soon"], "invalid age: 'soon'", "--since 2h"),
        (["run"], "FLASH_COMMAND", "See: flash-otel run --help"),
        (["run", "--", "ls"], "'ls'", "flash-otel run -- flash deploy"),
        (["demo", "nope"], "nope", "healthy"),
        (["show"], "No traces are recorded yet", "flash-otel run -- flash deploy"),
        (["traces", "--store", "no/such.db"], "there is no store at no/such.db", "flash-otel run"),
        (
            ["run", "--fail-on-fault", "--store", "off", "--", "flash", "deploy"],
            "the store is off",
            "--store PATH",
        ),
    ],
)
def test_a_mistake_is_one_line_and_a_next_step(
    tmp_path: Path, arguments: list[str], message: str, next_step: str
) -> None:
    """A user's mistake exits with 2, a message, a next step, and the command's own help."""
    found = flash_otel(tmp_path, *arguments)
    first, second, *more = found.stderr.splitlines()
    assert found.returncode == 2
    assert first.startswith("flash-otel: ")
    assert message in first
    assert next_step in second
    assert more in ([], [f"See: flash-otel {arguments[0]} --help"])
    # Where nothing is recorded, no other words would have helped.
    assert more or "--help" in second or "No traces are recorded yet" in first
    assert found.stdout == ""


def test_the_script_and_the_module_are_the_same(tmp_path: Path) -> None:
    """The console script of the package runs what `python -m flash_otel` runs."""
    code = (
        "import sys; from importlib.metadata import entry_points; "
        "[script] = entry_points(group='console_scripts', name='flash-otel'); "
        "sys.argv = ['flash-otel', '--version']; script.load()()"
    )
    assert python(tmp_path, code).stdout == f"flash-otel {__version__}\n"


def test_only_the_chosen_command_is_imported(tmp_path: Path) -> None:
    """The overview imports no command, and a command imports no other one's dependencies."""
    code = (
        "import sys; from flash_otel.cli.app import status_of; status_of([{arguments}]); "
        "print(*sorted(sys.modules), sep='\\n')"
    )
    overview = python(tmp_path, code.format(arguments="'--help'")).stdout.splitlines()
    listed = python(tmp_path, code.format(arguments="'traces', '--json'")).stdout.splitlines()
    heavy = {"rich.console", "grpc", "opentelemetry.sdk.trace", "aiohttp", "runpod_flash"}
    commands = {command.target.partition(":")[0] for command in COMMANDS.values()}
    assert not (heavy | commands | {"sqlite3"}).intersection(overview)
    assert (commands | heavy).intersection(listed) == {"flash_otel.cli.traces"}


ROW = (
    "from flash_otel.cli import app\n"
    "from flash_otel.cli.app import main\n"
    "app.COMMANDS['extra'] = app.Command('__main__:extra', 'An extra one.')\n"
)


def test_an_interrupt_is_one_line_and_130(tmp_path: Path) -> None:
    """Ctrl-C ends any command with one line, 130 and no traceback."""
    code = ROW + (
        "def extra():\n"
        "    import os, signal, time\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
        "main(['extra'])\n"
    )
    found = python(tmp_path, code)
    assert (found.returncode, found.stderr) == (130, "flash-otel: interrupted\n")


@pytest.mark.parametrize(("returned", "status"), [("None", 0), ("0", 0), ("1", 1), ("3", 3)])
def test_a_row_in_the_table_is_a_command(tmp_path: Path, returned: str, status: int) -> None:
    """A function's signature declares the options, and its result is the exit status."""
    code = ROW + (
        f"def extra(word: str, times: int = 1):\n    print(word * times)\n    return {returned}\n"
        "main(['extra', 'ab', '--times', '2'])\n"
    )
    found = python(tmp_path, code)
    assert (found.returncode, found.stdout, found.stderr) == (status, "abab\n", "")


def test_an_internal_error_exits_with_3(tmp_path: Path) -> None:
    """A bug ends with one line and 3 (no result), not with 1 (a fault was found)."""
    code = "import os\ndel os.environ['FLASH_OTEL_RAISE']\n" + ROW
    code += "def extra(): raise ZeroDivisionError('oh\\nno')\nmain(['extra'])\n"
    found = python(tmp_path, code)
    assert found.returncode == 3
    assert found.stderr.startswith("flash-otel: internal error: ZeroDivisionError: oh no\n")
    assert "Traceback" not in found.stderr


def with_closed_pipe(folder: Path, *arguments: str) -> tuple[int, bytes]:
    """Run Python with a standard output that nobody reads; return its status and its errors."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        found = subprocess.run(
            [forking(), *arguments],
            env=environment(folder),
            stdout=write_end,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT,
            check=False,
        )
    finally:
        os.close(write_end)
    return found.returncode, found.stderr


@pytest.mark.parametrize(
    "arguments", [["show"], ["traces"], ["traces", "--json"], ["diagnose"], ["diagnose", "--json"]]
)
def test_a_closed_pipe_is_quiet(tmp_path: Path, arguments: list[str]) -> None:
    """`flash-otel ... | head -1` prints no error when head exits."""
    keep(tmp_path, healthy_deployment())
    assert with_closed_pipe(tmp_path, "-m", "flash_otel", *arguments) == (141, b"")


# The output of a demo, without the real run before it.
DEMO = """
from pathlib import Path
from flash_otel.cli.app import main
from flash_otel.cli import demo_recording
from flash_otel.demo.runner import DeployOutcome, RunArtifacts
from flash_otel.diagnosis import diagnose
from flash_otel.store.store import SpanStore

def run(scenario, version, workdir, *_):
    log = workdir / "log"
    log.write_text("[DEPLOY] Environment production activated with build_id=b\\n")
    artifacts = RunArtifacts(scenario.name, version, workdir, Path("store"), None)
    artifacts.deploys.append(DeployOutcome("app", None, False, log, 0))
    artifacts.worker_logs.append(log)
    artifacts.worker_exits.append(0)
    return demo_recording.DemoResult(scenario, artifacts, [], diagnose([]), None)

demo_recording.record = run
main(["demo"])
"""


def test_a_demo_into_a_closed_pipe_finds_no_fault(tmp_path: Path) -> None:
    """`flash-otel demo | head -1` does not exit with 1, which means that a fault was found."""
    assert with_closed_pipe(tmp_path, "-c", DEMO) == (141, b"")


HOSTILE = "x\x1b[2J\x1b]8;;http://evil\x07\u202e\n[RUNTIME SYNC] forged\r\x9b31m"


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", HOSTILE],
        ["show", "--store", HOSTILE],
        ["show", f"--{HOSTILE}"],
        ["traces", "--env", HOSTILE],
        ["diagnose", "--from", HOSTILE],
        ["run", "--", HOSTILE],
        ["demo", HOSTILE],
        [HOSTILE],
    ],
)
def test_error_messages_are_cleaned(tmp_path: Path, arguments: list[str]) -> None:
    """Quoted names and pasted text can neither colour the terminal nor begin a line."""
    found = flash_otel(tmp_path, *arguments)
    assert "Traceback" not in found.stderr
    assert {char for char in found.stdout + found.stderr if not char.isprintable()} <= {"\n"}
    assert not any(line.startswith("[RUNTIME") for line in found.stderr.splitlines())


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (["traces", "--env", "prdo"], "Did you mean prod?"),
        (["traces", "--app", "Shopp"], "Did you mean shop?"),
        (["diagnose", "--env", "prdo"], "Did you mean --env prod?"),
        (["show", "0af76516"], "Did you mean 0af76519?"),
        (["show", f"{TRACE[:20]}a{TRACE[21:]}"], f"Did you mean {TRACE}?"),
        (["diagnose", "--build", "abd"], "Did you mean --build abc123?"),
        (["diagnose", "--trace", "0af76516"], "Did you mean 0af76519?"),
        (["diagnose", "--trace", TRACE, "--env", "nothing-like-it"], ""),
        (["traces", "--env", "prod", "--since", "1s"], ""),
        (["demo", "stale"], "Did you mean stale_build?"),
        (["trcaes"], "Did you mean 'traces'?"),
        (["traces", "--env", "nothing-like-it"], ""),
        (["show", "e"], ""),
    ],
)
def test_a_mistyped_name_is_recognized(tmp_path: Path, arguments: list[str], question: str) -> None:
    """Scenarios, environments, apps, trace ids and commands: the name that was probably meant."""
    keep(tmp_path, healthy_deployment())
    found = flash_otel(tmp_path, *arguments)
    said = found.stdout + found.stderr
    assert question in said
    assert bool(question) is ("Did you mean" in said)


def test_a_suggestion_is_cleaned(tmp_path: Path) -> None:
    """A recorded name that is suggested cannot control the terminal."""
    attributes = {"deployment.environment.name": "prod\x1b]0;x\x07\x1b[31m"}
    keep(tmp_path, [span(1, None, "flash.deploy", 0, 1, attributes=attributes)])
    found = flash_otel(tmp_path, "traces", "--env", "prod]0;x")
    assert "Did you mean prod" in found.stdout
    assert "\x1b" not in found.stdout
