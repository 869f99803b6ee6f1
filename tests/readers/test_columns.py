"""Logs that Rich prints in columns give the verdict that their plain lines give."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Callable
from dataclasses import replace
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
from flash_otel.diagnosis.readers import log_columns
from flash_otel.diagnosis.readers.containers import container_of
from flash_otel.diagnosis.readers.log_columns import ColumnRow, Columns, columns_of, rows_in
from flash_otel.diagnosis.readers.log_entry import Unwrapped, time_of
from flash_otel.diagnosis.readers.log_layout import Layout
from flash_otel.diagnosis.readers.log_prefixes import Prefixes, prefixes_of
from flash_otel.lines.format import parse
from flash_otel.lines.values import read_id, write_id
from flash_otel.records import ANY

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator
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


# --- rows, messages and what is between them -----------------------------------------------------

NS = 10**9
COMPOSE = Prefixes([r"\w  \| "])
WIDE = Layout(level=4, message=13, width=60)


def entries(data: str, layouts: dict[str, Layout] | None = None) -> list[tuple[int, Unwrapped]]:
    """Return the entries of rows with a writer before each of them."""
    columns = Columns(layouts or {"": WIDE}, COMPOSE, None, "text")
    return list(columns.entries([data.encode()]))


def texts(data: str, layouts: dict[str, Layout] | None = None) -> list[tuple[int, str]]:
    """Return the numbers and texts of entries."""
    return [(number, entry.text) for number, entry in entries(data, layouts)]


def test_the_rows_of_lines() -> None:
    """A row is a line of the text within a line's wrapping, without colours and line ends."""
    wrapped_ = {"log": "a\nb\r\n", "stream": "stderr", "time": utc(BEGIN_NS)}
    data = f"\ufeffone\r\n\x1b[32mtwo\x1b[0m\n{json.dumps(wrapped_)}\nfour".encode()
    known = Unwrapped("", "", BEGIN_NS, zoned=True, partial=False)
    assert list(rows_in([data[:9], data[9:]], None)) == [
        ColumnRow(1, Unwrapped("one"), "one"),
        ColumnRow(2, Unwrapped("\x1b[32mtwo\x1b[0m"), "two"),
        ColumnRow(3, replace(known, text="a"), "a"),
        ColumnRow(3, replace(known, text="b"), "b"),
        ColumnRow(4, Unwrapped("four"), "four"),
    ]


def test_the_rows_of_a_container_s_entries() -> None:
    """Each line of an entry is a row, with what the container knows of the entry."""

    def inner(chunks: Iterable[bytes]) -> Iterator[tuple[int, Unwrapped]]:
        for number, chunk in enumerate(chunks, 7):
            yield number, Unwrapped(chunk.decode(), "s", 1, zoned=True)

    assert list(rows_in([b"X\r\n\ry\r", b"z"], inner)) == [
        ColumnRow(7, Unwrapped("X", "s", 1, zoned=True), "X"),
        ColumnRow(7, Unwrapped("\ry", "s", 1, zoned=True), "\ry"),
        ColumnRow(8, Unwrapped("z", "s", 1, zoned=True), "z"),
    ]


UUID = "0c069c1f-9ac9-48ed-9f76-d79799af0cc2"


@pytest.mark.parametrize(
    ("text", "row", "room", "between"),
    [
        ("full row..", "", 10, ""),
        ("part", "", 10, "\n"),
        ("full row..", "[DEPLOY] x", 10, "\n"),
        ("full row..", "DEPLOY] x", 10, "\n"),
        ("full row..", "  indented", 10, "\n"),
        ("full row..", "}", 10, "\n"),
        ("full row..", "\u2500\u2500", 10, "\n"),
        ("abc", "defghi x", 10, "\n"),
        ("abc", "defghij x", 10, " "),
        ("abc", "defghijklmnop", 10, " "),
        ("ab cdefghi", "jk", 10, " "),
        (" abcdefghi", "jk", 10, ""),
        ("abcdefghij", " jk", 10, " "),
        ("abcdefghij", "jk", 10, ""),
        ("one\nabcdefghij", "jk", 10, ""),
        ("one two abcdefghij", "jk", 10, ""),
        ("Environment", "jk", 11, " "),
        ("one\nEnvironment", "jk", 11, " "),
        ("abcdefghij", "activated with", 10, " "),
        ("abcdefghij", "activatedX with", 10, ""),
        (UUID, "more", 36, " "),
        (f"build_id={UUID}", "more", 36, " "),
        (f"build_id={UUID}", ", environment_id=e", 36, ""),
        (f"build_id={UUID[:-1]}", "2, environment_id=e", 35, ""),
    ],
)
def test_what_is_between_two_rows(text: str, row: str, room: int, between: str) -> None:
    """A line end, where the next word would have fitted; nothing within a word; else a space."""
    before = re.split(r"\n|two ", text)[-1][-room:]
    assert log_columns._between(text, before, row, room) == between


@pytest.mark.parametrize("options", [{}, {"show_path": False}])
@pytest.mark.parametrize(("length", "between"), [(19, "\n"), (20, "\n"), (21, " "), (30, " ")])
def test_a_line_end_of_a_message_is_kept_where_it_shows(
    length: int, between: str, options: dict[str, Any]
) -> None:
    """A row that ends although the next word has room was ended by the program."""
    width = 60 if options else 80  # 31 characters for the message
    message = "x" * 10 + "\n" + "y" * length
    data = handled(
        [(BEGIN_NS, "word " * 30), (BEGIN_NS, message), (BEGIN_NS, "x")], width, **options
    )
    container = container_of(data)
    assert container is not None
    _, (_, entry), _ = container.entries([data])
    assert entry.text == message.replace("\n", between)


def test_messages_and_other_lines_are_whole_and_in_order() -> None:
    """Each writer's rows are joined by that writer's layout, or else by the most common one."""
    long = "ten-is-longer-than-what-has-room-behind-eight"
    data = f"""\
a  |     INFO     one two
b  |  WARNING  three
a  |              [DEPLOY] four
b  |           five sixseven
c  |     DEBUG    eight
a  | printed
b  |           nine
c  |              {long}
c  |               X-is-no-less-so-and-has-a-space-before-it
a  |              eleven
"""
    narrow = Layout(level=1, message=10, width=22)
    assert texts(data, {"a  | ": WIDE, "b  | ": narrow}) == [
        (1, "one two\n[DEPLOY] four"),
        (2, "three\nfive sixseven nine"),
        (5, f"eight {long} X-is-no-less-so-and-has-a-space-before-it"),
        (6, "a  | printed"),
        (10, "a  |              eleven"),
    ]


@pytest.mark.parametrize(("others", "is_joined"), [(2, True), (3, False)])
def test_a_message_waits_for_its_rows_behind_so_many_entries(
    monkeypatch: pytest.MonkeyPatch, others: int, *, is_joined: bool
) -> None:
    """A row of a message that waited too long is a line of its own."""
    monkeypatch.setattr(log_columns, "_MOST_WAITING", 3)
    rest = "a  |              b-is-a-word-that-had-no-room-in-the-row-before-it"
    data = "a  |     INFO     one\n" + "b  | printed\n" * others + rest + "\n"
    printed = [(number, "b  | printed") for number in range(2, 2 + others)]
    joined = [(1, f"one {rest[18:]}"), *printed]
    assert texts(data) == (joined if is_joined else [(1, "one"), *printed, (2 + others, rest)])


def test_a_message_has_only_so_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows behind them are lines."""
    monkeypatch.setattr(log_columns, "_MOST_ROWS", 3)
    row = "a  |                x"
    data = "\n".join(["a  |     INFO     one", *[row] * 4, ""])
    assert texts(data) == [(1, "one\n  x\n  x"), (4, row), (5, row)]


def test_the_time_of_a_message_is_its_own_or_its_writer_s_latest() -> None:
    """Rich leaves out a time that equals the previous one; a time before the row is surer."""
    rows = [
        "a  |                     INFO     first",
        "a  | 2026-01-01 00:00:01 INFO     own",
        "b  | 2026-01-01 00:00:02 INFO     of b",
        "a  |                     INFO     latest",
        "b  |                     INFO     latest",
        "c  |                     INFO     none",
        '{"log": "a  | 2026-01-01 00:00:05 INFO     given", "time": "2026-01-01T00:00:09Z"}',
        "a  |                     INFO     still of the column",
    ]
    begin = 1_767_225_600
    layout = Layout(level=20, message=29, width=60)
    found = entries("\n".join([*rows, ""]), {"": layout})
    assert [(entry.time_ns and entry.time_ns / NS - begin, entry.zoned) for _, entry in found] == [
        (None, False),
        (1, False),
        (2, False),
        (1, False),
        (2, False),
        (None, False),
        (9, True),
        (1, False),
    ]


@pytest.mark.parametrize(
    ("chunks", "cuts"),
    [
        (["a  |     INFO     one\n", "b  |     INFO     two\n"], [False, False]),
        (["a  |     INFO     one\n", "b  |     INFO     two"], [True, True]),
        (["a  |     INFO     one\n", "b  |     INFO     two\n", ""], [False, False]),
        (["a  |     INFO     one\n", "b  |     INFO     two", ""], [True, True]),
        (["a  |     INFO     one\na  |     INFO     two"], [False, True]),
        (["a  |     INFO     one\na  | printed"], [False, False]),
        (["a  |     INFO     " + "x" * 46 + "\n"], [False]),
        (["a  |     INFO     " + "x" * 47 + "\n"], [True]),
        (["a  |     INFO     " + "x" * 47 + "\na  | printed\n"], [False, False]),
    ],
)
def test_only_the_messages_that_are_open_at_the_end_may_be_cut(
    chunks: list[str], cuts: list[bool]
) -> None:
    """They are if the log lacks its line end, or if their last row is full."""
    columns = Columns({"": WIDE}, COMPOSE, None, "text")
    found = list(columns.entries(chunk.encode() for chunk in chunks))
    assert [entry.cut for _, entry in found] == cuts


def test_rows_keep_what_is_known_of_their_writer() -> None:
    """The name of a container is the writer's, within that of the export."""
    row = "worker-1  | [10:00:00] INFO     [DEPLOY] Environment x  state_manager.py:88\n"
    data = f"{row}{row.replace('-1', '-2')}{row}"
    columns = columns_of(data, description="an export")
    assert columns is not None
    assert columns.description == "an export"
    found = list(columns.entries([data.encode()]))
    assert [entry.stream for _, entry in found] == ["worker-1", "worker-2", "worker-1"]

    def inner(chunks: Iterable[bytes]) -> Iterator[tuple[int, Unwrapped]]:
        for number, line in enumerate(b"".join(chunks).decode().splitlines(), 1):
            yield number, Unwrapped(line, "pod")

    columns = columns_of("its levels are escaped", lambda _: inner([data.encode()]))
    assert columns is not None
    columns = columns_of(data, inner)
    assert columns is not None
    assert columns.description == "text"
    found = list(columns.entries([data.encode()]))
    assert [entry.stream for _, entry in found] == ["pod/worker-1", "pod/worker-2", "pod/worker-1"]


def row_of(writer: str, time: str, text: str, width: int) -> str:
    """Return the first row of a message, with its source at the right."""
    return f"{writer}  | " + f"[{time}] INFO     {text}".ljust(width - 9) + "a.py:1234\n"


@pytest.mark.parametrize(("own", "other"), [(3, 2), (2, 3)])
def test_a_writer_that_appears_later_has_the_most_common_layout(own: int, other: int) -> None:
    """The log's beginning shows the layouts of its writers."""
    head = row_of("a", "10:00:00", "[DEPLOY] x", 60) * own
    head += row_of("b", "2026-01-01 10:00:00", "[DEPLOY] y", 80) * other
    begun = row_of("c", "10:00:00", "[DEPLOY] Environment prod", 60)
    data = f"{head}{begun}c  | {' ' * 20}activated-with-a-very-long-word\n"
    columns = columns_of(head)
    assert columns is not None
    found = [entry.text for _, entry in columns.entries([data.encode()])][own + other :]
    whole = "[DEPLOY] Environment prod activated-with-a-very-long-word"
    assert (found == [whole]) == (own > other)
