"""A worker's way out without a collector: finished spans as OTLP JSON lines in its own log.

A container log that holds these lines is a full source for `flash-otel diagnose`.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final, TextIO

from opentelemetry.sdk.trace import SpanProcessor

from flash_otel import semconv
from flash_otel.otlp.decode import decode
from flash_otel.otlp.encode import encode_json
from flash_otel.runtime.guard import swallowed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from flash_otel.records import SpanRecord

MARK: Final = "flash_otel "

_OPENING: Final = f"{MARK}{{"
_decoder = json.JSONDecoder()


class WorkerLogSpanProcessor(SpanProcessor):
    """Writes each finished span of the scope `flash_otel` as one line.

    Args:
        stream: Where to; None is standard error, looked up at each line.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def on_end(self, span: ReadableSpan) -> None:
        """Write the span; a stream that takes nothing more is the host's business."""
        try:
            scope = span.instrumentation_scope
            if scope is None or scope.name != semconv.SCOPE_NAME:
                return
            from flash_otel.otlp.from_sdk import to_record

            write(to_record(span), self._stream)
        except Exception:
            swallowed("worker log")


def write(record: SpanRecord, stream: TextIO | None = None) -> None:
    """Write the line of a record; a stream that takes nothing more is the host's business.

    Args:
        record: The span.
        stream: Where to; None is what standard error is now.
    """
    stream = stream or sys.stderr
    try:
        if stream is not None:
            stream.write(line(record))
            stream.flush()
    except (OSError, ValueError):
        return


def line(record: SpanRecord) -> str:
    """Return the line of a record, in ASCII (any stream can write it), with its line end."""
    return f"{MARK}{json.dumps(encode_json([record]), separators=(',', ':'))}\n"


def parse_line(line: str) -> Iterator[SpanRecord]:
    """Yield the spans of a log line, whatever prefix or suffix a logger gave it.

    A line without the mark, or one that was cut in half, holds none.
    """
    start = line.find(_OPENING)
    while start >= 0:
        try:
            found, _ = _decoder.raw_decode(line, start + len(MARK))
            yield from decode(found)
        except (ValueError, RecursionError):
            start = line.find(_OPENING, start + 1)
        else:
            return
