"""Faults of the store: the host ends as without tracing, and spans are delivered or wait."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.bad_endpoints import BAD
from support.disks import (
    CORRUPT,
    LIMIT,
    NO_HOME,
    can_map_users,
    can_mount,
    full_disk,
    locked,
    locked_from_the_start,
    make_newer,
    read_only,
)
from support.host_process import SPANS, Ended, HostProcess
from support.samples import span
from support.scripted_collector import HttpCollector

from flash_otel.cli.app import status_of
from flash_otel.otlp.encode import LOG_MARK
from flash_otel.store import cursors, files
from flash_otel.store.errors import StoreError, translated
from flash_otel.store.schema import VERSION
from flash_otel.store.store import SpanStore, open_for_reading

if TYPE_CHECKING:
    from pathlib import Path

DEPLOY = span(1, None, "flash.deploy", 0, 1)
PATIENT = {"FLASH_OTEL_EXIT_BUDGET": "30"}
needs_mounts = pytest.mark.skipif(not can_mount(), reason="this machine cannot mount a disk")


def survives(ended: Ended, *parts: str) -> None:
    """Assert the host's own status and output, and a warning with these parts."""
    assert (ended.status, ended.stdout) == (0, "done\n"), ended.stderr
    assert len(ended.lines) == 1, ended.stderr
    for part in parts:
        assert part in ended.lines[0]


def waiting(store: Path) -> int:
    with SpanStore(store) as opened:
        return sum(status.waiting for status in cursors.delivery_statuses(opened.connection))


def keys(store: Path) -> list[tuple[str, str]]:
    with SpanStore(store) as opened:
        return [record.key for record in opened.spans()]


@pytest.mark.parametrize("kind", ["tmpfs", "limit"])
def test_full_disk(kind: str, tmp_path: Path) -> None:
    """Spans that do not fit go to the collector directly; stored ones go with the next run."""
    store, saved = tmp_path / "disk" / "spans.db", tmp_path / "saved"
    if kind == "tmpfs" and not can_mount():
        pytest.skip("this machine cannot mount a disk")
    tmpfs: Any = {"wrapper": full_disk(store.parent, saved)}
    trouble = tmpfs if kind == "tmpfs" else {"before": LIMIT}
    variables = {**PATIENT, "FLASH_OTEL_STORE": str(store)}
    with HttpCollector() as collector:
        with BAD["refuses"]() as url:
            HostProcess(tmp_path, url, variables=variables).run()
        stored = keys(store)
        ended = HostProcess(tmp_path, collector.url, variables=variables, **trouble).run()
        survives(ended, "flash_otel: ", "spans.db")
        assert len(collector.keys) == len(set(collector.keys)) == SPANS
        left = saved / "spans.db" if kind == "tmpfs" else store
        assert set(keys(left)) == set(stored)
        assert not set(stored) & set(collector.keys)


def test_full_disk_without_a_collector(tmp_path: Path) -> None:
    """Without a collector the spans are lost, with one warning."""
    survives(HostProcess(tmp_path, before=LIMIT).run(), "the last spans are not stored")


@needs_mounts
def test_read_only_home(tmp_path: Path) -> None:
    """On a read-only disk, the collector gets the spans."""
    home = tmp_path / "home"
    home.mkdir()
    variables = {**PATIENT, "FLASH_OTEL_STORE": "", "HOME": str(home), "XDG_STATE_HOME": ""}
    with HttpCollector() as collector:
        victim = HostProcess(tmp_path, collector.url, variables=variables, wrapper=read_only(home))
        survives(victim.run(), "spans are not stored", "Read-only file system")
        assert len(collector.keys) == len(set(collector.keys)) == SPANS
    assert list(home.iterdir()) == []


@pytest.mark.skipif(not can_map_users(), reason="this machine cannot map users")
@pytest.mark.parametrize("collects", [True, False])
def test_no_home(tmp_path: Path, *, collects: bool) -> None:
    """A user without a home folder or an entry in the user database: one line says what to set.

    The collector gets the spans, or else the log.
    """
    with HttpCollector() as collector:
        url = collector.url if collects else ""
        ended = HostProcess(tmp_path, url, variables=PATIENT, wrapper=NO_HOME).run()
        assert len(set(collector.keys)) == (SPANS if collects else 0)
    logged = [line for line in ended.lines if line.startswith(LOG_MARK)]
    assert len(logged) == (0 if collects else SPANS)
    (line,) = set(ended.lines) - set(logged)
    assert "no home folder is known" in line
    assert "set XDG_STATE_HOME to a folder, or FLASH_OTEL_STORE to a file" in line
    assert (ended.status, ended.stdout) == (0, "done\n")
    # What the host itself wrote: nothing named `~`.
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {"victim", "report"}


@needs_mounts
def test_read_only_home_without_a_collector(tmp_path: Path) -> None:
    """On a read-only disk and without a collector, the log gets the spans."""
    home = tmp_path / "home"
    home.mkdir()
    variables = {"FLASH_OTEL_STORE": "", "HOME": str(home), "XDG_STATE_HOME": ""}
    ended = HostProcess(tmp_path, variables=variables, wrapper=read_only(home)).run()
    (line,) = [line for line in ended.lines if not line.startswith(LOG_MARK)]
    assert "spans are not stored" in line
    assert len(ended.lines) == 1 + SPANS
    assert list(home.iterdir()) == []


def test_a_relative_path_and_another_folder(tmp_path: Path) -> None:
    """A relative path is where it was when tracing began, also if the program changes folder."""
    moves = "os.mkdir('sub'); os.chdir('sub')"
    victim = HostProcess(tmp_path, before=moves, variables={"FLASH_OTEL_STORE": "'own.db'"})
    assert victim.run().stderr == ""
    assert list(tmp_path.rglob("own.db")) == [tmp_path / "own.db"]


def test_no_folder_for_the_store(tmp_path: Path) -> None:
    """If the folder cannot be created, the collector gets the spans."""
    (tmp_path / "file").write_text("")
    variables = {**PATIENT, "FLASH_OTEL_STORE": str(tmp_path / "file" / "spans.db")}
    with HttpCollector() as collector:
        survives(HostProcess(tmp_path, collector.url, variables=variables).run(), "are not stored")
        assert len(collector.keys) == len(set(collector.keys)) == SPANS


def test_locked_store(tmp_path: Path) -> None:
    """While the store is locked, spans wait beside it; the next run takes them in."""
    store = tmp_path / "spans.db"
    with HttpCollector() as collector:
        with locked(store):
            survives(HostProcess(tmp_path, collector.url).run(), "wait beside the store", "locked")
            assert collector.keys == []
            (beside,) = tmp_path.glob("spans.db-*.unstored")
            assert beside.stat().st_mode & 0o077 == 0
        after = HostProcess(tmp_path, collector.url, variables=PATIENT).run()
        assert (after.status, after.stderr) == (0, "")
        assert len(collector.keys) == len(set(collector.keys)) == 2 * SPANS
    assert not beside.exists()
    assert len(keys(store)) == len(set(keys(store))) == 2 * SPANS


@pytest.mark.parametrize("command", ["traces", "show", "diagnose", "status", "push"])
def test_a_first_run_beside_a_lock(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where the very first run finds the store locked, each command takes its spans in."""
    store = tmp_path / "spans.db"
    with locked_from_the_start(store):
        if command == "traces":
            survives(HostProcess(tmp_path).run(), "wait beside the store", "locked")
        else:
            assert files.set_aside(store, [DEPLOY])
    assert store.stat().st_size == 0
    monkeypatch.setenv("FLASH_OTEL_STORE", str(store))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    status_of([command])
    assert list(tmp_path.glob("*.unstored")) == []
    assert len(keys(store)) == (SPANS if command == "traces" else 1)
    if command == "traces":
        assert capsys.readouterr().out.count("flash.activate") == SPANS


@pytest.mark.parametrize("text", ["locking protocol", "database is locked", "disk I/O error"])
def test_errors_that_pass(text: str, tmp_path: Path) -> None:
    """A lock of a network file system (SQLITE_PROTOCOL) is tried again, like any other lock."""
    with pytest.raises(StoreError, match=text) as raised, translated(tmp_path):
        raise sqlite3.OperationalError(text)
    assert raised.value.transient


def test_an_empty_file_is_a_fresh_store(tmp_path: Path) -> None:
    """A file that nobody has written to yet is no damage: nothing is recorded yet."""
    store = tmp_path / "spans.db"
    store.touch(0o600)
    assert open_for_reading(store) is None
    assert HostProcess(tmp_path).run().stderr == ""
    assert len(keys(store)) == SPANS


def test_store_of_a_newer_version(tmp_path: Path) -> None:
    """A newer version's file is left alone; spans wait beside it."""
    store = tmp_path / "spans.db"
    make_newer(store)
    before = store.read_bytes()
    with HttpCollector() as collector:
        survives(HostProcess(tmp_path, collector.url).run(), "has version 99")
        assert store.read_bytes() == before
        with closing(sqlite3.connect(store)) as plain:
            plain.execute(f"PRAGMA user_version = {VERSION}")
        assert HostProcess(tmp_path, collector.url, variables=PATIENT).run().stderr == ""
        assert len(collector.keys) == len(set(collector.keys)) == 2 * SPANS


@pytest.mark.parametrize("damage", CORRUPT)
def test_corrupt_store(damage: str, tmp_path: Path) -> None:
    """A damaged file is kept; spans go to a fresh one and to the collector."""
    store = tmp_path / "spans.db"
    with SpanStore(store):
        pass
    CORRUPT[damage](store)
    with HttpCollector() as collector:
        ended = HostProcess(tmp_path, collector.url, variables=PATIENT).run()
        survives(ended, "is damaged and stays as it is")
        assert len(collector.keys) == len(set(collector.keys)) == SPANS
    assert len(keys(tmp_path / "spans.1.db")) == SPANS


def test_a_planted_file_is_not_taken_in(tmp_path: Path) -> None:
    """A file beside the store is taken in only if it belongs to the user."""
    store, elsewhere = tmp_path / "spans.db", tmp_path / "elsewhere"
    elsewhere.write_text("{}")
    planted = tmp_path / "spans.db-0123456789abcdef.unstored"
    planted.symlink_to(elsewhere)
    damaged = tmp_path / "spans.db-fedcba9876543210.unstored"
    damaged.write_text("half of it")
    assert HostProcess(tmp_path).run().stderr == ""
    assert planted.is_symlink()
    assert damaged.exists()
    assert len(keys(store)) == SPANS
