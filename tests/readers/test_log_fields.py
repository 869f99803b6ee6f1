"""Log entries in fields: text, writer and time, whatever the fields are called."""

from __future__ import annotations

from typing import Any, Final

import pytest

from flash_otel.diagnosis.readers.log_entry import Unwrapped
from flash_otel.diagnosis.readers.log_fields import (
    entries_in,
    entry_of,
    from_fields,
    holds_entries,
    is_text_name,
    surroundings,
)

LINE: Final = "[DEPLOY] x"
TIME: Final = "2026-11-28T12:00:09Z"
TIME_NS: Final = 1_795_867_209 * 10**9
OUTER: Final = Unwrapped("outer", "pod", 5, zoned=True, partial=True, cut=True)
NOWHERE: Final = Unwrapped("")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("message", True),
        ("@Message", True),
        (" Short_Message ", True),
        ("log-line", True),
        ("Raw String", True),
        ("$log", True),
        ("Log_s", True),
        ("jsonPayload.message", True),
        ("TimeGenerated [UTC]", False),
        ("level", False),
        ("messages", False),
        ("", False),
    ],
)
def test_the_name_of_a_text(name: str, *, expected: bool) -> None:
    """Names are compared without case, punctuation and what a service adds to them."""
    assert is_text_name(name) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"message": "one", "level": "info"}, "one"),
        ({"level": "info"}, None),
        ({"log": "two", "message": "one"}, "one"),
        ({"Message": "one", "message": "two"}, "one"),
        ({"message": "oneX\r\n"}, "oneX"),
        ({"message": ""}, ""),
        ({"message": "noise", "log": LINE, "data": f"{LINE} of another"}, f"{LINE} of another"),
        ({"message": LINE, "log": "noise", "raw": "[DEPLOY] y and more"}, LINE),
        ({"message": "cut...", "log": "cut short", "raw": "cut shorter"}, "cut shorter"),
        ({"message": "cut …", "log": "cut short", "raw": "longer than all"}, "cut short"),
        ({"message": "X...", "log": "X one", "raw": "longer than all"}, "X one"),
        ({"message": "short", "log": "of another event"}, "short"),
        ({"message": {"stringValue": "one"}}, "one"),
        ({"message": {"string_value": "one"}}, "one"),
        ({"message": {"stringValue": 5}, "log": "two"}, "two"),
        ({"message": {"intValue": "one"}, "log": "two"}, "two"),
        ({"message": ["one", "two"]}, "one\ntwo"),
        ({"message": [104, 105, 255]}, "hi\ufffd"),
        ({"message": [104, -1], "log": "two"}, "two"),
        ({"message": [104, True], "log": "two"}, "two"),
        ({"message": ["one", 5], "log": "two"}, "two"),
        ({"message": 5}, None),
        ({"jsonPayload": {"message": "one"}}, "one"),
        ({"jsonPayload": "one", "fields": {"message": "two"}}, "two"),
        ({"jsonPayload": {"level": "info"}, "fields": {"message": "two"}}, "two"),
        ({"fields": {"message": "two"}, "jsonPayload": {"message": "one"}}, "one"),
        ({"fields": {"message": "two"}, "original": "one"}, "one"),
        ({"a": {"message": "one"}}, None),
        ({"event": {"record": {"map": {"message": "one"}}}}, "one"),
        ({"event": {"record": {"map": {"data": {"message": "one"}}}}}, None),
        ({"message": "one", "resourceSpans": []}, None),
        ({"message": "one"} | {f"n{number}": number for number in range(100)}, "one"),
    ],
)
def test_the_text_of_an_entry(fields: dict[str, Any], expected: str | None) -> None:
    """It is that of the surest name, the longest form of it, and one with a mark before others."""
    found = from_fields(fields, NOWHERE)
    assert (found and found.text) == expected
    if expected is not None:
        assert found == Unwrapped(expected)


def test_an_entry_has_what_its_surroundings_know() -> None:
    """Writer, time, and whether a line goes on or was cut, come from around the fields."""
    assert from_fields({"message": "one"}, OUTER) == Unwrapped(
        "one", "pod", 5, zoned=True, partial=True, cut=True
    )
    own = {"message": "one", "pod": "w-1", "time": "2026-11-28 12:00:09"}
    assert from_fields(own, OUTER) == Unwrapped(
        "one", "pod/w-1", TIME_NS, zoned=False, partial=True, cut=True
    )


@pytest.mark.parametrize(
    ("fields", "partial"),
    [
        ({"log": "one\n", "stream": "stderr", "time": TIME}, False),
        ({"log": "one", "stream": "stderr", "time": TIME}, True),
        ({"log": "one", "stream": "stderr", "time": TIME, "attrs": {"tag": "x"}}, True),
        ({"log": "one", "stream": "stderr", "time": TIME, "level": "info"}, None),
        ({"log": "one", "stream": "stderr"}, None),
        ({"log": "one", "stream": {"pod": "w"}, "time": TIME}, None),
    ],
)
def test_only_docker_splits_lines(fields: dict[str, Any], *, partial: bool | None) -> None:
    """A text without a line end goes on, if Docker's driver wrote just these fields."""
    found = from_fields(fields, NOWHERE)
    assert found is not None
    assert found.partial is partial
    assert found.text == "one"


@pytest.mark.parametrize(
    ("fields", "stream"),
    [
        ({}, "pod"),
        ({"pod": "p-1"}, "pod/p-1"),
        ({"worker": "w", "container": "c", "host": "h"}, "pod/c/w/h"),
        ({"worker": "w", "host": "w"}, "pod/w"),
        ({"container": {"image": "x", "name": "c"}}, "pod/c"),
        ({"container": {"id": "c-1"}}, "pod/c-1"),
        ({"container": {"image": "x"}, "host": 5, "pod": ""}, "pod"),
        ({"kubernetes": {"pod_name": "p-1"}, "host": "h"}, "pod/h/p-1"),
        ({"labels": {"worker": "w"}, "docker": {"container_id": "c"}}, "pod/c/w"),
        ({"resource": {"labels": {"pod_name": "p-1"}}}, "pod/p-1"),
        ({"resource": {"labels": "pod_name"}, "labels": {"pod": "p-1"}}, "pod/p-1"),
        ({"stream": "stdout", "fields": {"pod": "p-1"}}, "pod/p-1"),
        ({"a": {"pod": "p-1"}}, "pod"),
        ({"SYSLOG_IDENTIFIER": "flash", "_PID": "42", "_HOSTNAME": "vm"}, "pod/vm/flash[42]"),
        ({"SYSLOG_IDENTIFIER": "flash", "_PID": 42}, "pod/flash[42]"),
        ({"SYSLOG_IDENTIFIER": "flash"}, "pod/flash"),
        ({"SYSLOG_IDENTIFIER": ["flash"], "_PID": "42"}, "pod"),
        ({"SYSLOG_IDENTIFIER": "flash", "_PID": None}, "pod"),
        ({"_PID": "42"}, "pod"),
    ],
)
def test_the_writer_of_an_entry(fields: dict[str, Any], stream: str) -> None:
    """All writers that fields name, from around and within, each once, and then the program."""
    assert surroundings(fields, OUTER) == Unwrapped(
        "", stream, 5, zoned=True, partial=True, cut=True
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"time": TIME}, (TIME_NS, True)),
        ({"time": "2026-11-28 12:00:09"}, (TIME_NS, False)),
        ({"TimeGenerated [UTC]": TIME}, (TIME_NS, True)),
        ({"time": "2026-11-28", "ts": TIME}, (TIME_NS, True)),
        ({"date": "2026-11-30 00:00:00", "timestamp": TIME}, (TIME_NS, True)),
        ({"timestamp": TIME, "attributes": {"timeUnixNano": 1}}, (TIME_NS, True)),
        ({"timestamp": "?", "attributes": {"time": TIME}}, (TIME_NS, True)),
        ({"fields": {"time": TIME}, "metadata": {"time": "2026-11-30 00:00:00"}}, (TIME_NS, True)),
        ({"resource": {"labels": {"time": TIME}}}, (TIME_NS, True)),
        ({"time": "soon", "a": {"time": TIME}}, (5, True)),
    ],
)
def test_the_time_of_an_entry(fields: dict[str, Any], expected: tuple[int, bool]) -> None:
    """It is the first that can be read, of the surest name, in the entry before its objects."""
    found = surroundings(fields, OUTER)
    assert (found.time_ns, found.zoned) == expected


def nested(value: Any, depth: int) -> Any:
    """Return a value within as many lists."""
    return value if not depth else [nested(value, depth - 1)]


def within(depth: int) -> dict[str, Any]:
    """Return an entry within as many objects."""
    return {"a": within(depth - 1)} if depth else {"message": "one"}


NANOS: Final = str(TIME_NS)
ENTRIES: Final[dict[str, tuple[Any, list[str]]]] = {
    "a text": ("oneX\r\n", ["oneX"]),
    "a number": (5, []),
    "nothing": (None, []),
    "texts": (["one", "two\n"], ["one", "two"]),
    "texts in lists": (nested("one", 12), ["one"]),
    "texts too deep": (nested("one", 13), []),
    "objects": (within(12), ["one"]),
    "objects too deep": (within(13), []),
    "an entry": ({"message": "one"}, ["one"]),
    "entries": ([{"message": "one"}, 5, {"message": "two"}], ["one", "two"]),
    "entries in an object": ({"events": [{"message": "one"}], "message": "none"}, ["one"]),
    "a list of no entries": ({"events": [], "message": "one"}, ["one"]),
    "entries under another name": ({"found": [{"message": "one"}]}, ["one"]),
    "an entry in objects": ({"a": {"b": {"message": "one"}}}, ["one"]),
    "lines": ({"lines": ["one", "two"]}, ["one", "two"]),
    "lines of another name": ({"tags": ["one", "two"]}, []),
    "lines of mixed kinds": ({"lines": ["one", 5]}, []),
    "lists of lines": ({"found": [["one"], ["two"]]}, ["one", "two"]),
    "an empty list": ({"lines": []}, []),
    "pairs": ([[NANOS, "one"], [NANOS, "twoX\r\n", {}]], ["one", "twoX"]),
    "no pairs": ([["soon", "one"], [TIME_NS, "two"], [NANOS, 5]], ["soon", "one", "two", NANOS]),
    "a pair of one": ([[NANOS]], [NANOS]),
    "fields of a row": (
        [{"field": "@message", "value": "one"}, {"field": "@timestamp", "value": TIME}],
        ["one"],
    ),
    "fields of no row": ([{"field": "@message", "value": "one"}, {"message": "two"}], ["two"]),
    "an unknown name": ({"what": LINE, "why": f"{LINE}, X\r\n", "n": 1}, [f"{LINE}, X"]),
    "an unknown name without a mark": ({"what": "one"}, []),
    "an unknown name around entries": ({"what": LINE, "found": [{"message": "one"}]}, ["one"]),
    "an unknown name around none": ({"what": LINE, "found": [{"n": 1}]}, [LINE]),
    "rows": (
        {"columns": [{"name": "n"}, {"name": "message"}], "rows": [[1, "one"], [2, "two"], []]},
        ["one", "two"],
    ),
    "rows of other lengths": (
        {"columns": ["message", "n"], "rows": [["one"], ["two", 2, 3]]},
        ["one", "two"],
    ),
    "rows of plain names": ({"columns": ["n", "message"], "rows": [[1, "one"]]}, ["one"]),
    "rows of no texts": ({"columns": ["n"], "rows": [[1]]}, []),
    "rows in data": ({"columns": ["message"], "data": [["one"]]}, ["one"]),
    "rows of unnamed columns": ({"columns": [{"type": "x"}], "rows": [["one"]]}, ["one"]),
    "rows without columns": ({"columns": [], "rows": [["one"]]}, ["one"]),
    "columns of no list": ({"columns": "message", "rows": [["one"]]}, ["one"]),
    "columns without rows": ({"columns": ["message"]}, []),
    "cells": (
        {
            "schema": {"fields": [{"name": "message"}, {"name": "x"}]},
            "rows": [{"f": [{"v": "one"}, {"v": 1}]}, {"f": 5}, {"g": []}],
        },
        ["one"],
    ),
    "cells of objects": (
        {
            "columns": ["message"],
            "rows": [[{"v": "one", "w": 1}], [{"stringValue": "two"}], [{"v": "three"}]],
        },
        ["two", "three"],
    ),
    "a schema of no object": ({"schema": 5, "rows": [{"message": "one"}]}, ["one"]),
    "columns of values": (
        {
            "schema": {"fields": [{"name": "n"}, {"name": "Line"}]},
            "data": {"values": [[1, 2], ["one", "two"]]},
        },
        ["one", "two"],
    ),
    "columns of other lengths": (
        {"schema": {"fields": ["Line", "n"]}, "data": {"values": [["one", "two"], [1]]}},
        ["one"],
    ),
    "columns of no values": (
        {"schema": {"fields": [{"name": "Line"}]}, "data": {"values": [["one"], 5]}},
        [],
    ),
    "spans": ({"resourceSpans": [], "message": "one"}, []),
}  # fmt: skip


@pytest.mark.parametrize(("value", "texts"), ENTRIES.values(), ids=ENTRIES)
def test_the_entries_within_a_value(value: Any, texts: list[str]) -> None:
    """Entries are found in lists, objects and tables of any form, and nothing else is."""
    assert [entry.text for entry in entries_in(value, NOWHERE)] == texts


def test_entries_have_what_is_known_around_them() -> None:
    """The writer and the time of an object are those of the entries in it."""
    value = {
        "pod": "w-1",
        "time": TIME,
        "streams": [{"stream": {"container": "c"}, "values": [["17958672100", "one"]]}],
        "lines": ["two"],
    }
    assert list(entries_in(value, OUTER)) == [
        Unwrapped("one", "pod/w-1/c", 17_958_672_100 * 10**9, zoned=True, partial=True, cut=True),
        Unwrapped("two", "pod/w-1", TIME_NS, zoned=True, partial=True, cut=True),
    ]
    assert list(entries_in({"pod": "w-1", "what": LINE}, OUTER)) == [
        Unwrapped(LINE, "pod/w-1", 5, zoned=True, partial=True, cut=True)
    ]
    rows = {"columns": ["message"], "rows": [["one"]]}
    (entry,) = entries_in(rows, OUTER)
    assert entry == Unwrapped("one", "pod", 5, zoned=True, partial=True, cut=True)


def test_an_object_with_entries_is_none() -> None:
    """A message beside a list of entries is about them."""
    assert entry_of({"message": "one", "events": []}, OUTER) == from_fields({"log": "one"}, OUTER)
    assert entry_of({"message": "one", "events": [{}]}, NOWHERE) is None
    assert entry_of({"message": "one", "events": [[]]}, NOWHERE) is None
    assert entry_of({"message": "one", "tags": [{}]}, NOWHERE) == Unwrapped("one")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"message": "one"}, False),
        ({"message": "one", "kubernetes": {"pod": "w"}}, False),
        ({"message": "one", "tags": [{}]}, False),
        ({"message": "one", "events": [{}]}, True),
        ({"event": {"record": {"map": {"message": "one"}}}}, False),
        ({"event": {"record": {"map": {"data": {"message": "one"}}}}}, True),
        ({"a": {"b": 1}}, True),
        ({"a": [{}]}, True),
        ({"a": [[]]}, True),
        ({"a": [1]}, False),
        ({"a": []}, False),
        ({"a": 1}, False),
        ({}, False),
        ({"columns": ["message"], "rows": [["one"]]}, False),
        ([{}], True),
        ([[]], True),
        ([1], False),
        ([], False),
        ([{"field": "@message", "value": "one"}], False),
        ([{"field": "@ptr", "value": "one"}], True),
        ("one", False),
        (None, False),
    ],
    ids=repr,
)
def test_what_may_hold_entries(value: Any, *, expected: bool) -> None:
    """An object or a list around others may, unless it is an entry or a table itself."""
    assert holds_entries(value) is expected
