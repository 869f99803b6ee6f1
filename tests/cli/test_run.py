"""How `run` runs a console script, with a small package in place of Flash.

Its entry point has the name of Flash's. Its functions exit, raise, wait or record spans, and the
launcher must pass the result on. tests/e2e runs the real Flash.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from support.bad_endpoints import silent
from support.commands import TIMEOUT, environment
from support.scripted_collector import HttpCollector

from flash_otel.otlp.decode import decode
from flash_otel.store.store import SpanStore

MAIN = """
    import json, sys, __main__
    import flash_otel

    @flash_otel.trace_deploy(app_name="app")
    def deploy(app):
        if "refuse" in sys.argv:
            package()
        upload()
        return "deployed"

    @flash_otel.trace_artifact_upload
    def package():
        raise ConnectionError("the storage hung up")

    @flash_otel.trace_upload
    def upload():
        if "fail" in sys.argv:
            raise ConnectionError("the State Manager hung up")

    def app():
        print("flash speaks")
        print("flash complains", file=sys.stderr)
        word = sys.argv[1]
        if word == "face":
            print(json.dumps([sys.argv, __main__.__file__, __main__.__name__, sys.path[0]]))
        elif word == "exit":
            sys.exit(eval(sys.argv[2]))
        elif word == "return":
            return eval(sys.argv[2])
        elif word == "raise":
            raise LookupError("not there")
        elif word == "wait":
            print("waiting", flush=True)
            sys.stdin.read()
        elif word == "deploy":
            deploy("shop")
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of packages, one of them with the entry point `flash`."""
    folder = tmp_path / "site"
    for package in ("runpod_flash", "runpod_flash/cli", "runpod_flash-1.14.0.dist-info"):
        (folder / package).mkdir(parents=True)
    (folder / "runpod_flash" / "__init__.py").touch()
    (folder / "runpod_flash" / "cli" / "__init__.py").touch()
    (folder / "runpod_flash" / "cli" / "main.py").write_text(dedent(MAIN), encoding="utf-8")
    info = folder / "runpod_flash-1.14.0.dist-info"
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: runpod-flash\nVersion: 1.14.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(
        "[console_scripts]\nflash = runpod_flash.cli.main:app\n", encoding="utf-8"
    )
    return folder


SCRIPT = "import sys; from runpod_flash.cli.main import app; sys.argv[0] = 'flash'; sys.exit(app())"


def command(*words: str, traced: bool = True, options: tuple[str, ...] = ()) -> list[str]:
    """Return the command line of flash, traced or as its console script runs it."""
    if traced:
        return [sys.executable, "-m", "flash_otel", "run", *options, "--", "flash", *words]
    return [sys.executable, "-c", SCRIPT, *words]


def ended(
    site: Path, *words: str, traced: bool = True, options: tuple[str, ...] = (), **more: str
) -> subprocess.CompletedProcess[str]:
    """Run flash to its end."""
    return subprocess.run(
        command(*words, traced=traced, options=options),
        cwd=site.parent,
        env=environment(site.parent, PYTHONPATH=str(site), **more),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        ("exit", "0"),
        ("exit", "7"),
        ("exit", "None"),
        ("exit", "'flash is sorry'"),
        ("return", "None"),
        ("return", "5"),
        ("deploy",),
    ],
)
def test_output_and_status_are_flashs_own(site: Path, words: tuple[str, ...]) -> None:
    """Standard output, standard error and exit status equal those of an untraced run."""
    quiet = ("--quiet",)
    traced, untraced = (ended(site, *words, traced=how, options=quiet) for how in (True, False))
    own = "".join(
        line for line in traced.stderr.splitlines(keepends=True) if not line.startswith("[")
    )
    assert traced.stdout == untraced.stdout
    assert own == untraced.stderr
    assert traced.returncode == untraced.returncode


def test_an_exception_is_printed_as_python_prints_it(site: Path) -> None:
    """The traceback lacks only the launcher's frame, and the exit status is 1."""
    traced, untraced = (ended(site, "raise", traced=how) for how in (True, False))
    assert (traced.stdout, traced.returncode) == (untraced.stdout, untraced.returncode)
    assert traced.stderr.splitlines()[-1] == "LookupError: not there"
    assert "launcher.py" not in traced.stderr


def test_flash_sees_the_process_of_its_console_script(site: Path) -> None:
    """Arguments, main module and path are the console script's, not flash-otel's."""
    argv, file, name, path = json.loads(
        ended(site, "face", "--env", "a b", "--", "-x").stdout.splitlines()[1]
    )
    assert argv[1:] == ["face", "--env", "a b", "--", "-x"]
    assert Path(argv[0]).name == "flash"
    assert (file, name, path) == (argv[0], "__main__", str(Path(argv[0]).parent))


def test_the_dashes_can_be_left_out(site: Path) -> None:
    """From the first word on, everything belongs to flash, including options."""
    words = [word for word in command("face", "--json", "--help") if word != "--"]
    found = subprocess.run(
        words,
        env=environment(site.parent, PYTHONPATH=str(site)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert json.loads(found.stdout.splitlines()[1])[0][1:] == ["face", "--json", "--help"]


def test_a_healthy_deployment_ends_with_its_summary(site: Path) -> None:
    """Three lines follow on standard error: the outcome, the steps, and a command."""
    found = ended(site, "deploy", options=("--legacy-logs", "false"))
    assert (found.returncode, found.stdout) == (0, "flash speaks\n")
    own, first, steps, command = found.stderr.splitlines()
    assert own == "flash complains"
    assert re.fullmatch(
        r"flash-otel: shop was deployed in \S+ m?s, and no fault is visible so far", first
    )
    assert re.fullmatch(r"  manifest upload \S+ m?s", steps)
    assert command.startswith("  More: ")
    with SpanStore(site.parent / "spans.db") as store:
        [summary] = store.traces()
    assert (summary.root_name, summary.app_name, summary.error_count) == ("flash.deploy", "shop", 0)


def test_a_failed_deployment_ends_with_the_report(site: Path) -> None:
    """Flash's own traceback is followed by the failed step, the cause and a command."""
    found = ended(site, "deploy", "fail", options=("--legacy-logs", "false"))
    _, _, report = found.stderr.partition("ConnectionError: the State Manager hung up\n\n")
    assert found.returncode == 1
    assert report.splitlines()[0] == (
        "flash-otel: the manifest upload failed: ConnectionError: the State Manager hung up"
    )
    assert "└─ flash.manifest.upload" in report
    assert "\x1b" not in report
    assert re.match(r"More:       .* show [0-9a-f]{12} --store ", report.splitlines()[-1])


def test_without_spans_there_is_no_report(site: Path) -> None:
    """Without a deployment, or with the store off, nothing is added."""
    assert ended(site, "exit", "1").stderr == "flash complains\n"
    found = ended(site, "deploy", options=("--legacy-logs", "false", "--store", "off"))
    assert found.stderr == "flash complains\n"
    assert not (site.parent / "spans.db").exists()


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_terminal_gets_a_summary_that_fits(site: Path, width: int) -> None:
    """It follows what flash prints, after an empty line, and fits the terminal."""
    main_end, terminal = os.openpty()
    try:
        with subprocess.Popen(
            command("deploy"),
            env=environment(site.parent, PYTHONPATH=str(site), TERM="dumb", COLUMNS=str(width)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=terminal,
        ) as process:
            process.wait(TIMEOUT)
        found = os.read(main_end, 65_536).decode().splitlines()
    finally:
        os.close(terminal)
        os.close(main_end)
    assert found[:3] == ["flash complains", "", found[2]]
    assert found[2].startswith("flash-otel: shop was deployed in ")
    assert all(len(line) <= width or len(line.split()) <= 2 for line in found)


def test_the_command_of_a_summary_works_when_pasted(site: Path) -> None:
    """After a success it shows the trace, with the program and the store that hold it."""
    done = ended(site, "deploy", options=("--legacy-logs", "false"))
    pasted = done.stderr.splitlines()[-1].removeprefix("  More: ")
    shown = subprocess.run(
        ["sh", "-c", pasted],
        env=environment(site.parent, FLASH_OTEL_STORE=str(site / "another.db")),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert shown.returncode == 0
    assert "flash.deploy" in shown.stdout


def test_quiet_omits_everything_but_the_exit_status(site: Path) -> None:
    """Neither a summary nor a report, nor the line of a pipeline, follows."""
    options = ("--quiet", "--legacy-logs", "false")
    done = ended(site, "deploy", options=options, CI="true")
    assert (done.returncode, done.stderr) == (0, "flash complains\n")
    done = ended(site, "deploy", "fail", options=options)
    assert done.returncode == 1
    assert done.stderr.endswith("ConnectionError: the State Manager hung up\n")


def test_an_interrupt_reaches_flash(site: Path) -> None:
    """An unhandled Ctrl-C ends with Python's traceback and 130, without hanging."""
    with subprocess.Popen(
        command("wait"),
        env=environment(site.parent, PYTHONPATH=str(site)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "waiting\n":
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert errors.splitlines()[-1].startswith("KeyboardInterrupt")


@pytest.mark.parametrize(("words", "status"), [(("deploy",), 0), (("deploy", "fail"), 1)])
def test_fail_on_fault_keeps_flashs_own_failure(
    site: Path, words: tuple[str, ...], status: int
) -> None:
    """Without a visible fault, `--fail-on-fault` changes nothing."""
    assert ended(site, *words, options=("--fail-on-fault",)).returncode == status


def test_export_writes_the_recording_as_one_file(site: Path, tmp_path: Path) -> None:
    """`--export` writes an OTLP file that `diagnose --from` and a Collector can read."""
    target = tmp_path / "recording.json"
    done = ended(site, "deploy", options=("--export", str(target)))
    names = [record.name for record in decode(json.loads(target.read_text(encoding="utf-8")))]
    assert done.returncode == 0
    assert sorted(names) == ["flash.deploy", "flash.manifest.upload"]
    assert f" (2 spans) written to {target}" in done.stderr


def test_export_that_cannot_be_written_leaves_the_status_alone(site: Path, tmp_path: Path) -> None:
    """If the file cannot be written, one line reports it and the exit status stays."""
    target = tmp_path / "nowhere" / "recording.json"
    done = ended(site, "deploy", options=("--export", str(target)))
    assert done.returncode == 0
    assert f"flash-otel: could not write {target}: No such file or directory" in done.stderr


def test_a_pipeline_prints_the_place_of_the_recording(site: Path, tmp_path: Path) -> None:
    """With CI set, one line names the store's file."""
    assert "recorded in" not in ended(site, "deploy").stderr
    said = ended(site, "deploy", CI="true").stderr
    assert re.search(rf"flash-otel: trace [0-9a-f]{{32}} recorded in {tmp_path}", said)


def test_a_decided_verdict_goes_to_the_backend(site: Path) -> None:
    """A deployment that failed is shown there as such; one that no worker has read yet is open."""
    for word, expected in (("refuse", 1), ("", 0)):
        with HttpCollector() as collector:
            found = ended(
                site,
                "deploy",
                word,
                OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
                FLASH_OTEL_EXIT_BUDGET="20",
            )
            verdicts = [span for span in collector.spans if span.name == "flash.diagnosis"]
            roots = [span for span in collector.spans if span.name == "flash.deploy"]
        assert len(roots) == 1
        assert len(verdicts) == expected, found.stderr
        assert all(span.parent_span_id == roots[0].span_id for span in verdicts)


def test_a_backend_that_hangs_costs_a_run_nothing(site: Path) -> None:
    """The verdict is given up in silence, and flash's output and status stay its own."""
    with silent() as url:
        hanging = ended(
            site,
            "deploy",
            "refuse",
            OTEL_EXPORTER_OTLP_ENDPOINT=url,
            OTEL_EXPORTER_OTLP_TIMEOUT="600",
            FLASH_OTEL_EXIT_BUDGET="0.2",
        )
    plain = ended(site, "deploy", "refuse")
    assert (hanging.stdout, hanging.returncode) == (plain.stdout, plain.returncode)
    assert "diagnosis" not in hanging.stderr
    assert "Error" not in hanging.stderr.replace("ConnectionError", "")
