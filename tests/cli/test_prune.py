"""`flash-otel prune`: what it deletes, what it says first, and when it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from support.commands import TIMEOUT, environment, flash_otel, in_process, keep
from support.samples import OTHER, TRACE, healthy_deployment, span

from flash_otel.export.delivery import StoreSpanSource
from flash_otel.store import cursors
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.records import SpanRecord

DESTINATION: Final = "http http://collector.test:4318/v1/traces"
OWN: Final = {"telemetry.distro.name": "flash-otel"}
YOUNG: Final = "12" * 16
DAY_NS: Final = 86_400 * 10**9


def recorded(trace_id: str, days: float, name: str = "flash.build") -> SpanRecord:
    """Return a finished span of flash_otel's own provider, which started days ago."""
    start_ns = time.time_ns() - int(days * DAY_NS)
    made = span(1, None, name, 0, 1, trace_id=trace_id)
    return replace(
        made,
        span_id=f"{int(days * 1000):016x}",
        start_ns=start_ns,
        end_ns=start_ns + 5,
        resource=OWN,
    )


OLD: Final = (recorded(TRACE, 9), recorded(TRACE, 8), recorded(OTHER, 8))
LATE_READ: Final = recorded(OTHER, 1, "flash.runtime.fetch")


def traces(folder: Path) -> set[str]:
    """Return the traces in the store."""
    with SpanStore(folder / "spans.db") as store:
        return {record.trace_id for record in store.spans()}


def test_old_traces_are_deleted_whole(tmp_path: Path) -> None:
    """A trace stays as long as one of its spans is young; the result says what was deleted."""
    keep(tmp_path, [*OLD, LATE_READ, recorded(YOUNG, 0.5)])
    found = in_process(tmp_path, "prune", "--older-than", "7d", "--yes")
    first, others, done = found.stdout.splitlines()
    assert first.startswith(f"{tmp_path / 'spans.db'}: 1 trace (2 spans) to delete, of ")
    assert (others, done) == ("  2 other traces will stay", "Deleted: 2 spans.")
    assert traces(tmp_path) == {OTHER, YOUNG}
    again = in_process(tmp_path, "prune", "--older-than", "7d", "--yes")
    assert (again.returncode, again.stdout) == (
        0,
        "Nothing to delete: no trace is older than 7d.\n",
    )


def test_all_traces_are_overwritten(tmp_path: Path) -> None:
    """`--all` leaves nothing of the spans in the files; `--store` names the store."""
    planted = span(1, None, "flash.deploy", 0, 9, attributes={"note": "xyzzy" * 9_000})
    keep(tmp_path, [planted, *healthy_deployment()[1:], *OLD])
    path = tmp_path / "spans.db"
    found = in_process(tmp_path, "prune", "--all", "--yes", "--store", str(path))
    assert found.stdout.endswith("Deleted: 11 spans.\n")
    assert traces(tmp_path) == set()
    for file in tmp_path.glob("spans.db*"):
        assert b"xyzzy" not in file.read_bytes()
    with SpanStore(path) as store:
        tables = ("span_references", "resources", "rejections")
        counts = [store.connection.execute(f"SELECT count(*) FROM {name}") for name in tables]  # noqa: S608 - constants
        assert [count.fetchone() for count in counts] == [(0,)] * 3


def test_without_a_terminal_nothing_is_deleted_unasked(tmp_path: Path) -> None:
    """It shows what it would delete, and how to delete it."""
    keep(tmp_path, OLD)
    found = in_process(tmp_path, "prune", "--all")
    assert found.returncode == 2
    assert "2 traces (3 spans) to delete" in found.stdout
    assert "Add --yes to delete without asking." in found.stderr
    assert traces(tmp_path) == {TRACE, OTHER}


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
@pytest.mark.parametrize(
    ("answer", "left"), [("y", set()), ("n", {TRACE, OTHER}), ("", {TRACE, OTHER})]
)
def test_a_terminal_is_asked(answer: str, left: set[str], tmp_path: Path) -> None:
    """Only a yes deletes."""
    keep(tmp_path, OLD)
    main_end, terminal = os.openpty()
    os.write(main_end, f"{answer}\n".encode())
    done = subprocess.run(
        [sys.executable, "-m", "flash_otel", "prune", "--all"],
        env=environment(tmp_path),
        stdin=terminal,
        capture_output=True,
        timeout=TIMEOUT,
        check=True,
    )
    os.close(terminal)
    os.close(main_end)
    assert b"Delete them? [y/N]" in done.stdout
    assert (b"Nothing is deleted." in done.stdout) == bool(left)
    assert traces(tmp_path) == left


def waiting(folder: Path) -> list[str]:
    """Return the traces of the spans that the destination gets next."""
    with SpanStore(folder / "spans.db") as store:
        found = cursors.due(store.connection, DESTINATION, 100)
        return [record.trace_id for _, record in found]


def send(folder: Path) -> None:
    """Move the destination's cursor behind everything that is stored."""
    with SpanStore(folder / "spans.db") as store:
        due = cursors.due(store.connection, DESTINATION, 100)
        cursors.advance(store.connection, DESTINATION, [place for place, _ in due])


def register(folder: Path) -> None:
    """Register the destination in a new store."""
    with SpanStore(folder / "spans.db") as store:
        cursors.register(store.connection, [DESTINATION])


def test_spans_that_wait_are_mentioned(tmp_path: Path) -> None:
    """Which destination will never get them, and how to send them first; sent ones do not count."""
    register(tmp_path)
    keep(tmp_path, OLD[:1])
    send(tmp_path)
    assert "never be sent" not in in_process(tmp_path, "prune", "--all").stdout
    keep(tmp_path, [*OLD, recorded(YOUNG, 0)])
    found = in_process(tmp_path, "prune", "--older-than", "1d").stdout
    assert f"2 spans of them, not sent yet to {DESTINATION}, will never be sent" in found
    assert "flash-otel push" in found


@pytest.mark.parametrize("options", [("--all",), ("--older-than", "7d")])
def test_later_spans_are_still_sent(options: tuple[str, ...], tmp_path: Path) -> None:
    """Although a cursor has passed the ids that SQLite assigns again."""
    register(tmp_path)
    keep(tmp_path, [recorded(YOUNG, 1), *OLD])
    send(tmp_path)
    assert waiting(tmp_path) == []
    assert in_process(tmp_path, "prune", *options, "--yes").returncode == 0
    late = "34" * 16
    keep(tmp_path, [recorded(late, 0)])
    assert late in waiting(tmp_path)


def test_a_process_that_sends_is_left_alone(tmp_path: Path) -> None:
    """While another process is in the middle of a batch, nothing is deleted."""
    register(tmp_path)
    keep(tmp_path, OLD)
    with StoreSpanSource(tmp_path / "spans.db", DESTINATION).session() as is_alone:
        assert is_alone
        found = flash_otel(tmp_path, "prune", "--all", "--yes")
    assert found.returncode == 3
    assert f"another process is sending spans to {DESTINATION}." in found.stderr
    assert traces(tmp_path) == {TRACE, OTHER}


def test_a_damaged_file_is_mentioned(tmp_path: Path) -> None:
    """The file that was replaced is not a store any more: it stays, and is named."""
    (tmp_path / "spans.db").write_bytes(b"damaged" * 1_000)
    with SpanStore(tmp_path / "spans.1.db") as store:
        store.write(OLD)
    found = in_process(tmp_path, "prune", "--all", "--yes")
    assert "Deleted: 3 spans." in found.stdout
    assert f"{tmp_path / 'spans.db'} is another file of this store" in found.stdout


@pytest.mark.parametrize("options", [(), ("--all", "--older-than", "7d"), ("--older-than", "x")])
def test_a_mistake_names_the_options(options: tuple[str, ...], tmp_path: Path) -> None:
    """Neither option, both, or an invalid age: nothing is deleted."""
    keep(tmp_path, OLD)
    found = in_process(tmp_path, "prune", *options, "--yes")
    assert (found.returncode, found.stdout) == (2, "")
    assert "7d" in found.stderr or "invalid age" in found.stderr
    assert traces(tmp_path) == {TRACE, OTHER}


def test_nothing_recorded_is_no_error(tmp_path: Path) -> None:
    """Without a store, and with an empty one."""
    assert in_process(tmp_path, "prune", "--all").stdout == "No traces are recorded yet.\n"
    keep(tmp_path, [])
    found = in_process(tmp_path, "prune", "--all")
    assert found.stdout == "Nothing to delete: no traces are recorded.\n"
