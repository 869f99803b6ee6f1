"""Readers of OTLP files: JSON lines, one JSON document, or protobuf."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flash_otel.diagnosis.readers.input import NothingFoundError, ReaderError
from flash_otel.otlp.decode import decode, decode_protobuf
from flash_otel.otlp.framing import payloads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flash_otel.diagnosis.readers.input import Input, Progress
    from flash_otel.records import SpanRecord

MAX_DOCUMENT: Final = 1 << 28
"""Bytes of the largest line or document that is decoded, which takes several times as much."""

_OPENING: Final = ("{", "[")
_CLOSING: Final = frozenset({"}", "]"})
_GOING_ON: Final = frozenset({"[", ","})
# The field that each request has, by both of its names.
_REQUESTS: Final = frozenset(
    f"resource{kind}" for kind in ("Spans", "_spans", "Logs", "_logs", "Metrics", "_metrics")
)
# Every line of an unindented document could be its end; trying them all would be quadratic.
_MAX_TRIES: Final = 100


class OtlpJsonReader:
    """Reads OTLP/JSON as the Collector's file exporter and the SDKs' JSON exporters write it.

    JSON lines are read line by line; a document that spans several lines is read as a whole.
    """

    def __init__(self, given: Input) -> None:
        self.name = given.name
        self._input = given

    def records(self, progress: Progress | None = None) -> Iterator[SpanRecord]:
        """Yield the spans; a line that is damaged or cut off is skipped.

        Raises:
            ReaderError: The file cannot be read, or (NothingFoundError) holds no span.
        """
        document = _PartialDocument(self.name)
        spans = (
            replace(record, origin=f"{self.name}:{number}")
            for number, request in _documents(document, self._input.chunks(progress))
            for record in _decoded(request)
        )
        return _not_empty(spans, lambda: self._empty(document))

    def _empty(self, document: _PartialDocument) -> NothingFoundError:
        if not document.is_open:
            return NothingFoundError(f"{self.name} is OTLP JSON without a single span")
        return NothingFoundError(
            f"{self.name} is OTLP JSON that is damaged or ends too early, without a whole span",
            "Copy or export the file again.",
        )


class OtlpProtobufReader:
    """Reads OTLP protobuf: one request, or several with a length before each."""

    def __init__(self, given: Input) -> None:
        self.name = given.name
        self._input = given

    def records(self, progress: Progress | None = None) -> Iterator[SpanRecord]:
        """Yield the spans; what follows a request that was cut off is skipped.

        Raises:
            ReaderError: The file cannot be read, or (NothingFoundError) holds no span.
        """
        spans = (
            replace(record, origin=self.name)
            for payload in payloads(self._input.head, self._input.chunks(progress))
            for record in decode_protobuf(payload)
        )
        message = f"{self.name} is OTLP protobuf without a single span"
        return _not_empty(spans, lambda: NothingFoundError(message))


def _not_empty(
    spans: Iterator[SpanRecord], empty: Callable[[], NothingFoundError]
) -> Iterator[SpanRecord]:
    is_empty = True
    for span in spans:
        is_empty = False
        yield span
    if is_empty:
        raise empty()


def _decoded(request: Any) -> Iterator[SpanRecord]:
    for message in request if isinstance(request, list) else (request,):
        try:
            yield from decode(message)
        except ValueError:
            continue  # logs or metrics, which a Collector may write to the same file


def _documents(document: _PartialDocument, chunks: Iterable[bytes]) -> Iterator[tuple[int, Any]]:
    """Yield each JSON document with the number of its first line.

    Args:
        document: Assembles documents of several lines; holds what is left in the end.
        chunks: The bytes of the file.
    """
    for number, raw in enumerate(_lines(document.name, chunks), 1):
        line = raw.decode("utf-8", "replace").strip("\ufeff \r")
        whole = _parsed(line) if line.startswith(_OPENING) else None
        if whole is not None and not document.goes_on_with(whole):
            document.clear()
            yield number, whole
        elif (found := document.add(number, line)) is not None:
            yield found
    if (found := document.end()) is not None:
        yield found


class _PartialDocument:
    """A JSON document that spans several lines, assembled until it is complete."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.clear()

    @property
    def is_open(self) -> bool:
        """Whether it holds lines that make no document so far."""
        return bool(self._begins)

    def clear(self) -> None:
        """Drop the lines so far. After a whole line, they were one that was cut off."""
        # Not a list of lines, each of which takes fifty bytes more than its text.
        self._text = bytearray()
        self._first = self._tried = 0
        self._begins = self._ends = ""  # its first and its last character

    def goes_on_with(self, value: Any) -> bool:
        """Return True if a value that has a line of its own is a part of the document."""
        if _is_request(value):
            return self._begins == "[" and self._ends in _GOING_ON
        return self.is_open

    def add(self, number: int, line: str) -> tuple[int, Any] | None:
        """Add a line; return the document and its first line's number if that completes it."""
        self._first = self._first or number
        self._text += line.encode() + b"\n"
        if shown := line.strip():
            self._begins, self._ends = self._begins or shown[0], shown[-1]
        if len(self._text) > MAX_DOCUMENT:
            raise _too_large(self.name)
        if line not in _CLOSING or self._tried >= _MAX_TRIES:
            return None
        self._tried += 1
        return self.end()

    def end(self) -> tuple[int, Any] | None:
        """Return the document and the number of its first line, if it is complete."""
        whole = _parsed(self._text.decode())
        if whole is None:
            return None
        first = self._first
        self.clear()
        return first, whole


def _is_request(value: Any) -> bool:
    """Return True for a request to export spans, logs or metrics, and for a list of some."""
    requests = value if isinstance(value, list) else [value]
    return any(isinstance(each, dict) and each.keys() & _REQUESTS for each in requests)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _lines(name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    pending = bytearray()
    for chunk in chunks:
        # Not split at once: a chunk of line ends would become millions of objects.
        begin = 0
        while (end := chunk.find(b"\n", begin)) >= 0:
            yield bytes(pending) + chunk[begin:end]
            pending.clear()
            begin = end + 1
        pending += chunk[begin:]
        # A compressed file may be a thousandth of its only line.
        if len(pending) > MAX_DOCUMENT:
            raise _too_large(name)
    yield bytes(pending)


def _too_large(name: str) -> ReaderError:
    return ReaderError(f"{name} holds a JSON document of more than {MAX_DOCUMENT >> 20} MB")
