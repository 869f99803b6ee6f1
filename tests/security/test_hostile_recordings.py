"""Hostile recordings, through every command: no effect on a terminal, the store, or memory."""

from __future__ import annotations

import gzip
import json
import sqlite3
import stat
import tracemalloc
import zipfile
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.recordings import changed, deployment, read, records, unsound
from support.commands import keep

from flash_otel import semconv as sc
from flash_otel.cli.app import status_of
from flash_otel.diagnosis.readers import otlp
from flash_otel.otlp import framing
from flash_otel.otlp.encode import encode_json, encode_log_line
from flash_otel.store import files
from flash_otel.store.cursors import fail, register
from flash_otel.store.store import SpanStore, StoreError, temporary_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flash_otel.records import SpanRecord

# Clearing the screen, a title, a link, the clipboard, C1 codes, bidirectional overrides, markup of
# Rich and of HTML, SQL, and beginnings of lines that would look like those of a report.
EVIL: Final = (
    "\x1b[2J\x1b]0;title\x07\x1b]8;;http://evil\x1b\\\x1b]52;c;ZXZpbA==\x07\x9b31m\x90q\x9c"
    "\u202e\u2066\u200b\ufeff\x7f\x00\x08[bold]x[/bold]<script>alert(1)</script>"
    "'; DROP TABLE spans; --\r\nVerdict: none\u2028Verdict: none\x85"
)
SAFE: Final = frozenset("\n")
COMMANDS: Final = (
    ("traces",),
    ("traces", "--json"),
    ("show",),
    ("show", "--json"),
    ("diagnose",),
    ("diagnose", "--json"),
    ("status",),
    ("status", "--json"),
    ("push",),
    ("doctor", "--verbose"),
    ("doctor", "--json"),
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that holds everything of the user's; it is the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLASH_OTEL_STORE", str(tmp_path / "spans.db"))
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def hostile() -> list[SpanRecord]:
    """Return a deployment and a failed read whose every text is hostile."""
    made = []
    for record in records(deployment(), read(10, phase=sc.PHASE_BUILD)):
        texts = {key: EVIL for key, value in record.attributes.items() if isinstance(value, str)}
        evil = replace(record, attributes={**record.attributes, **texts, EVIL: EVIL})
        evil = changed(evil, endpoint_names=(EVIL, EVIL), manifest_keys=(EVIL,), outcome=None)
        made.append(replace(unsound(evil, EVIL, EVIL), name=record.name, origin=EVIL))
    resource = dict.fromkeys(("service.name", "host.name", EVIL), EVIL)
    return [replace(record, resource={**record.resource, **resource}) for record in made]


def unsafe(text: str) -> set[str]:
    """Return the characters of a text that a terminal, or a reader, is deceived by."""
    return {char for char in text if not char.isprintable()} - SAFE


def assert_harmless(capsys: pytest.CaptureFixture[str]) -> str:
    """Check what a command has printed; return it."""
    output, errors = capsys.readouterr()
    assert unsafe(output + errors) == set()
    assert "Traceback" not in errors
    assert "internal error" not in errors
    return output


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_spans_have_no_effect_on_a_terminal(
    command: tuple[str, ...], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command spells out what would move the cursor, reorder text, or begin a line."""
    keep(home, hostile())
    with SpanStore(home / "spans.db") as store:
        register(store.connection, [f"http/protobuf http://{EVIL}"])
        fail(store.connection, f"http/protobuf http://{EVIL}", EVIL, 0)
        store.connection.execute("UPDATE destinations SET cursor = 0")
    assert status_of(list(command)) in (0, 1, 3)
    output = assert_harmless(capsys)
    assert sum(line.startswith("Verdict:") for line in output.splitlines()) <= 1
    if "--json" in command:
        json.loads(output)


@pytest.mark.parametrize("form", ["bracketed lines", "a worker's log", "OTLP"])
def test_logs_have_no_effect_on_a_terminal(
    form: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same for what `diagnose` reads from a log or a file, and for its name."""
    file = home / f"{EVIL.replace('/', '').replace(chr(0), '')[:60]}.log"
    lines = {
        "bracketed lines": "\n".join(
            f"{EVIL} [{mark}] {EVIL} build_id={EVIL} environment_id={EVIL}"
            for mark in ("DEPLOY", "DEPLOY SYNC", "RUNTIME SYNC", "RUNTIME FETCH")
        ),
        "a worker's log": "".join(f"{EVIL}{encode_log_line(record)}" for record in hostile()),
        "OTLP": json.dumps(encode_json(hostile())),
    }
    file.write_text(lines[form], encoding="utf-8")
    for command in (["diagnose"], ["diagnose", "--json"], ["traces"], ["show"]):
        assert status_of([*command, "--from", str(file)]) in (0, 1, 2, 3)
        assert_harmless(capsys)


def test_html_holds_text_only(home: Path) -> None:
    """A page of hostile spans has no element, script or control character of theirs."""
    keep(home, hostile())
    assert status_of(["show", "--html", str(home / "page.html")]) == 0
    page = (home / "page.html").read_text("utf-8")
    assert unsafe(page) <= {"\t"}  # in the bundle
    assert page.count("<script") == page.count("</script>") == 5  # four documents and the bundle
    assert r"\u003cscript\u003ealert(1)" in page


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE spans; --", "x' OR '1'='1", '"; DELETE FROM spans; --', "%", "_", "*"]
)
def test_ids_are_never_sql(text: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a person or a recording names is compared with, and never part of a statement."""
    made = [changed(record, build_id=text, app_name=text) for record in records(deployment())]
    keep(home, [replace(record, trace_id="e" * 32) for record in made] + records(deployment(2)))
    for command in (["show", text], ["show", "e" * 32], ["diagnose", "--env", text]):
        status_of(command)
    for option in ("--app", "--env", "--build"):
        status_of(["traces", option, text])
    capsys.readouterr()
    assert status_of(["traces", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


# --- the store -----------------------------------------------------------------------------------

ENDLESS: Final = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"


@pytest.mark.parametrize(
    "statement",
    [
        f"CREATE VIEW spans AS {ENDLESS}",
        "CREATE VIRTUAL TABLE spans USING fts5(id)",
        f"CREATE TRIGGER span_removed AFTER INSERT ON spans BEGIN {ENDLESS}; END",
    ],
)
@pytest.mark.timeout(30)
def test_a_store_with_code_in_it_is_refused(
    statement: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is sent as a store, and whose tables are queries, is not queried."""
    file = home / "sent.db"
    SpanStore(file).close()
    with closing(sqlite3.connect(file)) as plain:
        if "TRIGGER" not in statement:
            plain.execute("DROP TABLE spans")
        plain.execute(statement)
        plain.commit()
    for command in ("traces", "show", "diagnose"):
        assert status_of([command, "--store", str(file)]) in (2, 3)
        assert "of another program" in capsys.readouterr().err
    with pytest.raises(StoreError, match="another program"):
        SpanStore(file)


ODD: Final = (b"\xff\xfe", float("inf"), "x", "[" * 50_000)


@pytest.mark.parametrize(
    "column",
    [
        *("name", "start_ns", "end_ns", "status_message", "attributes", "links", "trace_id"),
        "environment_id",
    ],
)
def test_a_store_with_odd_values(
    column: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Columns may hold values of any type: SQLite does not enforce theirs. No command fails."""
    keep(home, records(deployment(), read(10, phase=sc.PHASE_BUILD)))
    for value in ODD:
        with closing(sqlite3.connect(home / "spans.db")) as plain:
            plain.execute(f"UPDATE OR IGNORE spans SET {column} = ?", (value,))  # noqa: S608 - names of the test
            plain.commit()
        for command in (["traces"], ["show"], ["traces", "--json"], ["diagnose", "--json"]):
            # Without any id of a trace, `show` has none to show.
            assert status_of(command) in ((0, 1, 2, 3) if column == "trace_id" else (0, 1, 3))
            output = assert_harmless(capsys)
            if "--json" in command:
                json.loads(output)


def test_spans_set_aside_are_private(home: Path) -> None:
    """What a locked store could not take is readable by its owner only."""
    assert files.set_aside(home / "spans.db", records(deployment()))
    (file,) = files.waiting(home / "spans.db")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_temporary_records_are_private() -> None:
    """The records that a diagnosis lays out on disk are readable by their owner only."""
    with temporary_store() as store:
        assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert not store.path.parent.exists()


# --- bombs ---------------------------------------------------------------------------------------

MEGABYTE: Final = 2**20
LIMIT: Final = 2 * MEGABYTE
MOST: Final = 64 * MEGABYTE


@contextmanager
def bounded() -> Iterator[None]:
    """Check that Python's objects take at most `MOST` bytes at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()


# The beginning of a file, what it goes on with, and for how many megabytes.
BOMBS: Final[dict[str, tuple[bytes, bytes, int]]] = {
    "zeros in a log": (b"[RUNTIME SYNC] \n", b"\0", 96),
    "an endless name in OTLP": (
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "',
        b"a",
        32,
    ),
    "OTLP nested without end": (b'{"resourceSpans": ', b"[", 48),
    "an endless field of a journal": (
        b"__CURSOR=a\n_HOSTNAME=h\nMESSAGE\n" + (2**30).to_bytes(8, "little"),
        b"[RUNTIME SYNC] x",
        96,
    ),
    "an endless message": (b"\x00\x00\x00\x04\x0a\x02\x12\x00\xff\xff\xff\xff", b"\0", 48),
    "a long message": (b"\x00\x00\x00\x04\x0a\x02\x12\x00\x01\xff\xff\xff", b"\0", 48),
}


@pytest.mark.parametrize("form", BOMBS)
def test_a_compressed_file_is_read_in_bounded_memory(
    form: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gzip file a hundred times smaller than its content does not fill the memory."""
    monkeypatch.setattr(otlp, "MAX_DOCUMENT", LIMIT)
    monkeypatch.setattr(framing, "MAX_MESSAGE", LIMIT)
    begin, repeated, megabytes = BOMBS[form]
    file = home / "bomb.gz"
    with gzip.open(file, "wb", compresslevel=1) as packed:
        packed.write(begin)
        for _ in range(megabytes):
            packed.write(repeated * (MEGABYTE // len(repeated)))
    assert file.stat().st_size < megabytes * MEGABYTE // 100
    with bounded():
        assert status_of(["diagnose", "--from", str(file)]) in (0, 1, 2, 3)
    assert_harmless(capsys)


@pytest.mark.parametrize(
    ("method", "megabytes"),
    [(zipfile.ZIP_DEFLATED, 96), (zipfile.ZIP_BZIP2, 48), (zipfile.ZIP_LZMA, 48)],
)
def test_an_archive_is_read_in_bounded_memory(
    method: int, megabytes: int, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A zip archive is decompressed in parts, or refused if its method cannot be."""
    file = home / "bomb.zip"
    with zipfile.ZipFile(file, "w", method) as archive, archive.open("a.log", "w") as packed:
        packed.write(b"[RUNTIME SYNC] \n")
        for _ in range(megabytes):
            packed.write(bytes(MEGABYTE))
    assert file.stat().st_size < MEGABYTE
    with bounded():
        assert status_of(["diagnose", "--from", str(file)]) in (2, 3)
    errors = capsys.readouterr().err
    assert ("only stored and deflated" in errors) is (method != zipfile.ZIP_DEFLATED)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("repeated", ["[", ".", " ", "['", "(null)", "{", '"', "\\"])
def test_no_line_takes_long(repeated: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bracketed line of any form is read in linear time: quadratic, it would take minutes."""
    line = "[RUNTIME SYNC] Received manifest with keys: " + repeated * (200_000 // len(repeated))
    (home / "long.log").write_text(line)
    assert status_of(["diagnose", "--from", str(home / "long.log")]) in (0, 1, 3)
    assert_harmless(capsys)


def nested(depth: int, inner: Any) -> Any:
    """Return a value inside so many lists and objects."""
    for _ in range(depth):
        inner = {"arrayValue": {"values": [inner]}}
    return inner


@pytest.mark.parametrize("depth", [50, 250])
def test_nested_attributes_cost_their_span_at_most(
    depth: int, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A deeply nested value in a recording affects neither the command nor the other spans."""
    message: dict[str, Any] = encode_json(records(deployment()))
    spans = message["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans[0]["attributes"].append({"key": "x", "value": nested(depth, {"intValue": "1"})})
    (home / "deep.json").write_text(json.dumps(message))
    assert status_of(["traces", "--from", str(home / "deep.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["span_count"] >= len(spans) - 1
