"""Logs that Rich prints in columns give the verdict that their plain lines give."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readers.exports import EXPORTS, utc
from readers.scenes import BEGIN_NS, BUILD, LATER_NS, SCENES, Entry, judged, timed
from rich.console import Console
from rich.logging import RichHandler

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers.containers import container_of
from flash_otel.diagnosis.readers.log_columns import columns_of
from flash_otel.diagnosis.readers.log_entry import time_of
from flash_otel.diagnosis.readers.log_layout import Layout
from flash_otel.diagnosis.readers.log_prefixes import prefixes_of
from flash_otel.lines.format import parse
from flash_otel.lines.values import read_id, write_id
from flash_otel.records import ANY

if TYPE_CHECKING:
    import random
    from pathlib import Path

WIDTHS = st.integers(60, 200)
SOURCES = st.sampled_from(["state_manager.py", "emit.py", "__init__.py"])


def record(entry: Entry, source: str) -> logging.LogRecord:
    time_ns, text = entry
    made = logging.LogRecord("runpod_flash", logging.INFO, f"/x/{source}", 88, text, (), None)
    made.created = time_ns / 1e9
    return made


def handled(
    entries: list[Entry], width: int, source: str = "state_manager.py", **options: Any
) -> bytes:
    """Return what Rich's handler of logs prints."""
    printed = io.StringIO()
    console = Console(file=printed, width=width, force_terminal=options.pop("is_coloured", False))
    handler = RichHandler(console=console, **options)
    for entry in entries:
        handler.handle(record(entry, source))
    return printed.getvalue().encode()


def in_seconds(entries: list[Entry]) -> bytes:
    """Return a plain log with the times that Rich prints."""
    handler = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S")
    return "".join(f"{handler.format(record(entry, 'a.py'))}\n" for entry in entries).encode()


def whole(texts: list[str], begin_ns: int) -> list[Entry]:
    """Return one entry for each text, which may have several lines."""
    return [(begin_ns + at * 50_000_000, text) for at, text in enumerate(texts)]


@settings(max_examples=25)
@given(
    name=st.sampled_from(list(SCENES)),
    width=WIDTHS,
    source=SOURCES,
    options=st.fixed_dictionaries(
        {},
        optional={
            "show_path": st.just(False),  # noqa: FBT003 - options of Rich
            "omit_repeated_times": st.booleans(),
            "markup": st.booleans(),
            "is_coloured": st.booleans(),
            "log_time_format": st.sampled_from(["[%x %X]", "%d %b %Y %H:%M:%S", "[%Y-%m-%d %X]"]),
        },
    ),
    is_whole=st.booleans(),
    is_stripped=st.booleans(),
)
def test_rich_columns_give_the_verdict_of_plain_lines(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    width: int,
    source: str,
    options: dict[str, Any],
    *,
    is_whole: bool,
    is_stripped: bool,
) -> None:
    """At any width and with Rich's options, wraps, times and the right column change nothing.

    A mapping may be one record or one for each line, and an editor may strip trailing spaces.
    """
    folder = tmp_path_factory.mktemp("rich")
    logs = [
        (whole if is_whole else timed)(texts, begin_ns)
        for texts, begin_ns in zip(SCENES[name], (BEGIN_NS, BEGIN_NS + LATER_NS), strict=True)
    ]
    printed = [handled(log, width, source, **options) for log in logs]
    if is_stripped:
        printed = [b"\n".join(row.rstrip() for row in log.split(b"\n")) for log in printed]
    assert judged(folder, *printed) == judged(folder, *map(in_seconds, logs))


@pytest.mark.parametrize("width", [64, 72, 94])
@pytest.mark.parametrize("name", list(SCENES))
def test_a_word_that_fills_whole_rows(tmp_path: Path, name: str, width: int) -> None:
    """An id, or one with its comma, may fill rows, and what is behind it begins another."""
    logs = [timed(texts) for texts in SCENES[name]]
    printed = [handled(log, width) for log in logs]
    assert judged(tmp_path, *printed) == judged(tmp_path, *map(in_seconds, logs))


@pytest.mark.parametrize("length", [69, 70, 71, 72, 80])
def test_a_name_that_fills_a_row(length: int) -> None:
    """A name of any length is whole, and what is behind it is no part of it."""
    text = f"[DEPLOY] Environment {'z' * length} activated with build_id={BUILD}"
    data = handled([(BEGIN_NS, "one"), (BEGIN_NS, text), (BEGIN_NS, "two")], 100, show_path=False)
    container = container_of(data)
    assert container is not None
    assert [entry.text for _, entry in container.entries([data])] == ["one", text, "two"]


@pytest.mark.parametrize("lost", [0, 1, 9])
def test_the_end_of_a_log_may_have_cut_its_last_message(lost: int) -> None:
    """Without a line end, the last message may lack its end; the ones before it are whole."""
    texts = ["[DEPLOY] one", "two " * 30, "three and more"]
    data = handled([(BEGIN_NS, text) for text in texts], 80, show_path=False)
    rest = data.rstrip()[:-lost] if lost else data
    container = container_of(data)
    assert container is not None
    cuts = [entry.cut for _, entry in container.entries([rest])]
    assert cuts == [False, False, lost > 0]


@pytest.mark.parametrize("width", [60, 80, 100, 133])
@pytest.mark.parametrize("name", list(SCENES))
@pytest.mark.parametrize("options", [{"show_time": False}, {"show_level": False}])
def test_rich_without_a_column(
    tmp_path: Path, name: str, width: int, options: dict[str, Any]
) -> None:
    """Without its times or levels, the log's columns are still found."""
    logs = [
        timed(texts, begin_ns)
        for texts, begin_ns in zip(SCENES[name], (BEGIN_NS, BEGIN_NS + LATER_NS), strict=True)
    ]
    expected = judged(tmp_path, *map(in_seconds, logs))
    assert judged(tmp_path, *(handled(log, width, **options) for log in logs))[0] == expected[0]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", list(SCENES))
def test_what_a_console_logs(tmp_path: Path, name: str, width: int) -> None:
    """`Console.log` prints no level, but the same column at the right."""
    logs = []
    for texts in SCENES[name]:
        printed = io.StringIO()
        console = Console(file=printed, width=width, log_time_format="[%Y-%m-%d %X]")
        for _, line in timed(texts):
            console.log(line, markup=False, highlight=False)
        logs.append(printed.getvalue().encode())
    plain = [in_seconds(timed(texts)) for texts in SCENES[name]]
    assert judged(tmp_path, *logs)[0] == judged(tmp_path, *plain)[0]


@pytest.mark.parametrize("rich_tracebacks", [False, True])
@pytest.mark.parametrize("width", [80])
def test_tracebacks_between_the_messages(
    tmp_path: Path, width: int, *, rich_tracebacks: bool
) -> None:
    """A traceback in the message's column joins neither line around it."""
    logs = [timed(texts) for texts in SCENES["stale build"]]
    expected = judged(tmp_path, *map(in_seconds, logs))
    printed = []
    for log in logs:
        file = io.StringIO()
        console = Console(file=file, width=width)
        handler = RichHandler(console=console, rich_tracebacks=rich_tracebacks)
        for entry in log:
            made = record(entry, "state_manager.py")
            try:
                int("a long explanation of what went wrong " * 3)
            except ValueError:
                made.exc_info = sys.exc_info()
            handler.handle(made)
        printed.append(file.getvalue().encode())
    assert judged(tmp_path, *printed) == expected


@pytest.mark.parametrize("name", list(SCENES))
def test_other_lines_between_the_rows(tmp_path: Path, name: str) -> None:
    """What a program prints past the handler, however long, is neither a row nor a width."""
    logs = [timed(texts) for texts in SCENES[name]]
    blank = b" " * 20 + b"INFO"
    other = b"printed " + b"x" * 200 + b"\n"
    printed = [handled(log, 80).replace(b"\n" + blank, b"\n" + other + blank) for log in logs]
    assert b"printed" in printed[0]
    assert judged(tmp_path, *printed)[0] == judged(tmp_path, *map(in_seconds, logs))[0]


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ("Environment active         state.py:88", "state.py:88"),
        ("Environment active         state.py:88  ", "state.py:88"),
        # The end of a sentence, where the column is not.
        ("It was raised in state.py:88", ""),
        ("Environment active, which is in env-prod", ""),
    ],
)
def test_the_place_of_the_source_ends_at_the_right_edge(row: str, place: str) -> None:
    """Elsewhere in a row, the same text belongs to the message."""
    assert Layout(level=None, message=0, width=38).place_in(row) == place


def test_the_times_of_rich_are_kept() -> None:
    """Rich leaves a repeated time out and writes a year of two digits, the month first."""
    data = handled([(BEGIN_NS, "one"), (BEGIN_NS + 10**6, "two"), (BEGIN_NS + 10**10, "three")], 80)
    container = container_of(data)
    assert container is not None
    times = [entry.time_ns for _, entry in container.entries([data])]
    assert times[0] is not None
    assert times[0] == times[1]
    assert times[2] == times[0] + 10**10
    assert time_of("[11/05/26 10:00:00]") == time_of("2026-11-05 10:00:00")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-28 10:00:00 INFO     state_manager.py:88 [DEPLOY] Environment a\n" * 3,
        "10:00:00.123 | INFO    | Flow run 'calm-fox' - [RUNTIME SYNC] Querying\n" * 3,
        "2026-11-28 10:00:00.000 | INFO     | worker:fetch:10 - [STATE MANAGER] x\n" * 3,
        "INFO     runpod_flash:state_manager.py:88 [RUNTIME SYNC] Querying\n" * 3,
        "2026-11-28T10:00:00Z [info     ] [RUNTIME SYNC] Querying [worker] pod=1\n" * 3,
        "at state_manager.py:88\n",
        "src/app/aaa.py:10\nsrc/app/bbb.py:20\n[RUNTIME SYNC] Querying State Manager\n" * 2,
        "",
    ],
)
def test_logs_without_such_columns_are_lines(text: str) -> None:
    """Loggers that write the place of the source on the left, or none, need no container."""
    assert columns_of(text) is None


@pytest.mark.parametrize("place", ["state_manager.py:88", "/x/flash_otel/emit.py:7", "a-b.pyx:1"])
def test_the_place_of_the_source_is_no_id(place: str) -> None:
    """Where any logger prints it behind a broken line, the id is unknown."""
    parsed = parse(f"[STATE MANAGER] Retrieved build      {place}")
    assert parsed is not None
    assert parsed.fields["build_id"] == ANY
    assert parsed.cut == {"build_id"}
    assert read_id(write_id(place)) == (place, False)


@settings(max_examples=30)
@given(data=st.binary(max_size=400), width=st.integers(20, 90), size=st.integers(1, 200))
def test_any_bytes_in_columns_are_read(data: bytes, width: int, size: int) -> None:
    """No content raises, and the pieces in which it is read do not matter."""
    head = handled([(BEGIN_NS, "[DEPLOY] one two three " * 4)] * 3, width)
    given_ = head + data + head
    container = columns_of(head.decode())
    if container is not None:
        pieces = [given_[at : at + size] for at in range(0, len(given_), size)]
        assert list(container.entries(pieces)) == list(container.entries([given_]))


# --- what container runtimes and exports put around each row -------------------------------------

Wrap = Callable[[int, str, str], str]
PREFIXES: dict[str, Wrap] = {
    "docker compose": lambda _, writer, row: f"{writer:9}  | {row}",
    "docker compose -t": lambda at, writer, row: f"{writer:9}  | {utc(at)} {row}",
    "docker service": lambda _, writer, row: f"shop_{writer}.1.x7f@h    | {row}",
    "kubectl --prefix": lambda _, writer, row: f"[pod/{writer}-7f9c-x2/main] {row}",
    "stern": lambda _, writer, row: f"{writer}-7f9c-x2 main {row}",
    "gh run view": lambda at, writer, row: f"{writer} / eu\tRun x\t{utc(at)[:-3]}Z {row}",
    "docker json-file": lambda at, _, row: json.dumps(
        {"log": f"{row}\n", "stream": "stderr", "time": utc(at)}
    ),
    "syslog": lambda at, writer, row: f"Nov 28 {utc(at)[11:19]} vm {writer}[42]: {row}",
    "ts": lambda at, _, row: f"[{utc(at)[:23]}Z] {row}",
    "heroku": lambda at, writer, row: f"{utc(at)[:-4]}+00:00 app[{writer}.1]: {row}",
    "json behind compose": lambda _, writer, row: f"{writer}  | {json.dumps({'message': row})}",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "no source": {"show_path": False},
    "no level": {"show_level": False},
    "no time": {"show_time": False},
    "a time without brackets": {"log_time_format": "%d %b %Y %H:%M:%S"},
}
BOTH = (("deploy", BEGIN_NS), ("worker-1", BEGIN_NS + LATER_NS))


def wrapped(wrap: Wrap, logs: list[bytes]) -> bytes:
    """Return two logs, of a deployment and of a worker, as a service prints them together."""
    rows = [
        wrap(begin_ns, writer, row)
        for (writer, begin_ns), log in zip(BOTH, logs, strict=True)
        for row in log.decode().splitlines()
    ]
    return "".join(f"{row}\n" for row in rows).encode()


@pytest.mark.parametrize("name", ["healthy", "stale build"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_rows_behind_a_prefix(tmp_path: Path, prefix: str, options: str, name: str) -> None:
    """The rows of a message are joined whatever its container puts before each of them."""
    logs = [timed(texts, at) for texts, (_, at) in zip(SCENES[name], BOTH, strict=True)]
    plain = wrapped(PREFIXES[prefix], [in_seconds(log) for log in logs])
    printed = wrapped(PREFIXES[prefix], [handled(log, 80, **OPTIONS[options]) for log in logs])
    assert judged(tmp_path, printed)[0] == judged(tmp_path, plain)[0] != sc.INCONCLUSIVE


@pytest.mark.parametrize("name", [name for name in EXPORTS if "split" not in name])
def test_rows_in_every_export(tmp_path: Path, name: str) -> None:
    """The rows of a message are joined whatever the export of the log.

    Runtimes split only lines of many thousand characters, which no row has.
    """
    data = []
    for printer in (in_seconds, partial(handled, width=80)):
        rows = [
            printer(timed(texts, at))
            for texts, (_, at) in zip(SCENES["healthy"], BOTH, strict=True)
        ]
        entries = timed([row for log in rows for row in log.decode().splitlines()])
        data.append(EXPORTS[name](entries))
    assert judged(tmp_path, data[1])[0] == judged(tmp_path, data[0])[0] == sc.NONE


@settings(max_examples=20)
@given(mix=st.randoms(use_true_random=False), name=st.sampled_from(list(SCENES)))
def test_rows_of_several_writers_mix(
    tmp_path_factory: pytest.TempPathFactory, mix: random.Random, name: str
) -> None:
    """Containers that print at the same time do not tear each other's messages."""
    folder = tmp_path_factory.mktemp("mixed")
    logs = [
        handled(timed(texts, at), 80) for texts, (_, at) in zip(SCENES[name], BOTH, strict=True)
    ]
    rows = wrapped(PREFIXES["docker compose"], logs).decode().splitlines()
    count = sum(row.startswith("deploy") for row in rows)
    turns = [0] * count + [1] * (len(rows) - count)
    mix.shuffle(turns)
    lines = [iter(rows[:count]), iter(rows[count:])]
    mixed = "".join(f"{next(lines[turn])}\n" for turn in turns).encode()
    assert judged(folder, mixed)[0] == judged(folder, "\n".join(rows).encode())[0]


def test_messages_stay_in_the_order_of_their_beginnings() -> None:
    """A message that no row ends waits, but not for ever."""
    first = handled([(BEGIN_NS, "[DEPLOY] one " + "word " * 30)], 80).decode().splitlines()
    rest = handled([(BEGIN_NS, f"{at} " + "word " * 30) for at in range(300)], 80).decode()
    rows = [f"a  | {row}" for row in first] + [f"b  | {row}" for row in rest.splitlines()]
    data = "\n".join(rows).encode()
    container = container_of(data[: 1 << 16])
    assert container is not None
    found = list(container.entries([data]))
    assert [number for number, _ in found] == sorted(number for number, _ in found)
    assert len(found) == 301
    assert found[0][1].text.endswith("word")


@pytest.mark.parametrize(("behind", "has_prefix"), [(8, True), (7, False)])
def test_a_prefix_precedes_most_rows(behind: int, *, has_prefix: bool) -> None:
    """A time within a few rows' own texts makes no prefix of what stands in front of it."""
    row = "worker-1  | [10:00:00] INFO     Querying"
    rows = [row] * behind + ["a program's own line"] * (10 - behind)
    assert prefixes_of(rows).split(row)[0] == ("worker-1  | " if has_prefix else "")
