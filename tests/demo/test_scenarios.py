"""The scenarios, run through the real Flash."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.commands import keep_demo, suggested
from support.flash import CACHE, FlashEnvironments
from support.samples import healthy_deployment
from support.terminal import Terminal
from support.versions import MAIN_VERSIONS

from flash_otel import semconv
from flash_otel.cli.app import BAD_USAGE, CLEAN, FAULT_FOUND, CommandError
from flash_otel.cli.demo import demo
from flash_otel.demo.control_plane import CANARY_API_KEY
from flash_otel.demo.environment import CACHE_VARIABLE
from flash_otel.demo.processes import bracketed_lines, worker_spans
from flash_otel.demo.scenarios import DEFAULT_VERSION, SCENARIOS, SUCCESSOR_VERSION, WorkerStep
from flash_otel.demo.worker import MODES
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from support.runs import ScenarioRuns
    from support.warm import WarmEnvironments

    from flash_otel.demo.scenarios import Step

GUIDE = ["environment_mismatch", "stale_build", "manifest_not_persisted", "read_before_write"]
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
READ = ["getFlashEnvironment", "getFlashBuild"]


def test_table_holds_the_guides_scenarios() -> None:
    """The four scenarios of the guide and the healthy one are there, each with its own fault."""
    assert list(SCENARIOS) == ["healthy", *GUIDE]
    codes = [scenario.fault for scenario in SCENARIOS.values()]
    assert len(set(codes)) == len(codes)
    assert set(codes) <= semconv.FAULTS.keys()
    for name, scenario in SCENARIOS.items():
        assert scenario.name == name
        assert scenario.version == DEFAULT_VERSION
        assert scenario.title.endswith(".")
        assert scenario.injected.endswith(".")
        workers = [step for step in _all(scenario.steps) if isinstance(step, WorkerStep)]
        assert [step.mode in MODES for step in workers] == [True]


def _all(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        yield from _all(step.meanwhile)


@pytest.mark.flash
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_does_what_its_title_promises(name: str, shared_run: ScenarioRuns) -> None:
    """Untraced, each scenario ends as the guide describes it, by the facts of the control plane."""
    result = shared_run(SCENARIOS[name], traced=False)
    assert set(result.deploy_exits) == {0}
    assert (result.worker_exit == 0) == (name == "healthy")
    assert (result.worker_environment_id == result.environment_id) == (
        name != "environment_mismatch"
    )
    assert (result.active_build_id == result.build_id) == (name != "stale_build")
    operations = result.journal.operations
    written = len(operations) - operations[::-1].index("updateFlashBuildManifest")
    read = len(operations) - operations[::-1].index("getFlashBuild")
    assert read > written
    assert operations[read - 2 : read] == READ
    log = result.worker_log.read_text(encoding="utf-8")
    assert ("No endpoint URL for resource 'gpu_info'" in log) == (name != "healthy")
    assert result.trace_id is None
    assert not result.store.exists()
    assert bracketed_lines(result.deploy_log) == bracketed_lines(result.worker_log) == []


@pytest.mark.flash
@pytest.mark.parametrize("version", MAIN_VERSIONS)
@pytest.mark.parametrize("mode", ["wrapper", "function", "route"])
def test_worker_modes(version: str, mode: str, shared_run: ScenarioRuns) -> None:
    """A worker's remote call is answered: by registry up to 1.14, by sentinel from 1.15."""
    result = shared_run(SCENARIOS["healthy"], version, traced=False, worker_mode=mode)
    assert result.worker_exit == 0, result.worker_log.read_text(encoding="utf-8")
    operations = result.journal.operations
    asked = operations[operations.index("updateFlashBuildManifest") + 1 :]
    expected = {
        ("1.14.0", "wrapper"): [*READ, "runsync"],
        ("1.14.0", "function"): [*READ, *READ, "runsync"],
        ("1.14.0", "route"): [*READ, *READ, "runsync"],
        ("1.21.0", "wrapper"): [*READ, "runsync"],
        ("1.21.0", "function"): ["sentinel runsync"],
        ("1.21.0", "route"): ["sentinel runsync"],
    }[version, mode]
    assert asked == expected


@pytest.mark.flash
def test_worker_variables_can_be_changed_and_taken_away(
    shared_run: ScenarioRuns, tmp_path: Path
) -> None:
    """Without FLASH_ENVIRONMENT_ID the worker never asks the State Manager."""
    result = shared_run.run(
        SCENARIOS["healthy"],
        workdir=tmp_path,
        traced=False,
        worker_changes={"FLASH_ENVIRONMENT_ID": None},
    )
    assert result.worker_environment_id is None
    assert result.worker_exit == 1
    assert result.journal.operations[-1] == "updateFlashBuildManifest"


CANDIDATES = re.compile(r'"flash\.fault\.candidates","value":\{"arrayValue":\{"values":\[[^\]]*\]')


@pytest.mark.flash
def test_paths_and_logs_do_not_name_the_scenario(shared_run: ScenarioRuns) -> None:
    """Nothing that a diagnosis may read names the injected fault, but among all candidates."""
    name = "manifest_not_persisted"
    result = shared_run(SCENARIOS[name])
    seen = [path.name for path in result.workdir.rglob("*")]
    seen += [log.read_text(encoding="utf-8") for log in (result.deploy_log, result.worker_log)]
    seen = [CANDIDATES.sub("", text) for text in seen]
    for word in (name, "dropped", "echo"):
        assert not [text for text in seen if word in text and "site-packages" not in text]


@pytest.mark.flash
@pytest.mark.parametrize("version", MAIN_VERSIONS)
def test_traced_run_comes_back_whole(version: str, shared_run: ScenarioRuns) -> None:
    """The store has the deployment, the worker's log its read, and both name one trace."""
    result = shared_run(SCENARIOS["healthy"], version)
    assert result.trace_id is not None
    with SpanStore(result.store) as store:
        deployed = {record.name for record in store.trace(result.trace_id)}
    assert {semconv.DEPLOY, semconv.ACTIVATE, semconv.MANIFEST_UPLOAD} <= deployed
    fetches = [
        span for span in worker_spans(result.worker_log) if span.name == semconv.RUNTIME_FETCH
    ]
    assert [fetch.trace_id for fetch in fetches] == [result.trace_id]
    assert bracketed_lines(result.deploy_log)[0].startswith("[DEPLOY] Environment production")
    assert bracketed_lines(result.worker_log)[0].startswith("[RUNTIME SYNC] Querying")
    home = result.workdir / "worker-home"
    assert not list(home.rglob("*.db"))


@pytest.mark.flash
def test_demo_command_prints_lines_and_joined_trace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The command prints both sides' lines, one joined trace, the verdict, and no secret."""
    monkeypatch.setenv(CACHE_VARIABLE, str(CACHE))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    printed, progress = io.StringIO(), io.StringIO()
    with redirect_stdout(printed), redirect_stderr(progress):
        status = demo("healthy")
    text = printed.getvalue()
    assert status == CLEAN
    order = ["[DEPLOY]", "[STATE MANAGER] Uploaded 2", "[RUNTIME SYNC]", "flash.deploy"]
    order += ["Verdict: none"]
    assert (places := [text.index(part) for part in order]) == sorted(places)
    assert semconv.RUNTIME_FETCH in text[text.index("flash.deploy") :]
    assert CANARY_API_KEY not in text
    assert progress.getvalue().count(" s] ") >= 2
    assert text.rstrip().splitlines()[-1].split()[-2:] == ["demo", "environment_mismatch"]


@pytest.mark.flash
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_printed_commands_work_when_pasted(
    name: str, warm_env: WarmEnvironments, tmp_path: Path
) -> None:
    """From a program that is not on PATH, the commands of a demo run as a terminal shows them.

    They are longer than its lines. Those that show the recording are printed again by these
    commands, until none is new.
    """
    (program := Path(sys.executable).with_name("flash-otel")).stat()
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    cache = warm_env.cache(DEFAULT_VERSION)
    variables |= {CACHE_VARIABLE: str(cache), "NO_COLOR": "1", "PAGER": "cat"}

    def output(*words: str) -> str:
        with Terminal(tmp_path, *words, columns=60, env=variables) as terminal:
            status, shown = terminal.finish()
        text = ESCAPE.sub("", shown)
        assert status in (CLEAN, FAULT_FOUND), text
        assert "Traceback" not in text
        return text

    demonstrated = output(str(program), "demo", name)
    following = suggested(demonstrated)
    assert sum(line.startswith("Try: ") for line in demonstrated.splitlines()) == 3
    following.append(f"{program} diagnose --from demo")
    assert any(" \\\n" in command for command in following)
    tried: list[str] = []
    while following:
        command = following.pop()
        tried.append(command)
        called, name_of_command, *arguments = shlex.split(command.replace("\\\n", ""))
        assert called == str(program)
        if name_of_command == "demo":
            assert arguments[0] in SCENARIOS  # run by this test, under its own name
            continue
        printed = output("/bin/sh", "-c", command)
        assert printed
        following += set(suggested(printed)) - {*tried, *following}
    used = {shlex.split(command.replace("\\\n", ""))[1] for command in tried}
    assert used >= {"traces", "show", "diagnose", "demo"}
    assert (tmp_path / "demo.html").exists()


@pytest.mark.flash
def test_demo_command_prints_json(
    warm_env: WarmEnvironments,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """With JSON output, standard output is one object and progress goes to standard error."""
    monkeypatch.setenv(CACHE_VARIABLE, str(warm_env.cache(DEFAULT_VERSION)))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert demo("read_before_write", as_json=True) == CLEAN
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert answer["worker_exit"] == 1
    assert answer["trace"]["resourceSpans"]
    assert answer["diagnosis"]["verdict"] == semconv.READ_BEFORE_WRITE
    assert "Deploying" in err


def test_demo_command_names_the_scenarios_for_a_wrong_one() -> None:
    """An unknown scenario is bad usage, and the message lists the known ones."""
    with pytest.raises(CommandError) as raised:
        demo("nope")
    assert raised.value.status == BAD_USAGE
    assert "read_before_write" in raised.value.next_step


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("1.0.0", "a worker's call read nothing"),
        ("1.3.0", "a worker's call read nothing"),
        ("latest", "is no version"),
        ("2.0.0rc2", "no runpod-flash 2.0.0rc2"),
    ],
)
def test_demo_command_refuses_versions_without_the_scenarios(version: str, reason: str) -> None:
    """Old versions, and what is no version, are bad usage with the reason; nothing is installed."""
    with pytest.raises(CommandError, match=reason) as raised:
        demo(version=version)
    assert raised.value.status == BAD_USAGE
    assert raised.value.next_step


@pytest.mark.parametrize(
    ("scenario", "runpod", "version", "reason"),
    [
        ("healthy", "1.12.0", None, "no version of runpod that has a Flash"),
        ("healthy", "2", "1.21.0", "exclude each other"),
        ("read_before_write", "2", None, "unknown scenario"),
    ],
)
def test_demo_command_refuses_what_runpod_2_has_not(
    scenario: str, runpod: str, version: str | None, reason: str
) -> None:
    """It has scenarios of its own, and one version at a time is run; nothing is installed."""
    with pytest.raises(CommandError, match=reason) as raised:
        demo(scenario, runpod=runpod, version=version)
    assert raised.value.status == BAD_USAGE


@pytest.mark.flash
def test_demo_command_with_runpod_2(
    flash_env: FlashEnvironments,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A scenario without a worker is shown in full, with the command that runs the next one."""
    flash_env(SUCCESSOR_VERSION)
    monkeypatch.setenv(CACHE_VARIABLE, str(CACHE))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert demo("provisioning_failed", runpod="2") == CLEAN
    out = capsys.readouterr().out
    assert "== provisioning_failed, runpod 2.0.0rc2 ==" in out
    assert "== rp flash deploy ==" in out
    assert "== the worker ==" not in out
    assert "Only 'api' was saved with it." in " ".join(out.split())
    assert "flash-otel demo --runpod 2 stale_build" in out


@pytest.mark.flash
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_interrupted_demo_leaves_nothing_behind(
    tmp_path: Path, flash_env: FlashEnvironments
) -> None:
    """Ctrl-C in mid-deployment ends every process and removes the working folder.

    The recording of the last demo stays as it was.
    """
    flash_env(DEFAULT_VERSION)
    (temporary := tmp_path / "temporary").mkdir()
    kept = keep_demo(tmp_path, healthy_deployment())
    code = "import sys; from flash_otel.cli.demo import demo; sys.exit(demo('healthy'))"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            CACHE_VARIABLE: str(CACHE),
            "TMPDIR": str(temporary),
            "XDG_STATE_HOME": str(tmp_path / "state"),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while "Deploying" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert working_in(tmp_path) == []
    assert list(temporary.iterdir()) == []
    with SpanStore(kept, is_read_only=True) as store:
        assert [*store.spans()] == healthy_deployment()


def working_in(folder: Path) -> list[str]:
    """Return the processes whose working folder is (or was) inside a folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):  # it has ended, or is another user's
            if str(link.readlink()).startswith(str(folder)):
                found.append(link.parent.name)
    return found
