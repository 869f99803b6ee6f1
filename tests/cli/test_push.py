"""`flash-otel push` and `flash-otel status`: waiting spans, and sending them now."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from support.bad_endpoints import refusing
from support.commands import TIMEOUT, environment, flash_otel, keep
from support.scripted_collector import HttpCollector, Reply

from flash_otel.cli.push import push, status
from flash_otel.records import SpanRecord
from flash_otel.store.cursors import delivery_statuses, register
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from pathlib import Path


def spans(count: int) -> list[SpanRecord]:
    """Return finished spans of our own provider."""
    resource = {"telemetry.distro.name": "flash-otel"}
    return [
        SpanRecord("a" * 32, f"{n:016x}", None, f"s{n}", "internal", n, n + 1, resource=resource)
        for n in range(1, count + 1)
    ]


def waiting(folder: Path, url: str, count: int = 3) -> dict[str, str]:
    """Queue spans for a collector; return the environment that names it."""
    with SpanStore(folder / "spans.db") as store:
        register(store.connection, [f"http/protobuf {url}/v1/traces"])
    keep(folder, spans(count))
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url}


def test_push_sends_waiting_spans(tmp_path: Path) -> None:
    """All waiting spans arrive; a second push has nothing to send."""
    with HttpCollector() as collector:
        env = waiting(tmp_path, collector.url)
        host = collector.url.removeprefix("http://")
        first = flash_otel(tmp_path, "push", env=env)
        assert (first.returncode, first.stdout, first.stderr) == (0, f"{host}: 3 spans sent\n", "")
        second = flash_otel(tmp_path, "push", env=env)
        assert (second.returncode, second.stderr) == (0, "")
        assert second.stdout.startswith(f"{host}: no spans are waiting.")
    assert collector.names == ["s1", "s2", "s3"]


def test_push_without_variables_uses_the_known_destinations(tmp_path: Path) -> None:
    """The suggested command works in a shell without any variable."""
    with HttpCollector() as collector:
        waiting(tmp_path, collector.url)
        assert "3 spans sent" in flash_otel(tmp_path, "push").stdout
    assert collector.names == ["s1", "s2", "s3"]


def test_push_to_a_dead_collector(tmp_path: Path) -> None:
    """Unsent spans are reported with the reason, by push and by status, and push exits with 3."""
    with refusing() as url:
        env = waiting(tmp_path, url)
        done = flash_otel(tmp_path, "push", env=env)
        shown = flash_otel(tmp_path, "status")
    host = url.removeprefix("http://")
    assert (done.returncode, done.stdout) == (3, f"{host}: 3 spans waiting (connection refused)\n")
    assert f"http/protobuf {url}/v1/traces" in shown.stdout
    assert "3 spans waiting since " in shown.stdout
    assert ": connection refused" in shown.stdout
    assert shown.returncode == 0


def test_earlier_recordings_need_all(tmp_path: Path) -> None:
    """A new endpoint gets earlier recordings only with --all."""
    keep(tmp_path, spans(2))
    with HttpCollector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        assert "push --all" in flash_otel(tmp_path, "push", env=env).stdout
        assert collector.requests == []
        assert "2 spans sent" in flash_otel(tmp_path, "push", "--all", env=env).stdout
    assert collector.names == ["s1", "s2"]


def test_rejected_spans_are_sent_again(tmp_path: Path) -> None:
    """Rejected spans are shown with their reason, and sent again on request."""
    with HttpCollector(Reply(400)) as collector:
        env = waiting(tmp_path, collector.url)
        refused = flash_otel(tmp_path, "push", env=env)
        assert refused.returncode == 3
        assert "3 spans rejected (HTTP 400 Bad Request)" in refused.stdout
        assert "3 spans rejected (HTTP 400 Bad Request)" in flash_otel(tmp_path, "status").stdout
        assert "3 spans sent" in flash_otel(tmp_path, "push", "--rejected", env=env).stdout
        assert "rejected" not in flash_otel(tmp_path, "status").stdout


def test_status_for_machines(tmp_path: Path) -> None:
    """The JSON has one object for each destination, including the configured ones."""
    waiting(tmp_path, "http://127.0.0.1:1")
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:pa55word@127.0.0.1:2"}
    done = flash_otel(tmp_path, "status", "--json", env=env)
    known, named = json.loads(done.stdout)
    assert (known["url"], known["waiting"]) == ("http://127.0.0.1:1/v1/traces", 3)
    assert (named["url"], named["waiting"]) == ("http://127.0.0.1:2/v1/traces", 0)
    assert "pa55word" not in done.stdout


def test_push_names_what_waits_elsewhere(tmp_path: Path) -> None:
    """Spans for an address that the environment no longer names are counted, with the next step."""
    old = "http://gone.example:4318"
    waiting(tmp_path, old)
    with HttpCollector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        done = flash_otel(tmp_path, "push", env=env)
    assert done.returncode == 0
    assert f"3 spans waiting for another destination, http/protobuf {old}/v1/traces" in done.stdout
    assert f"flash-otel status --forget {old}/v1/traces\n" in done.stdout
    with refusing() as url:
        # Without a variable, the address is only known from the store.
        waiting(tmp_path / "other", url)
        done = flash_otel(tmp_path / "other", "push")
    assert done.returncode == 3
    assert f"if the address is gone: flash-otel status --forget {url}/v1/traces" in done.stdout


@pytest.mark.parametrize("by", ["name", "url", "host"])
def test_a_destination_is_forgotten(tmp_path: Path, by: str) -> None:
    """An address that is gone no longer has spans waiting; the spans stay in the store."""
    waiting(tmp_path, "http://gone.example:4318")
    waiting(tmp_path, "http://kept.example:4318", 1)
    url = "http://gone.example:4318/v1/traces"
    wanted = {"name": f"http/protobuf {url}", "url": url, "host": "gone.example:4318"}[by]
    done = flash_otel(tmp_path, "status", "--forget", wanted, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The 3 spans that waited for it stay in the store." in done.stdout
    (left,) = json.loads(flash_otel(tmp_path, "status", "--json").stdout)
    assert left["url"] == "http://kept.example:4318/v1/traces"
    with HttpCollector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        assert "3 spans sent" in flash_otel(tmp_path, "push", "--all", env=env).stdout


def test_what_cannot_be_forgotten(tmp_path: Path) -> None:
    """Without a terminal nothing is forgotten unasked; an unknown destination lists the known."""
    env = waiting(tmp_path, "http://h.example:4318")
    asked = flash_otel(tmp_path, "status", "--forget", "h.example:4318")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "Add --yes" in asked.stderr
    unknown = flash_otel(tmp_path, "status", "--forget", "http://me:canary@x", "--yes")
    assert unknown.returncode == 2
    assert "http/protobuf http://h.example:4318/v1/traces" in unknown.stderr
    assert "canary" not in unknown.stderr
    assert len(json.loads(flash_otel(tmp_path, "status", "--json").stdout)) == 1
    named = flash_otel(tmp_path, "status", "--forget", "h.example:4318", "--yes", env=env)
    assert "the next run registers it again" in named.stdout


@pytest.mark.parametrize(("answer", "is_forgotten"), [("y", True), ("", False), ("n", False)])
def test_a_question_before_a_destination_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, is_forgotten: bool
) -> None:
    """Only yes forgets."""
    waiting(tmp_path, "http://h.example:4318")
    terminal = io.StringIO(f"{answer}\n")
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", terminal)
    status(forget="h.example:4318", store=str(tmp_path / "spans.db"))
    with SpanStore(tmp_path / "spans.db") as store:
        assert bool(delivery_statuses(store.connection)) is not is_forgotten


def test_headers_without_an_address(tmp_path: Path) -> None:
    """A key goes to no known destination if it is not certain which of them it is for."""
    with HttpCollector() as first, HttpCollector() as second:
        waiting(tmp_path, first.url)
        waiting(tmp_path, second.url, 1)
        env = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=canary"}
        done = flash_otel(tmp_path, "push", env=env)
        assert (first.received, second.received) == ([], [])
    assert done.returncode == 2
    assert "Set OTEL_EXPORTER_OTLP_ENDPOINT to choose one." in done.stderr
    assert "canary" not in done.stdout + done.stderr


def test_an_address_that_nothing_is_sent_to(tmp_path: Path) -> None:
    """Status and push give the same verdict, and show no key."""
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "htps://me:canary@h.example:4318",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=canary",
    }
    keep(tmp_path, spans(1))
    problem = "the scheme htps:// is unknown: use http:// or https://"
    pushed = flash_otel(tmp_path, "push", "--all", env=env)
    assert pushed.returncode == 3
    assert f"htps://h.example:4318/v1/traces: 1 spans waiting ({problem})" in pushed.stdout
    shown = flash_otel(tmp_path, "status", env=env)
    assert f"nothing is sent there: {problem}" in shown.stdout
    machine = flash_otel(tmp_path, "status", "--json", env=env)
    assert json.loads(machine.stdout)[0]["problem"] == problem
    seen = pushed.stdout + pushed.stderr + shown.stdout + shown.stderr + machine.stdout
    assert "canary" not in seen
    assert b"canary" not in b"".join(file.read_bytes() for file in tmp_path.glob("spans.db*"))


def test_nothing_is_recorded(tmp_path: Path) -> None:
    """Without a store there is nothing to show and nothing to send, and no error."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    for arguments in (("push",), ("status",)):
        done = flash_otel(tmp_path, *arguments, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert "No traces are recorded yet." in done.stdout
    assert flash_otel(tmp_path, "status", "--json").stdout == "[]\n"


def test_nothing_is_configured(tmp_path: Path) -> None:
    """Without an endpoint, push names the variable and status the place of the spans."""
    keep(tmp_path, spans(1))
    done = flash_otel(tmp_path, "push")
    assert (done.returncode, done.stderr) == (0, "")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=" in done.stdout
    assert "sent nowhere" in flash_otel(tmp_path, "status").stdout


def test_a_push_opens_the_store_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """However many batches it takes, a push makes at most three connections to the store."""
    made: list[object] = []
    connect = sqlite3.connect

    def counted(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **named)
        made.append(connection)
        return connection

    with HttpCollector() as collector:
        for name, value in waiting(tmp_path, collector.url, 20_000).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sqlite3, "connect", counted)
        assert push(store=str(tmp_path / "spans.db")) == 0
    assert capsys.readouterr().out.endswith(": 20000 spans sent\n")
    assert len(collector.requests) == 40
    assert len(set(collector.names)) == 20_000
    assert len(made) <= 3


@pytest.mark.parametrize("command", ["push", "status"])
def test_a_damaged_store(tmp_path: Path, command: str) -> None:
    """An unreadable store is an error without a traceback."""
    (tmp_path / "spans.db").write_bytes(b"no database" * 1000)
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    done = flash_otel(tmp_path, command, env=env)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert done.stderr


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_an_interrupt_keeps_the_acknowledged_batches(tmp_path: Path) -> None:
    """A terminal shows a bar; Ctrl-C ends push at once, and the next push continues."""
    came, over = threading.Event(), threading.Event()

    def judge(names: list[str]) -> Reply:
        if "s600" in names and not over.is_set():
            came.set()
            over.wait(TIMEOUT)
        return Reply()

    main_end, terminal = os.openpty()
    with HttpCollector(judge=judge) as collector:
        env = waiting(tmp_path, collector.url, 600)
        with subprocess.Popen(
            [sys.executable, "-m", "flash_otel", "push"],
            cwd=tmp_path,
            env=environment(tmp_path, TERM="xterm", COLUMNS="100", **env),
            stdout=subprocess.PIPE,
            stderr=terminal,
        ) as process:
            os.close(terminal)
            try:
                assert came.wait(TIMEOUT)
                process.send_signal(signal.SIGINT)
                shown = _read(main_end)
                assert process.wait(TIMEOUT) == 130
            finally:
                process.kill()
                over.set()
        assert "512/600" in shown
        assert shown.rstrip().endswith("flash-otel: interrupted")
        assert "Traceback" not in shown
        assert json.loads(flash_otel(tmp_path, "status", "--json").stdout)[0]["waiting"] == 88
        assert "88 spans sent" in flash_otel(tmp_path, "push", env=env).stdout


def _read(descriptor: int) -> str:
    """Read a pseudo-terminal until its last writer has closed it."""
    parts = []
    with os.fdopen(descriptor, "rb", buffering=0) as file, suppress(OSError):
        while part := file.read(4096):
            parts.append(part)
    return b"".join(parts).decode()
