"""What is read of tables: how they are known, and each row's text, line, time and writer."""

from __future__ import annotations

import csv
from typing import Final

import pytest

from flash_otel.diagnosis.readers import log_tables
from flash_otel.diagnosis.readers.log_entry import Unwrapped
from flash_otel.diagnosis.readers.log_scan import MAX_LINE
from flash_otel.diagnosis.readers.log_tables import Table, table_of, table_with_names

SIZES: Final = (1, 5, 1 << 20)
BEGIN_NS: Final = 1_767_225_600 * 10**9  # 2026-01-01T00:00:00Z
NS: Final = 10**9


def read(table: Table | None, data: bytes, size: int = 1 << 20) -> list[tuple[int, Unwrapped]]:
    """Return the entries of a table that is read in chunks of a size."""
    assert table is not None
    return list(table.entries(data[at : at + size] for at in range(0, len(data), size)))


def known(text: str) -> tuple[str, str] | None:
    """Return how a text is described, and its delimiter, if it is a table."""
    table = table_of(text)
    return None if table is None else (table.description, table.delimiter)


SHORT: Final = "c" * 63
FULL: Final = ",".join(["message", *[SHORT] * 63, "c" * 56])
COLUMNS: Final = "a table with the columns "


@pytest.mark.parametrize(
    ("text", "description", "delimiter"),
    [
        ("time,message\n", "time, message", ","),
        ("time,message\r\n1,2", "time, message", ","),
        ("time\tlevel\tmsg", "time, level, msg", "\t"),
        ("time;message", "time, message", ";"),
        ("a,b;message;x|y", "a,b, message, x|y", ";"),
        ("time|message", "time, message", "|"),
        ('"message"\n"x"', "message", ","),
        ("message\nx", None, None),
        ("time,other", None, None),
        ("", None, None),
        ("\ntime,message", None, None),
        ("sep=;\r\nTime;Message\r\n", "Time, Message", ";"),
        ("sep=;\nsep=;\nTime;Message", None, None),
        ("time\rx,message", None, None),
        ("sep=;;\nTime;Message", None, None),
        ("time;level\nTime;Message", None, None),
        ("2026-01-01 00:00:00,message", None, None),
        ("message,2026-01-01 00:00:00", None, None),
        ("message,[DEPLOY] x", None, None),
        (f"message,{'x' * 64}", f"message, {'x' * 64}", ","),
        (f"message,{'x' * 65}", None, None),
        (FULL, FULL.replace(",", ", "), ","),
        (f"{FULL}c", None, None),
    ],
)
def test_a_table_is_known_by_the_names_in_its_header(
    text: str, description: str | None, delimiter: str | None
) -> None:
    """One column has the name of a text, and every name is short and no time."""
    assert len(FULL) == 4096
    expected = None if description is None else (COLUMNS + description, delimiter)
    assert known(text) == expected


LINE: Final = '"[DEPLOY] a, b"'


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (["seen,host,details", f"2026-01-01 00:00:00,h,{LINE}"], "time, host, message"),
        (["details;host;seen", f"{LINE.replace(',', ';')};h;2026-01-01 00:00:00"],
         "message, host, time"),
        ([f"2026-01-01 00:00:00,h,{LINE}", "2026-01-01 00:00:01,h,x"],
         "time, column 1, message"),
        ([f"2026-01-01 00:00:00,h,{LINE}"] * 2, "time, column 1, message"),
        ([f"seen,h,{LINE}", "2026-01-01 00:00:01,h,x"], "time, column 1, message"),
        (["2026-01-01 00:00:00,host,details", f"2026-01-01 00:00:00,h,{LINE}"],
         "time, column 1, message"),
        (["", "seen,details", "", f"2026-01-01 00:00:00,{LINE}"], "time, message"),
        (["seen,also,details", f"2026-01-01 00:00:00,2026-01-01 00:00:00,{LINE}"],
         "time, also, message"),
        (["seen,details", '2026-01-01 00:00:00,"[DEPLOY] ""a"""'], "time, message"),
        # No row below the first, no other column, no time, no quotes, or two texts.
        ([f"2026-01-01 00:00:00,{LINE}"], None),
        (["details", LINE], None),
        (["seen,details", f"noon,{LINE}"], None),
        (["seen,details", f"2026-01-01 00:00:00,{LINE}", f"noon,{LINE}"], None),
        (["seen,details", f'"2026-01-01 00:00:00, [DEPLOY]",{LINE}'], None),
        (["seen,details", "2026-01-01 00:00:00,[DEPLOY] a"], None),
        (["seen,details", f"2026-01-01 00:00:00,{LINE},x"], None),
        (["seen,one,two", f"2026-01-01 00:00:00,{LINE},{LINE}"], None),
        (["seen,details", '2026-01-01 00:00:00,"a, b"'], None),
    ],
)  # fmt: skip
def test_a_table_is_known_by_its_rows(rows: list[str], names: str | None) -> None:
    """One column has times, and one has the bracketed lines, in quotes where they need them.

    The last row of a log's beginning may be a part of one.
    """
    found = known("\n".join([*rows, "2026-"]))
    assert (None if found is None else found[0]) == (None if names is None else COLUMNS + names)


@pytest.mark.parametrize(
    ("text", "is_table"),
    [
        ("time,message\n1,2\n1,", True),
        ("time,message\n1,2,3\n1,", False),
        ("time,message\n1\n1,", False),
        ("time,message\n1,2\n\n1,2,3\n1,", True),
        ("time,message\n1,2\n1\n1,", False),
        ('time,message,x\n1,2,3\n1,"a\n', True),
        ("time,other\n1,2\n1,", False),
        ("time,message\na\rb,c\n1,", False),
    ],
)
def test_a_table_behind_other_lines_has_whole_rows(text: str, *, is_table: bool) -> None:
    """The row below the names has as many cells, and none has fewer up to the first mark."""
    assert (table_with_names(f"{text}[DEPLOY] x\n", len(text)) is not None) == is_table


@pytest.mark.parametrize("size", SIZES)
def test_every_row_has_its_own_line_time_and_writer(size: int) -> None:
    """A row is named by its first line, and blank rows and the names again are no rows."""
    data = (
        b"\xef\xbb\xbfsep=,\r\ntime,host,message\r\n2026-01-01T00:00:00Z,h-1,one\r\n"
        b'2026-01-01T00:00:01Z,h-2,"two\r\nmore, ""quoted"""\r\n\r\n'
        b"2026-01-01T00:00:02Z,h-1,three\0\r\n\xef\xbb\xbftime,host,message\r\nnoon,,four\r\nfive\r\n"
        b"2026-01-01T00:00:03Z,h-1,caf\xc3\xa9\r\n\xef\xbb\xbfsep=,\r\n"
    )
    assert read(table_of("sep=,\ntime,host,message\n"), data, size) == [
        (3, Unwrapped("one", "h-1", BEGIN_NS, zoned=True)),
        (4, Unwrapped('two\r\nmore, "quoted"', "h-2", BEGIN_NS + NS, zoned=True)),
        (7, Unwrapped("three", "h-1", BEGIN_NS + 2 * NS, zoned=True)),
        (9, Unwrapped("four")),
        (11, Unwrapped("café", "h-1", BEGIN_NS + 3 * NS, zoned=True)),
    ]


@pytest.mark.parametrize(
    "header", ["sep=,\nmessage,time\n", "X,message\n", "message,n\n\n\ufeffsep=,\n"]
)
def test_a_header_is_no_row(header: str) -> None:
    """What Excel writes before it is none, too, whatever the first column holds."""
    data = f"{header}a,b\n".encode()
    assert [number for number, _ in read(table_of(header), data)] == [header.count("\n") + 1]


def test_a_table_without_names_begins_with_its_first_row() -> None:
    """Its rows are numbered from 1."""
    text = f"2026-01-01 00:00:00,h,{LINE}\n2026-01-01 00:00:01,h,x\n"
    assert read(table_of(text), text.encode()) == [
        (1, Unwrapped("[DEPLOY] a, b", "", BEGIN_NS)),
        (2, Unwrapped("x", "", BEGIN_NS + NS)),
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("1,a\n2,b\n", [("a", False), ("b", False)]),
        ("1,a\n2,b", [("a", False), ("b", True)]),
        ('1,a "b\n2,c\n3,d\n', [('a "b', True), ("c", False), ("d", False)]),
        ('1,"a\n2,b\n', [("a\n2,b", True)]),
        ('1,"a\nb"\n2,"c"\n', [("a\nb", False), ("c", False)]),
        ('1,a, "b", c\n', [('a, "b", c', False)]),
        ("1,a\rb\n2,c\n", [("c", False)]),
        ("1,a\n2,b\xff", [("a", False), ("b\ufffd", True)]),
    ],
)
def test_the_end_of_a_row_is_its_line_end(rows: str, expected: list[tuple[str, bool]]) -> None:
    """A row that opens a quote, or lacks its line end, may be cut; the others are whole."""
    data = b"time,message\n" + rows.encode("latin-1")
    found = read(table_of("time,message\n"), data)
    assert [(entry.text, entry.cut) for _, entry in found] == expected


def test_a_row_with_further_cells_is_cut() -> None:
    """Where the text is not in the last column, a comma may have ended it."""
    table = table_of("time,message,n\n")
    found = read(table, b"1,a,2\n1,b,c,2\n1,d\n")
    assert [(entry.text, entry.cut) for _, entry in found] == [
        ("a", False),
        ("b", True),
        ("d", False),
    ]


@pytest.mark.parametrize(
    ("header", "row", "time_ns", "zoned"),
    [
        ("time,message", "2026-01-01 00:00:00,x", BEGIN_NS, False),
        ("time,message", "2026-01-01 00:00:00Z,x", BEGIN_NS, True),
        ("Time [UTC],message", "2026-01-01 00:00:00,x", BEGIN_NS, True),
        ("Time (UTC),message", "2026-01-01 00:00:00,x", BEGIN_NS, True),
        ("Time UTC,message", "2026-01-01 00:00:00,x", BEGIN_NS, False),
        ("Time [UTC],message", "noon,x", None, False),
        ("day,clock,message", "2026-01-01,00:00:00,x", BEGIN_NS, False),
        ("day,clock,message", "2026-01-01,00:00:00Z,x", BEGIN_NS, True),
        ("day,message,clock", "2026-01-01,x,00:00:00", BEGIN_NS, False),
        ("day,message", "noon,2026-01-01 00:00:00", None, False),
    ],
)
def test_a_row_s_time_may_have_several_columns(
    header: str, row: str, time_ns: int | None, *, zoned: bool
) -> None:
    """The header may name the zone, and a time in the text is the text's own."""
    ((_, entry),) = read(table_of(header), f"{header}\n{row}\n".encode())
    assert (entry.time_ns, entry.zoned) == (time_ns, zoned)


@pytest.mark.parametrize("limit", [1 << 17, 2 * MAX_LINE])
def test_a_long_cell_is_read_and_the_process_s_limit_is_never_lowered(limit: int) -> None:
    """A cell may be as long as a line."""
    before = csv.field_size_limit(limit)
    try:
        text = "x" * (1 << 18)
        ((number, entry),) = read(table_of("time,message"), f"time,message\n1,{text}\n".encode())
        assert (number, entry) == (2, Unwrapped(text))
        assert csv.field_size_limit() == max(limit, MAX_LINE)
    finally:
        csv.field_size_limit(before)


@pytest.mark.parametrize(
    ("length", "texts"),
    [(20, ["x" * 20 + "yz", "w"]), (21, ["x" * 21, "yz", "w"])],
)
def test_a_line_beyond_the_limit_comes_in_parts(
    monkeypatch: pytest.MonkeyPatch, length: int, texts: list[str]
) -> None:
    """No more is held than a line may have, and the line behind it is whole."""
    monkeypatch.setattr(log_tables, "MAX_LINE", 20)
    table = table_of('"message"\n')
    assert table is not None
    found = list(table.entries([b'"message"\n', b"x" * length, b"yz\nw\n"]))
    assert [entry.text for _, entry in found] == texts
