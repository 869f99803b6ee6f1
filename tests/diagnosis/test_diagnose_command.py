from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from diagnosis.recordings import EPOCH_NS, TWO, deployment, moved, read, records, stopped
from diagnosis.scenes import SCENES, killed
from support.commands import TIMEOUT, environment, forking
from support.samples import failed_deployment

from flash_otel import semconv as sc
from flash_otel.cli.app import status_of as run
from flash_otel.cli.sources import is_running, progress_bar
from flash_otel.diagnosis import collect
from flash_otel.diagnosis.evidence import Deployment, ProcessIdentity
from flash_otel.diagnosis.faults import FAULTS
from flash_otel.diagnosis.readers import NothingFoundError, ReaderError, StoreReader
from flash_otel.otlp.encode import encode_json
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.records import SpanRecord

HEALTHY = "a first deployment and a read"
RACE = "a read in the open window, on one clock"
DOUBT = "a drop or a race, within the skew"


@pytest.fixture(autouse=True)
def loud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Raise internal errors, and keep the user's own store out of it."""
    monkeypatch.setenv("FLASH_OTEL_RAISE", "1")
    monkeypatch.setenv("FLASH_OTEL_STORE", str(tmp_path / "spans.db"))


def stored(path: Path, made: list[SpanRecord]) -> Path:
    with SpanStore(path) as store:
        store.write(made)
    return path


def as_file(path: Path, made: list[SpanRecord]) -> str:
    path.write_text(json.dumps(encode_json(made)) + "\n", encoding="utf-8")
    return str(path)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = run(["diagnose", "--json", *arguments])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("scene", "status"), [(HEALTHY, 0), (RACE, 1), (DOUBT, 3), ("success without any endpoint", 1)]
)
def test_the_store_is_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], scene: str, status: int
) -> None:
    """By default the store is read; the exit status says what was found."""
    stored(tmp_path / "spans.db", SCENES[scene].make())
    found, value = answer(capsys)
    assert (found, value["verdict"]) == (status, SCENES[scene].verdict)


def test_sources_combine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The deployment comes from the store, the read from a file of the worker's."""
    stored(tmp_path / "spans.db", records(deployment()))
    file = as_file(tmp_path / "worker.jsonl", read(10, held=TWO))
    assert answer(capsys)[0] == 3
    status, value = answer(capsys, "--from", "store", "--from", file)
    assert (status, value["verdict"]) == (0, sc.NONE)
    places = [fact["place"] for fact in value["findings"][0]["evidence"]]
    assert any(place and "worker.jsonl" in place for place in places)


def test_standard_input_is_a_source(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dash reads what is piped in."""
    text = json.dumps(encode_json(SCENES[RACE].make())) + "\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert answer(capsys, "--from", "-")[1]["verdict"] == sc.READ_BEFORE_WRITE


def test_a_bracketed_log_is_a_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log is read for its lines, and evidence names file and line."""
    log = tmp_path / "both.log"
    log.write_text(
        "[DEPLOY] Environment env456 activated with build_id=abc123\n"
        "[STATE MANAGER] environment_id=env456 → activeBuildId=old789\n",
        encoding="utf-8",
    )
    status, value = answer(capsys, "--from", str(log))
    assert (status, value["verdict"]) == (1, sc.STALE_BUILD)
    assert [fact["place"] for fact in value["findings"][0]["evidence"]] == [f"{log}:1", f"{log}:2"]
    assert value["findings"][0]["evidence"][0]["span_id"] is None


@pytest.mark.parametrize(
    ("option", "value"),
    [("--env", "production"), ("--env", "env-prod"), ("--build", "build-1"), ("--trace", "0" * 8)],
)
def test_a_question_is_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    """Environment, build and trace choose the deployment."""
    stored(tmp_path / "spans.db", SCENES[RACE].make())
    assert answer(capsys, option, value)[1]["verdict"] == sc.READ_BEFORE_WRITE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--env", "nope"],
            "no recording matches --env nope.\nRecorded for --env: env-prod, production\n",
        ),
        (
            ["--env", "prodution", "--app", "shop"],
            "no recording matches --env prodution.\nDid you mean --env production?\n",
        ),
        (
            ["--app", "shpo"],
            "no recording matches --app shpo.\nDid you mean --app shop?\n",
        ),
        (
            ["--build", "build-2", "--env", "production"],
            "no recording matches --build build-2.\nDid you mean --build build-1?\n",
        ),
        (
            ["--trace", "d1".rjust(32, "0"), "--build", "build-1", "--env", "staging"],
            "no recording matches --env staging.\n",
        ),
    ],
)
def test_a_question_without_a_match_names_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """The option that matches nothing is named, with what is recorded."""
    stored(tmp_path / "spans.db", SCENES[RACE].make())
    assert run(["diagnose", *arguments]) == 3
    assert message in capsys.readouterr().err


def test_options_that_match_only_apart_are_named_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each option may match something, and their combination nothing."""
    staging = deployment(2, at=400, env="staging", env_id="env-stag", held={"s": TWO["gpu"]})
    stored(tmp_path / "spans.db", records(deployment(), staging))
    status, value = answer(capsys, "--env", "staging", "--build", "build-1")
    assert (status, value["deployments"], value["unmatched"]) == (3, [], [])
    run(["diagnose", "--env", "staging", "--build", "build-1"])
    assert "no recording matches --env staging --build build-1 together." in capsys.readouterr().err


def test_an_app_in_lines_alone_is_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bracketed lines name no app, which the message explains."""
    log = tmp_path / "deploy.log"
    log.write_text("[DEPLOY] Environment production activated with build_id=b1\n", encoding="utf-8")
    assert run(["diagnose", "--from", str(log), "--app", "shop"]) == 3
    assert "No recording names an app: leave out --app." in capsys.readouterr().err


def test_a_matching_question_has_no_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard error stays empty if something matches."""
    stored(tmp_path / "spans.db", SCENES[RACE].make())
    assert run(["diagnose", "--env", "production", "--app", "shop"]) == 1
    assert capsys.readouterr().err == ""


def test_earlier_failed_attempts_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report of a deployment has one line about the attempts before it."""
    refused = ("requests.exceptions.HTTPError", "403 Client Error: Forbidden")
    failed = stopped(deployment(2, at=-300), "artifact", error=refused)
    made = records(failed, deployment(), read(10, held=TWO))
    stored(tmp_path / "spans.db", made)
    (judged,) = answer(capsys, "--env", "production")[1]["deployments"]
    says = "the artifact upload failed (HTTPError: 403 Client Error: Forbidden)"
    assert judged["failed_before"] == [
        {"deployment_id": "d200".rjust(16, "0"), "build_id": "build-2", "says": says}
    ]
    assert run(["diagnose", "--env", "production"]) == 0
    assert f"  1 earlier attempt failed: build build-2, {says}\n" in capsys.readouterr().out


def test_only_what_is_recent_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --since, older records are left out, of the store and of files alike."""
    made = SCENES[RACE].make()
    stored(tmp_path / "spans.db", made)
    file = as_file(tmp_path / "spans.jsonl", made)
    for source in ("store", file):
        assert answer(capsys, "--from", source)[0] == 1
        status, value = answer(capsys, "--from", source, "--since", "1h")
        assert (status, value["deployments"]) == (3, [])


def test_the_skew_is_the_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A user who knows the clocks gets an answer where the default must not give one."""
    stored(tmp_path / "spans.db", SCENES[DOUBT].make())
    assert answer(capsys, "--skew", "0.5")[1]["verdict"] == sc.MANIFEST_NOT_PERSISTED


def test_an_empty_store_names_verify(capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing recorded, the answer is the command that needs no recording."""
    assert run(["diagnose"]) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "nothing is recorded" in printed.err
    assert "flash-otel verify --app APP --env ENV" in printed.err


def test_an_empty_store_is_no_hindrance_beside_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One source that holds nothing is mentioned; the other is judged."""
    file = as_file(tmp_path / "spans.jsonl", SCENES[RACE].make())
    assert run(["diagnose", "--from", "store", "--from", file]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("Verdict: read_before_write\n")
    assert "nothing is recorded" in printed.err


def test_a_file_that_is_not_there_is_bad_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong path ends with 2, and with a sentence."""
    assert run(["diagnose", "--from", str(tmp_path / "no.log")]) == 2
    assert "no.log" in capsys.readouterr().err


@pytest.mark.parametrize("code", FAULTS)
def test_each_code_is_explained(capsys: pytest.CaptureFixture[str], code: str) -> None:
    """--explain tells meaning, proof and remedies of a code, and reads nothing."""
    assert run(["diagnose", "--explain", code]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{code}: {sc.FAULTS[code]}\n")
    assert FAULTS[code].proof in printed
    assert FAULTS[code].deployer in printed
    assert FAULTS[code].maintainer in printed


def test_an_unknown_code_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """A code that is none lists those that are."""
    assert run(["diagnose", "--explain", "gremlins"]) == 2
    assert "stale_build" in capsys.readouterr().err


def test_the_store_shares_a_clock(tmp_path: Path) -> None:
    """Deployments of one store were made on one machine; what workers wrote elsewhere was not."""
    bare = [
        replace(record, resource={k: v for k, v in record.resource.items() if k != "host.name"})
        for record in records(deployment(), deployment(2, at=9, host=""), read(10, host=""))
    ]
    found = collect(StoreReader(stored(tmp_path / "spans.db", bare)).records())
    hosts = {deployment.process.host for deployment in found.deployments}
    assert len(hosts) == 1
    assert hosts != {""}
    assert [read.process.host for read in found.reads] == [""]


def test_the_store_keeps_a_host_that_is_known(tmp_path: Path) -> None:
    """A host that the resource names is not replaced."""
    path = stored(tmp_path / "spans.db", records(deployment(host="laptop")))
    found = collect(StoreReader(path).records())
    assert [deployment.process.host for deployment in found.deployments] == ["laptop"]


def test_the_store_tells_since_when(tmp_path: Path) -> None:
    """The store itself leaves out what is older."""
    path = stored(tmp_path / "spans.db", records(deployment()))
    since = EPOCH_NS + 4_000_000_000
    assert {record.name for record in StoreReader(path, since).records()} == {sc.MANIFEST_UPLOAD}


def test_a_store_that_is_none_is_told(tmp_path: Path) -> None:
    """A missing store holds nothing; a file that is no store cannot be read."""
    with pytest.raises(NothingFoundError):
        list(StoreReader(tmp_path / "no.db").records())
    (tmp_path / "a.db").write_bytes(b"no database at all, but long enough to look at" * 9)
    with pytest.raises(ReaderError):
        list(StoreReader(tmp_path / "a.db").records())


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long reading shows a bar on standard error, and leaves nothing in a pipe."""
    screen, pipe = _Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress_bar("reading a\x1b[2J[red].log") as advance:
        assert advance is not None
        advance(1, 2)
    assert "reading a\\x1b[2J[red].log" in screen.getvalue()
    monkeypatch.setattr(sys, "stderr", pipe)
    with progress_bar("reading a.log") as advance:
        assert advance is None
    assert pipe.getvalue() == ""


def _deployed_by(pid: int | None, host: str = "store here") -> Deployment:
    return Deployment(id="d", process=ProcessIdentity(host=host, pid=pid))


@pytest.mark.skipif(os.name == "nt", reason="signal 0 asks nothing on Windows: it ends a process")
def test_a_process_tells_whether_it_runs() -> None:
    """A deployment's process is asked for on its own machine only."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert is_running(_deployed_by(os.getpid())) is True
    assert is_running(_deployed_by(ended.pid)) is False
    assert is_running(_deployed_by(None)) is None
    assert is_running(_deployed_by(os.getpid(), "elsewhere")) is None


def test_a_killed_deployment_is_named_at_once_where_its_process_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody has to wait until a killed deployment counts as silent."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    just_now = (time.time_ns() - EPOCH_NS) / 1e9 - 10
    bare = [
        moved(replace(record, resource={sc.SERVICE_INSTANCE_ID: "cli-1"}), just_now)
        for record in records(killed("activate"))
    ]
    stored(tmp_path / "spans.db", bare)
    assert answer(capsys)[0] == 3
    told = [
        replace(record, resource={**record.resource, "process.pid": ended.pid}) for record in bare
    ]
    status, value = answer(capsys, "--store", str(stored(tmp_path / "told.db", told)))
    assert (status, value["verdict"]) == (1, sc.MANIFEST_NEVER_WRITTEN)


@pytest.mark.parametrize(
    "words",
    [
        ("--store", "my store.db"),
        ("--from", "store", "--store", "my store.db"),
        ("all {}.json",),
        ("--from", "all {}.json"),
        ("store", "all {}.json", "--store", "my store.db"),
    ],
)
def test_the_next_command_works_when_pasted(tmp_path: Path, words: tuple[str, ...]) -> None:
    """It names the sources that were read, and shows the trace that the finding is about."""
    made = failed_deployment()
    stored(tmp_path / "my store.db", made)
    as_file(tmp_path / "all {}.json", made)
    program = [forking(), "-m", "flash_otel"]
    printed = as_user(tmp_path, *program, "diagnose", *words).stdout
    shown = as_user(tmp_path, "sh", "-c", printed.splitlines()[-1].removeprefix("Next: "))
    assert shown.returncode == 0, shown.stderr
    assert "flash.deploy" in shown.stdout


def as_user(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=TIMEOUT,
    )
