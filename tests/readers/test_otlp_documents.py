"""Files of OTLP: documents on one line or on several, what is damaged, and what is too large."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.recordings import deployment, records

from flash_otel.diagnosis.readers import otlp
from flash_otel.diagnosis.readers.input import Input, NothingFoundError, ReaderError
from flash_otel.diagnosis.readers.otlp import OtlpJsonReader, OtlpProtobufReader
from flash_otel.otlp.encode import encode_json

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord

FIRST, SECOND = records(deployment())[:2]
MEGABYTE: Final = 1 << 20


def given(data: bytes, chunk: int = 1000) -> Input:
    return Input("traces", chunk, lambda: io.BytesIO(data))


def origins(data: bytes, chunk: int = 1000) -> list[tuple[str, str]]:
    """Return the id and the place of each span in a file of JSON."""
    found = OtlpJsonReader(given(data, chunk)).records()
    return [(record.span_id, record.origin) for record in found]


def written(record: SpanRecord, indent: int | None = None, **more: Any) -> str:
    """Return a request as JSON; keyword arguments are further fields behind the spans."""
    return json.dumps({**encode_json([record]), **more}, indent=indent)


ONE, TWO = FIRST.span_id, SECOND.span_id
RESOURCES: Final = [
    json.dumps(encode_json([record])["resourceSpans"][0]) for record in (FIRST, SECOND)
]
DOCUMENTS: Final[dict[str, tuple[str, list[tuple[str, int]]]]] = {
    "one line": (written(FIRST), [(ONE, 1)]),
    "lines": (f"{written(FIRST)}\n{written(SECOND)}\n", [(ONE, 1), (TWO, 2)]),
    "lines with a mark and spaces": (
        f"\ufeff{written(FIRST)}\r\n \n  {written(SECOND)}  \r\n",
        [(ONE, 1), (TWO, 3)],
    ),
    "a list on one line": (f"[{written(FIRST)},{written(SECOND)}]", [(ONE, 1), (TWO, 1)]),
    "indented, and a line": (
        f"{written(FIRST, 1)}\n{written(SECOND)}",
        [(ONE, 1), (TWO, written(FIRST, 1).count("\n") + 2)],
    ),
    "a line, and indented": (
        f"{written(SECOND)}\n{written(FIRST, 1)}\n",
        [(TWO, 1), (ONE, 2)],
    ),
    "indented twice": (
        f"{written(FIRST, 2)}\n{written(SECOND, 2)}",
        [(ONE, 1), (TWO, written(FIRST, 2).count("\n") + 2)],
    ),
    "in a list, indented": (
        f"[\n{written(FIRST, 1)}\n,\n{written(SECOND, 1)}\n]",
        [(ONE, 1), (TWO, 1)],
    ),
    "in a list, on a line each": (
        f"[\n{written(FIRST)},\n{written(SECOND)}\n]\n{written(FIRST)}\n",
        [(ONE, 1), (TWO, 1), (ONE, 5)],
    ),
    "in a list, alone on a line": (f"\n[\n\n{written(FIRST)}\n]", [(ONE, 1)]),
    "in a list that begins and ends with them": (
        f"[{written(FIRST)},\n{written(SECOND)}\n]",
        [(ONE, 1), (TWO, 1)],
    ),
    "with resources on a line each": (
        f'{{"resourceSpans": [\n{RESOURCES[0]},\n{RESOURCES[1]}\n]\n}}',
        [(ONE, 1), (TWO, 1)],
    ),
    "with a number on a line of its own": (written(FIRST, 1, x=[5], y=["a"]), [(ONE, 1)]),
    "with a value on a line of its own": (written(FIRST, 1, x=[{}, []], y=[{}]), [(ONE, 1)]),
    "a list that is cut off, and lines": (
        f"[\n{written(FIRST)},\n{written(FIRST)[:-9]}\n{written(SECOND)}\n{written(FIRST)}",
        [(TWO, 4), (ONE, 5)],
    ),
    "cut off at a comma, and lines of metrics and spans": (
        f'{written(FIRST).partition(",")[0]},\n{{"resource_metrics":[]}}\n{written(SECOND)}',
        [(TWO, 3)],
    ),
    "cut off, and a line": (f"{written(FIRST, 1)[:-9]}\n{written(SECOND)}\n", [
        (TWO, written(FIRST, 1)[:-9].count("\n") + 2)]),
    "a damaged line, and a line": (f"{written(FIRST)[:-9]}\n{written(SECOND)}", [(TWO, 2)]),
    "metrics among them": (
        f'{{"resourceMetrics":[]}}\n[{{"resourceLogs":[]}},{written(FIRST)},5]\n{written(SECOND)}',
        [(ONE, 2), (TWO, 3)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("chunk", [1, 13, 100_000])
@pytest.mark.parametrize(("text", "expected"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_the_place_of_a_span_is_the_first_line_of_its_document(
    text: str, expected: list[tuple[str, int]], chunk: int
) -> None:
    """Whether documents stand on a line each or on several, and whatever is cut off before."""
    assert origins(text.encode(), chunk) == [(one, f"traces:{line}") for one, line in expected]


@pytest.mark.parametrize("is_bare", [True, False])
def test_an_unindented_document_is_tried_a_number_of_times(
    monkeypatch: pytest.MonkeyPatch, *, is_bare: bool
) -> None:
    """Each of its lines might be its end; after so many tries, only the end of the file is."""
    tried: list[str] = []

    def parsed(text: str) -> Any:
        tried.append(text)
        return None

    monkeypatch.setattr(otlp, "_parsed", parsed)
    monkeypatch.setattr(otlp, "_MAX_TRIES", 3)
    lines = ['"a": 1', *(["}", "]"] * 4), "},", "}"]
    if not is_bare:
        lines[0] = '{"a"'
    with pytest.raises(NothingFoundError):
        origins("\n".join(lines).encode())
    assert len(tried) == 3 + 1 + (not is_bare)
    assert [text.count("\n") for text in tried[-4:]] == [2, 3, 4, len(lines)]


NO_SPAN: Final = "traces is OTLP JSON without a single span"
DAMAGED: Final = "traces is OTLP JSON that is damaged or ends too early, without a whole span"
AGAIN: Final = "Copy or export the file again."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"resourceSpans":[]}', (NO_SPAN, "")),
        ('{"resourceSpans":[]}\n\n  \n', (NO_SPAN, "")),
        ('{\n"resourceSpans":\n[]\n}\n', (NO_SPAN, "")),
        ('{"resourceMetrics":[]}', (NO_SPAN, "")),
        ('{"resourceSpans":[', (DAMAGED, AGAIN)),
        ('{"resourceSpans":[]}\n{"resourceSpans":[', (DAMAGED, AGAIN)),
        ('{"resourceSpans":[\n{"resourceSpans":[]}', (NO_SPAN, "")),
        ("[" * 100_000, (DAMAGED, AGAIN)),
    ],
)
def test_json_without_a_span(text: str, expected: tuple[str, str]) -> None:
    """The error tells an empty file from one that is damaged, and what to do then."""
    with pytest.raises(NothingFoundError) as caught:
        origins(text.encode())
    assert (str(caught.value), caught.value.next_step) == expected


def test_protobuf_without_a_span() -> None:
    """The error names the file and its kind; with a span, the file is its place."""
    with pytest.raises(NothingFoundError) as caught:
        list(OtlpProtobufReader(given(bytes([0x0A, 2, 0x12, 0]))).records())
    assert str(caught.value) == "traces is OTLP protobuf without a single span"
    assert caught.value.next_step == ""


def test_spans_come_as_they_are_read() -> None:
    """A reader does not wait for the end of its file, and tells how far it is."""
    told: list[int] = []
    data = f"{written(FIRST)}\n{written(SECOND)}\n".encode()
    found = OtlpJsonReader(given(data, 50)).records(lambda done, _: told.append(done))
    assert next(found).span_id == ONE
    assert 0 < told[-1] < len(data)
    assert next(found).span_id == TWO
    assert next(found, None) is None
    assert told[-1] == len(data)


TOO_LARGE: Final = "traces holds a JSON document of more than 1 MB"


@pytest.mark.parametrize(("size", "is_read"), [(MEGABYTE, True), (MEGABYTE + 1, False)])
@pytest.mark.parametrize("indent", [None, 0], ids=["one line", "several lines"])
def test_the_size_of_a_document(
    size: int, indent: int | None, monkeypatch: pytest.MonkeyPatch, *, is_read: bool
) -> None:
    """As many bytes as the limit are decoded, on one line or on several; more are an error."""
    monkeypatch.setattr(otlp, "MAX_DOCUMENT", MEGABYTE)
    rest = size - len(written(FIRST, indent, x="")) - (indent is not None)
    data = written(FIRST, indent, x="a" * rest).encode()
    if is_read:
        assert origins(data, 100_000) == [(ONE, "traces:1")]
        return
    with pytest.raises(ReaderError) as caught:
        origins(data, 100_000)
    assert str(caught.value) == TOO_LARGE
