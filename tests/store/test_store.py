from __future__ import annotations

import json
import os
import sqlite3
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.any_records import RECORDS

from flash_otel.records import Event, Link, SpanRecord
from flash_otel.store import files, schema
from flash_otel.store.location import locate
from flash_otel.store.store import (
    SpanStore,
    StoreCorruptError,
    StoreError,
    TraceFilter,
    newest,
    open_for_reading,
    temporary_store,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

UNPRIVILEGED_USER = 12_345

DEPLOY = "a" * 32
READ = "b" * 32

ROOT = SpanRecord(
    DEPLOY,
    "1" * 16,
    None,
    "flash.deploy",
    "internal",
    1_000,
    9_000,
    attributes={"flash.app_name": "demo", "deployment.environment.name": "prod"},
    resource={"service.name": "flash-cli"},
    scope_name="flash_otel",
    scope_version="0.1",
)
ACTIVATE = replace(
    ROOT,
    span_id="2" * 16,
    parent_span_id="1" * 16,
    name="flash.activate",
    kind="client",
    start_ns=2_000,
    end_ns=3_000,
    status="error",
    status_message="no",
    attributes={"flash.environment_id": "env1", "flash.build_id": "b1"},
    events=(Event("flash.retry", 2_500, {"n": (1, 2)}),),
)
FETCH = SpanRecord(
    READ,
    "3" * 16,
    None,
    "flash.runtime.fetch",
    "internal",
    20_000,
    30_000,
    attributes={"flash.environment_id": "env2"},
    links=(Link(DEPLOY, "1" * 16, {}),),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "spans.db"


def test_what_is_written_is_read_back(path: Path) -> None:
    """A trace is read back completely, by start time."""
    with SpanStore(path) as store:
        store.write([ACTIVATE, FETCH, ROOT])
        assert store.trace(DEPLOY) == [ROOT, ACTIVATE]
        assert store.trace("f" * 32) == []
        assert list(store.spans()) == [ROOT, ACTIVATE, FETCH]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(records=st.lists(RECORDS, max_size=4, unique_by=lambda record: record.key))
def test_any_record_survives(tmp_path: Path, records: list[SpanRecord]) -> None:
    """Any record is read back unchanged."""
    with SpanStore(tmp_path / f"{time.monotonic_ns()}.db") as store:
        store.write(records)
        assert sorted(map(repr, store.spans())) == sorted(map(repr, records))


def test_a_finished_row_wins_in_any_order(path: Path) -> None:
    """Started, finished and repeated rows of a span leave the finished row, once.

    This holds within a batch and across batches, and beside new rows.
    """
    started = replace(ROOT, end_ns=None, attributes={})
    other = replace(ROOT, end_ns=9_999, attributes={"late": True})
    for number, order in enumerate(permutations([started, ROOT, started])):
        with SpanStore(path.with_name(f"{number}.db")) as store:
            for record in order:
                store.write([record])
            store.write([other])
            assert list(store.spans()) == [ROOT]
        with SpanStore(path.with_name(f"{number}-at-once.db")) as store:
            store.write([started])
            store.write([FETCH, *order, other, ACTIVATE])
            assert list(store.spans()) == [ROOT, ACTIVATE, FETCH]


def test_a_replacement_takes_the_place_of_everything(path: Path) -> None:
    """Afterwards the file holds the new spans alone; delivery starts from the beginning."""
    with SpanStore(path) as store:
        store.write([ROOT, ACTIVATE, FETCH])
        store.connection.execute("INSERT INTO destinations (name, cursor) VALUES ('http://x', 3)")
        store.replace([replace(FETCH, span_id="4" * 16)])
        assert [record.span_id for record in store.spans()] == ["4" * 16]
        assert [record.span_id for record in store.linked(DEPLOY)] == ["4" * 16]
        for table, count in (("resources", 1), ("span_references", 2), ("destinations", 0)):
            rows = store.connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a name from the line above
            assert rows == (count,)


def test_an_interrupted_replacement_changes_nothing(path: Path) -> None:
    """Readers see the former spans while it goes on, and keep them if it is interrupted."""

    def interrupted() -> Iterator[SpanRecord]:
        for number in range(2_500):  # more than a batch
            yield replace(FETCH, span_id=f"{number + 100:016x}")
        with SpanStore(path, is_read_only=True) as reader:
            assert list(reader.spans()) == [ROOT, ACTIVATE]
        raise KeyboardInterrupt

    with SpanStore(path) as store:
        store.write([ROOT, ACTIVATE])
        with pytest.raises(KeyboardInterrupt):
            store.replace(interrupted())
        assert list(store.spans()) == [ROOT, ACTIVATE]


def test_replacements_at_once_leave_one_of_them(path: Path) -> None:
    """Of two writers that replace the content at once, the file holds all spans of either."""
    contents = [
        [replace(ROOT, trace_id=digit * 32, span_id=f"{n:016x}") for n in range(1, 1_500)]
        for digit in "cd"
    ]

    def write(records: list[SpanRecord]) -> None:
        with SpanStore(path) as store:
            for _ in range(5):
                store.replace(records)

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, contents))
    with SpanStore(path, is_read_only=True) as store:
        assert sorted(store.spans(), key=lambda record: record.span_id) in contents


def test_a_trace_is_found_by_the_first_digits_of_its_id(path: Path) -> None:
    """A unique prefix is enough, in upper or lower case; an ambiguous one names two candidates."""
    near = replace(ROOT, trace_id="a" * 31 + "b")
    with SpanStore(path) as store:
        store.write([ROOT, FETCH, near])
        assert store.trace("BBB") == [FETCH]
        assert store.trace(DEPLOY) == [ROOT]
        assert store.trace("") == store.trace("nothex") == store.trace("%") == []
        with pytest.raises(StoreError, match="give more digits") as caught:
            store.trace("aa")
        assert near.trace_id in str(caught.value)


def test_a_trace_is_found_by_its_place_in_the_list(path: Path) -> None:
    """`last` is the first of the list, `last^1` the one before it; nothing lies before the list."""
    with SpanStore(path) as store:
        store.write([ROOT, FETCH])
        listed = [summary.trace_id for summary in store.traces()]
        assert [store.trace_id(name) for name in ("last", "last^1")] == listed
        assert [store.trace_id(name) for name in (" LAST ", "last^0")] == [listed[0]] * 2
        assert [store.trace_id(name) for name in ("last^", "last~", "last~1")] == [listed[1]] * 3
        assert store.trace("last^1") == [ROOT]
        for name in ("last^2", "last^999999999", "last^x", "last1", "last^^", "last^9999999999"):
            assert store.trace_id(name) is None


@given(ids=st.sets(st.text("0f", min_size=32, max_size=32), min_size=1, max_size=20))
def test_short_ids_are_unique(ids: set[str]) -> None:
    """The short id of each trace names it alone, has no digit too many, and at least eight."""
    with temporary_store() as store:
        store.write(replace(ROOT, trace_id=trace_id) for trace_id in ids)
        for trace_id in ids:
            short = store.short_trace_id(trace_id)
            assert store.trace_id(short) == trace_id
            sharing = [other for other in ids if other.startswith(short[:-1])]
            assert len(short) == 8 or len(sharing) > 1


def test_traces_are_summed_up_newest_first(path: Path) -> None:
    """A summary holds counts, and attributes of the root or else of a child."""
    running = replace(FETCH, trace_id="c" * 32, start_ns=40_000, end_ns=None, links=())
    with SpanStore(path) as store:
        store.write([ROOT, ACTIVATE, FETCH, running])
        newest_trace, read, deploy = store.traces()
        assert store.latest_trace_id() == newest_trace.trace_id == "c" * 32
        assert (newest_trace.unfinished, newest_trace.end_ns) == (True, None)
        assert (read.root_name, read.error_count, read.unfinished) == (FETCH.name, 0, False)
        assert (deploy.root_name, deploy.start_ns, deploy.end_ns) == ("flash.deploy", 1_000, 9_000)
        assert (deploy.span_count, deploy.error_count, deploy.status) == (2, 1, "unset")
        assert (deploy.app_name, deploy.environment_name) == ("demo", "prod")
        assert (deploy.environment_id, deploy.build_id) == ("env1", "b1")
        assert [trace.trace_id for trace in store.traces(limit=1)] == ["c" * 32]
        assert store.traces(limit=0) == []
        for asked, found in (
            (TraceFilter("env1"), [DEPLOY]),
            (TraceFilter("prod"), [DEPLOY]),
            (TraceFilter(since_ns=20_000), ["c" * 32, READ]),
        ):
            assert [trace.trace_id for trace in store.traces(asked=asked)] == found


def test_an_empty_store_has_no_traces(path: Path) -> None:
    """An empty store is no error."""
    with SpanStore(path) as store:
        assert store.latest_trace_id() is None
        assert store.traces() == []
        assert list(store.spans()) == []


def test_a_trace_without_a_root_has_a_name(path: Path) -> None:
    """The earliest of spans that are each other's parents counts as the root."""
    root = replace(ROOT, parent_span_id="2" * 16)
    with SpanStore(path) as store:
        store.write([root, ACTIVATE])
        assert store.traces()[0].root_name == "flash.deploy"


def test_spans_are_found_by_time(path: Path) -> None:
    """Those that began at a time belong to those after it."""
    with SpanStore(path) as store:
        store.write([ROOT, ACTIVATE, FETCH])
        assert list(store.spans(since_ns=2_000)) == [ACTIVATE, FETCH]


def test_an_environment_is_found_by_index(path: Path) -> None:
    """Queries by environment and by trace use an index."""
    with SpanStore(path) as store, closing(sqlite3.connect(path)) as plain:
        del store
        for where in ("environment_id = ? OR environment_name = ?", "trace_id = ?"):
            query = f"EXPLAIN QUERY PLAN SELECT * FROM spans WHERE {where}"  # noqa: S608 - constants
            plan = plain.execute(query, ["x"] * where.count("?")).fetchall()
            assert not [step for step in plan if "SCAN" in step[3]]


def test_spans_that_refer_to_a_trace_are_found(path: Path) -> None:
    """A deployment's reads are found by their links and by the attribute that mirrors them."""
    mirrored = replace(
        FETCH,
        span_id="4" * 16,
        trace_id="d" * 32,
        links=(),
        attributes={"flash.deploy.trace_id": DEPLOY},
    )
    inside = replace(ACTIVATE, attributes={"flash.deploy.trace_id": DEPLOY})
    with SpanStore(path) as store:
        store.write([ROOT, inside, FETCH, mirrored])
        store.write([FETCH])
        assert store.linked(DEPLOY) == [FETCH, mirrored]
        assert store.linked(READ) == []


def test_traces_that_jobs_join(path: Path) -> None:
    """The call and the worker's span have the id of the job; spans without one are no side."""
    calling = replace(FETCH, name="flash.call", attributes={"faas.invocation_id": "job-1"})
    known = {"faas.invocation_id": "job-1", "faas.trigger": "pubsub"}
    job = replace(calling, trace_id="c" * 32, span_id="8" * 16, name="process", attributes=known)
    again = replace(job, trace_id="d" * 32, span_id="9" * 16, start_ns=30_000)
    other = replace(job, trace_id="e" * 32, attributes={"faas.invocation_id": "job-10"})
    with SpanStore(path) as store:
        store.write([ROOT, again, calling, job, other])
        assert store.joined(READ) == [job.trace_id, again.trace_id]
        assert store.joined(job.trace_id) == [READ, again.trace_id]
        assert store.joined(other.trace_id) == store.joined(DEPLOY) == []


def test_a_value_that_cannot_be_stored_costs_no_other_span(path: Path) -> None:
    """Lone surrogates are replaced; only the span with an impossible value is left out."""
    odd = replace(ROOT, name="a\ud800", attributes={"k": "\udfff"}, resource={"r": "\ud800"})
    bad = replace(ROOT, span_id="7" * 16, start_ns=2**70)
    with SpanStore(path) as store:
        store.write([odd, bad, ACTIVATE])
        assert [(span.name, span.attributes) for span in store.spans()] == [
            ("a?", {"k": "?"}),
            (ACTIVATE.name, ACTIVATE.attributes),
        ]


def test_numbers_that_json_does_not_know_leave_the_file_readable(path: Path) -> None:
    """NaN is stored as its name: invalid JSON would break SQLite's JSON functions for all rows."""
    record = replace(ROOT, attributes={"n": float("nan"), "l": (1.0, float("inf"))})
    with SpanStore(path) as store:
        store.write([record])
        assert next(store.spans()).attributes == {"n": "nan", "l": (1.0, "inf")}
    with closing(sqlite3.connect(path)) as plain:
        query = "SELECT json_extract(attributes, '$.n') FROM spans"
        assert plain.execute(query).fetchall() == [("nan",)]


def test_a_person_can_read_it(path: Path) -> None:
    """The view `readable` shows ISO times, durations, names, ids and JSON with the resource."""
    at = 1_790_000_000_123_000_000
    with SpanStore(path) as store:
        store.write([replace(ROOT, start_ns=at, end_ns=at + 1_500_000)])
    with closing(sqlite3.connect(path)) as plain:
        plain.row_factory = sqlite3.Row
        (row,) = plain.execute("SELECT * FROM readable").fetchall()
    assert row["started"] == "2026-09-21T14:13:20.123Z"
    assert row["duration_ms"] == 1.5
    assert (row["trace_id"], row["app_name"]) == (DEPLOY, "demo")
    assert json.loads(row["resource"]) == {"service.name": "flash-cli"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("attributes", "not json"),
        ("attributes", "[1]"),
        ("attributes", '{"a": {"b": 1}}'),
        ("events", '[{"name": 1}, 5]'),
        ("links", '{"a": 1}'),
        ("resource_id", 99),
    ],
)
def test_an_edited_row_is_still_read(path: Path, column: str, value: object) -> None:
    """A row that a person has damaged loses the damaged part only."""
    with SpanStore(path) as store:
        store.write([ROOT])
        with closing(sqlite3.connect(path)) as plain, plain:
            plain.execute(f"UPDATE spans SET {column} = ?", (value,))  # noqa: S608 - names of the test
        (read,) = store.trace(DEPLOY)
    assert (read.name, read.start_ns) == ("flash.deploy", 1_000)


def test_only_the_owner_can_read_it(path: Path) -> None:
    """Folder and files are created private, and made private again when opened for writing."""
    umask = os.umask(0)
    try:
        with SpanStore(path) as store:
            store.write([ROOT])
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3
    path.chmod(0o644)
    SpanStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_default_folder_is_made_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state folder is made private; a folder that the user names keeps its mode."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FLASH_OTEL_STORE", raising=False)
    locate().parent.mkdir(parents=True)
    locate().parent.chmod(0o755)
    SpanStore(locate()).close()
    assert stat.S_IMODE(locate().parent.stat().st_mode) == 0o700
    tmp_path.chmod(0o755)
    SpanStore(tmp_path / "x.db").close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize("named", ["", "off", "None", "0"])
def test_the_default_place_is_the_state_folder(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FLASH_OTEL_STORE may name another file; `off` keeps earlier recordings readable."""
    monkeypatch.setenv("FLASH_OTEL_STORE", named)
    assert locate().parts[-2:] == ("flash-otel", "spans.db")
    monkeypatch.setenv("FLASH_OTEL_STORE", str(tmp_path / "own.db"))
    assert locate() == tmp_path / "own.db"


def test_a_symbolic_link_is_refused(path: Path) -> None:
    """A planted link is not followed, and its target is untouched."""
    path.parent.mkdir()
    target = path.with_name("target")
    target.write_bytes(b"")
    path.symlink_to(target)
    with pytest.raises(StoreError, match="symbolic link"):
        SpanStore(path)
    assert target.read_bytes() == b""
    target.unlink()
    with pytest.raises(StoreError, match="symbolic link"):
        SpanStore(path)
    assert not target.exists()


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_a_file_planted_beside_it_is_refused(path: Path, suffix: str) -> None:
    """The files that SQLite reads beside the store are checked like the store itself."""
    SpanStore(path).close()
    target = path.with_name("target")
    path.with_name(path.name + suffix).symlink_to(target)
    with pytest.raises(StoreError, match="symbolic link"):
        SpanStore(path)
    assert not target.exists()


def test_a_pipe_planted_beside_it_is_not_waited_for(path: Path) -> None:
    """A FIFO under the name of spans that were set aside is skipped, and nobody waits for it."""
    SpanStore(path).close()
    os.mkfifo(path.with_name(f"{path.name}-aa.unstored"))
    files.adopt(lambda _: pytest.fail("it was read"), path)
    assert len(list(files.waiting(path))) == 1


def test_something_else_in_its_place_is_refused(path: Path) -> None:
    """A folder in place of the file is a clear error."""
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match="not a regular file"):
        SpanStore(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can chown")
@pytest.mark.parametrize("foreign", ["file", "folder"])
def test_another_user_s_file_is_refused(path: Path, foreign: str) -> None:
    """A file or folder of another user is refused."""
    path.parent.mkdir()
    path.write_bytes(b"")
    os.chown(path if foreign == "file" else path.parent, 12_345, -1)
    with pytest.raises(StoreError, match="another user"):
        SpanStore(path)


def test_a_file_below_a_file_is_an_error(tmp_path: Path) -> None:
    """A folder that cannot be created is a StoreError that names the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"spans\.db"):
        SpanStore(tmp_path / "file" / "spans.db")


def test_a_newer_version_is_left_alone(path: Path) -> None:
    """A newer flash_otel's file is untouched, and the error gives a remedy."""
    SpanStore(path).close()
    with closing(sqlite3.connect(path)) as plain:
        plain.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"version 99.*upgrade flash-otel"):
        SpanStore(path)
    assert path.read_bytes() == before
    assert newest(path) is None


@pytest.mark.parametrize("statement", [1, 2, 3])
def test_a_store_that_another_process_creates_meanwhile(path: Path, statement: int) -> None:
    """Tables that appear between two statements of the opening process are not a foreign file."""
    path.parent.mkdir()
    path.touch()
    statements = 0

    def create(_text: str) -> None:
        nonlocal statements
        statements += 1
        if statements == statement:
            schema.connect(path, 5_000).close()

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.set_trace_callback(create)
        assert schema._refuse_unknown(connection, path) in (0, schema.VERSION)


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    """Another program's database gets no tables, even if FLASH_OTEL_STORE names it."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as plain:
        plain.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        SpanStore(path)
    assert path.read_bytes() == before


def _add_version_2(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS[:1], statements))
    monkeypatch.setattr(schema, "VERSION", 2)


@pytest.mark.parametrize("is_read_only", [True, False])
def test_an_older_version_is_migrated(
    path: Path, monkeypatch: pytest.MonkeyPatch, is_read_only: bool
) -> None:
    """A file of an earlier version keeps its spans and gets what the later version adds.

    Readers do not migrate by themselves: the store is opened for writing first.
    """
    with SpanStore(path) as store:
        store.write([ROOT, FETCH])
    _add_version_2(
        monkeypatch,
        "ALTER TABLE spans ADD COLUMN later TEXT NOT NULL DEFAULT 'new'",
        "CREATE TABLE notes (text TEXT NOT NULL)",
    )
    assert newest(path) == path
    store_or_none = open_for_reading(path) if is_read_only else SpanStore(path)
    assert store_or_none is not None
    with store_or_none as store:
        assert list(store.spans()) == [ROOT, FETCH]
        assert store.connection.execute("PRAGMA user_version").fetchone() == (2,)
        later = store.connection.execute("SELECT DISTINCT later FROM spans").fetchall()
        assert later == [("new",)]
    with SpanStore(path) as again:
        again.write([ACTIVATE])
        assert again.connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_a_new_file_has_the_newest_version(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new store gets all migrations, in order."""
    _add_version_2(monkeypatch, "ALTER TABLE spans ADD COLUMN later TEXT")
    with SpanStore(path) as store:
        store.write([ROOT])
        assert store.connection.execute("SELECT later FROM spans").fetchall() == [(None,)]


def test_a_migration_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed migration is rolled back: the old file still opens afterwards."""
    with SpanStore(path) as store:
        store.write([ROOT, FETCH])
    with monkeypatch.context() as patched:
        _add_version_2(patched, "CREATE TABLE notes (text TEXT)", "SELECT nothing FROM it")
        with pytest.raises(StoreError):
            SpanStore(path)
        with pytest.raises(StoreError):
            open_for_reading(path)
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("PRAGMA user_version").fetchone() == (1,)
        assert not plain.execute("SELECT 1 FROM sqlite_master WHERE name = 'notes'").fetchall()
    with SpanStore(path) as store:
        assert list(store.spans()) == [ROOT, FETCH]


def test_one_of_two_processes_migrates(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that open an older file migrate it once."""
    SpanStore(path).close()
    _add_version_2(monkeypatch, "CREATE TABLE notes (text TEXT)")
    with closing(sqlite3.connect(path, isolation_level=None)) as slow:
        SpanStore(path).close()
        schema._migrate(slow, path)
        assert slow.execute("PRAGMA user_version").fetchone() == (2,)


def _files(path: Path) -> dict[str, tuple[int, bytes]]:
    """Return mode and content of the files of a store, without SQLite's shared memory."""
    found = [file for file in path.parent.iterdir() if not file.name.endswith("-shm")]
    return {file.name: (file.stat().st_mode, file.read_bytes()) for file in found}


def test_reading_changes_nothing(path: Path) -> None:
    """A store that is opened for reading keeps its bytes and modes, and rejects writes."""
    assert open_for_reading(path) is None
    assert not path.parent.exists()
    with SpanStore(path) as store:
        store.write([ROOT])
    path.chmod(0o644)
    before = _files(path)
    opened = open_for_reading(path)
    assert opened is not None
    with opened as store:
        assert list(store.spans()) == [ROOT]
        with pytest.raises(StoreError, match="readonly"):
            store.write([FETCH])
        with pytest.raises(StoreError, match="readonly"):
            store.prune(max_bytes=0)
    after = _files(path)
    assert after[path.name] == before[path.name]
    assert all(content == b"" for name, (_, content) in after.items() if name != path.name)


def test_a_reader_sees_what_others_write(path: Path) -> None:
    """An open reader sees the commits of other connections."""
    with SpanStore(path) as writer:
        opened = open_for_reading(path)
        assert opened is not None
        with opened as reader:
            assert list(reader.spans()) == []
            writer.write([ROOT])
            assert list(reader.spans()) == [ROOT]


@contextmanager
def _unprivileged(folder: Path) -> Iterator[None]:
    """Act as the owner of a folder without write permission on it; root would have it anyway."""
    is_root = os.geteuid() == 0
    for path in (*folder.iterdir(), folder):
        path.chmod(0o500 if path == folder else 0o400)
        if is_root:
            os.chown(path, UNPRIVILEGED_USER, -1)
    if is_root:
        os.seteuid(UNPRIVILEGED_USER)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_read_only_folder_can_be_read() -> None:
    """A store is readable even if SQLite cannot create its own files beside it."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "spans.db")
        with SpanStore(path) as store:
            store.write([ROOT])
        assert [file.name for file in path.parent.iterdir()] == [path.name]
        with _unprivileged(path.parent):
            with pytest.raises(StoreError):
                SpanStore(path)
            opened = open_for_reading(path)
            assert opened is not None
            with opened as store:
                assert list(store.spans()) == [ROOT]
            assert newest(path) == path


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_journal_that_cannot_be_read_is_not_ignored() -> None:
    """If SQLite cannot read the journal with the last spans, opening fails."""
    with TemporaryDirectory() as folder, TemporaryDirectory() as other:
        path, copied = Path(folder, "spans.db"), Path(other, "spans.db")
        with SpanStore(path) as store:
            store.write([ROOT])
            for suffix in ("", "-wal"):
                copied.with_name(f"spans.db{suffix}").write_bytes(
                    path.with_name(f"spans.db{suffix}").read_bytes()
                )
        with _unprivileged(copied.parent), pytest.raises(StoreError):
            open_for_reading(copied)


def test_the_first_error_is_reported(path: Path) -> None:
    """An older readable file is preferred; without one, the newest file's error is raised."""
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreCorruptError):
        open_for_reading(path)
    with SpanStore(path.with_name("spans.1.db")) as store:
        store.write([ROOT])
    path.with_name("spans.2.db").symlink_to(path.with_name("spans.1.db"))
    opened = open_for_reading(path)
    assert opened is not None
    with opened as store:
        assert store.path == path.with_name("spans.1.db")
    path.with_name("spans.1.db").unlink()
    with pytest.raises(StoreError, match="symbolic link"):
        open_for_reading(path)


def test_what_is_old_goes(path: Path) -> None:
    """Old spans are deleted with their references and resource; others stay."""
    young = replace(
        FETCH, span_id="9" * 16, start_ns=time.time_ns(), end_ns=time.time_ns(), links=()
    )
    with SpanStore(path) as store:
        store.write([ROOT, FETCH, young])
    with SpanStore(path) as store:
        assert store.prune(max_age_s=3600) == 2
        assert store.prune(max_age_s=3600) == 0
        assert [span.span_id for span in store.spans()] == ["9" * 16]
        assert store.linked(DEPLOY) == []
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("SELECT count(*) FROM resources").fetchone() == (1,)
        spans = "SELECT DISTINCT span FROM span_references"
        assert plain.execute(spans).fetchall() == plain.execute("SELECT id FROM spans").fetchall()


def _at(start_ns: int, digit: str) -> SpanRecord:
    return replace(ROOT, span_id=digit * 16, start_ns=start_ns, end_ns=start_ns)


def _pruned(path: Path, *records: SpanRecord) -> str:
    """Store records and prune as a process does; return the first digits of the remaining spans."""
    with SpanStore(path) as store:
        store.write(records)
        store.prune(max_age_s=3600)
        query = "SELECT span_id FROM spans ORDER BY id"
        return "".join(span_id[0] for (span_id,) in store.connection.execute(query))


def test_a_clock_that_jumps_makes_nothing_old(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs with a clock in the future or in the past delete no spans."""
    now, year = time.time_ns(), 365 * 24 * 3600 * 10**9
    assert _pruned(path, _at(now - year, "1")) == "1"
    assert _pruned(path, _at(now - 2, "2")) == "12"
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: now + year)
        assert _pruned(path, _at(now + year, "3")) == "23"
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: 5)
        assert _pruned(path, _at(4, "4")) == "234"
    assert _pruned(path, _at(now - 1, "5")) == "2345"
    # The next run proves that time has passed: everything stored before it is old.
    monkeypatch.setattr(time, "time_ns", lambda: now + year // 2)
    assert _pruned(path, _at(now + year // 2 - 2, "6")) == "23456"
    assert _pruned(path, _at(now + year // 2 - 1, "7")) == "67"


def test_what_is_too_much_goes_oldest_first(path: Path) -> None:
    """A store over its limit loses its oldest spans, and its file shrinks."""
    filler = {"x": "y" * 400}
    now = time.time_ns()
    many = [
        replace(ROOT, span_id=f"{number:016x}", start_ns=now + number, attributes=filler)
        for number in range(1, 8_001)
    ]
    limit = 3 * 2**20
    with SpanStore(path) as store:
        store.write(many)
        assert store.prune(max_bytes=limit) > 0
        assert next(store.spans()).start_ns > now + 1
        left = [span.start_ns for span in store.spans()]
        assert 0 < len(left) < len(many)
        assert left[-1] == now + 8_000
    assert path.stat().st_size < limit
    with SpanStore(path) as store:
        assert store.prune(max_bytes=limit) == 0


def test_a_damaged_file_has_its_own_error(path: Path) -> None:
    """A file that is not a database raises StoreCorruptError, and `newest` skips it."""
    path.parent.mkdir()
    path.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreCorruptError):
        SpanStore(path)
    assert newest(path) is None
    with SpanStore(path.with_name("spans.2.db")) as store:
        store.write([ROOT])
    path.with_name("spans.10.db").write_bytes(b"damaged as well" * 100)
    path.with_name("spans.x.db").write_bytes(b"")
    assert newest(path) == path.with_name("spans.2.db")


def test_there_may_be_no_store_at_all(path: Path) -> None:
    """`newest` creates nothing."""
    assert newest(path) is None
    assert not path.parent.exists()
