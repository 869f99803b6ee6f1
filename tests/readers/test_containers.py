"""Logs in every form that people export them in give the same records."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readers.exports import EXPORTS, NAIVE, WHOLE, journal_export
from readers.scenes import LATER_NS, SCENES, judged
from readers.scenes import timed as timed_scene

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers import NothingFoundError, json_values, open_reader
from flash_otel.diagnosis.readers.containers import container_of
from flash_otel.diagnosis.readers.json_values import JsonSplitter
from flash_otel.diagnosis.readers.log_entry import Unwrapped, time_of
from flash_otel.diagnosis.readers.log_fields import entries_in
from flash_otel.diagnosis.readers.log_scan import unwrap
from flash_otel.diagnosis.readers.log_text import LoggedLine, LogLines
from flash_otel.lines.format import format_lines, parse
from flash_otel.lines.table import END, START
from flash_otel.otlp.encode import encode_log_line
from flash_otel.records import LINES_CLOCK, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGIN_NS = 1_795_860_001_000_000_000
STEP_NS = 50_000_000
UPLOAD = {
    sc.BUILD_ID: "0c069c1f-9ac9-48ed-9f76-d79799af0cc2",
    sc.ENVIRONMENT_ID: "0483bffc-9a48-4e1b-bdcc-861ee2a2bd58",
    sc.ENVIRONMENT_NAME: "my env",
    sc.ENDPOINT_COUNT: 2,
    sc.ENDPOINT_NAMES: ("gpu", 'it\'s "cpu"'),
    sc.ENDPOINT_URLS: ("https://a/v2/abc", "https://b/v2/def"),
    sc.MANIFEST_KEYS: ("resources_endpoints", "functions"),
    sc.OUTCOME: sc.RETURNED,
}
READ = UPLOAD | {sc.MANIFEST_STATE: sc.MANIFEST_COMPLETE, sc.WORKER_ENVIRONMENT_ID: "e-1"}
ALL = [
    *format_lines(sc.ACTIVATE, END, UPLOAD),
    *format_lines(sc.MANIFEST_UPLOAD, START, UPLOAD),
    *format_lines(sc.MANIFEST_UPLOAD, END, UPLOAD),
    *format_lines(sc.RUNTIME_FETCH, START, READ),
    *format_lines(sc.MANIFEST_FETCH, END, READ),
    *format_lines(sc.RUNTIME_FETCH, END, READ),
]
SPAN = SpanRecord(
    trace_id="ab" * 16,
    span_id="cd" * 8,
    parent_span_id=None,
    name=sc.RUNTIME_FETCH,
    kind="internal",
    start_ns=1,
    end_ns=2,
    attributes={sc.ENVIRONMENT_ID: "env-456", sc.ENDPOINT_NAMES: ('a "b"', "c\\d, e")},
    scope_name=sc.SCOPE_NAME,
)


def timed(texts: list[str], *, whole: bool = False) -> list[tuple[int, str]]:
    """Return entries, one for each line or, if `whole`, one for each text."""
    lines = texts if whole else [line for text in texts for line in text.split("\n")]
    return [(BEGIN_NS + at * STEP_NS, line) for at, line in enumerate(lines)]


def records(folder: Path, data: bytes, chunk: int = 1 << 20) -> list[SpanRecord]:
    path = folder / "given"
    path.write_bytes(data)
    return list(open_reader(path, chunk).records())


@pytest.mark.parametrize("chunk", [13, 1 << 20])
@pytest.mark.parametrize("name", list(EXPORTS))
def test_every_export_gives_the_same_records(tmp_path: Path, name: str, chunk: int) -> None:
    """Values, order and count of the records do not depend on the export."""
    texts = ["built shop  8 files", *ALL, "done, in 3 s"]
    expected = records(tmp_path, EXPORTS["plain"](timed(texts)))
    assert [record.name for record in expected] == [
        sc.ACTIVATE, sc.MANIFEST_UPLOAD, sc.RUNTIME_FETCH, sc.MANIFEST_FETCH,
    ]  # fmt: skip
    found = records(tmp_path, EXPORTS[name](timed(texts)), chunk)
    assert [record.attributes for record in found] == [record.attributes for record in expected]


BEFORE = {
    "a warning": b"WARNING: unverified certificate, use --cacert\n",
    "a blank line": b'Defaulted container "app" out of: app, side\r\n\r\n',
    "a command": b'$ logs --json, now\n["a", "list"]\n',
}
# Known by what is no longer at their beginning: their encoding, a separator, names of columns.
BEGINNING = ("gzip", "utf-16", "gelf", "journald, pretty", "csv, unknown", "csv, no", "csv, text")


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize(
    "name", [name for name in EXPORTS if not any(kind in name for kind in BEGINNING)]
)
def test_an_export_behind_other_lines(tmp_path: Path, name: str, before: str) -> None:
    """What a program prints before it exports, such as a warning, hides nothing."""
    data = EXPORTS[name](timed(ALL))
    expected = records(tmp_path, data)
    for chunk in (13, 1 << 20):
        found = records(tmp_path, BEFORE[before] + data, chunk)
        assert [record.attributes for record in found] == [record.attributes for record in expected]
        assert [record.start_ns for record in found] == [record.start_ns for record in expected]


def test_lines_before_an_export_are_counted(tmp_path: Path) -> None:
    """An origin has the line of the file, with those before the export."""
    data = BEFORE["a blank line"] + EXPORTS["grafana, pretty"](timed(ALL))
    (record, *_) = records(tmp_path, data)
    number = int(record.origin.rpartition(":")[2])
    assert data.split(b"\n")[number - 1].strip() == b"{"
    compact = EXPORTS["grafana"](timed(["noise", ALL[0]]))
    (record,) = records(tmp_path, BEFORE["a blank line"] + compact)
    assert record.origin.endswith(":2"), "on one line, the entries are counted"


def test_a_list_that_a_log_prints_is_no_export(tmp_path: Path) -> None:
    """The lines behind it are those of a plain log, whose ends are proven."""
    plain = EXPORTS["plain"](timed(ALL))
    for printed in (
        b'[{"Id": "0c06", "Names": ["a"]}]\n',
        b'{\n  "region": "eu"\n}\n',
        b"message, 1\n",
        b'  File "/srv/app.py", line\n15, in main\n    start()\n',
        b'["warning", region] it is unset\n',
    ):
        found = records(tmp_path, b"deploying\n" + printed + plain)
        expected = records(tmp_path, plain)
        assert [record.attributes for record in found] == [record.attributes for record in expected]


@pytest.mark.parametrize("name", [name for name in EXPORTS if "3164" not in name])
def test_every_export_keeps_the_times(tmp_path: Path, name: str) -> None:
    """Each record begins at its first line's time, to the export's own resolution."""
    found = records(tmp_path, EXPORTS[name](timed(ALL)))
    assert (found[0].start_ns - BEGIN_NS) // 1_000 in range(-1, 2)
    assert found[0].resource[LINES_CLOCK] == ("naive" if name in NAIVE else "zoned")


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_an_event_of_several_lines(tmp_path: Path, name: str) -> None:
    """A mapping, or all lines of a process, may be a single event."""
    expected = [record.attributes for record in records(tmp_path, EXPORTS["plain"](timed(ALL)))]
    for texts in (ALL, ["\n".join(["noise", *ALL, "noise"])]):
        found = records(tmp_path, EXPORTS[name](timed(texts, whole=True)))
        assert [record.attributes for record in found] == expected


@pytest.mark.parametrize("name", EXPORTS)
def test_a_worker_s_span_is_read_from_every_export(tmp_path: Path, name: str) -> None:
    """A line of OTLP JSON is found whatever the export escapes."""
    text = encode_log_line(SPAN).rstrip("\n")
    (found,) = records(tmp_path, EXPORTS[name](timed(["Starting worker", text, "ready"])))
    assert found.attributes == SPAN.attributes
    assert found.key == SPAN.key


def test_an_entry_is_named_by_its_line_or_by_its_number(tmp_path: Path) -> None:
    """An origin has the line; in a document on one line, the entry's number."""
    entries = timed(["noise", ALL[0]])
    pretty, compact = EXPORTS["grafana, pretty"](entries), EXPORTS["grafana"](entries)
    (record,) = records(tmp_path, pretty)
    number = int(record.origin.rpartition(":")[2])
    assert pretty.split(b"\n")[number - 1].strip() == b"{"
    (record,) = records(tmp_path, compact)
    assert record.origin.endswith(":2")


@pytest.mark.parametrize(
    "name", [name for name in EXPORTS if name.startswith(("gra", "loki", "el"))]
)
@given(share=st.floats(0.1, 1))
@settings(max_examples=15)
def test_a_document_that_was_cut_off(name: str, share: float) -> None:
    """The entries before the cut are read; the rest gives no values of its own."""
    data = EXPORTS[name](timed(ALL))
    whole = [line.parsed for line in _logged(data)]
    cut = [line.parsed for line in _logged(data[: int(len(data) * share)])]
    for line in cut:
        proven = {key: value for key, value in line.fields.items() if key not in line.cut}
        assert any(
            line.key == other.key and proven.items() <= other.fields.items() for other in whole
        )


def _logged(data: bytes) -> list[LoggedLine]:
    lines = LogLines(container_of(data)).read([data])
    return [line for line in lines if isinstance(line, LoggedLine)]


UNKNOWN = {
    "json": (b'{"a": 1, "b": ["x"]}\n', "a JSON document"),
    "json array": (b'[{"severity": "x"}]', "a JSON document"),
    "csv": (b"time,message\n1,nothing\n", "a table with the columns time, message"),
    "text": (b"hello\nworld\n", "text without a bracketed line"),
}


@pytest.mark.parametrize(("data", "kind"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_format_is_named(tmp_path: Path, data: bytes, kind: str) -> None:
    """The error names the format and shows the first line."""
    with pytest.raises(NothingFoundError, match=kind) as raised:
        records(tmp_path, data)
    assert data.decode().splitlines()[0] in str(raised.value)


PLAIN = {
    "bracketed": "\n".join(ALL).encode(),
    "json lines": EXPORTS["docker"](timed(ALL)),
    "text with commas": b"Starting, now\n",
    "one word": b"message\n",
    "empty": b"",
}


@pytest.mark.parametrize("data", PLAIN.values(), ids=PLAIN)
def test_lines_need_no_container(data: bytes) -> None:
    """Logs in which each line stands for itself are searched without parsing all of it."""
    assert container_of(data) is None


# --- the parsers -------------------------------------------------------------------------------

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    stream = io.BytesIO(data)
    while chunk := stream.read(size):
        yield chunk


def leaves(value: Any) -> list[str]:
    if isinstance(value, (dict, list)):
        inner = value.values() if isinstance(value, dict) else value
        return [leaf for item in inner for leaf in leaves(item)]
    return [value] if isinstance(value, str) and value else []


@given(
    st.lists(st.lists(JSON, max_size=4) | st.dictionaries(st.text(max_size=4), JSON), max_size=4),
    st.sampled_from([None, 0, 2]),
    st.integers(1, 30),
)
def test_any_json_is_split_into_its_values(
    values: list[Any], indent: int | None, size: int
) -> None:
    """Concatenated values are decoded as `json` does, in chunks of any size."""
    data = "\n".join(json.dumps(value, indent=indent) for value in values).encode()
    found = list(JsonSplitter(pieces(data, size)).values())
    assert [item.value for item in found] == values
    assert all(item.is_json for item in found)


EVENTS = st.dictionaries(st.sampled_from(["a", "m"]), st.text('a"\\ \n', max_size=6))


@given(st.lists(EVENTS, max_size=30))
def test_a_large_array_is_entered(values: list[Any]) -> None:
    """Values within one that is too large to be decoded at once come one by one."""
    data = json.dumps({"meta": {"pod": "w"}, "events": values, "x": 1}).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_values, "LARGEST", 60)
        patch.setattr(json_values, "_SMALL", 60)
        found = list(JsonSplitter(pieces(data, 8)).values())
    if len(data) > 200:
        inner = [item.value for item in found if item.value != {"pod": "w"}]
        assert [leaf for item in inner for leaf in leaves(item)] == leaves(values)


@given(st.binary(max_size=200), st.integers(1, 50))
def test_no_bytes_raise(data: bytes, size: int) -> None:
    """Any bytes, in any container, are read without an error."""
    for head in (b"[{", b'{"message": "', b"time,message\n", b'"message"\n"', b""):
        list(LogLines(container_of(head + data)).read(pieces(head + data, size)))


@given(JSON)
def test_any_value_is_searched_for_entries(value: Any) -> None:
    """Any JSON value is searched without an error."""
    list(entries_in(value, Unwrapped("")))


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@given(st.lists(TEXTS, min_size=1, max_size=5), st.sampled_from([",", "\t", ";"]))
def test_any_text_of_a_table_comes_back(texts: list[str], delimiter: str) -> None:
    """A table's quoting is undone, whatever its texts hold."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([["time", "message"], *(["2026-01-01T00:00:00Z", text] for text in texts)])
    data = stream.getvalue().encode()
    container = container_of(data)
    assert container is not None
    assert [entry.text for _, entry in container.entries([data])] == texts


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("text", ["[DEPLOY] a, X", '[DEPLOY] "a", "b"', "[DEPLOY] ,,", "[DEPLOY]"])
def test_any_text_of_a_table_without_quotes_comes_back(text: str, end: str) -> None:
    """Delimiters and quotes of the last column are its own, up to the line's end."""
    data = f"time,message{end}2026-01-01T00:00:00Z,{text}{end}".encode()
    container = container_of(data)
    assert container is not None
    assert [entry.text for _, entry in container.entries([data])] == [text]


@given(TEXTS, TEXTS)
def test_any_text_of_logfmt_comes_back(before: str, after: str) -> None:
    """Logfmt's quoting is undone, and then whatever else the text is wrapped in."""
    text = f"{before}[DEPLOY] {after}"
    line = f"time=2026-01-01T00:00:00Z level=info msg={json.dumps(text)} n=1"
    assert unwrap(line).text == unwrap(text).text


@pytest.mark.parametrize("other", [5, 0, 1.5, True, None, [], [5, "a"], [256], {}])
def test_a_message_that_is_no_text(other: Any) -> None:
    """A field with the name of a message is none, and the text is that of another field."""
    assert unwrap(json.dumps({"message": other, "log": "[DEPLOY] x"})).text == "[DEPLOY] x"


def test_a_quoted_text_of_logfmt_comes_back() -> None:
    """A text that is itself in quotes is JSON's string, and these quotes are undone, too."""
    line = f"level=info msg={json.dumps(json.dumps('[DEPLOY] x'))}"
    assert unwrap(line).text == "[DEPLOY] x"


@given(st.lists(st.text(max_size=20), max_size=5), st.integers(1, 30), st.booleans())
def test_any_text_of_a_journal_comes_back(texts: list[str], size: int, is_binary: bool) -> None:
    """A field with a length before it may hold anything, and is read from chunks of any size."""
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    wanted = [text for text in texts if is_binary or not set(text) & {"\r", "\n"}]
    data = journal_export([(BEGIN_NS, text) for text in wanted], is_binary=is_binary)
    container = container_of(data or b"__CURSOR=1\n")
    assert container is not None
    found = [entry.text for _, entry in container.entries(pieces(data, size))]
    assert found == [text.rstrip("\r\n") for text in wanted]


def test_bytes_of_a_journal_that_are_no_text() -> None:
    """They are replaced, and the rest of the message is read."""
    data = b"__CURSOR=1\n__REALTIME_TIMESTAMP=1795860001000000\nMESSAGE=a \xff b\n\n"
    container = container_of(data)
    assert container is not None
    assert [entry.text for _, entry in container.entries([data])] == ["a \ufffd b"]


def test_a_field_of_a_journal_whose_length_is_damaged() -> None:
    """It costs its own line; the entries behind it are read."""
    damaged = b"__CURSOR=s=1;i=1\nMESSAGE\n" + b"\xff" * 8 + b"\n\n"
    whole = journal_export([(BEGIN_NS, "[DEPLOY] x")])
    container = container_of(damaged + whole)
    assert container is not None
    assert [entry.text for _, entry in container.entries([damaged + whole])] == ["", "[DEPLOY] x"]


@given(st.binary(max_size=80), st.integers(1, 20))
def test_no_journal_raises(data: bytes, size: int) -> None:
    """Fields without a whole length, or with an impossible one, are left out."""
    for head in (
        b"__CURSOR=1\nMESSAGE\n",
        b"Sat 2026-11-28 10:00:09.1 UTC [s=a;i=1]\n    MESSAGE=",
    ):
        whole = head + data
        list(LogLines(container_of(whole)).read(pieces(whole, size)))


@given(st.lists(TEXTS, min_size=1, max_size=4), st.sampled_from([",", "\t", ";", "|"]))
def test_a_table_is_known_by_its_rows(texts: list[str], delimiter: str) -> None:
    """Without a known name, the column of bracketed lines is found beside one of times."""
    stream = io.StringIO()
    rows = [["2026-01-01T00:00:00Z", "w", f'[DEPLOY] "{text}{delimiter}'] for text in texts]
    csv.writer(stream, delimiter=delimiter).writerows([["when", "who", "what"], *rows, rows[0]])
    data = stream.getvalue().encode()
    container = container_of(data)
    assert container is not None
    found = [entry.text for _, entry in container.entries([data])]
    assert found == ["what", *(row[2] for row in (*rows, rows[0]))]


@given(TEXTS, st.sampled_from(["=>", ":"]))
def test_any_text_of_fluent_bit_comes_back(text: str, arrow: str) -> None:
    """The fields of both of its outputs are read, whatever their strings hold."""
    fields = f'{{"log"{arrow}{json.dumps(text + "x")}, "n"{arrow}1}}'
    for line in (f"[0] a.b: [1795860001.5, {fields}]", f"a: [[1795860001.5, {{}}], {fields}]"):
        known = Unwrapped("", time_ns=1_795_860_001_500_000_000, zoned=True)
        assert unwrap(line) == unwrap(f"{text}x", known)


@given(TEXTS)
def test_any_text_of_a_yaml_document_comes_back(text: str) -> None:
    """Quotes within a quoted scalar are doubled."""
    text = f"[DEPLOY] {text}x"
    quoted = text.replace("'", "''")
    assert unwrap(f"  textPayload: '{quoted}'").text == text


def test_logplex_leaves_the_structured_data_out() -> None:
    """A mark in brackets is not taken for structured data."""
    line = "<190>1 2026-01-01T00:00:00+00:00 host app worker.1 - [DEPLOY] Environment x"
    for text in (line, f"{len(line)} {line}"):
        assert unwrap(text).text == "[DEPLOY] Environment x"
        assert unwrap(text).stream == "host app[worker.1]"


def test_the_order_of_a_date_with_slashes() -> None:
    """Day and month are told apart where they can be; elsewhere, the zone is not relied on."""
    assert time_of("28/11/2026 10:00:09 Z") == (1_795_860_009 * 10**9, True)
    assert time_of("11/28/2026, 10:00:09 PM") == (1_795_903_209 * 10**9, False)
    assert time_of("11/12/2026 10:00:09 Z")[1] is False


@given(TEXTS)
def test_any_text_of_syslog_comes_back(text: str) -> None:
    """The header and structured data of RFC 5424 are taken off."""
    line = f'<1>1 2026-01-01T00:00:00Z h app 1 - [a b="c \\"]"][d] {text}x'
    assert unwrap(line) == Unwrapped(f"{text}x", "h app[1]", 1_767_225_600_000_000_000, zoned=True)


def test_rsyslog_s_octal_numbers_are_line_ends() -> None:
    """A mapping that rsyslog wrote on one line has its lines again."""
    mapping = ALL[1].replace("\n", "#012")
    data = f"Nov 28 10:00:09 vm flash[42]: {mapping}\n".encode()
    (line,) = _logged(data)
    assert line.parsed == parse(ALL[1])


def test_more_forms_of_times() -> None:
    """Times by the names of months, with any offset from UTC, and syslog's without a year."""
    base = 1_795_860_009 * 10**9
    assert time_of("Nov 28, 2026 @ 10:00:09.500") == (base + 500_000_000, False)
    assert time_of("28/Nov/2026:12:00:09 +0200") == (base, True)
    for zone, clock in (("+05:30", "15:30"), ("-0345", "06:15"), (" UTC", "10:00")):
        assert time_of(f"2026-11-28T{clock}:09{zone}") == (base, True)
    assert time_of("2026/11/28 10:00:09") == (base, False)
    first, second = time_of("Nov  8 10:00:09 vm x[1]: y")[0], time_of("Nov 28 10:00:09 vm")[0]
    assert first is not None
    assert second is not None
    assert second - first == 20 * 86_400 * 10**9


@pytest.mark.parametrize("name", ["buildkite", "azure query", "fluent-bit stdout"])
def test_the_times_of_a_service_decide(tmp_path: Path, name: str) -> None:
    """A read without endpoints after the upload is decided by the times around the lines."""
    deployed, read_ = SCENES["no endpoints"]
    logs = timed_scene(deployed), timed_scene(read_, BEGIN_NS + LATER_NS)
    assert judged(tmp_path, *map(EXPORTS[name], logs))[0] == sc.MANIFEST_NOT_PERSISTED


@pytest.mark.parametrize(("end", "is_cut"), [('"', False), ("", True)])
def test_an_open_quote_of_logfmt_cuts_its_text(end: str, *, is_cut: bool) -> None:
    """The end of a text is proven by its quote."""
    line = f'time=2026-11-27T10:00:01Z level=info msg="{ALL[0]}{end}'
    assert unwrap(line, Unwrapped("")).cut == is_cut


# --- which container a file is --------------------------------------------------------------------

ARRAY = b'[{"m": "[DEPLOY] a"}, {"m": "b"}]'
JOURNAL = b"__CURSOR=1\nMESSAGE=[DEPLOY] a\n"
JSON_KIND = "a JSON document"
EXPORT_KIND = "a journal in systemd's export format"
TABLE_KIND = "a table with the columns time, message"


@pytest.mark.parametrize(
    ("head", "description"),
    [
        (ARRAY, JSON_KIND),
        (b"\xef\xbb\xbf \r\n" + ARRAY, JSON_KIND),
        (b"\xff\n" + ARRAY, JSON_KIND),
        (b'{"n": 1,\n"log": "[DEPLOY] a"}', JSON_KIND),
        (b'{"a": 1}', JSON_KIND),
        (b'{ "a": 1', JSON_KIND),
        (b'["a"]', JSON_KIND),
        (b"[ [1]]", JSON_KIND),
        (b"[1]", None),
        (b"{'a': 1}", None),
        (b"{}", None),
        (b"[text] x", None),
        (b'{"log": "a"}\n{"log": "[DEPLOY] b"}', None),
        (b'{"log": "[DEPLOY] a"}', None),
        (JOURNAL, EXPORT_KIND),
        (b"Sat 2026-11-28 10:00:09 UTC [s=a]\n", "a journal in systemd's verbose format"),
        (b"time,message\n", TABLE_KIND),
        (b"X,message\n", "a table with the columns X, message"),
        # Behind other lines, as far as the first mark is in it.
        (b"x\n" + ARRAY, JSON_KIND),
        (b"x\r\n\n\ny\n" + JOURNAL, EXPORT_KIND),
        (b"x\ntime,message\n1,[DEPLOY] a\n", TABLE_KIND),
        (b"a long line\ntime,message\n1,[DEPLOY] a\nb\nc\n", TABLE_KIND),
        (b"x\n" * 8 + JOURNAL, EXPORT_KIND),
        (b"\n\n" + b"x\n" * 8 + JOURNAL, EXPORT_KIND),
        (b"x\n" * 9 + JOURNAL, None),
        (b"x\n__CURSOR=1\nMESSAGE=a\n", None),
        (b"x\n[DEPLOY] a\n" + JOURNAL, None),
        (b"[DEPLOY] a\n" + ARRAY, None),
        (b'x\n{"log": "[DEPLOY] a"}\n', None),
        (b'x\n{"a": 1} {"log": "[DEPLOY] a"}\n', None),
        (b'x\n[{"a": 1}]\n[DEPLOY] x\n', None),
        (b'x\n[{"a": 1},\n[DEPLOY] x\n', None),
        (b'x\n[{"a": 1},\n"[DEPLOY] x",\n', JSON_KIND),
        (b'x\n{"a": ["b",\n  {"log": "[DEPLOY] a"}]}', JSON_KIND),
        (b'x\n{"a": [\n  [{"log": "[DEPLOY] a"}]]}', JSON_KIND),
        (b'x\n["warning", region]\n[DEPLOY] a\n', None),
        (b'x\n["a", "b"]\n' + ARRAY, JSON_KIND),
        (b"x\n" + b"[" * 5000 + b'"[DEPLOY] a"', None),
    ],
)
def test_a_file_is_known_by_its_beginning(head: bytes, description: str | None) -> None:
    """A container begins the file, or stands behind a few lines without a mark."""
    container = container_of(head)
    assert (None if container is None else container.description) == description


ROW = "[10:00:00] INFO     [DEPLOY] Environment x  state_manager.py:88"
UPLOADING = next(text for text in ALL if "Uploading" in text)
BROKEN = f"{UPLOADING[:80]}\n{UPLOADING[80:]}"


@pytest.mark.parametrize(
    ("text", "kind", "description"),
    [
        ("\n".join([ROW] * 3), "Columns", "text"),
        (json.dumps([{"message": ROW}] * 3), "Columns", JSON_KIND),
        (f"x\n{json.dumps([{'message': ROW}] * 3)}", "Columns", JSON_KIND),
        (f"{BROKEN}\nx", "BrokenLines", "text"),
        (f"time,message\n1,{BROKEN}\nx", "Table", TABLE_KIND),
        (json.dumps([f"{BROKEN}\nx"]), "_Document", JSON_KIND),
        (f"[[\n{BROKEN}\nx", "_Document", JSON_KIND),
    ],
)
def test_rows_and_broken_lines_may_be_in_another_container(
    text: str, kind: str, description: str
) -> None:
    """Columns are looked for in every container, broken lines in a log of lines only."""
    container = container_of(text.encode())
    assert container is not None
    assert (type(container).__name__, container.description) == (kind, description)


T = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
NESTED = (
    b'{"time": "2026-01-01T00:00:00Z", "events": [{"m": "[DEPLOY] a"},\n {"m": "b", "pod": "v"}],'
    b' "pod": "w",\n "more": [{"m": "c"}]}\nnot "json\nnor this\n[{"m": "d"}]\n'
)
IN_NESTED = [
    (1, Unwrapped("[DEPLOY] a", "", T, zoned=True)),
    (2, Unwrapped("b", "v", T, zoned=True)),
    (3, Unwrapped("c", "w", T, zoned=True)),
    (4, Unwrapped('not "json', cut=True)),
    (5, Unwrapped("nor this")),
    (6, Unwrapped("d")),
]


@pytest.mark.parametrize("size", [3, 4, 11, 1 << 20])
@pytest.mark.parametrize(
    ("data", "entries"),
    [
        (ARRAY, [(1, Unwrapped("[DEPLOY] a")), (2, Unwrapped("b"))]),
        (ARRAY + b"\n", [(1, Unwrapped("[DEPLOY] a")), (2, Unwrapped("b"))]),
        (NESTED, IN_NESTED),
        (b"x\n\ny\n" + NESTED, [(number + 3, entry) for number, entry in IN_NESTED]),
        (b"\n\r\nx\n" + NESTED, [(number + 3, entry) for number, entry in IN_NESTED]),
        (b"x\n\n" + ARRAY, [(1, Unwrapped("[DEPLOY] a")), (2, Unwrapped("b"))]),
        (b"\xef\xbb\xbf\nx\n" + JOURNAL, [(3, Unwrapped("[DEPLOY] a"))]),
        (b"x\n\ny\ntime,message\n1,[DEPLOY] a\n", [(5, Unwrapped("[DEPLOY] a"))]),
    ],
)
def test_entries_have_their_numbers_and_surroundings(
    data: bytes, entries: list[tuple[int, Unwrapped]], size: int
) -> None:
    """Lines are counted from the file's first one; on one line, the entries are."""
    container = container_of(data)
    assert container is not None
    assert list(container.entries(pieces(data, size))) == entries


def test_a_container_behind_other_lines_is_not_held_as_a_whole() -> None:
    """Its first entry is known before the file's end is read."""
    chunks = [b"x", b"\ny\n__CURSOR=1\n", b"MESSAGE=[DEPLOY] a\n\n", JOURNAL, JOURNAL]
    container = container_of(b"".join(chunks))
    assert container is not None
    rest = iter(chunks)
    assert next(iter(container.entries(rest))) == (3, Unwrapped("[DEPLOY] a"))
    assert list(rest) == [JOURNAL, JOURNAL]
