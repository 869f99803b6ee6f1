"""Bracketed lines are written by the table, and parsed again."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flash_otel import semconv as sc
from flash_otel.lines import format as line_format
from flash_otel.lines.format import _PIECES, ParsedLine, due, format_lines, parse
from flash_otel.lines.table import ATTRIBUTES, END, LINES, MARK, ROWS, START

ANY_TEXT = st.text(st.characters(), min_size=1, max_size=20)
# Values that look like syntax: marks, null words, arrows, escapes.
TRAPS = st.sampled_from(
    [
        "(null)", "None", "NONE", "EMPTY", "...", "a...", "[DEPLOY] x", "STATE MANAGER: y", "a, b",
        "\x1b[31mred", "a\nb", "\\x41", "\\", "→", "->", "x activated with build_id=y", "]", "}",
        "📤 DEPLOY:", "flash_otel {", "\ud800", "\u202e", " ", "' \"", "prod", "my env",
    ]
)  # fmt: skip
TEXTS = st.one_of(ANY_TEXT, TRAPS, st.tuples(TRAPS, ANY_TEXT, TRAPS).map("".join))
LISTS = st.lists(TEXTS, max_size=5).map(tuple)
FIELD_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "endpoint_count": st.integers(0, 10**8),
    "endpoint_names": LISTS,
    "manifest_keys": LISTS,
    "endpoints": st.dictionaries(TEXTS, st.one_of(st.none(), TEXTS), max_size=4),
}
FIELD_NAMES = {line.key: [n for n in ATTRIBUTES if f"{{{n}" in line.template] for line in LINES}


@st.composite
def parsed_lines(draw: st.DrawFn) -> ParsedLine:
    key = draw(st.sampled_from([line.key for line in LINES]))
    fields = {
        name: draw(FIELD_VALUES.get(name, st.one_of(st.none(), TEXTS))) for name in FIELD_NAMES[key]
    }
    listed = [name for name, value in fields.items() if isinstance(value, (tuple, dict)) and value]
    cut = draw(st.sets(st.sampled_from(listed))) if listed else set()
    return ParsedLine(key, fields, frozenset(cut))


def format_line(parsed: ParsedLine) -> str:
    """Write a parsed line again, field by field."""
    return "".join(
        piece.write(parsed.fields.get(piece.name), cut=piece.name in parsed.cut)
        for piece in _PIECES[parsed.key]
    )


@given(parsed_lines())
def test_lines_round_trip(parsed: ParsedLine) -> None:
    """Every line with any values is parsed to the same values, and written to the same text."""
    text = format_line(parsed)
    assert parse(text) == parsed
    read = parse(text)
    assert read is not None
    assert format_line(read) == text


def test_writing_compiles_no_pattern() -> None:
    """A traced process, which writes lines and reads none, does not wait for the patterns."""
    compiled = (line_format._rows, line_format._fields)
    for each in compiled:
        each.cache_clear()
    text = format_line(ParsedLine("activated", {"environment_name": "prod", "build_id": "b"}))
    assert [each.cache_info().currsize for each in compiled] == [0, 0]
    assert parse(text) is not None
    assert [each.cache_info().currsize for each in compiled] == [1, 1]


@given(parsed_lines())
def test_no_value_leaves_its_line(parsed: ParsedLine) -> None:
    """No control character is written, only mappings have several lines, and each has one mark."""
    text = format_line(parsed)
    parts = text.split("\n") if "endpoints" in parsed.fields else [text]
    assert all(part.isprintable() for part in parts)
    assert len(MARK.findall(text)) == 1
    assert text.startswith("[")


@given(parsed_lines(), st.sampled_from(["ascii", "cp1252", "latin-1", "utf-8"]))
def test_a_narrow_stream_loses_nothing(parsed: ParsedLine, encoding: str) -> None:
    """Characters that an encoding lacks are escaped, and parsed to the same values."""
    text = format_line(parsed).encode(encoding, "backslashreplace").decode(encoding)
    assert parse(text) == parsed


@given(parsed_lines(), st.integers(0, 200))
def test_a_cut_line_has_no_other_values(parsed: ParsedLine, length: int) -> None:
    """A cut line has the values of the whole line, fewer, or values marked as cut."""
    # In a cut line, a value that holds the words before the next one cannot be told from two.
    _, *between, _ = re.split(r"\{[^}]*\}", ROWS[parsed.key].template)
    values = [str(value) for value in parsed.fields.values()]
    assume(not any("=" in words and words in value for words in between for value in values))
    text = format_line(parsed)
    half = parse(text[:length])
    if half is None or length >= len(text):
        return
    assert half.key == parsed.key
    doubtful = half.cut | {half.last}
    for name, value in half.fields.items():
        assert value == parsed.fields[name] or name in doubtful


@given(st.text(st.characters(), max_size=80), st.text(st.characters(), max_size=80))
def test_any_text_is_read_without_an_error(before: str, after: str) -> None:
    """Any text before and after a mark can be parsed."""
    parse(before)
    for line in LINES:
        parse(before + line.template.split("{", maxsplit=1)[0] + after)


UPLOAD = {
    sc.BUILD_ID: "abc-123",
    sc.ENVIRONMENT_ID: "env-456",
    sc.ENDPOINT_COUNT: 2,
    sc.ENDPOINT_NAMES: ("gpu", "cpu"),
    sc.ENDPOINT_URLS: ("https://a", "https://b"),
    sc.MANIFEST_KEYS: ("resources_endpoints", "functions"),
}
READ = {
    sc.BUILD_ID: "abc-123",
    sc.ENVIRONMENT_ID: "env-456",
    sc.MANIFEST_STATE: sc.MANIFEST_COMPLETE,
    sc.MANIFEST_KEYS: ("resources_endpoints", "functions"),
    sc.ENDPOINT_COUNT: 2,
    sc.ENDPOINT_NAMES: ("gpu", "cpu"),
}
KEYS = "['resources_endpoints', 'functions']"
MAPPING = json.dumps({"gpu": "https://a", "cpu": "https://b"}, indent=2)
UPLOADING = (
    "[DEPLOY SYNC] Uploading manifest to State Manager - build_id=abc-123, environment_id=env-456"
)
MISSING = "[STATE MANAGER] Manifest MISSING resources_endpoints! Full manifest keys: ['functions']"
ACTIVE = "[STATE MANAGER] environment_id=env-456 → activeBuildId=abc-123"
LACKING = {
    name: value
    for name, value in READ.items()
    if name not in {sc.ENDPOINT_COUNT, sc.ENDPOINT_NAMES}
} | {sc.MANIFEST_KEYS: ("functions",), sc.MANIFEST_STATE: sc.MANIFEST_INCOMPLETE}


@pytest.mark.parametrize(
    ("span", "moment", "attributes", "expected"),
    [
        (
            sc.ACTIVATE,
            END,
            {sc.ENVIRONMENT_NAME: "prod", sc.BUILD_ID: "abc-123", sc.OUTCOME: sc.RETURNED},
            ["[DEPLOY] Environment prod activated with build_id=abc-123"],
        ),
        (
            sc.MANIFEST_UPLOAD,
            START,
            UPLOAD,
            [
                f"[DEPLOY SYNC] resources_endpoints mapping: {MAPPING}",
                UPLOADING,
                f"[DEPLOY SYNC] Manifest contains resources_endpoints: {MAPPING}",
            ],
        ),
        (
            sc.MANIFEST_UPLOAD,
            END,
            UPLOAD | {sc.OUTCOME: sc.RETURNED, sc.FAULT: sc.MANIFEST_NOT_PERSISTED},
            [
                "[STATE MANAGER] GraphQL mutation succeeded for build_id=abc-123",
                f"[STATE MANAGER] Uploaded manifest with keys: {KEYS}",
                "[STATE MANAGER] Uploaded 2 endpoints: ['gpu', 'cpu']",
            ],
        ),
        (
            sc.RUNTIME_FETCH,
            START,
            {sc.ENVIRONMENT_ID: "env-456", sc.WORKER_ENVIRONMENT_ID: "env-456"},
            [
                "[RUNTIME SYNC] Querying State Manager with environment_id=env-456",
                "[RUNTIME SYNC] FLASH_ENVIRONMENT_ID=env-456, RUNPOD_ENDPOINT_ID=(null)",
            ],
        ),
        (
            sc.MANIFEST_FETCH,
            END,
            READ,
            [
                ACTIVE,
                f"[STATE MANAGER] Retrieved build abc-123, manifest keys: {KEYS}",
                "[STATE MANAGER] Manifest has 2 endpoints: ['gpu', 'cpu']",
            ],
        ),
        (
            sc.MANIFEST_FETCH,
            END,
            LACKING,
            [
                ACTIVE,
                "[STATE MANAGER] Retrieved build abc-123, manifest keys: ['functions']",
                MISSING,
            ],
        ),
        (
            sc.RUNTIME_FETCH,
            END,
            READ,
            [
                f"[RUNTIME SYNC] Received manifest with keys: {KEYS}",
                "[RUNTIME SYNC] resources_endpoints contains 2 entries: ['gpu', 'cpu']",
            ],
        ),
        (
            sc.RUNTIME_FETCH,
            END,
            LACKING,
            [
                "[RUNTIME SYNC] Received manifest with keys: ['functions']",
                "[RUNTIME SYNC] resources_endpoints contains 0 entries: EMPTY",
            ],
        ),
    ],
)
def test_the_lines_of_each_span(
    span: str, moment: str, attributes: dict[str, Any], expected: list[str]
) -> None:
    """Each span writes exactly the guide's lines, in the order of events."""
    assert format_lines(span, moment, attributes) == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({sc.ENVIRONMENT_ID: "env-456", sc.OUTCOME: sc.FAILED}, []),
        (
            {sc.ENVIRONMENT_ID: "env-456", sc.ENVIRONMENT_STATE: sc.ENVIRONMENT_NO_ACTIVE_BUILD},
            ["[STATE MANAGER] environment_id=env-456 → activeBuildId=(null)"],
        ),
        ({sc.ENVIRONMENT_ID: "env-456", sc.ENVIRONMENT_STATE: sc.ENVIRONMENT_NULL}, []),
        ({sc.ENVIRONMENT_ID: "env-456", sc.BUILD_ID: "abc-123"}, [ACTIVE]),
        (
            {
                sc.ENVIRONMENT_ID: "env-456",
                sc.BUILD_ID: "abc-123",
                sc.MANIFEST_STATE: sc.MANIFEST_NULL,
            },
            [ACTIVE, "[STATE MANAGER] Retrieved build abc-123, manifest keys: NONE"],
        ),
    ],
)
def test_an_incomplete_read(attributes: dict[str, Any], expected: list[str]) -> None:
    """A read writes the lines up to the point that it reached."""
    assert format_lines(sc.MANIFEST_FETCH, END, attributes) == expected


@pytest.mark.parametrize("outcome", [sc.FAILED, sc.CANCELLED, sc.UNKNOWN])
@pytest.mark.parametrize("span", [sc.ACTIVATE, sc.MANIFEST_UPLOAD])
def test_a_write_that_did_not_return_claims_nothing(span: str, outcome: str) -> None:
    """A failed, cancelled or lost call writes no line of success."""
    assert format_lines(span, END, UPLOAD | {sc.OUTCOME: outcome}) == []


def test_an_unset_environment_is_null() -> None:
    """A worker without FLASH_ENVIRONMENT_ID prints `(null)` for it."""
    assert format_lines(sc.RUNTIME_FETCH, START, {})[1] == (
        "[RUNTIME SYNC] FLASH_ENVIRONMENT_ID=(null), RUNPOD_ENDPOINT_ID=(null)"
    )


def test_a_truncated_list_keeps_its_count() -> None:
    """A truncated list ends in the guide's `...]`, and the count is that of all endpoints."""
    cut = READ | {sc.ENDPOINT_COUNT: 5000, sc.TRUNCATED: (sc.ENDPOINT_NAMES,)}
    line = format_lines(sc.RUNTIME_FETCH, END, cut)[1]
    assert line == "[RUNTIME SYNC] resources_endpoints contains 5000 entries: ['gpu', 'cpu', ...]"
    read = parse(line)
    assert read is not None
    assert read.cut == {"endpoint_names"}


def test_only_the_missing_mapping_is_a_warning() -> None:
    """The level of every line but the one about missing endpoints is INFO."""
    levels = {line.key: line.level for line in LINES}
    assert levels.pop("missing_endpoints") == logging.WARNING
    assert set(levels.values()) == {logging.INFO}


def test_other_spans_have_no_lines() -> None:
    """A span without lines in the table writes nothing."""
    assert list(due(sc.CALL, START, UPLOAD)) == []


MOJIBAKE = "→".encode().decode("cp1252")


@pytest.mark.parametrize("arrow", ["→", MOJIBAKE, "?", "->", "-->", "=>", "\\u2192", "\ufffd"])
def test_any_arrow_is_accepted(arrow: str) -> None:
    """Both ids are parsed even if an encoding has replaced the arrow."""
    for space in (" ", ""):
        if arrow in {"?", "\\u2192"} and not space:
            continue
        read = parse(f"[STATE MANAGER] environment_id=e-1{space}{arrow}{space}activeBuildId=b-2")
        assert read is not None
        assert read.fields == {"environment_id": "e-1", "build_id": "b-2"}


@pytest.mark.parametrize(
    ("text", "key", "fields"),
    [
        (
            "12:00:01 | INFO | [RUNTIME SYNC]: Querying State Manager with environment_id=e",
            "querying",
            {"environment_id": "e"},
        ),
        (
            "📤 DEPLOY SYNC: Uploading manifest to State Manager - build_id=b, environment_id=e",
            "uploading",
            {"build_id": "b", "environment_id": "e"},
        ),
        ("[DEPLOY] Environment activated with build_id=b", "activated", {"build_id": "b"}),
        ("[STATE MANAGER] Uploaded X endpoints", "uploaded_endpoints", {}),
        ("[DEPLOY SYNC] Uploading manifest to State Manager...", "uploading", {}),
        (
            "[RUNTIME SYNC] FLASH_ENVIRONMENT_ID=None, RUNPOD_ENDPOINT_ID=None",
            "worker",
            {"worker_environment_id": None, "worker_endpoint_id": None},
        ),
        ("[STATE MANAGER] Manifest MISSING resources_endpoints!", "missing_endpoints", {}),
    ],
)
def test_the_forms_of_old_logs(text: str, key: str, fields: dict[str, Any]) -> None:
    """Lines with prefixes, colons or emoji, and the guide's own samples, are parsed."""
    read = parse(text)
    assert read is not None
    assert (read.key, read.fields) == (key, fields)


def test_other_texts_are_not_lines() -> None:
    """A mark before an unknown text, or a text without a mark, is not a line."""
    assert parse("[DEPLOY] Environment prod is being created") is None
    assert parse("build_id=abc") is None
